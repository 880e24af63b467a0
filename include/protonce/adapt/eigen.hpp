// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/adapt/strided.hpp>

#include <concepts>
#include <type_traits>

/// Eigen matrices, arrays, maps, blocks and references as views, without a copy. Eigen is not included: whatever has
/// the members of its dense types is taken.
namespace protonce::inline v0 {

namespace detail {

template <class M>
concept eigen_expression = requires(const std::remove_cvref_t<M>& m) {
    typename std::remove_cvref_t<M>::Scalar;
    typename std::remove_cvref_t<M>::PlainObject;
    std::remove_cvref_t<M>::IsRowMajor;
    std::remove_cvref_t<M>::IsVectorAtCompileTime;
    m.rows();
    m.cols();
};

template <class M>
concept eigen_in_memory = requires(M& m) {
    { *m.data() } -> std::convertible_to<typename std::remove_cvref_t<M>::Scalar>;
    m.outerStride();
    m.innerStride();
};

/// Matrix, Array, and Ref<const ...>, which may hold a copy: made from any matrix, where a map or a block refers to the
/// one it is given.
template <class M>
inline constexpr bool eigen_owner = std::is_constructible_v<M, const typename M::PlainObject&>;

template <class M>
inline constexpr bool eigen_outlives_call = std::is_lvalue_reference_v<M&&> || !eigen_owner<std::remove_cvref_t<M>>;

} // namespace detail

/// A row-major Eigen matrix, array, map or block, or a column of any, as rows. Const in, view of const out.
/// Does not compile for column-major matrices, expressions that are not in memory, and temporaries that own their
/// values.
/// \throws shape_error  a map with an inner stride other than 1
template <detail::eigen_expression M>
constexpr auto view_rows(M&& matrix) {
    using E = std::remove_cvref_t<M>;
    constexpr bool is_column = E::IsVectorAtCompileTime && !E::IsRowMajor;
    static_assert(detail::eigen_in_memory<M>,
                  "view_rows: this Eigen expression does not lie in memory; evaluate it into a matrix first");
    static_assert(detail::eigen_outlives_call<M>,
                  "view_rows: a temporary Eigen matrix is gone before its view is used; give it a name first");
    static_assert(E::IsRowMajor || is_column,
                  "view_rows: the Eigen matrix must be row-major: Eigen::Matrix<T, Rows, Cols, Eigen::RowMajor>");
    if constexpr (detail::eigen_in_memory<M>) {
        const auto outer = static_cast<index_t>(matrix.outerStride());
        const auto inner = static_cast<index_t>(matrix.innerStride());
        return detail::strided_rows(matrix.data(), static_cast<index_t>(matrix.rows()),
                                    static_cast<index_t>(matrix.cols()), is_column ? inner : outer, inner);
    }
}

/// An Eigen vector (one row or one column at compile time) as a view. Const in, view of const out.
/// Does not compile for matrices, expressions that are not in memory, and temporaries that own their values.
/// \throws shape_error  an inner stride other than 1, as a column of a row-major matrix has
template <detail::eigen_expression M>
constexpr auto view_vector(M&& vector) {
    using E = std::remove_cvref_t<M>;
    static_assert(E::IsVectorAtCompileTime,
                  "view_vector: an Eigen vector has one row or one column at compile time; use view_rows for matrices");
    static_assert(detail::eigen_in_memory<M>,
                  "view_vector: this Eigen expression does not lie in memory; evaluate it into a vector first");
    static_assert(detail::eigen_outlives_call<M>,
                  "view_vector: a temporary Eigen vector is gone before its view is used; give it a name first");
    if constexpr (detail::eigen_in_memory<M>) {
        return detail::strided_values(vector.data(), static_cast<index_t>(vector.size()),
                                      static_cast<index_t>(vector.innerStride()));
    }
}

} // namespace protonce::inline v0

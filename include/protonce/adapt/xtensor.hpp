// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/adapt/strided.hpp>

#include <type_traits>

/// xtensor arrays as views, without a copy: xarray, xtensor, xtensor_fixed, what xt::adapt returns, and strided views
/// of them. xtensor is not included (its headers move between versions): whatever has the members of its containers is
/// taken.
namespace protonce::inline v0 {

namespace detail {

template <class A>
concept xtensor_expression = requires(const std::remove_cvref_t<A>& a) {
    a.dimension();
    a.shape();
    a.layout();
};

template <class A>
concept xtensor_in_memory = requires(A& a) {
    *(a.data() + a.data_offset());
    a.strides()[0];
};

/// Containers can be made of nothing; adaptors and views refer to something.
template <class A>
inline constexpr bool xtensor_outlives_call =
    std::is_lvalue_reference_v<A&&> || !std::is_default_constructible_v<std::remove_cvref_t<A>>;

} // namespace detail

/// A two-dimensional xtensor array as rows. Const in, view of const out. A temporary view or adaptor must refer to an
/// array that outlives the result. Does not compile for expressions that are not in memory and for temporary
/// containers.
/// \throws shape_error  not two dimensions; the values of a row do not follow each other (column-major, transposed,
/// every second column)
template <detail::xtensor_expression A>
auto view_rows(A&& array) {
    static_assert(detail::xtensor_in_memory<A>,
                  "view_rows: this xtensor expression does not lie in memory; evaluate it with xt::eval first");
    static_assert(detail::xtensor_outlives_call<A>,
                  "view_rows: a temporary xtensor container is gone before its view is used; give it a name first");
    if constexpr (detail::xtensor_in_memory<A>) {
        detail::check_dimensions("view_rows", static_cast<index_t>(array.dimension()), 2);
        return detail::strided_rows(array.data() + array.data_offset(), static_cast<index_t>(array.shape()[0]),
                                    static_cast<index_t>(array.shape()[1]), static_cast<index_t>(array.strides()[0]),
                                    static_cast<index_t>(array.strides()[1]));
    }
}

/// A one-dimensional xtensor array as a view; as view_rows() otherwise.
/// \throws shape_error  not one dimension; a stride other than 1
template <detail::xtensor_expression A>
auto view_vector(A&& array) {
    static_assert(detail::xtensor_in_memory<A>,
                  "view_vector: this xtensor expression does not lie in memory; evaluate it with xt::eval first");
    static_assert(detail::xtensor_outlives_call<A>,
                  "view_vector: a temporary xtensor container is gone before its view is used; give it a name first");
    if constexpr (detail::xtensor_in_memory<A>) {
        detail::check_dimensions("view_vector", static_cast<index_t>(array.dimension()), 1);
        return detail::strided_values(array.data() + array.data_offset(), static_cast<index_t>(array.shape()[0]),
                                      static_cast<index_t>(array.strides()[0]));
    }
}

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/adapt/strided.hpp>

#include <type_traits>

/// std::mdspan, and what looks like it (the Kokkos one, submdspans), as views. <mdspan> is not included: older
/// compilers lack it.
namespace protonce::inline v0 {

namespace detail {

template <class M>
concept mdspan_array = requires(const std::remove_cvref_t<M>& m) {
    typename std::remove_cvref_t<M>::element_type;
    std::remove_cvref_t<M>::rank();
    m.extent(0);
    m.stride(0);
    m.data_handle();
};

/// The default accessor's handle; others may not be plain memory of the host.
template <class M>
inline constexpr bool mdspan_in_memory = std::is_same_v<typename M::data_handle_type, typename M::element_type*>;

} // namespace detail

/// An mdspan of rank 2 with a strided layout as rows. An mdspan owns nothing, so temporaries are taken; const is a
/// matter of its elements.
/// \throws shape_error  the values of a row do not follow each other (layout_left, a strided slice)
template <detail::mdspan_array M>
constexpr auto view_rows(const M& array) {
    static_assert(M::rank() == 2, "view_rows: the mdspan must have rank 2");
    static_assert(detail::mdspan_in_memory<M>, "view_rows: the mdspan must refer to its values by a plain pointer");
    if constexpr (M::rank() == 2 && detail::mdspan_in_memory<M>) {
        return detail::strided_rows(array.data_handle(), static_cast<index_t>(array.extent(0)),
                                    static_cast<index_t>(array.extent(1)), static_cast<index_t>(array.stride(0)),
                                    static_cast<index_t>(array.stride(1)));
    }
}

/// An mdspan of rank 1 with a strided layout as a view; as view_rows() otherwise.
/// \throws shape_error  a stride other than 1
template <detail::mdspan_array M>
constexpr auto view_vector(const M& array) {
    static_assert(M::rank() == 1, "view_vector: the mdspan must have rank 1");
    static_assert(detail::mdspan_in_memory<M>, "view_vector: the mdspan must refer to its values by a plain pointer");
    if constexpr (M::rank() == 1 && detail::mdspan_in_memory<M>) {
        return detail::strided_values(array.data_handle(), static_cast<index_t>(array.extent(0)),
                                      static_cast<index_t>(array.stride(0)));
    }
}

} // namespace protonce::inline v0

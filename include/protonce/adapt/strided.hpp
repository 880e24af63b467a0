// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/check.hpp>
#include <protonce/core/space.hpp>
#include <protonce/core/view.hpp>

#include <string>
#include <string_view>
#include <type_traits>

namespace protonce::inline v0::detail {

/// \throws shape_error  another number of dimensions than the view has
constexpr void check_dimensions(std::string_view function, index_t given, index_t needed) {
    if (given != needed) {
        check::fail_shape(function, "array",
                          "must have " + check::text(needed) + (needed == 1 ? " dimension" : " dimensions"),
                          check::text(given));
    }
}

/// The array lies in another memory than the view's.
///
/// \param given  where
template <memory_space S>
[[noreturn]] void fail_place(std::string_view function, const std::string& given) {
    check::fail_argument(
        function, "array",
        std::is_same_v<S, host> ? "must lie in memory of the host" : "must lie in memory of a CUDA device", given);
}

/// A view of rows with strides in values, as other libraries state them. The stride of a dimension of extent 1 says
/// nothing (some libraries make it 0) and is not looked at.
/// \throws shape_error  the values of a row do not follow each other, or rows overlap or run backwards
template <memory_space S = host, class T>
constexpr matrix_view<T, S> strided_rows(T* data, index_t rows, index_t cols, index_t row_stride, index_t col_stride) {
    if (rows > 0 && cols > 1 && col_stride != 1) {
        check::fail_shape("view_rows", "array", "must have the values of a row one after the other, column stride 1",
                          "strides " + check::shape_text(row_stride, col_stride));
    }
    if (rows > 1 && row_stride < cols) {
        check::fail_shape("view_rows", "array", "must have a row stride of at least its columns, " + check::text(cols),
                          "strides " + check::shape_text(row_stride, col_stride));
    }
    return {data, rows, cols, rows > 1 ? row_stride : cols};
}

/// \throws shape_error  the values do not follow each other
template <memory_space S = host, class T>
constexpr vector_view<T, S> strided_values(T* data, index_t size, index_t stride) {
    if (size > 1 && stride != 1) {
        check::fail_shape("view_vector", "array", "must have its values one after the other, stride 1",
                          "stride " + check::text(stride));
    }
    return {data, size};
}

} // namespace protonce::inline v0::detail

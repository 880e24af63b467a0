// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/adapt/strided.hpp>
#include <protonce/core/bfloat16.hpp>
#include <protonce/core/space.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

/// Tensors of PyTorch's C++ library, LibTorch, as views, without a copy. LibTorch is not included (its headers raise the
/// language standard they need from version to version): whatever has the members of its tensors is taken.
namespace protonce::inline v0 {

namespace detail {

template <class A>
concept torch_tensor = requires(const std::remove_cvref_t<A>& a) {
    a.defined();
    a.dim();
    a.size(0);
    a.stride(0);
    a.is_cpu();
    a.is_cuda();
    a.data_ptr();
    toString(a.scalar_type());
};

/// What LibTorch calls values of type T.
template <class T>
inline constexpr std::string_view torch_name{};
template <>
inline constexpr std::string_view torch_name<float> = "Float";
template <>
inline constexpr std::string_view torch_name<double> = "Double";
template <>
inline constexpr std::string_view torch_name<bfloat16> = "BFloat16";
template <>
inline constexpr std::string_view torch_name<std::int32_t> = "Int";
template <>
inline constexpr std::string_view torch_name<std::int64_t> = "Long";

/// The values of a tensor that is what the view wants.
template <class T, memory_space S, class A>
T* torch_values(std::string_view function, const A& tensor, index_t dimensions) {
    constexpr std::string_view name = torch_name<std::remove_const_t<T>>;
    static_assert(!name.empty(), "protonce views tensors of float, double, bfloat16, 32-bit and 64-bit integers");
    constexpr bool on_host = std::is_same_v<S, host>;
    if (!tensor.defined()) {
        check::fail_argument(function, "array", "must be a tensor", "an undefined one");
    }
    const std::string_view given = toString(tensor.scalar_type());
    if (given != name) {
        check::fail_argument(function, "array", "must hold values of type " + std::string(name), std::string(given));
    }
    if (on_host ? !tensor.is_cpu() : !tensor.is_cuda()) {
        fail_place<S>(function, "a tensor on " + tensor.device().str());
    }
    check_dimensions(function, tensor.dim(), dimensions);
    return static_cast<T*>(tensor.data_ptr());
}

} // namespace detail

/// A tensor of two dimensions as rows of T: `view_rows<float>(tensor)`, or `view_rows<float, device>(tensor)` of one in
/// memory of a CUDA device. T says the type of values, which a tensor tells at run time only; `const T` makes a view of
/// const. The view is of the tensor's memory: autograd does not see what is written through it, and a tensor that is
/// reassigned or resized leaves it behind. A temporary tensor does not compile.
///
/// Slices of rows and of columns are taken. Kernels of a device that compute the tensor must be queued on the backend's
/// stream, or be waited for.
/// \throws argument_error  undefined, of another type of values, in another memory
/// \throws shape_error     not two dimensions; the values of a row do not follow each other: call `.contiguous()` first
template <class T, memory_space S = host, detail::torch_tensor A>
matrix_view<T, S> view_rows(A&& tensor) {
    static_assert(std::is_lvalue_reference_v<A>,
                  "view_rows: a temporary tensor may be gone before its view is used; give it a name first");
    T* data = detail::torch_values<T, S>("view_rows", tensor, 2);
    return detail::strided_rows<S>(data, tensor.size(0), tensor.size(1), tensor.stride(0), tensor.stride(1));
}

/// A tensor of one dimension as a view; as view_rows() otherwise.
/// \throws argument_error  undefined, of another type of values, in another memory
/// \throws shape_error     not one dimension; a stride other than 1
template <class T, memory_space S = host, detail::torch_tensor A>
vector_view<T, S> view_vector(A&& tensor) {
    static_assert(std::is_lvalue_reference_v<A>,
                  "view_vector: a temporary tensor may be gone before its view is used; give it a name first");
    T* data = detail::torch_values<T, S>("view_vector", tensor, 1);
    return detail::strided_values<S>(data, tensor.size(0), tensor.stride(0));
}

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/adapt/strided.hpp>
#include <protonce/core/bfloat16.hpp>
#include <protonce/core/space.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>

/// Tensors of DLPack (`DLTensor`, https://dmlc.github.io/dlpack), by which frameworks hand arrays to each other, as views, without a
/// copy. Its header is not included: whatever has the members of its struct is taken.
namespace protonce::inline v0 {

namespace detail {

template <class A>
concept dlpack_tensor = requires(const A& a) {
    a.data;
    a.device.device_type;
    a.device.device_id;
    a.ndim;
    a.dtype.code;
    a.dtype.bits;
    a.dtype.lanes;
    a.shape[0];
    a.strides[0];
    a.byte_offset;
};

/// Numbers of the standard.
enum class dlpack_code { integer = 0, floating = 2, bfloat = 4 };
enum class dlpack_device { cpu = 1, cuda = 2, cuda_host = 3, cuda_managed = 13 };

/// What DLPack calls values of type T.
template <class T>
inline constexpr dlpack_code dlpack_code_of = std::is_integral_v<T> ? dlpack_code::integer : dlpack_code::floating;
template <>
inline constexpr dlpack_code dlpack_code_of<bfloat16> = dlpack_code::bfloat;

inline std::string dlpack_name(int code, int bits, int lanes) {
    constexpr std::string_view names[] = {"int", "uint", "float", "opaque", "bfloat", "complex", "bool"};
    constexpr int known = static_cast<int>(std::size(names));
    std::string out = code >= 0 && code < known ? std::string(names[code]) : "code " + check::text(code) + " of ";
    out += check::text(bits);
    return lanes == 1 ? out : out + " in vectors of " + check::text(lanes);
}

/// The values of a tensor that is what the view wants.
template <class T, memory_space S, class A>
T* dlpack_values(std::string_view function, const A& tensor, index_t dimensions) {
    using value = std::remove_const_t<T>;
    static_assert(std::is_same_v<value, float> || std::is_same_v<value, double> || std::is_same_v<value, bfloat16> ||
                      std::is_same_v<value, std::int32_t> || std::is_same_v<value, std::int64_t>,
                  "protonce views tensors of float, double, bfloat16, 32-bit and 64-bit integers");
    constexpr bool on_host = std::is_same_v<S, host>;
    constexpr int code = static_cast<int>(dlpack_code_of<value>);
    constexpr int bits = 8 * static_cast<int>(sizeof(value));
    const auto given_code = static_cast<int>(tensor.dtype.code);
    const auto given_bits = static_cast<int>(tensor.dtype.bits);
    const auto given_lanes = static_cast<int>(tensor.dtype.lanes);
    if (given_code != code || given_bits != bits || given_lanes != 1) {
        check::fail_argument(function, "array", "must hold values of type " + dlpack_name(code, bits, 1),
                             dlpack_name(given_code, given_bits, given_lanes));
    }
    const auto place = static_cast<dlpack_device>(tensor.device.device_type);
    const bool is_there =
        place == dlpack_device::cuda_managed ||
        (on_host ? place == dlpack_device::cpu || place == dlpack_device::cuda_host : place == dlpack_device::cuda);
    if (!is_there) {
        fail_place<S>(function, "a tensor on device type " + check::text(static_cast<int>(place)) + ", number " +
                                    check::text(static_cast<int>(tensor.device.device_id)));
    }
    check_dimensions(function, tensor.ndim, dimensions);
    if (tensor.data == nullptr) { // allowed where there are no values
        return nullptr;
    }
    auto* bytes = static_cast<unsigned char*>(tensor.data) + static_cast<std::size_t>(tensor.byte_offset);
    if (reinterpret_cast<std::uintptr_t>(bytes) % alignof(value) != 0) {
        check::fail_argument(function, "array", "must be aligned to " + check::text(alignof(value)) + " bytes",
                             "an address that is not");
    }
    return reinterpret_cast<T*>(bytes);
}

} // namespace detail

/// A tensor of two dimensions as rows of T: `view_rows<float>(managed->dl_tensor)`, or `view_rows<float, device>(...)` of
/// one in memory of a CUDA device. T says the type of values, which a tensor tells at run time only; `const T` makes a
/// view of const. The view is of the tensor's memory, which lives until the managed tensor's deleter is called; a tensor
/// that says it must not be written is for views of const.
///
/// Slices of rows and of columns are taken. Kernels of a device that compute the tensor must be queued on the backend's
/// stream, or be waited for.
/// \throws argument_error  another type of values, in another memory, values that are not aligned
/// \throws shape_error     not two dimensions; the values of a row do not follow each other
template <class T, memory_space S = host, detail::dlpack_tensor A>
matrix_view<T, S> view_rows(const A& tensor) {
    T* data = detail::dlpack_values<T, S>("view_rows", tensor, 2);
    const bool has_strides = tensor.strides != nullptr; // else row by row
    return detail::strided_rows<S>(data, static_cast<index_t>(tensor.shape[0]), static_cast<index_t>(tensor.shape[1]),
                                   static_cast<index_t>(has_strides ? tensor.strides[0] : tensor.shape[1]),
                                   static_cast<index_t>(has_strides ? tensor.strides[1] : 1));
}

/// A tensor of one dimension as a view; as view_rows() otherwise.
/// \throws argument_error  another type of values, in another memory, values that are not aligned
/// \throws shape_error     not one dimension; a stride other than 1
template <class T, memory_space S = host, detail::dlpack_tensor A>
vector_view<T, S> view_vector(const A& tensor) {
    T* data = detail::dlpack_values<T, S>("view_vector", tensor, 1);
    return detail::strided_values<S>(data, static_cast<index_t>(tensor.shape[0]),
                                     static_cast<index_t>(tensor.strides != nullptr ? tensor.strides[0] : 1));
}

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/host_device.hpp>

#include <bit>
#include <concepts>
#include <cstdint>

namespace protonce::inline v0 {

/// A number in bf16: the upper half of a float, 8 bits of mantissa and a float's range. For storage; nothing is computed in it. It is
/// laid out like std::bfloat16_t, __nv_bfloat16 and the bf16 tensors of frameworks, so a pointer to those may be taken for one to these.
struct bfloat16 {
    std::uint16_t bits = 0;

    bfloat16() = default;
    /// Rounded to nearest, ties to even; above the largest number infinity; NaN stays NaN.
    PROTONCE_HOST_DEVICE explicit constexpr bfloat16(float value) {
        const auto all = std::bit_cast<std::uint32_t>(value);
        const bool is_nan = (all & 0x7fffffffu) > 0x7f800000u;
        bits = static_cast<std::uint16_t>(is_nan ? (all >> 16 | 0x40u) : (all + 0x7fffu + (all >> 16 & 1u)) >> 16);
    }
    /// Exact.
    PROTONCE_HOST_DEVICE explicit constexpr operator float() const {
        return std::bit_cast<float>(std::uint32_t{bits} << 16);
    }
};
static_assert(sizeof(bfloat16) == 2);

namespace detail {
/// Element (i, j) of one matrix from another of the same shape, converted; i * cols + j is its number.
template <class From, class To>
struct convert_element {
    const From* from;
    index_t from_stride;
    To* to;
    index_t to_stride;
    index_t cols;

    PROTONCE_HOST_DEVICE void operator()(index_t at) const {
        const index_t i = at / cols;
        const index_t j = at % cols;
        to[i * to_stride + j] = static_cast<To>(from[i * from_stride + j]);
    }
};

template <class B, class From, class To>
void convert(B& be, matrix_view<const From, typename B::space> from, matrix_view<To, typename B::space> to) {
    be.for_each(from.rows() * from.cols(),
                convert_element<From, To>{from.data(), from.stride(), to.data(), to.stride(), from.cols()});
}
} // namespace detail

/// Features in bf16, as an encoder in mixed precision delivers them, become float, which the algorithms take. Exact.
///
/// \param from  (B, C)
/// \param to    (B, C)  overwritten
/// \throws shape_error  the views do not go together
/// Synchronises: no.  Scratch: none.  Reproducible: bitwise.  May be recorded in a CUDA graph.  reads 2 B C bytes, writes 4 B C
template <backend B>
requires std::same_as<value_of<B>, float>
void widen(B& be, matrix_of<B, const bfloat16> from, matrix_of<B> to) {
    check::matrix("widen", "from", from);
    check::equal_shape("widen", "from", from, "to", to);

    detail::convert<B, bfloat16, float>(be, from, to);
}

/// The way back, for gradients: each value rounded to nearest, ties to even; NaN and infinity stay.
///
/// \param from  (B, C)
/// \param to    (B, C)  overwritten
/// \throws shape_error  the views do not go together
/// Synchronises: no.  Scratch: none.  Reproducible: bitwise.  May be recorded in a CUDA graph.  reads 4 B C bytes, writes 2 B C
template <backend B>
requires std::same_as<value_of<B>, float>
void narrow(B& be, matrix_of<B, const float> from, matrix_of<B, bfloat16> to) {
    check::matrix("narrow", "from", from);
    check::equal_shape("narrow", "from", from, "to", to);

    detail::convert<B, float, bfloat16>(be, from, to);
}

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/host_device.hpp>

#include <bit>
#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// Bits in half precision, 10 of mantissa: rounded to nearest, ties to even; infinity from 65520 on; NaN stays NaN. Zero
/// below 2^-14, where half precision has fewer bits than usual, so that nothing depends on what an instruction makes of
/// such numbers.
PROTONCE_HOST_DEVICE constexpr std::uint16_t to_half(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t size = bits & 0x7fffffffu;
    const std::uint32_t sign = bits >> 16 & 0x8000u;
    if (size < 0x38800000u) {
        return 0;
    }
    if (size > 0x7f800000u) {
        return 0x7fffu;
    }
    if (size >= 0x477ff000u) { // half a unit above the largest
        return static_cast<std::uint16_t>(sign | 0x7c00u);
    }
    return static_cast<std::uint16_t>(sign | (size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13);
}

/// The way back, exact, of what to_half() gives.
PROTONCE_HOST_DEVICE constexpr float from_half(std::uint16_t half) {
    const std::uint32_t sign = std::uint32_t{half} << 16 & 0x80000000u;
    const std::uint32_t size = std::uint32_t{half} << 13 & 0x0fffe000u;
    if (size == 0) {
        return 0;
    }
    return std::bit_cast<float>(sign | (size < 0x0f800000u ? size + 0x38000000u : size + 0x70000000u));
}

/// The power of two that brings a magnitude into [2^10, 2^11), where half precision has room for numbers 2^5 times as
/// large, and keeps its bits down to 2^-24 of it. 1 for 0; at most 2^127, which leaves what is below 2^-117 smaller.
PROTONCE_HOST_DEVICE constexpr float half_scale(float largest) {
    const std::uint32_t exponent = std::bit_cast<std::uint32_t>(largest) >> 23;
    const std::uint32_t wanted = 127 + 127 + 10 - exponent;
    return largest > 0 ? std::bit_cast<float>((wanted < 254 ? wanted : 254u) << 23) : 1.0F;
}

} // namespace protonce::inline v0::detail::cuda

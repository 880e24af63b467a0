// SPDX-License-Identifier: MIT
#pragma once
#include <device/emulator/block.hpp>

#include <bit>
#include <cstdint>

namespace emulator::detail {

// Products of tiles by a warp: lanes bring the fragments that thread.hpp describes. Sums are of float, c first, then by rising
// column of a.
void multiply_tf32(thread* lanes);
void multiply_f16(thread* lanes);

inline float from_f16(std::uint32_t bits) { // of the low half
    const std::uint32_t size = bits & 0x7fffu;
    const std::uint32_t sign = (bits & 0x8000u) << 16;
    if (size >= 0x7c00u) { // infinity or NaN
        return std::bit_cast<float>(sign | 0x7f800000u | (size & 0x3ffu) << 13);
    }
    // With the exponent's bias of a half; also where the exponent is 0.
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(std::bit_cast<float>(size << 13) * 0x1p112F));
}

} // namespace emulator::detail

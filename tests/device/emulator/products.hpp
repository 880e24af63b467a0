// SPDX-License-Identifier: MIT
#pragma once
#include <device/emulator/block.hpp>

namespace emulator::detail {

// Products of tiles by a warp: lanes bring the fragments that thread.hpp describes. Sums are of float, c first, then by rising
// column of a.
void multiply_tf32(thread* lanes);
void multiply_f16(thread* lanes);

float from_f16(std::uint32_t bits); // of the low half

} // namespace emulator::detail

// SPDX-License-Identifier: MIT
#pragma once
#include <device/emulator/block.hpp>

namespace emulator::detail {

/// The tile products of a warp whose lanes wait at them, first of 32; backend/cuda/thread.hpp says which values a lane holds.
void multiply_tf32(thread* lanes);
void multiply_f16(thread* lanes);

} // namespace emulator::detail

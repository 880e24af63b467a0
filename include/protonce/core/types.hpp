// SPDX-License-Identifier: MIT
#pragma once
#include <concepts>
#include <cstdint>

namespace protonce::inline v0 {

/// Sizes and row numbers, everywhere. 64 bits, signed: N * C passes 2^31 on ordinary data.
using index_t = std::int64_t;

/// Number of a cluster, a class, or a row of a pool. -1 means none (the noise of density-based clusterers).
using label_t = std::int32_t;

/// What features, gradients and losses are made of.
template <class T>
concept real = std::same_as<T, float> || std::same_as<T, double>;

/// What a sum of T is accumulated in on backends that do not state otherwise.
template <real T>
using accumulator_t = double;

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels.hpp>

#include <cstdint>

/// What the inner loops of greedy k-means++ are given: all rows against a few candidates.
namespace protonce::inline v0::detail::cpu {

/// Candidates go through sums eight at a time.
inline constexpr int candidate_lanes = 8;

/// Consecutive rows against a few candidates, both as whole numbers of 8 bits (row_codes.hpp). Arrays by row have room for whole tiles of
/// most_tile_rows.
struct code_search {
    index_t count = 0;
    const std::int8_t* codes = nullptr; // row r begins at codes + r * stride
    index_t stride = 0;
    const float* factor = nullptr;        // by row: scale of its codes times that of the candidates'
    const std::int32_t* offset = nullptr; // by row: -128 times the sum of its codes
    const float* threshold = nullptr;     // by row
    // (num_panels, steps, 16, 4): one or two lanes a candidate; with two, the second has every second group of four columns. Codes
    // plus 128.
    const std::uint8_t* panels = nullptr;
    index_t num_panels = 0;
    index_t steps = 0;
    const float* half_norm = nullptr; // (num_panels, 16), by lane
};

/// What makes a row's threshold: the least score x.c - ||c||^2 / 2 by codes of a candidate that may be nearer than `least`.
struct threshold_terms {
    double rounding = 0;      // how much larger than least_i an exact distance may be: a factor
    double loose = 0;         // of a score, for each unit of ||x||^2 + ||x|| ||c|| + ||c||^2
    double low = 0;           // ||x|| >= low * norm
    double largest_norm = 0;  // of the candidates
    double largest_error = 0; // of their codes
};

} // namespace protonce::inline v0::detail::cpu

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/best_of_row.hpp>
#include <protonce/backend/cuda/nearest_tf32.hpp>
#include <protonce/backend/cuda/packed_rows.hpp>
#include <protonce/backend/elementwise/nearest.hpp>

#include <limits>

namespace protonce::inline v0::detail::cuda {

/// Twice what a score in bf16 may err by, and more, for the roundings of the bound itself. Infinite or NaN where a
/// score may have overflowed or is NaN.
///
/// With x' and c' for x and c rounded to bf16,  x.c - x'.c' = (x - x').c + x'.(c - c'),  so what rounding moves is at
/// most ||x - x'|| ||c|| + ||x'|| ||c - c'||: by what these norms are, not by what they could be. Products of bf16 are
/// exact; an instruction adds 16 of them to the sum within 18 * 2^-23 of the magnitudes
/// (tests/device/test_cuda_instructions.cpp and test_warp_group.cpp measure it), which makes (2.25 C + 36) u of ||x'||
/// ||c'|| + ||c||^2 / 2 for C / 16 of them; 28 u are for centring and norms.
PROTONCE_HOST_DEVICE inline float bf16_margin(float norm, float rest, const largest_norms& centroids, index_t stride) {
    constexpr float unit = std::numeric_limits<float>::epsilon() / 2;
    const float roundings = 2.25F * static_cast<float>(stride) + 64;
    const float magnitude = 4 * (centroids.norm + centroids.rest) * (norm + rest + centroids.norm); // overflows first
    const float residual = rest * centroids.norm + (norm + rest) * centroids.rest;
    const float tiny = (std::numeric_limits<float>::min)() * roundings; // products that underflow
    return 2.001F * residual + magnitude * (roundings * unit) + tiny;
}

/// What the scores in bf16 decide of each row; those of which they leave more than two labels are listed. With `is_exact`
/// false the best one is taken wherever scores mean anything.
struct decide_rows {
    static constexpr int threads = 256;

    packed_rows rows;
    const largest_norms* longest; // (1,) of the centroids
    bool is_exact;
    const best_three* best; // (N,)
    choice* known;          // (N,)
    row_list list;

    index_t blocks() const { return ceil_div(rows.rows, threads); }

    PROTONCE_DEVICE void operator()() const {
        const index_t row = index_t{block_index()} * threads + thread_index();
        if (row >= rows.rows) {
            return;
        }
        const float margin = bf16_margin(rows.norm[row], rows.rest[row], *longest, rows.stride);
        choice mine = choose(best[row], margin);
        if (!is_exact && check::is_finite(margin)) {
            mine.other = mine.label;
        }
        known[row] = mine;
        if (mine.other < 0) {
            list.row[fetch_add(list.count, 1)] = row;
        }
    }
};

/// What the scores in TF32 decide of the listed rows: an element an entry of the list.
struct choice_by_tf32 {
    nearest_tf32 scores;
    const float* norm;            // (N,) of the rows
    const largest_norms* longest; // (1,) of the centroids
    choice* known;                // (N,)

    PROTONCE_HOST_DEVICE void operator()(index_t entry) const {
        if (entry < *scores.list.count) {
            const index_t row = scores.list.row[entry];
            const float margin =
                elementwise::score_margin<float>(longest->norm, norm[row], nearest_tf32::roundings(scores.stride));
            known[row] = choose(scores.merged(entry), margin);
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/best_of_row.hpp>
#include <protonce/backend/cuda/nearest_tf32.hpp>
#include <protonce/backend/cuda/packed_rows.hpp>

#include <limits>

namespace protonce::inline v0::detail::cuda {

/// Twice what a score in half precision may err by, and more, for the roundings of the bound itself. Infinite or NaN where
/// a score may have overflowed or is NaN.
///
/// With x' and c' for x and c as to_half() leaves them,  x.c - x'.c' = (x - x').c + x'.(c - c'),  so what rounding moves is
/// at most ||x - x'|| ||c|| + ||x'|| ||c - c'||: by what these norms are, not by what they could be. Products of two are
/// exact; an instruction adds 16 of them to the sum within 18 * 2^-23 of the magnitudes
/// (tests/device/test_cuda_instructions.cpp and test_warp_group.cpp measure it), which makes (2.25 C + 36) u of ||x'||
/// ||c'|| + ||c||^2 / 2 for C / 16 of them; 28 u are for centring and norms.
PROTONCE_HOST_DEVICE inline float half_margin(float norm, float rest, const largest_norms& centroids, index_t stride) {
    constexpr float unit = std::numeric_limits<float>::epsilon() / 2;
    const float roundings = 2.25F * static_cast<float>(stride) + 64;
    const float magnitude = 4 * (centroids.norm + centroids.rest) * (norm + rest + centroids.norm); // overflows first
    const float residual = rest * centroids.norm + (norm + rest) * centroids.rest;
    const float tiny = (std::numeric_limits<float>::min)() * roundings; // products that underflow
    return 2.001F * residual + magnitude * (roundings * unit) + tiny;
}

/// Twice what a score in TF32, of values split in two, may err by, and more, for the roundings of the bound itself.
/// Infinite or NaN as half_margin() is.
///
/// With u = 2^-24 and p for the sum of |x_j c_j| over the columns, at most ||x|| ||c||, a score errs by, at most,
///
///     181 u p           instructions. One adds 8 products to its sum within 18 u of the magnitudes, the sum's among them
///                       (9 numbers are cut off; tests/device/test_cuda_instructions.cpp measures it). 12 make a chunk of
///                       32 columns from zero: two see only products with low parts, below 2^-9 of the chunk's part of p
///                       together, ten at most 1 + 2^-9 of it. Parts of all chunks add up to p
///     C / 32 u p        chunks, added one by one, each rounded to nearest
///     12 u p            what splitting leaves out: three products, each at most 2^-22 of the whole
///     2 u p + 3 u h     centring, of both factors; rounding of h = ||c||^2 / 2
///     u (p + h)         the score itself, the difference of the two
///
/// which is (C / 32 + 196) u (p + h); terms of higher order are below 12 u and another C / 32 u of it.
PROTONCE_HOST_DEVICE inline float tf32_margin(float norm, const largest_norms& centroids, index_t stride) {
    constexpr float unit = std::numeric_limits<float>::epsilon() / 2;
    const auto cols = static_cast<float>(stride);
    const float magnitude = 2.001F * centroids.norm * (norm + centroids.norm / 2); // overflows first
    const float tiny = (std::numeric_limits<float>::min)() * (7 * cols + 64);      // three products that underflow
    return magnitude * ((cols / 16 + 208) * unit) + tiny;
}

/// What the scores in half precision decide of each row; those of which they leave more than two labels are listed. With
/// `is_exact` false the best one is taken wherever scores mean anything.
struct decide_rows {
    static constexpr int threads = 256;

    packed_rows rows;
    const largest_norms* longest; // (1,) of the centroids
    bool is_exact;
    sliced_best best;
    choice* known; // (N,)
    row_list list;

    index_t blocks() const { return ceil_div(rows.rows, threads); }

    PROTONCE_DEVICE void operator()() const {
        const index_t row = index_t{block_index()} * threads + thread_index();
        if (row >= rows.rows) {
            return;
        }
        const float margin = half_margin(rows.norm[row], rows.rest[row], *longest, rows.stride);
        choice mine = choose(best.merged(row), margin);
        if (!is_exact && check::is_finite(margin)) {
            mine.other = mine.label;
        }
        known[row] = mine;
        if (mine.other < 0) {
            list.row[fetch_add(list.count, 1)] = row;
        }
    }
};

/// What the scores in TF32 decide of the listed rows; those of which they leave more than two labels are listed again.
struct choice_by_tf32 {
    static constexpr int threads = 256;

    nearest_tf32 scores;
    const float* norm;            // (N,) of the rows
    const largest_norms* longest; // (1,) of the centroids
    choice* known;                // (N,)
    row_list undecided;

    PROTONCE_DEVICE void operator()() const {
        const index_t entry = index_t{block_index()} * threads + thread_index();
        if (entry >= *scores.list.count) {
            return;
        }
        const index_t row = scores.list.row[entry];
        const choice mine = choose(scores.merged(entry), tf32_margin(norm[row], *longest, scores.stride));
        known[row] = mine;
        if (mine.other < 0) {
            undecided.row[fetch_add(undecided.count, 1)] = row;
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

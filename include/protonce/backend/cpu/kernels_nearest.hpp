// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels.hpp>

#include <cstdint>
#include <limits>
#include <utility>

/// Inner loops of the search for the nearest centroid, beyond those of kernels.hpp, and compiled like them.
namespace protonce::inline v0::detail::cpu {

/// Pairs of a row and a centroid whose scores are computed side by side.
inline constexpr int pair_batch = 8;

/// A centroid that may be the nearest: the row's number in its list, the centroid's place in the scanned panels, and an
/// upper bound of its score.
template <class T>
struct candidate {
    std::int32_t row;
    std::int32_t slot;
    T score;
};

/// What scan_panels() reads and writes.
template <class T>
struct panel_scan {
    const T* rows; // row r begins at rows + r * stride
    index_t stride;
    const std::int32_t* list; // (count,) rows to scan
    index_t count;
    const T* panels;    // packed: num_panels x depth x panel_width
    const T* half_norm; // (num_panels * panel_width,)
    index_t depth;
    index_t num_panels;
    const T* threshold;  // by row; scores below it are of no interest
    T* top;              // (count,) largest score of each listed row
    candidate<T>* found; // scores that reach the threshold; room for all of them
    T* score;            // scratch: most_tile_rows * num_panels * panel_width
};

template <class T>
struct nearest_kernels {
    index_t (*scan_panels)(const panel_scan<T>& job);
    void (*pair_scores)(const T* const* x, const T* const* c, const T* half_norm, index_t depth, T* score);
    index_t (*groups_within)(const T* bound, const T* moved, index_t count, T limit, std::int32_t* group);
    T (*least_bound)(const T* bound, const T* moved, index_t count);
    void (*lower_roots)(T* values, index_t count);
    double (*squared_norm)(const T* x, index_t cols);
};

// As in kernels.hpp: the same text for each instruction set.
namespace baseline {
#define PROTONCE_KERNEL_TARGET
#define PROTONCE_KERNEL_BYTES 16
#include <protonce/backend/cpu/kernels_nearest.inl>
#undef PROTONCE_KERNEL_TARGET
#undef PROTONCE_KERNEL_BYTES
} // namespace baseline

#if defined(__x86_64__) && defined(__GNUC__)
namespace avx2 {
#define PROTONCE_KERNEL_TARGET __attribute__((target("avx2,fma")))
#define PROTONCE_KERNEL_BYTES 32
#include <protonce/backend/cpu/kernels_nearest.inl>
#undef PROTONCE_KERNEL_TARGET
#undef PROTONCE_KERNEL_BYTES
} // namespace avx2

namespace avx512 {
#define PROTONCE_KERNEL_TARGET __attribute__((target("avx512f,avx2,fma")))
#define PROTONCE_KERNEL_BYTES 64
#include <protonce/backend/cpu/kernels_nearest.inl>
#undef PROTONCE_KERNEL_TARGET
#undef PROTONCE_KERNEL_BYTES
} // namespace avx512
#endif

/// Kernels of an instruction set, or of the widest that this processor runs if that is less.
template <class T>
nearest_kernels<T> kernels_for_nearest(instruction_set wanted) {
    [[maybe_unused]] const instruction_set use = (std::min)(wanted, widest_instruction_set());
#if defined(__x86_64__) && defined(__GNUC__)
    if (use == instruction_set::avx512) {
        return avx512::template nearest_table<T>();
    }
    if (use == instruction_set::avx2) {
        return avx2::template nearest_table<T>();
    }
#endif
    return baseline::template nearest_table<T>();
}

} // namespace protonce::inline v0::detail::cpu

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels.hpp>
#include <protonce/backend/cpu/kernels_candidates.hpp>

#include <cstdint>
#include <limits>
#include <utility>

/// Inner loops of the search for the nearest centroid, beyond those of kernels.hpp, and compiled like them.
namespace protonce::inline v0::detail::cpu {

/// A centroid that may be the nearest: the row's number in its block, the centroid's place in the scanned panels, and what the scan
/// says of its score.
template <class T>
struct candidate {
    std::int32_t row;
    std::int32_t place;
    T score;
};

/// Rows of a block against the centroids of a few panels. scan_panels() multiplies values; scan_codes() multiplies whole numbers of 8
/// bits, four columns at a time, and scales the sum.
template <class T>
struct panel_scan {
    const std::int32_t* list; // (count,) numbers of the rows to scan
    index_t count;
    index_t num_panels;
    index_t depth;       // columns, or groups of four codes
    const T* half_norm;  // (num_panels * panel_width,)
    const T* threshold;  // by row; scores below it are of no interest
    T* top;              // (count, and room for panel_width more) largest score of each listed row below its threshold
    candidate<T>* found; // scores that reach the threshold; room for all of them
    T* score;            // scratch: most_tile_rows * num_panels * panel_width

    const T* rows; // row r begins at rows + r * stride
    index_t stride;
    const T* panels; // num_panels x depth x panel_width

    const std::int8_t* codes; // row r begins at codes + r * code_stride
    index_t code_stride;
    const std::uint8_t* code_panels; // num_panels x depth x panel_width x 4, each code plus 128
    const T* factor;                 // by row: scale of its codes times that of the centroids'
    const std::int32_t* offset;      // by row: -128 times the sum of its codes
};

/// A row as whole numbers in [-127, 127]: x is about scale * code.
struct code_facts {
    float scale;
    float error; // at least the norm of x - scale * code
    std::int32_t sum;
};

template <class T>
struct nearest_kernels {
    void (*best_of_lanes)(const T* best, const lane_int<T>* where, index_t count, label_t* label);
    index_t (*scan_panels)(const panel_scan<T>& job);
    index_t (*scan_codes)(const panel_scan<T>& job); // both null where the processor has no such instructions
    std::int32_t (*code_dot)(const std::int8_t* x, const std::uint8_t* c, index_t bytes);
    code_facts (*encode)(const float* x, index_t cols, float scale, std::int8_t* code);
    void (*dots)(const T* const* x, const T* const* c, index_t count, index_t cols, T* out);
    T (*chain)(const T* x, const T* c, T half_norm, index_t cols);
    void (*least_bounds)(const T* bound, index_t stride, const T* moved, index_t groups, T* least);
    void (*best_groups)(const T* value, index_t stride, index_t groups, T* best, lane_int<T>* group);
    index_t (*rows_within)(const T* bound, const T* radius, T moved, const std::int32_t* chunk, index_t chunks,
                           std::int32_t* list);
    void (*lower_distances)(const T* base, const T* score, index_t count, T* out);
    double (*squared_norm)(const T* x, index_t cols);

    // With a few candidates. rows_reaching: one or two lanes a candidate; null where the processor has no such instructions.
    index_t (*rows_reaching[2])(const code_search& job, std::int32_t* close);
    void (*thresholds)(const threshold_terms& with, const T* norm, const float* error, const double* least,
                       index_t count, T* threshold);
    void (*smaller_distances)(const T* tile, double unscale, double least, index_t lanes, double* out);
    void (*add_distances)(const double* least, index_t first, index_t last, const std::int32_t* close, index_t count,
                          const double* distance, index_t stride, index_t lanes, double* sum);
};

#define PROTONCE_KERNEL_FILE <protonce/backend/cpu/kernels_nearest.inl>
#include <protonce/backend/cpu/each_instruction_set.inl>
#define PROTONCE_KERNEL_FILE <protonce/backend/cpu/kernels_candidates.inl>
#include <protonce/backend/cpu/each_instruction_set.inl>
#define PROTONCE_KERNEL_FILE <protonce/backend/cpu/kernels_scan.inl>
#include <protonce/backend/cpu/each_instruction_set.inl>

/// Kernels of an instruction set, or of the widest that this processor runs if that is less.
template <class T>
nearest_kernels<T> kernels_for_nearest(instruction_set wanted) {
    [[maybe_unused]] const instruction_set use = (std::min)(wanted, widest_instruction_set());
#if defined(__x86_64__) && defined(__GNUC__)
    if (use >= instruction_set::avx512) {
        auto out = avx512::template nearest_table<T>();
        if constexpr (sizeof(T) == 4) {
            if (use == instruction_set::avx512_vnni) {
                out.scan_codes = &avx512::scan_codes;
                out.code_dot = &avx512::code_dot;
                out.rows_reaching[0] = &avx512::rows_reaching<1>;
                out.rows_reaching[1] = &avx512::rows_reaching<2>;
            }
        }
        return out;
    }
    if (use == instruction_set::avx2) {
        return avx2::template nearest_table<T>();
    }
#endif
    return baseline::template nearest_table<T>();
}

} // namespace protonce::inline v0::detail::cpu

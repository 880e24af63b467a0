// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

/// Inner loops of the cpu backend, compiled for several instruction sets and chosen when a backend is made: a program built with
/// plain -O2 runs the widest its processor has.
namespace protonce::inline v0::detail::cpu {

/// Integer as wide as T, for numbers that live beside values in a register.
template <class T>
using lane_int = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

/// Columns of a packed panel: 64 bytes, one cache line, on every instruction set, so that packed data does not depend on it.
template <class T>
inline constexpr int panel_width = 64 / static_cast<int>(sizeof(T));

/// Most rows that any instruction set takes in one tile.
inline constexpr int most_tile_rows = 12;

template <class T>
struct kernel_table {
    int rows;
    void (*tile_product)(const T* const* a, const T* b, index_t stride_b, index_t depth, T* out, index_t stride_out,
                         bool accumulate);
    void (*pack_tile)(const T* rows, index_t stride, index_t cols, T* tile);
    void (*nearest_in_panels)(const T* rows, const T* panels, const T* half_norm, index_t depth, index_t first,
                              index_t last, T* best, lane_int<T>* where);
    void (*tile_squared_distance)(const T* const* a, const T* b, index_t depth, T* out);
    double (*squared_distance)(const T* x, const T* c, index_t cols);
};

#define PROTONCE_KERNEL_FILE <protonce/backend/cpu/kernels.inl>
#include <protonce/backend/cpu/each_instruction_set.inl>

/// Instruction sets that the kernels are written for, narrow to wide.
enum class instruction_set { baseline, avx2, avx512, avx512_vnni };

/// The widest that this processor runs.
inline instruction_set widest_instruction_set() {
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx512f")) {
        return __builtin_cpu_supports("avx512vnni") ? instruction_set::avx512_vnni : instruction_set::avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        return instruction_set::avx2;
    }
#endif
    return instruction_set::baseline;
}

/// Kernels of an instruction set, or of the widest that this processor runs if that is less.
template <class T>
kernel_table<T> kernels(instruction_set wanted) {
    [[maybe_unused]] const instruction_set use = (std::min)(wanted, widest_instruction_set());
#if defined(__x86_64__) && defined(__GNUC__)
    if (use >= instruction_set::avx512) {
        return avx512::template table<T>();
    }
    if (use == instruction_set::avx2) {
        return avx2::template table<T>();
    }
#endif
    return baseline::template table<T>();
}

} // namespace protonce::inline v0::detail::cpu

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels.hpp>

/// Passes over rows that are bound by memory once they use vectors; compiled like the kernels of kernels.hpp. No products are added
/// up, so that results are the same on every instruction set.
namespace protonce::inline v0::detail::cpu {

/// Columns that add_rows() takes at most.
inline constexpr int row_sum_columns = 64;

template <class T>
struct row_kernels {
    void (*centre_row)(const T* from, const double* mean, double scale, index_t cols, T* to);
    void (*centre_row_narrow)(const T* from, const T* mean, T scale, index_t cols, T* to);
    void (*add_rows)(const T* x, index_t stride, const index_t* list, index_t count, index_t cols, double* sum);
    bool (*on_grid)(const T* x, index_t count, double top);
    void (*add_to_range)(const T* x, index_t cols, double* sum, T* least, T* most);
    bool (*all_finite)(const T* x, index_t count);
};

#define PROTONCE_KERNEL_FILE <protonce/backend/cpu/kernels_rows.inl>
#include <protonce/backend/cpu/each_instruction_set.inl>

/// Kernels of an instruction set, or of the widest that this processor runs if that is less.
template <class T>
row_kernels<T> kernels_for_rows(instruction_set wanted) {
    [[maybe_unused]] const instruction_set use = (std::min)(wanted, widest_instruction_set());
#if defined(__x86_64__) && defined(__GNUC__)
    if (use >= instruction_set::avx512) {
        return avx512::template row_table<T>();
    }
    if (use == instruction_set::avx2) {
        return avx2::template row_table<T>();
    }
#endif
    return baseline::template row_table<T>();
}

} // namespace protonce::inline v0::detail::cpu

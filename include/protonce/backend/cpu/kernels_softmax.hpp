// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels.hpp>

#include <cmath>
#include <limits>

/// Inner loops of the losses, compiled like the kernels of kernels.hpp. A strip holds logits of panel_width queries, its lanes, with
/// `count` columns: s[j * stride + lane]. So whatever belongs to a query is a vector, and nothing is summed across lanes.
namespace protonce::inline v0::detail::cpu {

template <class T>
struct softmax_kernels {
    void (*packed_product)(const T* a, index_t stride_a, const T* b, index_t stride_b, index_t depth, T* out,
                           index_t stride_out);
    void (*scale)(T* s, index_t stride, index_t count, const T* factor);
    void (*shift)(T* s, index_t stride, index_t count, const T* summand);
    void (*scale_lanes)(T* s, index_t stride, index_t count, const T* factor);
    void (*add)(T* s, const T* other, index_t count);
    void (*largest)(const T* s, index_t stride, index_t count, T* most);
    void (*count_largest)(const T* s, index_t stride, index_t count, T* most, T* ties);
    void (*exponentials)(T* s, index_t stride, index_t count, const T* shift, T* sum);
};

#define PROTONCE_KERNEL_FILE <protonce/backend/cpu/kernels_softmax.inl>
#include <protonce/backend/cpu/each_instruction_set.inl>

/// Kernels of an instruction set, or of the widest that this processor runs if that is less.
template <class T>
softmax_kernels<T> kernels_for_softmax(instruction_set wanted) {
    [[maybe_unused]] const instruction_set use = (std::min)(wanted, widest_instruction_set());
#if defined(__x86_64__) && defined(__GNUC__)
    if (use >= instruction_set::avx512) {
        return avx512::template softmax_table<T>();
    }
    if (use == instruction_set::avx2) {
        return avx2::template softmax_table<T>();
    }
#endif
    return baseline::template softmax_table<T>();
}

} // namespace protonce::inline v0::detail::cpu

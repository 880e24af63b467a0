// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/thrust/run.hpp>

#include <protonce/backend/elementwise/operations.hpp>

#include <memory_resource>

namespace protonce::inline v0 {

inline namespace PROTONCE_THRUST_SYSTEM {
struct thrust_options {
    std::pmr::memory_resource* memory =
        nullptr;              // the device's, for scratch and memory(); nullptr: cudaMalloc, or the default
                              // resource on systems that run on the processor
    bool check_finite = true; // algorithms refuse NaN and infinity in features
#if THRUST_DEVICE_SYSTEM == THRUST_DEVICE_SYSTEM_CUDA
    cudaStream_t stream = nullptr; // where everything is queued
#endif
};
} // namespace PROTONCE_THRUST_SYSTEM

/// Any machine that Thrust knows: CUDA when compiled by nvcc, else the processor through Thrust's OpenMP or sequential system
/// (THRUST_DEVICE_SYSTEM; without it OpenMP where the compiler has it on). One source for all, for reach more than for speed.
///
/// Memory is the device's on every system, so that a program tried on the processor runs on the device; on the processor
/// thrust_backend<T, host> takes views of host memory. Every operation is specified by
/// reference_backend; nearest_row() gives its labels, those of exact arithmetic, and its distances to the last bit.
///
/// Results are bitwise the same for any number of threads and from run to run. One object serves one thread at a time.
/// Scratch: a label and a number a row for sums by cluster, on the processor twice; for the losses 2^20 logits and as many slopes (128 B of
/// each if that is more), B J / 4 bytes for J columns, and B C doubles.
template <real T, class Run>
class basic_thrust_backend : public detail::elementwise::operations<T, Run> {
public:
    explicit basic_thrust_backend(thrust_options options = {})
        : detail::elementwise::operations<T, Run>(options.memory != nullptr ? options.memory : Run::default_memory(),
                                                  options.check_finite,
#if THRUST_DEVICE_SYSTEM == THRUST_DEVICE_SYSTEM_CUDA
                                                  Run(options.stream)
#else
                                                   Run()
#endif
          ) {
    }
};

template <real T, memory_space S = device>
using thrust_backend = basic_thrust_backend<T, detail::thrust_run<S>>;

static_assert(backend<thrust_backend<float>> && backend<thrust_backend<double>>);

} // namespace protonce::inline v0

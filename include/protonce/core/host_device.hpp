// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

/// Before a function that also runs on a device; nothing where the compiler knows no device. The library calls constexpr
/// functions of the standard library from such functions: nvcc wants `--expt-relaxed-constexpr`.
#if defined(__CUDACC__) || defined(__HIPCC__)
#define PROTONCE_HOST_DEVICE __host__ __device__
#else
#define PROTONCE_HOST_DEVICE
#endif

namespace protonce::inline v0::detail {

/// sum + a b with both operations rounded, on every machine: device compilers make one rounding of it otherwise.
PROTONCE_HOST_DEVICE inline double add_product(double sum, double a, double b) {
#ifdef __CUDA_ARCH__
    return __dadd_rn(sum, __dmul_rn(a, b));
#else
    return sum + a * b;
#endif
}

/// a / b, rounded up; neither negative.
PROTONCE_HOST_DEVICE constexpr index_t ceil_div(index_t a, index_t b) {
    return (a + b - 1) / b;
}

} // namespace protonce::inline v0::detail

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

/// Before a function that also runs on a device; nothing where the compiler knows no device. The library calls constexpr
/// functions of the standard library from such functions: nvcc wants `--expt-relaxed-constexpr`.
#if defined(__CUDACC__) || defined(__HIPCC__)
#define PROTONCE_HOST_DEVICE __host__ __device__
#define PROTONCE_ON_DEVICE __device__
#else
#define PROTONCE_HOST_DEVICE
#define PROTONCE_ON_DEVICE
#endif
// PROTONCE_ON_DEVICE stands before the lambdas of backends for devices. In headers there is no other lambda for a device: nvcc (13.0)
// keeps what copies a lambda for both sides once a unit, while the linker keeps one of the functions that make copies, and a program of
// several units calls through null. A function that both sides call is an object with an operator().

namespace protonce::inline v0::detail {

/// sum + a b with both operations rounded, on every machine: device compilers make one rounding of it otherwise.
PROTONCE_HOST_DEVICE inline double add_product(double sum, double a, double b) {
#ifdef __CUDA_ARCH__
    return __dadd_rn(sum, __dmul_rn(a, b));
#else
    return sum + a * b;
#endif
}

/// a x in double, rounded once.
template <class T>
PROTONCE_HOST_DEVICE T scaled(double a, T x) {
    return static_cast<T>(a * static_cast<double>(x));
}

/// a x + b y in double, rounded once; y is not read with b = 0.
template <class T>
PROTONCE_HOST_DEVICE T weighted_sum(double a, T x, double b, const T& y) {
    const double first = a * static_cast<double>(x);
    return static_cast<T>(b == 0 ? first : add_product(first, b, static_cast<double>(y)));
}

/// How many of [0, n) come before the rest: `is_before` is true for all of them and false from there on.
template <class F>
PROTONCE_HOST_DEVICE index_t count_before(index_t n, const F& is_before) {
    index_t low = 0;
    for (index_t high = n; low < high;) {
        const index_t middle = low + (high - low) / 2;
        if (is_before(middle)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/// a / b, rounded up; neither negative.
PROTONCE_HOST_DEVICE constexpr index_t ceil_div(index_t a, index_t b) {
    return (a + b - 1) / b;
}

} // namespace protonce::inline v0::detail

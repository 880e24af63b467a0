// SPDX-License-Identifier: MIT
#pragma once
#include <support/backends.hpp>
#include <support/placed.hpp>
#include <support/random.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory_resource>
#include <string>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

/// The backends that must equal reference_backend. A new one joins by a line here, and by one in make() if its options
/// differ.
#if defined(PROTONCE_TEST_CUDA)
#define CONFORMING_BACKENDS protonce::cuda_backend<float>, protonce::cuda_backend<double>
#elif defined(PROTONCE_TEST_EMULATED_CUDA)
#define CONFORMING_BACKENDS test::emulated_cuda<float>, test::emulated_cuda<double>
#elif defined(PROTONCE_TEST_THRUST)
#define CONFORMING_BACKENDS protonce::thrust_backend<float>, protonce::thrust_backend<double>
#else
#define CONFORMING_BACKENDS protonce::cpu_backend<float>, protonce::cpu_backend<double>
#endif

namespace test {

/// One way to run a backend: with how many threads, on which instruction set.
struct variant {
    std::string name = "default";
    int threads = 1; // results are the same for any number: test_conformance_repeatability.cpp
    int instructions = 0;
};

#ifdef __CUDACC__
template <class B>
std::vector<variant> variants() {
    return {variant{}};
}

template <class B>
B make(const variant&, std::pmr::memory_resource* memory = nullptr) {
    return backend_on<B>(memory);
}
#else
template <class B>
constexpr bool has_instruction_sets = requires(B& be) {
    be.use(protonce::detail::cpu::instruction_set::avx2);
};

/// Every way that may change what is computed: the instruction sets of this processor.
template <class B>
std::vector<variant> variants() {
    if constexpr (has_instruction_sets<B>) {
        const char* names[] = {"baseline", "avx2", "avx512", "avx512_vnni"};
        std::vector<variant> out;
        for (int set = 0; set <= static_cast<int>(protonce::detail::cpu::widest_instruction_set()); ++set) {
            out.push_back({.name = names[set], .instructions = set});
        }
        return out;
    } else {
        return {variant{}};
    }
}

template <class B>
B make([[maybe_unused]] const variant& how, std::pmr::memory_resource* memory = nullptr) {
    if constexpr (has_instruction_sets<B>) {
        B be(protonce::cpu_options{.threads = how.threads, .memory = memory});
        be.use(static_cast<protonce::detail::cpu::instruction_set>(how.instructions));
        return be;
    } else {
#if defined(PROTONCE_TEST_THRUST) && THRUST_DEVICE_SYSTEM == THRUST_DEVICE_SYSTEM_OMP
        omp_set_num_threads(how.threads);
#endif
        return backend_on<B>(memory);
    }
}

#endif

template <class B>
using reference_of = protonce::reference_backend<typename B::value_type>;

/// Rounding unit: the largest relative error of one rounding to T.
template <class T>
constexpr double unit = std::numeric_limits<T>::epsilon() / 2.0;

/// The same of products and their sums: a split into two of TF32 drops 2^-22 of a value, and tensor cores add within 2^-20.
template <class B>
constexpr double product_unit = unit<typename B::value_type>;
#if defined(PROTONCE_TEST_CUDA)
template <>
inline constexpr double product_unit<protonce::cuda_backend<float>> = 0x1p-20;
#elif defined(PROTONCE_TEST_EMULATED_CUDA)
template <>
inline constexpr double product_unit<emulated_cuda<float>> = 0x1p-20;
#endif

struct shape {
    index_t rows;
    index_t cols;
};

/// Numbers of rows, columns and clusters around the sizes of registers and tiles, and one shape of many tasks.
inline std::vector<shape> awkward_shapes() {
    std::vector<shape> out;
#ifdef PROTONCE_TEST_EMULATED_CUDA // thread by thread: blocks of 64, chunks of 32
    for (const index_t rows : {1, 5, 63, 130}) {
        for (const index_t cols : {1, 7, 33, 128}) {
            out.push_back({rows, cols});
        }
    }
#else
    for (const index_t rows : {1, 2, 5, 31, 33, 257}) {
        for (const index_t cols : {1, 3, 7, 16, 33, 128, 200}) {
            out.push_back({rows, cols});
        }
    }
#endif
    out.push_back({2000, 5});
    return out;
}
inline const std::vector<index_t> awkward_clusters{1, 2, 15, 17, 100};

/// The largest (|actual - expected| - allowed) over all values, negative or 0 where conforming; infinity for NaN on one
/// side only, for different sizes and for nothing at all. `allowed(i)` is the bound for value i.
template <class T, class F>
double excess(const std::vector<T>& actual, const std::vector<T>& expected, const F& allowed) {
    double worst = -std::numeric_limits<double>::infinity();
    if (actual.size() != expected.size() || actual.empty()) {
        return std::numeric_limits<double>::infinity();
    }
    for (std::size_t i = 0; i < actual.size(); ++i) {
        const double a = static_cast<double>(actual[i]);
        const double e = static_cast<double>(expected[i]);
        if (a != a && e != e) {
            worst = std::max(worst, 0.0);
        } else if (a != a || e != e) {
            return std::numeric_limits<double>::infinity();
        } else if (a != e) {
            worst = std::max(worst, std::abs(a - e) - allowed(i));
        } else {
            worst = std::max(worst, -allowed(i));
        }
    }
    return worst;
}

/// At most `roundings` units of T off, relative to each value.
template <class T>
double relative_excess(const std::vector<T>& actual, const std::vector<T>& expected, double roundings) {
    return excess(actual, expected,
                  [&](std::size_t i) { return roundings * unit<T> * std::abs(static_cast<double>(expected[i])); });
}

/// At most `allowed` off, the same for every value.
template <class T>
double absolute_excess(const std::vector<T>& actual, const std::vector<T>& expected, double allowed) {
    return excess(actual, expected, [&](std::size_t) { return allowed; });
}

/// Values in {-2, -1, ..., 2}: sums of products of a few hundred of them are exact in float, so that every backend must
/// give the same bits, ties included.
template <class T>
matrix<T> small_integers(random_source& random, index_t rows, index_t cols, index_t gap = 0) {
    matrix<T> out(rows, cols, gap);
    for (index_t i = 0; i < rows; ++i) {
        for (index_t j = 0; j < cols; ++j) {
            out(i, j) = static_cast<T>(random.integer(5) - 2);
        }
    }
    return out;
}

} // namespace test

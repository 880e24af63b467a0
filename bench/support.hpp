// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu.hpp>
#include <protonce/core/rng.hpp>

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#ifndef NDEBUG
#error "A benchmark with assertions on measures the assertions: build with NDEBUG"
#endif

/// Data and names that the benchmarks share. A unit is named by path and sizes, kmeans/assign/cpu/N:60000/K:1000/C:128.
namespace bench {

using protonce::index_t;
using protonce::label_t;
using backend = protonce::cpu_backend<float>;

inline std::size_t count(index_t rows, index_t cols = 1) {
    return static_cast<std::size_t>(rows * cols);
}

/// Rows drawn around `clusters` centres on the unit sphere and normalised: like embeddings, and not so easy that the
/// first assignment is the last.
inline std::vector<float> unit_rows(index_t rows, index_t cols, index_t clusters, std::uint64_t seed) {
    const protonce::rng_key centre_key{.seed = seed, .step = 0};
    const protonce::rng_key noise_key{.seed = seed, .step = 1};
    // A sum of four uniform numbers is close enough to normal for a benchmark.
    const auto normal = [](const protonce::rng_key& key, index_t i) {
        const auto bits = protonce::random_block(key, static_cast<std::uint64_t>(i));
        double sum = 0;
        for (const auto b : bits) {
            sum += static_cast<double>(b) * 0x1p-32 - 0.5;
        }
        return sum * std::sqrt(3.0);
    };
    std::vector<float> out(count(rows, cols));
    for (index_t i = 0; i < rows; ++i) {
        const auto cluster = static_cast<index_t>(protonce::random_bits(centre_key, static_cast<std::uint64_t>(i)) %
                                                  static_cast<std::uint64_t>(clusters));
        double norm = 0;
        for (index_t j = 0; j < cols; ++j) {
            const double x = normal(centre_key, (cluster << 20) + j) + 0.7 * normal(noise_key, i * cols + j);
            out[count(i, cols) + count(j)] = static_cast<float>(x);
            norm += x * x;
        }
        for (index_t j = 0; j < cols; ++j) {
            out[count(i, cols) + count(j)] /= static_cast<float>(std::sqrt(norm));
        }
    }
    return out;
}

inline protonce::matrix_view<const float> rows(const std::vector<float>& values, index_t cols) {
    return {values.data(), static_cast<index_t>(values.size()) / cols, cols};
}
inline protonce::matrix_view<float> rows(std::vector<float>& values, index_t cols) {
    return {values.data(), static_cast<index_t>(values.size()) / cols, cols};
}

/// Items, floating-point operations and bytes of one iteration, as rates.
inline void report(benchmark::State& state, double items, double flops, double bytes) {
    using benchmark::Counter;
    state.counters["items/s"] = Counter(items, Counter::kIsIterationInvariantRate);
    if (flops > 0) {
        state.counters["FLOPS"] = Counter(flops, Counter::kIsIterationInvariantRate);
    }
    if (bytes > 0) {
        state.counters["bytes/s"] = Counter(bytes, Counter::kIsIterationInvariantRate, Counter::OneK::kIs1024);
    }
}

/// Scratch memory of the backend after the run, in MiB.
inline void report_scratch(benchmark::State& state, backend& be) {
    state.counters["scratch_MiB"] = static_cast<double>(be.scratch().bytes()) / (1 << 20);
}

} // namespace bench

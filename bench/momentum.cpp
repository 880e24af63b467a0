// SPDX-License-Identifier: MIT
// Moving average, queue, and the row operations around every step.
#include "support.hpp"

#include <protonce/core/normalize.hpp>
#include <protonce/momentum/ema.hpp>
#include <protonce/momentum/memory_queue.hpp>

namespace bench {
namespace {

void ema(benchmark::State& state) {
    const index_t size = state.range(0);
    backend be;
    std::vector<float> average(count(size), 1.0f);
    const std::vector<float> value(count(size), 2.0f);
    const protonce::ema_pair<backend> pair{protonce::view_vector(average), protonce::view_vector(value)};
    for (auto _ : state) {
        protonce::ema(be, {&pair, 1}, {.momentum = 0.999});
    }
    report(state, static_cast<double>(size), 0, 3.0 * static_cast<double>(size) * sizeof(float));
}
BENCHMARK(ema)
    ->Name("momentum/ema/cpu")
    ->ArgName("P")
    ->Arg(4096)
    ->Arg(25000000)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

void push(benchmark::State& state) {
    const index_t B = state.range(0), R = state.range(1), C = state.range(2);
    backend be;
    protonce::memory_queue<backend> queue(be, {.capacity = R, .num_cols = C});
    const auto keys = unit_rows(B, C, B, 1);
    for (auto _ : state) {
        queue.push(be, rows(keys, C));
    }
    const double values = static_cast<double>(B) * static_cast<double>(C);
    report(state, static_cast<double>(B), 0, 2 * values * sizeof(float));
}
BENCHMARK(push)
    ->Name("momentum/queue_push/cpu")
    ->ArgNames({"B", "R", "C"})
    ->Args({64, 1000, 32})
    ->Args({256, 65536, 128})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

void normalize(benchmark::State& state) {
    const index_t N = state.range(0), C = state.range(1);
    backend be;
    auto x = unit_rows(N, C, 10, 1);
    std::vector<float> unit(x.size());
    std::vector<float> norm(count(N));
    for (auto _ : state) {
        protonce::normalize_rows(be, rows(std::as_const(x), C), rows(unit, C), protonce::view_vector(norm));
    }
    const double values = static_cast<double>(N) * static_cast<double>(C);
    report(state, static_cast<double>(N), 0, 3 * values * sizeof(float));
}
BENCHMARK(normalize)
    ->Name("rows/normalize/cpu")
    ->ArgNames({"N", "C"})
    ->Args({256, 128})
    ->Args({60000, 128})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

} // namespace
} // namespace bench

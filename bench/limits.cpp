// SPDX-License-Identifier: MIT
// What the machine can do at most: multiply-adds in registers, and reading memory. The other tables are read against it.
#include "support.hpp"

#include <algorithm>

namespace bench {
namespace {

// Chains of multiply-adds at a time: enough for the units that a core has times their latency (x86-64: 2 x 4, without fused
// multiply-adds 12; others: up to 4 x 4), and few enough to stay in registers beside two operands (16 or 32).
#ifdef __x86_64__
constexpr int peak_chains = 12;
#else
constexpr int peak_chains = 24;
#endif

// The same text for each instruction set: an attribute cannot be a template argument. The macros end with each inclusion.
namespace portable {
#define BENCH_TARGET
#define BENCH_BYTES 16
#include "limits_peak.inl"
#undef BENCH_TARGET
#undef BENCH_BYTES
} // namespace portable

#ifdef __x86_64__
namespace avx2 {
#define BENCH_TARGET __attribute__((target("avx2,fma")))
#define BENCH_BYTES 32
#include "limits_peak.inl"
#undef BENCH_TARGET
#undef BENCH_BYTES
} // namespace avx2

namespace avx512 {
#define BENCH_TARGET __attribute__((target("avx512f,avx2,fma")))
#define BENCH_BYTES 64
#include "limits_peak.inl"
#undef BENCH_TARGET
#undef BENCH_BYTES
} // namespace avx512
#endif

struct peak_kernel {
    float (*multiply_adds)(index_t steps, float factor, float term);
    double (*operations)(index_t steps);
};

/// The widest that this processor runs.
peak_kernel widest_peak_kernel() {
    [[maybe_unused]] const auto widest = protonce::detail::cpu::widest_instruction_set();
#ifdef __x86_64__
    if (widest >= protonce::detail::cpu::instruction_set::avx512) {
        return {&avx512::multiply_adds, &avx512::operations};
    }
    if (widest == protonce::detail::cpu::instruction_set::avx2) {
        return {&avx2::multiply_adds, &avx2::operations};
    }
#endif
    return {&portable::multiply_adds, &portable::operations};
}

// Multiply-adds and nothing else: no memory, no dependence that the processor would wait for.
void peak(benchmark::State& state) {
    const auto kernel = widest_peak_kernel();
    const auto threads = static_cast<int>(state.range(0));
    const protonce::thread_team<protonce::default_threads> team(threads);
    constexpr index_t steps = 100000;
    const index_t tasks = 16 * threads; // short ones, so that no thread waits long for another
    std::vector<float> sums(count(tasks));
    float factor = 0.5f; // keeps every chain near 2 * term: neither infinite nor denormal
    float term = 1;
    benchmark::DoNotOptimize(factor);
    benchmark::DoNotOptimize(term);
    for (auto _ : state) {
        team.for_each(tasks, [&](index_t task) { sums[count(task)] = kernel.multiply_adds(steps, factor, term); });
        benchmark::DoNotOptimize(sums.data());
    }
    const double operations = static_cast<double>(tasks) * kernel.operations(steps);
    report(state, operations / 2, operations, 0);
}
BENCHMARK(peak)
    ->Name("limits/peak/cpu")
    ->ArgName("threads")
    ->Apply([](benchmark::internal::Benchmark* unit) {
        unit->Arg(1);
        if (const int all = protonce::default_threads::available(); all > 1) {
            unit->Arg(all);
        }
    })
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// 12 rows against one panel that stays in the first-level cache: the kernel of a tile, on all threads.
void multiply_add(benchmark::State& state) {
    using namespace protonce::detail::cpu;
    const auto kernel = kernels<float>(widest_instruction_set());
    constexpr index_t depth = 256;
    const auto a = unit_rows(kernel.rows, depth, 4, 1);
    const std::vector<float> b(count(depth, panel_width<float>), 0.5f);
    const protonce::thread_team<protonce::default_threads> team;
    const int workers = team.workers();
    constexpr index_t repeats = 4000;
    for (auto _ : state) {
        team.for_each(workers, workers, [&](index_t, int) {
            std::vector<float> out(count(most_tile_rows, panel_width<float>));
            const tile_rows<float> tile(rows(a, depth), 0, kernel.rows);
            for (index_t r = 0; r < repeats; ++r) {
                kernel.tile_product(tile.at, b.data(), panel_width<float>, depth, out.data(), panel_width<float>,
                                    false);
            }
            benchmark::DoNotOptimize(out.data());
        });
    }
    const double products = static_cast<double>(workers) * repeats * kernel.rows * panel_width<float> * depth;
    report(state, products, 2 * products, 0);
}
BENCHMARK(multiply_add)->Name("limits/multiply_add/cpu")->UseRealTime()->Unit(benchmark::kMillisecond);

void read_memory(benchmark::State& state) {
    const index_t size = state.range(0) << 18; // values; range in MiB
    const std::vector<float> values(count(size), 1.0f);
    const protonce::thread_team<protonce::default_threads> team;
    constexpr index_t block = 1 << 16;
    std::vector<float> sums(count(size / block));
    for (auto _ : state) {
        team.for_each(size / block, [&](index_t task) {
            float lane[16] = {};
            const float* from = values.data() + task * block;
            for (index_t i = 0; i < block; i += 16) {
                for (int l = 0; l < 16; ++l) {
                    lane[l] += from[i + l];
                }
            }
            sums[count(task)] = *std::max_element(lane, lane + 16);
        });
        benchmark::DoNotOptimize(sums.data());
    }
    report(state, static_cast<double>(size), 0, static_cast<double>(size) * sizeof(float));
}
BENCHMARK(read_memory)
    ->Name("limits/read_memory/cpu")
    ->ArgName("MiB")
    ->Arg(64)
    ->Arg(512)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

} // namespace
} // namespace bench

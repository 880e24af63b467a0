// SPDX-License-Identifier: MIT
// What the machine can do at most: multiply-adds in registers, and reading memory. The other tables are read against it.
#include "support.hpp"

#include <algorithm>

namespace bench {
namespace {

// 12 rows against one panel that stays in the first-level cache: nothing but multiply-adds, on all threads.
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

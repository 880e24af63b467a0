// SPDX-License-Identifier: MIT
// K-means and what the E-step does around it.
#include "support.hpp"

#include <protonce/e_step/assign.hpp>
#include <protonce/e_step/concentration.hpp>
#include <protonce/e_step/e_step.hpp>
#include <protonce/e_step/kmeans.hpp>

#include <array>

namespace bench {
namespace {

void sizes(benchmark::internal::Benchmark* unit) {
    unit->ArgNames({"N", "K", "C"})->Args({2000, 50, 32})->Args({60000, 100, 128})->Args({60000, 1000, 128});
    unit->UseRealTime()->Unit(benchmark::kMillisecond);
}

struct problem {
    explicit problem(const benchmark::State& state, protonce::cpu_options options = {})
        : be(options), N(state.range(0)), K(state.range(1)), C(state.range(2)), x(unit_rows(N, C, K, 1)),
          level(be, N, C, K) {}
    auto features() const { return rows(x, C); }
    double products() const { return static_cast<double>(N) * static_cast<double>(K) * static_cast<double>(C); }

    backend be;
    index_t N, K, C;
    std::vector<float> x;
    protonce::clustering<backend> level;
};

// Every row to its nearest centroid, index included.
void assign(benchmark::State& state) {
    problem p(state);
    const auto centroids = p.features().slice(0, p.K);
    for (auto _ : state) {
        protonce::assign(p.be, p.features(), centroids, p.level.assignment(), p.level.squared_distance());
    }
    report(state, static_cast<double>(p.N), 2 * p.products(), 0);
    report_scratch(state, p.be);
}
BENCHMARK(assign)->Name("kmeans/assign/cpu")->Apply(sizes);

// The same without leaving out any product.
void assign_all(benchmark::State& state) {
    problem p(state, {.prune = false});
    const auto centroids = p.features().slice(0, p.K);
    for (auto _ : state) {
        protonce::assign(p.be, p.features(), centroids, p.level.assignment(), p.level.squared_distance());
    }
    report(state, static_cast<double>(p.N), 2 * p.products(), 0);
    report_scratch(state, p.be);
}
BENCHMARK(assign_all)->Name("kmeans/assign_all/cpu")->Apply(sizes);

// 20 updates from random rows; FLOPS counts every distance of a brute-force run.
void lloyd(benchmark::State& state) {
    problem p(state);
    protonce::kmeans_report found;
    for (auto _ : state) {
        found = protonce::kmeans(p.be, p.features(), {.iterations = 20, .init = protonce::kmeans_init::random_rows},
                                 p.level);
    }
    state.counters["inertia"] = found.inertia;
    state.counters["updates"] = found.iterations;
    report(state, static_cast<double>(p.N) * found.iterations, 2 * p.products() * (found.iterations + 1), 0);
    report_scratch(state, p.be);
}
BENCHMARK(lloyd)->Name("kmeans/lloyd_20/cpu")->Apply(sizes);

// Greedy k-means++ alone: no update.
void plus_plus(benchmark::State& state) {
    problem p(state);
    for (auto _ : state) {
        protonce::kmeans(p.be, p.features(), {.iterations = 0}, p.level);
    }
    report(state, static_cast<double>(p.K), 0, 0);
}
BENCHMARK(plus_plus)->Name("kmeans/plus_plus/cpu")->Apply(sizes);

void segment_sum(benchmark::State& state) {
    problem p(state);
    protonce::assign(p.be, p.features(), p.features().slice(0, p.K), p.level.assignment(), p.level.squared_distance());
    std::vector<double> sum(count(p.K, p.C));
    std::vector<double> members(count(p.K));
    for (auto _ : state) {
        p.be.segment_sum(p.features(), {}, p.level.assignment(), {sum.data(), p.K, p.C}, {members.data(), p.K});
        benchmark::DoNotOptimize(sum.data());
    }
    const double values = static_cast<double>(p.N) * static_cast<double>(p.C);
    report(state, static_cast<double>(p.N), values, values * sizeof(float));
}
BENCHMARK(segment_sum)->Name("kmeans/segment_sum/cpu")->Apply(sizes);

void concentration(benchmark::State& state) {
    problem p(state);
    protonce::assign(p.be, p.features(), p.features().slice(0, p.K), p.level.assignment(), p.level.squared_distance());
    for (auto _ : state) {
        protonce::concentration(p.be, p.level.spread(), {}, p.level.temperatures());
    }
    report(state, static_cast<double>(p.N), 0, static_cast<double>(p.N) * (sizeof(double) + sizeof(label_t)));
}
BENCHMARK(concentration)->Name("e_step/concentration/cpu")->Apply(sizes);

// Three granularities K, 2K, 4K: cold (random rows, 5 restarts) and warm (previous epoch's centroids, one run).
void e_step(benchmark::State& state, bool is_warm) {
    problem p(state);
    using level = protonce::clustering<backend>;
    const auto three = [&] {
        return std::array{level(p.be, p.N, p.C, p.K), level(p.be, p.N, p.C, 2 * p.K), level(p.be, p.N, p.C, 4 * p.K)};
    };
    auto levels = three();
    auto previous = three();
    protonce::e_step(p.be, p.features(), {.restarts = 1}, previous);
    const std::span<const level> from = is_warm ? std::span<const level>(previous) : std::span<const level>();
    for (auto _ : state) {
        protonce::e_step(p.be, {.features = p.features(), .previous = from}, {}, levels);
    }
    report(state, 3 * static_cast<double>(p.N), 0, 0);
}
BENCHMARK_CAPTURE(e_step, cold, false)
    ->Name("e_step/cold/cpu")
    ->ArgNames({"N", "K", "C"})
    ->Args({2000, 20, 32})
    ->Args({20000, 250, 64})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(e_step, warm, true)
    ->Name("e_step/warm/cpu")
    ->ArgNames({"N", "K", "C"})
    ->Args({2000, 20, 32})
    ->Args({20000, 250, 64})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

} // namespace
} // namespace bench

// SPDX-License-Identifier: MIT
// What a trainer watches.
#include "support.hpp"

#include <protonce/metrics/cluster_scores.hpp>
#include <protonce/metrics/effective_rank.hpp>
#include <protonce/metrics/knn.hpp>
#include <protonce/metrics/uniformity.hpp>

namespace bench {
namespace {

std::vector<label_t> labels(index_t size, index_t classes) {
    std::vector<label_t> out(count(size));
    const protonce::rng_key key{.seed = 5};
    for (index_t i = 0; i < size; ++i) {
        out[count(i)] = static_cast<label_t>(protonce::random_bits(key, static_cast<std::uint64_t>(i)) %
                                             static_cast<std::uint64_t>(classes));
    }
    return out;
}

void cluster_scores(benchmark::State& state) {
    const index_t N = state.range(0), classes = state.range(1), K = state.range(2);
    const auto truth = labels(N, classes);
    const auto predicted = labels(N, K);
    for (auto _ : state) {
        benchmark::DoNotOptimize(
            protonce::cluster_scores(protonce::view_vector(truth), protonce::view_vector(predicted)));
    }
    report(state, static_cast<double>(N), 0, 0);
}
BENCHMARK(cluster_scores)
    ->Name("metrics/cluster_scores/host")
    ->ArgNames({"N", "classes", "K"})
    ->Args({2000, 10, 10})
    ->Args({60000, 10, 1000})
    ->Unit(benchmark::kMillisecond);

void knn(benchmark::State& state) {
    const index_t Q = state.range(0), N = state.range(1), C = state.range(2);
    constexpr index_t classes = 10;
    backend be;
    const auto bank = unit_rows(N, C, classes, 1);
    const auto query = unit_rows(Q, C, classes, 1);
    const auto classes_of_bank = labels(N, classes);
    std::vector<float> scores(count(Q, classes));
    for (auto _ : state) {
        protonce::knn_scores(
            be, {.bank = rows(bank, C), .labels = protonce::view_vector(classes_of_bank), .query = rows(query, C)},
            {.neighbours = 20, .temperature = 0.07, .num_classes = classes}, {.scores = rows(scores, classes)});
    }
    const double products = static_cast<double>(Q) * static_cast<double>(N) * static_cast<double>(C);
    report(state, static_cast<double>(Q), 2 * products, 0);
}
BENCHMARK(knn)
    ->Name("metrics/knn/cpu")
    ->ArgNames({"Q", "N", "C"})
    ->Args({100, 2000, 32})
    ->Args({10000, 60000, 128})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void uniformity(benchmark::State& state) {
    const index_t N = state.range(0), C = state.range(1);
    backend be;
    const auto x = unit_rows(N, C, 10, 1);
    for (auto _ : state) {
        benchmark::DoNotOptimize(protonce::uniformity(be, rows(x, C)));
    }
    const double products = static_cast<double>(N) * static_cast<double>(N) * static_cast<double>(C);
    report(state, static_cast<double>(N), 2 * products, 0);
}
BENCHMARK(uniformity)
    ->Name("metrics/uniformity/cpu")
    ->ArgNames({"N", "C"})
    ->Args({1000, 32})
    ->Args({10000, 128})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void effective_rank(benchmark::State& state) {
    const index_t N = state.range(0), C = state.range(1);
    backend be;
    const auto x = unit_rows(N, C, 10, 1);
    for (auto _ : state) {
        benchmark::DoNotOptimize(protonce::effective_rank(be, rows(x, C)));
    }
    report(state, static_cast<double>(N), 0, 0);
}
BENCHMARK(effective_rank)
    ->Name("metrics/effective_rank/cpu")
    ->ArgNames({"N", "C"})
    ->Args({1000, 32})
    ->Args({60000, 128})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

} // namespace
} // namespace bench

// SPDX-License-Identifier: MIT
// The losses with the gradients that a trainer asks for, and the draw of negative prototypes.
#include "support.hpp"

#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/negative_prototypes.hpp>
#include <protonce/m_step/nt_xent.hpp>
#include <protonce/m_step/proto_nce.hpp>
#include <protonce/m_step/symmetric_info_nce.hpp>

#include <algorithm>
#include <array>

namespace bench {
namespace {

struct pair_of_views {
    pair_of_views(index_t B, index_t C)
        : first(unit_rows(B, C, B, 1)), second(unit_rows(B, C, B, 1)), grad_first(first.size()),
          grad_second(first.size()) {
        // The other view: the first with a little noise.
        const auto noise = unit_rows(B, C, B, 2);
        for (std::size_t i = 0; i < noise.size(); ++i) {
            second[i] = 0.9f * second[i] + 0.3f * noise[i];
        }
    }
    std::vector<float> first, second, grad_first, grad_second;
};

// Value and gradient to the query against a queue.
void info_nce(benchmark::State& state) {
    const index_t B = state.range(0), R = state.range(1), C = state.range(2);
    backend be;
    pair_of_views views(B, C);
    const auto queue = unit_rows(R, C, 1000, 3);
    float loss = 0;
    for (auto _ : state) {
        protonce::info_nce(be,
                           {.query = rows(std::as_const(views.first), C),
                            .positive = rows(std::as_const(views.second), C),
                            .negatives = rows(queue, C)},
                           {.temperature = 0.2}, {.loss = {&loss, 1}, .grad_query = rows(views.grad_first, C)});
    }
    benchmark::DoNotOptimize(loss);
    const double logits = static_cast<double>(B) * static_cast<double>(R);
    report(state, static_cast<double>(B), 4 * logits * static_cast<double>(C), 0);
    report_scratch(state, be);
}
BENCHMARK(info_nce)
    ->Name("losses/info_nce/cpu")
    ->ArgNames({"B", "R", "C"})
    ->Args({64, 1024, 32})
    ->Args({256, 4096, 64})
    ->Args({256, 65536, 128})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// Gradients to both views.
void nt_xent(benchmark::State& state) {
    const index_t B = state.range(0), C = state.range(1);
    backend be;
    pair_of_views views(B, C);
    float loss = 0;
    for (auto _ : state) {
        protonce::nt_xent(
            be, {.first = rows(std::as_const(views.first), C), .second = rows(std::as_const(views.second), C)},
            {.temperature = 0.5},
            {.loss = {&loss, 1}, .grad_first = rows(views.grad_first, C), .grad_second = rows(views.grad_second, C)});
    }
    benchmark::DoNotOptimize(loss);
    const double logits = 4 * static_cast<double>(B) * static_cast<double>(B);
    report(state, static_cast<double>(B), 8 * logits * static_cast<double>(C), 0);
    report_scratch(state, be);
}
BENCHMARK(nt_xent)
    ->Name("losses/nt_xent/cpu")
    ->ArgNames({"B", "C"})
    ->Args({64, 32})
    ->Args({256, 128})
    ->Args({4096, 128})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void symmetric_info_nce(benchmark::State& state) {
    const index_t B = state.range(0), C = state.range(1);
    backend be;
    pair_of_views views(B, C);
    float loss = 0;
    for (auto _ : state) {
        protonce::symmetric_info_nce(
            be, {.first = rows(std::as_const(views.first), C), .second = rows(std::as_const(views.second), C)}, {},
            {.loss = {&loss, 1}, .grad_first = rows(views.grad_first, C), .grad_second = rows(views.grad_second, C)});
    }
    benchmark::DoNotOptimize(loss);
    const double logits = static_cast<double>(B) * static_cast<double>(B);
    report(state, static_cast<double>(B), 16 * logits * static_cast<double>(C), 0);
}
BENCHMARK(symmetric_info_nce)
    ->Name("losses/symmetric_info_nce/cpu")
    ->ArgNames({"B", "C"})
    ->Args({64, 32})
    ->Args({1024, 128})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// Three levels of K prototypes, drawing included.
void proto_nce(benchmark::State& state) {
    const index_t B = state.range(0), K = state.range(1), R = state.range(2), C = state.range(3);
    const index_t N = 4 * K;
    backend be;
    pair_of_views views(B, C);
    const auto prototypes = unit_rows(K, C, K, 4);
    const std::vector<float> phi(count(K), 0.2f);
    std::vector<label_t> assignment(count(N));
    for (index_t i = 0; i < N; ++i) {
        assignment[count(i)] = static_cast<label_t>(i % K);
    }
    std::vector<index_t> sample(count(B));
    for (index_t i = 0; i < B; ++i) {
        sample[count(i)] = i * 7 % N;
    }
    const protonce::prototype_level<float, protonce::host> level{
        rows(prototypes, C), protonce::view_vector(std::as_const(assignment)), protonce::view_vector(phi)};
    const std::array levels{level, level, level};
    float loss = 0;
    std::uint64_t step = 0;
    for (auto _ : state) {
        protonce::proto_nce(be,
                            {.query = rows(std::as_const(views.first), C),
                             .sample = protonce::view_vector(std::as_const(sample)),
                             .levels = levels},
                            {.num_negatives = R, .seed = 7, .step = ++step},
                            {.loss = {&loss, 1}, .grad_query = rows(views.grad_first, C)});
    }
    benchmark::DoNotOptimize(loss);
    const double logits = 3 * static_cast<double>(B) * static_cast<double>(std::min(K, R + B));
    report(state, static_cast<double>(B), 4 * logits * static_cast<double>(C), 0);
    report_scratch(state, be);
}
BENCHMARK(proto_nce)
    ->Name("losses/proto_nce_3_levels/cpu")
    ->ArgNames({"B", "K", "R", "C"})
    ->Args({64, 500, 200, 32})
    ->Args({256, 25000, 16384, 128})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void draw_columns(benchmark::State& state) {
    const index_t B = state.range(0), K = state.range(1), R = state.range(2);
    backend be;
    std::vector<label_t> own(count(B));
    for (index_t i = 0; i < B; ++i) {
        own[count(i)] = static_cast<label_t>(i * 31 % K);
    }
    std::vector<index_t> id(count(std::min(K, B + R)));
    index_t columns = 0, batch = 0;
    protonce::column_request<float, protonce::host> request{
        .own = protonce::view_vector(std::as_const(own)),
        .num_columns = K,
        .num_negatives = R,
        .key = {.seed = 7, .purpose = protonce::draw_purpose::negative_prototypes},
        .out = {.column_id = protonce::view_vector(id), .column_count = {&columns, 1}, .batch_count = {&batch, 1}}};
    for (auto _ : state) {
        ++request.key.step;
        be.draw_columns({&request, 1});
        benchmark::DoNotOptimize(id.data());
    }
    report(state, static_cast<double>(R), 0, 0);
}
BENCHMARK(draw_columns)
    ->Name("losses/draw_columns/cpu")
    ->ArgNames({"B", "K", "R"})
    ->Args({64, 500, 200})
    ->Args({256, 25000, 16384})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

} // namespace
} // namespace bench

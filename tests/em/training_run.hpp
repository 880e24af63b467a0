// SPDX-License-Identifier: MIT
#pragma once
#include "support/backends.hpp"
#include "support/random.hpp"

#include <protonce/em/objective.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

/// One backend of each kind and each value type: an objective combines operations that have tests on all of them.
#define TEST_RUN_BACKENDS protonce::cpu_backend<float>, protonce::reference_backend<double>

/// E-step and M-step of a backend, declared (`extern`) or defined. They are compiled in test_objective.cpp and nowhere else
/// in this program.
#define TEST_RUN_STEPS(declared, B)                                                                                    \
    declared template void protonce::e_step<B>(B&, const protonce::e_step_inputs<B>&, const protonce::e_step_options&, \
                                               std::span<protonce::clustering<B>>,                                     \
                                               std::span<protonce::e_step_report>);                                    \
    declared template protonce::m_step_report protonce::m_step<B>(                                                     \
        B&, const protonce::m_step_inputs<B>&, const protonce::m_step_options&, const protonce::m_step_outputs<B>&);
TEST_RUN_STEPS(extern, protonce::cpu_backend<float>)
TEST_RUN_STEPS(extern, protonce::reference_backend<double>)

/// A training run without an encoder: embeddings of each step are random, but the same for the same step.
namespace test {

using namespace protonce;

constexpr index_t run_samples = 60;
constexpr index_t run_cols = 6;
constexpr index_t run_batch = 8;

inline objective_options run_options() {
    return {.num_samples = run_samples,
            .num_cols = run_cols,
            .num_clusters = {3, 7},
            .warmup_epochs = 1,
            .queue_size = 21,
            .num_negatives = 4,
            .restarts = 2,
            .seed = 5};
}

/// What a loop would hand over in step `step`.
template <class T>
struct run_batch_data {
    matrix<T> query;
    matrix<T> positive;
    std::vector<index_t> sample;

    explicit run_batch_data(index_t step, index_t rows = run_batch) {
        random_source random(static_cast<std::uint64_t>(1000 + step));
        query = random.unit_rows<T>(rows, run_cols);
        positive = random.unit_rows<T>(rows, run_cols);
        for (index_t i = 0; i < rows; ++i) {
            sample.push_back((step * run_batch + 7 * i) % run_samples);
        }
    }
    template <class B>
    step_inputs<B> inputs() const {
        return {.query = query.view(), .positive = positive.view(), .sample = view_vector(sample)};
    }
};

/// Momentum embeddings of all samples in an epoch: around ten centres, moving a little from epoch to epoch.
template <class T>
matrix<T> run_features(index_t epoch) {
    random_source centres(77);
    random_source noise(static_cast<std::uint64_t>(2000 + epoch));
    const auto centre = centres.normal_matrix<double>(10, run_cols);
    matrix<T> out(run_samples, run_cols);
    std::vector<double> row(static_cast<std::size_t>(run_cols));
    for (index_t i = 0; i < run_samples; ++i) {
        double square = 0;
        for (index_t j = 0; j < run_cols; ++j) {
            const double x = centre(i % 10, j) + 0.3 * noise.normal();
            row[static_cast<std::size_t>(j)] = x;
            square += x * x;
        }
        for (index_t j = 0; j < run_cols; ++j) {
            out(i, j) = static_cast<T>(row[static_cast<std::size_t>(j)] / std::sqrt(square));
        }
    }
    return out;
}

/// Room for what a step delivers.
template <class T>
struct step_results {
    std::vector<T> loss = std::vector<T>(1);
    std::vector<T> loss_instance = std::vector<T>(1);
    std::vector<T> loss_prototypes = std::vector<T>(1);
    std::vector<T> loss_per_level;
    std::vector<T> accuracy_per_level;
    std::vector<T> grad_query;

    explicit step_results(std::size_t levels = 2, index_t rows = run_batch, T value = T{-9})
        : loss_per_level(levels, value), accuracy_per_level(levels, value),
          grad_query(static_cast<std::size_t>(rows * run_cols), value) {
        loss[0] = loss_instance[0] = loss_prototypes[0] = value;
    }
    template <class B>
    m_step_outputs<B> outputs() {
        return {.loss = view_vector(loss),
                .loss_instance = view_vector(loss_instance),
                .loss_prototypes = view_vector(loss_prototypes),
                .loss_per_level = view_vector(loss_per_level),
                .accuracy_per_level = view_vector(accuracy_per_level),
                .grad_query = view_rows(grad_query.data(), index_t(grad_query.size()) / run_cols, run_cols)};
    }
    bool operator==(const step_results&) const = default;
};

/// One E-step if the epoch needs it, then a step.
template <class B>
step_results<value_of<B>> advance(B& be, objective<B>& run) {
    using value = value_of<B>;
    if (run.needs_e_step()) {
        run.e_step(be, run_features<value>(run.epoch()).view());
    }
    const run_batch_data<value> batch(run.num_steps());
    step_results<value> out(static_cast<std::size_t>(run.num_levels()));
    run.step(be, batch.template inputs<B>(), out.template outputs<B>());
    return out;
}

template <class T>
void append_bytes(std::string& out, const T* values, index_t size) {
    out.append(reinterpret_cast<const char*>(values), static_cast<std::size_t>(size) * sizeof(T));
}

/// Everything that can be seen of an objective, bit for bit.
template <class B>
std::string snapshot(const objective<B>& run) {
    std::string out;
    const index_t numbers[] = {
        run.epoch(),        run.num_steps(),        run.num_steps_of_epoch(),          run.snapshot_epoch(),
        run.queue().size(), run.queue().position(), index_t(run.queue().num_pushed()), index_t(run.levels().size())};
    append_bytes(out, numbers, 8);
    append_bytes(out, run.queue().rows().data(), run.queue().size() * run.queue().num_cols());
    append_bytes(out, run.queue().ids().data(), run.queue().size());
    for (const auto& level : run.levels()) {
        append_bytes(out, level.centroids().data(), level.num_clusters() * level.num_cols());
        append_bytes(out, level.prototypes().data(), level.num_clusters() * level.num_cols());
        append_bytes(out, level.assignment().data(), level.num_rows());
        append_bytes(out, level.squared_distance().data(), level.num_rows());
        append_bytes(out, level.temperatures().data(), level.num_clusters());
    }
    return out;
}

} // namespace test

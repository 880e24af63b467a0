// SPDX-License-Identifier: MIT
// The code of docs/training_loops.md, built and run: training loops around a linear encoder. Each part checks what it
// says.
#include "support/linear_encoder.hpp"

#include <protonce/backend/cpu.hpp>
#include <protonce/e_step/concentration.hpp>
#include <protonce/e_step/e_step.hpp>
#include <protonce/em/checkpoint.hpp>
#include <protonce/em/objective.hpp>
#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/m_step.hpp>
#include <protonce/m_step/nt_xent.hpp>
#include <protonce/momentum/ema.hpp>
#include <protonce/momentum/memory_queue.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

namespace {

using namespace documented;
using protonce::label_t;

constexpr index_t epochs = 5, warmup = 2;

int failures = 0;

void expect(bool holds, const char* sentence) {
    std::printf("%s  %s\n", holds ? "ok  " : "FAIL", sentence);
    failures += holds ? 0 : 1;
}

const dataset data;

/// PCL with the loop's own state. Returns the loss of every step.
std::vector<float> pcl_by_hand() {
    backend be;
    encoder fast(3), slow(3);
    std::vector<float> loss(1), gradient(B * C), losses;
    // [snippet pcl]
    using pair = protonce::ema_pair<backend>;
    const std::array parameters{pair{.average = view_vector(slow.weight), .value = view_vector(fast.weight)}};
    protonce::memory_queue queue(be, {.capacity = 192, .num_cols = C, .seed = 7});
    std::vector<protonce::clustering<backend>> levels;
    levels.emplace_back(be, N, C, 6);
    levels.emplace_back(be, N, C, 12);
    std::span<const protonce::clustering<backend>> previous;                  // nothing before the first E-step
    std::vector<protonce::prototype_level<float, protonce::host>> prototypes; // nothing during warm-up

    for (index_t epoch = 0, step = 0; epoch < epochs; ++epoch) {
        if (epoch >= warmup) { // E-step: embeddings of all samples, without augmentation, in evaluation mode
            e_step(be, {.features = slow.forward(be, data.samples()), .previous = previous},
                   {.temperature = 0.2, .seed = 7}, levels);
            previous = levels;
            prototypes = {levels[0].level(), levels[1].level()};
        }
        for (index_t first = 0; first < N; first += B, ++step) {
            const std::vector<index_t> ids = data.batch(first);
            ema(be, parameters, {.momentum = 0.9});
            const auto key = slow.forward(be, data.view(ids, 2 * step));
            const auto query = fast.forward(be, data.view(ids, 2 * step + 1));
            m_step(be,
                   {.query = query,
                    .positive = key,
                    .negatives = queue.rows(), // as it was before this batch
                    .sample = view_vector(ids),
                    .levels = prototypes},
                   {.temperature = 0.2, .num_negatives = 5, .seed = 7, .step = static_cast<std::uint64_t>(step)},
                   {.loss = view_vector(loss), .grad_query = view_rows(gradient.data(), B, C)});
            queue.push(be, key, view_vector(ids));
            losses.push_back(loss[0]);
            fast.backward(be, gradient); // your framework's backward pass and optimiser
        }
    }
    // [/snippet]
    return losses;
}

/// The same with an objective, cut in the middle: saved, and loaded into a new one.
std::vector<float> pcl_with_objective() {
    backend be;
    encoder fast(3), slow(3);
    std::vector<float> loss(1), gradient(B * C), losses;
    using pair = protonce::ema_pair<backend>;
    const std::array parameters{pair{.average = view_vector(slow.weight), .value = view_vector(fast.weight)}};
    const auto path = std::filesystem::temp_directory_path() / "protonce_documented_training.checkpoint";
    // [snippet objective]
    const protonce::objective_options options{.num_samples = N,
                                              .num_cols = C,
                                              .num_clusters = {6, 12},
                                              .warmup_epochs = warmup,
                                              .temperature = 0.2,
                                              .queue_size = 192,
                                              .momentum = 0.9,
                                              .num_negatives = 5,
                                              .seed = 7};
    protonce::objective run(be, options);

    for (; run.epoch() < epochs; run.end_epoch()) {
        if (run.needs_e_step()) {
            run.e_step(be, slow.forward(be, data.samples()));
        }
        while (run.num_steps_of_epoch() < N / B) {
            const std::vector<index_t> ids = data.batch(run.num_steps_of_epoch() * B);
            run.update_average(be, parameters);
            const auto key = slow.forward(be, data.view(ids, 2 * run.num_steps()));
            const auto query = fast.forward(be, data.view(ids, 2 * run.num_steps() + 1));
            run.step(be, {.query = query, .positive = key, .sample = view_vector(ids)},
                     {.loss = view_vector(loss), .grad_query = view_rows(gradient.data(), B, C)});
            losses.push_back(loss[0]);
            fast.backward(be, gradient);
            if (run.epoch() == 3 && run.num_steps_of_epoch() == 4) {
                save_checkpoint(be, run, path); // beside it, save your encoders and optimiser
                protonce::objective resumed(be, options);
                load_checkpoint(be, path, resumed); // in a new process as well
                run = std::move(resumed);
            }
        }
    }
    // [/snippet]
    std::filesystem::remove(path);
    return losses;
}

/// InfoNCE with queue and momentum encoder, no E-step. Returns the loss of every step.
std::vector<float> moco() {
    backend be;
    encoder fast(3), slow(3);
    std::vector<float> loss(1), gradient(B * C), losses;
    using pair = protonce::ema_pair<backend>;
    const std::array parameters{pair{.average = view_vector(slow.weight), .value = view_vector(fast.weight)}};
    // [snippet moco]
    protonce::memory_queue queue(be, {.capacity = 192, .num_cols = C, .seed = 7});
    for (index_t step = 0; step < epochs * N / B; ++step) {
        const std::vector<index_t> ids = data.batch(step * B);
        ema(be, parameters, {.momentum = 0.9});
        const auto key = slow.forward(be, data.view(ids, 2 * step));
        const auto query = fast.forward(be, data.view(ids, 2 * step + 1));
        info_nce(be, {.query = query, .positive = key, .negatives = queue.rows()}, {.temperature = 0.2},
                 {.loss = view_vector(loss), .grad_query = view_rows(gradient.data(), B, C)});
        queue.push(be, key);
        losses.push_back(loss[0]);
        fast.backward(be, gradient);
    }
    // [/snippet]
    return losses;
}

/// NT-Xent within the batch: one encoder, no queue. Returns the loss of every step.
std::vector<float> simclr() {
    backend be;
    encoder network(3);
    std::vector<float> loss(1), gradient(2 * B * C), losses;
    // [snippet simclr]
    for (index_t step = 0; step < epochs * N / B; ++step) {
        const std::vector<index_t> ids = data.batch(step * B);
        std::vector<float> views = data.view(ids, 2 * step); // rows 0 ... B - 1: one view, B ... 2B - 1: the other
        const std::vector<float> others = data.view(ids, 2 * step + 1);
        views.insert(views.end(), others.begin(), others.end());
        const auto rows = network.forward(be, views); // (2B, C)
        const auto grad = view_rows(gradient.data(), 2 * B, C);
        nt_xent(be, {.first = rows.slice(0, B), .second = rows.slice(B, B)}, {.temperature = 0.5},
                {.loss = view_vector(loss), .grad_first = grad.slice(0, B), .grad_second = grad.slice(B, B)});
        losses.push_back(loss[0]);
        network.backward(be, gradient);
    }
    // [/snippet]
    return losses;
}

/// Prototypes of labels that are given: classes here, the last class unknown.
void labels() {
    backend be;
    encoder network(3);
    std::vector<label_t> given(N);
    for (index_t i = 0; i < N; ++i) {
        given[static_cast<std::size_t>(i)] = i % classes == classes - 1 ? -1 : static_cast<label_t>(i % classes);
    }
    std::vector<float> loss(1), gradient(B * C);
    const auto features = network.forward(be, data.samples());
    // [snippet labels]
    protonce::clustering level(be, N, C, classes);
    const auto found = fill_clustering(be, {.features = features, .assignment = view_vector(given)}, level);
    concentration(be, level.spread(), {.temperature = 0.2}, level.temperatures());
    // [/snippet]
    expect(found.num_empty == 1, "the class without samples stays an empty cluster");
    encoder again(3);
    const std::vector<index_t> ids = data.batch(0);
    const auto query = again.forward(be, data.view(ids, 0));
    // [snippet labelled_loss]
    const std::array prototypes{level.level()};
    proto_nce(be, {.query = query, .sample = view_vector(ids), .levels = prototypes},
              {.negatives = protonce::negatives::all},
              {.loss = view_vector(loss), .grad_query = view_rows(gradient.data(), B, C)});
    // [/snippet]
    bool unlabelled_are_still = true;
    for (index_t i = 0; i < B; ++i) {
        const bool labelled = given[static_cast<std::size_t>(ids[static_cast<std::size_t>(i)])] >= 0;
        unlabelled_are_still = unlabelled_are_still && (labelled || gradient[static_cast<std::size_t>(i * C)] == 0);
    }
    expect(loss[0] > 0 && unlabelled_are_still, "a sample without a label has no term and no gradient");
}

float mean(const std::vector<float>& values, std::size_t first, std::size_t count) {
    float sum = 0;
    for (std::size_t i = first; i < first + count; ++i) {
        sum += values[i] / static_cast<float>(count);
    }
    return sum;
}

} // namespace

int main() {
    const std::size_t steps = N / B; // of an epoch
    const auto pcl = pcl_by_hand();
    std::printf("      PCL, mean loss of an epoch:");
    for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
        std::printf(" %.3f", static_cast<double>(mean(pcl, epoch * steps, steps)));
    }
    std::printf("\n");
    expect(mean(pcl, 4 * steps, steps) < mean(pcl, 2 * steps, steps), "PCL: the loss falls once there are prototypes");
    expect(pcl == pcl_with_objective(), "an objective, saved and loaded midway, gives the same bits");
    const auto queue_only = moco();
    expect(mean(queue_only, 4 * steps, steps) < mean(queue_only, 0, steps), "MoCo: the loss falls");
    expect(std::equal(queue_only.begin(), queue_only.begin() + 2 * steps, pcl.begin()), "the warm-up of PCL is MoCo");
    const auto batch_only = simclr();
    expect(mean(batch_only, 4 * steps, steps) < mean(batch_only, 0, steps), "SimCLR: the loss falls");
    labels();
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

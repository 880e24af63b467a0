// SPDX-License-Identifier: MIT
#include <device/emulated_run.hpp>
#include <support/placed.hpp>
#include <support/random.hpp>

#include <protonce/m_step/m_step.hpp>
#include <protonce/m_step/nt_xent.hpp>
#include <protonce/m_step/proto_nce.hpp>
#include <protonce/m_step/symmetric_info_nce.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

using namespace protonce;

namespace launches {
namespace {

using T = float;
using B = test::emulated_cuda<T>;
using test::placed;

constexpr index_t samples = 100, cols = 9, batch = 12, queue = 30, clusters = 40, num_levels = 3;

/// Inputs and outputs of each loss in memory of the device, and how many launches a call makes there.
struct losses {
    test::tape tape;
    B be{{.check_finite = false,
          .losses = loss_precision::standard,
          .recorder = &tape,
          .has_warp_groups = true}}; // as on the H100
    test::random_source random{7};
    placed<B, T> query{be, random.unit_rows<T>(batch, cols)}, positive{be, random.unit_rows<T>(batch, cols)},
        negatives{be, random.unit_rows<T>(queue, cols)}, prototypes{be, random.unit_rows<T>(clusters, cols)},
        temperatures{be, random.uniform_values<T>(clusters, 0.1, 0.4)};
    placed<B, label_t> assignment{be, random.labels(samples, label_t{clusters})};
    placed<B, index_t> sample{be, std::vector<index_t>(batch, 3)};
    placed<B, T> loss{placed<B, T>::unwritten(be, 1)}, accuracy{placed<B, T>::unwritten(be, 1)},
        accuracies{placed<B, T>::unwritten(be, num_levels)}, grad_query{placed<B, T>::unwritten(be, batch, cols)},
        grad_positive{placed<B, T>::unwritten(be, batch, cols)};
    placed<B, T> packed{placed<B, T>::unwritten(be, be.packed_pool_size(clusters, cols))};

    std::array<prototype_level<T, device>, num_levels> levels(bool are_packed) {
        prototype_level<T, device> level{prototypes.rows(), assignment.vector(), temperatures.vector()};
        if (are_packed) {
            be.pack_pool(level.prototypes, level.temperatures, packed.vector());
            level.packed = packed.vector();
        }
        return {level, level, level};
    }
    m_step_inputs<B> step_inputs(std::span<const prototype_level<T, device>> levels) {
        return {.query = query.rows(),
                .positive = positive.rows(),
                .negatives = negatives.rows(),
                .sample = sample.vector(),
                .levels = levels};
    }
    template <class F>
    std::size_t launches_of(const F& call) {
        tape.record();
        call();
        tape.stop();
        return tape.size();
    }
};

} // namespace

// What the losses cost in launches, a few microseconds each: with few rows that is most of their time. Less is better.

TEST_CASE("launches: InfoNCE against a queue takes 4") {
    losses x;
    CHECK(x.launches_of([&] {
        info_nce(x.be, {.query = x.query.rows(), .positive = x.positive.rows(), .negatives = x.negatives.rows()}, {},
                 {.loss = x.loss.vector(), .grad_query = x.grad_query.rows()});
    }) == 4);
}

TEST_CASE("launches: InfoNCE against the batch's keys takes 5") {
    losses x;
    CHECK(x.launches_of([&] {
        info_nce(x.be, {.query = x.query.rows(), .positive = x.positive.rows()}, {.pool = key_pool::batch},
                 {.loss = x.loss.vector(), .grad_query = x.grad_query.rows()});
    }) == 5);
}

TEST_CASE("launches: NT-Xent takes 12") {
    losses x;
    CHECK(x.launches_of([&] {
        nt_xent(x.be, {.first = x.query.rows(), .second = x.positive.rows()}, {},
                {.loss = x.loss.vector(),
                 .accuracy = x.accuracy.vector(),
                 .grad_first = x.grad_query.rows(),
                 .grad_second = x.grad_positive.rows()});
    }) == 12);
}

TEST_CASE("launches: the symmetric loss with a learned scale takes 17") {
    losses x;
    CHECK(x.launches_of([&] {
        symmetric_info_nce(
            x.be, {.first = x.query.rows(), .second = x.positive.rows(), .scale = x.temperatures.vector().slice(0, 1)},
            {},
            {.loss = x.loss.vector(),
             .grad_first = x.grad_query.rows(),
             .grad_second = x.grad_positive.rows(),
             .grad_scale = x.accuracy.vector()});
    }) == 17);
}

TEST_CASE("launches: three levels of ProtoNCE take 6") {
    losses x;
    for (const bool packed : {false, true}) {
        const auto levels = x.levels(packed);
        CHECK(x.launches_of([&] {
            proto_nce(x.be, {.query = x.query.rows(), .sample = x.sample.vector(), .levels = levels},
                      {.num_negatives = 16}, {.loss = x.loss.vector(), .grad_query = x.grad_query.rows()});
        }) == 6);
    }
}

TEST_CASE("launches: a step takes 7, two of them for the passes over queue and prototypes") {
    losses x;
    for (const bool packed : {false, true}) {
        const auto levels = x.levels(packed);
        CHECK(x.launches_of([&] {
            m_step(x.be, x.step_inputs(levels), {.num_negatives = 16},
                   {.loss = x.loss.vector(), .grad_query = x.grad_query.rows()});
        }) == 7);
    }
}

TEST_CASE("launches: a step with all accuracies takes 7, and one more where prototypes are packed") {
    losses x;
    for (const bool packed : {false, true}) {
        const auto levels = x.levels(packed);
        CHECK(x.launches_of([&] {
            m_step(x.be, x.step_inputs(levels), {.num_negatives = 16},
                   {.loss = x.loss.vector(),
                    .accuracy_instance = x.accuracy.vector(),
                    .accuracy_per_level = x.accuracies.vector(),
                    .grad_query = x.grad_query.rows()});
        }) == (packed ? 8 : 7));
    }
}

} // namespace launches

// SPDX-License-Identifier: MIT
#include <support/conformance.hpp>
#include <support/contrast_run.hpp>
#include <support/every_operation.hpp>

#include <doctest/doctest.h>

using namespace protonce;

TEST_CASE("emulated cuda: no order of warps and threads changes a bit") {
    TEST_RANDOM(random, 601);
    test::workload<float> in(random);
    test::emulated_cuda<float> be;
    emulator::active_schedule = {};
    const auto expected = test::run_every_operation(be, in);

    for (const auto& schedule : emulator::schedules()) {
        emulator::active_schedule = schedule;
        CHECK(test::run_every_operation(be, in) == expected);
    }
    emulator::active_schedule = {};
}

TEST_CASE("emulated cuda: nor a bit of the losses, of any precision and width") {
    TEST_RANDOM(random, 604);
    for (const index_t cols : {40, 140}) { // two stages of shared memory, and one
        auto problem = test::random_problem<float>(random, {.rows = 20,
                                                            .pool = 170,
                                                            .cols = cols,
                                                            .self = true,
                                                            .column_temperatures = true,
                                                            .weights = true,
                                                            .noise = true});
        for (const auto losses : {loss_precision::fast, loss_precision::standard, loss_precision::precise}) {
            CAPTURE(cols);
            CAPTURE(static_cast<int>(losses));
            test::emulated_cuda<float> be({.losses = losses});
            emulator::active_schedule = {};
            const auto expected = run_contrast(be, problem);
            for (const auto& schedule : emulator::schedules()) {
                emulator::active_schedule = schedule;
                CHECK(run_contrast(be, problem) == expected);
            }
            emulator::active_schedule = {};
        }
    }
}

TEST_CASE("emulated cuda: a loss takes the same number of kernels for any number of columns") {
    TEST_RANDOM(random, 605);
    const auto kernels = [&](index_t pool) {
        const auto problem = test::random_problem<float>(random, {.rows = 5, .pool = pool, .cols = 6, .outside = true});
        test::tape recorder;
        test::emulated_cuda<float> be({.recorder = &recorder});
        test::placed<test::emulated_cuda<float>, float> query(be, problem.query), columns(be, problem.columns),
            positive(be, problem.positive), temperature(be, problem.temperature);
        auto loss = test::placed<test::emulated_cuda<float>, float>::unwritten(be, 5);
        auto gradient = test::placed<test::emulated_cuda<float>, float>::unwritten(be, 5, 6);
        auto grad_columns = test::placed<test::emulated_cuda<float>, float>::unwritten(be, pool, 6);
        const contrast<float, device> in{.query = query.rows(),
                                         .columns = columns.rows(),
                                         .positive = positive.rows(),
                                         .temperature = temperature.vector(),
                                         .loss = loss.vector(),
                                         .grad_query = gradient.rows(),
                                         .grad_columns = grad_columns.rows()};
        recorder.record();
        be.softmax_contrast({&in, 1});
        recorder.stop();
        return recorder.size();
    };
    CHECK(kernels(10) == 4);
    CHECK(kernels(300000) == 4);
}

// SPDX-License-Identifier: MIT
#include "support/backends.hpp"
#include "support/counting_resource.hpp"
#include "training_run.hpp"

#include <protonce/em/objective.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace protonce;
using test::advance;
using test::run_batch_data;
using test::run_features;
using test::run_options;
using test::snapshot;
using test::step_results;

TEST_CASE_TEMPLATE("objective: the same seed gives the same run, another one another", B, TEST_RUN_BACKENDS) {
    B be;
    auto options = run_options();
    objective<B> a(be, options);
    objective<B> b(be, options);
    options.seed = 6;
    objective<B> c(be, options);
    bool all_equal = true;
    for (int epoch = 0; epoch < 3; ++epoch) {
        for (int step = 0; step < 3; ++step) {
            const auto one = advance(be, a);
            CHECK(one == advance(be, b));
            all_equal = all_equal && one == advance(be, c);
        }
        a.end_epoch();
        b.end_epoch();
        c.end_epoch();
    }
    CHECK(snapshot(a) == snapshot(b));
    CHECK_FALSE(all_equal);
}

TEST_CASE("objective: bitwise the same for any number of threads") {
    using B = cpu_backend<float>;
    std::string expected;
    for (const int threads : {1, 2, 3, 7}) {
        CAPTURE(threads);
        B be(cpu_options{.threads = threads});
        objective<B> run(be, run_options());
        for (int step = 0; step < 6; ++step) {
            advance(be, run);
            if (step % 2 == 1) {
                run.end_epoch();
            }
        }
        if (expected.empty()) {
            expected = snapshot(run);
        }
        CHECK(snapshot(run) == expected);
    }
}

TEST_CASE_TEMPLATE("objective: the second step and the third E-step allocate nothing", B, TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    test::counting_resource memory;
    B be = test::backend_on<B>(&memory);
    auto options = run_options();
    options.mask_level = 0;
    objective<B> run(be, options);
    run.end_epoch();
    const auto features = run_features<value>(0);
    const run_batch_data<value> batch(0);
    step_results<value> results;
    for (int i = 0; i < 2; ++i) {
        run.e_step(be, features.view());
        run.step(be, batch.template inputs<B>(), results.template outputs<B>());
    }
    const index_t before = memory.allocations();

    run.e_step(be, features.view());
    run.step(be, batch.template inputs<B>(), results.template outputs<B>());

    CHECK(memory.allocations() == before);
}

TEST_CASE_TEMPLATE("objective: moving it keeps the run", B, TEST_RUN_BACKENDS) {
    B be;
    objective<B> run(be, run_options());
    objective<B> twin(be, run_options());
    run.end_epoch();
    twin.end_epoch();
    advance(be, run);
    advance(be, twin);

    objective<B> moved(std::move(run));

    CHECK(snapshot(moved) == snapshot(twin));
    CHECK(advance(be, moved) == advance(be, twin));
}

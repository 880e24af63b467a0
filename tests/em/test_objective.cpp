// SPDX-License-Identifier: MIT
#include "support/backends.hpp"
#include "training_run.hpp"

#include <protonce/em/objective.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

using namespace protonce;
using test::advance;
using test::run_batch_data;
using test::run_features;
using test::run_options;
using test::snapshot;
using test::step_results;

TEST_RUN_STEPS(, protonce::cpu_backend<float>)
TEST_RUN_STEPS(, protonce::reference_backend<double>)

TEST_CASE_TEMPLATE("objective: an E-step is needed once in each epoch after the warm-up", B, TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    auto options = run_options();
    options.warmup_epochs = 2;
    objective<B> run(be, options);
    for (index_t epoch = 0; epoch < 5; ++epoch, run.end_epoch()) {
        CAPTURE(epoch);
        CHECK(run.epoch() == epoch);
        CHECK(run.is_warm() == (epoch >= 2));
        CHECK(run.needs_e_step() == (epoch >= 2));
        if (run.needs_e_step()) {
            run.e_step(be, run_features<value>(epoch).view());
        }
        CHECK_FALSE(run.needs_e_step());
        CHECK(run.uses_prototypes() == (epoch >= 2));
        CHECK(run.snapshot_epoch() == (epoch >= 2 ? epoch : -1));
        CHECK(run.levels().size() == (epoch >= 2 ? 2 : 0));
    }
}

TEST_CASE_TEMPLATE("objective: during warm-up a step is InfoNCE against the queue before the batch", B,
                   TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    objective<B> run(be, run_options());
    memory_queue<B> queue(be, {.capacity = 21, .num_cols = test::run_cols, .seed = 5});
    for (index_t step = 0; step < 5; ++step) {
        CAPTURE(step);
        const run_batch_data<value> batch(step);
        step_results<value> expected;
        step_results<value> actual;
        info_nce(be, {.query = batch.query.view(), .positive = batch.positive.view(), .negatives = queue.rows()},
                 {.temperature = 0.2},
                 {.loss = view_vector(expected.loss),
                  .grad_query = view_rows(expected.grad_query.data(), test::run_batch, test::run_cols)});
        queue.push(be, batch.positive.view(), view_vector(batch.sample));

        const auto report = run.step(be, batch.template inputs<B>(), actual.template outputs<B>());

        CHECK(report.step == step);
        CHECK_FALSE(report.used_prototypes);
        CHECK(report.instance.num_negatives == 21);
        CHECK(actual.loss == expected.loss);
        CHECK(actual.loss_instance == expected.loss);
        CHECK(actual.grad_query == expected.grad_query);
        CHECK(run.queue().position() == queue.position());
        CHECK(std::vector<index_t>(run.queue().ids().begin(), run.queue().ids().end()) ==
              std::vector<index_t>(queue.ids().begin(), queue.ids().end()));
    }
}

TEST_CASE_TEMPLATE("objective: outputs of the levels are 0 while no level takes part", B, TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    objective<B> run(be, run_options());
    const run_batch_data<value> batch(0);
    step_results<value> results;
    test::matrix<value> three(3, test::run_cols, 1);
    three(1, 2) = value(4);
    std::vector<value> seven(7, value(4));
    const std::array<matrix_of<B>, 2> grad_prototypes{three.view(), matrix_of<B>{}};
    const std::array<vector_of<B>, 2> grad_temperatures{vector_of<B>{}, view_vector(seven)};
    std::vector<index_t> counts(2, 8);
    std::array<column_draw<value, host>, 2> columns{};
    columns[1].column_count = view_vector(counts).slice(0, 1);
    columns[1].batch_count = view_vector(counts).slice(1, 1);
    auto outputs = results.template outputs<B>();
    outputs.grad_prototypes = grad_prototypes;
    outputs.grad_temperatures = grad_temperatures;
    outputs.columns = columns;

    run.step(be, batch.template inputs<B>(), outputs);

    CHECK(results.loss_prototypes[0] == value(0));
    CHECK(results.loss_per_level == std::vector<value>{0, 0});
    CHECK(results.accuracy_per_level == std::vector<value>{0, 0});
    for (index_t i = 0; i < 3; ++i) {
        for (index_t j = 0; j < test::run_cols; ++j) {
            CHECK(three(i, j) == value(0));
        }
    }
    CHECK(seven == std::vector<value>(7, value(0)));
    CHECK(counts == std::vector<index_t>{0, 0});
}

TEST_CASE_TEMPLATE("objective: gradients of the levels are left alone by accumulate while no level takes part", B,
                   TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    objective<B> run(be, run_options());
    const run_batch_data<value> batch(0);
    std::vector<value> seven(7, value(4));
    const std::array<vector_of<B>, 2> grad_temperatures{vector_of<B>{}, view_vector(seven)};

    run.step(be, batch.template inputs<B>(), {.grad_temperatures = grad_temperatures, .accumulate = true});

    CHECK(seven == std::vector<value>(7, value(4)));
}

TEST_CASE_TEMPLATE("objective: after the E-step a step is m_step with its levels, seed and step number", B,
                   TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    auto options = run_options();
    options.instance_weight = 0.5;
    options.prototype_weight = 2;
    objective<B> run(be, options);
    advance(be, run);
    run.end_epoch();
    advance(be, run);
    for (index_t step = 2; step < 5; ++step) {
        CAPTURE(step);
        const run_batch_data<value> batch(step);
        step_results<value> expected;
        step_results<value> actual;
        const std::vector<prototype_level<value, host>> levels{run.levels()[0].level(), run.levels()[1].level()};
        m_step(
            be,
            {.query = batch.query.view(),
             .positive = batch.positive.view(),
             .negatives = run.queue().rows(),
             .sample = view_vector(batch.sample),
             .levels = levels},
            {.num_negatives = 4, .seed = 5, .step = std::uint64_t(step), .instance_weight = 0.5, .prototype_weight = 2},
            expected.template outputs<B>());

        const auto report = run.step(be, batch.template inputs<B>(), actual.template outputs<B>());

        CHECK(report.used_prototypes);
        CHECK(report.step == step);
        CHECK(actual == expected);
        CHECK(double(actual.loss_prototypes[0]) > 0);
    }
}

TEST_CASE_TEMPLATE("objective: its first E-step is e_step from random rows, the next starts from the one before", B,
                   TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    objective<B> run(be, run_options());
    const auto levels = [&be] {
        std::vector<clustering<B>> out;
        out.emplace_back(be, test::run_samples, test::run_cols, 3);
        out.emplace_back(be, test::run_samples, test::run_cols, 7);
        return out;
    };
    auto first = levels();
    auto second = levels();
    const auto same = [](std::span<const clustering<B>> a, const std::vector<clustering<B>>& b) {
        for (std::size_t m = 0; m < b.size(); ++m) {
            const auto equal = [](auto x, auto y) { return std::equal(x.begin(), x.end(), y.begin(), y.end()); };
            if (!equal(a[m].assignment(), b[m].assignment()) || !equal(a[m].temperatures(), b[m].temperatures())) {
                return false;
            }
            for (index_t k = 0; k < b[m].num_clusters(); ++k) {
                if (!equal(a[m].prototypes().row(k), b[m].prototypes().row(k))) {
                    return false;
                }
            }
        }
        return true;
    };
    const e_step_options options{.restarts = 2, .seed = 5};
    const auto features = run_features<value>(0);
    const auto moved = run_features<value>(1);
    e_step(be, {.features = features.view()}, options, first);
    e_step(be, {.features = moved.view(), .previous = first}, options, second);

    const auto reports = run.e_step(be, features.view());
    CHECK(reports.size() == 2);
    CHECK(same(run.levels(), first));

    run.e_step(be, moved.view());
    CHECK(same(run.levels(), second));
}

TEST_CASE_TEMPLATE("objective: an E-step that fails leaves the levels before in use", B, TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    objective<B> run(be, run_options());
    run.end_epoch();
    advance(be, run);
    run.end_epoch();
    const auto before = snapshot(run);
    auto features = run_features<value>(1);
    features(59, 5) = std::numeric_limits<value>::quiet_NaN();

    CHECK_THROWS_AS(run.e_step(be, features.view()), argument_error);

    CHECK(snapshot(run) == before);
    CHECK(run.needs_e_step());
    CHECK(run.uses_prototypes());
    CHECK_NOTHROW(advance(be, run));
}

TEST_CASE_TEMPLATE("objective: a step that fails changes neither outputs nor queue nor counters", B,
                   TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    objective<B> run(be, run_options());
    run.end_epoch();
    advance(be, run);
    const auto before = snapshot(run);
    const step_results<value> poison;
    const auto refused = [&](const run_batch_data<value>& batch) {
        step_results<value> results;
        CHECK_THROWS_AS(run.step(be, batch.template inputs<B>(), results.template outputs<B>()), std::invalid_argument);
        CHECK(results == poison);
        CHECK(snapshot(run) == before);
    };

    run_batch_data<value> batch(9);
    batch.positive(7, 5) = std::numeric_limits<value>::infinity();
    refused(batch);
    batch = run_batch_data<value>(9);
    batch.sample[3] = test::run_samples;
    refused(batch);
    batch = run_batch_data<value>(9);
    batch.sample.pop_back();
    refused(batch);
}

TEST_CASE_TEMPLATE("objective: without clusters it is MoCo and never needs an E-step", B, TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    auto options = run_options();
    options.num_clusters = {};
    options.warmup_epochs = 0;
    objective<B> moco(be, options);
    options = run_options();
    options.warmup_epochs = 100;
    objective<B> warming_up(be, options);
    for (index_t epoch = 0; epoch < 3; ++epoch, moco.end_epoch(), warming_up.end_epoch()) {
        CHECK_FALSE(moco.needs_e_step());
        const auto a = advance(be, moco);
        const auto b = advance(be, warming_up);
        CHECK(a.loss == b.loss);
        CHECK(a.grad_query == b.grad_query);
    }
    // Sample numbers are then nobody's business.
    auto inputs = run_batch_data<value>(3);
    CHECK_NOTHROW(moco.step(be, {.query = inputs.query.view(), .positive = inputs.positive.view()}, {}));
    CHECK(moco.queue().ids()[moco.queue().position() - 1] == -1);
}

TEST_CASE_TEMPLATE("objective: a queue that starts empty has loss 0 in the first step", B, TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    auto options = run_options();
    options.queue_start = queue_start::empty;
    objective<B> run(be, options);

    const auto first = advance(be, run);
    CHECK(first.loss[0] == value(0));
    CHECK(first.grad_query == std::vector<value>(first.grad_query.size(), value(0)));
    CHECK(run.queue().size() == test::run_batch);

    CHECK(advance(be, run).loss[0] > value(0));
}

TEST_CASE_TEMPLATE("objective: queue negatives of the query's own cluster are left out on request", B,
                   TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    auto options = run_options();
    options.queue_size = 40; // 24 keys of known samples, 16 random rows of none
    options.mask_level = 1;
    objective<B> run(be, options);
    run.end_epoch();
    for (int step = 0; step < 3; ++step) {
        advance(be, run);
    }
    const run_batch_data<value> batch(3);
    const auto assignment = run.levels()[1].assignment();
    std::vector<label_t> query_cluster;
    std::vector<label_t> negative_cluster;
    for (const index_t sample : batch.sample) {
        query_cluster.push_back(assignment[sample]);
    }
    for (const index_t id : run.queue().ids()) {
        negative_cluster.push_back(id < 0 ? label_t{-1} : assignment[id]);
    }
    step_results<value> expected;
    step_results<value> unmasked;
    step_results<value> actual;
    info_nce(be,
             {.query = batch.query.view(),
              .positive = batch.positive.view(),
              .negatives = run.queue().rows(),
              .query_cluster = view_vector(query_cluster),
              .negative_cluster = view_vector(negative_cluster)},
             {}, {.loss = view_vector(expected.loss_instance)});
    info_nce(be, {.query = batch.query.view(), .positive = batch.positive.view(), .negatives = run.queue().rows()}, {},
             {.loss = view_vector(unmasked.loss_instance)});

    run.step(be, batch.template inputs<B>(), actual.template outputs<B>());

    CHECK(actual.loss_instance == expected.loss_instance);
    CHECK(actual.loss_instance[0] < unmasked.loss_instance[0]);
}

TEST_CASE_TEMPLATE("objective: the moving average follows the schedule of the steps", B, TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    auto options = run_options();
    options.momentum = 0.5;
    objective<B> constant(be, options);
    options.momentum_steps = 2;
    objective<B> rising(be, options);

    CHECK(constant.current_momentum() == 0.5);
    CHECK(rising.current_momentum() == 0.5);
    for (int step = 0; step < 3; ++step) {
        advance(be, constant);
        advance(be, rising);
    }
    CHECK(constant.current_momentum() == 0.5);
    CHECK(rising.current_momentum() == 1.0);

    std::array<value, 1> average{value(8)};
    const std::array<value, 1> parameter{value(4)};
    const ema_pair<B> pair{view_vector(average), view_vector(parameter)};
    rising.update_average(be, {&pair, 1});
    CHECK(average[0] == value(8));
    constant.update_average(be, {&pair, 1});
    CHECK(average[0] == value(6));
}

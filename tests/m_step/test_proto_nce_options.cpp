// SPDX-License-Identifier: MIT
#include "m_step/proto_nce_problem.hpp"
#include "support/thrown.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>
#include <utility>
#include <vector>

using namespace protonce;
using test::column_memory;
using test::index_t;
using test::inputs;
using test::label_t;
using test::loss_bound;
using test::proto_problem;
using test::smallest_temperature;

TEST_CASE_TEMPLATE("proto_nce: reductions are sums and means over the levels of the rows' losses", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 52);
    B be;
    proto_problem<T> p(random, 11, 20, 6, {7, 13});
    p.own(1, 2) = -1;
    test::matrix<T> per_row(2, 11);
    std::vector<T> sum(1), none(11), levels_of_sum(2), levels_of_none(2), levels_of_mean(2);
    const auto in = inputs(be, p);

    proto_nce(be, in, {.reduction = reduction::sum},
              {.loss = view_vector(sum), .loss_per_level = view_vector(levels_of_sum), .loss_per_row = per_row.view()});
    proto_nce(be, in, {.reduction = reduction::none},
              {.loss = view_vector(none), .loss_per_level = view_vector(levels_of_none)});
    proto_nce(be, in, {}, {.loss_per_level = view_vector(levels_of_mean)});

    std::vector<T> added(11, T(2));
    proto_nce(be, in, {.reduction = reduction::none}, {.loss = view_vector(added), .accumulate = true});

    const double rounding = 8 * double(std::numeric_limits<T>::epsilon());
    double total = 0;
    for (index_t i = 0; i < 11; ++i) {
        const double expected = (double(per_row(0, i)) + double(per_row(1, i))) / 2;
        CHECK(std::abs(double(none[std::size_t(i)]) - expected) <= rounding * (1 + expected));
        CHECK(std::abs(double(added[std::size_t(i)]) - 2 - expected) <= rounding * (3 + expected));
        total += expected;
    }
    CHECK(std::abs(double(sum[0]) - total) <= rounding * total);
    CHECK(levels_of_sum == levels_of_mean);
    CHECK(levels_of_none == levels_of_mean);
}

TEST_CASE_TEMPLATE("proto_nce: each of many levels is what it is alone", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 58);
    B be;
    constexpr std::size_t levels = 19; // labels are gathered for 8 at once
    proto_problem<T> p(random, 6, 20, 4, std::vector<index_t>(levels, 5));
    for (std::size_t m = 0; m < levels; ++m) {
        p.own(m, index_t(m % 6)) = -1;
    }
    test::matrix<T> per_row(levels, 6, 2), top1(levels, 6, 1);
    std::vector<T> loss(1), per_level(levels), accuracy(levels);

    proto_nce(be, inputs(be, p), {.negatives = negatives::all},
              {.loss = view_vector(loss),
               .loss_per_level = view_vector(per_level),
               .loss_per_row = per_row.view(),
               .top1 = top1.view(),
               .accuracy_per_level = view_vector(accuracy)});

    double sum = 0;
    for (std::size_t m = 0; m < levels; ++m) {
        CAPTURE(m);
        test::matrix<T> per_row_alone(1, 6), top1_alone(1, 6);
        std::vector<T> loss_alone(1), accuracy_alone(1);
        auto in = inputs(be, p);
        in.levels = in.levels.subspan(m, 1);
        proto_nce(be, in, {.negatives = negatives::all},
                  {.loss = view_vector(loss_alone),
                   .loss_per_row = per_row_alone.view(),
                   .top1 = top1_alone.view(),
                   .accuracy_per_level = view_vector(accuracy_alone)});
        for (index_t i = 0; i < 6; ++i) {
            CHECK(per_row(index_t(m), i) == per_row_alone(0, i));
            CHECK(top1(index_t(m), i) == top1_alone(0, i));
        }
        CHECK(per_level[m] == loss_alone[0]);
        CHECK(accuracy[m] == accuracy_alone[0]);
        sum += double(loss_alone[0]);
    }
    CHECK(double(loss[0]) == doctest::Approx(sum / levels).epsilon(1e-6));
}

TEST_CASE_TEMPLATE("proto_nce: the columns used are readable, and given back as negatives they give the same bits", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 58);
    B be;
    proto_problem<T> p(random, 9, 30, 6, {25, 60});
    for (const auto mode : {negatives::deduplicated, negatives::reference_compatible}) {
        CAPTURE(int(mode));
        column_memory<T> drawn(p, 8), reused(p, 8);
        std::vector<T> loss(1), again(1);
        test::matrix<T> grad_query(9, 6), grad_again(9, 6);

        proto_nce(be, inputs(be, p), {.negatives = mode, .num_negatives = 8, .seed = 12, .step = 34},
                  {.loss = view_vector(loss), .grad_query = grad_query.view(), .columns = drawn.views});
        const std::vector<std::vector<index_t>> ids{drawn.negatives_of(0), drawn.negatives_of(1)};
        const std::vector<vector_view<const index_t>> given{view_vector(ids[0]), view_vector(ids[1])};
        auto in = inputs(be, p);
        in.negative_id = given;
        const auto report =
            proto_nce(be, in, {.negatives = mode, .num_negatives = 3},
                      {.loss = view_vector(again), .grad_query = grad_again.view(), .columns = reused.views});

        CHECK(report.num_negatives == 8);
        CHECK_FALSE(report.clamped);
        CHECK(loss[0] == again[0]);
        CHECK(test::distance(grad_query, grad_again) == 0);
        for (std::size_t m = 0; m < 2; ++m) {
            CAPTURE(m);
            CHECK(drawn.columns(m) == reused.columns(m));
            CHECK(drawn.log_count[m] == reused.log_count[m]);

            // The same draw by itself, as level number m.
            std::vector<label_t> own;
            for (index_t i = 0; i < 9; ++i) {
                own.push_back(p.own(m, i));
            }
            column_memory<T> alone(p, 8);
            draw_negative_prototypes(be, vector_view<const label_t>(view_vector(own)), p.prototypes[m].rows(),
                                     {.num_negatives = 8, .seed = 12, .step = 34, .level = std::uint32_t(m)},
                                     alone.views[m]);
            CHECK(alone.columns(m) == drawn.columns(m));
            CHECK(alone.log_count[m] == drawn.log_count[m]);
        }
    }
}

TEST_CASE_TEMPLATE("proto_nce: more negatives than prototypes are clamped, reported, and give every prototype", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 59);
    B be;
    proto_problem<T> p(random, 6, 12, 5, {10, 200});
    std::vector<T> clamped_levels(2), all_levels(2);

    const auto report =
        proto_nce(be, inputs(be, p), {.num_negatives = 150}, {.loss_per_level = view_vector(clamped_levels)});
    const auto report_all =
        proto_nce(be, inputs(be, p), {.negatives = negatives::all}, {.loss_per_level = view_vector(all_levels)});

    std::set<label_t> own;
    for (index_t i = 0; i < 6; ++i) {
        own.insert(p.own(0, i));
    }
    CHECK(report.clamped);
    CHECK(report.num_negatives == 10 - index_t(own.size()));
    CHECK(std::abs(double(clamped_levels[0]) - double(all_levels[0])) <= loss_bound<T>(5, smallest_temperature));
    CHECK(clamped_levels[1] < all_levels[1]);
    CHECK_FALSE(report_all.clamped);
    CHECK(report_all.num_negatives == 9);
}

TEST_CASE_TEMPLATE("proto_nce: accumulate adds to the loss and every gradient and to nothing else", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 60);
    B be;
    proto_problem<T> p(random, 6, 12, 4, {5, 7});
    std::vector<T> loss(1), sum_loss{2}, per_level(2), sum_per_level(2, T(9));
    test::matrix<T> grad_query(6, 4);
    auto sum_query = test::filled<T>(6, 4, T(1));
    std::vector<test::matrix<T>> grad_prototypes{{5, 4}, {7, 4, 3}};
    std::vector<test::matrix<T>> sum_prototypes{test::filled<T>(5, 4, T(1)), test::filled<T>(7, 4, T(1), 2)};
    std::vector<std::vector<T>> grad_temperatures{std::vector<T>(5), std::vector<T>(7)};
    std::vector<std::vector<T>> sum_temperatures{std::vector<T>(5, T(1)), std::vector<T>(7, T(1))};

    proto_nce(be, inputs(be, p), {.num_negatives = 2},
              {.loss = view_vector(loss),
               .loss_per_level = view_vector(per_level),
               .grad_query = grad_query.view(),
               .grad_prototypes = test::views_of(grad_prototypes),
               .grad_temperatures = test::views_of(grad_temperatures)});
    proto_nce(be, inputs(be, p), {.num_negatives = 2},
              {.loss = view_vector(sum_loss),
               .loss_per_level = view_vector(sum_per_level),
               .grad_query = sum_query.view(),
               .grad_prototypes = test::views_of(sum_prototypes),
               .grad_temperatures = test::views_of(sum_temperatures),
               .accumulate = true});

    const double rounding = 16 * double(std::numeric_limits<T>::epsilon());
    CHECK(std::abs(double(sum_loss[0]) - 2 - double(loss[0])) <= rounding);
    CHECK(sum_per_level == per_level);
    const auto is_sum = [&](const std::vector<double>& sum, const std::vector<double>& part) {
        for (std::size_t i = 0; i < sum.size(); ++i) {
            CHECK(std::abs(sum[i] - 1 - part[i]) <= rounding);
        }
    };
    is_sum(test::values_of(sum_query), test::values_of(grad_query));
    for (std::size_t m = 0; m < 2; ++m) {
        is_sum(test::values_of(sum_prototypes[m]), test::values_of(grad_prototypes[m]));
        is_sum({sum_temperatures[m].begin(), sum_temperatures[m].end()},
               {grad_temperatures[m].begin(), grad_temperatures[m].end()});
    }
}

TEST_CASE_TEMPLATE("proto_nce: what does not go together is refused by name, outputs untouched", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 61);
    B be;
    proto_problem<T> p(random, 3, 6, 4, {5, 8});
    std::vector<T> loss(1, T(7));
    const auto refused = [&]<class E>(E*, auto change) {
        const auto message = test::message_of<E>([&] {
            auto in = inputs(be, p);
            proto_nce_options options;
            proto_nce_outputs<B> out{.loss = view_vector(loss)};
            change(in, options, out);
            proto_nce(be, in, options, out);
        });
        CHECK(loss[0] == 7);
        return message;
    };
    constexpr shape_error* shape = nullptr;
    constexpr argument_error* value = nullptr;

    CHECK(refused(shape, [](auto& in, auto&, auto&) { in.levels = {}; }) ==
          "proto_nce: levels: must hold at least one level; got none");
    CHECK(refused(shape, [](auto& in, auto&, auto&) { in.sample = in.sample.slice(0, 2); }) ==
          "proto_nce: sample: must hold 3 values; got 2");
    CHECK(refused(value, [](auto&, auto& options, auto&) { options.num_negatives = -1; }) ==
          "proto_nce: num_negatives: must be at least 0; got -1");

    p.sample[1] = 6;
    CHECK(refused(value, [](auto&, auto&, auto&) {}) ==
          "proto_nce: sample: must lie in [0, 5], the samples of levels[0].assignment; got 6 for row 1");
    p.sample[1] = 2;
    p.assignment[1][2] = 8;
    CHECK(refused(value, [](auto&, auto&, auto&) {}) ==
          "proto_nce: levels[1].assignment: must lie in [-1, 7] for every row of the batch; got 8 for row 1");
    p.assignment[1][2] = 3;
    p.temperatures[1][4] = 0;
    CHECK(refused(value, [](auto&, auto&, auto&) {}) ==
          "proto_nce: levels[1].temperatures: must be positive and finite everywhere; got 0 at 4");
    p.temperatures[1][4] = T(0.5);
    p.prototypes[0](3, 1) = std::numeric_limits<T>::infinity();
    CHECK(refused(value, [](auto&, auto&, auto&) {}) ==
          "proto_nce: levels[0].prototypes: must be finite everywhere; got NaN or infinity in row 3");
    p.prototypes[0](3, 1) = 0;

    const auto given = [&](std::vector<index_t> first) {
        const std::vector<index_t> second;
        const std::vector<vector_view<const index_t>> ids{view_vector(std::as_const(first)), view_vector(second)};
        return refused(value, [&](auto& in, auto&, auto&) { in.negative_id = ids; });
    };
    p.assignment[0].assign(6, 1);
    CHECK(given({0, 5}) == "proto_nce: negative_id[0]: must lie in [0, 4]; got 5");
    CHECK(given({3, 2, 3}) == "proto_nce: negative_id[0]: must hold each number once; got 3 again");
    CHECK(given({4, 1}) == "proto_nce: negative_id[0]: must not hold a prototype of the batch; got 1");

    const std::vector<vector_view<const index_t>> one(1);
    CHECK(refused(shape, [&](auto& in, auto&, auto&) { in.negative_id = one; }) ==
          "proto_nce: negative_id: must hold one element for each level, 2; got 1");
    column_memory<T> columns(p, 8);
    columns.views[1].column_id = columns.views[1].column_id.slice(0, 4);
    CHECK(refused(shape, [&](auto&, auto& options, auto& out) {
              options.num_negatives = 2;
              out.columns = columns.views;
          }) == "proto_nce: columns[1].column_id: must hold at least 5 values; got 4");
    CHECK(refused(value, [&](auto&, auto& options, auto& out) {
              options.negatives = negatives::all;
              out.columns = columns.views;
          }) == "proto_nce: columns: must not be given with negatives::all; got 2");
    std::vector<test::matrix<T>> gradients{{5, 4}, {8, 3}};
    const auto gradient_views = test::views_of(gradients);
    CHECK(refused(shape, [&](auto&, auto&, auto& out) { out.grad_prototypes = gradient_views; }) ==
          "proto_nce: grad_prototypes[1]: must be (8, 4); got (8, 3)");
}

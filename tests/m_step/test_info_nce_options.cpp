// SPDX-License-Identifier: MIT
#include "m_step/info_nce_problem.hpp"
#include "support/thrown.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace protonce;
using test::index_t;
using test::info_nce_problem;
using test::label_t;

TEST_CASE_TEMPLATE("info_nce: mean, sum and none are the same losses", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 30);
    B be;
    info_nce_problem<T> p(random, 8, 20, 6);
    info_nce_problem<T> gradients(random, 8, 20, 6);
    std::vector<T> none(8), sum(1);

    info_nce(be, p.in(be), {}, p.out(be));
    info_nce(be, p.in(be), {.reduction = reduction::none}, {.loss = view_vector(none)});
    info_nce(be, p.in(be), {.reduction = reduction::sum},
             {.loss = view_vector(sum), .grad_query = gradients.grad_query.view()});

    CHECK(none == p.per_row);
    double total = 0;
    for (const T value : none) {
        total += double(value);
    }
    CHECK(sum[0] == T(total));
    CHECK(p.loss[0] == T(total / 8));
    CHECK(test::distance(test::scaled(p.grad_query, T(8)), gradients.grad_query) == 0); // 1/8 is exact
}

TEST_CASE_TEMPLATE("info_nce: accumulate adds to the loss and the gradients and to nothing else", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 31);
    B be;
    info_nce_problem<T> p(random, 6, 10, 4);
    info_nce_problem<T> added(random, 6, 10, 4);
    info_nce(be, p.in(be), {}, p.out(be));
    auto out = added.out(be);
    out.accumulate = true;
    added.loss[0] = 2;
    added.per_row.assign(6, T(5));
    added.top1.assign(6, T(5));
    added.accuracy[0] = 5;
    added.grad_temperature[0] = 3;
    for (auto* gradient : {&added.grad_query, &added.grad_positive, &added.grad_negatives}) {
        *gradient = test::filled<T>(gradient->rows(), gradient->cols(), T(1), gradient->stride() - gradient->cols());
    }
    out.grad_query = added.grad_query.view();
    out.grad_positive = added.grad_positive.view();
    out.grad_negatives = added.grad_negatives.view();

    info_nce(be, p.in(be), {}, out);

    const double rounding = 4 * double(std::numeric_limits<T>::epsilon());
    CHECK(std::abs(double(added.loss[0]) - (2 + double(p.loss[0]))) <= 4 * rounding);
    CHECK(std::abs(double(added.grad_temperature[0]) - (3 + double(p.grad_temperature[0]))) <= 8 * rounding);
    CHECK(added.per_row == p.per_row);
    CHECK(added.top1 == p.top1);
    CHECK(added.accuracy == p.accuracy);
    const auto is_sum = [&](const test::matrix<T>& sum, const test::matrix<T>& part) {
        for (index_t i = 0; i < sum.rows(); ++i) {
            for (index_t j = 0; j < sum.cols(); ++j) {
                CHECK(std::abs(double(sum(i, j)) - (1 + double(part(i, j)))) <= rounding);
            }
        }
    };
    is_sum(added.grad_query, p.grad_query);
    is_sum(added.grad_positive, p.grad_positive);
    is_sum(added.grad_negatives, p.grad_negatives);
}

TEST_CASE_TEMPLATE("info_nce: a temperature in memory overrides the option", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 32);
    B be;
    info_nce_problem<T> p(random, 4, 9, 5);
    info_nce_problem<T> learned(random, 4, 9, 5);
    const std::vector<T> temperature{T(0.125)};
    auto in = p.in(be);
    in.temperature = view_vector(temperature);

    info_nce(be, p.in(be), {.temperature = 0.125}, p.out(be));
    info_nce(be, in, {.temperature = -1}, learned.out(be));

    CHECK(p.loss[0] == learned.loss[0]);
    CHECK(p.grad_temperature[0] == learned.grad_temperature[0]);
    CHECK(test::distance(p.grad_query, learned.grad_query) == 0);
}

TEST_CASE_TEMPLATE("info_nce: NaN is refused by name and row, or comes out as NaN where the check is off", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 34);
    info_nce_problem<T> p(random, 4, 6, 3);
    p.query(2, 1) = std::numeric_limits<T>::quiet_NaN();
    B strict;
    B lenient = test::backend_checking<B>(false);

    const auto message = test::message_of<argument_error>([&] { info_nce(strict, p.in(strict), {}, p.out(strict)); });
    CHECK(message == "info_nce: query: must be finite everywhere; got NaN or infinity in row 2");
    CHECK(p.per_row == std::vector<T>(4, T(0)));

    info_nce(lenient, p.in(lenient), {}, p.out(lenient));
    CHECK(p.per_row[1] == p.per_row[1]);
    CHECK(p.per_row[2] != p.per_row[2]);
    CHECK(p.loss[0] != p.loss[0]);
    CHECK(p.grad_query(2, 0) != p.grad_query(2, 0));
    CHECK(p.grad_query(1, 0) == p.grad_query(1, 0));
}

TEST_CASE_TEMPLATE("info_nce: what does not go together is refused by name", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 35);
    B be;
    info_nce_problem<T> p(random, 4, 6, 3);
    const std::vector<label_t> four(4), five(5);
    const auto shape = [&](auto change) {
        return test::message_of<shape_error>([&] {
            auto in = p.in(be);
            auto out = p.out(be);
            change(in, out);
            info_nce(be, in, {}, out);
        });
    };
    const auto value = [&](info_nce_options options) {
        return test::message_of<argument_error>([&] { info_nce(be, p.in(be), options, p.out(be)); });
    };

    CHECK(shape([](auto& in, auto&) { in.query = {}; }) ==
          "info_nce: query: must be given and hold at least one row and one column; got (0, 0)");
    CHECK(shape([](auto& in, auto&) { in.positive = in.positive.slice(0, 3); }) ==
          "info_nce: positive: must have the shape of query, (4, 3); got (3, 3)");
    CHECK(shape([&](auto& in, auto&) { in.query_cluster = view_vector(four); }) ==
          "info_nce: negative_cluster: must hold 6 values; got 0");
    CHECK(shape([&](auto& in, auto&) { in.query_cluster = view_vector(five); }) ==
          "info_nce: query_cluster: must hold 4 values; got 5");
    CHECK(shape([](auto&, auto& out) { out.grad_negatives = out.grad_negatives.slice(0, 5); }) ==
          "info_nce: grad_negatives: must be (6, 3); got (5, 3)");
    CHECK(shape([](auto&, auto& out) { out.loss = out.top1; }) == "info_nce: loss: must hold 1 values; got 4");
    CHECK(value({.temperature = 0}) == "info_nce: temperature: must be positive and finite; got 0");
    CHECK(value({.temperature = std::numeric_limits<double>::infinity()}) ==
          "info_nce: temperature: must be positive and finite; got inf");
    CHECK(value({.pool = key_pool::batch}) ==
          "info_nce: negatives: must not be given with key_pool::batch; got (6, 3)");
    CHECK(value({.pool = key_pool(9)}) == "info_nce: pool: must be queue or batch; got 9");
    CHECK(value({.reduction = reduction(7)}) == "info_nce: reduction: must be mean, sum or none; got 7");
    CHECK(p.per_row == std::vector<T>(4, T(0)));
}

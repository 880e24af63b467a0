// SPDX-License-Identifier: MIT
#include <protonce/backend/reference.hpp>

#include <support/close.hpp>
#include <support/contrast_cases.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace protonce;
using test::close;
using test::column;
using test::logarithms;
using test::run_reference;

TEST_CASE_TEMPLATE("reference contrast: a positive outside the pool against two negatives", T, float, double) {
    std::vector<T> query{1}, positive{0}, temperature{1};
    std::vector<T> columns = logarithms<T>({2, 3});
    std::vector<T> loss(1), log_sum(1), top1(1), dq(1), dp(1), dc(2), dt(1);

    run_reference<T>({.query = column(query),
                      .columns = column(columns),
                      .positive = column(positive),
                      .temperature = view_vector(temperature),
                      .loss = view_vector(loss),
                      .log_sum = view_vector(log_sum),
                      .top1 = view_vector(top1),
                      .grad_query = column(dq),
                      .grad_positive = column(dp),
                      .grad_columns = column(dc),
                      .grad_temperature = view_vector(dt)});

    // e^s = 1, 2, 3: p = 1/6, 1/3, 1/2.
    const double expected_dq = std::log(2.0) / 3 + std::log(3.0) / 2;
    CHECK(close(loss[0], std::log(6.0)));
    CHECK(close(log_sum[0], std::log(6.0)));
    CHECK(top1[0] == 0);
    CHECK(close(dq[0], expected_dq));
    CHECK(close(dp[0], 1.0 / 6 - 1));
    CHECK(close(dc[0], 1.0 / 3));
    CHECK(close(dc[1], 1.0 / 2));
    CHECK(close(dt[0], -expected_dq)); // - sum of dl/ds s / t
}

TEST_CASE_TEMPLATE("reference contrast: a positive in the pool is in the sum once", T, float, double) {
    std::vector<T> query{1}, temperature{1};
    std::vector<T> columns = logarithms<T>({2, 3, 5});
    const std::vector<label_t> own{2};
    std::vector<T> loss(1), top1(1), dc(3);

    run_reference<T>({.query = column(query),
                      .columns = column(columns),
                      .own = view_vector(own),
                      .temperature = view_vector(temperature),
                      .loss = view_vector(loss),
                      .top1 = view_vector(top1),
                      .grad_columns = column(dc)});

    CHECK(close(loss[0], std::log(10.0 / 5)));
    CHECK(top1[0] == 1);
    CHECK(close(dc[0], 0.2));
    CHECK(close(dc[1], 0.3));
    CHECK(close(dc[2], 0.5 - 1));
}

TEST_CASE_TEMPLATE("reference contrast: weights count in the denominator only, and not for top-1", T, float, double) {
    std::vector<T> query{1}, temperature{1};
    std::vector<T> columns = logarithms<T>({3, 2});
    std::vector<T> log_weight = logarithms<T>({2, 5});
    const std::vector<label_t> own{0};
    std::vector<T> loss(1), log_sum(1), top1(1), dc(2);

    run_reference<T>({.query = column(query),
                      .columns = column(columns),
                      .own = view_vector(own),
                      .temperature = view_vector(temperature),
                      .log_weight = view_vector(log_weight),
                      .loss = view_vector(loss),
                      .log_sum = view_vector(log_sum),
                      .top1 = view_vector(top1),
                      .grad_columns = column(dc)});

    CHECK(close(loss[0], std::log((2 * 3 + 5 * 2) / 3.0)));
    CHECK(close(log_sum[0], std::log(16.0)));
    CHECK(top1[0] == 1); // 5 * 2 > 2 * 3, but 3 > 2
    CHECK(close(dc[0], 6.0 / 16 - 1));
    CHECK(close(dc[1], 10.0 / 16));
}

TEST_CASE_TEMPLATE("reference contrast: column_id picks pool rows, column_count says how many of them", T, float,
                   double) {
    std::vector<T> query{1}, temperature{1};
    std::vector<T> columns = logarithms<T>({2, 3, 5, 7});
    const std::vector<index_t> id{3, 0, 1};
    const std::vector<index_t> count{2};
    std::vector<T> log_weight = logarithms<T>({1, 4, 9}); // of column_id, not of the pool
    const std::vector<label_t> own{3};
    std::vector<T> loss(1), all(1), dc(4, T{9});

    contrast<T, host> problem{.query = column(query),
                              .columns = column(columns),
                              .column_id = view_vector(id),
                              .column_count = view_vector(count),
                              .own = view_vector(own),
                              .temperature = view_vector(temperature),
                              .log_weight = view_vector(log_weight),
                              .loss = view_vector(loss),
                              .grad_columns = column(dc)};
    run_reference<T>(problem);
    problem.column_count = {};
    problem.loss = view_vector(all);
    problem.grad_columns = {};
    run_reference<T>(problem);

    CHECK(close(loss[0], std::log((7 + 4 * 2) / 7.0)));
    CHECK(close(all[0], std::log((7 + 4 * 2 + 9 * 3) / 7.0)));
    CHECK(close(dc[0], 8.0 / 15));
    CHECK(dc[1] == 0);
    CHECK(dc[2] == 0);
    CHECK(close(dc[3], 7.0 / 15 - 1));
}

TEST_CASE_TEMPLATE("reference contrast: self is left out of its row", T, float, double) {
    std::vector<T> query{1, 1}, temperature{1};
    std::vector<T> columns = logarithms<T>({2, 3, 5});
    const std::vector<label_t> own{1, 2};
    const std::vector<label_t> self{0, -1};
    std::vector<T> loss(2), dc(3);

    run_reference<T>({.query = column(query),
                      .columns = column(columns),
                      .own = view_vector(own),
                      .self = view_vector(self),
                      .temperature = view_vector(temperature),
                      .loss = view_vector(loss),
                      .grad_columns = column(dc)});

    CHECK(close(loss[0], std::log(8.0 / 3)));
    CHECK(close(loss[1], std::log(10.0 / 5)));
    CHECK(close(dc[0], 0.2));
    CHECK(close(dc[1], 3.0 / 8 - 1 + 0.3));
    CHECK(close(dc[2], 5.0 / 8 + 0.5 - 1));
}

TEST_CASE_TEMPLATE("reference contrast: columns of the row's group are left out, its positive excepted", T, float,
                   double) {
    std::vector<T> query{1, 1, 1}, temperature{1};
    std::vector<T> columns = logarithms<T>({2, 3, 5, 7});
    const std::vector<label_t> own{0, 0, 0};
    const std::vector<label_t> row_group{4, -1, 6};
    const std::vector<label_t> pool_group{4, 4, -1, 6};
    std::vector<T> loss(3);

    run_reference<T>({.query = column(query),
                      .columns = column(columns),
                      .own = view_vector(own),
                      .row_group = view_vector(row_group),
                      .pool_group = view_vector(pool_group),
                      .temperature = view_vector(temperature),
                      .loss = view_vector(loss)});

    CHECK(close(loss[0], std::log((2 + 5 + 7) / 2.0))); // without column 1
    CHECK(close(loss[1], std::log((2 + 3 + 5 + 7) / 2.0)));
    CHECK(close(loss[2], std::log((2 + 3 + 5) / 2.0))); // without column 3
}

TEST_CASE_TEMPLATE("reference contrast: groups leave out negatives of a positive outside the pool", T, float, double) {
    std::vector<T> query{1}, positive{0}, temperature{1};
    std::vector<T> columns = logarithms<T>({2, 3});
    const std::vector<label_t> row_group{4};
    const std::vector<label_t> pool_group{4, 5};
    std::vector<T> loss(1), dc(2, T{9});

    run_reference<T>({.query = column(query),
                      .columns = column(columns),
                      .positive = column(positive),
                      .row_group = view_vector(row_group),
                      .pool_group = view_vector(pool_group),
                      .temperature = view_vector(temperature),
                      .loss = view_vector(loss),
                      .grad_columns = column(dc)});

    CHECK(close(loss[0], std::log(4.0)));
    CHECK(dc[0] == 0);
    CHECK(close(dc[1], 0.75));
}

TEST_CASE_TEMPLATE("reference contrast: a row without a cluster takes no part", T, float, double) {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    std::vector<T> query{nan, 1}, temperature{1};
    std::vector<T> columns = logarithms<T>({2, 3});
    const std::vector<label_t> own{-1, 1};
    std::vector<T> loss(2, nan), log_sum(2, nan), top1(2, nan), dq(2, nan), dc(2, nan), dt(1, nan);

    run_reference<T>({.query = column(query),
                      .columns = column(columns),
                      .own = view_vector(own),
                      .temperature = view_vector(temperature),
                      .loss = view_vector(loss),
                      .log_sum = view_vector(log_sum),
                      .top1 = view_vector(top1),
                      .grad_query = column(dq),
                      .grad_columns = column(dc),
                      .grad_temperature = view_vector(dt)});

    CHECK(loss[0] == 0);
    CHECK(log_sum[0] == 0);
    CHECK(top1[0] == 0);
    CHECK(dq[0] == 0);
    CHECK(close(loss[1], std::log(5.0 / 3)));
    CHECK(close(dc[0], 0.4));
    CHECK(close(dc[1], -0.4));
    CHECK(close(dt[0], 0.4 * (std::log(3.0) - std::log(2.0))));
}

TEST_CASE_TEMPLATE("reference contrast: a row with nothing but its positive has loss 0 and no gradient", T, float,
                   double) {
    std::vector<T> query{3}, positive{5}, temperature{T(0.1)};
    std::vector<T> loss(1, T{9}), log_sum(1), top1(1), dq(1, T{9}), dp(1, T{9}), dt(1, T{9});

    run_reference<T>({.query = column(query),
                      .positive = column(positive),
                      .temperature = view_vector(temperature),
                      .loss = view_vector(loss),
                      .log_sum = view_vector(log_sum),
                      .top1 = view_vector(top1),
                      .grad_query = column(dq),
                      .grad_positive = column(dp),
                      .grad_temperature = view_vector(dt)});

    CHECK(loss[0] == 0);
    CHECK(close(log_sum[0], 15 / static_cast<double>(T(0.1))));
    CHECK(top1[0] == 1);
    CHECK(dq[0] == 0);
    CHECK(dp[0] == 0);
    CHECK(dt[0] == 0);
}

TEST_CASE_TEMPLATE("reference contrast: top-1 is shared among equal largest logits", T, float, double) {
    std::vector<T> query{1, 1, 1}, temperature{1};
    std::vector<T> columns{2, 1, 2, 2};
    const std::vector<label_t> own{2, 1, 0};
    const std::vector<label_t> self{-1, -1, 3};
    std::vector<T> positive{2, 3, 1}, among_columns(3), outside(3);

    run_reference<T>({.query = column(query),
                      .columns = column(columns),
                      .own = view_vector(own),
                      .self = view_vector(self),
                      .temperature = view_vector(temperature),
                      .top1 = view_vector(among_columns)});
    run_reference<T>({.query = column(query),
                      .columns = column(columns),
                      .positive = column(positive),
                      .temperature = view_vector(temperature),
                      .top1 = view_vector(outside)});

    CHECK(among_columns == std::vector<T>{T(1.0 / 3), 0, T(0.5)}); // what is left out is no competitor
    CHECK(outside == std::vector<T>{T(0.25), 1, 0});
}

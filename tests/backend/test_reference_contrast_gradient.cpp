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

TEST_CASE_TEMPLATE("reference contrast: each column has its own temperature, and its gradient", T, float, double) {
    std::vector<T> query{1}, temperature{2, T(0.5)};
    std::vector<T> columns{static_cast<T>(2 * std::log(3.0)), static_cast<T>(0.5 * std::log(2.0))};
    const std::vector<label_t> own{0};
    std::vector<T> loss(1), dq(1), dc(2), dt(2);

    run_reference<T>({.query = column(query),
                      .columns = column(columns),
                      .own = view_vector(own),
                      .temperature = view_vector(temperature),
                      .loss = view_vector(loss),
                      .grad_query = column(dq),
                      .grad_columns = column(dc),
                      .grad_temperature = view_vector(dt)});

    // e^s = 3, 2: dl/ds = -2/5, 2/5.
    const double s0 = std::log(3.0);
    const double s1 = std::log(2.0);
    CHECK(close(loss[0], std::log(5.0 / 3)));
    CHECK(close(dq[0], -0.4 * s0 + 0.4 * s1));
    CHECK(close(dc[0], -0.4 / 2));
    CHECK(close(dc[1], 0.4 / 0.5));
    CHECK(close(dt[0], 0.4 * s0 / 2));
    CHECK(close(dt[1], -0.4 * s1 / 0.5));
}

TEST_CASE_TEMPLATE("reference contrast: row_scale is a factor of every gradient, not of the loss", T, float, double) {
    std::vector<T> query{1, 1}, temperature{1}, one_scale{2}, two_scales{3, -1};
    std::vector<T> columns = logarithms<T>({2, 3});
    const std::vector<label_t> own{0, 1};
    std::vector<T> loss(2), dc(2), dq(2), scaled_dc(2);

    contrast<T, host> problem{.query = column(query),
                              .columns = column(columns),
                              .own = view_vector(own),
                              .temperature = view_vector(temperature),
                              .row_scale = view_vector(one_scale),
                              .loss = view_vector(loss),
                              .grad_columns = column(dc)};
    run_reference<T>(problem);
    problem.row_scale = view_vector(two_scales);
    problem.grad_columns = column(scaled_dc);
    problem.grad_query = column(dq);
    run_reference<T>(problem);

    // dl/ds: row 0 (-0.6, 0.6), row 1 (0.4, -0.4).
    CHECK(close(loss[0], std::log(5.0 / 2)));
    CHECK(close(dc[0], 2 * (-0.6 + 0.4)));
    CHECK(close(dc[1], 2 * (0.6 - 0.4)));
    CHECK(close(scaled_dc[0], 3 * -0.6 - 0.4));
    CHECK(close(scaled_dc[1], 3 * 0.6 + 0.4));
    CHECK(close(dq[0], 3 * 0.6 * (std::log(3.0) - std::log(2.0))));
    CHECK(close(dq[1], 0.4 * (std::log(3.0) - std::log(2.0))));
}

TEST_CASE_TEMPLATE("reference contrast: accumulate adds to every gradient", T, float, double) {
    std::vector<T> query{1}, positive{0}, temperature{1};
    std::vector<T> columns = logarithms<T>({3});
    std::vector<T> dq{10}, dp{20}, dc{30}, dt{40};

    run_reference<T>({.query = column(query),
                      .columns = column(columns),
                      .positive = column(positive),
                      .temperature = view_vector(temperature),
                      .accumulate = true,
                      .grad_query = column(dq),
                      .grad_positive = column(dp),
                      .grad_columns = column(dc),
                      .grad_temperature = view_vector(dt)});

    CHECK(close(dq[0], 10 + 0.75 * std::log(3.0)));
    CHECK(close(dp[0], 20 - 0.75));
    CHECK(close(dc[0], 30 + 0.75));
    CHECK(close(dt[0], 40 - 0.75 * std::log(3.0)));
}

TEST_CASE_TEMPLATE("reference contrast: with one gradient for queries and columns both parts add", T, float, double) {
    // NT-Xent of two rows and a third: query = pool, self left out.
    std::vector<T> z{1, 2, -1}, temperature{1};
    const std::vector<label_t> own{1, 0, 0};
    const std::vector<label_t> self{0, 1, 2};
    std::vector<T> dq(3), dc(3), both(3, T{9}), added{1, 2, 3};

    contrast<T, host> problem{.query = column(z),
                              .columns = column(z),
                              .own = view_vector(own),
                              .self = view_vector(self),
                              .temperature = view_vector(temperature),
                              .grad_query = column(dq),
                              .grad_columns = column(dc)};
    run_reference<T>(problem);
    problem.grad_query = column(both);
    problem.grad_columns = column(both);
    run_reference<T>(problem);
    problem.accumulate = true;
    problem.grad_query = column(added);
    problem.grad_columns = column(added);
    run_reference<T>(problem);

    // Row 0: columns 1 and 2 with logits 2 and -1.
    const double p = 1 / (1 + std::exp(3.0));
    CHECK(close(dq[0], p * (-1 - 2)));
    for (std::size_t i = 0; i < 3; ++i) {
        const double sum = static_cast<double>(dq[i]) + static_cast<double>(dc[i]);
        CHECK(close(both[i], sum, 8));
        CHECK(close(added[i], sum + static_cast<double>(i + 1), 8));
    }
}

TEST_CASE_TEMPLATE("reference contrast: a later problem adds to gradients that an earlier one wrote", T, float,
                   double) {
    reference_backend<T> be;
    std::vector<T> query{1}, temperature{1};
    std::vector<T> first_columns = logarithms<T>({2, 3});
    std::vector<T> second_columns = logarithms<T>({1, 4});
    const std::vector<label_t> own{0};
    std::vector<T> dq{99};
    const contrast<T, host> first{.query = column(query),
                                  .columns = column(first_columns),
                                  .own = view_vector(own),
                                  .temperature = view_vector(temperature),
                                  .grad_query = column(dq)};
    contrast<T, host> second = first;
    second.columns = column(second_columns);
    second.accumulate = true;

    const std::vector<contrast<T, host>> problems{first, second};
    be.softmax_contrast(problems);

    CHECK(close(dq[0], 0.6 * (std::log(3.0) - std::log(2.0)) + 0.8 * std::log(4.0)));
}

TEST_CASE("reference contrast: a tiny loss keeps its digits, and a huge one does not overflow") {
    std::vector<double> query{1}, temperature{0.01};
    std::vector<double> columns{0, 0.5, -10};
    std::vector<double> easy{1}, hard{-10};
    std::vector<double> loss(1), dp(1);

    run_reference<double>({.query = column(query),
                           .columns = column(columns),
                           .positive = column(easy),
                           .temperature = view_vector(temperature),
                           .loss = view_vector(loss),
                           .grad_positive = column(dp)});
    const double others = std::exp(-50.0); // of the logits 100, 0, 50, -1000
    CHECK(std::abs(loss[0] / others - 1) < 1e-14);
    CHECK(std::abs(dp[0] / (-100 * others) - 1) < 1e-14);

    run_reference<double>({.query = column(query),
                           .columns = column(columns),
                           .positive = column(hard),
                           .temperature = view_vector(temperature),
                           .loss = view_vector(loss),
                           .grad_positive = column(dp)});
    CHECK(close(loss[0], 1050.0));
    CHECK(close(dp[0], -100.0));
}

TEST_CASE_TEMPLATE("reference contrast: NaN in a feature comes out as NaN", T, float, double) {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    std::vector<T> temperature{1};
    for (const int where : {0, 1, 2}) {
        std::vector<T> query{where == 0 ? nan : T{1}}, positive{where == 1 ? nan : T{1}},
            columns{where == 2 ? nan : T{1}};
        std::vector<T> loss(1), log_sum(1), top1(1), dq(1), dp(1), dc(1), dt(1);

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

        CAPTURE(where);
        for (const T value : {loss[0], log_sum[0], top1[0], dq[0], dp[0], dc[0], dt[0]}) {
            CHECK(std::isnan(value));
        }
    }
}

TEST_CASE_TEMPLATE("reference contrast: several columns and strided views", T, float, double) {
    // Two rows of two features, each row one value apart from the next.
    const T gap = std::numeric_limits<T>::quiet_NaN();
    std::vector<T> query{1, 0, gap, 0, 2, gap}, columns{1, 1, gap, 0, 1, gap}, temperature{T(0.5)};
    const std::vector<label_t> own{0, 1};
    std::vector<T> loss(2), dq{9, 9, gap, 9, 9, gap}, dc{9, 9, gap, 9, 9, gap};

    run_reference<T>({.query = {query.data(), 2, 2, 3},
                      .columns = {columns.data(), 2, 2, 3},
                      .own = view_vector(own),
                      .temperature = view_vector(temperature),
                      .loss = view_vector(loss),
                      .grad_query = {dq.data(), 2, 2, 3},
                      .grad_columns = {dc.data(), 2, 2, 3}});

    // Logits: row 0 (2, 0), row 1 (4, 4). dl/ds: row 0 (-a, a) with a = 1 / (1 + e^2), row 1 (1/2, -1/2).
    const double a = 1 / (1 + std::exp(2.0));
    CHECK(close(loss[0], std::log1p(std::exp(-2.0))));
    CHECK(close(loss[1], std::log(2.0)));
    CHECK(close(dq[0], 2 * -a)); // (-a (1, 1) + a (0, 1)) / 0.5
    CHECK(close(dq[1], 0.0));
    CHECK(close(dq[3], 2 * 0.5));
    CHECK(close(dq[4], 0.0));
    CHECK(close(dc[0], 2 * -a)); // (-a (1, 0) + 1/2 (0, 2)) / 0.5
    CHECK(close(dc[1], 2.0));
    CHECK(close(dc[3], 2 * a));
    CHECK(close(dc[4], -2.0));
    CHECK(std::isnan(dq[2]));
    CHECK(std::isnan(dc[5]));
}

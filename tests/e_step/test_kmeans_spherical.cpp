// SPDX-License-Identifier: MIT
#include "e_step/snapshot.hpp"
#include "support/backends.hpp"
#include "support/random.hpp"

#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

using namespace protonce;

TEST_CASE_TEMPLATE("kmeans: spherical centroids are unit, and the inertia is the sum of 2 - 2 x.m", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 21);
    const index_t rows = 240;
    const index_t cols = 7;
    const auto x = random.template unit_rows<value>(rows, cols);
    clustering<B> level(be, rows, cols, 9);

    const auto report = kmeans(be, x.view(), {.iterations = 50, .spherical = true}, level);

    const auto centroids = std::as_const(level).centroids();
    // Rows and centroids have coordinates rounded to T: norms, and x.m, off by at most eps sqrt(C) in the worst case.
    const double rounding = 2 * std::numeric_limits<value>::epsilon() * std::sqrt(double(cols));
    double sum = 0;
    for (index_t i = 0; i < rows; ++i) {
        double own = 0;
        double best = -2;
        for (index_t k = 0; k < 9; ++k) {
            double product = 0;
            for (index_t j = 0; j < cols; ++j) {
                product += double(x(i, j)) * double(centroids(k, j));
            }
            best = std::max(best, product);
            own = k == level.assignment()[i] ? product : own;
        }
        CHECK(own >= best - 4 * rounding);
        sum += 2 - 2 * own;
    }
    CHECK(std::abs(report.inertia - sum) <= 2 * double(rows) * rounding);
    for (index_t k = 0; k < 9; ++k) {
        double square = 0;
        for (const value m : centroids.row(k)) {
            square += double(m) * double(m);
        }
        CHECK(std::abs(square - 1) <= 2 * rounding);
    }
    CHECK(test::values_of(centroids) == test::values_of(std::as_const(level).prototypes()));
}

TEST_CASE_TEMPLATE("kmeans: spherical normalises the first centroids", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(3, 2, {1, 0, 0, 1, 0.6, 0.8});
    // By distance to these, the third row would go to the first centroid; by inner product it goes to the second.
    const auto init = test::matrix_from<value>(2, 2, {0.5, 0, 0, 16});
    clustering<B> level(be, 3, 2, 2);

    kmeans(be, {.features = x.view(), .initial_centroids = init.view()},
           {.iterations = 0, .init = kmeans_init::given, .spherical = true}, level);

    CHECK(test::values_of(std::as_const(level).centroids()) == std::vector<value>{1, 0, 0, 1});
    CHECK(test::values_of(std::as_const(level).assignment()) == std::vector<label_t>{0, 1, 1});
}

TEST_CASE_TEMPLATE("kmeans: a spherical mean of norm 0 leaves its centroid where it was, and is counted", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(2, 2, {1, 0, -1, 0});
    const auto init = test::matrix_from<value>(1, 2, {0, 1});
    clustering<B> level(be, 2, 2, 1);

    const auto report = kmeans(be, {.features = x.view(), .initial_centroids = init.view()},
                               {.init = kmeans_init::given, .spherical = true}, level);

    CHECK(test::values_of(std::as_const(level).centroids()) == std::vector<value>{0, 1});
    CHECK(report.num_zero_means == 1);
    CHECK(report.inertia == 4.0); // 2 - 2 x.m is 2 for both, whatever m
    CHECK(report.converged);
}

TEST_CASE_TEMPLATE("kmeans: spherical keeps an empty cluster's centroid to the last bit", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 22);
    // All rows in the positive orthant, one centroid opposite.
    auto x = random.template unit_rows<value>(50, 3);
    for (index_t i = 0; i < 50; ++i) {
        for (index_t j = 0; j < 3; ++j) {
            x(i, j) = std::abs(x(i, j));
        }
    }
    const auto init = test::matrix_from<value>(2, 3, {1, 1, 1, -1, -2, -3});
    const kmeans_inputs<B> in{.features = x.view(), .initial_centroids = init.view()};
    clustering<B> start(be, 50, 3, 2);
    clustering<B> end(be, 50, 3, 2);
    kmeans_options options{
        .iterations = 0, .init = kmeans_init::given, .spherical = true, .on_empty = empty_cluster::keep};
    kmeans(be, in, options, start);

    options.iterations = 7;
    const auto report = kmeans(be, in, options, end);

    CHECK(report.num_empty == 1);
    CHECK(report.converged);
    for (index_t j = 0; j < 3; ++j) {
        CHECK(end.centroids()(1, j) == start.centroids()(1, j));
    }
}

TEST_CASE_TEMPLATE("kmeans: spherical refuses a row that is not unit, and takes one that is off by rounding", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 23);
    auto x = random.template unit_rows<value>(20, 4);
    clustering<B> level(be, 20, 4, 3);
    test::scribble(be, level);
    const auto before = test::snapshot_of(level);
    const auto scale_row = [&](double factor) {
        for (index_t j = 0; j < 4; ++j) {
            x(6, j) = value(double(x(6, j)) * factor);
        }
    };

    scale_row(1.001);
    CHECK_THROWS_WITH_AS(kmeans(be, x.view(), {.spherical = true}, level),
                         doctest::Contains("kmeans: features: must have rows of norm 1, within 1e-04, with spherical "
                                           "(see normalize_rows); got norm 1.0"),
                         argument_error);
    CHECK_THROWS_WITH_AS(kmeans(be, x.view(), {.spherical = true}, level), doctest::Contains(" in row 6"),
                         argument_error);
    CHECK(test::snapshot_of(level) == before);

    scale_row(1.00005 / 1.001);
    CHECK_NOTHROW(kmeans(be, x.view(), {.spherical = true}, level));
}

TEST_CASE_TEMPLATE("kmeans: spherical refuses a first centroid without direction", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(3, 2, {1, 0, 0, 1, 1, 0});
    const auto init = test::matrix_from<value>(2, 2, {1, 0, 0, 0});
    clustering<B> level(be, 3, 2, 2);

    CHECK_THROWS_WITH_AS(kmeans(be, {.features = x.view(), .initial_centroids = init.view()},
                                {.init = kmeans_init::given, .spherical = true}, level),
                         "kmeans: initial_centroids: must not have a row of zeros with spherical; got norm 0 in row 1",
                         argument_error);
}

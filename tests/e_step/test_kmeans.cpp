// SPDX-License-Identifier: MIT
#include "e_step/snapshot.hpp"
#include "support/backends.hpp"
#include "support/random.hpp"

#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

using namespace protonce;

namespace {

/// 1-D points 0 1 10 11 and two centroids beside them.
template <class T>
struct four_points {
    test::matrix<T> x = test::matrix_from<T>(4, 1, {0, 1, 10, 11});
    test::matrix<T> init = test::matrix_from<T>(2, 1, {2, 4});
};

} // namespace

TEST_CASE_TEMPLATE("kmeans: one iteration assigns, moves and assigns again", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const four_points<value> data;
    clustering<B> level(be, 4, 1, 2);

    const auto report = kmeans(be, {.features = data.x.view(), .initial_centroids = data.init.view()},
                               {.iterations = 1, .init = kmeans_init::given}, level);

    // 0 and 1 go to 2, 10 and 11 to 4: means 0.5 and 10.5.
    CHECK(test::values_of(std::as_const(level).centroids()) == std::vector<value>{value(0.5), value(10.5)});
    CHECK(test::values_of(std::as_const(level).assignment()) == std::vector<label_t>{0, 0, 1, 1});
    CHECK(test::values_of(std::as_const(level).squared_distance()) == std::vector<double>{0.25, 0.25, 0.25, 0.25});
    CHECK(test::values_of(std::as_const(level).prototypes()) == std::vector<value>{1, 1});
    CHECK(report.inertia == 1.0);
    CHECK(report.iterations == 1);
    CHECK(!report.converged);
    CHECK(report.num_clusters == 2);
    CHECK(report.num_empty == 0);
    CHECK(report.best_restart == 0);
}

TEST_CASE_TEMPLATE("kmeans: no iterations are one assignment to the given centroids", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const four_points<value> data;
    clustering<B> level(be, 4, 1, 2);

    const auto report = kmeans(be, {.features = data.x.view(), .initial_centroids = data.init.view()},
                               {.iterations = 0, .init = kmeans_init::given}, level);

    CHECK(test::values_of(std::as_const(level).centroids()) == std::vector<value>{2, 4});
    CHECK(test::values_of(std::as_const(level).assignment()) == std::vector<label_t>{0, 0, 1, 1});
    CHECK(report.inertia == 4.0 + 1.0 + 36.0 + 49.0);
    CHECK(report.iterations == 0);
    CHECK(!report.converged);
}

TEST_CASE_TEMPLATE("kmeans: stops when an assignment repeats, and counts the update that found it", B, TEST_BACKENDS) {
    B be;
    const four_points<value_of<B>> data;
    clustering<B> level(be, 4, 1, 2);

    const auto report = kmeans(be, {.features = data.x.view(), .initial_centroids = data.init.view()},
                               {.iterations = 20, .init = kmeans_init::given}, level);

    CHECK(report.iterations == 2);
    CHECK(report.converged);
    CHECK(report.inertia == 1.0);
}

TEST_CASE_TEMPLATE("kmeans: equal distances go to the lowest number, whole numbers far from 0 included", B,
                   TEST_BACKENDS) {
    B be;
    for (const double offset : {0.0, 3.0, 1000.0, 65536.0}) {
        CAPTURE(offset);
        // The rows 2 and 6 lie between two centroids each.
        const auto x = test::matrix_from<value_of<B>>(5, 1, {offset, offset + 2, offset + 4, offset + 6, offset + 9});
        const auto init = test::matrix_from<value_of<B>>(3, 1, {offset + 8, offset + 4, offset});
        clustering<B> level(be, 5, 1, 3);

        kmeans(be, {.features = x.view(), .initial_centroids = init.view()},
               {.iterations = 0, .init = kmeans_init::given}, level);

        CHECK(test::values_of(std::as_const(level).assignment()) == std::vector<label_t>{2, 1, 1, 0, 0});
    }
}

TEST_CASE_TEMPLATE("kmeans: tolerance is the squared shift over the mean variance of a feature", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 11);
    const auto x = random.template normal_matrix<value>(300, 3);
    const auto init = random.template normal_matrix<value>(9, 3);
    const kmeans_inputs<B> in{.features = x.view(), .initial_centroids = init.view()};
    clustering<B> level(be, 300, 3, 9);
    double variance = 0;
    for (index_t j = 0; j < 3; ++j) {
        double mean = 0;
        double square = 0;
        for (index_t i = 0; i < 300; ++i) {
            mean += double(x(i, j)) / 300;
        }
        for (index_t i = 0; i < 300; ++i) {
            square += (double(x(i, j)) - mean) * (double(x(i, j)) - mean) / 300;
        }
        variance += square / 3;
    }
    // Relative shift of each update, from runs of growing length.
    std::vector<double> shift;
    auto before = test::values_of(init.view());
    for (int t = 1; t <= 8; ++t) {
        kmeans(be, in, {.iterations = t, .init = kmeans_init::given}, level);
        const auto after = test::values_of(std::as_const(level).centroids());
        double sum = 0;
        for (std::size_t i = 0; i < after.size(); ++i) {
            sum += (double(after[i]) - double(before[i])) * (double(after[i]) - double(before[i]));
        }
        shift.push_back(sum / variance);
        before = after;
    }

    for (std::size_t t = 0; t < shift.size(); ++t) {
        // The first update whose shift is at most the tolerance is the last one; 1 % keeps clear of rounding.
        const double tolerance = 1.01 * shift[t];
        CAPTURE(tolerance);
        int expected = 0;
        while (shift[static_cast<std::size_t>(expected)] > tolerance) {
            ++expected;
        }

        const auto report =
            kmeans(be, in, {.iterations = 300, .tolerance = tolerance, .init = kmeans_init::given}, level);

        CHECK(report.iterations == expected + 1);
        CHECK(report.converged);
    }
}

TEST_CASE_TEMPLATE("kmeans: after a stop by tolerance the labels belong to the returned centroids", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 12);
    const auto x = random.template normal_matrix<value>(200, 2);
    clustering<B> level(be, 200, 2, 8);

    const auto report = kmeans(be, x.view(), {.iterations = 300, .tolerance = 0.05}, level);

    const auto centroids = std::as_const(level).centroids();
    double inertia = 0;
    for (index_t i = 0; i < 200; ++i) {
        const auto own = test::squared_distance(x.view(), i, centroids, level.assignment()[i]);
        CHECK(level.squared_distance()[i] == doctest::Approx(own).epsilon(1e-13));
        inertia += own;
    }
    CHECK(report.inertia == doctest::Approx(inertia).epsilon(1e-12));
}

TEST_CASE_TEMPLATE("kmeans: as many clusters as rows puts each row on its own centroid", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 13);
    const auto x = random.template normal_matrix<value>(17, 3);
    clustering<B> level(be, 17, 3, 17);

    for (const auto init : {kmeans_init::plus_plus, kmeans_init::random_rows}) {
        const auto report = kmeans(be, x.view(), {.init = init}, level);

        CHECK(report.inertia == 0.0);
        CHECK(report.num_empty == 0);
        CHECK(report.converged);
    }
}

TEST_CASE_TEMPLATE("kmeans: one cluster has the mean of all rows", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(4, 2, {1, 2, 3, 4, 5, 6, 7, 12});
    clustering<B> level(be, 4, 2, 1);

    const auto report = kmeans(be, x.view(), {}, level);

    CHECK(test::values_of(std::as_const(level).centroids()) == std::vector<value>{4, 6});
    CHECK(report.inertia == (9 + 16) + (1 + 4) + 1 + (9 + 36));
}

TEST_CASE_TEMPLATE("kmeans: one row, one column, one cluster", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(1, 1, {-3});
    clustering<B> level(be, 1, 1, 1);

    const auto report = kmeans(be, x.view(), {}, level);

    CHECK(level.centroids()(0, 0) == value(-3));
    CHECK(level.prototypes()(0, 0) == value(-1));
    CHECK(level.assignment()[0] == 0);
    CHECK(report.inertia == 0.0);
}

TEST_CASE_TEMPLATE("kmeans: a weight moves the mean, and counts in the inertia", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(4, 1, {0, 4, 20, 100});
    const auto init = test::matrix_from<value>(2, 1, {0, 20});
    const std::vector<value> weight{3, 1, 2, 0};
    clustering<B> level(be, 4, 1, 2);

    const auto report =
        kmeans(be, {.features = x.view(), .weight = view_vector(weight), .initial_centroids = init.view()},
               {.init = kmeans_init::given}, level);

    // The row of weight 0 is assigned and has a distance, but moves nothing.
    CHECK(test::values_of(std::as_const(level).centroids()) == std::vector<value>{1, 20});
    CHECK(test::values_of(std::as_const(level).assignment()) == std::vector<label_t>{0, 0, 1, 1});
    CHECK(test::values_of(std::as_const(level).squared_distance()) == std::vector<double>{1, 9, 0, 6400});
    CHECK(report.inertia == 3.0 + 9.0);
}

TEST_CASE_TEMPLATE("kmeans: a centroid of norm 0 has a prototype of zeros and is counted", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(4, 2, {1, 0, -1, 0, 9, 8, 9, 8});
    const auto init = test::matrix_from<value>(2, 2, {0, 0, 9, 8});
    clustering<B> level(be, 4, 2, 2);

    const auto report =
        kmeans(be, {.features = x.view(), .initial_centroids = init.view()}, {.init = kmeans_init::given}, level);

    CHECK(report.num_zero_means == 1);
    CHECK(level.prototypes()(0, 0) == value(0));
    CHECK(level.prototypes()(0, 1) == value(0));
}

TEST_CASE_TEMPLATE("kmeans: centroids of the result can be its own first centroids", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 14);
    const auto x = random.template normal_matrix<value>(150, 4);
    clustering<B> once(be, 150, 4, 6);
    clustering<B> twice(be, 150, 4, 6);
    kmeans(be, x.view(), {.iterations = 5, .seed = 3}, once);
    kmeans(be, x.view(), {.iterations = 2, .seed = 3}, twice);

    kmeans(be, {.features = x.view(), .initial_centroids = twice.centroids()},
           {.iterations = 3, .init = kmeans_init::given}, twice);

    CHECK(test::snapshot_of(once) == test::snapshot_of(twice));
}

TEST_CASE_TEMPLATE("kmeans: rows and first centroids may have a stride", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 15);
    const auto wide = random.template normal_matrix<value>(90, 5, 3);
    const auto wide_init = random.template normal_matrix<value>(4, 5, 2);
    test::matrix<value> dense(90, 5);
    test::matrix<value> dense_init(4, 5);
    for (index_t j = 0; j < 5; ++j) {
        for (index_t i = 0; i < 90; ++i) {
            dense(i, j) = wide(i, j);
        }
        for (index_t k = 0; k < 4; ++k) {
            dense_init(k, j) = wide_init(k, j);
        }
    }
    clustering<B> a(be, 90, 5, 4);
    clustering<B> b(be, 90, 5, 4);

    kmeans(be, {.features = wide.view(), .initial_centroids = wide_init.view()}, {.init = kmeans_init::given}, a);
    kmeans(be, {.features = dense.view(), .initial_centroids = dense_init.view()}, {.init = kmeans_init::given}, b);

    CHECK(test::snapshot_of(a) == test::snapshot_of(b));
}

TEST_CASE_TEMPLATE("kmeans: with the check for finite values off, NaN in gives NaN out", B, TEST_BACKENDS) {
    using value = value_of<B>;
    auto be = test::backend_checking<B>(false);
    TEST_RANDOM(random, 16);
    auto x = random.template normal_matrix<value>(60, 3);
    x(7, 1) = std::numeric_limits<value>::quiet_NaN();
    clustering<B> level(be, 60, 3, 5);

    for (const auto init : {kmeans_init::plus_plus, kmeans_init::random_rows}) {
        const auto report = kmeans(be, x.view(), {.iterations = 4, .restarts = 2, .init = init}, level);

        CHECK(std::isnan(report.inertia));
    }
}

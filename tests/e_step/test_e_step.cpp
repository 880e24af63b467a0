// SPDX-License-Identifier: MIT
#include "e_step/snapshot.hpp"
#include "support/backends.hpp"
#include "support/random.hpp"

#include <protonce/e_step/e_step.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

using namespace protonce;

namespace {

constexpr index_t num_rows = 240;
constexpr index_t num_cols = 6;

template <class B>
std::vector<clustering<B>> make_levels(B& be, const std::vector<index_t>& clusters = {4, 9, 20}) {
    std::vector<clustering<B>> levels;
    for (const index_t k : clusters) {
        levels.emplace_back(be, num_rows, num_cols, k);
    }
    return levels;
}

template <class B>
auto snapshots_of(const std::vector<clustering<B>>& levels) {
    std::vector<test::snapshot<value_of<B>>> out;
    for (const auto& level : levels) {
        out.push_back(test::snapshot_of(level));
    }
    return out;
}

/// The rows of the next epoch: the same, moved a little, and unit again.
template <class T>
test::matrix<T> moved(const test::matrix<T>& x, test::random_source& random) {
    auto out = x;
    for (index_t i = 0; i < x.rows(); ++i) {
        double square = 0;
        std::vector<double> row;
        for (index_t j = 0; j < x.cols(); ++j) {
            row.push_back(double(x(i, j)) + 0.05 * random.normal());
            square += row.back() * row.back();
        }
        for (index_t j = 0; j < x.cols(); ++j) {
            out(i, j) = static_cast<T>(row[static_cast<std::size_t>(j)] / std::sqrt(square));
        }
    }
    return out;
}

} // namespace

TEST_CASE_TEMPLATE("e_step: the first epoch is kmeans from random rows with seed + m, then concentration", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 101);
    const auto x = random.template unit_rows<value>(num_rows, num_cols);
    auto levels = make_levels(be);
    auto expected = make_levels(be);
    std::vector<e_step_report> reports(3);

    e_step(be, x.view(), {.iterations = 7, .restarts = 3, .temperature = 0.15, .seed = 40}, levels, reports);

    for (std::uint32_t m = 0; m < 3; ++m) {
        CAPTURE(m);
        const auto report =
            kmeans(be, x.view(),
                   {.iterations = 7, .restarts = 3, .seed = 40 + m, .init = kmeans_init::random_rows, .level = m},
                   expected[m]);
        concentration(be, expected[m].spread(), {.temperature = 0.15}, expected[m].temperatures());
        CHECK(test::snapshot_of(levels[m]) == test::snapshot_of(expected[m]));
        CHECK(reports[m].clusters.inertia == report.inertia);
        CHECK(reports[m].clusters.best_restart == report.best_restart);
        CHECK(!reports[m].concentration.is_degenerate);
    }
}

TEST_CASE_TEMPLATE("e_step: a later epoch is one run from the previous centroids", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 102);
    const auto x = random.template unit_rows<value>(num_rows, num_cols);
    const auto next = moved(x, random);
    auto previous = make_levels(be);
    auto levels = make_levels(be);
    auto expected = make_levels(be);
    std::vector<e_step_report> reports(3);
    e_step(be, x.view(), {}, previous);
    const auto before = snapshots_of(previous);

    e_step(be, {.features = next.view(), .previous = previous}, {.iterations = 4}, levels, reports);

    CHECK(snapshots_of(previous) == before);
    for (std::size_t m = 0; m < 3; ++m) {
        CAPTURE(m);
        const kmeans_inputs<B> in{.features = next.view(), .initial_centroids = previous[m].centroids()};
        const double start = kmeans(be, in, {.iterations = 0, .init = kmeans_init::given}, expected[m]).inertia;
        kmeans(be, in, {.iterations = 4, .init = kmeans_init::given}, expected[m]);
        concentration(be, expected[m].spread(), {}, expected[m].temperatures());
        CHECK(test::snapshot_of(levels[m]) == test::snapshot_of(expected[m]));
        CHECK(reports[m].clusters.inertia <= start);
    }
}

TEST_CASE_TEMPLATE("e_step: levels may be updated in place", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 103);
    const auto x = random.template unit_rows<value>(num_rows, num_cols);
    const auto next = moved(x, random);
    auto in_place = make_levels(be);
    auto apart = make_levels(be);
    e_step(be, x.view(), {}, in_place);

    e_step(be, {.features = next.view(), .previous = in_place}, {}, apart);
    e_step(be, {.features = next.view(), .previous = in_place}, {}, in_place);

    CHECK(snapshots_of(in_place) == snapshots_of(apart));
}

TEST_CASE_TEMPLATE("e_step: previous levels may be of another number of rows", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 104);
    const auto few = random.template unit_rows<value>(60, num_cols);
    const auto x = random.template unit_rows<value>(num_rows, num_cols);
    std::vector<clustering<B>> previous;
    previous.emplace_back(be, 60, num_cols, 4);
    e_step(be, few.view(), {}, previous);
    auto levels = make_levels(be, {4});

    CHECK_NOTHROW(e_step(be, {.features = x.view(), .previous = previous}, {}, levels));
    CHECK(levels[0].assignment()[num_rows - 1] >= 0);
}

TEST_CASE_TEMPLATE("e_step: spherical levels have unit centroids", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 105);
    const auto x = random.template unit_rows<value>(num_rows, num_cols);
    auto levels = make_levels(be);

    e_step(be, x.view(), {.spherical = true}, levels);
    e_step(be, {.features = x.view(), .previous = levels}, {.spherical = true}, levels);

    for (const auto& level : levels) {
        CHECK(test::snapshot_of(level).centroids == test::snapshot_of(level).prototypes);
    }
}

TEST_CASE_TEMPLATE("e_step: weights enter K-means and not the concentration", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 106);
    const auto x = random.template unit_rows<value>(num_rows, num_cols);
    const auto weight = random.template uniform_values<value>(num_rows, 0.5, 3.0);
    auto levels = make_levels(be, {7});
    auto expected = make_levels(be, {7});

    e_step(be, {.features = x.view(), .weight = view_vector(weight)}, {.restarts = 2}, levels);

    kmeans(be, {.features = x.view(), .weight = view_vector(weight)}, {.restarts = 2, .init = kmeans_init::random_rows},
           expected[0]);
    concentration(be, expected[0].spread(), {}, expected[0].temperatures());
    CHECK(snapshots_of(levels) == snapshots_of(expected));
}

TEST_CASE_TEMPLATE("e_step: no levels are no work", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(2, 1, {1, -1});
    CHECK_NOTHROW(e_step(be, x.view(), {}, {}));
}

TEST_CASE_TEMPLATE("e_step: bad input is refused by name, with every level untouched", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 107);
    auto x = random.template unit_rows<value>(num_rows, num_cols);
    auto levels = make_levels(be);
    auto previous = make_levels(be);
    e_step(be, x.view(), {}, previous);
    for (auto& level : levels) {
        test::scribble(be, level);
    }
    const auto before = snapshots_of(levels);
    std::vector<e_step_report> two_reports(2);
    const double nan = std::numeric_limits<double>::quiet_NaN();

    CHECK_THROWS_WITH_AS(e_step(be, x.view(), {.iterations = -1}, levels),
                         "e_step: iterations: must be at least 0; got -1", argument_error);
    CHECK_THROWS_WITH_AS(e_step(be, x.view(), {.restarts = 0}, levels), "e_step: restarts: must be at least 1; got 0",
                         argument_error);
    CHECK_THROWS_WITH_AS(e_step(be, {.features = x.view(), .previous = previous}, {.restarts = 0}, levels),
                         "e_step: restarts: must be at least 1; got 0", argument_error);
    CHECK_THROWS_AS(e_step(be, x.view(), {.tolerance = nan}, levels), argument_error);
    CHECK_THROWS_WITH_AS(e_step(be, x.view(), {.temperature = -2}, levels),
                         "e_step: temperature: must be positive and finite; got -2", argument_error);
    CHECK_THROWS_AS(e_step(be, x.view(), {.smoothing = -2}, levels), argument_error);
    CHECK_THROWS_WITH_AS(e_step(be, x.view(), {}, levels, two_reports),
                         "e_step: reports: must be empty or one a level, 3; got 2", shape_error);
    CHECK_THROWS_WITH_AS(e_step(be, {.features = x.view(), .previous = std::span(previous).first(1)}, {}, levels),
                         "e_step: previous: must be empty or one a level, 3; got 1", shape_error);
    CHECK_THROWS_WITH_AS(e_step(be, x.view().slice(0, 19), {}, levels),
                         "e_step: levels[0].assignment: must hold 19 values; got 240", shape_error);
    CHECK_THROWS_WITH_AS(e_step(be, matrix_view<const value>{}, {}, levels),
                         "e_step: features: must be given and hold at least one row and one column; got (0, 0)",
                         shape_error);
    auto swapped = make_levels(be, {4, 20, 9});
    CHECK_THROWS_WITH_AS(e_step(be, {.features = x.view(), .previous = swapped}, {}, levels),
                         "e_step: previous[1].centroids: must be (9, 6); got (20, 6)", shape_error);
    previous[2].centroids()(19, 0) = std::numeric_limits<value>::quiet_NaN();
    CHECK_THROWS_WITH_AS(e_step(be, {.features = x.view(), .previous = previous}, {}, levels),
                         "e_step: previous[2].centroids: must be finite everywhere; got NaN or infinity in row 19",
                         argument_error);
    x(3, 1) = value(2);
    CHECK_THROWS_AS(e_step(be, x.view(), {.spherical = true}, levels), argument_error);
    x(3, 1) = std::numeric_limits<value>::infinity();
    CHECK_THROWS_WITH_AS(e_step(be, x.view(), {}, levels),
                         "e_step: features: must be finite everywhere; got NaN or infinity in row 3", argument_error);
    auto many = make_levels(be, {4, 241});
    CHECK_THROWS_WITH_AS(e_step(be, x.view(), {}, many),
                         "e_step: levels[1]: must have at most as many clusters as rows; got 241 clusters, 240 rows",
                         argument_error);
    CHECK(snapshots_of(levels) == before);
}

TEST_CASE_TEMPLATE("e_step: bitwise the same for 1, 2, 3 and 7 threads", B, TEST_THREADED_BACKENDS) {
    using value = value_of<B>;
    TEST_RANDOM(random, 108);
    const index_t rows = 1500;
    const auto x = random.template unit_rows<value>(rows, 18);
    const auto all_of = [&](int threads) {
        B be(cpu_options{.threads = threads});
        std::vector<clustering<B>> levels;
        levels.emplace_back(be, rows, 18, 12);
        levels.emplace_back(be, rows, 18, 50);
        e_step(be, x.view(), {.iterations = 6, .restarts = 2}, levels);
        e_step(be, {.features = x.view(), .previous = levels}, {.iterations = 3}, levels);
        return snapshots_of(levels);
    };

    const auto one = all_of(1);

    for (const int threads : {2, 3, 7}) {
        CAPTURE(threads);
        CHECK(all_of(threads) == one);
    }
}

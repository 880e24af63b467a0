// SPDX-License-Identifier: MIT
#include "e_step/snapshot.hpp"
#include "support/backends.hpp"
#include "support/counting_resource.hpp"
#include "support/random.hpp"

#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

using namespace protonce;

TEST_CASE_TEMPLATE("clustering: starts with every sample in no cluster and everything else 0", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const clustering<B> level(be, 3, 2, 4);

    CHECK(level.num_rows() == 3);
    CHECK(level.num_cols() == 2);
    CHECK(level.num_clusters() == 4);
    const auto content = test::snapshot_of(level);
    CHECK(content.centroids == std::vector<value>(8, value(0)));
    CHECK(content.prototypes == std::vector<value>(8, value(0)));
    CHECK(content.temperatures == std::vector<value>(4, value(0)));
    CHECK(content.assignment == std::vector<label_t>(3, -1));
    CHECK(content.squared_distance == std::vector<double>(3, 0.0));
}

TEST_CASE_TEMPLATE("clustering: spread() and level() are views of its own memory", B, TEST_BACKENDS) {
    B be;
    const clustering<B> level(be, 3, 2, 4);

    CHECK(level.spread().squared_distance.data() == level.squared_distance().data());
    CHECK(level.spread().assignment.data() == level.assignment().data());
    CHECK(level.level().prototypes.data() == level.prototypes().data());
    CHECK(level.level().assignment.data() == level.assignment().data());
    CHECK(level.level().temperatures.data() == level.temperatures().data());
}

TEST_CASE_TEMPLATE("clustering: moves, and leaves nothing behind", B, TEST_BACKENDS) {
    static_assert(!std::is_copy_constructible_v<clustering<B>>);
    B be;
    clustering<B> from(be, 3, 2, 4);
    const auto* data = from.centroids().data();

    clustering<B> to(std::move(from));
    CHECK(to.centroids().data() == data);
    CHECK(to.num_clusters() == 4);
    CHECK(from.num_rows() == 0);
    CHECK(from.num_clusters() == 0);
    CHECK(from.centroids().rows() == 0);

    clustering<B> other(be, 5, 1, 1);
    other = std::move(to);
    CHECK(other.centroids().data() == data);
    CHECK(other.num_rows() == 3);
    CHECK(other.num_cols() == 2);
}

TEST_CASE_TEMPLATE("clustering: takes its memory from the backend and gives it back", B, TEST_BACKENDS) {
    test::counting_resource memory;
    {
        auto be = test::backend_on<B>(&memory);
        const auto before = memory.bytes_in_use();
        {
            const clustering<B> level(be, 30, 2, 4);
            CHECK(memory.bytes_in_use() > before);
        }
        CHECK(memory.bytes_in_use() == before);
    }
    CHECK(memory.bytes_in_use() == 0);
}

TEST_CASE_TEMPLATE("clustering: sizes that make no sense are refused by name", B, TEST_BACKENDS) {
    B be;
    CHECK_THROWS_WITH_AS(clustering<B>(be, 0, 2, 3), "clustering: num_rows: must be at least 1; got 0", argument_error);
    CHECK_THROWS_WITH_AS(clustering<B>(be, 5, -2, 3), "clustering: num_cols: must be at least 1; got -2",
                         argument_error);
    CHECK_THROWS_WITH_AS(clustering<B>(be, 5, 2, 0), "clustering: num_clusters: must be at least 1; got 0",
                         argument_error);
    CHECK_THROWS_WITH_AS(clustering<B>(be, 5, 2, index_t{1} << 31),
                         "clustering: num_clusters: must be at most 2147483647; got 2147483648", argument_error);
    CHECK_THROWS_AS(clustering<B>(be, 5, (std::numeric_limits<index_t>::max)() / 2, 3), std::bad_alloc);
}

TEST_CASE_TEMPLATE("fill_clustering: means, distances and prototypes of given labels", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(5, 2, {0, 0, 6, 8, 1, 1, 9, 9, 2, 0});
    const std::vector<label_t> assignment{0, 0, 2, -1, 2};
    clustering<B> level(be, 5, 2, 4);
    test::scribble(be, level);

    const auto report = fill_clustering(be, {.features = x.view(), .assignment = view_vector(assignment)}, level);

    const auto content = test::snapshot_of(level);
    CHECK(content.centroids == std::vector<value>{3, 4, 0, 0, 1.5, 0.5, 0, 0});
    CHECK(content.prototypes[0] == value(0.6));
    CHECK(content.prototypes[1] == value(0.8));
    CHECK(content.prototypes[2] == value(0));
    CHECK(content.prototypes[7] == value(0));
    CHECK(content.assignment == assignment);
    CHECK(content.squared_distance[0] == 25.0);
    CHECK(content.squared_distance[1] == 25.0);
    CHECK(content.squared_distance[2] ==
          doctest::Approx(0.5).epsilon(4 * double(std::numeric_limits<value>::epsilon())));
    CHECK(content.squared_distance[3] == 0.0);
    CHECK(content.temperatures == std::vector<value>(4, value(-10.25))); // concentration()'s
    CHECK(report.num_empty == 2);
    CHECK(report.num_zero_centroids == 0);
}

TEST_CASE_TEMPLATE("fill_clustering: a weighted mean, and a cluster of weight 0 is empty", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(4, 1, {0, 4, -8, 8});
    const std::vector<label_t> assignment{0, 0, 1, 2};
    const std::vector<value> weight{3, 1, 0, 2};
    clustering<B> level(be, 4, 1, 3);

    const auto report = fill_clustering(
        be, {.features = x.view(), .assignment = view_vector(assignment), .weight = view_vector(weight)}, level);

    CHECK(test::snapshot_of(level).centroids == std::vector<value>{1, 0, 8});
    CHECK(report.num_empty == 1);
}

TEST_CASE_TEMPLATE("fill_clustering: members that cancel are counted as a centroid of norm 0", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(3, 2, {1, 2, -1, -2, 3, 0});
    const std::vector<label_t> assignment{0, 0, 1};
    clustering<B> level(be, 3, 2, 2);

    const auto report = fill_clustering(be, {.features = x.view(), .assignment = view_vector(assignment)}, level);

    CHECK(report.num_zero_centroids == 1);
    CHECK(report.num_empty == 0);
    CHECK(level.prototypes()(0, 0) == value(0));
}

TEST_CASE_TEMPLATE("fill_clustering: agrees with kmeans at its fixed point, in blocks of rows with a stride", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 71);
    const index_t rows = 4500; // more than one block
    const auto x = random.template clustered<value>(rows, 3, 5, 0.2, 2).features;
    clustering<B> clustered(be, rows, 3, 5);
    clustering<B> filled(be, rows, 3, 5);
    const auto report = kmeans(be, x.view(), {.iterations = 300}, clustered);
    REQUIRE(report.converged);

    fill_clustering(be, {.features = x.view(), .assignment = clustered.assignment()}, filled);

    CHECK(test::snapshot_of(filled).centroids == test::snapshot_of(clustered).centroids);
    CHECK(test::snapshot_of(filled).prototypes == test::snapshot_of(clustered).prototypes);
    for (index_t i = 0; i < rows; ++i) {
        // Coordinates of x - m, and the norm, are rounded to T: two half epsilons, doubled by the square.
        const double expected = clustered.squared_distance()[i];
        CHECK(std::abs(filled.squared_distance()[i] - expected) <=
              4 * double(std::numeric_limits<value>::epsilon()) * expected);
    }
}

TEST_CASE_TEMPLATE("fill_clustering: labels may be the clustering's own", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(2, 1, {3, 5});
    clustering<B> level(be, 2, 1, 2);
    level.assignment()[0] = 1;
    level.assignment()[1] = 1;

    fill_clustering(be, {.features = x.view(), .assignment = level.assignment()}, level);

    CHECK(test::snapshot_of(level).centroids == std::vector<value>{0, 4});
}

TEST_CASE_TEMPLATE("fill_clustering: bad input is refused by name, with the level untouched", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    auto x = test::matrix_from<value>(3, 1, {1, 2, 3});
    std::vector<label_t> assignment{0, 1, 1};
    std::vector<value> weight{1, 1, 1};
    clustering<B> level(be, 3, 1, 2);
    test::scribble(be, level);
    const auto before = test::snapshot_of(level);
    const auto call = [&](index_t labels) {
        fill_clustering(be,
                        {.features = x.view(),
                         .assignment = view_vector(assignment).slice(0, labels),
                         .weight = view_vector(weight)},
                        level);
    };

    CHECK_THROWS_WITH_AS(call(2), "fill_clustering: assignment: must hold 3 values; got 2", shape_error);
    assignment[1] = 2;
    CHECK_THROWS_WITH_AS(call(3),
                         "fill_clustering: assignment: must be a cluster in [0, 2), or -1 for none; got 2 in row 1",
                         argument_error);
    assignment[1] = -2;
    CHECK_THROWS_WITH_AS(call(3),
                         "fill_clustering: assignment: must be a cluster in [0, 2), or -1 for none; got -2 in row 1",
                         argument_error);
    assignment[1] = 1;
    weight[2] = -1;
    CHECK_THROWS_WITH_AS(call(3), "fill_clustering: weight: must be finite and not negative; got -1 in row 2",
                         argument_error);
    weight[2] = 1;
    x(0, 0) = std::numeric_limits<value>::quiet_NaN();
    CHECK_THROWS_WITH_AS(call(3), "fill_clustering: features: must be finite everywhere; got NaN or infinity in row 0",
                         argument_error);
    clustering<B> wide(be, 3, 2, 2);
    CHECK_THROWS_WITH_AS(fill_clustering(be, {.features = x.view(), .assignment = view_vector(assignment)}, wide),
                         "fill_clustering: level.centroids: must be (2, 1); got (2, 2)", shape_error);
    CHECK(test::snapshot_of(level) == before);
}

// SPDX-License-Identifier: MIT
#include "e_step/snapshot.hpp"
#include "support/backends.hpp"
#include "support/random.hpp"

#include <protonce/e_step/assign.hpp>
#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <vector>

using namespace protonce;

TEST_CASE_TEMPLATE("assign: each row goes to its nearest centroid, between two to the lower number", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(4, 2, {0, 0, 3, 4, 1, 0, -5, -5});
    const auto centroids = test::matrix_from<value>(3, 2, {2, 0, 3, 4, 0, 0});
    std::vector<label_t> assignment(4);
    std::vector<double> squared_distance(4);

    assign(be, x.view(), centroids.view(), view_vector(assignment), view_vector(squared_distance));

    CHECK(assignment == std::vector<label_t>{2, 1, 0, 2});
    CHECK(squared_distance == std::vector<double>{0, 0, 1, 50});
}

TEST_CASE_TEMPLATE("assign: distances may be left out", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto x = test::matrix_from<value>(3, 1, {1, 2, 9});
    const auto centroids = test::matrix_from<value>(2, 1, {8, 0});
    std::vector<label_t> assignment(3);

    assign(be, x.view(), centroids.view(), view_vector(assignment));

    CHECK(assignment == std::vector<label_t>{1, 1, 0});
}

TEST_CASE_TEMPLATE("assign: gives the rows of a clustering the labels and distances that they have there", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 81);
    for (const bool is_spherical : {false, true}) {
        const auto x = random.template unit_rows<value>(300, 5, 3);
        clustering<B> level(be, 300, 5, 12);
        kmeans(be, x.view(), {.iterations = 6, .spherical = is_spherical}, level);
        std::vector<label_t> assignment(300);
        std::vector<double> squared_distance(300);

        assign(be, x.view(), level.centroids(), view_vector(assignment), view_vector(squared_distance));

        CHECK(assignment == test::snapshot_of(level).assignment);
        CHECK(squared_distance == test::snapshot_of(level).squared_distance);
    }
}

TEST_CASE_TEMPLATE("assign: takes more centroids than rows, and rows one at a time", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 82);
    const auto x = random.template normal_matrix<value>(5, 4);
    const auto centroids = random.template normal_matrix<value>(40, 4);
    std::vector<label_t> together(5);
    assign(be, x.view(), centroids.view(), view_vector(together));

    for (index_t i = 0; i < 5; ++i) {
        label_t alone = -1;
        assign(be, x.view().slice(i, 1), centroids.view(), vector_view<label_t>(&alone, 1));
        CHECK(alone == together[static_cast<std::size_t>(i)]);
    }
}

TEST_CASE_TEMPLATE("assign: bad input is refused by name, with the outputs untouched", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    auto x = test::matrix_from<value>(2, 2, {1, 2, 3, 4});
    auto centroids = test::matrix_from<value>(1, 2, {0, 0});
    const auto narrow = test::matrix_from<value>(1, 1, {0});
    std::vector<label_t> assignment{-7, -7};
    std::vector<double> squared_distance{-7, -7};
    const auto call = [&](matrix_view<const value> rows, matrix_view<const value> to, index_t labels,
                          index_t distances) {
        assign(be, rows, to, view_vector(assignment).slice(0, labels),
               view_vector(squared_distance).slice(0, distances));
    };

    CHECK_THROWS_WITH_AS(call({}, centroids.view(), 2, 2),
                         "assign: features: must be given and hold at least one row and one column; got (0, 0)",
                         shape_error);
    CHECK_THROWS_WITH_AS(call(x.view(), {}, 2, 2),
                         "assign: centroids: must be given and hold at least one row and one column; got (0, 0)",
                         shape_error);
    CHECK_THROWS_WITH_AS(call(x.view(), narrow.view(), 2, 2),
                         "assign: centroids: must have the columns of features, 2; got (1, 1)", shape_error);
    CHECK_THROWS_WITH_AS(call(x.view(), centroids.view(), 1, 2), "assign: assignment: must hold 2 values; got 1",
                         shape_error);
    CHECK_THROWS_WITH_AS(call(x.view(), centroids.view(), 2, 1), "assign: squared_distance: must hold 2 values; got 1",
                         shape_error);
    x(1, 0) = std::numeric_limits<value>::infinity();
    CHECK_THROWS_WITH_AS(call(x.view(), centroids.view(), 2, 2),
                         "assign: features: must be finite everywhere; got NaN or infinity in row 1", argument_error);
    x(1, 0) = 0;
    centroids(0, 1) = std::numeric_limits<value>::quiet_NaN();
    CHECK_THROWS_WITH_AS(call(x.view(), centroids.view(), 2, 2),
                         "assign: centroids: must be finite everywhere; got NaN or infinity in row 0", argument_error);
    CHECK(assignment == std::vector<label_t>{-7, -7});
    CHECK(squared_distance == std::vector<double>{-7, -7});
}

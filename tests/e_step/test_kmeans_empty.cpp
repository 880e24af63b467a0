// SPDX-License-Identifier: MIT
#include "e_step/snapshot.hpp"
#include "support/backends.hpp"

#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <utility>
#include <vector>

using namespace protonce;

namespace {

/// One-dimensional rows and first centroids, and what K-means makes of them.
template <class B>
struct line {
    line(B& be, const std::vector<double>& points, const std::vector<double>& centroids)
        : x(test::matrix_from<value_of<B>>(index_t(points.size()), 1, points)),
          init(test::matrix_from<value_of<B>>(index_t(centroids.size()), 1, centroids)),
          level(be, x.rows(), 1, init.rows()) {}

    kmeans_report operator()(B& be, int iterations, empty_cluster on_empty, const std::vector<double>& weights = {}) {
        const std::vector<value_of<B>> weight(weights.begin(), weights.end());
        return kmeans(be, {.features = x.view(), .weight = view_vector(weight), .initial_centroids = init.view()},
                      {.iterations = iterations, .init = kmeans_init::given, .on_empty = on_empty}, level);
    }
    std::vector<double> centroids() const {
        const auto values = test::values_of(level.centroids());
        return {values.begin(), values.end()};
    }
    std::vector<label_t> assignment() const { return test::values_of(level.assignment()); }

    test::matrix<value_of<B>> x;
    test::matrix<value_of<B>> init;
    clustering<B> level;
};

} // namespace

TEST_CASE_TEMPLATE("kmeans: an empty cluster takes the farthest row of the cluster of largest inertia", B,
                   TEST_BACKENDS) {
    B be;
    // Inertia 2 + 2 at 1 and 32 + 32 at 24: the second gives; rows 2 and 3 are equally far, the lower goes.
    line<B> run(be, {0, 2, 20, 28}, {1, 24, 1000});

    const auto report = run(be, 1, empty_cluster::reseed);

    CHECK(run.centroids() == std::vector<double>{1, 28, 20});
    CHECK(run.assignment() == std::vector<label_t>{0, 0, 2, 1});
    CHECK(report.num_reseeded == 1);
    CHECK(report.num_empty == 0);
    CHECK(report.inertia == 2.0);
}

TEST_CASE_TEMPLATE("kmeans: among donors of equal inertia the lowest number gives", B, TEST_BACKENDS) {
    B be;
    line<B> run(be, {0, 1, 10, 11}, {0.5, 10.5, 100});

    run(be, 1, empty_cluster::reseed);

    CHECK(run.centroids() == std::vector<double>{1, 10.5, 0});
    CHECK(run.assignment() == std::vector<label_t>{2, 0, 1, 1});
}

TEST_CASE_TEMPLATE("kmeans: a cluster of one row gives nothing, however far the row", B, TEST_BACKENDS) {
    B be;
    // The row 50 lies 20 from its centroid and is alone there.
    line<B> run(be, {0, 1, 50}, {30, 0.5, 1000});

    const auto report = run(be, 1, empty_cluster::reseed);

    CHECK(run.centroids() == std::vector<double>{50, 1, 0});
    CHECK(report.num_reseeded == 1);
}

TEST_CASE_TEMPLATE("kmeans: a donor's sum loses the row that it gave, and can give again", B, TEST_BACKENDS) {
    B be;
    line<B> run(be, {0, 4, 6, 10}, {5, 100, 200});

    const auto report = run(be, 1, empty_cluster::reseed);

    CHECK(run.centroids() == std::vector<double>{5, 0, 10});
    CHECK(run.assignment() == std::vector<label_t>{1, 0, 0, 2});
    CHECK(report.num_reseeded == 2);
    CHECK(report.inertia == 2.0);
}

TEST_CASE_TEMPLATE("kmeans: without a donor clusters stay empty and are counted", B, TEST_BACKENDS) {
    B be;
    line<B> run(be, {5, 5, 5}, {5, 5, 5});

    const auto report = run(be, 20, empty_cluster::reseed);

    CHECK(report.num_empty == 2);
    CHECK(report.num_clusters == 1);
    CHECK(report.num_reseeded == 0);
    CHECK(report.inertia == 0.0);
    CHECK(report.converged);
    CHECK(run.centroids() == std::vector<double>{5, 5, 5});
}

TEST_CASE_TEMPLATE("kmeans: a row of weight 0 is not given away, and does not fill a cluster", B, TEST_BACKENDS) {
    B be;
    // The row 100 is alone at its centroid but weighs nothing: that cluster is empty. The farthest row that weighs is
    // 0.
    line<B> run(be, {0, 1, 100}, {0.5, 100});

    const auto report = run(be, 1, empty_cluster::reseed, {1, 1, 0});

    CHECK(run.centroids() == std::vector<double>{1, 0});
    CHECK(run.assignment() == std::vector<label_t>{1, 0, 0});
    CHECK(report.num_reseeded == 1);
    CHECK(report.num_empty == 0);
    CHECK(report.inertia == 0.0);
}

TEST_CASE_TEMPLATE("kmeans: keep leaves the centroid of an empty cluster where it was", B, TEST_BACKENDS) {
    B be;
    line<B> run(be, {0, 1, 10, 11}, {0, 1000, 10});

    const auto report = run(be, 20, empty_cluster::keep);

    CHECK(run.centroids() == std::vector<double>{0.5, 1000, 10.5});
    CHECK(run.assignment() == std::vector<label_t>{0, 0, 2, 2});
    CHECK(report.num_empty == 1);
    CHECK(report.num_clusters == 2);
    CHECK(report.num_reseeded == 0);
    CHECK(report.converged);
}

TEST_CASE_TEMPLATE("kmeans: drop moves the clusters with members to the front and leaves rows of zeros", B,
                   TEST_BACKENDS) {
    B be;
    line<B> run(be, {0, 1, 10, 11, 20, 20}, {1000, 0, 2000, 10, 20, 3000});

    const auto report = run(be, 20, empty_cluster::drop);

    CHECK(run.centroids() == std::vector<double>{0.5, 10.5, 20, 0, 0, 0});
    CHECK(run.assignment() == std::vector<label_t>{0, 0, 1, 1, 2, 2});
    const auto prototypes = test::values_of(std::as_const(run.level).prototypes());
    CHECK(std::vector<double>(prototypes.begin(), prototypes.end()) == std::vector<double>{1, 1, 1, 0, 0, 0});
    CHECK(report.num_clusters == 3);
    CHECK(report.num_empty == 3);
    CHECK(report.inertia == 1.0);
}

TEST_CASE_TEMPLATE("kmeans: drop hands rows of weight 0 to the nearest cluster that is left", B, TEST_BACKENDS) {
    B be;
    line<B> run(be, {0, 1, 100}, {100, 0.5});

    const auto report = run(be, 5, empty_cluster::drop, {1, 1, 0});

    CHECK(run.centroids() == std::vector<double>{0.5, 0});
    CHECK(run.assignment() == std::vector<label_t>{0, 0, 0});
    CHECK(report.num_clusters == 1);
}

TEST_CASE_TEMPLATE("kmeans: drop changes nothing when no cluster is empty", B, TEST_BACKENDS) {
    B be;
    line<B> dropping(be, {0, 1, 10, 11}, {0, 10});
    line<B> keeping(be, {0, 1, 10, 11}, {0, 10});

    dropping(be, 20, empty_cluster::drop);
    keeping(be, 20, empty_cluster::keep);

    CHECK(test::snapshot_of(dropping.level) == test::snapshot_of(keeping.level));
}

TEST_CASE_TEMPLATE("kmeans: error throws when a cluster has no rows, and leaves the outputs untouched", B,
                   TEST_BACKENDS) {
    B be;
    line<B> run(be, {0, 1, 10, 11}, {0, 1000, 10});
    test::scribble(be, run.level);
    const auto before = test::snapshot_of(run.level);

    CHECK_THROWS_WITH_AS(run(be, 20, empty_cluster::error),
                         "kmeans: num_clusters: must leave no cluster empty, as on_empty asks; got 1 empty clusters "
                         "after 0 updates",
                         argument_error);
    CHECK_THROWS_AS(run(be, 0, empty_cluster::error), argument_error);
    CHECK(test::snapshot_of(run.level) == before);
}

TEST_CASE_TEMPLATE("kmeans: error is no different from keep while every cluster has rows", B, TEST_BACKENDS) {
    B be;
    line<B> strict(be, {0, 1, 10, 11}, {0, 10});
    line<B> keeping(be, {0, 1, 10, 11}, {0, 10});

    strict(be, 20, empty_cluster::error);
    keeping(be, 20, empty_cluster::keep);

    CHECK(test::snapshot_of(strict.level) == test::snapshot_of(keeping.level));
}

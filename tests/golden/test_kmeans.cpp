// SPDX-License-Identifier: MIT
#include "support/backends.hpp"
#include "support/golden.hpp"

#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

using namespace protonce;

namespace {

double largest_magnitude(const golden::array& values) {
    double largest = 0;
    for (const double value : values.values) {
        largest = std::max(largest, std::abs(value));
    }
    return largest;
}

/// Rounding bounds for a run whose labels agree with the expected ones, of values stored in T.
///
/// A coordinate of a row and of a centroid are each rounded once, by half an epsilon of the largest coordinate X, and
/// the mean carries its rows' errors: at most delta = eps X a coordinate in centroids, 2 delta with the rows' own error
/// in differences. Inertia I = sum of d^2: by Cauchy and Schwarz it is off by at most 2 sum d (2 delta sqrt(C)) <= 4
/// delta sqrt(C N I). Iterations do not add up, because means are computed from the rows each time.
template <class T>
struct kmeans_rounding {
    kmeans_rounding(const golden::array& x, double inertia) {
        const double delta = std::numeric_limits<T>::epsilon() * largest_magnitude(x);
        coordinate = delta;
        inertia_relative =
            4 * delta * std::sqrt(static_cast<double>(x.cols()) * static_cast<double>(x.rows()) / inertia);
    }
    double coordinate;
    double inertia_relative;
};

/// The name that the files use for a number of iterations.
std::string tag_of(double iterations) {
    return iterations >= 300 ? "converged" : "t" + std::to_string(static_cast<int>(iterations));
}

/// Inputs of a case in the type of the backend, and a clustering of their shape.
template <class B>
struct run_of {
    run_of(B& be, const golden::test_case& c, const golden::array& features)
        : x(features.template as<value_of<B>>()), init(c["init"].template as<value_of<B>>()), rows(features.rows()),
          cols(features.cols()), level(be, rows, cols, c["init"].rows()) {}
    run_of(B& be, const golden::test_case& c) : run_of(be, c, c["x"]) {}

    kmeans_report operator()(B& be, int iterations, bool spherical = false) {
        return kmeans(be,
                      {.features = view_rows(x.data(), rows, cols),
                       .initial_centroids = view_rows(init.data(), level.num_clusters(), cols)},
                      {.iterations = iterations, .init = kmeans_init::given, .spherical = spherical}, level);
    }

    std::vector<value_of<B>> x;
    std::vector<value_of<B>> init;
    index_t rows;
    index_t cols;
    clustering<B> level;
};

} // namespace

TEST_CASE_TEMPLATE("golden kmeans_lloyd: centroids, labels, inertia and number of updates of scikit-learn", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    for (const auto& c : golden::cases("kmeans_lloyd")) {
        INFO(c.name());
        run_of<B> run(be, c);
        for (const double iterations : c.param_list("iterations")) {
            const std::string tag = tag_of(iterations);
            CAPTURE(tag);

            const auto report = run(be, static_cast<int>(iterations));

            const double inertia = c.expected("inertia/" + tag);
            const kmeans_rounding<value> bound(c["x"], inertia);
            const auto& centroids = c["centroids_" + tag];
            const bool is_double = sizeof(value) == 8;
            const double rtol = is_double ? c.tolerance("rtol_f64") : bound.coordinate / largest_magnitude(centroids);
            CHECK(golden::difference(centroids, run.level.centroids()) <= rtol);
            CHECK(golden::difference(c["labels_" + tag], run.level.assignment()) == 0.0);
            CHECK(std::abs(report.inertia / inertia - 1) <=
                  (is_double ? c.tolerance("rtol_f64") : bound.inertia_relative));
            CHECK(report.iterations == static_cast<int>(c.expected("n_iter_run/" + tag)));
            CHECK(report.num_empty == 0);
            if (tag == "converged") {
                CHECK(report.converged);
            }
        }
    }
}

TEST_CASE_TEMPLATE("golden kmeans_lloyd_f32: the objective before each update, centroids and labels of faiss", B,
                   TEST_BACKENDS) {
    B be;
    for (const auto& c : golden::cases("kmeans_lloyd_f32")) {
        INFO(c.name());
        const double rtol = c.tolerance("rtol_f32");
        run_of<B> run(be, c);
        for (const double iterations : c.param_list("iterations")) {
            const std::string tag = tag_of(iterations);
            CAPTURE(tag);
            const auto before = c.expected_list("objective_before_each_update/" + tag);
            for (std::size_t update = 0; update < before.size(); ++update) {
                CAPTURE(update);
                CHECK(std::abs(run(be, static_cast<int>(update)).inertia / before[update] - 1) <= rtol);
            }

            const auto report = run(be, static_cast<int>(iterations));

            CHECK(std::abs(report.inertia / c.expected("final_objective/" + tag) - 1) <= rtol);
            CHECK(golden::difference(c["centroids_" + tag], run.level.centroids()) <= rtol);
            CHECK(golden::difference(c["labels_" + tag], run.level.assignment()) == 0.0);
        }
    }
}

TEST_CASE_TEMPLATE("golden kmeans_spherical: centroids, labels and sum of best inner products of faiss", B,
                   TEST_BACKENDS) {
    B be;
    for (const auto& c : golden::cases("kmeans_spherical")) {
        INFO(c.name());
        const double rtol = c.tolerance("rtol_f32");
        run_of<B> run(be, c);
        // inertia = sum of 2 - 2 x.m
        const auto similarity = [&](const kmeans_report& report) {
            return static_cast<double>(run.rows) - report.inertia / 2;
        };
        for (const double iterations : c.param_list("iterations")) {
            const std::string tag = tag_of(iterations);
            CAPTURE(tag);
            const auto before = c.expected_list("objective_before_each_update/" + tag);
            for (std::size_t update = 0; update < before.size(); ++update) {
                CAPTURE(update);
                CHECK(std::abs(similarity(run(be, static_cast<int>(update), true)) / before[update] - 1) <= rtol);
            }

            const auto report = run(be, static_cast<int>(iterations), true);

            CHECK(std::abs(similarity(report) / c.expected("final_objective/" + tag) - 1) <= rtol);
            CHECK(golden::difference(c["centroids_" + tag], run.level.centroids()) <= rtol);
            CHECK(golden::difference(c["centroids_" + tag], run.level.prototypes()) <= rtol);
            CHECK(golden::difference(c["labels_" + tag], run.level.assignment()) == 0.0);
        }
    }
}

TEST_CASE_TEMPLATE("golden kmeans_empty: reseeding fills every cluster and ends near the other program's inertia", B,
                   TEST_BACKENDS) {
    B be;
    for (const auto& c : golden::cases("kmeans_empty")) {
        INFO(c.name());
        run_of<B> run(be, c);
        REQUIRE(run(be, 0).num_empty == 2);

        const auto report = run(be, 300);

        CHECK(report.num_clusters == static_cast<index_t>(c.expected("non_empty_clusters")));
        CHECK(report.num_empty == 0);
        CHECK(report.num_reseeded >= 2);
        CHECK(report.converged);
        const std::set<label_t> used(run.level.assignment().begin(), run.level.assignment().end());
        CHECK(used == std::set<label_t>{0, 1, 2, 3});
        // Another policy and another fixed point, of the same data: between a perfect result and the two clusters of
        // the start.
        CHECK(report.inertia > 0);
        CHECK(report.inertia <= 1.05 * c.expected("inertia_peer"));
    }
}

TEST_CASE_TEMPLATE("golden kmeans_degenerate: fewer distinct rows than clusters end with inertia 0 and no NaN", B,
                   TEST_BACKENDS) {
    B be;
    for (const auto& c : golden::cases("kmeans_degenerate")) {
        INFO(c.name());
        const auto x = c["x"].template as<value_of<B>>();
        const index_t rows = c["x"].rows();
        const index_t cols = c["x"].cols();
        clustering<B> level(be, rows, cols, static_cast<index_t>(c.param("k")));
        for (const auto init : {kmeans_init::plus_plus, kmeans_init::random_rows}) {
            for (std::uint64_t seed = 0; seed < 10; ++seed) {
                CAPTURE(seed);

                const auto report =
                    kmeans(be, view_rows(x.data(), rows, cols), {.iterations = 50, .seed = seed, .init = init}, level);

                CHECK(report.inertia <= c.expected("best_inertia") + 1e-12);
                CHECK(report.num_clusters <= static_cast<index_t>(c.expected("max_non_empty_clusters")));
                CHECK(report.num_clusters + report.num_empty == level.num_clusters());
                CHECK(be.first_nonfinite_row(level.centroids()) == -1);
                CHECK(be.first_nonfinite_row(level.prototypes()) == -1);
            }
        }
    }
}

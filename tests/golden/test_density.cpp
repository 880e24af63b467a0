// SPDX-License-Identifier: MIT
#include "support/backends.hpp"
#include "support/golden.hpp"

#include <protonce/e_step/clustering.hpp>
#include <protonce/e_step/concentration.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using namespace protonce;

TEST_CASE_TEMPLATE("golden density: concentration of the authors' program, empty and single clusters included", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    for (const auto& c : golden::cases("density")) {
        INFO(c.name());
        const auto squared_distance = c["dist2"].template as<double>();
        const auto assignment = c["labels"].template as<label_t>();
        std::vector<value> phi(c["density"].values.size());

        const auto report = concentration(
            be, {.squared_distance = view_vector(squared_distance), .assignment = view_vector(assignment)},
            {.temperature = c.param("temperature"), .smoothing = c.param("alpha")}, view_vector(phi));

        // Distances and sums are double on every backend: in float only the result is rounded, by half an epsilon.
        const double rtol =
            sizeof(value) == 8 ? c.tolerance("rtol_f64") : double(std::numeric_limits<float>::epsilon());
        CHECK(golden::difference(c["density"], phi) <= rtol);
        CHECK(std::abs(report.lower / c.expected("percentile_10") - 1) <= c.tolerance("rtol_f64"));
        CHECK(std::abs(report.upper / c.expected("percentile_90") - 1) <= c.tolerance("rtol_f64"));
        CHECK(!report.is_degenerate);
        CHECK(report.num_filled == static_cast<index_t>(c.param("n_empty") + c.param("n_single")));
    }
}

TEST_CASE_TEMPLATE("golden density: a clustering filled from the labels has the distances and prototypes", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    for (const auto& c : golden::cases("density")) {
        INFO(c.name());
        const auto x = c["x"].template as<value>();
        const auto assignment = c["labels"].template as<label_t>();
        const index_t clusters = c["centroids"].rows();
        clustering<B> level(be, c["x"].rows(), c["x"].cols(), clusters);

        const auto report = fill_clustering(
            be, {.features = view_rows(x.data(), c["x"].rows(), c["x"].cols()), .assignment = view_vector(assignment)},
            level);

        // In float a coordinate carries two roundings, of the row and of its mean: eps * max|x|; a squared distance the
        // square root of C times that, twice. Unit rows: max|x| and distances are of the order of 1.
        const double cols = static_cast<double>(level.num_cols());
        const double rtol = sizeof(value) == 8 ? c.tolerance("rtol_f64")
                                               : 8 * std::sqrt(cols) * double(std::numeric_limits<float>::epsilon());
        CHECK(golden::difference(c["dist2"], level.squared_distance()) <= rtol);
        CHECK(golden::difference(c["labels"], level.assignment()) == 0.0);
        CHECK(report.num_empty == static_cast<index_t>(c.param("n_empty")));
        for (index_t k = 0; k < clusters; ++k) {
            CAPTURE(k);
            if (c["counts"](k) == 0) {
                continue; // the files keep arbitrary centroids for empty clusters
            }
            for (index_t j = 0; j < level.num_cols(); ++j) {
                CHECK(std::abs(static_cast<double>(level.centroids()(k, j)) - c["centroids"](k, j)) <= rtol);
                CHECK(std::abs(static_cast<double>(level.prototypes()(k, j)) - c["prototypes"](k, j)) <= 4 * rtol);
            }
        }
    }
}

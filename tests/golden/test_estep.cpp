// SPDX-License-Identifier: MIT
#include "support/backends.hpp"
#include "support/golden.hpp"

#include <protonce/e_step/assign.hpp>
#include <protonce/e_step/concentration.hpp>
#include <protonce/e_step/e_step.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

using namespace protonce;

TEST_CASE_TEMPLATE("golden estep: labels, prototypes and density follow from the stored centroids", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    for (const auto& c : golden::cases("estep")) {
        INFO(c.name());
        const double rtol = c.tolerance("rtol_f32");
        const auto x = c["x"].template as<value>();
        const index_t rows = c["x"].rows();
        const index_t cols = c["x"].cols();
        const auto num_clusters = c.param_list("num_clusters");
        for (std::size_t m = 0; m < num_clusters.size(); ++m) {
            CAPTURE(m);
            const std::string number = std::to_string(m);
            const index_t clusters = static_cast<index_t>(num_clusters[m]);
            const auto centroids = c["centroids_raw_" + number].template as<value>();
            const auto raw = view_rows(centroids.data(), clusters, cols);
            std::vector<label_t> assignment(static_cast<std::size_t>(rows));
            std::vector<double> squared_distance(static_cast<std::size_t>(rows));
            std::vector<value> prototypes(centroids.size());
            std::vector<value> phi(static_cast<std::size_t>(clusters));

            assign(be, view_rows(x.data(), rows, cols), raw, view_vector(assignment), view_vector(squared_distance));
            be.normalize_rows(raw, view_rows(prototypes.data(), clusters, cols), {});
            concentration(be,
                          {.squared_distance = view_vector(squared_distance), .assignment = view_vector(assignment)},
                          {.temperature = c.param("temperature")}, view_vector(phi));

            CHECK(golden::difference(c["labels_" + number], assignment) == 0.0);
            CHECK(golden::difference(c["prototypes_" + number], prototypes) <= rtol);
            CHECK(golden::difference(c["density_" + number], phi) <= rtol);
        }
    }
}

TEST_CASE_TEMPLATE("golden estep: inertia of each level is at most 3 % above that of the authors' program", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    for (const auto& c : golden::cases("estep")) {
        INFO(c.name());
        const auto x = c["x"].template as<value>();
        const index_t rows = c["x"].rows();
        const index_t cols = c["x"].cols();
        std::vector<clustering<B>> levels;
        for (const double clusters : c.param_list("num_clusters")) {
            levels.emplace_back(be, rows, cols, static_cast<index_t>(clusters));
        }
        std::vector<e_step_report> reports(levels.size());

        e_step(be, view_rows(x.data(), rows, cols),
               {.iterations = static_cast<int>(c.param("niter")),
                .restarts = static_cast<int>(c.param("nredo")),
                .temperature = c.param("temperature")},
               levels, reports);

        const auto inertia = c.expected_list("inertia");
        REQUIRE(inertia.size() == levels.size());
        for (std::size_t m = 0; m < levels.size(); ++m) {
            CAPTURE(m);
            CHECK(reports[m].clusters.inertia <= 1.03 * inertia[m]);
            CHECK(reports[m].clusters.num_empty == 0);
            double sum = 0;
            for (const value phi : levels[m].temperatures()) {
                CHECK(phi > 0);
                sum += static_cast<double>(phi);
            }
            const double mean = sum / static_cast<double>(levels[m].num_clusters());
            CHECK(std::abs(mean / c.param("temperature") - 1) <= c.tolerance("rtol_f32"));
        }
    }
}

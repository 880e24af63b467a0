// SPDX-License-Identifier: MIT
#include <protonce/backend/cpu.hpp>
#include <protonce/e_step/assign.hpp>

#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

using namespace protonce;

TEST_CASE_TEMPLATE("cpu: with the check off, a row of NaN or infinity leaves the labels of the others alone", T, float,
                   double) {
    for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()}) {
        cpu_backend<T> be({.check_finite = false});
        const std::vector<T> features{bad, 0, 0, 0, 4, 4, 8, 8};
        const std::vector<T> centroids{0, 0, 4, 4, 8, 8};
        std::vector<label_t> assignment(4);
        std::vector<double> squared_distance(4);

        assign(be, view_rows(features.data(), 4, 2), view_rows(centroids.data(), 3, 2), view_vector(assignment),
               view_vector(squared_distance));

        CHECK_FALSE(std::isfinite(squared_distance[0]));
        for (index_t i = 1; i < 4; ++i) {
            CHECK(assignment[static_cast<std::size_t>(i)] == i - 1);
            CHECK(squared_distance[static_cast<std::size_t>(i)] == 0.0);
        }
    }
}

// SPDX-License-Identifier: MIT
#include "support/backends.hpp"
#include "support/golden.hpp"

#include <protonce/momentum/ema.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace protonce;

TEST_CASE_TEMPLATE("golden ema: the average after each step", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    for (const auto& c : golden::cases("ema")) {
        INFO(c.name());
        auto average = c["k_initial"].template as<value>();
        const auto size = index_t(average.size());
        const auto values = c["q_params"].template as<value>();
        const auto expected = c["k_params"].values;
        REQUIRE(c["q_params"].rows() == index_t(c.param("steps")));

        for (index_t step = 0; step < c["q_params"].rows(); ++step) {
            CAPTURE(step);
            const ema_pair<B> pair{view_vector(average), view_vector(values).slice(step * size, size)};
            ema(be, {&pair, 1}, {.momentum = c.param("momentum")});

            const std::vector<double> row(expected.begin() + step * size, expected.begin() + (step + 1) * size);
            const std::vector<double> actual(average.begin(), average.end());
            // In float: the inputs are rounded, then each step rounds once, half an epsilon of the largest value each.
            const double tolerance = sizeof(value) == 8
                                         ? c.tolerance("rtol_f64")
                                         : 0.5 * double(step + 3) * double(std::numeric_limits<float>::epsilon());
            CHECK(golden::difference(row, actual) <= tolerance);
        }
    }
}

// SPDX-License-Identifier: MIT
#include <protonce/metrics/knn.hpp>

#include "support/backends.hpp"
#include "support/golden.hpp"
#include "support/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <vector>

TEST_CASE_TEMPLATE("golden: knn_monitor", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    for (const auto& c : golden::cases("knn_monitor")) {
        INFO(c.name());
        B be;
        const auto bank = c["bank"].as<T>();
        const auto labels = c["bank_labels"].as<protonce::label_t>();
        const auto query = c["queries"].as<T>();
        const auto classes = static_cast<protonce::label_t>(c.param("classes"));
        const protonce::index_t cols = c["bank"].cols();
        test::matrix<T> scores(c["queries"].rows(), classes);
        std::vector<protonce::label_t> prediction(query.size() / static_cast<std::size_t>(cols));

        protonce::knn_scores(be,
                             {.bank = protonce::view_rows(bank.data(), c["bank"].rows(), cols),
                              .labels = protonce::view_vector(labels),
                              .query = protonce::view_rows(query.data(), c["queries"].rows(), cols)},
                             {.neighbours = static_cast<protonce::index_t>(c.param("neighbours")),
                              .temperature = c.param("temperature"),
                              .num_classes = classes},
                             {.scores = scores.view(), .prediction = protonce::view_vector(prediction)});

        // The case states no tolerance for float. Both factors of a product and the sum of C products are rounded: a
        // similarity is off by at most (C + 2) units of |q||b|, a score by that over the temperature, relatively.
        double largest = 0.0;
        for (const double value : c["scores"].values) {
            largest = std::max(largest, std::log(std::max(value, 1.0)) * c.param("temperature"));
        }
        const double unit = std::numeric_limits<T>::epsilon() / 2;
        const double derived =
            (static_cast<double>(cols) + 2.0) * unit * std::max(1.0, largest) / c.param("temperature");
        const double tolerance = std::same_as<T, double> ? c.tolerance("rtol_f64") : derived + 2 * unit;
        CHECK(golden::difference(c["scores"], scores.view()) <= tolerance);
        CHECK(golden::difference(c["predicted_class"], prediction) == 0.0);
    }
}

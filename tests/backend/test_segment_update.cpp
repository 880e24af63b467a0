// SPDX-License-Identifier: MIT
#include "support/values.hpp"

#include <protonce/backend/cpu.hpp>
#include <protonce/core/rng.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

using namespace protonce;

TEST_CASE_TEMPLATE("sums of clusters brought up to date have the bits of sums taken afresh", T, float, double) {
    constexpr index_t rows = 2000;
    constexpr index_t cols = 70;
    constexpr index_t clusters = 40;
    bool is_exact = false;
    SUBCASE("exact") {
        is_exact = true;
    }
    SUBCASE("rounded") {
        is_exact = false;
    }
    std::vector<T> data(rows * cols);
    for (index_t i = 0; i < rows * cols; ++i) {
        const double value = test::noise(12, i);
        data[static_cast<std::size_t>(i)] =
            static_cast<T>(is_exact ? std::round(100 * value) / 256 : std::pow(value, 15));
    }
    std::vector<T> weight(rows);
    for (index_t i = 0; i < rows; ++i) {
        weight[static_cast<std::size_t>(i)] = static_cast<T>(1.5 + test::noise(13, i));
    }
    cpu_backend<T> be({.threads = 3});
    const auto view = view_rows(std::as_const(data).data(), rows, cols);
    auto index = be.index_rows(view, true);
    CHECK(index.has_exact_sums() == is_exact);
    for (const bool is_weighted : {false, true}) {
        CAPTURE(is_weighted);
        const vector_view<const T> w = is_weighted ? view_vector(std::as_const(weight)) : vector_view<const T>{};
        std::vector<label_t> before(rows);
        std::vector<label_t> label(rows);
        for (index_t i = 0; i < rows; ++i) {
            before[static_cast<std::size_t>(i)] =
                static_cast<label_t>(random_bits({.seed = 3}, static_cast<std::uint64_t>(i)) % clusters);
        }
        std::vector<double> sum(clusters * cols), count(clusters), fresh(clusters * cols), fresh_count(clusters);
        be.segment_sum(view, w, view_vector(std::as_const(before)), view_rows(sum.data(), clusters, cols),
                       view_vector(count));
        for (const double share : {0.0, 0.01, 0.2, 0.9}) {
            CAPTURE(share);
            label = before;
            for (index_t i = 0; i < rows; ++i) {
                if (std::abs(test::noise(14, i + static_cast<index_t>(1e5 * share))) < share) {
                    label[static_cast<std::size_t>(i)] =
                        static_cast<label_t>(i % 9 == 0 ? -1 : (i * 7) % (clusters - 1));
                }
            }
            be.update_segment_sum(index, w, view_vector(std::as_const(before)), view_vector(std::as_const(label)),
                                  view_rows(sum.data(), clusters, cols), view_vector(count));
            be.segment_sum(view, w, view_vector(std::as_const(label)), view_rows(fresh.data(), clusters, cols),
                           view_vector(fresh_count));
            CHECK(sum == fresh);
            CHECK(count == fresh_count);
            before = label;
        }
    }
}

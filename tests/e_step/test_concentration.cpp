// SPDX-License-Identifier: MIT
#include "support/backends.hpp"
#include "support/random.hpp"

#include <protonce/e_step/concentration.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <vector>

using namespace protonce;

namespace {

/// Squared distances and labels of members given by cluster: {{1, 3}, {2}} are two members of cluster 0 and one of
/// cluster 1.
struct members {
    explicit members(const std::vector<std::vector<double>>& distances) {
        for (std::size_t k = 0; k < distances.size(); ++k) {
            for (const double distance : distances[k]) {
                squared_distance.push_back(distance * distance);
                assignment.push_back(static_cast<label_t>(k));
            }
        }
    }
    cluster_spread<host> spread() const { return {view_vector(squared_distance), view_vector(assignment)}; }

    std::vector<double> squared_distance;
    std::vector<label_t> assignment;
};

template <class B>
std::vector<double> phi_of(B& be, const members& in, index_t clusters, const concentration_options& options = {},
                           concentration_report* report = nullptr) {
    std::vector<value_of<B>> out(static_cast<std::size_t>(clusters), value_of<B>(-1));
    const auto result = concentration(be, in.spread(), options, view_vector(out));
    if (report != nullptr) {
        *report = result;
    }
    return {out.begin(), out.end()};
}

/// Sums of a few doubles, and one rounding to T.
template <class T>
bool is_close(double actual, double expected) {
    return std::abs(actual - expected) <=
           (std::numeric_limits<T>::epsilon() + 100 * std::numeric_limits<double>::epsilon()) * std::abs(expected);
}

double mean_of(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

} // namespace

TEST_CASE_TEMPLATE("concentration: mean distance over a logarithm, clamped between percentiles, mean tau", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    // phi_0 = (1 + 3) / (2 ln 12), phi_1 = (2 + 3 + 4) / (3 ln 13). Between two values the 10th percentile lies a tenth
    // from the smaller to the larger, the 90th nine tenths.
    const double a = 4 / (2 * std::log(12.0));
    const double b = 9 / (3 * std::log(13.0));
    const double low = a + 0.1 * (b - a);
    const double high = a + 0.9 * (b - a);
    concentration_report report;

    const auto phi = phi_of(be, members({{1, 3}, {2, 3, 4}}), 2, {.temperature = 0.3}, &report);

    CHECK(is_close<value>(phi[0], 0.3 * low / ((low + high) / 2)));
    CHECK(is_close<value>(phi[1], 0.3 * high / ((low + high) / 2)));
    CHECK(!report.is_degenerate);
    CHECK(report.num_filled == 0);
    CHECK(is_close<double>(report.lower, low));
    CHECK(is_close<double>(report.upper, high));
}

TEST_CASE_TEMPLATE("concentration: percentiles interpolate linearly, values outside are clamped", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    // Twelve clusters of two members at the same distance d: phi = d / ln 12, d = 1 ... 12. Position of the 10th
    // percentile among the sorted values: 0.1 * 11 = 1.1, hence 2.1; of the 90th 9.9, hence 10.9.
    std::vector<std::vector<double>> distances;
    for (const int d : {7, 1, 12, 4, 3, 10, 2, 9, 5, 11, 6, 8}) {
        distances.push_back({double(d), double(d)});
    }
    const double mean = (2.1 + 2.1 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 10.9 + 10.9) / 12;

    const auto phi = phi_of(be, members(distances), 12);

    for (std::size_t k = 0; k < 12; ++k) {
        const double clamped = std::min(std::max(distances[k][0], 2.1), 10.9);
        CHECK(is_close<value>(phi[k], 0.2 * clamped / mean));
    }
}

TEST_CASE_TEMPLATE("concentration: smoothing is added to the members", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    for (const double smoothing : {0.0, 1.0, 1000.0}) {
        const double a = 1 / std::log(2 + smoothing);
        const double b = 1 / std::log(4 + smoothing);
        const double low = b + 0.1 * (a - b);
        const double high = b + 0.9 * (a - b);

        const auto phi = phi_of(be, members({{1, 1}, {1, 1, 1, 1}}), 2, {.smoothing = smoothing});

        CHECK(is_close<value>(phi[0] / phi[1], high / low));
    }
}

TEST_CASE_TEMPLATE("concentration: a cluster of fewer than two members takes the largest of the others", B,
                   TEST_BACKENDS) {
    B be;
    concentration_report report;

    // Cluster 1 has one member, 3 and the trailing 4 have none.
    const auto phi = phi_of(be, members({{1, 1}, {50}, {2, 2}, {}, {}}), 5, {}, &report);

    CHECK(phi[1] == phi[2]);
    CHECK(phi[3] == phi[2]);
    CHECK(phi[4] == phi[2]);
    CHECK(phi[0] < phi[2]);
    CHECK(report.num_filled == 3);
    CHECK(mean_of(phi) == doctest::Approx(0.2).epsilon(1e-6));
}

TEST_CASE_TEMPLATE("concentration: without two members anywhere every phi is the temperature", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    concentration_report report;

    const auto phi = phi_of(be, members({{1}, {50}, {}, {2}}), 4, {.temperature = 0.07}, &report);

    CHECK(phi == std::vector<double>(4, double(value(0.07))));
    CHECK(report.is_degenerate);
    CHECK(report.num_filled == 4);
}

TEST_CASE_TEMPLATE("concentration: without spread anywhere every phi is the temperature", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    concentration_report report;

    // A single member's distance does not count: its cluster is filled from the others, all 0.
    const auto phi = phi_of(be, members({{0, 0}, {0, 0, 0}, {5}}), 3, {.temperature = 0.5}, &report);

    CHECK(phi == std::vector<double>(3, double(value(0.5))));
    CHECK(report.is_degenerate);
}

TEST_CASE_TEMPLATE("concentration: where the 10th percentile is 0 the smallest positive phi is the lower bound", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    concentration_report report;
    // Sorted distances 0 0 0 0 0 2 4 6 8 10 20: 10th percentile 0, 90th 10 (position 9).
    const auto phi = phi_of(
        be, members({{0, 0}, {20, 20}, {0, 0}, {2, 2}, {0, 0}, {4, 4}, {0, 0}, {6, 6}, {8, 8}, {0, 0}, {10, 10}}), 11,
        {}, &report);

    const double log12 = std::log(12.0);
    CHECK(is_close<double>(report.lower, 2 / log12));
    CHECK(is_close<double>(report.upper, 10 / log12));
    const double mean = (6 * 2 + 4 + 6 + 8 + 10 + 10) / 11.0;
    CHECK(is_close<value>(phi[0], 0.2 * 2 / mean));
    CHECK(is_close<value>(phi[3], 0.2 * 2 / mean));
    CHECK(is_close<value>(phi[1], 0.2 * 10 / mean));
    CHECK(is_close<value>(phi[7], 0.2 * 6 / mean));
}

TEST_CASE_TEMPLATE("concentration: where the 90th percentile is 0 too, the upper bound is the lower one", B,
                   TEST_BACKENDS) {
    B be;
    concentration_report report;
    std::vector<std::vector<double>> distances(20, {0, 0});
    distances[4] = {3, 3};

    const auto phi = phi_of(be, members(distances), 20, {}, &report);

    // Everything is clamped to the one positive value: no cluster differs from another, and nothing is 0 or NaN.
    CHECK(!report.is_degenerate);
    CHECK(report.upper == report.lower);
    CHECK(is_close<double>(report.lower, 3 / std::log(12.0)));
    for (const double value : phi) {
        CHECK(value == doctest::Approx(0.2).epsilon(1e-6));
    }
}

TEST_CASE_TEMPLATE("concentration: samples in no cluster are passed over", B, TEST_BACKENDS) {
    B be;
    const members plain({{1, 3}, {2, 3, 4}});
    auto noisy = plain;
    noisy.assignment.insert(noisy.assignment.begin(), {-1, -1});
    noisy.squared_distance.insert(noisy.squared_distance.begin(), {0.0, 1e6});

    CHECK(phi_of(be, noisy, 2) == phi_of(be, plain, 2));
}

TEST_CASE_TEMPLATE("concentration: a single cluster has the temperature", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    CHECK(is_close<value>(phi_of(be, members({{1, 2, 5}}), 1)[0], 0.2));
}

TEST_CASE_TEMPLATE("concentration: does not depend on the scale of the features", B, TEST_BACKENDS) {
    B be;
    TEST_RANDOM(random, 91);
    std::vector<std::vector<double>> distances(15);
    std::vector<std::vector<double>> scaled(15);
    for (std::size_t k = 0; k < 15; ++k) {
        for (index_t i = random.integer(9); i >= 0; --i) {
            distances[k].push_back(random.uniform());
            scaled[k].push_back(distances[k].back() * 0x1p20); // exact
        }
    }
    CHECK(phi_of(be, members(distances), 15) == phi_of(be, members(scaled), 15));
}

TEST_CASE_TEMPLATE("concentration: the mean over all clusters is the temperature, and all are positive", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 92);
    for (const index_t clusters : {1, 2, 3, 10, 11, 57}) {
        CAPTURE(clusters);
        std::vector<std::vector<double>> distances(static_cast<std::size_t>(clusters));
        for (auto& cluster : distances) {
            for (index_t i = random.integer(6); i > 0; --i) {
                cluster.push_back(random.uniform(0.0, 2.0));
            }
        }
        distances[0] = {1, 2};

        const auto phi = phi_of(be, members(distances), clusters, {.temperature = 0.1});

        CHECK(is_close<value>(mean_of(phi), 0.1));
        for (const double value_k : phi) {
            CHECK(value_k > 0);
        }
    }
}

TEST_CASE_TEMPLATE("concentration: a temperature near the smallest of the type gives no 0", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const double least = std::numeric_limits<value>::min();
    for (const double phi : phi_of(be, members({{1, 1}, {1000, 1000}}), 2, {.temperature = least})) {
        CHECK(phi >= least);
    }
}

TEST_CASE_TEMPLATE("concentration: bad input is refused by name, with the output untouched", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    members in({{1, 3}, {2, 3, 4}});
    std::vector<value> out(2, value(-7));
    const auto call = [&](const concentration_options& options, index_t labels = 5) {
        concentration(be,
                      {.squared_distance = view_vector(in.squared_distance),
                       .assignment = view_vector(in.assignment).slice(0, labels)},
                      options, view_vector(out));
    };
    const double nan = std::numeric_limits<double>::quiet_NaN();

    CHECK_THROWS_WITH_AS(call({}, 4), "concentration: assignment: must hold 5 values; got 4", shape_error);
    CHECK_THROWS_WITH_AS(concentration(be, {}, {}, view_vector(out)),
                         "concentration: squared_distance: must be given and hold at least one value; got 0 values",
                         shape_error);
    CHECK_THROWS_WITH_AS(concentration(be, in.spread(), {}, vector_view<value>{}),
                         "concentration: out: must be given and hold at least one value; got 0 values", shape_error);
    CHECK_THROWS_WITH_AS(call({.temperature = 0}), "concentration: temperature: must be positive and finite; got 0",
                         argument_error);
    CHECK_THROWS_WITH_AS(call({.temperature = -1}), "concentration: temperature: must be positive and finite; got -1",
                         argument_error);
    CHECK_THROWS_WITH_AS(call({.temperature = nan}), "concentration: temperature: must be positive and finite; got nan",
                         argument_error);
    CHECK_THROWS_AS(call({.temperature = 5e-324}), argument_error);
    CHECK_THROWS_AS(call({.smoothing = -1}), argument_error);
    CHECK_THROWS_AS(call({.smoothing = nan}), argument_error);
    in.assignment[3] = 2;
    CHECK_THROWS_WITH_AS(call({}),
                         "concentration: assignment: must be a cluster in [0, 2), or -1 for none; got 2 in row 3",
                         argument_error);
    in.assignment[3] = 1;
    for (const double bad : {nan, -1.0, std::numeric_limits<double>::infinity()}) {
        in.squared_distance[3] = bad;
        CHECK_THROWS_WITH_AS(call({}),
                             "concentration: squared_distance: must be finite and not negative; got NaN, infinity or "
                             "a negative value in cluster 1",
                             argument_error);
    }
    CHECK(out == std::vector<value>(2, value(-7)));
}

// SPDX-License-Identifier: MIT
#include <protonce/metrics/cluster_scores.hpp>

#include "support/counting_resource.hpp"
#include "support/random.hpp"
#include "support/thrown.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory_resource>
#include <numeric>
#include <string>
#include <vector>

using protonce::cluster_scores;
using protonce::cluster_scores_report;
using protonce::index_t;
using protonce::label_t;
using protonce::view_vector;

namespace {

using labels = std::vector<label_t>;

cluster_scores_report scores(const labels& truth, const labels& predicted) {
    return cluster_scores(view_vector(truth), view_vector(predicted));
}

/// Two labelings with this table of counts.
struct labelings {
    labels truth;
    labels predicted;
};

labelings from_table(const std::vector<std::vector<int>>& table) {
    labelings out;
    for (std::size_t i = 0; i < table.size(); ++i) {
        for (std::size_t j = 0; j < table[i].size(); ++j) {
            out.truth.insert(out.truth.end(), static_cast<std::size_t>(table[i][j]), static_cast<label_t>(i));
            out.predicted.insert(out.predicted.end(), static_cast<std::size_t>(table[i][j]), static_cast<label_t>(j));
        }
    }
    return out;
}

/// A sum of n terms of magnitude at most m, each off by some units of rounding.
double rounding(double terms, double magnitude = 1.0) {
    return 8.0 * terms * std::numeric_limits<double>::epsilon() * magnitude;
}

void check_equal(const cluster_scores_report& a, const cluster_scores_report& b, double tolerance) {
    CHECK(std::abs(a.ami - b.ami) <= tolerance);
    CHECK(std::abs(a.nmi - b.nmi) <= tolerance);
    CHECK(std::abs(a.ari - b.ari) <= tolerance);
    CHECK(std::abs(a.homogeneity - b.homogeneity) <= tolerance);
    CHECK(std::abs(a.completeness - b.completeness) <= tolerance);
    CHECK(std::abs(a.v_measure - b.v_measure) <= tolerance);
    CHECK(a.purity == b.purity);
    CHECK(a.matching_accuracy == b.matching_accuracy);
    CHECK(std::abs(a.mutual_information - b.mutual_information) <= tolerance);
    CHECK(std::abs(a.expected_mutual_information - b.expected_mutual_information) <= tolerance);
}

void check_all_one(const cluster_scores_report& report) {
    CHECK(report.ami == 1.0);
    CHECK(report.nmi == 1.0);
    CHECK(report.ari == 1.0);
    CHECK(report.homogeneity == 1.0);
    CHECK(report.completeness == 1.0);
    CHECK(report.v_measure == 1.0);
    CHECK(report.purity == 1.0);
    CHECK(report.matching_accuracy == 1.0);
}

std::string message_of(const labels& truth, const labels& predicted) {
    return test::message_of<std::invalid_argument>([&] { scores(truth, predicted); });
}

} // namespace

TEST_CASE("cluster_scores: the same partition under other names scores 1") {
    check_all_one(scores({0, 1, 0, 2, 2}, {7, 3, 7, 0, 0}));
    check_all_one(scores({5, 2147483647, 5}, {2147483647, 0, 2147483647}));
}

TEST_CASE("cluster_scores: one group on both sides, or only groups of one, scores 1") {
    check_all_one(scores({3}, {0}));
    check_all_one(scores({0, 0, 0}, {4, 4, 4}));
    check_all_one(scores({0, 1, 2, 3}, {9, 1, 0, 4}));
}

TEST_CASE("cluster_scores: one cluster for three classes tells nothing and is complete") {
    const auto report = scores({0, 0, 0, 1, 1, 2}, {0, 0, 0, 0, 0, 0});

    CHECK(report.ami == 0.0);
    CHECK(report.nmi == 0.0);
    CHECK(report.ari == 0.0);
    CHECK(report.homogeneity == 0.0);
    CHECK(report.completeness == 1.0);
    CHECK(report.v_measure == 0.0);
    CHECK(report.mutual_information == 0.0);
    CHECK(report.expected_mutual_information == 0.0);
    CHECK(report.purity == 0.5);
    CHECK(report.matching_accuracy == 0.5);
}

TEST_CASE("cluster_scores: a cluster for each sample is homogeneous and, beyond chance, tells nothing") {
    const auto report = scores({0, 0, 1, 1}, {0, 1, 2, 3});

    CHECK(report.homogeneity == doctest::Approx(1.0).epsilon(1e-15));
    CHECK(report.completeness == doctest::Approx(0.5).epsilon(1e-15)); // ln 2 / ln 4
    CHECK(report.purity == 1.0);
    CHECK(report.matching_accuracy == 0.5);
    CHECK(std::abs(report.ami) <= rounding(8));
    CHECK(report.ari == 0.0);
}

TEST_CASE("cluster_scores: two independent splits of four samples, by hand") {
    const auto report = scores({0, 0, 1, 1}, {0, 1, 0, 1});

    // Each cell expects (1/6) (2/4) ln(4 * 2 / (2 * 2)): E[I] = 4 ln 2 / 12, so AMI = -(1/3) / (1 - 1/3).
    CHECK(report.mutual_information == 0.0);
    CHECK(std::abs(report.expected_mutual_information - std::log(2.0) / 3.0) <= rounding(4));
    CHECK(std::abs(report.ami + 0.5) <= rounding(4));
    CHECK(report.ari == -0.5); // tp 0, fp 4, fn 4, tn 4 of 16 ordered pairs
    CHECK(report.nmi == 0.0);
    CHECK(report.purity == 0.5);
    CHECK(report.matching_accuracy == 0.5);
}

TEST_CASE("cluster_scores: the matching gives up the largest cell where two others hold more") {
    const auto [truth, predicted] = from_table({{5, 4}, {4, 0}});

    CHECK(scores(truth, predicted).matching_accuracy == 8.0 / 13.0);
}

TEST_CASE("cluster_scores: with fewer clusters than classes the matching leaves classes out, and the other way round") {
    const auto [truth, predicted] = from_table({{4, 1}, {3, 2}, {0, 3}});

    CHECK(scores(truth, predicted).matching_accuracy == 7.0 / 13.0);
    CHECK(scores(predicted, truth).matching_accuracy == 7.0 / 13.0);
}

TEST_CASE("cluster_scores: the matching is the best of all, by trying every one") {
    TEST_RANDOM(random, 11);
    for (int repeat = 0; repeat < 200; ++repeat) {
        CAPTURE(repeat);
        const auto size = static_cast<std::size_t>(1 + random.integer(5));
        std::vector<std::vector<int>> table(size, std::vector<int>(size));
        for (auto& row : table) {
            for (auto& count : row) {
                count = static_cast<int>(random.integer(repeat % 2 == 0 ? 3 : 9));
            }
        }
        table[0][0] += 1; // at least one sample
        const auto [truth, predicted] = from_table(table);

        std::vector<std::size_t> order(size);
        std::iota(order.begin(), order.end(), std::size_t{0});
        int best = 0;
        do {
            int sum = 0;
            for (std::size_t i = 0; i < size; ++i) {
                sum += table[i][order[i]];
            }
            best = std::max(best, sum);
        } while (std::next_permutation(order.begin(), order.end()));

        CHECK(scores(truth, predicted).matching_accuracy ==
              static_cast<double>(best) / static_cast<double>(truth.size()));
    }
}

TEST_CASE("cluster_scores: expected information is the mean over all orders of the samples") {
    const labels truth{0, 0, 0, 1, 1, 2, 2};
    labels predicted{0, 0, 1, 1, 1, 1, 2};
    const double expected = scores(truth, predicted).expected_mutual_information;

    std::vector<std::size_t> order(predicted.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const labels original = predicted;
    double sum = 0.0;
    double orders = 0.0;
    do {
        for (std::size_t i = 0; i < order.size(); ++i) {
            predicted[i] = original[order[i]];
        }
        sum += scores(truth, predicted).mutual_information;
        orders += 1.0;
    } while (std::next_permutation(order.begin(), order.end()));

    CHECK(orders == 5040.0);
    CHECK(std::abs(expected - sum / orders) <= rounding(orders, expected));
}

TEST_CASE("cluster_scores: expected information of large groups keeps its digits") {
    // With three even groups on both sides N E[I] tends to (3 - 1)(3 - 1) / 2; the next term is of order 1 / N. The
    // logarithms of the factorials are about 10^7 here: a difference of them is good to 10^-9, more than E[I] times
    // 10^-4.
    const index_t n = 900000;
    labels truth;
    labels predicted;
    for (index_t i = 0; i < n; ++i) {
        truth.push_back(static_cast<label_t>(i % 3));
        predicted.push_back(static_cast<label_t>(i / 3 % 3));
    }

    const auto report = scores(truth, predicted);

    CHECK(std::abs(report.expected_mutual_information * static_cast<double>(n) - 2.0) <= 20.0 / static_cast<double>(n));
    CHECK(report.mutual_information <= rounding(9));
    CHECK(std::abs(report.ami) <= 1e-5);
}

TEST_CASE("cluster_scores: swapping the sides swaps homogeneity with completeness and keeps the symmetric scores") {
    TEST_RANDOM(random, 12);
    const auto truth = random.labels(150, 7);
    const auto predicted = random.labels(150, 4);

    const auto one = scores(truth, predicted);
    auto other = scores(predicted, truth);

    CHECK(one.matching_accuracy == other.matching_accuracy);
    std::swap(other.homogeneity, other.completeness);
    other.purity = one.purity; // not symmetric
    check_equal(one, other, rounding(150));
}

TEST_CASE("cluster_scores: the order of the samples and the names of the groups do not matter") {
    TEST_RANDOM(random, 13);
    const auto truth = random.labels(200, 5);
    const auto predicted = random.labels(200, 9);
    const auto order = random.permutation(200);
    labels truth_moved;
    labels predicted_moved;
    for (const index_t i : order) {
        truth_moved.push_back(100 - 3 * truth[static_cast<std::size_t>(i)]);
        predicted_moved.push_back(7 * predicted[static_cast<std::size_t>(i)] + 1000000);
    }

    check_equal(scores(truth, predicted), scores(truth_moved, predicted_moved), rounding(200));
}

TEST_CASE("cluster_scores: independent labels score 0 beyond chance, however many groups there are") {
    TEST_RANDOM(random, 14);
    const index_t n = 20000;
    for (const label_t groups : {2, 50, 1500}) {
        CAPTURE(groups);
        const auto report = scores(random.labels(n, groups), random.labels(n, groups));
        // Both scatter by less than 1 / sqrt(N): five times that.
        CHECK(std::abs(report.ami) <= 5.0 / std::sqrt(static_cast<double>(n)));
        CHECK(std::abs(report.ari) <= 5.0 / std::sqrt(static_cast<double>(n)));
    }
}

TEST_CASE("cluster_scores: a group for each of many samples takes no table of all pairs") {
    const index_t n = 200000;
    labels truth(static_cast<std::size_t>(n));
    std::iota(truth.begin(), truth.end(), 0);
    labels predicted(truth.rbegin(), truth.rend());
    predicted[0] = predicted[1];
    test::counting_resource memory;

    const auto report = cluster_scores(view_vector(truth), view_vector(predicted), &memory);

    CHECK(report.matching_accuracy == static_cast<double>(n - 1) / static_cast<double>(n));
    CHECK(report.completeness == doctest::Approx(1.0).epsilon(1e-12));
    CHECK(memory.peak_bytes() < 400 * n);
}

TEST_CASE("cluster_scores: temporaries come from the given resource and go back to it") {
    const labels truth{0, 1, 2, 0, 1, 2};
    const labels predicted{0, 1, 0, 1, 0, 1};
    test::counting_resource memory;
    auto* const before = std::pmr::set_default_resource(std::pmr::null_memory_resource());

    cluster_scores_report report;
    CHECK_NOTHROW(report = cluster_scores(view_vector(truth), view_vector(predicted), &memory));
    CHECK_NOTHROW(report = cluster_scores(view_vector(predicted), view_vector(truth), &memory));
    std::pmr::set_default_resource(before);

    CHECK(memory.allocations() > 0);
    CHECK(memory.bytes_in_use() == 0);
}

TEST_CASE("cluster_scores: no samples, or sides of different length, throw shape_error") {
    CHECK_THROWS_AS(scores({}, {}), protonce::shape_error);
    CHECK_THROWS_AS(scores({0, 1}, {0}), protonce::shape_error);
    CHECK(message_of({}, {}) == "cluster_scores: truth: must be given and hold at least one value; got 0 values");
    CHECK(message_of({0, 1}, {0}) == "cluster_scores: predicted: must hold 2 values; got 1");
}

TEST_CASE("cluster_scores: a negative label throws argument_error that names the row") {
    const std::string needed = "must not be negative; leave samples without a label out, or give them their own; got ";
    CHECK_THROWS_AS(scores({0, -1}, {0, 0}), protonce::argument_error);
    CHECK(message_of({0, -1}, {0, 0}) == "cluster_scores: truth: " + needed + "-1 in row 1");
    CHECK(message_of({0, 1}, {-7, 0}) == "cluster_scores: predicted: " + needed + "-7 in row 0");
}

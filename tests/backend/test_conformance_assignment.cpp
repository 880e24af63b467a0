// SPDX-License-Identifier: MIT
#include <support/assignment_run.hpp>
#include <support/conformance.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

using namespace protonce;
using test::assign_rows;
using test::placed;

namespace {

struct greedy {
    std::vector<double> potential, relaxed;
};

template <class B, class T = typename B::value_type>
greedy run_greedy(B& be, const test::matrix<T>& x, const test::matrix<T>& candidates, const std::vector<T>& weight,
                  const std::vector<double>& least) {
    placed<B, T> features(be, x), c(be, candidates), w(be, weight);
    placed<B, double> nearest(be, least), relaxed(be, least);
    auto potential = placed<B, double>::unwritten(be, candidates.rows());
    auto index = be.index_rows(features.rows(), true);
    be.candidate_potential(index, c.rows(), w.vector(), nearest.vector(), potential.vector());
    be.relax_nearest(index, c.rows().slice(0, 1), relaxed.vector());
    return {potential.values(), relaxed.values()};
}

template <class T>
double squared_distance(const test::matrix<T>& a, index_t i, const test::matrix<T>& b, index_t k) {
    double sum = 0;
    for (index_t j = 0; j < a.cols(); ++j) {
        const double d = static_cast<double>(a(i, j)) - static_cast<double>(b(k, j));
        sum += d * d;
    }
    return sum;
}

// The largest distance of a row or centroid from the mean of the rows.
template <class T>
double radius(const test::matrix<T>& x, const test::matrix<T>& centroids) {
    test::matrix<double> mean(1, x.cols());
    for (index_t i = 0; i < x.rows(); ++i) {
        for (index_t j = 0; j < x.cols(); ++j) {
            mean(0, j) += static_cast<double>(x(i, j)) / static_cast<double>(x.rows());
        }
    }
    double largest = 0;
    for (const auto* rows : {&x, &centroids}) {
        for (index_t i = 0; i < rows->rows(); ++i) {
            double sum = 0;
            for (index_t j = 0; j < x.cols(); ++j) {
                sum += std::pow(static_cast<double>((*rows)(i, j)) - mean(0, j), 2);
            }
            largest = std::max(largest, std::sqrt(sum));
        }
    }
    return largest;
}

// Rows around a point far from the origin, some of them twice.
template <class T>
test::matrix<T> shifted_rows(test::random_source& random, index_t rows, index_t cols, index_t gap) {
    auto x = random.uniform_matrix<T>(rows, cols, 9, 11, gap);
    for (index_t i = 3; i < rows; i += 7) {
        for (index_t j = 0; j < cols; ++j) {
            x(i, j) = x(i - 1, j);
        }
    }
    return x;
}

} // namespace

TEST_CASE_TEMPLATE("conformance: nearest_row is reference's, or nearer than rounding can tell", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 301);
    for (const auto& shape : test::awkward_shapes()) {
        const index_t rows = shape.rows;
        const index_t cols = shape.cols;
        for (const index_t clusters : test::awkward_clusters) {
            const auto x = shifted_rows<T>(random, rows, cols, cols % 4);
            const auto centroids = shifted_rows<T>(random, clusters, cols, cols % 3);
            test::reference_of<B> reference;
            const auto expected = assign_rows(reference, x, centroids, true);
            // A score x.c - ||c||^2 / 2 over values within r of their mean: at most 3/2 r^2, summed in C + 1 steps;
            // centring rounds each value once, which moves the score by at most 3 r^2 units. Twice the score makes a
            // distance; two compete.
            const double r = radius(x, centroids);
            const double allowed = 4 * (1.5 * (static_cast<double>(cols) + 1) + 3) * r * r * test::unit<T>;

            for (const auto& how : test::variants<B>()) {
                INFO(how.name, " N = ", rows, " C = ", cols, " K = ", clusters);
                B be = test::make<B>(how);
                const auto actual = assign_rows(be, x, centroids, true);

                double margin = 0; // of the label given, in squared distance
                double distance_error = 0;
                for (index_t i = 0; i < rows; ++i) {
                    const auto at = static_cast<std::size_t>(i);
                    REQUIRE(actual.label[at] >= 0);
                    REQUIRE(actual.label[at] < clusters);
                    const double own = squared_distance(x, i, centroids, actual.label[at]);
                    margin = std::max(margin, own - squared_distance(x, i, centroids, expected.label[at]));
                    if (own > 0) {
                        distance_error = std::max(distance_error, std::abs(actual.squared_distance[at] / own - 1));
                    } else {
                        CHECK(actual.squared_distance[at] == 0);
                    }
                }
                CHECK(margin <= allowed);
                CHECK(distance_error <= 2 * (static_cast<double>(cols) + 3) * test::unit<double>);
            }
        }
    }
}

TEST_CASE_TEMPLATE("conformance: nearest_row is reference's where arithmetic is exact, ties included", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 302);
    for (const auto& shape : test::awkward_shapes()) {
        const index_t rows = shape.rows;
        const index_t cols = shape.cols;
        for (const index_t clusters : test::awkward_clusters) {
            const auto x = test::small_integers<T>(random, rows, cols, cols % 4);
            const auto centroids = test::small_integers<T>(random, clusters, cols, cols % 3);
            test::reference_of<B> reference;
            const auto expected = assign_rows(reference, x, centroids, false);

            for (const auto& how : test::variants<B>()) {
                INFO(how.name, " N = ", rows, " C = ", cols, " K = ", clusters);
                B be = test::make<B>(how);
                const auto actual = assign_rows(be, x, centroids, false);

                CHECK(actual.label == expected.label);
                CHECK(actual.squared_distance == expected.squared_distance);
            }
        }
    }
}

TEST_CASE_TEMPLATE("conformance: of equal centroids the lowest number wins, centred or not", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 303);
    const auto x = random.uniform_matrix<T>(257, 33, -1, 2);
    const auto distinct = random.uniform_matrix<T>(20, 33, -1, 2);
    test::matrix<T> centroids(60, 33); // the same twenty three times
    for (index_t k = 0; k < 60; ++k) {
        for (index_t j = 0; j < 33; ++j) {
            centroids(k, j) = distinct(k % 20, j);
        }
    }

    for (const auto& how : test::variants<B>()) {
        for (const bool may_centre : {true, false}) {
            B be = test::make<B>(how);
            const auto once = assign_rows(be, x, distinct, may_centre);
            const auto thrice = assign_rows(be, x, centroids, may_centre);

            CAPTURE(how.name);
            CHECK(thrice.label == once.label);
            CHECK(thrice.squared_distance == once.squared_distance);
        }
    }
}

TEST_CASE_TEMPLATE("conformance: a result does not depend on what the index was asked before", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 304);
    const auto x = random.uniform_matrix<T>(600, 16, -1, 2);
    const auto first = random.uniform_matrix<T>(17, 16, -1, 2);
    const auto second = random.uniform_matrix<T>(40, 16, -1, 2);
    B be = test::make<B>({});
    const auto fresh = assign_rows(be, x, second, true);
    placed<B, T> features(be, x), a(be, first), b(be, second);
    auto label = placed<B, label_t>::unwritten(be, 600);
    auto distance = placed<B, double>::unwritten(be, 600);

    {
        auto index = be.index_rows(features.rows(), true);
        be.nearest_row(index, a.rows(), label.vector(), distance.vector());
        be.nearest_row(index, b.rows(), label.vector(), distance.vector());
    }

    CHECK(label.values() == fresh.label);
    CHECK(distance.values() == fresh.squared_distance);
}

TEST_CASE_TEMPLATE("conformance: candidate_potential and relax_nearest equal reference", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 305);
    for (const auto& shape : test::awkward_shapes()) {
        const index_t rows = shape.rows;
        const index_t cols = shape.cols;
        const auto x = shifted_rows<T>(random, rows, cols, cols % 4);
        const auto weight = random.uniform_values<T>(rows, 0, 3);
        const auto least = random.uniform_values<double>(rows, 0, 4 * static_cast<double>(cols));
        for (const index_t candidates : {1, 2, 17}) {
            const auto c = shifted_rows<T>(random, candidates, cols, 1);
            test::reference_of<B> reference;
            // Centring rounds x and c by r units each, hence their difference, at most 2 r, by 2 r units, hence its
            // square by 8 r^2 units; its sum of C + 1 roundings adds (C + 1) 4 r^2.
            const double r = radius(x, c);
            const double allowed = (4 * (static_cast<double>(cols) + 1) + 8) * 1.01 * r * r * test::unit<T>;

            for (const auto& w : {std::vector<T>{}, weight}) {
                const auto expected = run_greedy(reference, x, c, w, least);
                double total_weight = 0;
                for (index_t i = 0; i < rows; ++i) {
                    total_weight += w.empty() ? 1.0 : static_cast<double>(w[static_cast<std::size_t>(i)]);
                }
                for (const auto& how : test::variants<B>()) {
                    INFO(how.name, " N = ", rows, " C = ", cols, " L = ", candidates);
                    B be = test::make<B>(how);
                    const auto actual = run_greedy(be, x, c, w, least);

                    CHECK(test::absolute_excess(actual.relaxed, expected.relaxed, allowed) <= 0);
                    // Minima differ no more than what they are taken of; the sum in double adds far less than for
                    // double alone.
                    CHECK(test::excess(actual.potential, expected.potential, [&](std::size_t l) {
                              return total_weight * allowed +
                                     2 * (static_cast<double>(rows) + 1) * test::unit<double> * expected.potential[l];
                          }) <= 0);
                }
            }
        }
    }
}

TEST_CASE_TEMPLATE("conformance: a candidate that is one of the rows has distance 0 to it", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 306);
    const auto x = random.uniform_matrix<T>(100, 33, 1000, 1001);
    const std::vector<double> least(100, 1e9);

    for (const auto& how : test::variants<B>()) {
        B be = test::make<B>(how);
        const auto out = run_greedy(be, x, x, {}, least);

        CAPTURE(how.name);
        CHECK(out.relaxed[0] == 0);
        CHECK(out.relaxed[1] > 0);
    }
}

TEST_CASE_TEMPLATE("conformance: the distance of a row with NaN is NaN", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 307);
    auto x = random.uniform_matrix<T>(40, 7, -1, 1);
    x(13, 3) = std::numeric_limits<T>::quiet_NaN();
    const auto centroids = random.uniform_matrix<T>(5, 7, -1, 1);
    const std::vector<double> least(40, 1e9);

    for (const auto& how : test::variants<B>()) {
        B be = test::make<B>(how);
        const auto nearest = assign_rows(be, x, centroids, false);
        const auto out = run_greedy(be, x, centroids, {}, least);

        CAPTURE(how.name);
        CHECK(std::isnan(nearest.squared_distance[13]));
        CHECK(std::isnan(out.potential[4]));
        CHECK(std::isnan(out.relaxed[13]));
    }
}

// SPDX-License-Identifier: MIT
#include <protonce/metrics/symmetric_eigenvalues.hpp>

#include "support/random.hpp"

#include <Eigen/Eigenvalues>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

using protonce::index_t;

namespace {

std::vector<double> eigenvalues(test::matrix<double> a) {
    std::vector<double> out(static_cast<std::size_t>(a.rows()));
    std::vector<double> work(3 * out.size());
    protonce::detail::symmetric_eigenvalues(a.view(), protonce::view_vector(out), protonce::view_vector(work));
    return out;
}

test::matrix<double> square(index_t n, std::vector<double> values) {
    test::matrix<double> out(n, n);
    for (index_t i = 0; i < n * n; ++i) {
        out(i / n, i % n) = values[static_cast<std::size_t>(i)];
    }
    return out;
}

/// n steps of n products each.
double rounding_of(index_t n, double largest) {
    return 8.0 * static_cast<double>(n) * std::numeric_limits<double>::epsilon() * largest;
}

} // namespace

TEST_CASE("symmetric_eigenvalues: of one and of two values, by hand") {
    CHECK(eigenvalues(square(1, {-3}))[0] == doctest::Approx(-3.0).epsilon(1e-15));
    const auto two = eigenvalues(square(2, {2, 1, 1, 2}));
    CHECK(std::abs(two[0] - 1.0) <= rounding_of(2, 3));
    CHECK(std::abs(two[1] - 3.0) <= rounding_of(2, 3));
}

TEST_CASE("symmetric_eigenvalues: a diagonal comes back in ascending order, equal ones included") {
    const auto values = eigenvalues(square(4, {5, 0, 0, 0, 0, -1, 0, 0, 0, 0, 5, 0, 0, 0, 0, 2}));

    const std::vector<double> expected{-1, 2, 5, 5};
    for (std::size_t k = 0; k < 4; ++k) {
        CHECK(std::abs(values[k] - expected[k]) <= rounding_of(4, 5));
    }
}

TEST_CASE("symmetric_eigenvalues: of the second difference they are 2 - 2 cos(k pi / (n + 1))") {
    const index_t n = 50;
    test::matrix<double> a(n, n);
    for (index_t i = 0; i < n; ++i) {
        a(i, i) = 2;
        if (i > 0) {
            a(i, i - 1) = a(i - 1, i) = -1;
        }
    }

    const auto values = eigenvalues(a);
    for (index_t k = 0; k < n; ++k) {
        const double angle = static_cast<double>(k + 1) * std::numbers::pi / static_cast<double>(n + 1);
        CHECK(std::abs(values[static_cast<std::size_t>(k)] - (2.0 - 2.0 * std::cos(angle))) <= rounding_of(n, 4));
    }
}

TEST_CASE("symmetric_eigenvalues: equal those of another program on random matrices") {
    TEST_RANDOM(random, 51);
    for (const index_t n : {2, 3, 5, 17, 64, 129}) {
        CAPTURE(n);
        test::matrix<double> a(n, n);
        Eigen::MatrixXd other(n, n);
        for (index_t i = 0; i < n; ++i) {
            for (index_t j = 0; j <= i; ++j) {
                a(i, j) = a(j, i) = other(i, j) = other(j, i) = random.normal();
            }
        }
        const Eigen::VectorXd expected = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(other).eigenvalues();

        const auto values = eigenvalues(a);
        for (index_t k = 0; k < n; ++k) {
            CHECK(std::abs(values[static_cast<std::size_t>(k)] - expected(k)) <=
                  rounding_of(n, expected.cwiseAbs().maxCoeff()));
        }
    }
}

TEST_CASE("symmetric_eigenvalues: zero, and values near the end of the range, come to an end") {
    for (const double value : eigenvalues(test::matrix<double>(6, 6))) {
        CHECK(value == 0.0);
    }
    const double tiny = std::numeric_limits<double>::denorm_min();
    const auto least = eigenvalues(square(2, {tiny, 0, 0, 3 * tiny}));
    CHECK(least[0] <= least[1]);
    CHECK(least[1] <= 3 * tiny);
}

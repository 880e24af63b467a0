// SPDX-License-Identifier: MIT
#include <protonce/metrics/effective_rank.hpp>

#include "support/backends.hpp"
#include "support/counting_resource.hpp"
#include "support/random.hpp"
#include "support/thrown.hpp"

#include <Eigen/SVD>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using protonce::effective_rank;
using protonce::index_t;
using protonce::view_rows;

namespace {

/// By its definition, from a singular value decomposition of the matrix itself.
template <class T>
double plain_effective_rank(const test::matrix<T>& x, bool centred) {
    Eigen::MatrixXd matrix(x.rows(), x.cols());
    for (index_t i = 0; i < x.rows(); ++i) {
        for (index_t j = 0; j < x.cols(); ++j) {
            matrix(i, j) = static_cast<double>(x(i, j));
        }
    }
    if (centred) {
        matrix.rowwise() -= matrix.colwise().mean().eval();
    }
    const Eigen::VectorXd value = Eigen::JacobiSVD<Eigen::MatrixXd>(matrix).singularValues();
    double entropy = 0.0;
    for (index_t k = 0; k < value.size(); ++k) {
        const double p = value(k) / value.sum();
        entropy -= p > 0.0 ? p * std::log(p) : 0.0;
    }
    return std::exp(entropy);
}

template <class T>
std::string message_of(protonce::matrix_view<T> features) {
    protonce::reference_backend<T> be;
    return test::message_of<std::invalid_argument>([&] { effective_rank(be, features); });
}

} // namespace

TEST_CASE_TEMPLATE("effective_rank: orthogonal rows of one length count each", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be;
    const std::vector<T> x{2, 0, 0, 0, 0, -2, 0, 0, 0, 0, 0, 2};

    CHECK(effective_rank(be, view_rows(x.data(), 3, 4)) == doctest::Approx(3.0).epsilon(1e-14));
}

TEST_CASE_TEMPLATE("effective_rank: singular values 3 and 1, by hand", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be;
    const std::vector<T> x{3, 0, 0, 1, 0, 0};
    const double expected = std::exp(0.75 * std::log(4.0 / 3.0) + 0.25 * std::log(4.0));

    CHECK(effective_rank(be, view_rows(x.data(), 3, 2)) == doctest::Approx(expected).epsilon(1e-14));
}

TEST_CASE_TEMPLATE("effective_rank: collapsed features have 1, and 0 when centred", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be;
    test::matrix<T> equal(1000, 5);
    for (index_t i = 0; i < equal.rows(); ++i) {
        for (index_t j = 0; j < equal.cols(); ++j) {
            equal(i, j) = static_cast<T>(0.1) * static_cast<T>(j + 1);
        }
    }
    const test::matrix<T> zero(4, 5);

    CHECK(effective_rank(be, equal.view()) == 1.0);
    CHECK(effective_rank(be, equal.view(), {.centred = true}) == 0.0);
    CHECK(effective_rank(be, zero.view()) == 0.0);
}

TEST_CASE_TEMPLATE("effective_rank: equals a singular value decomposition for any shape and stride", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 41);
    for (const index_t rows : {1, 2, 31, 33, 257}) {
        for (const index_t cols : {1, 3, 16, 33}) {
            for (const bool centred : {false, true}) {
                if (centred && rows == 1) {
                    continue; // nothing is left
                }
                CAPTURE(rows);
                CAPTURE(cols);
                CAPTURE(centred);
                B be;
                const auto x = random.uniform_matrix<T>(rows, cols, -1.0, 2.0, cols % 2);
                const double actual = effective_rank(be, x.view(), {.centred = centred});
                // Roots of eigenvalues: a singular value s is off by N eps s_1^2 / (2 s). Random ones are not small but
                // by chance, and one that counts as 0 adds p ln p of at most p = 1.5e-8 sqrt(max(N, C)).
                CHECK(actual == doctest::Approx(plain_effective_rank(x, centred)).epsilon(1e-6));
            }
        }
    }
}

TEST_CASE_TEMPLATE("effective_rank: features in a space of few dimensions have no more", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 42);
    B be;
    // Columns repeat: exactly three dimensions, also after rounding.
    const auto three = random.normal_matrix<T>(500, 3);
    test::matrix<T> x(500, 24);
    for (index_t i = 0; i < 500; ++i) {
        for (index_t j = 0; j < 24; ++j) {
            x(i, j) = three(i, j % 3);
        }
    }

    // Eight copies of a column are one of eight times the square: the singular values are those of the three, scaled.
    CHECK(effective_rank(be, x.view()) == doctest::Approx(plain_effective_rank(three, false)).epsilon(1e-12));
}

TEST_CASE_TEMPLATE("effective_rank: scaling the features and repeating the rows change nothing", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 43);
    B be;
    const auto x = random.normal_matrix<T>(60, 9);
    auto scaled = x;
    test::matrix<T> twice(120, 9);
    for (index_t i = 0; i < 120; ++i) {
        for (index_t j = 0; j < 9; ++j) {
            twice(i, j) = x(i % 60, j);
            scaled(i % 60, j) = T(1024) * x(i % 60, j);
        }
    }
    const double expected = effective_rank(be, x.view());

    CHECK(effective_rank(be, scaled.view()) == doctest::Approx(expected).epsilon(1e-13));
    CHECK(effective_rank(be, twice.view()) == doctest::Approx(expected).epsilon(1e-13));
}

TEST_CASE_TEMPLATE("effective_rank: the second identical call allocates nothing", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 44);
    test::counting_resource memory;
    B be = test::backend_on<B>(&memory);
    const auto x = random.normal_matrix<T>(60, 9);
    const double first = effective_rank(be, x.view(), {.centred = true});
    const index_t before = memory.allocations();

    CHECK(effective_rank(be, x.view(), {.centred = true}) == first);
    CHECK(before > 0);
    CHECK(memory.allocations() == before);
}

TEST_CASE_TEMPLATE("effective_rank: with checks off NaN gives NaN", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 45);
    B be = test::backend_checking<B>(false);
    auto x = random.normal_matrix<T>(60, 9);
    x(17, 3) = std::numeric_limits<T>::quiet_NaN();

    CHECK(std::isnan(effective_rank(be, x.view())));
    CHECK(std::isnan(effective_rank(be, x.view(), {.centred = true})));
}

TEST_CASE("effective_rank: what cannot be used throws and is named") {
    std::vector<double> values{1, 0, 0, 1};

    CHECK(message_of(protonce::matrix_view<double>{}) ==
          "effective_rank: features: must be given and hold at least one row and one column; got (0, 0)");
    values[2] = std::numeric_limits<double>::infinity();
    CHECK(message_of(view_rows(values.data(), 2, 2)) ==
          "effective_rank: features: must be finite everywhere; got NaN or infinity in row 1");
}

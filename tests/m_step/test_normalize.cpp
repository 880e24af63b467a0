// SPDX-License-Identifier: MIT
#include "m_step/losses.hpp"
#include "support/close.hpp"
#include "support/thrown.hpp"

#include <protonce/core/normalize.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace protonce;
using test::index_t;

TEST_CASE_TEMPLATE("normalize_rows: rows have norm 1, the norms are delivered, and a zero row stays zero", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    B be;
    const std::vector<T> rows{3, 4, 0, 0, -5, 12};
    std::vector<T> unit(6), norms(3);

    const auto report =
        normalize_rows(be, view_rows(rows.data(), 3, 2), view_rows(unit.data(), 3, 2), view_vector(norms));

    const std::vector<double> expected{3 / 5.0, 4 / 5.0, 0, 0, -5 / 13.0, 12 / 13.0};
    for (std::size_t i = 0; i < 6; ++i) {
        CHECK(test::close(unit[i], expected[i], 2));
    }
    CHECK(norms == std::vector<T>{5, 0, 13});
    CHECK(report.zero_rows == 1);
}

TEST_CASE_TEMPLATE("normalize_rows: norms may be left out, the output may be the input, strides are kept", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 91);
    B be;
    for (const index_t rows : {1, 31, 600}) {
        auto raw = random.normal_matrix<T>(rows, 9, 2);
        test::matrix<T> unit(rows, 9, 1);

        normalize_rows(be, raw.view(), unit.view());
        normalize_rows(be, raw.view(), raw.view());

        CHECK(test::distance(unit, raw) == 0);
        for (index_t i = 0; i < rows; ++i) {
            // Each square of a rounded coordinate is off by epsilon times itself, and so is their sum; norm, quotient
            // and this sum are rounded in double.
            const double bound =
                double(std::numeric_limits<T>::epsilon()) + 10 * std::numeric_limits<double>::epsilon();
            CHECK(std::abs(test::dot(unit, i, unit, i) - 1) <= bound);
        }
    }
}

TEST_CASE_TEMPLATE("normalize_rows_gradient: is orthogonal to the row, 0 for a zero row, and may be made in place", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 92);
    B be;
    auto raw = random.normal_matrix<T>(20, 7);
    for (index_t j = 0; j < 7; ++j) {
        raw(3, j) = 0;
    }
    test::matrix<T> unit(20, 7), gradient(20, 7);
    std::vector<T> norms(20);
    auto grad_unit = random.normal_matrix<T>(20, 7);
    normalize_rows(be, raw.view(), unit.view(), view_vector(norms));

    normalize_rows_gradient(be, {.unit = unit.view(), .norms = view_vector(norms), .grad_unit = grad_unit.view()},
                            gradient.view());
    normalize_rows_gradient(be, {.unit = unit.view(), .norms = view_vector(norms), .grad_unit = grad_unit.view()},
                            grad_unit.view());

    CHECK(test::distance(gradient, grad_unit) == 0);
    for (index_t i = 0; i < 20; ++i) {
        // 7 products of size |g| |u| <= 5, each factor rounded.
        CHECK(std::abs(test::dot(gradient, i, raw, i)) <= 7 * 5 * 4 * double(std::numeric_limits<T>::epsilon()));
    }
    CHECK(test::dot(gradient, 3, gradient, 3) == 0);
}

TEST_CASE_TEMPLATE("normalize_rows: what does not go together is refused by name", B, TEST_BACKENDS) {
    using T = value_of<B>;
    B be;
    auto rows = test::filled<T>(4, 3, T(1));
    test::matrix<T> unit(4, 3);
    std::vector<T> norms(3);

    CHECK(test::message_of<shape_error>([&] { normalize_rows(be, rows.view(), unit.view().slice(0, 2)); }) ==
          "normalize_rows: unit: must have the shape of rows, (4, 3); got (2, 3)");
    CHECK(test::message_of<shape_error>([&] { normalize_rows(be, rows.view(), unit.view(), view_vector(norms)); }) ==
          "normalize_rows: norms: must hold 4 values; got 3");
    CHECK(test::message_of<shape_error>([&] {
              normalize_rows_gradient(be, {.unit = unit.view(), .norms = view_vector(norms), .grad_unit = unit.view()},
                                      unit.view());
          }) == "normalize_rows_gradient: norms: must hold 4 values; got 3");
    rows(1, 2) = std::numeric_limits<T>::quiet_NaN();
    CHECK(test::message_of<argument_error>([&] { normalize_rows(be, rows.view(), unit.view()); }) ==
          "normalize_rows: rows: must be finite everywhere; got NaN or infinity in row 1");
    CHECK(test::distance(unit, test::matrix<T>(4, 3)) == 0);
}

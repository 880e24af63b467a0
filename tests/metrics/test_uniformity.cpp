// SPDX-License-Identifier: MIT
#include <protonce/metrics/uniformity.hpp>

#include "support/backends.hpp"
#include "support/counting_resource.hpp"
#include "support/random.hpp"
#include "support/thrown.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using protonce::alignment;
using protonce::index_t;
using protonce::uniformity;
using protonce::view_rows;

namespace {

template <class T>
double squared_distance(const test::matrix<T>& x, index_t i, const test::matrix<T>& y, index_t l) {
    double sum = 0.0;
    for (index_t j = 0; j < x.cols(); ++j) {
        const double difference = static_cast<double>(x(i, j)) - static_cast<double>(y(l, j));
        sum += difference * difference;
    }
    return sum;
}

/// By its definition, in double.
template <class T>
double plain_uniformity(const test::matrix<T>& x, double scale) {
    double sum = 0.0;
    double pairs = 0.0;
    for (index_t i = 0; i < x.rows(); ++i) {
        double row = 0.0;
        for (index_t l = 0; l < i; ++l) {
            row += std::exp(-scale * squared_distance(x, i, x, l));
            pairs += 1.0;
        }
        sum += row;
    }
    return std::log(sum / pairs);
}

/// The exponents are sums of C products of magnitude at most 2 t r^2 and of two squares, each rounded: C + 8 units of 2
/// t r^2, r the largest norm. The logarithm of their mean is off by no more, and is rounded itself.
template <class T>
double uniformity_error(const test::matrix<T>& x, double scale) {
    const test::matrix<T> zero(1, x.cols());
    double largest = 0.0;
    for (index_t i = 0; i < x.rows(); ++i) {
        largest = std::max(largest, squared_distance(x, i, zero, 0));
    }
    const double unit = std::numeric_limits<T>::epsilon() / 2;
    const auto rows = static_cast<double>(x.rows());
    return 2 * rows * std::numeric_limits<double>::epsilon() +
           unit * (2 * scale * largest * (static_cast<double>(x.cols()) + 8.0) + 4 * std::log(rows + 1.0));
}

} // namespace

TEST_CASE_TEMPLATE("alignment: 0 for pairs that coincide", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be;
    TEST_RANDOM(random, 31);
    const auto x = random.unit_rows<T>(33, 7);

    CHECK(alignment(be, x.view(), x.view()) == 0.0);
}

TEST_CASE_TEMPLATE("alignment: two pairs, by hand, for several exponents", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be;
    const std::vector<T> x{3, 0, 1, 1};
    const std::vector<T> y{0, 4, 1, 0};
    const auto first = view_rows(x.data(), 2, 2);
    const auto second = view_rows(y.data(), 2, 2);

    CHECK(alignment(be, first, second) == 13.0); // (25 + 1) / 2
    CHECK(alignment(be, first, second, {.exponent = 1}) == 3.0);
    CHECK(alignment(be, first, second, {.exponent = 3}) == 63.0);
}

TEST_CASE_TEMPLATE("alignment: equals the definition over many blocks, for any strides", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 32);
    for (const index_t gap : {0, 3}) {
        CAPTURE(gap);
        B be;
        const auto x = random.unit_rows<T>(2500, 5, gap);
        const auto y = random.unit_rows<T>(2500, 5, 2 * gap);
        double expected = 0.0;
        for (index_t i = 0; i < 2500; ++i) {
            expected += squared_distance(x, i, y, i) / 2500;
        }

        // Differences and norms are rounded to T, a relative error of at most 4 units in a square of at most 4.
        const double unit = std::numeric_limits<T>::epsilon() / 2;
        CHECK(std::abs(alignment(be, x.view(), y.view()) - expected) <= 16 * unit + 2500 * 4e-16);
    }
}

TEST_CASE("alignment: what cannot be used throws and is named") {
    protonce::reference_backend<float> be;
    std::vector<float> values{1, 0, 0, 1};
    const auto x = view_rows(values.data(), 2, 2);
    const auto other = view_rows(values.data(), 1, 2);
    const protonce::matrix_view<float> none{};

    CHECK(test::message_of<std::invalid_argument>([&] { alignment(be, none, none); }) ==
          "alignment: first: must be given and hold at least one row and one column; got (0, 0)");
    CHECK(test::message_of<std::invalid_argument>([&] { alignment(be, x, other); }) ==
          "alignment: second: must have the shape of first, (2, 2); got (1, 2)");
    CHECK(test::message_of<std::invalid_argument>([&] { alignment(be, x, x, {.exponent = -1}); }) ==
          "alignment: exponent: must be positive and finite; got -1");
    values[3] = std::numeric_limits<float>::quiet_NaN();
    CHECK(test::message_of<std::invalid_argument>([&] { alignment(be, x, x); }) ==
          "alignment: first: must be finite everywhere; got NaN or infinity in row 1");
}

TEST_CASE_TEMPLATE("uniformity: opposite points and coinciding points, by hand", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be;
    const std::vector<T> opposite{0, 1, 0, -1};
    const std::vector<T> coinciding{0, 1, 0, 1, 0, 1};
    const std::vector<T> right_angle{1, 0, 0, 1};
    const double unit = std::numeric_limits<T>::epsilon() / 2;

    CHECK(std::abs(uniformity(be, view_rows(opposite.data(), 2, 2)) + 8.0) <= 16 * unit);
    CHECK(std::abs(uniformity(be, view_rows(right_angle.data(), 2, 2), {.scale = 3}) + 6.0) <= 16 * unit);
    CHECK(std::abs(uniformity(be, view_rows(coinciding.data(), 3, 2))) <= 16 * unit);
}

TEST_CASE_TEMPLATE("uniformity: equals the definition on unit rows of any stride", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 33);
    for (const index_t rows : {2, 5, 33, 257}) {
        for (const index_t cols : {1, 3, 16, 33}) {
            for (const double scale : {0.5, 2.0, 20.0}) {
                CAPTURE(rows);
                CAPTURE(cols);
                CAPTURE(scale);
                B be;
                const auto x = random.unit_rows<T>(rows, cols, cols % 2);
                const double actual = uniformity(be, x.view(), {.scale = scale});
                CHECK(std::abs(actual - plain_uniformity(x, scale)) <= uniformity_error(x, scale));
            }
        }
    }
}

TEST_CASE_TEMPLATE("uniformity: rows need not be unit", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 34);
    B be;
    const auto x = random.uniform_matrix<T>(40, 6, -1.5, 0.5);

    CHECK(std::abs(uniformity(be, x.view()) - plain_uniformity(x, 2.0)) <= uniformity_error(x, 2.0));
}

TEST_CASE_TEMPLATE("uniformity: rows so far apart that every term underflows still have a value", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be;
    const std::vector<T> x{16, 0, 0, 16};

    // -2 (256 + 256): e^-1024 is 0 in double, and so is every term of the sum.
    CHECK(uniformity(be, view_rows(x.data(), 2, 2)) == -1024.0);
}

TEST_CASE_TEMPLATE("uniformity: spread rows score lower than crowded ones", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 35);
    B be;
    const auto spread = random.unit_rows<T>(100, 16);
    auto crowded = spread;
    for (index_t i = 0; i < 100; ++i) {
        crowded(i, 0) = std::abs(crowded(i, 0));
        crowded(i, 1) = std::abs(crowded(i, 1));
    }

    CHECK(uniformity(be, spread.view()) < uniformity(be, crowded.view()));
}

TEST_CASE_TEMPLATE("uniformity: the second identical call allocates nothing", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 36);
    test::counting_resource memory;
    B be = test::backend_on<B>(&memory);
    const auto x = random.unit_rows<T>(100, 16);
    const double first = uniformity(be, x.view()) + alignment(be, x.view(), x.view());
    const index_t before = memory.allocations();

    const double second = uniformity(be, x.view()) + alignment(be, x.view(), x.view());

    CHECK(first == second);
    CHECK(before > 0);
    CHECK(memory.allocations() == before);
}

TEST_CASE_TEMPLATE("uniformity and alignment: bitwise the same for any number of threads", B, TEST_THREADED_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 37);
    const auto x = random.unit_rows<T>(300, 33);
    const auto y = random.unit_rows<T>(300, 33);
    B one(protonce::cpu_options{.threads = 1});
    const double expected_uniformity = uniformity(one, x.view());
    const double expected_alignment = alignment(one, x.view(), y.view());

    for (const int threads : {2, 3, 7}) {
        CAPTURE(threads);
        B be(protonce::cpu_options{.threads = threads});
        CHECK(uniformity(be, x.view()) == expected_uniformity);
        CHECK(alignment(be, x.view(), y.view()) == expected_alignment);
    }
}

TEST_CASE_TEMPLATE("uniformity and alignment: with checks off NaN gives NaN", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 38);
    B be = test::backend_checking<B>(false);
    auto x = random.unit_rows<T>(20, 4);
    x(11, 2) = std::numeric_limits<T>::quiet_NaN();

    CHECK(std::isnan(uniformity(be, x.view())));
    CHECK(std::isnan(alignment(be, x.view(), x.view())));
}

TEST_CASE("uniformity: what cannot be used throws and is named") {
    protonce::reference_backend<float> be;
    std::vector<float> values{1, 0, 0, 1};
    const auto x = view_rows(values.data(), 2, 2);

    CHECK(test::message_of<std::invalid_argument>([&] { uniformity(be, x.slice(0, 1)); }) ==
          "uniformity: features: must have at least two rows, and as many as label_t can number; got (1, 2)");
    CHECK(test::message_of<std::invalid_argument>([&] { uniformity(be, x, {.scale = 0}); }) ==
          "uniformity: scale: must be positive and finite, and so must be half its inverse; got 0");
    CHECK(test::message_of<std::invalid_argument>([&] { uniformity(be, x, {.scale = 1e60}); }) ==
          "uniformity: scale: must be positive and finite, and so must be half its inverse; got 1e+60");
    values[1] = std::numeric_limits<float>::infinity();
    CHECK(test::message_of<std::invalid_argument>([&] { uniformity(be, x); }) ==
          "uniformity: features: must be finite everywhere; got NaN or infinity in row 0");
}

// SPDX-License-Identifier: MIT
#include <protonce/backend/reference.hpp>

#include <support/random.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace protonce;
using protonce::detail::compare_distance;
using protonce::detail::exact_sum;

namespace {

template <class T>
struct assigned {
    std::vector<label_t> label;
    std::vector<double> squared_distance;
};

template <class T>
assigned<T> assign(matrix_view<const T> features, matrix_view<const T> centroids) {
    reference_backend<T> be;
    assigned<T> out{std::vector<label_t>(static_cast<std::size_t>(features.rows())),
                    std::vector<double>(static_cast<std::size_t>(features.rows()))};
    auto index = be.index_rows(features, true);
    be.nearest_row(index, centroids, view_vector(out.label), view_vector(out.squared_distance));
    return out;
}

template <class T>
int compare(const std::vector<T>& x, const std::vector<T>& a, const std::vector<T>& b) {
    return compare_distance(x.data(), a.data(), b.data(), static_cast<index_t>(x.size()));
}

} // namespace

TEST_CASE("reference: the exact sum cancels what double rounds away") {
    exact_sum zero;
    zero.add(1e300, 1e300);
    zero.add(1e-300, 1e-300);
    zero.add(-1e300, 1e300);
    CHECK(zero.sign() == 1); // 1e-600 is left, far below every double
    zero.add(1e-300, 1e-300, 0, true);

    CHECK(zero.sign() == 0);
}

TEST_CASE("reference: the exact sum holds the largest and the smallest products there are") {
    const double most = std::numeric_limits<double>::max();
    const double least = std::numeric_limits<double>::denorm_min();
    exact_sum sum;

    for (int i = 0; i < 1000; ++i) {
        sum.add(most, most, 1);
    }
    CHECK(sum.sign() == 1);
    for (int i = 0; i < 2000; ++i) {
        sum.add(-most, most);
    }
    CHECK(sum.sign() == 0);
    sum.add(-least, least);
    CHECK(sum.sign() == -1);
    sum.add(least, least, 1);
    CHECK(sum.sign() == 1);
}

TEST_CASE("reference: the exact sum agrees with whole-number arithmetic") {
    TEST_RANDOM(random, 71);
    for (int round = 0; round < 200; ++round) {
        exact_sum sum;
        std::int64_t expected = 0;
        for (int i = 0; i < 20; ++i) {
            const std::int64_t a = random.integer(2001) - 1000;
            const std::int64_t b = random.integer(2001) - 1000;
            const bool twice = random.integer(2) == 1;
            const bool negative = random.integer(2) == 1;
            // Powers of two that cancel in the product spread the values over the digits.
            const int shift = static_cast<int>(random.integer(1000));
            sum.add(std::ldexp(static_cast<double>(a), shift), std::ldexp(static_cast<double>(b), -shift),
                    twice ? 1 : 0, negative);
            expected += (negative ? -1 : 1) * (twice ? 2 : 1) * a * b;
        }

        CHECK(sum.sign() == (expected > 0 ? 1 : expected < 0 ? -1 : 0));
    }
}

TEST_CASE_TEMPLATE("reference: distances are compared exactly", T, float, double) {
    const T unit = std::numeric_limits<T>::epsilon();
    const T tiny = std::numeric_limits<T>::denorm_min();
    const T most = std::numeric_limits<T>::max();

    CHECK(compare<T>({0, 0}, {3, 4}, {5, 0}) == 0);
    CHECK(compare<T>({0, 0}, {3, 4}, {-4, 3}) == 0);
    CHECK(compare<T>({1}, {T{1} + unit}, {T{1} - unit}) == 0);
    CHECK(compare<T>({1}, {T{1} + unit}, {T{1} - unit / 2}) == 1);
    CHECK(compare<T>({1}, {T{1} - unit / 2}, {T{1} + unit}) == -1);
    // Squares that underflow, and squares that overflow.
    CHECK(compare<T>({0}, {tiny}, {-2 * tiny}) == -1);
    CHECK(compare<T>({0}, {tiny}, {-tiny}) == 0);
    CHECK(compare<T>({0, tiny}, {most, 0}, {most, 3 * tiny}) == -1);
}

TEST_CASE_TEMPLATE("reference: nearest_row gives label and squared distance of the nearest centroid", T, float,
                   double) {
    const std::vector<T> x{0, 0, 5, 5, -3, 1};
    const std::vector<T> c{4, 4, 1, 0, -3, 0};

    const auto out = assign<T>(view_rows(x.data(), 3, 2), view_rows(c.data(), 3, 2));

    CHECK(out.label == std::vector<label_t>{1, 0, 2});
    CHECK(out.squared_distance == std::vector<double>{1, 2, 1});
}

TEST_CASE_TEMPLATE("reference: nearest_row gives equal distances to the lowest number", T, float, double) {
    const std::vector<T> x{0, 0, 0, T(1e-30)};
    const std::vector<T> c{5, 0, 3, 4, -4, -3, 0, -5, 3, 4};

    const auto out = assign<T>(view_rows(x.data(), 2, 2), view_rows(c.data(), 5, 2));

    // The second row is nearer to (3, 4), by 8e-30 of 25: invisible in rounded distances.
    CHECK(out.label == std::vector<label_t>{0, 1});
}

TEST_CASE_TEMPLATE("reference: nearest_row reads a strided view and works without distances", T, float, double) {
    reference_backend<T> be;
    const std::vector<T> x{1, 99, 2, 99, 3, 99};
    const std::vector<T> c{3, 77, 1, 77};
    std::vector<label_t> label(3, 9);

    auto index = be.index_rows({x.data(), 3, 1, 2}, false);
    be.nearest_row(index, {c.data(), 2, 1, 2}, view_vector(label), {});

    CHECK(label == std::vector<label_t>{1, 0, 0});
}

TEST_CASE_TEMPLATE("reference: far from the origin distances keep their digits", T, float, double) {
    const T far = T(1 << 20);
    const std::vector<T> x{far, far};
    const std::vector<T> c{far + 1, far, far, far + T(0.5)};

    const auto out = assign<T>(view_rows(x.data(), 1, 2), view_rows(c.data(), 2, 2));

    CHECK(out.label[0] == 1);
    CHECK(out.squared_distance[0] == 0.25);
}

TEST_CASE_TEMPLATE("reference: a row with NaN or infinity has label 0 and distance NaN", T, float, double) {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const T inf = std::numeric_limits<T>::infinity();
    const std::vector<T> x{1, nan, -inf, 0, 2, 2};
    const std::vector<T> c{0, 0, 2, 2};

    const auto out = assign<T>(view_rows(x.data(), 3, 2), view_rows(c.data(), 2, 2));

    CHECK(out.label == std::vector<label_t>{0, 0, 1});
    CHECK(std::isnan(out.squared_distance[0]));
    CHECK(std::isnan(out.squared_distance[1]));
    CHECK(out.squared_distance[2] == 0);
}

TEST_CASE_TEMPLATE("reference: a centroid with NaN is nearest to nothing", T, float, double) {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const std::vector<T> x{1, 2};
    const std::vector<T> c{nan, 2, 5, 5};

    const auto out = assign<T>(view_rows(x.data(), 1, 2), view_rows(c.data(), 2, 2));
    const auto none = assign<T>(view_rows(x.data(), 1, 2), view_rows(c.data(), 1, 2));

    CHECK(out.label[0] == 1);
    CHECK(out.squared_distance[0] == 25);
    CHECK(none.label[0] == 0);
    CHECK(std::isnan(none.squared_distance[0]));
}

TEST_CASE("reference: nearest_row compares where squares leave the range of double") {
    const std::vector<double> x{0, 1e-200};
    const std::vector<double> c{3e200, 1e200, 1e-200, 3e-200};

    const auto large = assign<double>(view_rows(x.data(), 2, 1), view_rows(c.data(), 2, 1));
    const auto small = assign<double>(view_rows(x.data(), 2, 1), view_rows(c.data() + 2, 2, 1));
    const std::vector<double> swapped{3e-200, 1e-200};
    const auto second = assign<double>(view_rows(x.data(), 2, 1), view_rows(swapped.data(), 2, 1));

    CHECK(large.label == std::vector<label_t>{1, 1});
    CHECK(small.label == std::vector<label_t>{0, 0});
    CHECK(second.label == std::vector<label_t>{1, 1});
}

TEST_CASE_TEMPLATE("reference: candidate_potential and relax_nearest take the smaller distance", T, float, double) {
    reference_backend<T> be;
    const std::vector<T> x{0, 1, 5};
    const std::vector<T> candidates{4, 0};
    const std::vector<T> weight{1, 2, 3};
    const std::vector<double> least{9, 4, 0.5};
    std::vector<double> potential(2), weighted(2), relaxed = least;

    auto index = be.index_rows(view_rows(x.data(), 3, 1), true);
    be.candidate_potential(index, view_rows(candidates.data(), 2, 1), {}, view_vector(least), view_vector(potential));
    be.candidate_potential(index, view_rows(candidates.data(), 2, 1), view_vector(weight), view_vector(least),
                           view_vector(weighted));
    be.relax_nearest(index, view_rows(candidates.data() + 1, 1, 1), view_vector(relaxed));

    // To 4: 16, 9, 1; to 0: 0, 1, 25.
    CHECK(potential == std::vector<double>{9 + 4 + 0.5, 0 + 1 + 0.5});
    CHECK(weighted == std::vector<double>{9 + 2 * 4 + 3 * 0.5, 0 + 2 * 1 + 3 * 0.5});
    CHECK(relaxed == std::vector<double>{0, 1, 0.5});
}

TEST_CASE_TEMPLATE("reference: NaN goes through candidate_potential and relax_nearest", T, float, double) {
    reference_backend<T> be;
    const std::vector<T> x{0, std::numeric_limits<T>::quiet_NaN()};
    const std::vector<T> candidate{1};
    std::vector<double> potential(1), least{9, 9};

    auto index = be.index_rows(view_rows(x.data(), 2, 1), true);
    be.candidate_potential(index, view_rows(candidate.data(), 1, 1), {}, view_vector(least), view_vector(potential));
    be.relax_nearest(index, view_rows(candidate.data(), 1, 1), view_vector(least));

    CHECK(std::isnan(potential[0]));
    CHECK(least[0] == 1);
    CHECK(std::isnan(least[1]));
}

// SPDX-License-Identifier: MIT
#include <support/assignment_run.hpp>
#include <support/conformance.hpp>
#include <support/contrast_run.hpp>

#include <protonce/core/bfloat16.hpp>
#include <protonce/m_step/proto_nce.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

using namespace protonce;
using test::placed;

namespace {

// Labels equal reference's, which are those of exact arithmetic, and distances to the last bit.
template <class B, class T = typename B::value_type>
void check_nearest(const test::matrix<T>& x, const test::matrix<T>& centroids) {
    B be = test::make<B>({});
    test::reference_of<B> reference;
    CHECK(test::assign_rows(be, x, centroids, true) == test::assign_rows(reference, x, centroids, true));
}

template <class T>
test::matrix<T> rows_of(const std::vector<std::vector<double>>& values) {
    test::matrix<T> out(static_cast<index_t>(values.size()), static_cast<index_t>(values[0].size()));
    for (index_t i = 0; i < out.rows(); ++i) {
        for (index_t j = 0; j < out.cols(); ++j) {
            out(i, j) = static_cast<T>(values[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)]);
        }
    }
    return out;
}

} // namespace

TEST_CASE_TEMPLATE("device: labels are those of exact arithmetic on any scale", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 602);
    for (const double centre : {0.0, 1e6}) {
        for (const double spread : {1e-30, 1e-18, 1.0, 1e18}) {
            CAPTURE(centre);
            CAPTURE(spread);
            const auto x = random.uniform_matrix<T>(150, 37, centre - spread, centre + spread);
            const auto centroids = random.uniform_matrix<T>(130, 37, centre - spread, centre + spread);
            check_nearest<B>(x, centroids);
            check_nearest<B>(x, x); // each row is a centroid: all but one are farther, some by very little
        }
    }
}

TEST_CASE_TEMPLATE("device: of centroids that differ in the last bits the nearer one is found, of equal ones the first",
                   B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 603);
    auto pairs = random.uniform_matrix<T>(128, 37, -1, 1);
    for (index_t k = 1; k < 128; k += 2) {
        for (index_t j = 0; j < 37; ++j) {
            pairs(k, j) = std::nextafter(pairs(k - 1, j), random.uniform() < 0.5 ? T(-2) : T(2));
        }
    }
    check_nearest<B>(random.uniform_matrix<T>(150, 37, -1, 1), pairs);

    test::matrix<T> centroids(70, 5);
    test::matrix<T> x(70, 5);
    for (index_t k = 0; k < 70; ++k) {
        centroids(k, 0) = static_cast<T>(k / 2);
        x(k, 0) = static_cast<T>(k) + T(0.5); // in the middle between two
    }
    check_nearest<B>(x, centroids);
}

TEST_CASE_TEMPLATE("device: of many equal centroids the first is found, whatever else cannot be nearest", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 606);
    const auto points = random.uniform_matrix<T>(3, 19, -1, 1);
    const auto x = random.uniform_matrix<T>(70, 19, -1, 1);
    for (const index_t count : {1, 2, 31, 33, 64, 100, 333}) {
        for (const index_t missing : {0, 1, 40, 400}) { // so many of the first hold NaN
            CAPTURE(count);
            CAPTURE(missing);
            test::matrix<T> centroids(count, 19);
            for (index_t k = 0; k < count; ++k) {
                for (index_t j = 0; j < 19; ++j) {
                    centroids(k, j) = points(k * 7 % 3, j);
                }
                if (k < missing) {
                    centroids(k, 5) = std::numeric_limits<T>::quiet_NaN();
                }
            }
            if (missing < count) {
                check_nearest<B>(x, centroids);
            } else { // distances are NaN
                B be = test::make<B>({});
                CHECK(test::assign_rows(be, x, centroids, true).label == std::vector<label_t>(70, 0));
            }
        }
    }
}

TEST_CASE_TEMPLATE("device: scores that overflow or underflow mislead nobody", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    const bool is_float = sizeof(T) == 4;
    // The largest products pass the range on the way to a sum inside it. Mirrored rows keep the mean at 0.
    const double big = is_float ? 1.84e19 : 1.3e154;
    const double a = std::sqrt(0.55);
    const double b = std::sqrt(0.45);
    const auto wide = rows_of<T>({{-big * a, big * b}, {big * a, -big * b}});
    const auto distant = rows_of<T>({{big * a, big * b}, {0.575 * big * a, -0.575 * big * b}});
    check_nearest<B>(wide, distant);

    std::vector<double> row(32), mirrored(32), first(32), second(32);
    for (const std::size_t j : {0U, 8U, 16U, 24U}) {
        const double sign = j == 0 ? 1 : -1;
        row[j] = sign * (is_float ? 1e20 : 1e150);
        mirrored[j] = -row[j];
        first[j] = j == 0 ? (is_float ? 1e19 : 1e149) : (is_float ? 3e18 : 3e148);
    }
    second[0] = is_float ? 5e17 : 5e147;
    check_nearest<B>(rows_of<T>({row, mirrored}), rows_of<T>({first, second}));

    // Squares of the centroids vanish, those of the rows do not.
    TEST_RANDOM(random, 604);
    auto x = random.uniform_matrix<T>(200, 8, -1, 1);
    for (index_t i = 0; i < 200; i += 2) {
        for (index_t j = 0; j < 8; ++j) {
            x(i, j) *= static_cast<T>(is_float ? 1e18 : 1e100);
            x(i + 1, j) = -x(i, j);
        }
    }
    for (const double tiny : {1e-24, 1e-35, 1e-160}) {
        check_nearest<B>(x, random.uniform_matrix<T>(20, 8, -tiny, tiny)); // all 0 for float, the last time
    }
    const std::vector<double> long_row{0x1.a18e76p60, 0x1.707f9ep60};
    check_nearest<B>(rows_of<T>({long_row, {-long_row[0], -long_row[1]}}),
                     rows_of<T>({{0x1.e1fdd2p-80, -0x1.e4ac3ep-80}, {0x1.e1fdd8p-80, -0x1.e4ac44p-80}}));
}

TEST_CASE_TEMPLATE("device: columns of weight 0 add nothing, even a whole part of them", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 605);
    auto problem =
        test::random_problem<T>(random, {.rows = 5, .pool = 400, .cols = 7, .outside = true, .weights = true});
    for (std::size_t j = 100; j < 300; ++j) {
        problem.log_weight[j] = -std::numeric_limits<T>::infinity();
    }
    B be = test::make<B>({});
    test::reference_of<B> reference;

    const auto actual = run_contrast(be, problem);
    const auto expected = run_contrast(reference, problem);

    CHECK(test::absolute_excess(actual.loss, expected.loss, 1e3 * test::product_unit<B>) <= 0);
    CHECK(test::absolute_excess(actual.grad_query, expected.grad_query, 1e4 * test::product_unit<B>) <= 0);
    CHECK(test::absolute_excess(actual.grad_columns, expected.grad_columns, 1e4 * test::product_unit<B>) <= 0);
}

TEST_CASE_TEMPLATE("device: any negative label means none; an empty view is not given, wherever it points", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    const std::vector<label_t> own{-7, 3, -1, 3, 0};
    B be = test::make<B>({});
    placed<B, label_t> labels(be, own);
    auto id = placed<B, index_t>::unwritten(be, 4);
    auto count = placed<B, index_t>::unwritten(be, 1);
    auto batch = placed<B, index_t>::unwritten(be, 1);
    const column_request<T, typename B::space> request{
        .own = labels.vector(),
        .num_columns = 4,
        .out = {.column_id = id.vector(), .column_count = count.vector(), .batch_count = batch.vector()}};
    be.draw_columns({&request, 1});
    CHECK(count.values() == std::vector<index_t>{2});
    CHECK(id.values()[0] == 0);
    CHECK(id.values()[1] == 3);

    placed<B, T> values(be, std::vector<T>{1, 2, 4, 8, 16});
    placed<B, T> weight(be, std::vector<T>(5, std::numeric_limits<T>::quiet_NaN()));
    auto sum = placed<B, double>::unwritten(be, 4, 1);
    auto members = placed<B, double>::unwritten(be, 4);
    const matrix_view<const T, typename B::space> rows(values.vector().data(), 5, 1);
    be.segment_sum(rows, weight.vector().slice(0, 0), labels.vector(), sum.rows(), members.vector());
    CHECK(sum.values() == std::vector<double>{16, 0, 0, 10});
    CHECK(members.values() == std::vector<double>{1, 0, 0, 2});
}

TEST_CASE_TEMPLATE("device: a sample of -1 has no term in ProtoNCE", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 609);
    B be = test::make<B>({});
    placed<B, T> query(be, random.unit_rows<T>(4, 3)), prototypes(be, random.unit_rows<T>(5, 3));
    placed<B, T> temperatures(be, std::vector<T>(5, T(0.5)));
    placed<B, label_t> labels(be, std::vector<label_t>{2, 4, 0, 1, 3}); // the first is nobody's
    placed<B, index_t> sample(be, std::vector<index_t>{-1, 2, 3, -1});
    const prototype_level<T, typename B::space> level{.prototypes = prototypes.rows(),
                                                      .assignment = labels.vector().slice(1, 4),
                                                      .temperatures = temperatures.vector()};
    auto loss = placed<B, T>::unwritten(be, 1);
    auto per_row = placed<B, T>::unwritten(be, 1, 4), gradient = placed<B, T>::unwritten(be, 4, 3);

    proto_nce(be, {.query = query.rows(), .sample = sample.vector(), .levels = {&level, 1}},
              {.negatives = negatives::all},
              {.loss = loss.vector(), .loss_per_row = per_row.rows(), .grad_query = gradient.rows()});

    const auto rows = per_row.values();
    CHECK(rows[0] == 0);
    CHECK(rows[1] > 0);
    CHECK(rows[2] > 0);
    CHECK(rows[3] == 0);
    CHECK(loss.values()[0] == static_cast<T>((static_cast<double>(rows[1]) + static_cast<double>(rows[2])) / 2));
    const auto slopes = gradient.values();
    for (const std::ptrdiff_t i : {0, 3}) {
        CHECK(std::vector<T>(slopes.begin() + 3 * i, slopes.begin() + 3 * i + 3) == std::vector<T>(3, T(0)));
    }
}

TEST_CASE_TEMPLATE("device: rows in bf16 become float and come back", B, CONFORMING_BACKENDS) {
    if constexpr (std::is_same_v<typename B::value_type, float>) {
        TEST_RANDOM(random, 606);
        constexpr index_t rows = 37, cols = 50;
        std::vector<bfloat16> values;
        for (index_t i = 0; i < rows * cols; ++i) {
            values.push_back(bfloat16(static_cast<float>(random.normal())));
        }
        B be = test::make<B>({});
        placed<B, bfloat16> from(be, values), back(be, std::vector<bfloat16>(values.size()));
        auto wide = placed<B, float>::unwritten(be, rows, cols);
        const auto as_rows = [](auto vector) {
            return matrix_view<bfloat16, typename B::space>(vector.data(), rows, cols);
        };

        widen(be, as_rows(from.vector()), wide.rows());
        narrow(be, wide.rows(), as_rows(back.vector()));

        const auto floats = wide.values();
        const auto found = back.values();
        for (std::size_t i = 0; i < values.size(); ++i) {
            CHECK(floats[i] == static_cast<float>(values[i]));
            CHECK(found[i].bits == values[i].bits);
        }
    }
}

// SPDX-License-Identifier: MIT
#include <support/conformance.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

using namespace protonce;
using test::placed;

namespace {

struct sums {
    std::vector<double> rows, count, scalars, scalar_count, roots, roots_count;
};

// An empty `weight` stands for no weights.
template <class B, class T = typename B::value_type>
sums run(B& be, const test::matrix<T>& x, const std::vector<T>& weight, const std::vector<label_t>& assignment,
         const std::vector<double>& values, index_t clusters) {
    placed<B, T> features(be, x), w(be, weight);
    placed<B, label_t> labels(be, assignment);
    placed<B, double> v(be, values);
    auto row_sum = placed<B, double>::unwritten(be, clusters, x.cols());
    auto count = placed<B, double>::unwritten(be, clusters);
    auto scalars = placed<B, double>::unwritten(be, clusters);
    auto scalar_count = placed<B, double>::unwritten(be, clusters);
    auto roots = placed<B, double>::unwritten(be, clusters);
    auto roots_count = placed<B, double>::unwritten(be, clusters);

    be.segment_sum(features.rows(), w.vector(), labels.vector(), row_sum.rows(), count.vector());
    be.segment_scalar_sum(v.vector(), scalar_map::identity, w.vector(), labels.vector(), scalars.vector(),
                          scalar_count.vector());
    be.segment_scalar_sum(v.vector(), scalar_map::square_root, w.vector(), labels.vector(), roots.vector(),
                          roots_count.vector());
    return {row_sum.values(),      count.values(), scalars.values(),
            scalar_count.values(), roots.values(), roots_count.values()};
}

template <class B>
std::vector<index_t> run_draw(B& be, const std::vector<double>& values,
                              const std::vector<typename B::value_type>& weight, const std::vector<double>& uniform) {
    placed<B, double> v(be, values), u(be, uniform);
    placed<B, typename B::value_type> w(be, weight);
    auto rows = placed<B, index_t>::unwritten(be, static_cast<index_t>(uniform.size()));
    be.draw_weighted(v.vector(), w.vector(), u.vector(), rows.vector());
    return rows.values();
}

} // namespace

TEST_CASE_TEMPLATE("conformance: sums by cluster equal reference", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 201);
    for (const auto& shape : test::awkward_shapes()) {
        const index_t rows = shape.rows;
        const index_t cols = shape.cols;
        const auto x = random.uniform_matrix<T>(rows, cols, -9, 9, cols % 3);
        const auto weight = random.uniform_values<T>(rows, 0, 3);
        const auto values = random.uniform_values<double>(rows, 0, 9);
        for (const index_t clusters : test::awkward_clusters) {
            INFO("N = ", rows, " C = ", cols, " K = ", clusters);
            const auto assignment = random.labels_with_noise(rows, clusters);
            B be = test::make<B>({});
            test::reference_of<B> reference;

            // N products of at most 3 * 9 are added in double, in any order, each rounded twice; counts without weights
            // are exact.
            const double n = static_cast<double>(rows);
            const double allowed = 2 * (n + 1) * test::unit<double> * n * 27;
            for (const auto& w : {std::vector<T>{}, weight}) {
                const double allowed_count = w.empty() ? 0 : allowed;
                const auto actual = run(be, x, w, assignment, values, clusters);
                const auto expected = run(reference, x, w, assignment, values, clusters);

                CHECK(test::absolute_excess(actual.rows, expected.rows, allowed) <= 0);
                CHECK(test::absolute_excess(actual.count, expected.count, allowed_count) <= 0);
                CHECK(test::absolute_excess(actual.scalars, expected.scalars, allowed) <= 0);
                CHECK(test::absolute_excess(actual.scalar_count, expected.scalar_count, allowed_count) <= 0);
                CHECK(test::absolute_excess(actual.roots, expected.roots, allowed) <= 0);
                CHECK(test::absolute_excess(actual.roots_count, expected.roots_count, allowed_count) <= 0);
            }
        }
    }
}

TEST_CASE_TEMPLATE("conformance: all rows in one cluster, or in none", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 202);
    const auto x = test::small_integers<T>(random, 700, 5);
    const std::vector<double> values(700, 4.0);
    B be = test::make<B>({});
    test::reference_of<B> reference;

    for (const label_t label : {-1, 0, 2}) {
        const std::vector<label_t> assignment(700, label);
        const auto actual = run(be, x, {}, assignment, values, 3);
        const auto expected = run(reference, x, {}, assignment, values, 3);

        CAPTURE(label);
        CHECK(actual.rows == expected.rows);
        CHECK(actual.count == expected.count);
        CHECK(actual.scalars == expected.scalars);
        CHECK(actual.roots == expected.roots);
    }
}

TEST_CASE_TEMPLATE("conformance: farthest_in_segment is reference's row, ties and weights included", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 203);
    for (const index_t rows : {1, 2, 5, 31, 33, 257, 2000}) {
        std::vector<double> values;
        std::vector<T> weight;
        for (index_t i = 0; i < rows; ++i) {
            values.push_back(static_cast<double>(random.integer(6)));
            weight.push_back(static_cast<T>(random.integer(3)));
        }
        values.front() = std::numeric_limits<double>::quiet_NaN();
        const auto assignment = random.labels_with_noise(rows, 4);
        B be = test::make<B>({});
        test::reference_of<B> reference;
        placed<B, double> v(be, values);
        placed<B, T> w(be, weight);
        placed<B, label_t> labels(be, assignment);

        for (label_t k = 0; k < 5; ++k) {
            INFO("N = ", rows, " k = ", k);
            CHECK(be.farthest_in_segment(v.vector(), {}, labels.vector(), k) ==
                  reference.farthest_in_segment(view_vector(values), {}, view_vector(assignment), k));
            CHECK(be.farthest_in_segment(v.vector(), w.vector(), labels.vector(), k) ==
                  reference.farthest_in_segment(view_vector(values), view_vector(weight), view_vector(assignment), k));
        }
    }
}

TEST_CASE_TEMPLATE("conformance: draw_weighted takes reference's rows where the sums are exact", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 204);
    for (const index_t rows : {1, 2, 5, 31, 33, 257, 20000}) {
        std::vector<double> values;
        std::vector<T> weight;
        for (index_t i = 0; i < rows; ++i) {
            values.push_back(static_cast<double>(random.integer(4)));
            weight.push_back(static_cast<T>(random.integer(3)) / 2);
        }
        values.back() = 1; // so that not every product is 0
        weight.back() = 1;
        auto uniform = random.uniform_values<double>(200);
        uniform.front() = 0;
        uniform.back() = 1 - 0x1p-53;
        B be = test::make<B>({});
        test::reference_of<B> reference;

        CAPTURE(rows);
        CHECK(run_draw(be, values, {}, uniform) == run_draw(reference, values, {}, uniform));
        CHECK(run_draw(be, values, weight, uniform) == run_draw(reference, values, weight, uniform));
    }
}

TEST_CASE_TEMPLATE("conformance: draw_weighted never takes a row without weight", B, CONFORMING_BACKENDS) {
    TEST_RANDOM(random, 205);
    std::vector<double> values = random.uniform_values<double>(5000);
    for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = i % 3 == 0 ? values[i] * 1e-300 : 0;
    }
    auto uniform = random.uniform_values<double>(500);
    uniform.front() = 0;
    uniform.back() = 1 - 0x1p-53;
    B be = test::make<B>({});

    bool positive = true;
    for (const index_t row : run_draw(be, values, {}, uniform)) {
        positive = positive && row >= 0 && row < 5000 && values[static_cast<std::size_t>(row)] > 0;
    }

    CHECK(positive);
}

TEST_CASE_TEMPLATE("conformance: draw_weighted gives -1 without a positive, finite total", B, CONFORMING_BACKENDS) {
    B be = test::make<B>({});
    const std::vector<double> uniform{0, 0.5};
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double inf = std::numeric_limits<double>::infinity();

    CHECK(run_draw(be, {0, 0, 0}, {}, uniform) == std::vector<index_t>{-1, -1});
    CHECK(run_draw(be, {1, 2, 3}, {0, 0, 0}, uniform) == std::vector<index_t>{-1, -1});
    CHECK(run_draw(be, {1, nan, 3}, {}, uniform) == std::vector<index_t>{-1, -1});
    CHECK(run_draw(be, {1, inf, 3}, {}, uniform) == std::vector<index_t>{-1, -1});
}

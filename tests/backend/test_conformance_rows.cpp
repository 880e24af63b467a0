// SPDX-License-Identifier: MIT
#include <support/conformance.hpp>
#include <support/store_sum.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <set>
#include <vector>

using namespace protonce;
using test::placed;
using test::store_sum;

namespace {

// Results of the operations on rows, as host values.
template <class T>
struct row_results {
    std::vector<T> norms, unit, unit_norms, gradient, gathered, scattered, sum, fresh, mean;
    std::vector<label_t> labels;
    std::vector<double> row_sum, count_sum;
    index_t nonfinite = 0;
};

template <class T>
struct row_inputs {
    test::matrix<T> x;         // (N, C) one zero row
    test::matrix<T> upstream;  // (N, C)
    test::matrix<double> sums; // (N, C)
    std::vector<double> counts;
    std::vector<index_t> ids; // a permutation
    std::vector<label_t> labels;
    std::vector<T> flat; // (N,)
};

template <class T>
row_inputs<T> make_inputs(test::random_source& random, index_t rows, index_t cols, index_t gap) {
    row_inputs<T> in{random.uniform_matrix<T>(rows, cols, -3, 3, gap),
                     random.uniform_matrix<T>(rows, cols, -3, 3, gap),
                     random.uniform_matrix<double>(rows, cols, -3, 3),
                     random.uniform_values<double>(rows, 0.5, 9),
                     random.permutation(rows),
                     random.labels(rows, 7),
                     random.uniform_values<T>(rows, -3, 3)};
    for (index_t j = 0; j < cols; ++j) {
        in.x(rows / 2, j) = 0;
    }
    in.counts.back() = 0;
    return in;
}

template <class B>
row_results<typename B::value_type> run(B& be, const row_inputs<typename B::value_type>& in) {
    using T = typename B::value_type;
    const index_t rows = in.x.rows();
    const index_t cols = in.x.cols();
    const index_t gap = in.x.stride() - cols;
    placed<B, T> x(be, in.x), upstream(be, in.upstream), flat(be, in.flat), y(be, in.flat);
    placed<B, double> sums(be, in.sums), counts(be, in.counts);
    placed<B, index_t> ids(be, in.ids);
    placed<B, label_t> labels(be, in.labels);
    auto norms = placed<B, T>::unwritten(be, rows);
    auto unit = placed<B, T>::unwritten(be, rows, cols, gap);
    auto unit_norms = placed<B, T>::unwritten(be, rows);
    auto gradient = placed<B, T>::unwritten(be, rows, cols, gap);
    auto gathered = placed<B, T>::unwritten(be, rows, cols, gap);
    auto scattered = placed<B, T>::unwritten(be, rows, cols, gap);
    auto fresh = placed<B, T>::unwritten(be, rows);
    auto mean = placed<B, T>::unwritten(be, rows, cols, gap);
    auto gathered_labels = placed<B, label_t>::unwritten(be, rows);
    auto row_sum = placed<B, double>::unwritten(be, rows), count_sum = placed<B, double>::unwritten(be, 1);

    be.row_norms(x.rows(), norms.vector());
    be.normalize_rows(x.rows(), unit.rows(), unit_norms.vector());
    be.normalize_rows_gradient(unit.rows(), unit_norms.vector(), upstream.rows(), gradient.rows());
    be.gather_rows(x.rows(), ids.vector(), gathered.rows());
    be.scatter_rows(x.rows(), ids.vector(), scattered.rows());
    be.gather_labels(labels.vector(), ids.vector(), gathered_labels.vector());
    be.axpby(0.999, flat.vector(), -0.25, y.vector());
    be.axpby(3, flat.vector(), 0, fresh.vector());
    be.mean_rows(sums.rows(), counts.vector(), mean.rows());
    detail::sum_rows(be, x.rows(), store_sum{row_sum.vector().data()});
    detail::sum_rows(be, matrix_of<B, const double>(counts.vector().data(), 1, rows),
                     store_sum{count_sum.vector().data()});

    return {.norms = norms.values(),
            .unit = unit.row_values(),
            .unit_norms = unit_norms.values(),
            .gradient = gradient.row_values(),
            .gathered = gathered.row_values(),
            .scattered = scattered.row_values(),
            .sum = y.values(),
            .fresh = fresh.values(),
            .mean = mean.row_values(),
            .labels = gathered_labels.values(),
            .row_sum = row_sum.values(),
            .count_sum = count_sum.values(),
            .nonfinite = be.first_nonfinite_row(x.rows())};
}

template <class T>
struct top_results {
    std::vector<label_t> rows;
    std::vector<T> similarity;
};

template <class B, class T = typename B::value_type>
top_results<T> run_top(B& be, const test::matrix<T>& queries, const test::matrix<T>& bank, index_t k) {
    placed<B, T> q(be, queries), b(be, bank);
    auto rows = placed<B, label_t>::unwritten(be, queries.rows(), k);
    auto similarity = placed<B, T>::unwritten(be, queries.rows(), k);
    be.top_rows(q.rows(), b.rows(), rows.rows(), similarity.rows());
    return {rows.values(), similarity.values()};
}

template <class T>
double inner_product(const test::matrix<T>& a, index_t i, const test::matrix<T>& b, index_t j) {
    double sum = 0;
    for (index_t c = 0; c < a.cols(); ++c) {
        sum += static_cast<double>(a(i, c)) * static_cast<double>(b(j, c));
    }
    return sum;
}

} // namespace

TEST_CASE_TEMPLATE("conformance: operations on rows equal reference", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 101);
    for (const auto& shape : test::awkward_shapes()) {
        const index_t rows = shape.rows;
        const index_t cols = shape.cols;
        const auto in = make_inputs<T>(random, rows, cols, cols % 5);
        test::reference_of<B> reference;
        const auto expected = run(reference, in);

        for (const auto& how : test::variants<B>()) {
            INFO(how.name, " (", rows, ", ", cols, ")");
            B be = test::make<B>(how);
            const auto actual = run(be, in);

            // Both add in double and round to T at the end. The sums differ by far less than a unit of T for float, by
            // up to C units for double.
            const double sum_units = sizeof(T) == 4 ? 1 : static_cast<double>(cols);
            CHECK(test::relative_excess(actual.norms, expected.norms, 2 + sum_units) <= 0);
            CHECK(test::relative_excess(actual.unit, expected.unit, 4 + sum_units) <= 0);
            CHECK(test::relative_excess(actual.unit_norms, expected.unit_norms, 2 + sum_units) <= 0);
            // g - (g.u) u of values of at most 3 and, by Cauchy and Schwarz, 3 sqrt(C); u itself is rounded.
            const double size = 3 * std::sqrt(static_cast<double>(cols));
            CHECK(test::excess(actual.gradient, expected.gradient, [&](std::size_t i) {
                      const auto norm = static_cast<double>(expected.unit_norms[i / static_cast<std::size_t>(cols)]);
                      return norm == 0 ? 0 : (16 + 4 * sum_units) * test::unit<T> * size / norm;
                  }) <= 0);
            CHECK(actual.gathered == expected.gathered);
            CHECK(actual.scattered == expected.scattered);
            CHECK(actual.labels == expected.labels);
            CHECK(test::absolute_excess(actual.sum, expected.sum, 4 * test::unit<T> * 4) <= 0); // values below 4
            CHECK(test::relative_excess(actual.fresh, expected.fresh, 2) <= 0);
            CHECK(test::relative_excess(actual.mean, expected.mean, 2) <= 0);
            const double n = static_cast<double>(rows);
            const double c = static_cast<double>(cols);
            CHECK(test::absolute_excess(actual.row_sum, expected.row_sum, 2 * c * test::unit<double> * 3 * c) <= 0);
            CHECK(test::absolute_excess(actual.count_sum, expected.count_sum, 2 * n * test::unit<double> * 9 * n) <= 0);
            CHECK(actual.nonfinite == -1);
        }
    }
}

TEST_CASE_TEMPLATE("conformance: first_nonfinite_row is the lowest, wherever it lies", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 102);
    for (const index_t rows : {1, 33, 1000, 2000}) {
        B be = test::make<B>({});
        test::reference_of<B> reference;
        auto x = random.normal_matrix<T>(rows, 7, 2);
        for (const index_t row : {rows - 1, rows / 2, index_t{0}}) {
            x(row, random.integer(7)) =
                row % 2 == 0 ? std::numeric_limits<T>::quiet_NaN() : -std::numeric_limits<T>::infinity();
            placed<B, T> placed_x(be, x);

            CAPTURE(rows);
            CHECK(be.first_nonfinite_row(placed_x.rows()) == row);
            CHECK(reference.first_nonfinite_row(x.view()) == row);
        }
    }
}

TEST_CASE_TEMPLATE("conformance: normalisation in place equals normalisation elsewhere", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 103);
    B be = test::make<B>({});
    const auto x = random.normal_matrix<T>(33, 17, 3);
    const auto g = random.normal_matrix<T>(33, 17, 3);
    placed<B, T> from(be, x), in_place(be, x), gradient(be, g), gradient_in_place(be, g);
    auto unit = placed<B, T>::unwritten(be, 33, 17, 3);
    auto out = placed<B, T>::unwritten(be, 33, 17, 3);
    auto norms = placed<B, T>::unwritten(be, 33);

    be.normalize_rows(from.rows(), unit.rows(), norms.vector());
    be.normalize_rows(in_place.rows(), in_place.rows(), {});
    be.normalize_rows_gradient(unit.rows(), norms.vector(), gradient.rows(), out.rows());
    be.normalize_rows_gradient(unit.rows(), norms.vector(), gradient_in_place.rows(), gradient_in_place.rows());

    CHECK(in_place.row_values() == unit.row_values());
    CHECK(gradient_in_place.row_values() == out.row_values());
}

TEST_CASE_TEMPLATE("conformance: top_rows are reference's wherever the inner products are exact, ties included", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 104);
    for (const auto& how : test::variants<B>()) {
        for (const index_t queries : {1, 5, 33, 257}) {
            for (const index_t bank : {1, 2, 15, 17, 100, 300}) {
                for (const index_t cols : {1, 7}) {
                    for (const index_t k : {index_t{1}, std::min<index_t>(bank, 20), bank}) {
                        INFO(how.name, " ", queries, " x ", bank, " x ", cols, ", k = ", k);
                        const auto q = test::small_integers<T>(random, queries, cols, 1);
                        const auto b = test::small_integers<T>(random, bank, cols, 2);
                        B be = test::make<B>(how);
                        test::reference_of<B> reference;

                        const auto actual = run_top(be, q, b, k);
                        const auto expected = run_top(reference, q, b, k);

                        CHECK(actual.rows == expected.rows);
                        CHECK(actual.similarity == expected.similarity);
                    }
                }
            }
        }
    }
}

TEST_CASE_TEMPLATE("conformance: top_rows of any rows are distinct and off by rounding only", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 105);
    for (const auto& how : test::variants<B>()) {
        for (const index_t cols : {1, 3, 7, 16, 33, 128, 200}) {
            INFO(how.name, " C = ", cols);
            const index_t k = 20;
            const auto q = random.unit_rows<T>(33, cols, 1);
            const auto b = random.unit_rows<T>(257, cols, 2);
            B be = test::make<B>(how);
            test::reference_of<B> reference;

            const auto actual = run_top(be, q, b, k);
            const auto expected = run_top(reference, q, b, k);

            // A chain of C multiply-adds over unit rows: sum |q_c b_c| <= 1.
            const double allowed = (static_cast<double>(cols) + 2) * test::unit<T>;
            CHECK(test::absolute_excess(actual.similarity, expected.similarity, allowed) <= 0);
            double worst = 0;
            bool distinct = true;
            for (index_t i = 0; i < q.rows(); ++i) {
                std::set<label_t> seen;
                for (index_t l = 0; l < k; ++l) {
                    const auto at = static_cast<std::size_t>(i * k + l);
                    const label_t row = actual.rows[at];
                    REQUIRE(row >= 0);
                    REQUIRE(row < b.rows());
                    distinct = distinct && seen.insert(row).second;
                    worst = std::max(
                        worst, std::abs(inner_product(q, i, b, row) - static_cast<double>(actual.similarity[at])));
                }
            }
            CHECK(distinct);
            CHECK(worst <= allowed);
        }
    }
}

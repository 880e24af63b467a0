// SPDX-License-Identifier: MIT
// Functions of the caller's that a backend calls: for elements, and for the sums of rows.
#include <support/conformance.hpp>
#include <support/store_sum.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

using namespace protonce;
using test::placed;
using test::store_sum;

namespace {

/// Counts visits of each element.
struct visit {
    index_t* visits;

    PROTONCE_HOST_DEVICE void operator()(index_t i) const { visits[i] += i + 1; }
};

/// Adds the sum of each row and counts the calls.
struct add_sum {
    double* sum;
    index_t* calls;

    PROTONCE_HOST_DEVICE void operator()(index_t m, double of_row) const {
        sum[m] += of_row;
        ++calls[m];
    }
};

/// Values for sum_rows, m + 1 in row m, and how often each was asked for.
struct value_once {
    index_t* asked;
    index_t cols;

    PROTONCE_HOST_DEVICE double operator()(index_t m, index_t j) const {
        ++asked[m * cols + j];
        return static_cast<double>(m + 1);
    }
};
/// The end of sum_rows: the sum of all that is there, and how often it came.
struct end_once {
    const double* sum;
    index_t rows;
    double* out;

    PROTONCE_HOST_DEVICE void operator()() const {
        for (index_t m = 0; m < rows; ++m) {
            out[0] += sum[m];
        }
        out[1] += 1;
    }
};

/// sum_rows of whole numbers, whose sums no order changes.
template <class B, class U>
void check_sums(B& be, const test::matrix<U>& values) {
    CAPTURE(values.rows());
    CAPTURE(values.cols());
    const auto size = static_cast<std::size_t>(values.rows());
    std::vector<double> expected(size + 1); // one more, which is no row's
    std::vector<index_t> once(size + 1, 1);
    once.back() = 0;
    for (index_t m = 0; m < values.rows(); ++m) {
        for (index_t j = 0; j < values.cols(); ++j) {
            expected[static_cast<std::size_t>(m)] += static_cast<double>(values(m, j));
        }
    }
    placed<B, U> x(be, values);
    placed<B, double> sum(be, std::vector<double>(size + 1));
    placed<B, index_t> calls(be, std::vector<index_t>(size + 1));

    detail::sum_rows(be, matrix_of<B, const U>(x.rows()), add_sum{sum.vector().data(), calls.vector().data()});

    CHECK(sum.values() == expected);
    CHECK(calls.values() == once);
}

} // namespace

TEST_CASE_TEMPLATE("conformance: for_each calls the function once for every number", B, CONFORMING_BACKENDS) {
    B be = test::make<B>({.threads = 2});
    for (const index_t n : {0, 1, 257, 40000}) { // blocks of the backends are of 256 and 16384
        CAPTURE(n);
        placed<B, index_t> visits(be, std::vector<index_t>(static_cast<std::size_t>(n + 1)));
        be.for_each(n, visit{visits.vector().data()});
        std::vector<index_t> expected;
        for (index_t i = 0; i < n; ++i) {
            expected.push_back(i + 1);
        }
        expected.push_back(0);
        CHECK(visits.values() == expected);
    }
}

TEST_CASE_TEMPLATE("conformance: sum_rows calls the function once for every row, with its sum", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 104);
    B be = test::make<B>({.threads = 2});
    for (const index_t rows : {0, 1, 2, 9, 300}) {
        for (const index_t cols : {0, 1, 33, 1024, 3000}) { // blocks are of 256 and 1024
            if (rows * cols <= 30000) {
                check_sums<B, T>(be, test::small_integers<T>(random, rows, cols, 3));
                check_sums<B, double>(be, test::small_integers<double>(random, rows, cols));
            }
        }
    }
}

TEST_CASE_TEMPLATE("conformance: sum_rows asks for every value once, and ends once, when all sums are there", B,
                   CONFORMING_BACKENDS) {
    B be = test::make<B>({.threads = 2});
    for (const index_t rows : {0, 1, 3, 4, 9}) {
        for (const index_t cols : {1, 12, 300, 17000}) { // up to 16384 and four rows at a time go together on some
            if (rows * cols > 60000) {
                continue;
            }
            CAPTURE(rows);
            CAPTURE(cols);
            const auto size = static_cast<std::size_t>(rows);
            placed<B, index_t> asked(be, std::vector<index_t>(size * static_cast<std::size_t>(cols)));
            placed<B, double> sum(be, std::vector<double>(size)), end(be, std::vector<double>{0, 0});
            placed<B, index_t> calls(be, std::vector<index_t>(size));

            be.sum_rows(rows, cols, value_once{asked.vector().data(), cols},
                        add_sum{sum.vector().data(), calls.vector().data()},
                        end_once{sum.vector().data(), rows, end.vector().data()});

            double all = 0;
            std::vector<double> expected;
            for (index_t m = 0; m < rows; ++m) {
                expected.push_back(static_cast<double>(cols * (m + 1)));
                all += expected.back();
            }
            CHECK(sum.values() == expected);
            CHECK(asked.values() == std::vector<index_t>(size * static_cast<std::size_t>(cols), 1));
            CHECK(calls.values() == std::vector<index_t>(size, 1));
            CHECK(end.values() == std::vector<double>{all, 1});
        }
    }
}

TEST_CASE_TEMPLATE("conformance: the sum of a row does not depend on the other rows", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 105);
    B be = test::make<B>({.threads = 2});
    placed<B, T> x(be, random.normal_matrix<T>(5, 2500, 1));
    auto together = placed<B, double>::unwritten(be, 5), alone = placed<B, double>::unwritten(be, 5);

    detail::sum_rows(be, matrix_of<B, const T>(x.rows()), store_sum{together.vector().data()});
    for (index_t m = 0; m < 5; ++m) {
        detail::sum_rows(be, matrix_of<B, const T>(x.rows().slice(m, 1)), store_sum{alone.vector().slice(m, 1).data()});
    }

    CHECK(together.values() == alone.values());
}

TEST_CASE_TEMPLATE("conformance: nor does it depend on what is done at the end", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 106);
    B be = test::make<B>({.threads = 2});
    for (const index_t cols : {300, 3000}) {
        placed<B, T> x(be, random.normal_matrix<T>(9, cols, 1));
        auto without = placed<B, double>::unwritten(be, 9), with = placed<B, double>::unwritten(be, 9);
        placed<B, double> end(be, std::vector<double>{0, 0});
        const detail::value_in_rows<T> value{x.rows().data(), x.rows().stride()};

        be.sum_rows(9, cols, value, store_sum{without.vector().data()}, detail::nothing_more{});
        be.sum_rows(9, cols, value, store_sum{with.vector().data()},
                    end_once{with.vector().data(), 9, end.vector().data()});

        CAPTURE(cols);
        CHECK(with.values() == without.values());
    }
}

// SPDX-License-Identifier: MIT
#include <support/conformance.hpp>
#include <support/contrast_bounds.hpp>
#include <support/contrast_run.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

using namespace protonce;
using test::contrast_problem;
using test::contrast_results;
using test::run_contrast;

namespace {

template <class B>
void check_problem(const contrast_problem<typename B::value_type>& problem) {
    test::reference_of<B> reference;
    const auto expected = run_contrast(reference, problem);
    for (const auto& how : test::variants<B>()) {
        INFO(how.name);
        B be = test::make<B>(how);
        check_equal(run_contrast(be, problem), expected, allowed<B>(problem));
    }
}

} // namespace

TEST_CASE_TEMPLATE("conformance: softmax_contrast equals reference on awkward shapes", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 401);
    for (const auto& shape : test::awkward_shapes()) {
        const index_t rows = shape.rows;
        const index_t cols = shape.cols;
        for (const index_t pool : {1, 2, 15, 17, 100, 300}) {
            if (rows * pool * cols > 4000000) {
                continue;
            }
            for (const bool outside : {true, false}) {
                INFO("B = ", rows, " C = ", cols, " P = ", pool, " outside = ", outside);
                check_problem<B>(
                    test::random_problem<T>(random, {.rows = rows, .pool = pool, .cols = cols, .outside = outside}));
            }
        }
    }
}

TEST_CASE_TEMPLATE("conformance: softmax_contrast equals reference with every combination of options", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 402);
    for (unsigned bits = 0; bits < 512; ++bits) {
        const index_t rows = 1 + random.integer(40);
        const index_t pool = 1 + random.integer(200);
        auto with = test::combined_options(bits, rows, pool, 1 + random.integer(20));
        with.duplicates = random.integer(2) == 1;
        INFO("options ", bits, " B = ", with.rows, " P = ", with.pool, " C = ", with.cols);
        check_problem<B>(test::random_problem<T>(random, with));
    }
}

TEST_CASE_TEMPLATE("conformance: softmax_contrast equals reference over several tiles and slices", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 403);
    for (const auto& with :
         {test::contrast_options{.rows = 600, .pool = 1500, .cols = 3, .outside = true},
          test::contrast_options{.rows = 3, .pool = 9000, .cols = 5, .outside = true, .groups = true},
          test::contrast_options{.rows = 600,
          .pool = 1500,
          .cols = 3,
          .selected = true,
          .column_temperatures = true,
          .weights = true,
          .scales = true,
          .noise = true},
          test::contrast_options{.rows = 3, .pool = 9000, .cols = 5, .self = true, .duplicates = true}}) {
        INFO("B = ", with.rows, " P = ", with.pool);
        check_problem<B>(test::random_problem<T>(random, with));
    }
}

TEST_CASE_TEMPLATE("conformance: one gradient for queries and columns takes both parts", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 404);
    for (const index_t rows : {2, 5, 31, 33, 257}) {
        for (const bool accumulate : {false, true}) {
            auto problem = test::random_problem<T>(
                random, {.rows = rows, .pool = rows, .cols = 7, .scales = true, .accumulate = accumulate});
            problem.columns = problem.query;
            problem.same_gradient = true;
            problem.self.clear();
            for (index_t i = 0; i < rows; ++i) {
                problem.self.push_back(static_cast<label_t>(i));
                problem.own[static_cast<std::size_t>(i)] = static_cast<label_t>((i + 1) % rows);
            }
            test::reference_of<B> reference;
            const auto expected = run_contrast(reference, problem);
            auto bound = allowed<B>(problem);
            bound.query += bound.columns;

            for (const auto& how : test::variants<B>()) {
                INFO(how.name, " rows ", rows, " accumulate ", accumulate);
                B be = test::make<B>(how);
                check_equal(run_contrast(be, problem), expected, bound);
            }
        }
    }
}

TEST_CASE_TEMPLATE("conformance: top-1 is reference's where logits are exact, ties included", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 405);
    for (const index_t rows : {1, 5, 33, 257}) {
        for (const index_t pool : {1, 2, 17, 100, 300, 2500}) {
            for (const bool outside : {true, false}) {
                auto problem = test::random_problem<T>(random, {.rows = rows,
                                                                .pool = pool,
                                                                .cols = 3,
                                                                .outside = outside,
                                                                .self = true,
                                                                .weights = true,
                                                                .noise = !outside});
                problem.query = test::small_integers<T>(random, rows, 3, 1);
                problem.columns = test::small_integers<T>(random, pool, 3);
                if (outside) {
                    problem.positive = test::small_integers<T>(random, rows, 3);
                }
                problem.temperature = {T(0.25)}; // its inverse is exact
                problem.gradients = false;
                test::reference_of<B> reference;
                const auto expected = run_contrast(reference, problem).top1;

                for (const auto& how : test::variants<B>()) {
                    INFO(how.name, " B = ", rows, " P = ", pool, " outside = ", outside);
                    B be = test::make<B>(how);
                    CHECK(run_contrast(be, problem).top1 == expected);
                }
            }
        }
    }
}

TEST_CASE_TEMPLATE("conformance: with an empty pool, or all of it left out, loss and gradients are 0", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 406);
    auto empty_pool = test::random_problem<T>(random, {.rows = 33, .pool = 0, .cols = 7, .outside = true});
    auto all_masked = test::random_problem<T>(random, {.rows = 33, .pool = 20, .cols = 7, .outside = true});
    all_masked.row_group.assign(33, 2);
    all_masked.pool_group.assign(20, 2);

    for (const auto& problem : {empty_pool, all_masked}) {
        for (const auto& how : test::variants<B>()) {
            B be = test::make<B>(how);
            const auto out = run_contrast(be, problem);

            INFO(how.name, " P = ", problem.columns.rows());
            CHECK(out.loss == std::vector<T>(33, T(0)));
            CHECK(out.top1 == std::vector<T>(33, T(1)));
            CHECK(out.grad_query == std::vector<T>(33 * 7, T(0)));
            CHECK(out.grad_positive == std::vector<T>(33 * 7, T(0)));
            CHECK(out.grad_columns == std::vector<T>(out.grad_columns.size(), T(0)));
            CHECK(out.grad_temperature == std::vector<T>{T(0)});
        }
    }
}

TEST_CASE_TEMPLATE("conformance: logits far beyond the range of exp equal reference", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 407);
    for (const bool outside : {true, false}) {
        auto problem = test::random_problem<T>(random, {.rows = 33, .pool = 100, .cols = 8, .outside = outside});
        problem.temperature = {T(0.001)};

        CAPTURE(outside);
        check_problem<B>(problem);
    }
}

TEST_CASE_TEMPLATE("conformance: NaN in a query or a column comes out, and only where it went in", B,
                   CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 408);
    for (const bool outside : {true, false}) {
        auto in_query = test::random_problem<T>(random, {.rows = 9, .pool = 40, .cols = 5, .outside = outside});
        auto in_column = in_query;
        in_query.query(4, 2) = std::numeric_limits<T>::quiet_NaN();
        in_column.columns(7, 2) = std::numeric_limits<T>::quiet_NaN();

        for (const auto& how : test::variants<B>()) {
            B be = test::make<B>(how);
            const auto by_query = run_contrast(be, in_query);
            const auto by_column = run_contrast(be, in_column);

            INFO(how.name, " outside = ", outside);
            for (std::size_t i = 0; i < 9; ++i) {
                CHECK(std::isnan(by_query.loss[i]) == (i == 4));
                CHECK(std::isnan(by_query.log_sum[i]) == (i == 4));
                CHECK(std::isnan(by_query.top1[i]) == (i == 4));
                CHECK(std::isnan(by_query.grad_query[5 * i]) == (i == 4));
                CHECK(std::isnan(by_column.loss[i]));
                CHECK(std::isnan(by_column.top1[i]));
                CHECK(std::isnan(by_column.grad_query[5 * i]));
            }
        }
    }
}

TEST_CASE_TEMPLATE("conformance: NaN in a column reaches nothing where no row takes part", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 410);
    auto problem = test::random_problem<T>(random, {.rows = 33, .pool = 40, .cols = 5});
    problem.own.assign(33, -1);
    problem.columns(7, 2) = std::numeric_limits<T>::quiet_NaN();

    for (const auto& how : test::variants<B>()) {
        B be = test::make<B>(how);
        const auto actual = run_contrast(be, problem);

        CAPTURE(how.name);
        CHECK(actual.loss == std::vector<T>(33, T(0)));
        CHECK(actual.grad_query == std::vector<T>(33 * 5, T(0)));
        CHECK(actual.grad_columns == std::vector<T>(40 * 5, T(0)));
    }
}

TEST_CASE_TEMPLATE("conformance: NaN in a row that takes no part stays there", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 409);
    auto problem = test::random_problem<T>(random, {.rows = 33, .pool = 40, .cols = 5});
    problem.own[4] = -1;
    auto with_nan = problem;
    with_nan.query(4, 2) = std::numeric_limits<T>::quiet_NaN();

    for (const auto& how : test::variants<B>()) {
        B be = test::make<B>(how);

        CAPTURE(how.name);
        CHECK(run_contrast(be, with_nan) == run_contrast(be, problem));
    }
}

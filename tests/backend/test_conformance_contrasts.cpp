// SPDX-License-Identifier: MIT
// Several problems in one call of softmax_contrast(): as if one after the other.
#include <support/conformance.hpp>
#include <support/contrast_bounds.hpp>
#include <support/contrast_run.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

using namespace protonce;
using test::contrast_problem;

namespace {

constexpr auto separate = [](auto&) {};
/// All add to the gradient of the first.
constexpr auto one_gradient = [](auto& problems) {
    for (auto& problem : problems) {
        problem.grad_query = problems.front().grad_query;
    }
};
/// What one calls queries are the columns of the other.
constexpr auto crossed = [](auto& problems) {
    problems[0].grad_columns = problems[1].grad_query;
    problems[1].grad_columns = problems[0].grad_query;
};

/// \param shared  problems of which each adds to gradients of the others
template <class B, class Connect>
void check_problems(const std::vector<contrast_problem<typename B::value_type>>& problems, std::size_t shared,
                    const Connect& connect) {
    test::reference_of<B> reference;
    const auto expected = test::run_contrasts(reference, problems, connect);
    double query = 0, columns = 0;
    for (const auto& problem : problems) {
        query += test::allowed<B>(problem).query;
        columns += test::allowed<B>(problem).columns;
    }
    for (const auto& how : test::variants<B>()) {
        INFO(how.name);
        B be = test::make<B>(how);
        const auto actual = test::run_contrasts(be, problems, connect);
        for (std::size_t m = 0; m < problems.size(); ++m) {
            INFO("problem ", m, " of ", problems.size());
            auto bound = test::allowed<B>(problems[m]);
            if (shared > 1) {
                bound.query = query + columns;
                bound.columns = query + columns;
            }
            test::check_equal(actual[m], expected[m], bound);
        }
    }
}

} // namespace

TEST_CASE_TEMPLATE("conformance: problems of one call with options of their own", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 411);
    for (unsigned step = 0; step < 40; ++step) {
        const index_t rows = 1 + random.integer(40);
        const index_t cols = 1 + random.integer(20);
        std::vector<contrast_problem<T>> problems;
        const auto count = 1 + random.integer(6);
        for (index_t m = 0; m < count; ++m) {
            const auto bits = static_cast<unsigned>(random.integer(512));
            problems.push_back(
                test::random_problem<T>(random, test::combined_options(bits, rows, 1 + random.integer(150), cols)));
            problems.back().only_sums = random.integer(2) == 1;
            problems.back().gradients = random.integer(4) > 0;
        }
        INFO("step ", step, " B = ", rows, " C = ", cols);
        check_problems<B>(problems, 1, separate);
    }
}

TEST_CASE_TEMPLATE("conformance: problems of one call that add to one gradient", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 412);
    for (const std::size_t count : {2U, 4U, 5U, 9U}) {
        for (const index_t rows : {1, 33, 130}) {
            std::vector<contrast_problem<T>> problems;
            for (std::size_t m = 0; m < count; ++m) {
                auto with = test::combined_options(static_cast<unsigned>(m * 37), rows, 20 + random.integer(200), 9);
                with.accumulate = m > 0;
                problems.push_back(test::random_problem<T>(random, with));
                problems.back().only_sums = m % 2 == 0;
            }
            INFO(count, " problems, B = ", rows);
            check_problems<B>(problems, count, one_gradient);
        }
    }
}

TEST_CASE_TEMPLATE("conformance: problems of one call whose queries are the other's columns", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 413);
    for (const index_t rows : {1, 2, 33, 200}) {
        std::vector<contrast_problem<T>> problems;
        problems.push_back(test::random_problem<T>(random, {.rows = rows, .pool = rows, .cols = 6}));
        problems.push_back(problems.front());
        std::swap(problems[1].query, problems[1].columns);
        problems[1].accumulate = true;
        CAPTURE(rows);
        check_problems<B>(problems, 2, crossed);
    }
}

TEST_CASE_TEMPLATE("conformance: problems of one call with other numbers of rows", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 414);
    std::vector<contrast_problem<T>> problems;
    for (const index_t rows : {5, 5, 7, 1, 7, 7}) {
        problems.push_back(test::random_problem<T>(random, {.rows = rows, .pool = 30, .cols = 4, .scales = true}));
    }
    problems.push_back(test::random_problem<T>(random, {.rows = 7, .pool = 30, .cols = 5}));
    check_problems<B>(problems, 1, separate);
}

TEST_CASE_TEMPLATE("conformance: a temperature and a factor of the rows may be numbers of the problem", B,
                   CONFORMING_BACKENDS, protonce::reference_backend<float>) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 415);
    for (const bool outside : {true, false}) {
        auto given = test::random_problem<T>(
            random, {.rows = 20, .pool = 50, .cols = 9, .outside = outside, .scales = true, .accumulate = true});
        given.temperature = {T(0.3)};
        const auto with = [&](const contrast_problem<T>& in, double factor, bool in_memory) {
            B be = test::make<B>({});
            return test::run_contrasts(be, std::vector{in}, [&](auto& problems) {
                problems[0].row_factor = factor;
                if (!in_memory) {
                    problems[0].temperature = {};
                    problems[0].one_temperature = T(0.3);
                }
            })[0];
        };
        CAPTURE(outside);
        auto halves = given;
        for (T& scale : halves.row_scale) {
            scale /= 2; // exact
        }
        const auto expected = with(given, 1, true);
        CHECK(with(given, 1, false) == expected);
        CHECK(with(halves, 2, false) == expected);

        auto alone = given;
        alone.row_scale.clear();
        auto everywhere = given;
        everywhere.row_scale = {T(-0.7)};
        CHECK(with(alone, -0.7, true) == with(everywhere, 1, true));
        CHECK_FALSE(with(alone, -0.7, true) == with(alone, 1, true));
    }
}

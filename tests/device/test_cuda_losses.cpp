// SPDX-License-Identifier: MIT
// The losses of cuda_backend<float> in each precision, under the emulator and on a GPU.
#include <device/device_run.hpp>
#include <device/loss_errors.hpp>
#include <device/loss_ways.hpp>
#include <support/contrast_run.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

using namespace protonce;
using test::backend_by;
using test::contrast_problem;
using test::contrast_results;
using test::device_backend;
using test::exact;
using test::largest_error;
using test::relative_error;
using test::run_by;
using test::run_contrast;
using test::unit_problem;
using test::way;
using test::ways;

namespace {

/// The kernels for wide rows, whatever the width.
class tiled_backend : public device_backend {
public:
    tiled_backend() : device_backend(test::device_options{}) {}
    void softmax_contrast(std::span<const contrast<float, device>> problems) {
        using run_type = std::remove_reference_t<decltype(run())>;
        for (const auto& problem : problems) {
            detail::elementwise::softmax_contrast(run(), scratch(), problem,
                                                  detail::cuda::tensor_products<2, run_type>{scratch()});
        }
    }
};

} // namespace

TEST_CASE("cuda losses: gradients are as exact as the precision says") {
    TEST_RANDOM(random, 603);
    for (const bool outside : {true, false}) {
        auto problem = unit_problem(random, {.rows = 70, .pool = 1300, .cols = 128, .outside = outside});
        problem.temperature = {0.1F};
        const auto expected = exact(problem);
        CAPTURE(outside);
        for (const bool only_sums : {false, true}) {
            problem.only_sums = only_sums;
            auto wanted = expected;
            if (only_sums) {
                wanted.grad_temperature.clear();
            }
            double error[4] = {};
            for (const way how : ways()) {
                error[static_cast<int>(how)] = largest_error(run_by(how, problem), wanted);
                CAPTURE(only_sums);
                CAPTURE(static_cast<int>(how));
                CHECK(error[static_cast<int>(how)] <= (how == way::precise ? 1e-5 : 5e-4));
            }
            CHECK(error[2] < error[1]); // the option does something
            MESSAGE("relative errors: fast ", error[0], ", standard ", error[1], ", precise ", error[2], ", by groups ",
                    error[3]);
        }
    }
}

TEST_CASE("cuda losses: the backend takes the way that its option names") {
    TEST_RANDOM(random, 615);
    const auto problem = unit_problem(random, {.rows = 40, .pool = 300, .cols = 64, .outside = true});
    for (const auto losses : {loss_precision::fast, loss_precision::standard, loss_precision::precise}) {
        device_backend be(test::device_options{.losses = losses});
        const auto actual = run_contrast(be, problem);
        const way by_warps = losses == loss_precision::fast       ? way::fast
                             : losses == loss_precision::standard ? way::standard
                                                                  : way::precise;
        const bool is_by_groups = losses != loss_precision::precise && ways().size() == 4 &&
                                  actual.grad_query == run_by(way::groups, problem).grad_query;
        CAPTURE(static_cast<int>(losses));
        CHECK((is_by_groups || actual.grad_query == run_by(by_warps, problem).grad_query));
    }
}

TEST_CASE("cuda losses: every combination of options, in every precision") {
    TEST_RANDOM(random, 606);
    for (unsigned bits = 0; bits < 512; bits += 7) {
        const index_t rows = 1 + random.integer(70);
        const index_t pool = 2 + random.integer(200);
        const auto problem = unit_problem(random, test::combined_options(bits, rows, pool, 8 + random.integer(30)));
        const auto expected = exact(problem);
        for (const way how : ways()) {
            INFO("options ", bits, " way ", static_cast<int>(how));
            // A logit of unit rows errs by 2^-10 of 1 / 0.1 at most.
            CHECK(largest_error(run_by(how, problem), expected) <= (how == way::precise ? 2e-5 : 1e-2));
        }
    }
}

TEST_CASE("cuda losses: several problems share the launches and the gradient of their queries") {
    TEST_RANDOM(random, 616);
    const auto one_gradient = [](auto& problems) {
        for (auto& problem : problems) {
            problem.grad_query = problems.front().grad_query;
        }
    };
    for (const index_t cols : {20, 100, 200}) {
        for (const unsigned seed : {1U, 2U}) {
            std::vector<contrast_problem<float>> problems;
            std::vector<contrast_problem<double>> same;
            for (unsigned m = 0; m < 4; ++m) {
                auto with = test::combined_options(m == 0 ? 1 : seed * 32 + m * 6, 130, 20 + random.integer(180), cols);
                with.accumulate = m > 0;
                problems.push_back(unit_problem(random, with));
                same.push_back(test::in_double(problems.back()));
            }
            reference_backend<double> reference;
            auto expected = test::run_contrasts(reference, same, one_gradient);
            for (const way how : ways()) {
                for (auto& problem : problems) {
                    problem.only_sums = seed % 2 == 0 || &problem == &problems[1];
                }
                backend_by be(how);
                const auto actual = test::run_contrasts(be, problems, one_gradient);
                for (std::size_t m = 0; m < 4; ++m) {
                    INFO("C ", cols, " seed ", seed, " way ", static_cast<int>(how), " problem ", m);
                    auto wanted = expected[m];
                    if (problems[m].only_sums) {
                        wanted.grad_temperature.clear();
                    }
                    CHECK(largest_error(actual[m], wanted) <= (how == way::precise ? 2e-5 : 1e-2));
                }
            }
        }
    }
}

TEST_CASE("cuda losses: rows of any width, fused up to 256 columns") {
    TEST_RANDOM(random, 607);
    for (const index_t cols : {129, 256, 257}) {
        for (const bool outside : {true, false}) {
            auto problem = unit_problem(random, {.rows = 20, .pool = 140, .cols = cols, .outside = outside});
            const auto expected = exact(problem);
            for (const way how : ways()) {
                CAPTURE(cols);
                CAPTURE(static_cast<int>(how));
                CHECK(largest_error(run_by(how, problem), expected) <= (how == way::precise ? 1e-5 : 2e-3));
            }
        }
    }
}

TEST_CASE("cuda losses: the largest exponent may come first, last, or in any slice") {
    TEST_RANDOM(random, 608);
    for (const index_t order : {0, 1, 2}) {
        auto problem = unit_problem(random, {.rows = 3, .pool = 700, .cols = 4, .outside = true});
        for (index_t j = 0; j < 700; ++j) {
            const index_t place = order == 0 ? j : order == 1 ? 699 - j : j * 277 % 700;
            for (index_t c = 0; c < 4; ++c) {
                problem.columns(j, c) = static_cast<float>(place) * 0.01F * problem.query(0, c) + problem.columns(j, c);
            }
        }
        problem.temperature = {0.02F}; // exponents from -400 to 400
        const auto expected = exact(problem);

        CAPTURE(order);
        for (const way how : ways()) {
            CAPTURE(static_cast<int>(how));
            CHECK(largest_error(run_by(how, problem), expected) <= (how == way::precise ? 1e-3 : 0.3));
        }
    }
}

TEST_CASE("cuda losses: a duplicate of the positive has its bits, wherever it lies") {
    TEST_RANDOM(random, 609);
    for (const index_t cols : {30, 200}) {
        auto problem = unit_problem(random, {.rows = 70, .pool = 300, .cols = cols, .outside = true});
        problem.query = problem.positive; // the largest logit of its row
        for (index_t i = 0; i < 70; ++i) {
            for (const index_t j : {i * 2, 299 - i}) {
                for (index_t c = 0; c < cols; ++c) {
                    problem.columns(j, c) = problem.positive(i, c);
                }
            }
        }
        problem.gradients = false;
        for (const way how : ways()) {
            CAPTURE(cols);
            CAPTURE(static_cast<int>(how));
            CHECK(run_by(how, problem).top1 == std::vector<float>(70, 1 / 3.0F));
        }
    }
}

TEST_CASE("cuda losses: fast takes rows of any length, each at its own power of two") {
    TEST_RANDOM(random, 610);
    const auto problem =
        unit_problem(random, {.rows = 70, .pool = 150, .cols = 20, .column_temperatures = true, .weights = true});
    const auto expected = run_by(way::fast, problem);

    // Columns and their temperatures times a power of two: logits and the gradients of queries are the same.
    auto scaled = problem;
    for (index_t j = 0; j < 150; ++j) {
        const float scale = std::ldexp(1.0F, static_cast<int>(j % 90) - 45);
        for (index_t c = 0; c < 20; ++c) {
            scaled.columns(j, c) *= scale;
        }
        scaled.temperature[static_cast<std::size_t>(j)] *= scale;
    }
    const auto actual = run_by(way::fast, scaled);

    CHECK(actual.loss == expected.loss);
    CHECK(actual.log_sum == expected.log_sum);
    CHECK(actual.grad_query == expected.grad_query);
    for (std::size_t j = 0; j < 150; ++j) {
        const float scale = std::ldexp(1.0F, static_cast<int>(j % 90) - 45);
        for (std::size_t c = 0; c < 20; ++c) {
            CHECK(actual.grad_columns[j * 20 + c] * scale == expected.grad_columns[j * 20 + c]);
        }
    }
}

TEST_CASE("cuda losses: fast sees small slopes beside a large one") {
    TEST_RANDOM(random, 611);
    // One row's loss counts a millionth, and one column's temperature makes its slope small.
    auto problem = unit_problem(random, {.rows = 20, .pool = 100, .cols = 16, .outside = true, .scales = true});
    problem.row_scale.assign(20, 1);
    problem.row_scale[3] = 1e-6F;
    const auto all = run_by(way::fast, problem);
    auto alone = exact(problem);
    CHECK(largest_error(all, alone) <= 2e-3);
    double difference = 0, size = 0;
    for (std::size_t c = 0; c < 16; ++c) {
        difference += std::pow(static_cast<double>(all.grad_query[3 * 16 + c]) - alone.grad_query[3 * 16 + c], 2);
        size += std::pow(alone.grad_query[3 * 16 + c], 2);
    }
    CHECK(std::sqrt(difference / size) <= 2e-3);
}

TEST_CASE("cuda losses: columns of one factor go a shorter way, whose result is as exact") {
    TEST_RANDOM(random, 614);
    constexpr index_t rows = 70, batch = 60, pool = 900;
    auto problem = unit_problem(random, {.rows = rows, .pool = pool, .cols = 100, .column_temperatures = true});
    problem.only_sums = true;
    for (index_t i = 0; i < rows; ++i) {
        problem.own[static_cast<std::size_t>(i)] = i == 5 ? label_t{-1} : static_cast<label_t>(i * 7 % batch);
    }
    for (index_t j = 0; j < pool - 50; ++j) { // some are not used
        problem.column_id.push_back(j < batch ? j : pool - 1 - (j - batch));
    }
    problem.column_count = {pool - 63};
    auto with_short_row = problem; // has a factor of its own
    for (index_t c = 0; c < 100; ++c) {
        with_short_row.columns(pool - 300, c) *= 0x1p-30F;
    }
    for (auto* given : {&problem, &with_short_row}) {
        auto expected = exact(*given);
        expected.grad_temperature.clear();
        for (const way how : ways()) {
            CAPTURE(static_cast<int>(how));
            given->own_count.clear(); // anywhere
            CHECK(largest_error(run_by(how, *given), expected) <= 5e-4);
            given->own_count = {batch};
            CHECK(largest_error(run_by(how, *given), expected) <= 5e-4);
        }
    }
}

TEST_CASE("cuda losses: huge logits leave losses and gradients finite") {
    TEST_RANDOM(random, 615);
    for (const float scale : {1e3F, 1e4F, 1e5F}) { // logits of 5e7 to 5e11, whose roundings are above 1
        auto problem = unit_problem(random, {.rows = 70, .pool = 400, .cols = 64, .outside = true});
        for (auto* values : {&problem.query, &problem.columns, &problem.positive}) {
            for (index_t i = 0; i < values->rows(); ++i) {
                for (index_t c = 0; c < values->cols(); ++c) {
                    (*values)(i, c) *= scale;
                }
            }
        }
        problem.temperature = {0.02F};
        problem.only_sums = true;
        for (const way how : ways()) {
            const auto found = run_by(how, problem);
            CAPTURE(scale);
            CAPTURE(static_cast<int>(how));
            for (const auto* values : {&found.loss, &found.grad_query, &found.grad_positive, &found.grad_columns}) {
                CHECK(std::all_of(values->begin(), values->end(), [](float value) { return std::isfinite(value); }));
            }
        }
    }
}

TEST_CASE("cuda losses: NaN comes out in every precision, and only where it went in") {
    TEST_RANDOM(random, 612);
    for (const way how : ways()) {
        auto in_query = unit_problem(random, {.rows = 9, .pool = 40, .cols = 5, .outside = true});
        auto in_column = in_query;
        in_query.query(4, 2) = std::numeric_limits<float>::quiet_NaN();
        in_column.columns(7, 2) = std::numeric_limits<float>::quiet_NaN();
        const auto by_query = run_by(how, in_query);
        const auto by_column = run_by(how, in_column);

        CAPTURE(static_cast<int>(how));
        for (std::size_t i = 0; i < 9; ++i) {
            CHECK(std::isnan(by_query.loss[i]) == (i == 4));
            CHECK(std::isnan(by_query.grad_query[5 * i]) == (i == 4));
            CHECK(std::isnan(by_column.loss[i]));
            CHECK(std::isnan(by_column.grad_query[5 * i]));
        }
    }
}

TEST_CASE("cuda losses: the kernels for wide rows take every option, over several tiles") {
    TEST_RANDOM(random, 613);
    tiled_backend be;
    for (const auto& with : {test::contrast_options{.rows = 600, .pool = 1800, .cols = 3, .outside = true},
                             test::contrast_options{.rows = 3, .pool = 1100, .cols = 5, .self = true, .groups = true},
                             test::contrast_options{.rows = 70,
                             .pool = 200,
                             .cols = 33,
                             .selected = true,
                             .column_temperatures = true,
                             .weights = true,
                             .scales = true,
                             .noise = true,
                             .accumulate = true}}) {
        const auto problem = unit_problem(random, with);
        INFO("B = ", with.rows, " P = ", with.pool);
        CHECK(largest_error(run_contrast(be, problem), exact(problem)) <= 2e-5);
    }
}

TEST_CASE("cuda losses: any number of columns of features") {
    TEST_RANDOM(random, 614);
    for (const index_t cols : {1, 15, 16, 127, 129, 255, 256, 257, 4096}) {
        const auto problem = unit_problem(random, {.rows = 3, .pool = 40, .cols = cols, .self = true});
        CAPTURE(cols);
        device_backend precise(test::device_options{.losses = loss_precision::precise});
        CHECK(largest_error(run_contrast(precise, problem), exact(problem)) <= 1e-5);
        device_backend fast(test::device_options{.losses = loss_precision::fast});
        CHECK(largest_error(run_contrast(fast, problem), exact(problem)) <= 2e-3); // so few terms average nothing out
    }
}

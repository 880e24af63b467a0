// SPDX-License-Identifier: MIT
// Gradients of columns where few columns and many queries leave most of a device idle: the queries are cut into slices.
#include <device/device_run.hpp>
#include <device/loss_errors.hpp>
#include <device/loss_ways.hpp>
#include <support/contrast_run.hpp>

#include <protonce/m_step/nt_xent.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <vector>

using namespace protonce;

namespace column_slices {
using test::backend_by;
using test::largest_error;
using test::placed;
using test::unit_problem;
using test::way;
using test::ways;

namespace {

constexpr index_t rows = 270; // 3 tiles, or 9

/// Sizes and options by the bits of a number.
test::contrast_problem<float> problem_of(test::random_source& random, unsigned bits) {
    const index_t cols = bits % 3 == 0 ? 140 : 8 + bits % 100; // 140: sums of columns by two blocks
    auto out = unit_problem(random, test::combined_options(bits, rows, 20 + random.integer(120), cols));
    out.same_gradient = false;
    return out;
}

template <class B, class T = typename B::value_type>
std::array<std::vector<T>, 2> gradients(B& be, const test::matrix<T>& first, const test::matrix<T>& second) {
    placed<B, T> x(be, first), y(be, second);
    auto grad_x = placed<B, T>::unwritten(be, first.rows(), first.cols());
    auto grad_y = placed<B, T>::unwritten(be, first.rows(), first.cols());
    nt_xent(be, {.first = x.rows(), .second = y.rows()}, {.temperature = 0.1},
            {.grad_first = grad_x.rows(), .grad_second = grad_y.rows()});
    return {grad_x.row_values(), grad_y.row_values()};
}

} // namespace

TEST_CASE("column slices: every combination of options, in every precision") {
    TEST_RANDOM(random, 651);
    for (unsigned bits = 0; bits < 512; bits += 103) {
        const auto problem = problem_of(random, bits);
        const auto expected = test::exact(problem);
        for (const way how : ways()) {
            INFO("options ", bits, " way ", static_cast<int>(how));
            const auto actual = test::run_by(how, problem);
            // A logit of unit rows errs by 2^-10 of 1 / 0.1 at most.
            CHECK(largest_error(actual, expected) <= (how == way::precise ? 2e-5 : 1e-2));
            CHECK(test::run_by(how, problem) == actual);
        }
    }
}

TEST_CASE("column slices: the gradient of temperatures alone") {
    TEST_RANDOM(random, 652);
    const auto problem =
        unit_problem(random, {.rows = rows, .pool = 90, .cols = 40, .column_temperatures = true, .accumulate = true});
    const auto expected = test::exact(problem).grad_temperature;
    for (const way how : ways()) {
        CAPTURE(static_cast<int>(how));
        backend_by be(how);
        test::placed_contrast<test::device_backend> given(be, problem);
        auto asked = given.problem();
        asked.grad_columns = {};
        be.softmax_contrast({&asked, 1});
        CHECK(test::relative_error(given.results().grad_temperature, expected, 1) <=
              (how == way::precise ? 2e-5 : 1e-2));
    }
}

TEST_CASE("column slices: both parts of a gradient add where queries are the columns") {
    TEST_RANDOM(random, 653);
    const index_t cols = 48;
    const auto first = random.unit_rows<float>(rows, cols), second = random.unit_rows<float>(rows, cols);
    reference_backend<double> reference;
    const auto expected = gradients(reference, test::in_double(first), test::in_double(second));
    for (const way how : ways()) {
        CAPTURE(static_cast<int>(how));
        backend_by be(how);
        const auto actual = gradients(be, first, second);
        for (const std::size_t view : {0U, 1U}) {
            CHECK(test::relative_error(actual[view], expected[view]) <= (how == way::precise ? 2e-5 : 1e-2));
        }
    }
}

} // namespace column_slices

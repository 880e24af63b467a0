// SPDX-License-Identifier: MIT
#include "m_step/losses.hpp"
#include "support/thrown.hpp"

#include <protonce/m_step/symmetric_info_nce.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace protonce;
using test::index_t;
using test::loss_bound;

TEST_CASE_TEMPLATE("symmetric_info_nce: each row's loss is the mean of the two directions", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 45);
    B be;
    const index_t rows = 21, cols = 6;
    const double temperature = 0.25;
    const auto first = random.unit_rows<T>(rows, cols, 1);
    const auto second = random.unit_rows<T>(rows, cols);
    const std::vector<T> scale{T(4)};
    std::vector<T> per_row(static_cast<std::size_t>(rows)), none = per_row;
    std::vector<T> loss(1), sum(1), by_temperature(1), forth(1), back(1);

    const symmetric_info_nce_inputs<B> in{.first = first.view(), .second = second.view(), .scale = view_vector(scale)};
    symmetric_info_nce(be, in, {},
                       {.loss = view_vector(loss),
                        .loss_per_row = view_vector(per_row),
                        .accuracy_first = view_vector(forth),
                        .accuracy_second = view_vector(back)});
    symmetric_info_nce(be, in, {.reduction = reduction::none}, {.loss = view_vector(none)});
    symmetric_info_nce(be, in, {.reduction = reduction::sum}, {.loss = view_vector(sum)});
    symmetric_info_nce(be, {.first = first.view(), .second = second.view()}, {.temperature = temperature},
                       {.loss = view_vector(by_temperature)});

    std::vector<double> expected;
    double mean = 0, correct_forth = 0, correct_back = 0;
    for (index_t i = 0; i < rows; ++i) {
        double sum_forth = 0, sum_back = 0;
        bool best_forth = true, best_back = true;
        const double own = test::dot(first, i, second, i) / temperature;
        for (index_t j = 0; j < rows; ++j) {
            const double a = test::dot(first, i, second, j) / temperature;
            const double b = test::dot(first, j, second, i) / temperature;
            sum_forth += std::exp(a);
            sum_back += std::exp(b);
            best_forth = best_forth && a <= own;
            best_back = best_back && b <= own;
        }
        expected.push_back((std::log(sum_forth) + std::log(sum_back)) / 2 - own);
        mean += expected.back() / double(rows);
        correct_forth += best_forth ? 1.0 / double(rows) : 0;
        correct_back += best_back ? 1.0 / double(rows) : 0;
    }
    const double bound = loss_bound<T>(cols, temperature);
    CHECK(test::distance(per_row, expected) <= bound);
    CHECK(none == per_row);
    CHECK(std::abs(double(loss[0]) - mean) <= bound);
    CHECK(std::abs(double(sum[0]) - mean * double(rows)) <= double(rows) * bound);
    CHECK(loss[0] == by_temperature[0]);
    CHECK(double(forth[0]) == doctest::Approx(correct_forth).epsilon(1e-6));
    CHECK(double(back[0]) == doctest::Approx(correct_back).epsilon(1e-6));
}

TEST_CASE_TEMPLATE("symmetric_info_nce: one gradient alone, and accumulate, are parts and sums of the whole", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 46);
    B be;
    const index_t rows = 8, cols = 4;
    const auto first = random.unit_rows<T>(rows, cols);
    const auto second = random.unit_rows<T>(rows, cols);
    const std::vector<T> scale{T(5)};
    const symmetric_info_nce_inputs<B> in{.first = first.view(), .second = second.view(), .scale = view_vector(scale)};
    test::matrix<T> grad_first(rows, cols), grad_second(rows, cols), alone(rows, cols);
    std::vector<T> loss(1), grad_scale(1);
    symmetric_info_nce(be, in, {},
                       {.loss = view_vector(loss),
                        .grad_first = grad_first.view(),
                        .grad_second = grad_second.view(),
                        .grad_scale = view_vector(grad_scale)});

    symmetric_info_nce(be, in, {}, {.grad_first = alone.view()});
    CHECK(test::distance(alone, grad_first) == 0);
    symmetric_info_nce(be, in, {}, {.grad_second = alone.view()});
    CHECK(test::distance(alone, grad_second) == 0);

    auto sum_first = test::filled<T>(rows, cols, T(1));
    auto sum_second = test::filled<T>(rows, cols, T(1));
    std::vector<T> sum_loss{2}, sum_scale{3};
    symmetric_info_nce(be, in, {},
                       {.loss = view_vector(sum_loss),
                        .grad_first = sum_first.view(),
                        .grad_second = sum_second.view(),
                        .grad_scale = view_vector(sum_scale),
                        .accumulate = true});

    const double rounding = 8 * double(std::numeric_limits<T>::epsilon());
    CHECK(std::abs(double(sum_loss[0]) - 2 - double(loss[0])) <= rounding);
    CHECK(std::abs(double(sum_scale[0]) - 3 - double(grad_scale[0])) <= rounding);
    for (index_t i = 0; i < rows; ++i) {
        for (index_t c = 0; c < cols; ++c) {
            CHECK(std::abs(double(sum_first(i, c)) - 1 - double(grad_first(i, c))) <= rounding);
            CHECK(std::abs(double(sum_second(i, c)) - 1 - double(grad_second(i, c))) <= rounding);
        }
    }
}

TEST_CASE_TEMPLATE("symmetric_info_nce: what does not go together is refused by name", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 47);
    B be;
    const auto four = random.unit_rows<T>(4, 3);
    const auto five = random.unit_rows<T>(5, 3);
    const std::vector<T> zero{0};

    CHECK(test::message_of<shape_error>([&] {
              symmetric_info_nce(be, {.first = four.view(), .second = five.view()}, {}, {});
          }) == "symmetric_info_nce: second: must have the shape of first, (4, 3); got (5, 3)");
    CHECK(test::message_of<argument_error>([&] {
              symmetric_info_nce(be, {.first = four.view(), .second = four.view(), .scale = view_vector(zero)}, {}, {});
          }) == "symmetric_info_nce: scale: must be positive and finite everywhere; got 0 at 0");
    CHECK(test::message_of<argument_error>([&] {
              symmetric_info_nce(be, {.first = four.view(), .second = four.view()}, {.temperature = 0}, {});
          }) == "symmetric_info_nce: temperature: must be positive and finite; got 0");
}

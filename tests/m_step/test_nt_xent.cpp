// SPDX-License-Identifier: MIT
#include "m_step/losses.hpp"
#include "support/thrown.hpp"

#include <protonce/m_step/nt_xent.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace protonce;
using test::index_t;
using test::loss_bound;

namespace {

template <class T>
std::vector<double> nt_xent_formula(const test::matrix<T>& first, const test::matrix<T>& second, double temperature) {
    const index_t rows = first.rows();
    const auto logit = [&](index_t i, index_t j) {
        const auto& a = i < rows ? first : second;
        const auto& b = j < rows ? first : second;
        return test::dot(a, i % rows, b, j % rows) / temperature;
    };
    std::vector<double> out;
    for (index_t i = 0; i < 2 * rows; ++i) {
        double sum = 0;
        for (index_t j = 0; j < 2 * rows; ++j) {
            sum += j == i ? 0 : std::exp(logit(i, j));
        }
        out.push_back(std::log(sum) - logit(i, (i + rows) % (2 * rows)));
    }
    return out;
}

} // namespace

TEST_CASE_TEMPLATE("nt_xent: each row's loss is the formula's", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 41);
    B be;
    for (const index_t rows : {2, 31, 70}) {
        CAPTURE(rows);
        const auto first = random.unit_rows<T>(rows, 9, 2);
        const auto second = random.unit_rows<T>(rows, 9);
        std::vector<T> per_row(std::size_t(2 * rows)), loss(1), none(std::size_t(2 * rows));

        nt_xent(be, {.first = first.view(), .second = second.view()}, {},
                {.loss = view_vector(loss), .loss_per_row = view_vector(per_row)});
        nt_xent(be, {.first = first.view(), .second = second.view()}, {.reduction = reduction::none},
                {.loss = view_vector(none)});

        const auto expected = nt_xent_formula(first, second, 0.5);
        CHECK(test::distance(per_row, expected) <= loss_bound<T>(9, 0.5));
        CHECK(none == per_row);
        double mean = 0;
        for (const double value : expected) {
            mean += value / double(2 * rows);
        }
        CHECK(std::abs(double(loss[0]) - mean) <= loss_bound<T>(9, 0.5));
    }
}

TEST_CASE_TEMPLATE("nt_xent: exchanging the views exchanges losses and gradients", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 42);
    B be;
    const index_t rows = 12, cols = 5;
    const auto first = random.unit_rows<T>(rows, cols);
    const auto second = random.unit_rows<T>(rows, cols);
    std::vector<T> forth(std::size_t(2 * rows)), back(std::size_t(2 * rows));
    test::matrix<T> grad_a(rows, cols), grad_b(rows, cols), grad_c(rows, cols), grad_d(rows, cols);

    nt_xent(be, {.first = first.view(), .second = second.view()}, {},
            {.loss_per_row = view_vector(forth), .grad_first = grad_a.view(), .grad_second = grad_b.view()});
    nt_xent(be, {.first = second.view(), .second = first.view()}, {},
            {.loss_per_row = view_vector(back), .grad_first = grad_c.view(), .grad_second = grad_d.view()});

    const double bound = loss_bound<T>(cols, 0.5);
    const std::vector<T> exchanged = [&] {
        std::vector<T> out(back.begin() + rows, back.end());
        out.insert(out.end(), back.begin(), back.begin() + rows);
        return out;
    }();
    CHECK(test::distance(forth, exchanged) <= bound);
    CHECK(test::distance(grad_a, grad_d) <= bound);
    CHECK(test::distance(grad_b, grad_c) <= bound);
}

TEST_CASE_TEMPLATE("nt_xent: views that lie one after the other give the same bits as separate ones", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 43);
    B be;
    for (const index_t gap : {0, 3}) {
        for (const index_t rows : {1, 2, 19}) {
            CAPTURE(gap);
            CAPTURE(rows);
            const index_t cols = 6;
            const auto both = random.unit_rows<T>(2 * rows, cols, gap);
            test::matrix<T> first(rows, cols, 1), second(rows, cols, 2);
            for (index_t i = 0; i < rows; ++i) {
                for (index_t c = 0; c < cols; ++c) {
                    first(i, c) = both(i, c);
                    second(i, c) = both(rows + i, c);
                }
            }
            std::vector<T> in_place(1), copied(1);
            test::matrix<T> gradient(2 * rows, cols, gap), grad_first(rows, cols, 1), grad_second(rows, cols, 4);

            nt_xent(be, {.first = both.view().slice(0, rows), .second = both.view().slice(rows, rows)}, {},
                    {.loss = view_vector(in_place),
                     .grad_first = gradient.view().slice(0, rows),
                     .grad_second = gradient.view().slice(rows, rows)});
            nt_xent(be, {.first = first.view(), .second = second.view()}, {},
                    {.loss = view_vector(copied), .grad_first = grad_first.view(), .grad_second = grad_second.view()});

            CHECK(in_place[0] == copied[0]);
            for (index_t i = 0; i < rows; ++i) {
                for (index_t c = 0; c < cols; ++c) {
                    CHECK(gradient(i, c) == grad_first(i, c));
                    CHECK(gradient(rows + i, c) == grad_second(i, c));
                }
            }
        }
    }
}

TEST_CASE_TEMPLATE("nt_xent: one gradient alone, and accumulate, are parts and sums of the whole", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 44);
    B be;
    const index_t rows = 8, cols = 4;
    const auto first = random.unit_rows<T>(rows, cols);
    const auto second = random.unit_rows<T>(rows, cols);
    const nt_xent_inputs<B> in{.first = first.view(), .second = second.view()};
    test::matrix<T> grad_first(rows, cols), grad_second(rows, cols), alone(rows, cols);
    std::vector<T> loss(1), grad_temperature(1);
    nt_xent(be, in, {},
            {.loss = view_vector(loss),
             .grad_first = grad_first.view(),
             .grad_second = grad_second.view(),
             .grad_temperature = view_vector(grad_temperature)});

    nt_xent(be, in, {}, {.grad_first = alone.view()});
    CHECK(test::distance(alone, grad_first) == 0);
    nt_xent(be, in, {}, {.grad_second = alone.view()});
    CHECK(test::distance(alone, grad_second) == 0);

    auto stacked = test::filled<T>(2 * rows, cols, T(1));
    auto sum_first = test::filled<T>(rows, cols, T(1), 2);
    auto sum_second = test::filled<T>(rows, cols, T(1));
    std::vector<T> sum_loss{2}, sum_temperature{3};
    nt_xent(be, in, {},
            {.loss = view_vector(sum_loss),
             .grad_first = sum_first.view(),
             .grad_second = sum_second.view(),
             .grad_temperature = view_vector(sum_temperature),
             .accumulate = true});
    nt_xent(be, in, {},
            {.grad_first = stacked.view().slice(0, rows),
             .grad_second = stacked.view().slice(rows, rows),
             .accumulate = true});

    const double rounding = 8 * double(std::numeric_limits<T>::epsilon());
    CHECK(std::abs(double(sum_loss[0]) - 2 - double(loss[0])) <= rounding);
    CHECK(std::abs(double(sum_temperature[0]) - 3 - double(grad_temperature[0])) <= rounding);
    for (index_t i = 0; i < rows; ++i) {
        for (index_t c = 0; c < cols; ++c) {
            CHECK(std::abs(double(sum_first(i, c)) - 1 - double(grad_first(i, c))) <= rounding);
            CHECK(std::abs(double(sum_second(i, c)) - 1 - double(grad_second(i, c))) <= rounding);
            CHECK(std::abs(double(stacked(i, c)) - 1 - double(grad_first(i, c))) <= rounding);
            CHECK(std::abs(double(stacked(rows + i, c)) - 1 - double(grad_second(i, c))) <= rounding);
        }
    }
}

TEST_CASE_TEMPLATE("nt_xent: top-1 says whether the other view is the nearest", B, TEST_BACKENDS) {
    using T = value_of<B>;
    B be;
    // Two samples on two axes: rows 0 and 2 agree, rows 1 and 3 are opposite, so that for them both others are nearer.
    const std::vector<T> first{1, 0, 0, 1}, second{1, 0, 0, -1};
    std::vector<T> top1(4), accuracy(1);

    nt_xent(be, {.first = view_rows(first.data(), 2, 2), .second = view_rows(second.data(), 2, 2)}, {},
            {.top1 = view_vector(top1), .accuracy = view_vector(accuracy)});

    CHECK(top1 == std::vector<T>{1, 0, 1, 0});
    CHECK(accuracy[0] == T(0.5));
}

TEST_CASE_TEMPLATE("nt_xent: what does not go together is refused by name", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 47);
    B be;
    const auto four = random.unit_rows<T>(4, 3);
    const auto five = random.unit_rows<T>(5, 3);
    std::vector<T> loss(1);

    CHECK(test::message_of<shape_error>([&] {
              nt_xent(be, {.first = four.view(), .second = five.view()}, {}, {.loss = view_vector(loss)});
          }) == "nt_xent: second: must have the shape of first, (4, 3); got (5, 3)");
    CHECK(test::message_of<argument_error>([&] {
              nt_xent(be, {.first = four.view(), .second = four.view()}, {.temperature = -1}, {});
          }) == "nt_xent: temperature: must be positive and finite; got -1");
    CHECK(test::message_of<shape_error>([&] {
              nt_xent(be, {.first = four.view(), .second = four.view()}, {}, {.loss_per_row = view_vector(loss)});
          }) == "nt_xent: loss_per_row: must hold 8 values; got 1");
}

// SPDX-License-Identifier: MIT
#pragma once
#include <support/conformance.hpp>
#include <support/contrast_run.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace test {

/// How far results may lie apart. Letters: u unit of T, B rows, J columns, C features, t the smallest temperature, f the
/// largest feature, g the largest scale of a row, w the largest logarithm of a weight.
struct contrast_bounds {
    double loss, log_sum, query, columns, temperature;
};

template <class B, class T = typename B::value_type>
contrast_bounds allowed(const contrast_problem<T>& in) {
    const double u = product_unit<B>;
    const double rows = static_cast<double>(in.query.rows());
    const double pool = static_cast<double>(in.columns.rows());
    const double cols = static_cast<double>(in.query.cols());
    double t = 1e300, g = in.row_scale.empty() ? 1 : 0, w = 0;
    for (const T value : in.temperature) {
        t = std::min(t, static_cast<double>(value));
    }
    for (const T value : in.row_scale) {
        g = std::max(g, std::abs(static_cast<double>(value)));
    }
    for (const T value : in.log_weight) {
        w = std::max(w, std::abs(static_cast<double>(value)));
    }
    const double f =
        std::max({largest_magnitude(in.query), largest_magnitude(in.columns), largest_magnitude(in.positive)});
    // A logit is a sum of C products, times a rounded inverse of t; then the weight is added and the maximum, of up to
    // twice the size, taken off.
    const double s = cols * f * f / t;
    const double logit = (cols + 4) * u * s + 3 * u * (2 * s + w);
    // log-sum-exp moves no more than the logits; exponentials and their sum have relative errors of a few units.
    const double log_sum = logit + (pool + 16) * u;
    // Coefficients g p_j / t have the relative error e and an absolute sum of at most 2 g / t over a row, and g B / t
    // over a column; sums over J columns or B rows add a unit for each step.
    const double e = 2 * logit + 2 * (pool + 16) * u;
    return {.loss = logit + log_sum + 4 * u * (2 * s + w + std::log(pool + 1)),
            .log_sum = log_sum + 4 * u * (s + w + std::log(pool + 1)),
            .query = 2 * g * f / t * (e + (pool + 8) * u) + 2 * u,
            .columns = rows * g * f / t * (e + (rows + 8) * u) + 2 * u,
            .temperature = 2 * rows * g / t * (s * (e + (rows + pool + 8) * u) + logit) + 2 * u};
}

/// Empty outputs are equal when both are empty.
template <class T>
double difference(const std::vector<T>& actual, const std::vector<T>& expected, double bound) {
    return expected.empty() && actual.empty() ? 0 : absolute_excess(actual, expected, bound);
}

template <class T>
void check_equal(const contrast_results<T>& actual, const contrast_results<T>& expected, const contrast_bounds& bound) {
    CHECK(difference(actual.loss, expected.loss, bound.loss) <= 0);
    CHECK(difference(actual.log_sum, expected.log_sum, bound.log_sum) <= 0);
    CHECK(difference(actual.grad_query, expected.grad_query, bound.query) <= 0);
    CHECK(difference(actual.grad_positive, expected.grad_positive, bound.query) <= 0);
    CHECK(difference(actual.grad_columns, expected.grad_columns, bound.columns) <= 0);
    CHECK(difference(actual.grad_temperature, expected.grad_temperature, bound.temperature) <= 0);
}

} // namespace test

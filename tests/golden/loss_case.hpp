// SPDX-License-Identifier: MIT
#pragma once
#include "support/golden.hpp"
#include "support/random.hpp"

#include <protonce/core/backend.hpp>

#include <cmath>
#include <string>
#include <vector>

/// What the golden tests of the losses share.
namespace golden {

/// An array as a matrix of T.
template <class T>
test::matrix<T> as_matrix(const array& values) {
    test::matrix<T> out(values.rows(), values.cols());
    for (index_t i = 0; i < values.rows(); ++i) {
        for (index_t j = 0; j < values.cols(); ++j) {
            out(i, j) = static_cast<T>(values(i, j));
        }
    }
    return out;
}

/// The tolerance of the case for a backend of value type T.
template <class T>
double tolerance_for(const test_case& c) {
    return c.tolerance(sizeof(T) == 8 ? "rtol_f64" : "rtol_f32");
}

/// Relative difference of two numbers.
inline double difference(double expected, double actual) {
    return difference(std::vector<double>{expected}, std::vector<double>{actual});
}

/// -log softmax of one row of recorded logits at column `target`.
inline double row_loss(const array& logits, index_t i, index_t target) {
    double largest = logits(i, 0);
    for (index_t j = 1; j < logits.cols(); ++j) {
        largest = std::fmax(largest, logits(i, j));
    }
    double others = 0;
    for (index_t j = 0; j < logits.cols(); ++j) {
        others += j == target ? 0.0 : std::exp(logits(i, j) - largest);
    }
    // log1p keeps the digits of a loss near 0.
    return std::log1p(others / std::exp(logits(i, target) - largest));
}

} // namespace golden

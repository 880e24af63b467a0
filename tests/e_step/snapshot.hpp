// SPDX-License-Identifier: MIT
#pragma once
#include "support/random.hpp"
#include "support/values.hpp"

#include <protonce/e_step/clustering.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace test {

/// Everything that a clustering holds, to compare with == bit by bit (no NaN in these tests' outputs).
template <class T>
struct snapshot {
    std::vector<T> centroids, prototypes, temperatures;
    std::vector<label_t> assignment;
    std::vector<double> squared_distance;

    bool operator==(const snapshot&) const = default;
};

template <class B>
snapshot<typename B::value_type> snapshot_of(const protonce::clustering<B>& level) {
    return {values_of(level.centroids()), values_of(level.prototypes()), values_of(level.temperatures()),
            values_of(level.assignment()), values_of(level.squared_distance())};
}

/// Fills a clustering with values that no algorithm writes, so that "untouched" is seen.
template <class B>
void scribble(B& be, protonce::clustering<B>& level) {
    using value = typename B::value_type;
    be.fill(protonce::vector_view<value>(level.centroids().data(), level.num_clusters() * level.num_cols()),
            value(-7.25));
    be.fill(protonce::vector_view<value>(level.prototypes().data(), level.num_clusters() * level.num_cols()),
            value(-8.25));
    be.fill(level.assignment(), label_t{-1});
    be.fill(level.squared_distance(), -9.25);
    be.fill(level.temperatures(), value(-10.25));
}

/// A matrix from its values, row after row.
template <class T>
matrix<T> matrix_from(index_t rows, index_t cols, const std::vector<double>& values) {
    matrix<T> out(rows, cols);
    for (index_t i = 0; i < rows; ++i) {
        for (index_t j = 0; j < cols; ++j) {
            out(i, j) = static_cast<T>(values.at(static_cast<std::size_t>(i * cols + j)));
        }
    }
    return out;
}

/// Rows `ids` of a matrix.
template <class T>
matrix<T> rows_of(const matrix<T>& from, const std::vector<index_t>& ids) {
    matrix<T> out(static_cast<index_t>(ids.size()), from.cols());
    for (index_t i = 0; i < out.rows(); ++i) {
        for (index_t j = 0; j < from.cols(); ++j) {
            out(i, j) = from(ids[static_cast<std::size_t>(i)], j);
        }
    }
    return out;
}

/// ||x_i - m_k||^2 in long double.
template <class T>
double squared_distance(protonce::matrix_view<const T> x, index_t i, protonce::matrix_view<const T> centroids,
                        index_t k) {
    long double sum = 0;
    for (index_t j = 0; j < x.cols(); ++j) {
        const long double difference = static_cast<long double>(x(i, j)) - static_cast<long double>(centroids(k, j));
        sum += difference * difference;
    }
    return static_cast<double>(sum);
}

/// Bounds of rounding for two runs that agree in their labels, over rows that agree to within `roundings` half epsilons
/// of T of the magnitude X of their coordinates. A mean carries its rows' errors, one rounding to T, and what a sum of
/// at most N doubles in another order can differ by: delta = eps_T X (roundings + 1) / 2 + N eps_double X.
/// A difference of row and centroid is off by 2 delta a coordinate, the inertia I = sum d^2 by at most
/// sum 2 d (2 delta sqrt(C)), which is at most 4 delta sqrt(C N I) by Cauchy and Schwarz, and second-order terms
/// N C (2 delta)^2.
template <class T>
struct agreement {
    agreement(double magnitude, double roundings, index_t rows, index_t cols, double inertia_value) {
        coordinate = magnitude * (std::numeric_limits<T>::epsilon() * (roundings + 1) / 2 +
                                  static_cast<double>(rows) * std::numeric_limits<double>::epsilon());
        const double size = static_cast<double>(rows) * static_cast<double>(cols);
        inertia = 4 * coordinate * std::sqrt(size * inertia_value) + 4 * size * coordinate * coordinate;
    }
    double coordinate; // absolute, of a centroid's coordinate
    double inertia;    // absolute
};

} // namespace test

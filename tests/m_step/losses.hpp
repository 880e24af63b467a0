// SPDX-License-Identifier: MIT
#pragma once
#include "support/backends.hpp"
#include "support/random.hpp"

#include <protonce/core/prototype_level.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

/// What the tests of the losses share.
namespace test {

/// The backends on which gradients are compared with finite differences.
#define TEST_DOUBLE_BACKENDS protonce::reference_backend<double>, protonce::cpu_backend<double>

/// How far a loss or gradient of T may be off, both being of size 1 / temperature at most: each logit x.y / temperature
/// of rows of norm <= 1 is off by (cols + 2) half epsilons / temperature from its products, sum and division; a
/// probability by that relative amount from its own logit and as much from the sum; and the same again on the other
/// side of a comparison.
template <class T>
double loss_bound(index_t cols, double temperature) {
    const double logit =
        static_cast<double>(cols + 2) * static_cast<double>(std::numeric_limits<T>::epsilon()) / 2 / temperature;
    return 4 * logit / std::min(1.0, temperature);
}

/// Largest |a - b|; infinity if the shapes differ, there is nothing to compare, or something is NaN.
template <class A, class B>
double distance(const A& a, const B& b) {
    const auto at = [](const auto& values, std::size_t i) { return static_cast<double>(values[i]); };
    if (std::size(a) != std::size(b) || std::size(a) == 0) {
        return std::numeric_limits<double>::infinity();
    }
    double worst = 0;
    for (std::size_t i = 0; i < std::size(a); ++i) {
        const double off = std::abs(at(a, i) - at(b, i));
        worst = off <= worst ? worst : off == off ? off : std::numeric_limits<double>::infinity();
    }
    return worst;
}

/// The values of a matrix, row after row, without its gaps.
template <class T>
std::vector<double> values_of(const matrix<T>& x) {
    std::vector<double> out;
    for (index_t i = 0; i < x.rows(); ++i) {
        for (index_t j = 0; j < x.cols(); ++j) {
            out.push_back(static_cast<double>(x(i, j)));
        }
    }
    return out;
}

template <class T, class U>
double distance(const matrix<T>& a, const matrix<U>& b) {
    return distance(values_of(a), values_of(b));
}

template <class T>
double dot(const matrix<T>& a, index_t i, const matrix<T>& b, index_t j) {
    double sum = 0;
    for (index_t c = 0; c < a.cols(); ++c) {
        sum += static_cast<double>(a(i, c)) * static_cast<double>(b(j, c));
    }
    return sum;
}

/// The rows of x, reflected at a random hyperplane: an orthogonal map, the same for every matrix of one `direction`
/// (norm 1).
template <class T>
matrix<T> reflected(const matrix<T>& x, const matrix<double>& direction) {
    matrix<T> out(x.rows(), x.cols());
    for (index_t i = 0; i < x.rows(); ++i) {
        double along = 0;
        for (index_t j = 0; j < x.cols(); ++j) {
            along += static_cast<double>(x(i, j)) * direction(0, j);
        }
        for (index_t j = 0; j < x.cols(); ++j) {
            out(i, j) = static_cast<T>(static_cast<double>(x(i, j)) - 2 * along * direction(0, j));
        }
    }
    return out;
}

template <class T>
matrix<T> scaled(const matrix<T>& x, T factor) {
    matrix<T> out(x.rows(), x.cols());
    for (index_t i = 0; i < x.rows(); ++i) {
        for (index_t j = 0; j < x.cols(); ++j) {
            out(i, j) = x(i, j) * factor;
        }
    }
    return out;
}

template <class T>
matrix<T> filled(index_t rows, index_t cols, T value, index_t gap = 0) {
    matrix<T> out(rows, cols, gap);
    for (index_t i = 0; i < rows; ++i) {
        for (index_t j = 0; j < cols; ++j) {
            out(i, j) = value;
        }
    }
    return out;
}

/// Some levels with samples, and memory for them.
template <class T>
struct proto_problem {
    matrix<T> query;                              // (B, C)
    std::vector<index_t> sample;                  // (B,)
    std::vector<matrix<T>> prototypes;            // M of (K_m, C)
    std::vector<std::vector<label_t>> assignment; // M of (N,)
    std::vector<std::vector<T>> temperatures;     // M of (K_m,)
    std::vector<protonce::prototype_level<T, protonce::host>> levels;

    proto_problem(random_source& random, index_t batch, index_t num_samples, index_t cols,
                  const std::vector<index_t>& num_clusters, index_t gap = 0)
        : query(random.unit_rows<T>(batch, cols, gap)) {
        const auto order = random.permutation(num_samples);
        for (index_t i = 0; i < batch; ++i) {
            sample.push_back(order[static_cast<std::size_t>(i % num_samples)]);
        }
        for (const index_t k : num_clusters) {
            prototypes.push_back(random.unit_rows<T>(k, cols, gap));
            assignment.push_back(random.labels(num_samples, static_cast<label_t>(k)));
            temperatures.push_back(random.uniform_values<T>(k, 0.2, 0.5));
        }
        for (std::size_t m = 0; m < num_clusters.size(); ++m) {
            levels.push_back({.prototypes = std::as_const(prototypes[m]).view(),
                              .assignment = protonce::view_vector(std::as_const(assignment[m])),
                              .temperatures = protonce::view_vector(std::as_const(temperatures[m]))});
        }
    }
    proto_problem(const proto_problem&) = delete;

    label_t own(std::size_t level, index_t row) const {
        return assignment[level][static_cast<std::size_t>(sample[static_cast<std::size_t>(row)])];
    }
    label_t& own(std::size_t level, index_t row) {
        return assignment[level][static_cast<std::size_t>(sample[static_cast<std::size_t>(row)])];
    }
};

/// Views of several matrices or vectors, as the outputs take them.
template <class T>
std::vector<protonce::matrix_view<T>> views_of(std::vector<matrix<T>>& all) {
    std::vector<protonce::matrix_view<T>> out;
    for (auto& one : all) {
        out.push_back(one.view());
    }
    return out;
}
template <class T>
std::vector<protonce::vector_view<T>> views_of(std::vector<std::vector<T>>& all) {
    std::vector<protonce::vector_view<T>> out;
    for (auto& one : all) {
        out.push_back(protonce::view_vector(one));
    }
    return out;
}

} // namespace test

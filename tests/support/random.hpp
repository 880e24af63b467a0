// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/view.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

/// Defines `name`, a source of random inputs; the seed is printed with every failed assertion of the scope.
#define TEST_RANDOM(name, number)                                                                                      \
    test::random_source name(number);                                                                                  \
    INFO("random inputs of seed ", name.seed())

namespace test {

using protonce::index_t;
using protonce::label_t;

/// An owned row-major matrix. The `gap` values between the end of a row and the next row are NaN: an operation that
/// reads past the columns of a view with a stride is found out.
template <class T>
class matrix {
public:
    matrix() = default;
    matrix(index_t rows, index_t cols, index_t gap = 0)
        : rows_(rows), cols_(cols), stride_(cols + gap),
          values_(static_cast<std::size_t>(rows * (cols + gap)), std::numeric_limits<T>::quiet_NaN()) {
        for (index_t i = 0; i < rows; ++i) {
            for (index_t j = 0; j < cols; ++j) {
                (*this)(i, j) = T{};
            }
        }
    }

    index_t rows() const { return rows_; }
    index_t cols() const { return cols_; }
    index_t stride() const { return stride_; }
    T& operator()(index_t i, index_t j) { return values_[static_cast<std::size_t>(i * stride_ + j)]; }
    const T& operator()(index_t i, index_t j) const { return values_[static_cast<std::size_t>(i * stride_ + j)]; }

    protonce::matrix_view<T> view() { return {values_.data(), rows_, cols_, stride_}; }
    protonce::matrix_view<const T> view() const { return {values_.data(), rows_, cols_, stride_}; }

    /// Every stored value, gaps included.
    const std::vector<T>& storage() const { return values_; }

private:
    index_t rows_ = 0;
    index_t cols_ = 0;
    index_t stride_ = 0;
    std::vector<T> values_;
};

template <class T>
double largest_magnitude(const matrix<T>& values) {
    double out = 0;
    for (index_t i = 0; i < values.rows(); ++i) {
        for (index_t j = 0; j < values.cols(); ++j) {
            out = std::max(out, std::abs(static_cast<double>(values(i, j))));
        }
    }
    return out;
}

/// Rows around centres, and which centre each belongs to.
template <class T>
struct clustered_rows {
    matrix<T> features;         // (rows, cols)
    matrix<T> centres;          // (clusters, cols), standard normal
    std::vector<label_t> label; // (rows,), i % clusters
};

/// Random inputs that are the same with every standard library (whose distributions differ).
class random_source {
public:
    explicit random_source(std::uint64_t seed) : seed_(seed), engine_(seed) {}

    std::uint64_t seed() const { return seed_; }

    /// In [0, 1).
    double uniform() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
    double uniform(double low, double high) { return low + (high - low) * uniform(); }
    /// Standard normal (Box and Muller).
    double normal() {
        const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
        return radius * std::cos(2.0 * std::numbers::pi * uniform());
    }
    /// In [0, below).
    index_t integer(index_t below) { return static_cast<index_t>(uniform() * static_cast<double>(below)); }

    template <class T>
    std::vector<T> uniform_values(index_t size, double low = 0.0, double high = 1.0) {
        std::vector<T> out(static_cast<std::size_t>(size));
        for (auto& value : out) {
            value = static_cast<T>(uniform(low, high));
        }
        return out;
    }
    template <class T>
    std::vector<T> normal_values(index_t size) {
        std::vector<T> out(static_cast<std::size_t>(size));
        for (auto& value : out) {
            value = static_cast<T>(normal());
        }
        return out;
    }
    std::vector<label_t> labels(index_t size, label_t below) {
        std::vector<label_t> out(static_cast<std::size_t>(size));
        for (auto& value : out) {
            value = static_cast<label_t>(integer(below));
        }
        return out;
    }
    /// In [-1, below): some rows in no group.
    std::vector<label_t> labels_with_noise(index_t size, index_t below) {
        std::vector<label_t> out(static_cast<std::size_t>(size));
        for (auto& value : out) {
            value = static_cast<label_t>(integer(below + 1) - 1);
        }
        return out;
    }
    /// A permutation of 0 ... size - 1.
    std::vector<index_t> permutation(index_t size) {
        std::vector<index_t> out(static_cast<std::size_t>(size));
        for (index_t i = 0; i < size; ++i) {
            const index_t j = integer(i + 1);
            out[static_cast<std::size_t>(i)] = out[static_cast<std::size_t>(j)];
            out[static_cast<std::size_t>(j)] = i;
        }
        return out;
    }

    template <class T>
    matrix<T> uniform_matrix(index_t rows, index_t cols, double low = 0.0, double high = 1.0, index_t gap = 0) {
        return filled<T>(rows, cols, gap, [&] { return uniform(low, high); });
    }
    template <class T>
    matrix<T> normal_matrix(index_t rows, index_t cols, index_t gap = 0) {
        return filled<T>(rows, cols, gap, [&] { return normal(); });
    }
    /// Rows uniform on the unit sphere, of norm 1 up to the rounding of T.
    template <class T>
    matrix<T> unit_rows(index_t rows, index_t cols, index_t gap = 0) {
        matrix<T> out(rows, cols, gap);
        std::vector<double> row(static_cast<std::size_t>(cols));
        for (index_t i = 0; i < rows; ++i) {
            double squares = 0.0;
            for (auto& value : row) {
                value = normal();
                squares += value * value;
            }
            for (index_t j = 0; j < cols; ++j) {
                out(i, j) = static_cast<T>(row[static_cast<std::size_t>(j)] / std::sqrt(squares));
            }
        }
        return out;
    }
    /// Row i lies around centre i % clusters, normal with standard deviation `spread`.
    template <class T>
    clustered_rows<T> clustered(index_t rows, index_t cols, index_t clusters, double spread, index_t gap = 0) {
        clustered_rows<T> out{matrix<T>(rows, cols, gap), normal_matrix<T>(clusters, cols), {}};
        for (index_t i = 0; i < rows; ++i) {
            const index_t k = i % clusters;
            out.label.push_back(static_cast<label_t>(k));
            for (index_t j = 0; j < cols; ++j) {
                out.features(i, j) = static_cast<T>(static_cast<double>(out.centres(k, j)) + spread * normal());
            }
        }
        return out;
    }

private:
    template <class T, class F>
    static matrix<T> filled(index_t rows, index_t cols, index_t gap, const F& draw) {
        matrix<T> out(rows, cols, gap);
        for (index_t i = 0; i < rows; ++i) {
            for (index_t j = 0; j < cols; ++j) {
                out(i, j) = static_cast<T>(draw());
            }
        }
        return out;
    }

    std::uint64_t seed_;
    std::mt19937_64 engine_;
};

} // namespace test

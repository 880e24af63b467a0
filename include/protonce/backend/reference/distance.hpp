// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/reference/exact.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/view.hpp>

#include <limits>

namespace protonce::inline v0::reference_detail {

template <class T>
double inner_product(vector_view<const T> x, vector_view<const T> y) {
    double sum = 0;
    for (index_t j = 0; j < x.size(); ++j) {
        sum += static_cast<double>(x[j]) * static_cast<double>(y[j]);
    }
    return sum;
}

template <class T>
bool all_finite(vector_view<const T> x) {
    for (const T value : x) {
        if (!check::is_finite(value)) {
            return false;
        }
    }
    return true;
}

/// Squares of differences, never x^2 - 2 x c + c^2: that form cancels for points far from the origin. A point that
/// holds NaN or infinity is at distance NaN from every other.
template <class T>
double squared_distance(vector_view<const T> x, vector_view<const T> c) {
    double sum = 0;
    for (index_t j = 0; j < x.size(); ++j) {
        const double difference = static_cast<double>(x[j]) - static_cast<double>(c[j]);
        sum += difference * difference;
    }
    const bool overflow = !check::is_finite(sum);
    return overflow && !(all_finite(x) && all_finite(c)) ? std::numeric_limits<double>::quiet_NaN() : sum;
}

/// NaN if either is.
inline double smaller(double a, double b) {
    return b < a || b != b ? b : a;
}

/// Number of the nearest centroid in exact arithmetic, lowest among equals. A centroid at distance NaN is never nearer;
/// if there is no other, the answer is 0.
template <class T>
index_t nearest_centroid(vector_view<const T> x, matrix_view<const T> centroids) {
    // Each rounded distance d is within (1 +- error) d plus `tiny` of the exact one: one rounding for the difference,
    // doubled by squaring, one for the square, C for the sum; the factor 2 pays for the higher orders and for the
    // comparison itself. Squares may underflow.
    constexpr double unit = std::numeric_limits<double>::epsilon() / 2;
    const double error = 2 * unit * static_cast<double>(x.size() + 4);
    const double tiny = (std::numeric_limits<double>::min)() * static_cast<double>(x.size());
    index_t best = 0;
    double least = std::numeric_limits<double>::quiet_NaN();
    for (index_t k = 0; k < centroids.rows(); ++k) {
        const double distance = squared_distance(x, centroids.row(k));
        if (distance != distance) {
            continue;
        }
        const double margin = error * (distance + least) + tiny;
        const bool nearer = least != least              ? true
                            : distance < least - margin ? true
                            : distance > least + margin
                                ? false
                                : compare_distance(x, centroids.row(k), centroids.row(best)) < 0;
        if (nearer) {
            best = k;
            least = distance;
        }
    }
    return best;
}

} // namespace protonce::inline v0::reference_detail

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/exact_distance.hpp>
#include <protonce/core/view.hpp>

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
    return detail::all_finite(x.data(), x.size());
}

/// Squares of differences; NaN from and to a point that holds NaN or infinity.
template <class T>
double squared_distance(vector_view<const T> x, vector_view<const T> c) {
    return detail::squared_distance(x.data(), c.data(), x.size());
}

/// NaN if either is.
inline double smaller(double a, double b) {
    return b < a || b != b ? b : a;
}

/// Number of the nearest centroid in exact arithmetic, lowest among equals.
template <class T>
index_t nearest_centroid(vector_view<const T> x, matrix_view<const T> centroids) {
    return detail::nearest_centroid(x.data(), centroids.data(), centroids.rows(), centroids.cols(), centroids.stride());
}

} // namespace protonce::inline v0::reference_detail

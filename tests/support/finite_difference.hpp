// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/view.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace test {

/// A derivative and how far off it may be.
struct derivative {
    double value = 0.0;
    double error = 0.0;
};

/// d f() / d x by central differences, x being a variable that f reads.
///
/// D(h) = (f(x + h) - f(x - h)) / 2h is off by a h^2 + b h^4 + ..., so R(h) = (4 D(h) - D(2h)) / 3 is off by O(h^4),
/// and R(2h) by about 16 times that: |R(2h) - R(h)| is some 15 times the truncation error of R(h). To it comes the
/// rounding of f: a relative error of `roundings` * epsilon in each value gives at most (4 + 1/2) / 3 / h < 2 / h times
/// that in R(h).
template <class F>
derivative central_difference(const F& f, double& x, double step = 1e-3, double roundings = 64.0) {
    const double centre = x;
    const double h = step * std::max(1.0, std::abs(centre));
    double largest = 0.0;
    const auto slope = [&](double width) {
        x = centre + width;
        const double above = x;
        const double f_above = f();
        x = centre - width;
        const double f_below = f();
        const double rise = (f_above - f_below) / (above - x);
        x = centre;
        largest = std::max({largest, std::abs(f_above), std::abs(f_below)});
        return rise;
    };
    const double d1 = slope(h);
    const double d2 = slope(2 * h);
    const double d4 = slope(4 * h);
    const double fine = (4 * d1 - d2) / 3;
    const double coarse = (4 * d2 - d4) / 3;
    return {fine, std::abs(coarse - fine) + 2 * roundings * std::numeric_limits<double>::epsilon() * largest / h};
}

/// The largest |gradient - derivative| / error over all values of x, both as double matrices of one shape: at most 1
/// when `gradient` is the gradient of f. NaN anywhere gives infinity.
template <class F>
double gradient_mismatch(const F& f, protonce::matrix_view<double> x, protonce::matrix_view<const double> gradient,
                         double step = 1e-3) {
    if (x.rows() != gradient.rows() || x.cols() != gradient.cols() || x.rows() * x.cols() == 0) {
        return std::numeric_limits<double>::infinity();
    }
    double worst = 0.0;
    for (protonce::index_t i = 0; i < x.rows(); ++i) {
        for (protonce::index_t j = 0; j < x.cols(); ++j) {
            const derivative expected = central_difference(f, x(i, j), step);
            const double ratio = std::abs(gradient(i, j) - expected.value) / expected.error;
            if (!(ratio <= std::numeric_limits<double>::max())) {
                return std::numeric_limits<double>::infinity();
            }
            worst = std::max(worst, ratio);
        }
    }
    return worst;
}

/// The same for a vector.
template <class F>
double gradient_mismatch(const F& f, protonce::vector_view<double> x, protonce::vector_view<const double> gradient,
                         double step = 1e-3) {
    const protonce::matrix_view<const double> row{gradient.data(), gradient.empty() ? 0 : 1, gradient.size()};
    return gradient_mismatch(f, protonce::matrix_view<double>{x.data(), x.empty() ? 0 : 1, x.size()}, row, step);
}

} // namespace test

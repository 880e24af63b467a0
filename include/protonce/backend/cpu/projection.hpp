// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels_nearest.hpp>
#include <protonce/backend/cpu/tiles.hpp>
#include <protonce/core/parallel.hpp>
#include <protonce/core/workspace.hpp>

#include <cmath>
#include <limits>

/// Leading principal coordinates of rows, for bounds of inner products: with x' = (x_1 .. x_p, ||rest of x||) in any orthonormal
/// basis, x.c <= x'.c' by Cauchy and Schwarz, whatever p is and whichever directions the basis has.
namespace protonce::inline v0::detail::cpu {

/// Half of the relative spacing of T times n, a little more than the rounding of a chain of n operations.
template <class T>
constexpr double chain_rounding(index_t n) {
    return 0.51 * static_cast<double>(n) * static_cast<double>(std::numeric_limits<T>::epsilon());
}

/// Makes the columns of q (C x b, as b contiguous vectors) orthonormal, in order; a column that depends on those before it becomes 0.
inline void orthonormalize(matrix_view<double> q) {
    for (index_t i = 0; i < q.rows(); ++i) {
        auto v = q.row(i);
        const auto norm2 = [&] {
            double sum = 0;
            for (const double x : v) {
                sum += x * x;
            }
            return sum;
        };
        const double before = norm2();
        for (int pass = 0; pass < 2; ++pass) {
            for (index_t j = 0; j < i; ++j) {
                const auto u = q.row(j);
                double along = 0;
                for (index_t c = 0; c < v.size(); ++c) {
                    along += u[c] * v[c];
                }
                for (index_t c = 0; c < v.size(); ++c) {
                    v[c] -= along * u[c];
                }
            }
        }
        const double after = norm2();
        const double factor = after > 1e-20 * before ? 1.0 / std::sqrt(after) : 0.0;
        for (double& x : v) {
            x *= factor;
        }
    }
}

/// Directions of largest variance of centred rows, by orthogonal iteration on a sample: approximate, and good for bounds all the
/// same. axes: (C, b) with b a multiple of panel_width; columns in descending order of variance.
/// Cost: 3 * 4 * S * C * b operations for S sampled rows.  Reproducible: bitwise, for any number of threads.
template <class T, class Threads>
void principal_axes(workspace<host>& scratch, const thread_team<Threads>& team, const kernel_table<T>& kernel,
                    matrix_view<const T> sample, matrix_view<T> axes) {
    constexpr int W = panel_width<T>;
    const index_t S = sample.rows();
    const index_t C = sample.cols();
    const index_t b = axes.cols();
    workspace<host>::scope scope(scratch);
    auto transposed = scope.matrix<T>(C, S);
    auto image = scope.matrix<T>(round_up(S, most_tile_rows), b);
    auto next = scope.matrix<T>(round_up(C, most_tile_rows), b);
    auto basis = scope.matrix<double>(b, C);
    for (index_t i = 0; i < S; ++i) {
        for (index_t c = 0; c < C; ++c) {
            transposed(c, i) = sample(i, c);
        }
    }
    const auto multiply = [&](matrix_view<const T> a, matrix_view<const T> right, matrix_view<T> out) {
        team.for_each(ceil_div(a.rows(), kernel.rows), [&](index_t task) {
            const tile_rows<T> tile(a, task * kernel.rows, kernel.rows);
            for (index_t j = 0; j < b; j += W) {
                kernel.tile_product(tile.at, right.data() + j, b, a.cols(), out.row(task * kernel.rows).data() + j, b,
                                    false);
            }
        });
    };
    for (index_t i = 0; i < b; ++i) {
        for (index_t c = 0; c < C; ++c) {
            basis(i, c) = static_cast<double>(sample(i * S / b, c));
        }
    }
    for (int pass = 0; pass < 4; ++pass) {
        orthonormalize(basis);
        for (index_t c = 0; c < C; ++c) {
            for (index_t i = 0; i < b; ++i) {
                axes(c, i) = static_cast<T>(basis(i, c));
            }
        }
        if (pass < 3) {
            multiply(sample, axes, image);
            multiply(transposed, image.slice(0, S), next);
            for (index_t i = 0; i < b; ++i) {
                for (index_t c = 0; c < C; ++c) {
                    basis(i, c) = static_cast<double>(next(c, i));
                }
            }
        }
    }
}

} // namespace protonce::inline v0::detail::cpu

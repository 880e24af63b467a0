// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/view.hpp>

#include <cmath>
#include <limits>

namespace protonce::inline v0::detail {

/// Householder reflections turn a symmetric matrix into a tridiagonal one with the same eigenvalues.
///
/// Step k clears row and column k beyond the diagonal's neighbour: with H = I - beta v v^T, p = beta A v and w = p -
/// (beta v.p / 2) v, H A H = A - v w^T - w v^T on what is left.
///
/// \param a             (n, n)  symmetric; destroyed
/// \param diagonal      (n,)    overwritten
/// \param off_diagonal  (n,)    overwritten; element k couples k and k + 1, the last is 0
/// \param work          (n,)
inline void tridiagonalize(matrix_view<double> a, vector_view<double> diagonal, vector_view<double> off_diagonal,
                           vector_view<double> work) {
    const index_t n = a.rows();
    for (index_t k = 0; k + 1 < n; ++k) {
        const auto v = a.row(k); // v_j for j > k, in place of the row that is cleared
        double squares = 0.0;
        for (index_t j = k + 2; j < n; ++j) {
            squares += v[j] * v[j];
        }
        diagonal[k] = v[k];
        off_diagonal[k] = v[k + 1];
        if (squares == 0.0) {
            continue;
        }
        const double norm = std::sqrt(v[k + 1] * v[k + 1] + squares);
        off_diagonal[k] = v[k + 1] > 0.0 ? -norm : norm;
        v[k + 1] -= off_diagonal[k]; // the sign is such that nothing cancels
        const double beta = 2.0 / (v[k + 1] * v[k + 1] + squares);

        double vp = 0.0;
        for (index_t i = k + 1; i < n; ++i) {
            double p = 0.0;
            for (index_t j = k + 1; j < n; ++j) {
                p += a(i, j) * v[j];
            }
            work[i] = beta * p;
            vp += work[i] * v[i];
        }
        for (index_t i = k + 1; i < n; ++i) {
            work[i] -= beta * vp / 2.0 * v[i];
        }
        for (index_t i = k + 1; i < n; ++i) {
            for (index_t j = k + 1; j < n; ++j) {
                a(i, j) -= v[i] * work[j] + work[i] * v[j];
            }
        }
    }
    diagonal[n - 1] = a(n - 1, n - 1);
    off_diagonal[n - 1] = 0.0;
}

/// How many eigenvalues of the tridiagonal matrix lie below x: the negative pivots of T - x I (Sylvester's law of
/// inertia).
inline index_t eigenvalues_below(vector_view<const double> diagonal, vector_view<const double> off_diagonal, double x,
                                 double least_pivot) {
    index_t count = 0;
    double pivot = 1.0;
    for (index_t i = 0; i < diagonal.size(); ++i) {
        const double coupling = i > 0 ? off_diagonal[i - 1] : 0.0;
        pivot = diagonal[i] - x - coupling * coupling / pivot;
        // A pivot of 0 stands for any tiny one: it moves an eigenvalue by no more than itself.
        if (std::abs(pivot) < least_pivot) {
            pivot = -least_pivot;
        }
        count += pivot < 0.0 ? 1 : 0;
    }
    return count;
}

/// All eigenvalues of a symmetric matrix, ascending, each off by some rounding errors of the largest. Bisection on the
/// tridiagonal form: there is no iteration that might not converge.
///
/// \param a       (n, n)  symmetric; destroyed
/// \param out     (n,)    overwritten
/// \param work    (3 n,)
inline void symmetric_eigenvalues(matrix_view<double> a, vector_view<double> out, vector_view<double> work) {
    const index_t n = a.rows();
    const auto diagonal = work.slice(0, n);
    const auto off_diagonal = work.slice(n, n);
    tridiagonalize(a, diagonal, off_diagonal, work.slice(2 * n, n));

    // Gershgorin: every eigenvalue lies within the sum of its row.
    double bound = 0.0;
    for (index_t i = 0; i < n; ++i) {
        const double before = i > 0 ? std::abs(off_diagonal[i - 1]) : 0.0;
        const double row = before + std::abs(diagonal[i]) + std::abs(off_diagonal[i]);
        bound = row > bound ? row : bound;
    }
    constexpr double epsilon = std::numeric_limits<double>::epsilon();
    const double least_pivot = bound * epsilon * epsilon > 0.0 ? bound * epsilon * epsilon : 1e-300;
    double start = -bound;
    for (index_t k = 0; k < n; ++k) {
        // The k-th lies above what was found for the one before.
        double low = start;
        double high = bound;
        while (high - low > epsilon * bound) {
            const double middle = low + (high - low) / 2.0;
            if (!(middle > low && middle < high)) {
                break; // numbers so small that epsilon * bound is 0
            }
            if (eigenvalues_below(diagonal, off_diagonal, middle, least_pivot) > k) {
                high = middle;
            } else {
                low = middle;
            }
        }
        out[k] = low + (high - low) / 2.0;
        start = low;
    }
}

} // namespace protonce::inline v0::detail

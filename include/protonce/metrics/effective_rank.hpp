// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/on_host.hpp>
#include <protonce/metrics/symmetric_eigenvalues.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace protonce::inline v0 {

struct effective_rank_options {
    bool centred = false; // subtract the mean of the rows first
};

namespace detail {

/// sum += the rows of x, each less `origin`.
template <real T>
void add_row_sum(matrix_view<const T> x, vector_view<const double> origin, vector_view<double> sum) {
    for (index_t i = 0; i < x.rows(); ++i) {
        for (index_t j = 0; j < x.cols(); ++j) {
            sum[j] += static_cast<double>(x(i, j)) - origin[j];
        }
    }
}

/// gram += (x - mean)^T (x - mean), on and above the diagonal. Four rows at a time: each element of `gram` is read and
/// written once for four products.
template <real T>
void add_gram(matrix_view<const T> x, vector_view<const double> mean, matrix_view<double> rows,
              matrix_view<double> gram) {
    const index_t cols = x.cols();
    for (index_t begin = 0; begin < x.rows(); begin += 4) {
        for (index_t r = 0; r < 4; ++r) {
            for (index_t j = 0; j < cols; ++j) {
                rows(r, j) = begin + r < x.rows() ? static_cast<double>(x(begin + r, j)) - mean[j] : 0.0;
            }
        }
        const double* r0 = rows.row(0).data();
        const double* r1 = rows.row(1).data();
        const double* r2 = rows.row(2).data();
        const double* r3 = rows.row(3).data();
        for (index_t i = 0; i < cols; ++i) {
            double* out = gram.row(i).data();
            const double a0 = r0[i];
            const double a1 = r1[i];
            const double a2 = r2[i];
            const double a3 = r3[i];
            for (index_t j = i; j < cols; ++j) {
                out[j] += a0 * r0[j] + a1 * r1[j] + a2 * r2[j] + a3 * r3[j];
            }
        }
    }
}

/// exp of the entropy of p_k = s_k / sum s, s the roots of the eigenvalues; 0 if there is none above rounding.
/// \param terms  how many products were added up, at most, for an element of the matrix
inline double exp_entropy_of_roots(vector_view<const double> eigenvalue, index_t terms) {
    const double largest = eigenvalue[eigenvalue.size() - 1];
    // An eigenvalue below this may be rounding of the others, whose root would be some 1e-7 of the largest where 0 is
    // meant.
    const double least = static_cast<double>(terms) * std::numeric_limits<double>::epsilon() * largest;
    double sum = 0.0;
    for (const double value : eigenvalue) {
        sum += value > least ? std::sqrt(value) : 0.0;
    }
    if (sum == 0.0) {
        return 0.0;
    }
    double entropy = 0.0;
    for (const double value : eigenvalue) {
        if (value > least) {
            const double p = std::sqrt(value) / sum;
            entropy -= p * std::log(p);
        }
    }
    return std::exp(entropy);
}

} // namespace detail

/// How many dimensions the features use, between 1 and min(N, C): a drop shows a collapsing encoder (Roy and Vetterli
/// 2007).
///
///     effective_rank = exp( -sum_k p_k ln p_k ),   p_k = s_k / sum_l s_l,   s the singular values of the (N, C) matrix
///
/// Of the matrix as it is, as in the source; `centred` takes the mean of the rows off first, so that a common offset
/// does not count as a dimension. A matrix of zeros (centred: of equal rows) has effective rank 0. Singular values are
/// roots of the eigenvalues of the C x C matrix of products, in double: those below 1.5e-8 sqrt(max(N, C)) of the
/// largest count as 0.
///
/// Without the check of finite features NaN and infinity give NaN, and so do values beyond 1e150.
///
/// \param features         (N, C)
/// \throws shape_error     no rows or columns
/// \throws argument_error  NaN or infinity in features
/// Synchronises: yes; computes on the host, on one thread.  Cost: O(N C^2 + C^3).  Scratch: C^2 + O(C) values.
/// Reproducible: bitwise.
template <backend B>
double effective_rank(B& be, matrix_of<B, const value_of<B>> features, const effective_rank_options& options = {}) {
    using T = value_of<B>;
    check::matrix("effective_rank", "features", features);
    check::finite_rows(be, "effective_rank", "features", features);

    const index_t cols = features.cols();
    workspace<host>::scope scratch(be.host_scratch());
    const auto for_blocks = [&](const auto& body) {
        constexpr index_t block = 1024;
        for (index_t begin = 0; begin < features.rows(); begin += block) {
            workspace<host>::scope block_scratch(be.host_scratch());
            const index_t count = (std::min<index_t>)(block, features.rows() - begin);
            body(detail::rows_on_host<T, B>(be, block_scratch, features.slice(begin, count)));
        }
    };
    const auto mean = scratch.template vector<double>(cols);
    std::fill(mean.begin(), mean.end(), 0.0);
    if (options.centred) {
        // Sums of differences from the first row: exactly 0 where all rows are equal.
        const auto origin = scratch.template vector<double>(cols);
        const auto first = detail::rows_on_host<T, B>(be, scratch, features.slice(0, 1));
        std::copy(first.row(0).begin(), first.row(0).end(), origin.begin());
        for_blocks([&](matrix_view<const T> rows) { detail::add_row_sum<T>(rows, origin, mean); });
        for (index_t j = 0; j < cols; ++j) {
            mean[j] = origin[j] + mean[j] / static_cast<double>(features.rows());
        }
    }
    const auto gram = scratch.template matrix<double>(cols, cols);
    std::fill(gram.data(), gram.data() + cols * cols, 0.0);
    const auto four = scratch.template matrix<double>(4, cols);
    for_blocks([&](matrix_view<const T> rows) { detail::add_gram<T>(rows, mean, four, gram); });
    double trace = 0.0;
    for (index_t i = 0; i < cols; ++i) {
        trace += gram(i, i);
        for (index_t j = 0; j < i; ++j) {
            gram(i, j) = gram(j, i);
        }
    }
    if (!check::is_finite(trace)) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    const auto eigenvalue = scratch.template vector<double>(cols);
    detail::symmetric_eigenvalues(gram, eigenvalue, scratch.template vector<double>(3 * cols));
    return detail::exp_entropy_of_roots(eigenvalue, (std::max<index_t>)(features.rows(), cols));
}

} // namespace protonce::inline v0

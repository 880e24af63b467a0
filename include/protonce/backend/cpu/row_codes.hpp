// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/centred_rows.hpp>
#include <protonce/backend/cpu/kernels_nearest.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace protonce::inline v0::detail::cpu {

/// Norms of centred rows, and the rows as whole numbers of 8 bits, x' = scale * code, where the processor multiplies these.
/// By Cauchy and Schwarz, x.c and x'.c' differ by at most ||x - x'|| ||c|| + ||x'|| ||c - c'||.
template <class T, class Threads>
class row_codes {
    static constexpr int W = panel_width<T>;

public:
    /// `budget`: most bytes to take, for norms and codes.
    row_codes(workspace<host>& memory, workspace<host>& scratch, const thread_team<Threads>& team,
              const nearest_kernels<T>& nearest, const centred_rows<T, Threads>& rows, index_t budget)
        : scope_(memory), nearest_(nearest), cols_(rows.cols()),
          norm_(scope_.template vector<T>(rows.rows() + more_rows)) {
        constexpr double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
        const index_t N = rows.rows();
        is_coded_ = nearest.scan_codes != nullptr && (N + more_rows) * code_bytes() <= budget;
        if (is_coded_) {
            code_ = scope_.template matrix<std::int8_t>(N + more_rows, stride());
            scale_ = scope_.template vector<float>(N);
            error_ = scope_.template vector<float>(N + more_rows);
            sum_ = scope_.template vector<std::int32_t>(N);
            std::fill(code_.row(N).data(), code_.row(N).data() + more_rows * stride(), std::int8_t{0});
            std::fill(error_.begin() + N, error_.end(), 0.0F);
        }
        std::fill(norm_.begin() + N, norm_.end(), T(0));
        workspace<host>::scope scope(scratch);
        const int workers = team.workers();
        auto row = scope.matrix<T>(workers, rows.block_stride());
        team.for_each(ceil_div(N, task_rows), workers, [&](index_t task, int w) {
            T* x = row.row(w).data();
            for (index_t i = task * task_rows; i < (std::min)(N, (task + 1) * task_rows); ++i) {
                rows.get(i, x);
                norm_[i] = static_cast<T>(std::sqrt(nearest_.squared_norm(x, cols_)) * (1 + 2 * eps));
                if (is_coded_) {
                    std::fill(x, x + (check::is_finite(norm_[i]) ? 0 : cols_), T(0)); // a row that is no number
                    const code_facts facts = encode(x, 0, code_.row(i));
                    scale_[i] = facts.scale;
                    error_[i] = facts.error;
                    sum_[i] = facts.sum;
                }
            }
        });
    }
    row_codes(const row_codes&) = delete;
    row_codes& operator=(const row_codes&) = delete;

    /// Rounded up; not a number where the row is none.
    T norm(index_t i) const { return norm_[i]; }
    /// ||x_i||^2, rounded down.
    double low_norm2(index_t i) const {
        const double low = static_cast<double>(norm_[i]) * low_factor;
        return low * low;
    }
    bool is_coded() const { return is_coded_; }
    index_t bytes() const { return norm_.size() * (static_cast<index_t>(sizeof(T)) + (is_coded_ ? code_bytes() : 0)); }

    /// Vectors to be multiplied with the rows.
    struct packed {
        matrix_view<std::uint8_t> code{};   // by vector, 128 added
        vector_view<std::uint8_t> panels{}; // by place
        float scale = 0;
        double error = 0;        // largest ||c - c'||
        double largest_norm = 0; // largest ||c||
    };
    /// order: the vector at each place, -1 for none.
    packed pack(workspace<host>::scope& scope, const thread_team<Threads>& team, matrix_view<const T> vectors,
                vector_view<const std::int32_t> order, double largest_norm) const {
        const index_t K = vectors.rows();
        packed out{.code = scope.matrix<std::uint8_t>(K, stride()),
                   .panels = scope.vector<std::uint8_t>(order.size() * depth() * 4),
                   .scale = common_scale(vectors),
                   .largest_norm = largest_norm};
        auto error = scope.vector<double>(K);
        team.for_each(ceil_div(K, 64), [&](index_t task) {
            for (index_t k = task * 64; k < (std::min)(K, (task + 1) * 64); ++k) {
                auto code = out.code.row(k);
                const vector_view<std::int8_t> as_signed(reinterpret_cast<std::int8_t*>(code.data()), code.size());
                error[k] = static_cast<double>(encode(vectors.row(k).data(), out.scale, as_signed).error);
                for (std::uint8_t& c : code) {
                    c = static_cast<std::uint8_t>(c + 128);
                }
            }
        });
        for (const double e : error) {
            out.error = (std::max)(out.error, e);
        }
        team.for_each(order.size() / W, [&](index_t panel) {
            std::uint8_t* to = out.panels.data() + panel * W * depth() * 4;
            for (index_t q = 0; q < depth(); ++q) {
                for (int w = 0; w < W; ++w, to += 4) {
                    const std::int32_t k = order[panel * W + w];
                    if (k < 0) {
                        std::fill(to, to + 4, std::uint8_t{128});
                    } else {
                        __builtin_memcpy(to, out.code.row(k).data() + q * 4, 4);
                    }
                }
            }
        });
        return out;
    }

    /// What a product of codes may be off by for row i, but for rounding.
    double slack(index_t i, const packed& with) const {
        const double error = static_cast<double>(error_[i]);
        return error * with.largest_norm + (static_cast<double>(norm_[i]) + error) * with.error;
    }
    /// Product of row i with vector k, by codes.
    double product(index_t i, index_t k, const packed& with) const {
        const std::int32_t whole =
            nearest_.code_dot(code_.row(i).data(), with.code.row(k).data(), code_.cols()) - 128 * sum_[i];
        return static_cast<double>(scale_[i]) * static_cast<double>(with.scale) * static_cast<double>(whole);
    }

    /// Rows `first` and following, as scan_codes() reads them; factor and offset are scratch for `count` rows.
    void prepare(panel_scan<T>& job, index_t first, index_t count, const packed& with, T* factor,
                 std::int32_t* offset) const {
        factors(first, count, with, factor, offset);
        job.factor = factor;
        job.offset = offset;
        job.codes = code_.row(first).data();
        job.code_stride = code_.stride();
        job.depth = depth();
    }
    /// The same for rows_reaching(): thresholds for distances below `least`, which belong to these rows.
    void prepare(code_search& job, threshold_terms terms, index_t first, const packed& with, const double* least,
                 float* factor, std::int32_t* offset, T* threshold) const {
        factors(first, job.count, with, factor, offset);
        job.factor = factor;
        job.offset = offset;
        job.codes = code_.row(first).data();
        job.stride = code_.stride();
        job.threshold = threshold;
        terms.low = low_factor;
        terms.largest_norm = with.largest_norm;
        terms.largest_error = with.error;
        nearest_.thresholds(terms, norm_.data() + first, error_.data() + first, least, job.count, threshold);
    }

    /// Scale and error of some row as it would be coded with its own scale, or with a given one.
    code_facts encode(const T* x, float scale, vector_view<std::int8_t> code) const {
        if constexpr (sizeof(T) == 4) {
            std::fill(code.begin() + cols_, code.end(), std::int8_t{0});
            return nearest_.encode(x, cols_, scale, code.data());
        } else {
            return {};
        }
    }
    /// With which the largest value of all is coded as 127.
    static float common_scale(matrix_view<const T> vectors) {
        float most = 0;
        for (index_t k = 0; k < vectors.rows(); ++k) {
            for (const T v : vectors.row(k)) {
                most = (std::max)(most, std::abs(static_cast<float>(v)));
            }
        }
        return (std::max)(most / 127, (std::numeric_limits<float>::min)());
    }
    /// Codes of one row, in whole cache lines; groups of four that are multiplied.
    index_t stride() const { return round_up(cols_, 64); }
    index_t depth() const { return ceil_div(cols_, 4); }

private:
    // What kernels may read past the last row.
    static constexpr index_t more_rows = most_tile_rows;
    // norm_ times it is no more than the norm.
    static constexpr double low_factor = 1 - 6 * static_cast<double>(std::numeric_limits<T>::epsilon());

    void factors(index_t first, index_t count, const packed& with, T* factor, std::int32_t* offset) const {
        for (index_t r = 0; r < count; ++r) {
            factor[r] = static_cast<T>(scale_[first + r] * with.scale);
            offset[r] = -128 * sum_[first + r];
        }
    }
    index_t code_bytes() const { return stride() + static_cast<index_t>(sizeof(code_facts)); }

    typename workspace<host>::scope scope_;
    const nearest_kernels<T>& nearest_;
    index_t cols_;
    bool is_coded_ = false;
    vector_view<T> norm_;
    matrix_view<std::int8_t> code_{};
    vector_view<float> scale_{}, error_{};
    vector_view<std::int32_t> sum_{};
};

} // namespace protonce::inline v0::detail::cpu

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels_rows.hpp>
#include <protonce/backend/cpu/tiles.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/parallel.hpp>
#include <protonce/core/workspace.hpp>

#include <atomic>
#include <cmath>
#include <limits>

namespace protonce::inline v0::detail::cpu {

/// Rows less their mean, times a power of two, so that x.c - ||c||^2 / 2 neither cancels on shifted data nor overflows on large ones.
/// Values are rounded once, to T. No copy is kept: whoever needs a row computes it, the same bits each time.
template <class T, class Threads>
class centred_rows {
public:
    centred_rows(workspace<host>& scratch, workspace<host>::scope& scope, const thread_team<Threads>& team,
                 const row_kernels<T>& kernel, matrix_view<const T> features, bool centre)
        : features_(features), mean_(scope.vector<double>(features.cols())), kernel_(kernel) {
        choose_mean_and_scale(scratch, team, centre);
        // A rounded mean mostly has no more digits than T: then the difference needs no wider type.
        narrow_mean_ = scope.vector<T>(features.cols());
        is_narrow_ = true;
        for (index_t j = 0; j < features.cols(); ++j) {
            narrow_mean_[j] = static_cast<T>(mean_[j]);
            is_narrow_ = is_narrow_ && static_cast<double>(narrow_mean_[j]) == mean_[j];
        }
    }

    index_t rows() const { return features_.rows(); }
    index_t cols() const { return features_.cols(); }
    matrix_view<const T> features() const { return features_; }
    T scale() const { return scale_; }

    void get(index_t i, T* to) const { centre(features_.row(i).data(), to); }
    /// A centroid like the rows.
    void centre(const T* from, T* to) const {
        if (is_narrow_) {
            kernel_.centre_row_narrow(from, narrow_mean_.data(), scale_, features_.cols(), to);
            return;
        }
        kernel_.centre_row(from, mean_.data(), static_cast<double>(scale_), features_.cols(), to);
    }

    /// Are sums of any of the rows' values exact in double, so that no order of summation and no subtraction shows? True for whole
    /// numbers, pixels and the like. Looks at the values once, at the first call.
    bool has_exact_sums(const thread_team<Threads>& team) {
        if (exact_ < 0) {
            // 1.5 * 2^e has the spacing that every sum below 2^e is a multiple of, if the values are.
            int exponent = 0;
            std::frexp(largest_ * static_cast<double>(rows()), &exponent);
            const double top = std::ldexp(1.5, exponent);
            std::atomic<bool> all{check::is_finite(top)};
            team.for_each(ceil_div(rows(), task_rows), [&](index_t task) {
                const index_t last = (std::min)(rows(), (task + 1) * task_rows);
                for (index_t i = task * task_rows; i < last && all.load(std::memory_order_relaxed); ++i) {
                    if (!kernel_.on_grid(features_.row(i).data(), cols(), top)) {
                        all.store(false, std::memory_order_relaxed);
                    }
                }
            });
            exact_ = all ? 1 : 0;
        }
        return exact_ == 1;
    }

    /// Rows of one task, so that their centred values fit into half of a 1 MiB second-level cache; a function of the columns alone.
    index_t block_rows() const {
        return std::clamp<index_t>((index_t{1} << 19) / (cols() * static_cast<index_t>(sizeof(T))) / 48 * 48, 48, 480);
    }
    /// Distance of the rows of a block.
    index_t block_stride() const { return padded_stride<T>(cols()); }

private:
    // Scales that are normal numbers, and whose squares are normal in double.
    static constexpr int most_exponent = sizeof(T) == 4 ? 120 : 500;
    // Digits of the mean that are kept, counted from the largest centred value.
    static constexpr int mean_bits = 8;

    /// One pass over the rows: the mean of each column in double (sums of fixed blocks of rows, added in block order), or 0
    /// without `centre`; and the power of two that brings the largest centred value into [1/2, 1).
    void choose_mean_and_scale(workspace<host>& scratch, const thread_team<Threads>& team, bool centre) {
        const index_t C = features_.cols();
        workspace<host>::scope scope(scratch);
        const index_t count = ceil_div(features_.rows(), task_rows);
        auto part = scope.matrix<double>(count, C);
        auto least = scope.matrix<T>(count, C);
        auto most = scope.matrix<T>(count, C);
        team.for_each(count, [&](index_t task) {
            auto sum = part.row(task);
            std::fill(sum.begin(), sum.end(), 0.0);
            std::fill(least.row(task).begin(), least.row(task).end(), (std::numeric_limits<T>::max)());
            std::fill(most.row(task).begin(), most.row(task).end(), std::numeric_limits<T>::lowest());
            const index_t last = (std::min)(features_.rows(), (task + 1) * task_rows);
            for (index_t i = task * task_rows; i < last; ++i) {
                kernel_.add_to_range(features_.row(i).data(), C, sum.data(), least.row(task).data(),
                                     most.row(task).data());
            }
        });
        std::fill(mean_.begin(), mean_.end(), 0.0);
        for (index_t task = 0; task < count && centre; ++task) {
            for (index_t j = 0; j < C; ++j) {
                mean_[j] += part(task, j);
            }
        }
        for (auto& m : mean_) {
            m /= static_cast<double>(features_.rows());
            // NaN or infinity in one row (where nobody checks) must not reach the labels of the others.
            m = check::is_finite(m) ? m : 0.0;
        }
        double top = 0;
        for (index_t task = 0; task < count; ++task) {
            for (index_t j = 0; j < C; ++j) {
                largest_ =
                    (std::max)({largest_, static_cast<double>(most(task, j)), -static_cast<double>(least(task, j))});
                top = (std::max)({top, static_cast<double>(most(task, j)) - mean_[j],
                                  mean_[j] - static_cast<double>(least(task, j))});
            }
        }
        if (!check::is_positive(top)) {
            return;
        }
        int exponent = 0;
        std::frexp(top, &exponent);
        scale_ = static_cast<T>(std::ldexp(1.0, std::clamp(-exponent, -most_exponent, most_exponent)));
        coarsen_mean(exponent - mean_bits);
    }

    /// Rounds the mean to multiples of 2^exponent, at most 2^-8 of the largest centred value away. That is as good
    /// against cancellation, and data on a grid (whole numbers, pixels) stay on one: their centred values, and the
    /// products of rows with rows, are exact, so that equal distances compare as equal and the tie goes to the lowest
    /// number.
    void coarsen_mean(int exponent) {
        for (auto& m : mean_) {
            const double steps = std::ldexp(m, -exponent);
            // From 2^52 on a double has no finer digits than the step.
            if (std::abs(steps) < 0x1p52) {
                m = std::ldexp(std::nearbyint(steps), exponent);
            }
        }
    }

    matrix_view<const T> features_;
    vector_view<double> mean_;
    vector_view<T> narrow_mean_{};
    bool is_narrow_ = false;
    T scale_ = T(1);
    double largest_ = 0; // magnitude of a value as given
    int exact_ = -1;     // not known yet, no, yes
    const row_kernels<T>& kernel_;
};

} // namespace protonce::inline v0::detail::cpu

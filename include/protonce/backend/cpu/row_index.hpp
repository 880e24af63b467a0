// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels_rows.hpp>
#include <protonce/backend/cpu/pruned_search.hpp>
#include <protonce/backend/cpu/tiles.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/parallel.hpp>
#include <protonce/core/workspace.hpp>

#include <cmath>
#include <limits>

namespace protonce::inline v0::detail::cpu {

/// Rows prepared for many assignments: a copy that is centred and scaled by a power of two, so that x.c - ||c||^2 / 2
/// neither cancels on shifted data nor overflows on large ones. Lives in scratch memory until destroyed. Centring
/// rounds each value once, to T.
template <class T, class Threads>
class row_index {
public:
    row_index(workspace<host>& scratch, const thread_team<Threads>& team, const kernel_table<T>& kernel,
              const row_kernels<T>& row_kernel, const nearest_kernels<T>& nearest_kernel, workspace<host>& memory,
              matrix_view<const T> features, bool centre, bool prune)
        : scope_(scratch), features_(features), mean_(scope_.template vector<double>(features.cols())),
          rows_(scope_.template matrix<T>(features.rows(), features.cols())), scratch_(scratch), team_(team),
          kernel_(kernel), row_kernel_(row_kernel),
          search_(memory, scratch, team, kernel, nearest_kernel, index_t{1} << 29), prune_(prune) {
        choose_mean_and_scale(centre);
        team_.for_each(ceil_div(features.rows(), task_rows), [&](index_t task) {
            const index_t first = task * task_rows;
            const index_t last = (std::min)(features_.rows(), first + task_rows);
            for (index_t i = first; i < last; ++i) {
                prepare(features_.row(i).data(), rows_.row(i).data());
            }
        });
    }
    row_index(const row_index&) = delete;
    row_index& operator=(const row_index&) = delete;

    /// For each row the nearest centroid, the lowest among equals, by one multiply-add chain per pair over the prepared
    /// values. squared_distance (may be empty) is computed afresh in double from the values as given.
    void nearest(matrix_view<const T> centroids, vector_view<label_t> assignment,
                 vector_view<double> squared_distance) {
        constexpr int W = panel_width<T>;
        const index_t C = features_.cols();
        const index_t panels = ceil_div(centroids.rows(), W);
        typename workspace<host>::scope scope(scratch_);
        auto prepared = scope.template matrix<T>(centroids.rows(), C);
        auto half_norm = scope.template vector<T>(panels * W);
        prepare_centroids(centroids, prepared, half_norm);
        if (prune_ && search_.assign(rows_, prepared, half_norm, assignment)) {
            distances_to_own(centroids, assignment, squared_distance);
            return;
        }
        auto packed = scope.template vector<T>(panels * C * W);
        const int workers = team_.workers();
        const index_t padded_rows = round_up(task_rows, most_tile_rows) + most_tile_rows;
        auto best = scope.template matrix<T>(workers, padded_rows * W);
        auto where = scope.template matrix<lane_int<T>>(workers, padded_rows * W);
        pack_prepared(prepared, packed);
        // A block of panels stays in half of a 512 KiB second-level cache while the rows of the task pass by.
        const index_t block = (std::max<index_t>)(1, (index_t{1} << 18) / (C * W * static_cast<index_t>(sizeof(T))));
        team_.for_each(ceil_div(features_.rows(), task_rows), workers, [&](index_t task, int worker) {
            const index_t first = task * task_rows;
            const index_t last = (std::min)(features_.rows(), first + task_rows);
            T* top = best.row(worker).data();
            lane_int<T>* at = where.row(worker).data();
            std::fill(top, top + padded_rows * W, std::numeric_limits<T>::lowest());
            std::fill(at, at + padded_rows * W, lane_int<T>{0});
            for (index_t panel = 0; panel < panels; panel += block) {
                for (index_t i = first; i < last; i += kernel_.rows) {
                    const tile_rows<T> tile(rows_, i, kernel_.rows);
                    kernel_.nearest_in_panels(tile.at, packed.data(), half_norm.data(), C, panel,
                                              (std::min)(panels, panel + block), top + (i - first) * W,
                                              at + (i - first) * W);
                }
            }
            for (index_t i = first; i < last; ++i) {
                assignment[i] = best_lane(top + (i - first) * W, at + (i - first) * W);
            }
        });
        distances_to_own(centroids, assignment, squared_distance);
    }

    /// Drops what is remembered of earlier assignments.
    void forget() { search_.forget(); }

    /// visit(row, squared distances to the `count` candidates) for each row of a task, tasks in parallel; values in T,
    /// not negative, in units of the data.
    template <class Visit>
    void squared_distances(matrix_view<const T> candidates, const Visit& visit) {
        constexpr int W = panel_width<T>;
        const index_t C = features_.cols();
        const index_t panels = ceil_div(candidates.rows(), W);
        typename workspace<host>::scope scope(scratch_);
        auto packed = scope.template vector<T>(panels * C * W);
        auto unused = scope.template vector<T>(panels * W);
        auto prepared = scope.template matrix<T>(candidates.rows(), C);
        const int workers = team_.workers();
        auto tiles = scope.template matrix<T>(workers, panels * most_tile_rows * W);
        auto distances = scope.template matrix<double>(workers, panels * W);
        prepare_centroids(candidates, prepared, unused);
        pack_prepared(prepared, packed);
        const double unscale = 1.0 / (static_cast<double>(scale_) * static_cast<double>(scale_));
        team_.for_each(ceil_div(features_.rows(), task_rows), workers, [&](index_t task, int worker) {
            const index_t first = task * task_rows;
            const index_t last = (std::min)(features_.rows(), first + task_rows);
            T* tile = tiles.row(worker).data();
            double* row = distances.row(worker).data();
            for (index_t i = first; i < last; i += kernel_.rows) {
                const tile_rows<T> group(rows_, i, kernel_.rows);
                for (index_t panel = 0; panel < panels; ++panel) {
                    kernel_.tile_squared_distance(group.at, packed.data() + panel * C * W, C,
                                                  tile + panel * most_tile_rows * W);
                }
                for (index_t r = 0; r < kernel_.rows && i + r < last; ++r) {
                    for (index_t l = 0; l < candidates.rows(); ++l) {
                        row[l] = static_cast<double>(tile[(l / W * most_tile_rows + r) * W + l % W]) * unscale;
                    }
                    visit(task, i + r, row);
                }
            }
        });
    }

    index_t tasks() const { return ceil_div(features_.rows(), task_rows); }

private:
    void prepare(const T* from, T* to) const {
        row_kernel_.centre_row(from, mean_.data(), static_cast<double>(scale_), features_.cols(), to);
    }

    /// One pass over the rows: the mean of each column in double (sums of fixed blocks of rows, added in block order), or 0
    /// without `centre`; and the power of two that brings the largest centred value into [1/2, 1).
    void choose_mean_and_scale(bool centre) {
        const index_t C = features_.cols();
        typename workspace<host>::scope scope(scratch_);
        const index_t count = tasks();
        auto part = scope.template matrix<double>(count, C);
        auto least = scope.template matrix<T>(count, C);
        auto most = scope.template matrix<T>(count, C);
        team_.for_each(count, [&](index_t task) {
            auto sum = part.row(task);
            std::fill(sum.begin(), sum.end(), 0.0);
            std::fill(least.row(task).begin(), least.row(task).end(), (std::numeric_limits<T>::max)());
            std::fill(most.row(task).begin(), most.row(task).end(), std::numeric_limits<T>::lowest());
            const index_t last = (std::min)(features_.rows(), (task + 1) * task_rows);
            for (index_t i = task * task_rows; i < last; ++i) {
                row_kernel_.add_to_range(features_.row(i).data(), C, sum.data(), least.row(task).data(),
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

    void distances_to_own(matrix_view<const T> centroids, vector_view<label_t> assignment,
                          vector_view<double> squared_distance) {
        if (squared_distance.empty()) {
            return;
        }
        team_.for_each(tasks(), [&](index_t task) {
            const index_t last = (std::min)(features_.rows(), (task + 1) * task_rows);
            for (index_t i = task * task_rows; i < last; ++i) {
                squared_distance[i] = kernel_.squared_distance(features_.row(i).data(),
                                                               centroids.row(assignment[i]).data(), features_.cols());
            }
        });
    }

    /// Centroids centred and scaled like the rows, and half of their squared norms; past the last one a norm that never wins, and
    /// makes no NaN.
    void prepare_centroids(matrix_view<const T> centroids, matrix_view<T> prepared, vector_view<T> half_norm) {
        std::fill(half_norm.begin() + centroids.rows(), half_norm.end(), (std::numeric_limits<T>::max)());
        team_.for_each(ceil_div(centroids.rows(), panel_width<T>), [&](index_t panel) {
            const index_t last = (std::min)(centroids.rows(), (panel + 1) * panel_width<T>);
            for (index_t k = panel * panel_width<T>; k < last; ++k) {
                T* to = prepared.row(k).data();
                prepare(centroids.row(k).data(), to);
                double norm = 0;
                for (index_t j = 0; j < features_.cols(); ++j) {
                    norm += static_cast<double>(to[j]) * static_cast<double>(to[j]);
                }
                half_norm[k] = static_cast<T>(norm / 2);
            }
        });
    }

    void pack_prepared(matrix_view<const T> prepared, vector_view<T> packed) {
        constexpr int W = panel_width<T>;
        const index_t C = features_.cols();
        team_.for_each(ceil_div(prepared.rows(), W), [&](index_t panel) {
            pack_panel<T>(
                C,
                [&](int w) -> const T* {
                    const index_t k = panel * W + w;
                    return k < prepared.rows() ? prepared.row(k).data() : nullptr;
                },
                packed.data() + panel * C * W);
        });
    }

    static label_t best_lane(const T* top, const lane_int<T>* at) {
        constexpr int W = panel_width<T>;
        index_t label = static_cast<index_t>(at[0]) * W;
        T score = top[0];
        for (int w = 1; w < W; ++w) {
            const index_t candidate = static_cast<index_t>(at[w]) * W + w;
            if (top[w] > score || (top[w] == score && candidate < label)) {
                score = top[w];
                label = candidate;
            }
        }
        return static_cast<label_t>(label);
    }

    // Scales that are normal numbers, and whose squares are normal in double.
    static constexpr int most_exponent = sizeof(T) == 4 ? 120 : 500;
    // Digits of the mean that are kept, counted from the largest centred value.
    static constexpr int mean_bits = 8;

    typename workspace<host>::scope scope_;
    matrix_view<const T> features_;
    vector_view<double> mean_;
    matrix_view<T> rows_;
    T scale_ = T(1);
    workspace<host>& scratch_;
    const thread_team<Threads>& team_;
    const kernel_table<T>& kernel_;
    const row_kernels<T>& row_kernel_;
    pruned_search<T, Threads> search_;
    bool prune_;
};

} // namespace protonce::inline v0::detail::cpu

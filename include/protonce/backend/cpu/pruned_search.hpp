// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/projection.hpp>
#include <protonce/core/check.hpp>

#include <optional>
#include <utility>
#include <vector>

namespace protonce::inline v0::detail::cpu {

/// Nearest centroids without most of the distances, with the labels of the full computation to the last bit.
///
/// score(i, k) = x.c - ||c||^2 / 2 is computed by one chain of multiply-adds, as everywhere in this backend; the largest wins, the
/// lowest number among equals. Three bounds say which chains need not be computed, each widened by what rounding can do:
///  - projected rows and centroids give an upper bound of each score from few columns (projection.hpp);
///  - each row keeps a lower bound of its distance to every group of centroids but its own one's, less what the group has moved since
///    (Yinyang K-means; Ding et al., ICML 2015);
///  - and one to all centroids but its own (Hamerly, SDM 2010).
template <class T, class Threads>
class pruned_search {
    static constexpr int W = panel_width<T>;
    static constexpr T none = (std::numeric_limits<T>::max)();
    static constexpr T eps = std::numeric_limits<T>::epsilon();

public:
    struct statistics {
        index_t columns = 0; // of the projection, or 0
        index_t groups = 0;  // bounds kept for each row
        double scanned = 0;  // pairs of row and centroid bounded by the projection
        double full = 0;     // full distances computed
    };

    pruned_search(workspace<host>& memory, workspace<host>& scratch, const thread_team<Threads>& team,
                  const kernel_table<T>& kernel, const nearest_kernels<T>& nearest, index_t budget)
        : memory_(memory), scratch_(scratch), team_(team), kernel_(kernel), nearest_(nearest), budget_(budget) {}

    void forget() {
        state_.reset();
        refused_ = 0;
    }

    /// Labels of all rows, or false if computing every score is expected to take less time.
    bool assign(matrix_view<const T> rows, matrix_view<const T> centroids, vector_view<const T> half_norm,
                vector_view<label_t> assignment) {
        if (refused_ == centroids.rows() || !is_worth_trying(rows, centroids)) {
            return false;
        }
        double largest = 0;
        for (index_t k = 0; k < centroids.rows(); ++k) {
            const double norm = nearest_.squared_norm(centroids.row(k).data(), centroids.cols());
            if (!(norm < 1e30)) {
                forget();
                return false;
            }
            largest = (std::max)(largest, norm);
        }
        largest_norm_ = std::sqrt(largest) * (1 + 1e-12);
        if (!state_ || state_->centroids.rows() != centroids.rows()) {
            state_.reset();
            state_.emplace(memory_);
            if (!set_up(rows, centroids, half_norm)) {
                forget();
                refused_ = centroids.rows();
                return false;
            }
        } else {
            move(centroids);
        }
        std::copy(centroids.data(), centroids.data() + centroids.rows() * centroids.cols(), state_->centroids.data());
        run(rows, half_norm);
        std::copy(state_->label.begin(), state_->label.end(), assignment.begin());
        return true;
    }

    const statistics& last() const { return last_; }

private:
    struct state {
        explicit state(workspace<host>& memory) : scope(memory) {}

        typename workspace<host>::scope scope;
        index_t columns = 0; // p, coordinates kept
        index_t depth = 0;   // p + 1, or C where all are kept
        index_t panels_per_group = 1;
        index_t groups = 0;
        index_t padded_groups = 0; // a multiple of panel_width
        bool has_labels = false;
        bool keeps_groups = false;
        T moved_most{};                    // sum over iterations of the largest move of any centroid
        matrix_view<T> axes{};             // (C, b)
        matrix_view<T> projected{};        // (N, depth)
        vector_view<T> norm2{};            // (N,)
        vector_view<T> upper{};            // (N,) of the distance to the own centroid
        vector_view<T> lower{};            // (N,) of the distance to any other, plus moved_most then
        vector_view<label_t> label{};      // (N,)
        matrix_view<T> bound{};            // (N, padded_groups) of distances, plus moved then
        matrix_view<T> centroids{};        // (K, C) of the last call
        vector_view<std::int32_t> order{}; // centroid of each slot, -1 for none
        vector_view<std::int32_t> group{}; // of each centroid
        vector_view<T> drift{};            // (K,) in the last step
        vector_view<T> moved{};            // (padded_groups,) sum over iterations of the largest move within the group
    };

    // Rows in one task. The lists of rows by group are that long at most.
    static constexpr index_t search_rows = 480;
    // Directions that are looked for.
    static constexpr index_t most_columns = 64;
    // Candidates that are collected before their scores are computed.
    static constexpr index_t candidate_batch = 1024;

    static T round_up_value(double v) { return static_cast<T>(v + std::abs(v) * static_cast<double>(eps)); }
    static T round_down_value(double v) { return static_cast<T>(v - std::abs(v) * static_cast<double>(eps)); }

    static bool is_worth_trying(matrix_view<const T> rows, matrix_view<const T> centroids) {
        return centroids.rows() >= 4 * W && rows.rows() >= 4 * centroids.rows() && rows.cols() >= 2;
    }

    // What a chain may be off by, for a row of that norm and any centroid.
    double exact_slack(index_t cols, double norm) const {
        return chain_rounding<T>(cols + 8) * (norm * largest_norm_ + largest_norm_ * largest_norm_ + norm * norm) +
               1e-30;
    }
    // What the projected score may fall short of the exact one.
    double projected_slack(index_t cols, double norm) const {
        const double p = static_cast<double>(state_->columns);
        const double rotation = state_->depth == cols ? 0.0 : 3 * chain_rounding<T>(cols) * std::sqrt(p);
        return (chain_rounding<T>(state_->depth + 16) + rotation) *
                   (norm * largest_norm_ + largest_norm_ * largest_norm_ + norm * norm) +
               1e-30;
    }

    // One row projected to `depth` values; y holds its coordinates.
    void store_projection(const T* y, double norm2, index_t cols, T* out) const {
        double kept = 0;
        for (index_t j = 0; j < state_->columns; ++j) {
            out[j] = y[j];
            kept += static_cast<double>(y[j]) * static_cast<double>(y[j]);
        }
        const double inflate = 3 * chain_rounding<T>(cols) * std::sqrt(static_cast<double>(state_->columns)) * norm2;
        out[state_->columns] = round_up_value(std::sqrt((std::max)(0.0, norm2 - kept) + inflate));
    }

    // visit(i, coordinates of row i in the axes), in parallel.
    template <class Visit>
    void project(matrix_view<const T> rows, index_t columns, const Visit& visit) {
        const index_t b = round_up(columns, W);
        typename workspace<host>::scope scope(scratch_);
        const int workers = team_.workers();
        auto y = scope.template matrix<T>(workers, most_tile_rows * b);
        team_.for_each(ceil_div(rows.rows(), task_rows), workers, [&](index_t task, int worker) {
            const index_t last = (std::min)(rows.rows(), (task + 1) * task_rows);
            T* out = y.row(worker).data();
            for (index_t i = task * task_rows; i < last; i += kernel_.rows) {
                const tile_rows<T> tile(rows, i, kernel_.rows);
                for (index_t j = 0; j < b; j += W) {
                    kernel_.tile_product(tile.at, state_->axes.data() + j, state_->axes.cols(), rows.cols(), out + j, b,
                                         false);
                }
                for (index_t r = 0; r < kernel_.rows && i + r < last; ++r) {
                    visit(i + r, out + r * b);
                }
            }
        });
    }

    bool set_up(matrix_view<const T> rows, matrix_view<const T> centroids, vector_view<const T> half_norm) {
        state& s = *state_;
        const index_t N = rows.rows();
        const index_t C = rows.cols();
        const index_t K = centroids.rows();
        if (C <= 24) {
            s.columns = C;
            s.depth = C;
        } else {
            const index_t b = (std::min)(most_columns, C / 2 / W * W);
            if (b < W) {
                return false;
            }
            const index_t S = (std::min<index_t>)(N, 1024);
            s.axes = s.scope.template matrix<T>(C, b);
            {
                typename workspace<host>::scope scope(scratch_);
                auto sample = scope.template matrix<T>(S, C);
                for (index_t i = 0; i < S; ++i) {
                    const auto row = rows.row(i * N / S);
                    std::copy(row.begin(), row.end(), sample.row(i).begin());
                }
                principal_axes<T>(scratch_, team_, kernel_, sample, s.axes);
            }
            s.columns = choose_columns(rows, centroids, half_norm);
            s.depth = s.columns + 1;
            if (s.columns == 0) {
                return false;
            }
        }
        s.norm2 = s.scope.template vector<T>(N);
        s.upper = s.scope.template vector<T>(N);
        s.lower = s.scope.template vector<T>(N);
        s.label = s.scope.template vector<label_t>(N);
        s.centroids = s.scope.template matrix<T>(K, C);
        s.drift = s.scope.template vector<T>(K);
        std::fill(s.drift.begin(), s.drift.end(), T(0));
        team_.for_each(ceil_div(N, task_rows), [&](index_t task) {
            const index_t last = (std::min)(N, (task + 1) * task_rows);
            for (index_t i = task * task_rows; i < last; ++i) {
                s.norm2[i] = round_up_value(nearest_.squared_norm(rows.row(i).data(), C));
            }
        });
        if (s.depth == C) {
            s.projected = matrix_view<T>(const_cast<T*>(rows.data()), N, C, rows.stride());
        } else {
            s.projected = s.scope.template matrix<T>(N, s.depth);
            project(rows, s.columns, [&](index_t i, const T* y) {
                store_projection(y, static_cast<double>(s.norm2[i]), C, s.projected.row(i).data());
            });
        }
        group_centroids(centroids, N);
        return true;
    }

#include <protonce/backend/cpu/pruned_search_run.inl>
#include <protonce/backend/cpu/pruned_search_setup.inl>

    workspace<host>& memory_;
    workspace<host>& scratch_;
    const thread_team<Threads>& team_;
    const kernel_table<T>& kernel_;
    const nearest_kernels<T>& nearest_;
    index_t budget_;
    double largest_norm_ = 0;
    index_t refused_ = 0;
    std::optional<state> state_;
    statistics last_;
};

} // namespace protonce::inline v0::detail::cpu

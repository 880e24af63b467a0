// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/candidate_distances.hpp>
#include <protonce/backend/cpu/tiles.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/parallel.hpp>
#include <protonce/core/workspace.hpp>

#include <atomic>
#include <cmath>
#include <limits>

namespace protonce::inline v0::detail::cpu {

/// Rows prepared for many assignments; see centred_rows.hpp for what is computed of them, pruned_search.hpp for what is remembered.
template <class T, class Threads>
class row_index {
public:
    row_index(workspace<host>& scratch, const thread_team<Threads>& team, const kernel_table<T>& kernel,
              const row_kernels<T>& row_kernel, const nearest_kernels<T>& nearest_kernel,
              search_memory<T, Threads>& memory, matrix_view<const T> features, bool centre, bool prune, index_t budget)
        : scope_(scratch), rows_(scratch, scope_, team, row_kernel, features, centre), scratch_(scratch), team_(team),
          kernel_(kernel), nearest_(nearest_kernel), search_(memory, scratch, team, kernel, nearest_kernel, budget),
          prune_(prune) {}
    row_index(const row_index&) = delete;
    row_index& operator=(const row_index&) = delete;

    /// For each row the nearest centroid, the lowest among equals, by one multiply-add chain per pair over the prepared
    /// values. squared_distance (may be empty) is computed afresh in double from the values as given.
    void nearest(matrix_view<const T> centroids, vector_view<label_t> assignment,
                 vector_view<double> squared_distance) {
        constexpr int W = panel_width<T>;
        const index_t C = rows_.cols();
        const index_t panels = ceil_div(centroids.rows(), W);
        {
            typename workspace<host>::scope scope(scratch_);
            auto prepared = scope.template matrix<T>(centroids.rows(), C);
            auto half_norm = scope.template vector<T>(panels * W);
            prepare_centroids(centroids, prepared, half_norm);
            if (!prune_ || !search_.assign(rows_, prepared, half_norm, assignment)) {
                compute_all(prepared, half_norm, assignment);
            }
        }
        distances_to_own(centroids, assignment, squared_distance);
    }

    /// Drops what is remembered of earlier assignments.
    void forget() { search_.forget(); }
    /// Many more assignments are to come: remembering pays.
    void expect_more(bool more) { search_.expect_more(more); }
    matrix_view<const T> features() const { return rows_.features(); }
    bool has_exact_sums() { return rows_.has_exact_sums(team_); }
    /// What the last assignment did.
    const search_report& report() const { return search_.report(); }

    /// See candidate_distances.
    template <class Visit>
    void squared_distances(matrix_view<const T> candidates, vector_view<const double> least, const Visit& visit) {
        const bool may_prune = prune_ && search_.has_room(rows_.rows());
        const auto* codes = may_prune ? &search_.codes(rows_) : nullptr;
        auto* keep = may_prune && candidates.rows() > 1 ? search_.keep(rows_, candidates.rows()) : nullptr;
        candidate_distances<T, Threads>(scratch_, team_, kernel_, nearest_, rows_, codes)
            .visit(candidates, least, visit, keep);
    }
    /// least_i = min(least_i, squared distance of row i to the candidate); what is no number stays none.
    void relax(matrix_view<const T> candidate, vector_view<double> least) {
        const auto* kept = search_.kept();
        const index_t l = kept != nullptr ? kept->find(candidate) : -1;
        std::atomic<bool> is_kept{l >= 0};
        team_.for_each(l >= 0 ? tasks() : 0, [&](index_t task) {
            if (!kept->holds(task, least.data() + task * task_rows)) {
                is_kept.store(false, std::memory_order_relaxed);
            }
        });
        if (!is_kept) {
            squared_distances(candidate, least, [&](const typename candidate_distances<T, Threads>::run& rows) {
                for (index_t n = 0; n < rows.count; ++n) {
                    least[rows.origin + rows.close[n]] = rows.distance(n, 0);
                }
            });
            return;
        }
        const double unscale = 1 / (static_cast<double>(rows_.scale()) * static_cast<double>(rows_.scale()));
        team_.for_each(tasks(), [&](index_t task) {
            kept->each(task, l, [&](std::int32_t r, T kept_distance) {
                const double distance = static_cast<double>(kept_distance) * unscale;
                double& to = least[task * task_rows + r];
                to = distance >= to ? to : distance;
            });
        });
    }

    index_t tasks() const { return ceil_div(rows_.rows(), task_rows); }

private:
    /// Every score. Rows of a task are centred once and stay in a cache while the panels pass by.
    void compute_all(matrix_view<const T> prepared, vector_view<const T> half_norm, vector_view<label_t> assignment) {
        constexpr int W = panel_width<T>;
        const index_t C = rows_.cols();
        const index_t N = rows_.rows();
        const index_t panels = half_norm.size() / W;
        const index_t block = rows_.block_rows();
        typename workspace<host>::scope scope(scratch_);
        auto packed = scope.template vector<T>(panels * C * W);
        const int workers = team_.workers();
        auto best = scope.template matrix<T>(workers, (block + most_tile_rows) * W);
        auto where = scope.template matrix<lane_int<T>>(workers, (block + most_tile_rows) * W);
        auto few = scope.template matrix<T>(workers * most_tile_rows, rows_.block_stride());
        auto tiles = scope.template matrix<T>(workers, (block + most_tile_rows) * C);
        pack_prepared(prepared, packed);
        // A block of panels stays in half of a 512 KiB second-level cache while the rows of the task pass by.
        const index_t step = (std::max<index_t>)(1, (index_t{1} << 18) / (C * W * static_cast<index_t>(sizeof(T))));
        team_.for_each(ceil_div(N, block), workers, [&](index_t task, int worker) {
            const index_t first = task * block;
            const index_t count = (std::min)(N - first, block);
            const index_t R = kernel_.rows;
            T* top = best.row(worker).data();
            lane_int<T>* at = where.row(worker).data();
            T* tile = tiles.row(worker).data();
            pack_tiles(first, count, few.slice(worker * most_tile_rows, most_tile_rows), tile);
            std::fill(top, top + (count + most_tile_rows) * W, std::numeric_limits<T>::lowest());
            std::fill(at, at + (count + most_tile_rows) * W, lane_int<T>{0});
            for (index_t panel = 0; panel < panels; panel += step) {
                for (index_t r = 0; r < count; r += R) {
                    kernel_.nearest_in_panels(tile + r * C, packed.data(), half_norm.data(), C, panel,
                                              (std::min)(panels, panel + step), top + r * W, at + r * W);
                }
            }
            nearest_.best_of_lanes(top, at, count, assignment.data() + first);
        });
    }

    /// Centred rows in tiles, as many side by side as a kernel takes.
    void pack_tiles(index_t first, index_t count, matrix_view<T> rows, T* tile) const {
        const index_t C = rows_.cols();
        const index_t R = kernel_.rows;
        for (index_t r0 = 0; r0 < count; r0 += R) {
            for (index_t r = 0; r < R; ++r) {
                rows_.get(first + (std::min)(r0 + r, count - 1), rows.row(r).data());
            }
            kernel_.pack_tile(rows.data(), rows.stride(), C, tile);
            tile += R * C;
        }
    }

    void distances_to_own(matrix_view<const T> centroids, vector_view<label_t> assignment,
                          vector_view<double> squared_distance) {
        if (squared_distance.empty()) {
            return;
        }
        team_.for_each(tasks(), [&](index_t task) {
            const index_t last = (std::min)(rows_.rows(), (task + 1) * task_rows);
            for (index_t i = task * task_rows; i < last; ++i) {
                squared_distance[i] = kernel_.squared_distance(rows_.features().row(i).data(),
                                                               centroids.row(assignment[i]).data(), rows_.cols());
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
                rows_.centre(centroids.row(k).data(), to);
                double norm = 0;
                for (index_t j = 0; j < rows_.cols(); ++j) {
                    norm += static_cast<double>(to[j]) * static_cast<double>(to[j]);
                }
                half_norm[k] = static_cast<T>(norm / 2);
            }
        });
    }

    void pack_prepared(matrix_view<const T> prepared, vector_view<T> packed) {
        constexpr int W = panel_width<T>;
        const index_t C = rows_.cols();
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

    typename workspace<host>::scope scope_;
    centred_rows<T, Threads> rows_;
    workspace<host>& scratch_;
    const thread_team<Threads>& team_;
    const kernel_table<T>& kernel_;
    const nearest_kernels<T>& nearest_;
    pruned_search<T, Threads> search_;
    bool prune_;
};

} // namespace protonce::inline v0::detail::cpu

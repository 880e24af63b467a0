// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/pruned_search.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace protonce::inline v0::detail::cpu {

/// Distances of all rows to a few candidates, for greedy k-means++: by one chain of multiply-adds of differences, so that equal rows
/// are at distance 0. Where the processor multiplies codes, rows that are surely no nearer to any candidate than `least` says are passed
/// over. Distances that were computed are kept until the next call: the candidate that is chosen needs them once more.
template <class T, class Threads>
class candidate_distances {
    static constexpr int W = panel_width<T>;

public:
    candidate_distances(workspace<host>& scratch, const thread_team<Threads>& team, const kernel_table<T>& kernel,
                        const nearest_kernels<T>& nearest, const centred_rows<T, Threads>& rows,
                        const row_codes<T, Threads>* codes)
        : scratch_(scratch), team_(team), kernel_(kernel), nearest_(nearest), rows_(rows), codes_(codes) {}

    /// Rows [first, last) of a task. Rows origin + close_n have their own row of `distance`: by candidate the squared distance in units of
    /// the data, or least_i if that is smaller; NaN stays. No candidate is nearer than least_i to the others.
    struct run {
        index_t task;
        index_t first;
        index_t last;
        index_t origin;
        const std::int32_t* close;
        index_t count;
        matrix_view<double> distance; // (count, candidates and more)
    };

    /// visit(run) for all rows, those of a task in order, tasks in parallel.
    template <class Visit>
    void visit(matrix_view<const T> candidates, vector_view<const double> least, const Visit& visit,
               kept_distances<T>* keep) const {
        // Erased some rows at a time, so that what finds the distances is compiled once.
        visit_all(candidates, least,
                  {&visit, [](const void* data, const run& rows) { (*static_cast<const Visit*>(data))(rows); }}, keep);
    }

private:
    struct visitor {
        const void* data;
        void (*call)(const void* data, const run& rows);
    };

    void visit_all(matrix_view<const T> candidates, vector_view<const double> least, visitor visit,
                   kept_distances<T>* keep) const {
        if (keep != nullptr) {
            keep->begin(candidates);
            keep = keep->keeps_nothing() ? nullptr : keep;
        }
        const index_t C = rows_.cols();
        const index_t N = rows_.rows();
        const index_t panels = ceil_div(candidates.rows(), W);
        const index_t lanes = round_up(candidates.rows(), candidate_lanes);
        workspace<host>::scope scope(scratch_);
        auto centred = scope.matrix<T>(candidates.rows(), C);
        auto half_norm = scope.vector<double>(candidates.rows());
        for (index_t l = 0; l < candidates.rows(); ++l) {
            rows_.centre(candidates.row(l).data(), centred.row(l).data());
            half_norm[l] = nearest_.squared_norm(centred.row(l).data(), C) / 2;
        }
        auto packed = scope.vector<T>(panels * C * W);
        for (index_t panel = 0; panel < panels; ++panel) {
            pack_panel<T>(
                C,
                [&](int w) -> const T* {
                    return panel * W + w < centred.rows() ? centred.row(panel * W + w).data() : nullptr;
                },
                packed.data() + panel * C * W);
        }
        // Nothing is far enough from a candidate that is no number.
        const bool are_numbers =
            std::all_of(half_norm.begin(), half_norm.end(), [](double h) { return check::is_finite(h); });
        const bool is_coded = codes_ != nullptr && codes_->is_coded() && are_numbers;
        code_panels with{};
        if (is_coded) {
            with = pack_codes(scope, centred, half_norm);
        }
        const double scale2 = static_cast<double>(rows_.scale()) * static_cast<double>(rows_.scale());
        const int workers = team_.workers();
        auto bench = scope.vector<worker>(workers);
        for (worker& w : bench) {
            w.rows = matrix_view<T>(scope.vector<T>(most_tile_rows * rows_.block_stride()).data(), most_tile_rows, C,
                                    rows_.block_stride());
            w.tile = scope.vector<T>(panels * most_tile_rows * W);
            w.close = scope.vector<std::int32_t>(task_rows);
            w.distance = scope.matrix<double>(most_tile_rows, panels * W);
            if (is_coded) {
                w.offset = scope.vector<std::int32_t>(task_rows);
                w.threshold = scope.vector<T>(task_rows);
                w.factor = scope.vector<float>(task_rows);
                std::fill(w.offset.begin(), w.offset.end(), 0);
                std::fill(w.threshold.begin(), w.threshold.end(), T(0));
                std::fill(w.factor.begin(), w.factor.end(), 0.0F);
            }
        }
        team_.for_each(ceil_div(N, task_rows), workers, [&](index_t task, int number) {
            worker& w = bench[number];
            const index_t first = task * task_rows;
            const index_t count = (std::min)(N - first, task_rows);
            const double* own_least = least.data() + first;
            index_t close = count;
            if (is_coded) {
                close = rows_that_may_be_nearer(first, count, with, own_least, scale2, w);
            } else {
                std::iota(w.close.data(), w.close.data() + count, 0);
            }
            if (keep != nullptr) {
                keep->begin_task(task, close, own_least, count);
            }
            index_t next = 0; // row to be visited
            for (index_t n = 0; n < close; n += kernel_.rows) {
                const index_t some = (std::min<index_t>)(kernel_.rows, close - n);
                const std::int32_t* list = w.close.data() + n;
                compute(first, list, some, packed, panels, w);
                for (index_t r = 0; r < some; ++r) {
                    for (index_t panel = 0; panel < panels; ++panel) {
                        nearest_.smaller_distances(w.tile.data() + (panel * most_tile_rows + r) * W, 1 / scale2,
                                                   own_least[list[r]], (std::min<index_t>)(W, lanes - panel * W),
                                                   w.distance.row(r).data() + panel * W);
                    }
                    if (keep != nullptr) {
                        T* to = keep->put(task, n + r, list[r]);
                        for (index_t l = 0; l < candidates.rows(); ++l) {
                            to[l] = w.tile[l / W * most_tile_rows * W + r * W + l % W];
                        }
                    }
                }
                const index_t last = list[some - 1] + 1;
                visit.call(visit.data, {task, first + next, first + last, first, list, some, w.distance});
                next = last;
            }
            visit.call(visit.data, {task, first + next, first + count, first, nullptr, 0, w.distance});
        });
    }

    struct worker {
        matrix_view<T> rows;
        vector_view<T> tile, threshold;
        vector_view<float> factor;
        vector_view<std::int32_t> close, offset;
        matrix_view<double> distance;
    };

    // Distances of listed rows, as many as a kernel takes, in units of the centred rows.
    void compute(index_t first, const std::int32_t* list, index_t count, vector_view<const T> packed, index_t panels,
                 worker& w) const {
        for (index_t r = 0; r < count; ++r) {
            rows_.get(first + list[r], w.rows.row(r).data());
        }
        const tile_rows<T> tile(w.rows.slice(0, count), 0, kernel_.rows);
        for (index_t panel = 0; panel < panels; ++panel) {
            kernel_.tile_squared_distance(tile.at, packed.data() + panel * rows_.cols() * W, rows_.cols(),
                                          w.tile.data() + panel * most_tile_rows * W);
        }
    }

    /// Codes of the candidates as rows_reaching() reads them.
    struct code_panels {
        typename row_codes<T, Threads>::packed codes{};
        vector_view<std::uint8_t> panels{};
        vector_view<float> half_norm{};
        int split = 1; // lanes of a candidate
        index_t num_panels = 0;
        index_t steps = 0;
    };
    code_panels pack_codes(workspace<host>::scope& scope, matrix_view<const T> centred,
                           vector_view<const double> half_norm) const {
        const index_t K = centred.rows();
        const double largest = *std::max_element(half_norm.begin(), half_norm.end());
        code_panels out{.codes = codes_->pack(scope, team_, centred, {}, std::sqrt(2 * largest) * (1 + 1e-12))};
        out.split = K <= W / 2 ? 2 : 1;
        out.num_panels = ceil_div(K * out.split, W);
        out.steps = ceil_div(codes_->depth(), out.split);
        out.panels = scope.vector<std::uint8_t>(out.num_panels * out.steps * W * 4);
        out.half_norm = scope.vector<float>(out.num_panels * W);
        std::uint8_t* to = out.panels.data();
        for (index_t panel = 0; panel < out.num_panels; ++panel) {
            for (index_t step = 0; step < out.steps; ++step) {
                for (index_t lane = panel * W; lane < (panel + 1) * W; ++lane, to += 4) {
                    if (const index_t l = lane / out.split; l < K) {
                        std::copy_n(out.codes.code.row(l).data() + (step * out.split + lane % out.split) * 4, 4, to);
                    } else {
                        std::fill(to, to + 4, std::uint8_t{128});
                    }
                }
            }
        }
        for (index_t lane = 0; lane < out.half_norm.size(); ++lane) {
            const index_t l = lane / out.split;
            out.half_norm[lane] = l < K ? static_cast<float>(half_norm[l]) : (std::numeric_limits<float>::max)();
        }
        return out;
    }

    // Rows with a candidate whose distance, as compute() rounds it, may be below least_i.
    index_t rows_that_may_be_nearer(index_t first, index_t count, const code_panels& with, const double* least,
                                    double scale2, worker& w) const {
        if constexpr (sizeof(T) == 4) {
            code_search job{.count = count,
                            .panels = with.panels.data(),
                            .num_panels = with.num_panels,
                            .steps = with.steps,
                            .half_norm = with.half_norm.data()};
            codes_->prepare(job,
                            {.rounding = scale2 * (1 + 4 * chain_rounding<T>(rows_.cols() + 8)),
                             .loose = chain_rounding<T>(32)},
                            first, with.codes, least, w.factor.data(), w.offset.data(), w.threshold.data());
            return nearest_.rows_reaching[with.split - 1](job, w.close.data());
        } else {
            return count; // there are no codes
        }
    }

    workspace<host>& scratch_;
    const thread_team<Threads>& team_;
    const kernel_table<T>& kernel_;
    const nearest_kernels<T>& nearest_;
    const centred_rows<T, Threads>& rows_;
    const row_codes<T, Threads>* codes_;
};

} // namespace protonce::inline v0::detail::cpu

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/pruned_search.hpp>

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

    /// visit(task, row, squared distances to the candidates, or null) for each row of a task in order, tasks in parallel; in units of the
    /// data, not negative. Null: none of them is below least_i.
    template <class Visit>
    void visit(matrix_view<const T> candidates, vector_view<const double> least, const Visit& visit,
               kept_distances<T>* keep) const {
        // Erased some rows at a time, so that what finds the distances is compiled once.
        visit_all(candidates, least,
                  {&visit,
                   [](const void* data, index_t task, const run& rows) {
                       const Visit& each = *static_cast<const Visit*>(data);
                       index_t next = rows.first;
                       for (index_t r = 0; r < rows.count; ++r) {
                           for (; next < rows.origin + rows.close[r]; ++next) {
                               each(task, next, static_cast<const double*>(nullptr));
                           }
                           each(task, next, static_cast<const double*>(rows.distance.row(r).data()));
                           ++next;
                       }
                       for (; next < rows.last; ++next) {
                           each(task, next, static_cast<const double*>(nullptr));
                       }
                   }},
                  keep);
    }

private:
    /// Rows [first, last) in a row; those with distances are origin + close_r.
    struct run {
        index_t first;
        index_t last;
        index_t origin;
        const std::int32_t* close;
        index_t count;
        matrix_view<const double> distance; // (count, candidates)
    };
    struct visitor {
        const void* data;
        void (*call)(const void* data, index_t task, const run& rows);
    };

    void visit_all(matrix_view<const T> candidates, vector_view<const double> least, visitor visit,
                   kept_distances<T>* keep) const {
        if (keep != nullptr) {
            keep->begin(candidates, least);
            keep = keep->keeps_nothing() ? nullptr : keep;
        }
        const index_t C = rows_.cols();
        const index_t N = rows_.rows();
        const index_t panels = ceil_div(candidates.rows(), W);
        workspace<host>::scope scope(scratch_);
        auto centred = scope.matrix<T>(candidates.rows(), C);
        auto order = scope.vector<std::int32_t>(panels * W);
        auto half_norm = scope.vector<T>(panels * W);
        double largest2 = 0;
        for (index_t l = 0; l < order.size(); ++l) {
            const bool is_one = l < candidates.rows();
            order[l] = is_one ? static_cast<std::int32_t>(l) : -1;
            half_norm[l] = (std::numeric_limits<T>::max)();
            if (is_one) {
                rows_.centre(candidates.row(l).data(), centred.row(l).data());
                const double norm2 = nearest_.squared_norm(centred.row(l).data(), C);
                half_norm[l] = static_cast<T>(norm2 / 2);
                largest2 = (std::max)(largest2, norm2);
            }
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
        const bool is_coded = codes_ != nullptr && codes_->is_coded();
        typename row_codes<T, Threads>::packed with{};
        if (is_coded) {
            with = codes_->pack(scope, team_, centred, order, std::sqrt(largest2) * (1 + 1e-12));
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
                w.list = scope.vector<std::int32_t>(task_rows);
                w.offset = scope.vector<std::int32_t>(task_rows);
                w.threshold = scope.vector<T>(task_rows);
                w.factor = scope.vector<T>(task_rows);
                w.top = scope.vector<T>(task_rows + 2 * W);
                w.score = scope.vector<T>(most_tile_rows * panels * W);
                w.found = scope.vector<candidate<T>>(task_rows * panels * W);
            }
        }
        team_.for_each(ceil_div(N, task_rows), workers, [&](index_t task, int number) {
            worker& w = bench[number];
            const index_t first = task * task_rows;
            const index_t count = (std::min)(N - first, task_rows);
            index_t close = count;
            if (is_coded) {
                close = rows_that_may_be_nearer(first, count, panels, half_norm, with, least, scale2, w);
            } else {
                for (index_t r = 0; r < count; ++r) {
                    w.close[r] = static_cast<std::int32_t>(r);
                }
            }
            if (keep != nullptr) {
                keep->set_count(task, close);
            }
            index_t next = 0; // row to be visited
            for (index_t n = 0; n < close; n += kernel_.rows) {
                const index_t some = (std::min<index_t>)(kernel_.rows, close - n);
                compute(first, w.close.data() + n, some, packed, panels, 1 / scale2, w);
                for (index_t r = 0; r < some && keep != nullptr; ++r) {
                    T* to = keep->put(task, n + r, w.close[n + r]);
                    for (index_t l = 0; l < candidates.rows(); ++l) {
                        to[l] = w.tile[l / W * most_tile_rows * W + r * W + l % W];
                    }
                }
                const index_t last = w.close[n + some - 1] + 1;
                visit.call(visit.data, task, {first + next, first + last, first, w.close.data() + n, some, w.distance});
                next = last;
            }
            visit.call(visit.data, task, {first + next, first + count, first, nullptr, 0, w.distance});
        });
    }

    struct worker {
        matrix_view<T> rows;
        vector_view<T> tile, threshold, factor, top, score;
        vector_view<std::int32_t> close, list, offset;
        vector_view<candidate<T>> found;
        matrix_view<double> distance;
    };

    // Distances of listed rows, as many as a kernel takes.
    void compute(index_t first, const std::int32_t* list, index_t count, vector_view<const T> packed, index_t panels,
                 double unscale, worker& w) const {
        for (index_t r = 0; r < count; ++r) {
            rows_.get(first + list[r], w.rows.row(r).data());
        }
        const tile_rows<T> tile(w.rows.slice(0, count), 0, kernel_.rows);
        for (index_t panel = 0; panel < panels; ++panel) {
            kernel_.tile_squared_distance(tile.at, packed.data() + panel * rows_.cols() * W, rows_.cols(),
                                          w.tile.data() + panel * most_tile_rows * W);
            for (index_t r = 0; r < count; ++r) {
                for (index_t l = 0; l < W; ++l) {
                    w.distance(r, panel * W + l) =
                        static_cast<double>(w.tile[(panel * most_tile_rows + r) * W + l]) * unscale;
                }
            }
        }
    }

    // Rows with a candidate whose distance, as compute() rounds it, may be below least_i: others have
    // ||x||^2 - 2 (x.c - ||c||^2 / 2) (1 - rounding) >= least_i.
    index_t rows_that_may_be_nearer(index_t first, index_t count, index_t panels, vector_view<const T> half_norm,
                                    const typename row_codes<T, Threads>::packed& with, vector_view<const double> least,
                                    double scale2, worker& w) const {
        const double rounding = 1 + 4 * chain_rounding<T>(rows_.cols() + 8);
        const double largest = with.largest_norm;
        bool is_number = true;
        for (index_t r = 0; r < count; ++r) {
            const index_t i = first + r;
            w.close[r] = static_cast<std::int32_t>(r);
            is_number = is_number && check::is_finite(codes_->norm(i));
            const double norm = static_cast<double>(codes_->norm(i));
            const double size = norm * norm + norm * largest + largest * largest;
            const double loose = codes_->slack(i, with) + chain_rounding<T>(32) * size + 1e-30;
            const double reach = (codes_->low_norm2(i) - least[i] * scale2 * rounding) / 2 - loose;
            const double lowest = static_cast<double>(std::numeric_limits<T>::lowest());
            w.threshold[r] = static_cast<T>(reach > lowest ? reach - std::abs(reach) * 2 * eps : lowest);
            w.list[r] = static_cast<std::int32_t>(r);
        }
        if (!is_number) {
            return count; // what is no number comes out as none
        }
        panel_scan<T> job{};
        job.list = w.list.data();
        job.count = count;
        job.num_panels = panels;
        job.half_norm = half_norm.data();
        job.threshold = w.threshold.data();
        job.top = w.top.data();
        job.found = w.found.data();
        job.score = w.score.data();
        job.code_panels = with.panels.data();
        codes_->prepare(job, first, count, with, w.factor.data(), w.offset.data());
        const index_t found = nearest_.scan_codes(job);
        index_t close = 0;
        for (index_t n = 0; n < found; ++n) {
            if (close == 0 || w.close[close - 1] != w.found[n].row) {
                w.close[close++] = w.found[n].row;
            }
        }
        return close;
    }

    static constexpr double eps = static_cast<double>(std::numeric_limits<T>::epsilon());

    workspace<host>& scratch_;
    const thread_team<Threads>& team_;
    const kernel_table<T>& kernel_;
    const nearest_kernels<T>& nearest_;
    const centred_rows<T, Threads>& rows_;
    const row_codes<T, Threads>* codes_;
};

} // namespace protonce::inline v0::detail::cpu

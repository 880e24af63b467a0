// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels_rows.hpp>
#include <protonce/backend/cpu/tiles.hpp>
#include <protonce/core/backend.hpp>
#include <protonce/core/parallel.hpp>

#include <cmath>

namespace protonce::inline v0::detail::cpu {

/// Rows of each cluster, in row order: a stable counting sort by label. Rows with label -1 are left out.
struct sorted_rows {
    vector_view<index_t> first; // (K + 1,) where each cluster begins in `row`
    vector_view<index_t> row;   // (N,), of which those with a label are filled in

    vector_view<const index_t> members(index_t k) const { return row.slice(first[k], first[k + 1] - first[k]); }

    sorted_rows(workspace<host>::scope& scope, vector_view<const label_t> assignment, index_t clusters)
        : first(scope.vector<index_t>(clusters + 1)), row(scope.vector<index_t>(assignment.size())) {
        auto next = scope.vector<index_t>(clusters + 1);
        std::fill(first.begin(), first.end(), index_t{0});
        for (const label_t k : assignment) {
            if (k >= 0) {
                ++first[k + 1];
            }
        }
        for (index_t k = 0; k < clusters; ++k) {
            first[k + 1] += first[k];
        }
        std::copy(first.begin(), first.end(), next.begin());
        for (index_t i = 0; i < assignment.size(); ++i) {
            if (assignment[i] >= 0) {
                row[next[assignment[i]]++] = i;
            }
        }
    }
};

/// Columns [c0, c1) of the sum of w_i x_i over listed rows, in their order; returns the sum of w_i.
template <class T>
double sum_of_rows(const row_kernels<T>& kernel, matrix_view<const T> features, vector_view<const T> weight,
                   vector_view<const index_t> list, index_t c0, index_t c1, double* out) {
    if (weight.empty()) {
        kernel.add_rows(features.data() + c0, features.stride(), list.data(), list.size(), c1 - c0, out);
        return static_cast<double>(list.size());
    }
    std::fill(out, out + (c1 - c0), 0.0);
    double total = 0;
    for (const index_t i : list) {
        const T* x = features.row(i).data() + c0;
        const double w = static_cast<double>(weight[i]);
        total += w;
        for (index_t c = 0; c < c1 - c0; ++c) {
            out[c] += w * static_cast<double>(x[c]);
        }
    }
    return total;
}

/// sum_k = sum of w_i x_i over the rows of cluster k in row order, in double; the same bits as one loop over all rows. Of
/// `wanted` (K,), if it is given, clusters that are not keep what is there.
template <class T, class Threads>
void segment_sum(workspace<host>& scratch, const thread_team<Threads>& team, const row_kernels<T>& kernel,
                 matrix_view<const T> features, vector_view<const T> weight, vector_view<const label_t> assignment,
                 matrix_view<double> sum, vector_view<double> count, vector_view<const bool> wanted = {}) {
    workspace<host>::scope scope(scratch);
    const sorted_rows sorted(scope, assignment, sum.rows());
    const index_t C = features.cols();
    // Columns are cut too, so that few large clusters still feed many threads.
    const index_t parts = ceil_div(C, row_sum_columns);
    team.for_each(sum.rows() * parts, [&](index_t task) {
        const index_t k = task / parts;
        if (!wanted.empty() && !wanted[k]) {
            return;
        }
        const index_t c0 = task % parts * row_sum_columns;
        const index_t c1 = (std::min<index_t>)(C, c0 + row_sum_columns);
        const double total = sum_of_rows(kernel, features, weight, sorted.members(k), c0, c1, sum.row(k).data() + c0);
        if (c0 == 0) {
            count[k] = total;
        }
    });
}

/// Brings sums and counts of the labels `before` up to date: the same bits as summing afresh. Clusters that keep their members are left
/// alone. Of those that change, one of which few members do gets the sum of those that came less the sum of those that left, if sums are
/// exact (and there are no weights); else all its rows are added up.
template <class T, class Threads>
void update_segment_sum(workspace<host>& scratch, const thread_team<Threads>& team, const row_kernels<T>& kernel,
                        matrix_view<const T> features, bool has_exact_sums, vector_view<const T> weight,
                        vector_view<const label_t> before, vector_view<const label_t> assignment,
                        matrix_view<double> sum, vector_view<double> count) {
    workspace<host>::scope scope(scratch);
    const index_t N = assignment.size();
    const index_t K = sum.rows();
    const index_t C = features.cols();
    auto row = scope.vector<index_t>(N);
    auto changes = scope.vector<index_t>(K);
    auto is_fresh = scope.vector<bool>(K);
    std::fill(changes.begin(), changes.end(), index_t{0});
    index_t moved = 0;
    for (index_t i = 0; i < N; ++i) {
        if (before[i] == assignment[i]) {
            continue;
        }
        row[moved++] = i;
        for (const label_t k : {before[i], assignment[i]}) {
            if (k >= 0) {
                ++changes[k];
            }
        }
    }
    bool any_fresh = false;
    for (index_t k = 0; k < K; ++k) {
        const bool is_cheaper = 2 * static_cast<double>(changes[k]) < count[k];
        is_fresh[k] = changes[k] > 0 && !(has_exact_sums && weight.empty() && is_cheaper);
        any_fresh = any_fresh || is_fresh[k];
    }
    if (any_fresh) {
        segment_sum<T>(scratch, team, kernel, features, weight, assignment, sum, count, is_fresh);
    }
    if (!has_exact_sums || !weight.empty()) {
        return;
    }
    auto label = scope.vector<label_t>(moved);
    const auto sorted_by = [&](vector_view<const label_t> labels) {
        for (index_t n = 0; n < moved; ++n) {
            label[n] = labels[row[n]];
        }
        const sorted_rows sorted(scope, label, K);
        for (index_t n = 0; n < sorted.first[K]; ++n) {
            sorted.row[n] = row[sorted.row[n]];
        }
        return sorted;
    };
    const sorted_rows came = sorted_by(assignment);
    const sorted_rows left = sorted_by(before);
    const index_t parts = ceil_div(C, row_sum_columns);
    team.for_each(K * parts, [&](index_t task) {
        const index_t k = task / parts;
        if (changes[k] == 0 || is_fresh[k]) {
            return;
        }
        const index_t c0 = task % parts * row_sum_columns;
        const index_t c1 = (std::min<index_t>)(C, c0 + row_sum_columns);
        double plus[row_sum_columns];
        double minus[row_sum_columns];
        const double more = sum_of_rows(kernel, features, weight, came.members(k), c0, c1, plus);
        const double less = sum_of_rows(kernel, features, weight, left.members(k), c0, c1, minus);
        for (index_t c = c0; c < c1; ++c) {
            sum(k, c) += plus[c - c0] - minus[c - c0];
        }
        if (c0 == 0) {
            count[k] += more - less;
        }
    });
}

/// As segment_sum for one value a row, in one pass. reads N values and labels; bound by memory
template <class T>
void segment_scalar_sum(vector_view<const double> values, scalar_map map, vector_view<const T> weight,
                        vector_view<const label_t> assignment, vector_view<double> sum, vector_view<double> count) {
    std::fill(sum.begin(), sum.end(), 0.0);
    std::fill(count.begin(), count.end(), 0.0);
    for (index_t i = 0; i < values.size(); ++i) {
        const label_t k = assignment[i];
        if (k < 0) {
            continue;
        }
        const double w = weight.empty() ? 1.0 : static_cast<double>(weight[i]);
        sum[k] += w * (map == scalar_map::square_root ? std::sqrt(values[i]) : values[i]);
        count[k] += w;
    }
}

/// Rows drawn in proportion to values_i * weight_i: the first row at which the running sum exceeds uniform * total. Running sums
/// start from sums of fixed blocks, so that a draw reads one block. If the total is 0, or not finite, the result is -1.
template <class T, class Threads>
void draw_weighted(workspace<host>& scratch, const thread_team<Threads>& team, vector_view<const double> values,
                   vector_view<const T> weight, vector_view<const double> uniform, vector_view<index_t> rows) {
    constexpr index_t block = 1024;
    workspace<host>::scope scope(scratch);
    const index_t blocks = ceil_div(values.size(), block);
    auto before = scope.vector<double>(blocks + 1); // sum of everything before block b
    const auto product = [&](index_t i) {
        return weight.empty() ? values[i] : values[i] * static_cast<double>(weight[i]);
    };
    team.for_each(blocks, [&](index_t b) {
        double sum = 0;
        const index_t last = (std::min)(values.size(), (b + 1) * block);
        for (index_t i = b * block; i < last; ++i) {
            sum += product(i);
        }
        before[b + 1] = sum;
    });
    before[0] = 0;
    for (index_t b = 0; b < blocks; ++b) {
        before[b + 1] += before[b];
    }
    const double total = before[blocks];
    for (index_t l = 0; l < rows.size(); ++l) {
        rows[l] = -1;
        if (!check::is_positive(total)) {
            continue;
        }
        const double aim = uniform[l] * total;
        index_t b = std::upper_bound(before.begin() + 1, before.end(), aim) - (before.begin() + 1);
        b = (std::min)(b, blocks - 1);
        // The last positive row seen is kept: rounding may leave the running sum of the last block below the aim.
        double running = before[b];
        for (; b < blocks && rows[l] < 0; ++b) {
            const index_t last = (std::min)(values.size(), (b + 1) * block);
            index_t positive = -1;
            for (index_t i = b * block; i < last; ++i) {
                const double p = product(i);
                running += p;
                if (p > 0) {
                    positive = i;
                    if (running > aim) {
                        break;
                    }
                }
            }
            rows[l] = positive;
        }
        // Only zeros from the chosen block on (aim rounded up to the total): the last positive row of all.
        for (index_t i = values.size() - 1; rows[l] < 0 && i >= 0; --i) {
            if (product(i) > 0) {
                rows[l] = i;
            }
        }
    }
}

} // namespace protonce::inline v0::detail::cpu

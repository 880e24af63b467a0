// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/elementwise/table.hpp>
#include <protonce/core/backend.hpp>
#include <protonce/core/workspace.hpp>

#include <cmath>
#include <cstdint>

namespace protonce::inline v0::detail::elementwise {

/// 1 + label, and 0 for no label: a sort takes it without a thought for signs.
PROTONCE_HOST_DEVICE inline std::uint32_t label_key(label_t label) {
    return label < 0 ? 0 : static_cast<std::uint32_t>(label) + 1;
}

/// Rows in order of their labels, those of a label in order of their numbers. Keys are those of label_key().
struct sorted_labels {
    std::uint32_t* key;
    index_t* row;
};

template <class Run>
sorted_labels sort_by_label(Run& run, scratch_of<Run>& scratch, scope_of<Run>& scope,
                            vector_view<const label_t, typename Run::space> labels) {
    const index_t n = labels.size();
    const label_t* label = labels.data();
    const sorted_labels out{scope.template vector<std::uint32_t>(n).data(), scope.template vector<index_t>(n).data()};
    run.for_each(n, [=] PROTONCE_ON_DEVICE(index_t i) {
        out.key[i] = label_key(label[i]);
        out.row[i] = i;
    });
    run.stable_sort(scratch, out.key, out.row, n);
    return out;
}

/// The rows of each cluster, in row order: those of cluster k stand at [first[k], first[k + 1]) of `row`.
struct members {
    const index_t* row;
    const index_t* first;
};

template <class Run>
members find_members(Run& run, scratch_of<Run>& scratch, scope_of<Run>& scope,
                     vector_view<const label_t, typename Run::space> assignment, index_t clusters) {
    const index_t n = assignment.size();
    const sorted_labels sorted = sort_by_label(run, scratch, scope, assignment);
    index_t* first = scope.template vector<index_t>(clusters + 1).data();
    run.for_each(clusters + 1, [=] PROTONCE_ON_DEVICE(index_t k) {
        first[k] = count_before(n, [&](index_t i) { return static_cast<index_t>(sorted.key[i]) <= k; });
    });
    return {sorted.row, first};
}

/// sum_k = sum of weight_i x_i and count_k = sum of weight_i over the rows of cluster k, each in row order: the bits of plain loops.
template <class Run, class T>
void segment_sum(Run& run, scratch_of<Run>& scratch, table<const T> x, const T* weight,
                 vector_view<const label_t, typename Run::space> assignment, table<double> sum, double* count) {
    scope_of<Run> scope(scratch);
    const members of = find_members(run, scratch, scope, assignment, sum.rows);
    const index_t cols = x.cols;
    run.for_each(sum.rows * cols, [=] PROTONCE_ON_DEVICE(index_t at) {
        const index_t k = at / cols;
        const index_t j = at % cols;
        double running = 0;
        for (index_t m = of.first[k]; m < of.first[k + 1]; ++m) {
            running = add_product(running, weight_of(weight, of.row[m]), static_cast<double>(x(of.row[m], j)));
        }
        sum(k, j) = running;
    });
    run.for_each(sum.rows, [=] PROTONCE_ON_DEVICE(index_t k) {
        double running = 0;
        for (index_t m = of.first[k]; m < of.first[k + 1]; ++m) {
            running += weight_of(weight, of.row[m]);
        }
        count[k] = running;
    });
}

/// The same of map(values_i).
template <class Run, class T>
void segment_scalar_sum(Run& run, scratch_of<Run>& scratch, const double* values, scalar_map map, const T* weight,
                        vector_view<const label_t, typename Run::space> assignment,
                        vector_view<double, typename Run::space> sum, double* count) {
    scope_of<Run> scope(scratch);
    const members of = find_members(run, scratch, scope, assignment, sum.size());
    double* out = sum.data();
    run.for_each(sum.size(), [=] PROTONCE_ON_DEVICE(index_t k) {
        double running = 0;
        double counted = 0;
        for (index_t m = of.first[k]; m < of.first[k + 1]; ++m) {
            const index_t i = of.row[m];
            const double w = weight_of(weight, i);
            running = add_product(running, w, map == scalar_map::square_root ? std::sqrt(values[i]) : values[i]);
            counted += w;
        }
        out[k] = running;
        count[k] = counted;
    });
}

} // namespace protonce::inline v0::detail::elementwise

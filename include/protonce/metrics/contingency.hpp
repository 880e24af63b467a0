// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>
#include <protonce/core/view.hpp>

#include <algorithm>
#include <cstddef>
#include <memory_resource>
#include <vector>

namespace protonce::inline v0::detail {

/// How many samples two labelings put into the same pair of a class and a cluster; only pairs that occur are stored, at
/// most N.
struct contingency {
    struct cell {
        index_t row;
        index_t col;
        index_t count;
    };

    explicit contingency(std::pmr::memory_resource* memory) : cells(memory), row_sum(memory), col_sum(memory) {}

    std::pmr::vector<cell> cells;      // by row, then by column
    std::pmr::vector<index_t> row_sum; // (classes,) all positive
    std::pmr::vector<index_t> col_sum; // (clusters,) all positive
    index_t samples = 0;
};

/// Numbers the labels that occur 0, 1, ... in ascending order; returns how often each does.
inline std::pmr::vector<index_t> dense_labels(vector_view<const label_t> label, std::pmr::vector<index_t>& dense) {
    std::pmr::vector<label_t> distinct(label.begin(), label.end(), dense.get_allocator().resource());
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    std::pmr::vector<index_t> sum(distinct.size(), 0, dense.get_allocator().resource());
    dense.reserve(static_cast<std::size_t>(label.size()));
    for (const label_t value : label) {
        const auto place = std::lower_bound(distinct.begin(), distinct.end(), value) - distinct.begin();
        dense.push_back(static_cast<index_t>(place));
        ++sum[static_cast<std::size_t>(place)];
    }
    return sum;
}

/// \param rows, cols  (N,) labels of any values
inline contingency count_pairs(vector_view<const label_t> rows, vector_view<const label_t> cols,
                               std::pmr::memory_resource* memory) {
    contingency out(memory);
    out.samples = rows.size();
    std::pmr::vector<index_t> row(memory);
    std::pmr::vector<index_t> col(memory);
    out.row_sum = dense_labels(rows, row);
    out.col_sum = dense_labels(cols, col);

    // Both numbers fit into 32 bits: a pair sorts as one number.
    const auto width = static_cast<index_t>(out.col_sum.size());
    for (std::size_t i = 0; i < row.size(); ++i) {
        row[i] = row[i] * width + col[i];
    }
    std::sort(row.begin(), row.end());
    for (std::size_t i = 0; i < row.size(); ++i) {
        if (i == 0 || row[i] != row[i - 1]) {
            out.cells.push_back({row[i] / width, row[i] % width, 0});
        }
        ++out.cells.back().count;
    }
    return out;
}

} // namespace protonce::inline v0::detail

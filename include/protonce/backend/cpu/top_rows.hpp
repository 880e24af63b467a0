// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/tiles.hpp>
#include <protonce/core/parallel.hpp>
#include <protonce/core/workspace.hpp>

#include <limits>

namespace protonce::inline v0::detail::cpu {

/// The best of one query so far, descending; of equal ones the one that came first stays ahead.
template <class T>
void insert_top(T value, label_t row, vector_view<label_t> rows, vector_view<T> similarity, index_t& filled) {
    const index_t k = rows.size();
    index_t at = (std::min)(filled, k - 1);
    if (filled == k && !(value > similarity[k - 1])) {
        return;
    }
    for (; at > 0 && (value > similarity[at - 1] || similarity[at - 1] != similarity[at - 1]); --at) {
        rows[at] = rows[at - 1];
        similarity[at] = similarity[at - 1];
    }
    rows[at] = row;
    similarity[at] = value;
    filled = (std::min)(filled + 1, k);
}

/// Largest inner products of each query with the rows of a bank. The bank is packed a tile at a time and only the best are kept.
template <class T, class Threads>
void top_rows(workspace<host>& scratch, const thread_team<Threads>& team, const kernel_table<T>& kernel,
              matrix_view<const T> queries, matrix_view<const T> bank, matrix_view<label_t> rows,
              matrix_view<T> similarity) {
    constexpr int W = panel_width<T>;
    const index_t C = queries.cols();
    workspace<host>::scope scope(scratch);
    const int workers = team.workers();
    auto panels = scope.matrix<T>(workers, W * C);
    auto tiles = scope.matrix<T>(workers, most_tile_rows * W);
    auto filled = scope.vector<index_t>(queries.rows());
    std::fill(filled.begin(), filled.end(), index_t{0});
    // Small enough that every thread has work, large enough that packing a panel is paid for.
    const index_t block = 120;
    team.for_each(ceil_div(queries.rows(), block), workers, [&](index_t task, int worker) {
        const index_t first = task * block;
        const index_t last = (std::min)(queries.rows(), first + block);
        T* panel = panels.row(worker).data();
        T* out = tiles.row(worker).data();
        for (index_t j0 = 0; j0 < bank.rows(); j0 += W) {
            const index_t count = (std::min<index_t>)(W, bank.rows() - j0);
            pack_panel<T>(
                C, [&](int w) -> const T* { return w < count ? bank.row(j0 + w).data() : nullptr; }, panel);
            for (index_t i = first; i < last; i += kernel.rows) {
                const tile_rows<T> group(queries, i, kernel.rows);
                kernel.tile_product(group.at, panel, W, C, out, W, false);
                for (index_t r = 0; r < kernel.rows && i + r < last; ++r) {
                    for (index_t w = 0; w < count; ++w) {
                        insert_top(out[r * W + w], static_cast<label_t>(j0 + w), rows.row(i + r), similarity.row(i + r),
                                   filled[i + r]);
                    }
                }
            }
        }
    });
}

} // namespace protonce::inline v0::detail::cpu

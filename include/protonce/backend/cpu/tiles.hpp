// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/view.hpp>

#include <algorithm>

/// How rows reach the kernels: pointers to a few rows at a time, and packed panels of panel_width rows.
namespace protonce::inline v0::detail::cpu {

/// Rows in one task of work over rows. Fixed, so that nothing depends on the thread count.
inline constexpr index_t task_rows = 480;

constexpr index_t round_up(index_t a, index_t b) {
    return ceil_div(a, b) * b;
}

/// Distance of rows of `cols` values in memory: an odd number of cache lines, so that the same column of several rows lies in several
/// banks of the cache.
template <class T>
constexpr index_t padded_stride(index_t cols) {
    return (ceil_div(cols, panel_width<T>) | 1) * panel_width<T>;
}

/// Pointers to the rows of one tile; past the last row the last one is repeated, and what the kernel computes for it is not used.
template <class T>
struct tile_rows {
    const T* at[most_tile_rows];

    tile_rows(matrix_view<const T> rows, index_t first, int count) {
        for (int r = 0; r < count; ++r) {
            at[r] = rows.row((std::min)(first + r, rows.rows() - 1)).data();
        }
    }
};

/// Writes one panel: out[k * panel_width + w] = row_of(w)[k], 0 where row_of(w) is null.
template <class T, class RowOf>
void pack_panel(index_t cols, const RowOf& row_of, T* out) {
    constexpr int W = panel_width<T>;
    const T* rows[W];
    for (int w = 0; w < W; ++w) {
        rows[w] = row_of(w);
    }
    // Blocks of 16 columns keep the strided writes within a few cache lines.
    for (index_t k0 = 0; k0 < cols; k0 += 16) {
        const index_t k1 = (std::min<index_t>)(cols, k0 + 16);
        for (int w = 0; w < W; ++w) {
            const T* row = rows[w];
            if (row == nullptr) {
                for (index_t k = k0; k < k1; ++k) {
                    out[k * W + w] = T(0);
                }
            } else {
                for (index_t k = k0; k < k1; ++k) {
                    out[k * W + w] = row[k];
                }
            }
        }
    }
}

} // namespace protonce::inline v0::detail::cpu

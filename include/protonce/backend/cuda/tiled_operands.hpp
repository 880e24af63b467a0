// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/packed_operands.hpp>
#include <protonce/backend/cuda/packed_rows.hpp>

#include <cmath>
#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// Rows in half precision as half_form makes it, in the order of half_tiles: what a block needs of 128 of them is one piece of memory,
/// and serves as a matrix of rows and, for sums over the rows, as one of columns.
struct tiled_operands {
    index_t count = 0;  // without the padding
    index_t padded = 0; // a multiple of 128, zero rows behind the last one
    index_t cols = 0;   // 64, 128 or 256, zeros behind the last one
    std::uint16_t* halves = nullptr;
    index_t next_tile = 0;       // halves from one to the next
    float* scale = nullptr;      // by which a row was divided; null: behind the tile of the row
    column_info* info = nullptr; // of columns, and of positives

    PROTONCE_HOST_DEVICE int tile_bytes() const { return static_cast<int>(half_tiles::rows * cols * 2); }
    PROTONCE_HOST_DEVICE std::uint16_t* tile(index_t number) const { return halves + number * next_tile; }
    PROTONCE_HOST_DEVICE float& scale_of(index_t i) const {
        return scale != nullptr ? scale[i]
                                : reinterpret_cast<float*>(tile(i / half_tiles::rows) +
                                                           half_tiles::rows * cols)[i % half_tiles::rows];
    }
};

/// Rows up to so many columns.
constexpr index_t most_tiled_cols = 256;

/// Packs a row by 16 lanes, which keep it in registers.
struct pack_tiles {
    using operands = tiled_operands;
    static constexpr int threads = 128;
    static constexpr int lanes = 16;
    static constexpr int block_rows = threads / lanes;
    static constexpr int piece = 8; // columns
    static constexpr int most_pieces = static_cast<int>(most_tiled_cols) / lanes / piece;

    /// In memory of the scope, without `info`.
    template <class Scope>
    static operands take(Scope& scope, index_t count, index_t cols) {
        operands to{.count = count, .padded = padded(count), .cols = padded_cols(cols)};
        to.next_tile = half_tiles::rows * to.cols;
        to.halves = scope.template matrix<std::uint16_t>(to.padded, to.cols).data();
        to.scale = scope.template vector<float>(to.padded).data();
        return to;
    }

    /// Rows that stay packed in memory of the caller's, each tile with its scales behind it. How many numbers that takes.
    static index_t kept_size(index_t count, index_t cols) { return padded(count) * (padded_cols(cols) / 2 + 1); }
    /// Those without `info`; `memory` holds kept_size() of them.
    static operands kept(float* memory, index_t count, index_t cols) {
        return {.count = count,
                .padded = padded(count),
                .cols = padded_cols(cols),
                .halves = reinterpret_cast<std::uint16_t*>(memory),
                .next_tile = 2 * kept_size(half_tiles::rows, cols)};
    }

    static index_t padded(index_t count) { return ceil_div(count, half_tiles::rows) * half_tiles::rows; }
    PROTONCE_HOST_DEVICE static index_t padded(const operands& to) { return to.padded; }
    PROTONCE_HOST_DEVICE static index_t blocks(const operands& to) { return to.padded / block_rows; }

    /// row(i), info(i): as for pack_operands.
    template <class Row, class Info>
    PROTONCE_DEVICE static void work(const operands& to, index_t cols, index_t block, const Row& row,
                                     const Info& info) {
        const index_t i = row_of(block);
        const float scale = write(to, cols, i, i < to.count ? row(i) : nullptr);
        if (thread_index() % lanes == 0 && to.info != nullptr) {
            column_info of_row = i < to.count ? info(i) : column_info::none();
            of_row.factor *= scale;
            to.info[i] = of_row;
        }
    }

    /// The row that a lane of the block packs.
    PROTONCE_DEVICE static index_t row_of(index_t block) { return block * block_rows + thread_index() / lanes; }
    /// Packs a row into place `at` and says its scale; null: zeros; -1: nowhere. All lanes of the warp.
    PROTONCE_DEVICE static float write(const operands& to, index_t cols, index_t at, const float* values) {
        const int lane = thread_index() % lanes;
        const bool is_aligned = reinterpret_cast<std::uintptr_t>(values) % sizeof(four<float>) == 0;
        float mine[most_pieces][piece];
        float largest = 0;
        PROTONCE_UNROLL for (int p = 0; p < most_pieces; ++p) {
            load(values, cols, (p * lanes + lane) * piece, is_aligned, mine[p]);
            PROTONCE_UNROLL for (int e = 0; e < piece; ++e) {
                const float size = std::abs(mine[p][e]);
                largest = size > largest ? size : largest; // NaN does not count
            }
        }
        for (int mask = lanes / 2; mask > 0; mask /= 2) {
            const float other = shuffle_xor(largest, mask);
            largest = other > largest ? other : largest;
        }
        const float scale = half_form::scale_of(largest);
        const float inverse = 1 / scale;
        PROTONCE_UNROLL for (int p = 0; p < most_pieces; ++p) {
            const index_t first = (p * lanes + lane) * piece;
            if (at >= 0 && first < to.cols) {
                four<std::uint32_t> words;
                PROTONCE_UNROLL for (int w = 0; w < 4; ++w) {
                    words.at[w] = to_f16_pair(mine[p][2 * w] * inverse, mine[p][2 * w + 1] * inverse);
                }
                auto* place = to.tile(at / half_tiles::rows) +
                              half_tiles::at(at % half_tiles::rows, first, to.cols / half_tiles::cols);
                *reinterpret_cast<four<std::uint32_t>*>(place) = words;
            }
        }
        if (at >= 0 && lane == 0) {
            to.scale_of(at) = scale;
        }
        return scale;
    }

private:
    static index_t padded_cols(index_t cols) { return cols <= 64 ? 64 : cols <= 128 ? 128 : most_tiled_cols; }

    template <class V>
    struct alignas(16) four {
        V at[4];
    };
    PROTONCE_DEVICE static void load(const float* values, index_t cols, index_t first, bool is_aligned,
                                     float (&to_values)[piece]) {
        if (values != nullptr && is_aligned && first + piece <= cols) {
            PROTONCE_UNROLL for (int h = 0; h < piece / 4; ++h) {
                const auto from = *reinterpret_cast<const four<float>*>(values + first + h * 4);
                PROTONCE_UNROLL for (int e = 0; e < 4; ++e) {
                    to_values[h * 4 + e] = from.at[e];
                }
            }
        } else {
            PROTONCE_UNROLL for (int e = 0; e < piece; ++e) {
                to_values[e] = values != nullptr && first + e < cols ? values[first + e] : 0.0F;
            }
        }
    }
};

/// Packs rows into places of those that are kept; without places into the first ones.
struct keep_rows {
    static constexpr int threads = pack_tiles::threads;
    elementwise::table<const float> rows;
    const index_t* place; // (n,) or null
    tiled_operands to;

    index_t blocks() const { return ceil_div(rows.rows, pack_tiles::block_rows); }

    PROTONCE_DEVICE void operator()() const {
        const index_t i = pack_tiles::row_of(block_index());
        const bool is_row = i < rows.rows;
        const index_t at = !is_row ? -1 : place == nullptr ? i : place[i];
        pack_tiles::write(to, rows.cols, at, is_row ? rows.row(i) : nullptr);
    }
};

} // namespace protonce::inline v0::detail::cuda

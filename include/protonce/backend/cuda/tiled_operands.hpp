// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/packed_operands.hpp>
#include <protonce/backend/cuda/packed_rows.hpp>

#include <cmath>
#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// Rows in half precision, in the order of half_tiles: what a block needs of 128 of them is one piece of memory,
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
    /// Of 8 neighbouring columns.
    PROTONCE_HOST_DEVICE std::uint16_t* place(index_t i, index_t col) const {
        return tile(i / half_tiles::rows) + half_tiles::at(i % half_tiles::rows, col, cols / half_tiles::cols);
    }
    PROTONCE_HOST_DEVICE float& scale_of(index_t i) const {
        return scale != nullptr ? scale[i]
                                : reinterpret_cast<float*>(tile(i / half_tiles::rows) +
                                                           half_tiles::rows * cols)[i % half_tiles::rows];
    }
};

/// Rows up to so many columns.
constexpr index_t most_tiled_cols = 256;

/// Rows of a pool in half precision, one after the other, divided by their temperatures: what kernels pick rows from. Their scales lie behind
/// all of them.
struct pool_operands {
    index_t padded = 0; // of the rows that are picked: a multiple of 128
    index_t cols = 0;   // 64, 128 or 256, zeros behind the last one
    std::uint16_t* halves = nullptr;
    float* scale = nullptr; // by which a row was divided besides

    PROTONCE_HOST_DEVICE std::uint16_t* row(index_t p) const { return halves + p * cols; }
    PROTONCE_HOST_DEVICE std::uint16_t* place(index_t p, index_t col) const { return row(p) + col; }
    PROTONCE_HOST_DEVICE float& scale_of(index_t p) const { return scale[p]; }
};

/// Packs rows of up to most_cols columns, 64, 128 or 256: 16 lanes a row, which keep it in registers, two rows at a time.
template <int most_cols>
struct pack_tiles {
    using operands = tiled_operands;
    static constexpr int threads = 128;
    static constexpr int lanes = 16;
    static constexpr int rows_at_once = 2;
    static constexpr int next_row = threads / lanes; // of the same lanes
    static constexpr int block_rows = rows_at_once * next_row;
    static constexpr int piece = 8; // columns
    static constexpr int pieces = (most_cols + lanes * piece - 1) / (lanes * piece);

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

    /// Rows of a pool of which some are picked: as many numbers as all of them take, and those in such memory.
    static index_t pool_size(index_t rows, index_t cols) { return rows * (padded_cols(cols) / 2 + 1); }
    static pool_operands pool(float* memory, index_t rows, index_t picked, index_t cols) {
        return {.padded = padded(picked),
                .cols = padded_cols(cols),
                .halves = reinterpret_cast<std::uint16_t*>(memory),
                .scale = memory + rows * (padded_cols(cols) / 2)};
    }

    static index_t padded(index_t count) { return ceil_div(count, half_tiles::rows) * half_tiles::rows; }
    PROTONCE_HOST_DEVICE static index_t padded(const operands& to) { return to.padded; }
    PROTONCE_HOST_DEVICE static index_t blocks(const operands& to) { return to.padded / block_rows; }

    /// Source: as for pack_operands. Where rows have temperatures of their own they are divided by these before they are packed: then
    /// they may have one factor.
    template <class Source>
    PROTONCE_DEVICE static void work(const operands& to, index_t cols, index_t block, const Source& source) {
        const index_t first = block * block_rows + thread_index() / lanes;
        index_t at[rows_at_once];
        float temperature[rows_at_once];
        values mine[rows_at_once];
        PROTONCE_UNROLL for (int r = 0; r < rows_at_once; ++r) { // all is asked for before any of it is needed
            const index_t i = first + r * next_row;
            at[r] = i < to.count ? source.of(i) : -1;
        }
        PROTONCE_UNROLL for (int r = 0; r < rows_at_once; ++r) {
            temperature[r] = at[r] >= 0 ? source.temperature(at[r]) : 1.0F;
            load(at[r] >= 0 ? source.row(at[r]) : nullptr, cols, mine[r]);
        }
        PROTONCE_UNROLL for (int r = 0; r < rows_at_once; ++r) {
            const index_t i = first + r * next_row;
            const float factor = 1 / temperature[r];
            if (source.has_temperatures()) {
                mine[r].multiply(factor);
            }
            const float scale = store(to, i, mine[r]);
            if (lane() == 0 && to.info != nullptr) {
                column_info of_row = column_info::none();
                if (at[r] >= 0) {
                    of_row = source.info(i, at[r]);
                    of_row.factor = source.has_temperatures() ? scale : factor * scale;
                }
                to.info[i] = of_row;
            }
        }
    }

    /// What a lane has of a row.
    struct values {
        float at[pieces][piece];

        PROTONCE_DEVICE void multiply(float factor) {
            PROTONCE_UNROLL for (int p = 0; p < pieces; ++p) {
                PROTONCE_UNROLL for (int e = 0; e < piece; ++e) {
                    at[p][e] *= factor;
                }
            }
        }
    };
    PROTONCE_DEVICE static int lane() { return thread_index() % lanes; }
    /// Zeros where `row` is null.
    PROTONCE_DEVICE static void load(const float* row, index_t cols, values& mine) {
        const bool is_aligned = reinterpret_cast<std::uintptr_t>(row) % sizeof(at_once<float, 4>) == 0;
        PROTONCE_UNROLL for (int p = 0; p < pieces; ++p) {
            load(row, cols, (p * lanes + lane()) * piece, is_aligned, mine.at[p]);
        }
    }
    /// Packs a row into place `at`, nowhere if that is negative, and says its scale. All lanes of the warp.
    template <class To>
    PROTONCE_DEVICE static float store(const To& to, index_t at, const values& mine) {
        float largest = 0;
        PROTONCE_UNROLL for (int p = 0; p < pieces; ++p) {
            PROTONCE_UNROLL for (int e = 0; e < piece; ++e) {
                const float size = std::abs(mine.at[p][e]);
                largest = size > largest ? size : largest; // NaN does not count
            }
        }
        for (int mask = lanes / 2; mask > 0; mask /= 2) {
            const float other = shuffle_xor(largest, mask);
            largest = other > largest ? other : largest;
        }
        const float scale = scale_of(largest);
        const float inverse = 1 / scale;
        PROTONCE_UNROLL for (int p = 0; p < pieces; ++p) {
            const index_t first = (p * lanes + lane()) * piece;
            if (at >= 0 && first < to.cols) {
                at_once<std::uint32_t, 4> words;
                PROTONCE_UNROLL for (int w = 0; w < 4; ++w) {
                    words.at[w] = to_f16_pair(mine.at[p][2 * w] * inverse, mine.at[p][2 * w + 1] * inverse);
                }
                *reinterpret_cast<at_once<std::uint32_t, 4>*>(to.place(at, first)) = words;
            }
        }
        if (at >= 0 && lane() == 0) {
            to.scale_of(at) = scale;
        }
        return scale;
    }

private:
    /// A power of two that leaves magnitudes of up to 2^15. There are few of them, 2^15 apart, so that rows of about one length have the
    /// same; half precision holds what is down to 2^-14 with all of its digits.
    PROTONCE_DEVICE static float scale_of(float largest) {
        const int exponent = static_cast<int>(__builtin_bit_cast(std::uint32_t, largest) >> 23) - 127;
        if (exponent == -127 || exponent == 128) {
            return 1;
        }
        constexpr int apart = 15;
        constexpr int below = 8; // unit rows, divided by temperatures of 0.01 to 1
        const int rounded = (exponent + below + 9 * apart) / apart * apart - 9 * apart - below;
        const int in_range = rounded < -126 ? -126 : rounded > 126 ? 126 : rounded; // the inverse is normal too
        return __builtin_bit_cast(float, static_cast<std::uint32_t>(in_range + 127) << 23);
    }
    static index_t padded_cols(index_t cols) { return cols <= 64 ? 64 : cols <= 128 ? 128 : most_tiled_cols; }

    PROTONCE_DEVICE static void load(const float* row, index_t cols, index_t first, bool is_aligned,
                                     float (&to)[piece]) {
        if (row != nullptr && is_aligned && first + piece <= cols) {
            PROTONCE_UNROLL for (int h = 0; h < piece / 4; ++h) {
                const auto from = *reinterpret_cast<const at_once<float, 4>*>(row + first + h * 4);
                PROTONCE_UNROLL for (int e = 0; e < 4; ++e) {
                    to[h * 4 + e] = from.at[e];
                }
            }
        } else {
            PROTONCE_UNROLL for (int e = 0; e < piece; ++e) {
                to[e] = row != nullptr && first + e < cols ? row[first + e] : 0.0F;
            }
        }
    }
};

/// Packs rows into places of those that are kept; without places into the first ones.
template <class Operands>
struct keep_rows {
    using packing = pack_tiles<most_tiled_cols>;
    static constexpr int threads = packing::threads;
    elementwise::table<const float> rows;
    const index_t* place;     // (n,) or null
    const float* temperature; // (n,) that rows are divided by, or null
    Operands to;

    index_t blocks() const { return ceil_div(rows.rows, packing::next_row); }

    PROTONCE_DEVICE void operator()() const {
        const index_t i = index_t{block_index()} * packing::next_row + thread_index() / packing::lanes;
        const bool is_row = i < rows.rows;
        packing::values mine;
        packing::load(is_row ? rows.row(i) : nullptr, rows.cols, mine);
        if (is_row && temperature != nullptr) {
            mine.multiply(1 / temperature[i]);
        }
        packing::store(to, !is_row ? -1 : place == nullptr ? i : place[i], mine);
    }
};

} // namespace protonce::inline v0::detail::cuda

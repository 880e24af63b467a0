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
    float* scale = nullptr; // by which a row was divided
    column_info* info = nullptr;

    PROTONCE_HOST_DEVICE int tile_bytes() const { return static_cast<int>(half_tiles::rows * cols * 2); }
    PROTONCE_HOST_DEVICE const std::uint16_t* tile(index_t number) const {
        return halves + number * (half_tiles::rows * cols);
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

    /// In memory of the scope.
    template <class Scope>
    static operands take(Scope& scope, index_t count, index_t cols) {
        operands to{.count = count,
                    .padded = ceil_div(count, half_tiles::rows) * half_tiles::rows,
                    .cols = cols <= 64    ? 64
                            : cols <= 128 ? 128
                                          : most_tiled_cols};
        to.halves = scope.template matrix<std::uint16_t>(to.padded, to.cols).data();
        to.scale = scope.template vector<float>(to.padded).data();
        to.info = scope.template vector<column_info>(to.padded).data();
        return to;
    }
    PROTONCE_HOST_DEVICE static index_t padded(const operands& to) { return to.padded; }
    PROTONCE_HOST_DEVICE static index_t blocks(const operands& to) { return to.padded / block_rows; }

    /// row(i), info(i): as for pack_operands.
    template <class Row, class Info>
    PROTONCE_DEVICE static void work(const operands& to, index_t cols, index_t block, const Row& row,
                                     const Info& info) {
        const int lane = thread_index() % lanes;
        const index_t i = block * block_rows + thread_index() / lanes;
        const float* values = i < to.count ? row(i) : nullptr;
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
            if (first < to.cols) {
                four<std::uint32_t> words;
                PROTONCE_UNROLL for (int w = 0; w < 4; ++w) {
                    words.at[w] = to_f16_pair(mine[p][2 * w] * inverse, mine[p][2 * w + 1] * inverse);
                }
                auto* place = to.halves + half_tiles::at(i, first, to.cols / half_tiles::cols);
                *reinterpret_cast<four<std::uint32_t>*>(place) = words;
            }
        }
        if (lane == 0) {
            column_info of_row = i < to.count ? info(i) : column_info::none();
            of_row.factor *= scale;
            to.scale[i] = scale;
            to.info[i] = of_row;
        }
    }

private:
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

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/packed_operands.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace protonce::inline v0::detail::cuda {

/// What a kernel takes at a time, and how many blocks it wants.
struct cut_shape {
    index_t block_rows;    // of the left
    index_t tile_rows;     // of the right
    index_t wanted_blocks; // at most, if the left does not make more
    index_t least_tiles;   // of a slice
};

/// How the product is cut: rows of the left by blocks, columns of the sum by slabs, the right by slices of so many tiles. The same for
/// the same sizes on every device, and with it the bits of the sums. Products of one launch share the blocks.
struct fused_cut {
    static constexpr index_t slab_cols = 128;

    index_t row_blocks;
    index_t slabs;
    index_t slice_tiles;
    index_t slices;

    fused_cut(const cut_shape& shape, index_t left, index_t right, index_t cols, bool has_sums, index_t wanted_blocks)
        : row_blocks(ceil_div(left, shape.block_rows)), slabs(has_sums ? ceil_div(cols, slab_cols) : 1) {
        const index_t tiles = ceil_div(right, shape.tile_rows);
        const index_t fitting = wanted_blocks / (std::max)(row_blocks * slabs, index_t{1});
        slice_tiles = (std::max)(ceil_div(tiles, (std::max)(fitting, index_t{1})), shape.least_tiles);
        slices = ceil_div(tiles, slice_tiles);
    }

    index_t blocks() const { return row_blocks * slabs * slices; }
};

/// Of fused_sums.
constexpr cut_shape fused_shape{.block_rows = 64, .tile_rows = 32, .wanted_blocks = 256, .least_tiles = 4};

/// Factors of rows of the right.
struct factor_range {
    float largest = 0x1p-100F;                            // in magnitude, at least this
    float least = std::numeric_limits<float>::infinity(); // lone_factor()

    PROTONCE_DEVICE void take(float size, float lone) {
        largest = size > largest ? size : largest; // NaN makes weights NaN, not the unit
        least = lone < least ? lone : least;
    }
    /// Weights are multiplied by it.
    PROTONCE_DEVICE float unit() const { return 0x1p14F / largest; }
    /// The factor of all rows, if they have one and nothing else; or 0.
    PROTONCE_DEVICE float common() const { return least == largest ? largest : 0; }
};

/// Of rows `first` to `last`, for all threads of the block.
///
/// \param of_warp  in shared memory, one a warp
template <int threads, class Info>
PROTONCE_DEVICE factor_range range_of_factors(const Info* info, index_t first, index_t last, factor_range* of_warp) {
    factor_range all;
    for (index_t j = first + thread_index(); j < last; j += threads) {
        all.take(std::abs(info[j].factor), info[j].lone_factor());
    }
    for (int mask = 16; mask > 0; mask /= 2) {
        all.take(shuffle_xor(all.largest, mask), shuffle_xor(all.least, mask));
    }
    if (thread_index() % 32 == 0) {
        of_warp[thread_index() / 32] = all;
    }
    sync_block();
    for (int warp = 0; warp < threads / 32; ++warp) {
        all.take(of_warp[warp].largest, of_warp[warp].least);
    }
    return all;
}

/// sum_i = sum over j of w_ij right_j, where the weight w_ij is a function of left_i . right_j. A block has 64 rows of the left, a slice
/// of the right, 32 rows at a time, and 128 columns of the sum; products, weights and sums stay in registers. Each warp has 16 rows
/// of its own, whose sums run over its slice in order.
///
///     Weights::info                       what it needs of a row of the right: `factor`, none() behind the last row, lone_factor()
///     read                                the problem
///     Weights::rows                       what a thread keeps of its rows, `first` and `first` + 8 of the left
///     begin(first)                        it at the start
///     weigh(rows, product, first, info, unit, rescale)   products of each row with the right's from `first` on become weights times
///                                         `unit`; what was summed before is to be multiplied by rescale
///     finish(rows, slice)                 once for each row and slice
///     place(rows, r, slice, scale)        where the sums of one of the two rows go, times scale
///
/// Weights are at most `factor` of the right's row, so times `unit` at most 2^14: half precision holds them, and what is smaller
/// than 2^-28 of the largest possible loses digits.
template <class Form, class Weights>
struct fused_sums {
    static constexpr int threads = 128;
    static constexpr int block_rows = fused_shape.block_rows;
    static constexpr int tile_rows = fused_shape.tile_rows;
    static constexpr int slab_cols = fused_cut::slab_cols;

    packed_operands left;
    packed_operands right;
    const typename Weights::info* info; // of the right's rows
    fused_cut cut;                      // number of a block: (slice * slabs + slab) * row_blocks + block of rows
    bool has_sums;                      // else the weights are computed and nothing is summed
    Weights weights;

    /// While a tile is multiplied the next one is on its way, if a block's memory on every device holds both: 99 KiB.
    PROTONCE_HOST_DEVICE static int stages(index_t cols) { return cols <= slab_cols ? 2 : 1; }
    PROTONCE_HOST_DEVICE static int stride(index_t cols) { return Form::words(cols) + 4; } // fragments: all banks
    PROTONCE_HOST_DEVICE static int pair_stride(index_t cols) { return static_cast<int>(cols) + 8; }
    PROTONCE_HOST_DEVICE static int stage_words(index_t cols) {
        return tile_rows * stride(cols) + (Form::has_pairs ? tile_rows / 2 * pair_stride(cols) : 0);
    }
    std::size_t shared_bytes() const {
        const int words = block_rows * stride(left.cols) + stages(left.cols) * stage_words(left.cols);
        return static_cast<std::size_t>(words) * sizeof(std::uint32_t) + threads / 32 * sizeof(factor_range);
    }

    index_t blocks() const { return cut.blocks(); }

    PROTONCE_DEVICE void work(int block) const {
        const int row_blocks = static_cast<int>(cut.row_blocks);
        const int slabs = static_cast<int>(cut.slabs);
        const index_t first_row = index_t{block % row_blocks} * block_rows;
        const int first_col = block / row_blocks % slabs * slab_cols;
        const int slice = block / row_blocks / slabs;
        const int tiles = static_cast<int>(ceil_div(right.count, tile_rows));
        const int slice_tiles = static_cast<int>(cut.slice_tiles);
        const int begin = slice * slice_tiles;
        const int end = begin + slice_tiles < tiles ? begin + slice_tiles : tiles;
        const int cols = static_cast<int>(left.cols);
        const int used = (cols - first_col < slab_cols ? cols - first_col : slab_cols) / 8;
        const bool is_ahead = stages(cols) == 2;

        copy_rows(left_memory(), stride(cols), left.rows, Form::words(cols), first_row, block_rows, left.count);
        if (is_ahead) {
            fetch(begin, begin, end);
        }
        const index_t last = index_t{end} * tile_rows < right.count ? index_t{end} * tile_rows : right.count;
        const float unit = range_of_factors<threads>(info, index_t{begin} * tile_rows, last, warp_memory()).unit();
        const auto at = lane_place::here();
        const int warp_row = thread_index() / 32 * 16;
        const bool is_idle = first_row + warp_row >= left.count; // the whole warp
        auto rows = weights.begin(first_row + warp_row + at.group);
        float sum[slab_cols / 8][4] = {};
        for (int tile = begin; tile < end; ++tile) {
            if (is_ahead) {
                fetch(tile + 1, begin, end);
                wait_copies<1>(); // all but the group just closed
            } else {
                fetch(tile, begin, end);
                wait_copies<0>();
            }
            sync_block();
            if (!is_idle) {
                const std::uint32_t* right_memory = stage(tile - begin);
                float weight[4][4] = {};
                multiply_rows<Form>(weight, left_memory() + warp_row * stride(cols), stride(cols), right_memory,
                                    stride(cols), Form::words(cols), at);
                float rescale[2];
                const index_t j0 = index_t{tile} * tile_rows;
                const auto info_of = [&](int n, int c) {
                    const index_t j = j0 + n * 8 + 2 * at.member + c;
                    return j < right.count ? info[j] : Weights::info::none();
                };
                weights.weigh(rows, weight, j0, info_of, unit, rescale);
                if (has_sums) {
                    multiply(sum, rescale);
                    Form::add_weighted(sum, used, weight, columns_from(first_col, right_memory), at);
                }
            }
            sync_block(); // before the stage is overwritten
        }
        if (!is_idle) {
            if (first_col == 0) {
                weights.finish(rows, slice);
            }
            if (has_sums) {
                store(sum, rows, slice, first_col, 1 / unit, at);
            }
        }
    }

private:
    PROTONCE_DEVICE std::uint32_t* left_memory() const { return reinterpret_cast<std::uint32_t*>(shared_memory()); }
    PROTONCE_DEVICE factor_range* warp_memory() const { // behind all stages, one a warp
        return reinterpret_cast<factor_range*>(left_memory() + block_rows * stride(left.cols) +
                                               stages(left.cols) * stage_words(left.cols));
    }
    PROTONCE_DEVICE std::uint32_t* stage(int step) const {
        return left_memory() + block_rows * stride(left.cols) + step % stages(left.cols) * stage_words(left.cols);
    }
    PROTONCE_DEVICE shared_rows columns_from(int first_col, const std::uint32_t* stage) const {
        return {stage + first_col, stride(left.cols), stage + tile_rows * stride(left.cols) + first_col,
                pair_stride(left.cols)};
    }

    /// Begins to copy rows of words, zeros past the limit.
    PROTONCE_DEVICE static void copy_rows(std::uint32_t* to, int to_stride, const std::uint32_t* from, int words,
                                          index_t first, int count, index_t limit) {
        const int pieces = words / 4; // of 16 bytes
        for (int i = thread_index(); i < count * pieces; i += threads) {
            const int row = i / pieces;
            const int word = i % pieces * 4;
            const bool is_row = first + row < limit;
            copy_async_16(to + row * to_stride + word, from + (is_row ? (first + row) * words : 0) + word, is_row);
        }
    }
    /// Begins to copy a tile of the right, if it is one of the slice.
    PROTONCE_DEVICE void fetch(int tile, int begin, int end) const {
        if (tile < end) {
            const int cols = static_cast<int>(right.cols);
            const index_t first = index_t{tile} * tile_rows;
            std::uint32_t* to = stage(tile - begin);
            copy_rows(to, stride(cols), right.rows, Form::words(cols), first, tile_rows, right.count);
            if constexpr (Form::has_pairs) {
                copy_rows(to + tile_rows * stride(cols), pair_stride(cols), right.pairs, cols, first / 2, tile_rows / 2,
                          ceil_div(right.count, 2));
            }
        }
        commit_copies();
    }

    PROTONCE_DEVICE static void multiply(float (&sum)[slab_cols / 8][4], const float (&rescale)[2]) {
        if (rescale[0] == 1 && rescale[1] == 1) {
            return;
        }
        PROTONCE_UNROLL for (int n = 0; n < slab_cols / 8; ++n) {
            PROTONCE_UNROLL for (int e = 0; e < 4; ++e) {
                sum[n][e] *= rescale[e / 2];
            }
        }
    }
    PROTONCE_DEVICE void store(const float (&sum)[slab_cols / 8][4], const typename Weights::rows& rows, int slice,
                               int first_col, float scale, const lane_place& at) const {
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            weights.place(rows, r, slice, scale)
                .store(first_col + 2 * at.member, weights.read.query.cols,
                       [&](int n, int c) { return sum[n][2 * r + c]; });
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

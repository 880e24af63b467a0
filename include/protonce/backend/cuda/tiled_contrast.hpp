// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/fused_sums.hpp>
#include <protonce/backend/cuda/ring.hpp>
#include <protonce/backend/cuda/softmax_weights.hpp>
#include <protonce/backend/cuda/tile_ring.hpp>
#include <protonce/backend/cuda/tiled_operands.hpp>
#include <protonce/backend/cuda/warp_group.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace protonce::inline v0::detail::cuda {

/// The products of a group of four warps with tiles in shared memory: 64 rows of one and 128 rows of another.
struct tile_products : tile_order {
    static constexpr int group_rows = 64;

    /// sum = 64 rows of the left times the 128 of the right.
    template <int cols>
    PROTONCE_DEVICE static void begin_logits(float (&sum)[64], const unsigned char* left, const unsigned char* right) {
        PROTONCE_UNROLL for (int i = 0; i < 64; ++i) {
            sum[i] = 0;
        }
        pin_sums(sum);
        const std::uint64_t of_left = matrix_descriptor(left, next_col_core, next_row_core);
        const std::uint64_t of_right = matrix_descriptor(right, next_col_core, next_row_core);
        fence_products();
        PROTONCE_UNROLL for (int k = 0; k < cols / 8; k += 2) {
            begin_product(sum, further(of_left, k * next_col_core), further(of_right, k * next_col_core));
        }
        commit_products();
    }
    /// sum += weights times the 128 rows of the right, for 128 columns from `right` on.
    PROTONCE_DEVICE static void begin_sums(float (&sum)[64], std::uint32_t (&weight)[8][4],
                                           const unsigned char* right) {
        pin_sums(sum);
        pin_operands(weight);
        const std::uint64_t of_right = matrix_descriptor(right, next_row_core, next_col_core);
        fence_products();
        PROTONCE_UNROLL for (int k = 0; k < 8; ++k) {
            begin_product(sum, weight[k], further(of_right, k * 2 * next_row_core));
        }
        commit_products();
    }
};

/// logit_i = query_i . positive_i / t, times log2_of_e, by the chain that columns go through: a duplicate of the
/// positive has the same bits.
template <int cols>
struct tiled_positives {
    static constexpr int threads = 256; // two groups
    static constexpr int block_rows = tile_products::rows;
    tiled_operands query;
    tiled_operands positive;
    float* logit;

    index_t blocks() const { return query.padded / block_rows; }
    std::size_t shared_bytes() const {
        return 2 * static_cast<std::size_t>(query.tile_bytes()) + sizeof(std::uint64_t);
    }

    PROTONCE_DEVICE void work(int block) const {
        if constexpr (has_warp_groups) {
            unsigned char* left = shared_memory();
            unsigned char* right = left + query.tile_bytes();
            auto* barrier = reinterpret_cast<std::uint64_t*>(right + query.tile_bytes());
            if (thread_index() == 0) {
                init_barrier(barrier, 1);
                publish_shared();
                arrive_expecting(barrier, 2 * query.tile_bytes());
                copy_bulk(left, query.tile(block), query.tile_bytes(), barrier);
                copy_bulk(right, positive.tile(block), query.tile_bytes(), barrier);
            }
            sync_block();
            wait_barrier(barrier, 0);
            const int group = thread_index() / 128;
            float sum[64];
            tile_products::begin_logits<cols>(
                sum, left + group * (tile_products::group_rows / 8) * tile_products::next_row_core, right);
            wait_products<0>();
            pin_sums(sum);
            const auto at = lane_place::here();
            const int first = group * tile_products::group_rows + thread_index() % 128 / 32 * 16 + at.group;
            PROTONCE_UNROLL for (int i = 0; i < 64; ++i) {
                const int row = first + i / 2 % 2 * 8;
                const index_t of_query = index_t{block} * block_rows + row;
                if (row == i / 4 * 8 + 2 * at.member + i % 2 && of_query < query.count) {
                    logit[of_query] = sum[i] * (query.scale[of_query] * log2_of_e * positive.info[of_query].factor);
                }
            }
        }
    }
};

/// Of tiled_sums; 132 processors have the devices with these instructions.
constexpr cut_shape tiled_shape{.block_rows = 128, .tile_rows = 128, .wanted_blocks = 132, .least_tiles = 1};

/// fused_sums by groups of four warps (`wgmma`), for architecture 90a; empty for others.
///
/// A block has 128 rows of the left, 64 for each of two groups, and a slice of the right, 128 rows at a time. A third
/// group fetches tiles ahead; a tile of the right serves both products. Weights go from the registers of the first
/// product into the second.
///
/// Weights: as for fused_sums. With has_common_way also, where the rows of the slice have one factor and nothing else,
///     is_common(rows, first, last)                    may no row of the right from `first` to `last` be left out?
///     weigh_common(rows, product, factor, rescale)    weigh() then, or false
/// `cols`: of the packed rows. `picks`: the rows of the right are picked from a pool, else they lie in tiles. Sums are computed in any case,
/// and stored if wanted.
template <class Weights, int cols, bool picks = false>
struct tiled_sums {
    static constexpr int groups = 2;
    static constexpr int consumers = groups * 128;
    static constexpr int threads = consumers + 128; // registers are given to whole groups
    static constexpr int blocks_a_processor = 1;
    static constexpr int block_rows = tile_products::rows;
    using info_type = typename Weights::info;
    using ring = tile_ring<cols, info_type, consumers>;
    using filler = std::conditional_t<picks, picked_rows<ring, info_type, cols>, whole_tiles<ring, info_type>>;

    tiled_operands left;
    typename filler::Right right;
    const info_type* info; // of the right's rows, those of its padding too
    fused_cut cut;         // number of a block: (slice * slabs + slab) * row_blocks + block of rows
    bool has_sums;
    Weights weights;

    index_t blocks() const { return cut.blocks(); }
    static constexpr std::size_t shared_bytes() { return static_cast<std::size_t>(scratch_begin + scratch_bytes); }

    PROTONCE_DEVICE void work(int block) const {
        if constexpr (has_warp_groups) {
            const part mine = part_of(block);
            filler fill(right, info, mine.begin, mine.end, thread_index() - consumers);
            if (thread_index() == consumers) {
                init_barriers();
                fetch_left(mine);
            }
            if (thread_index() >= consumers) {
                fill.start(); // before others have come so far
            }
            const auto factors = range_of_factors<threads>(
                info, index_t{mine.begin} * tile_products::rows, index_t{mine.end} * tile_products::rows,
                reinterpret_cast<factor_range*>(turn_of(groups))); // all threads meet there
            if (thread_index() < consumers) {
                take_registers<240>();
                consume(mine, factors);
            } else {
                leave_registers<24>();
                fill.go_on();
            }
        }
    }

private:
    // Behind the ring: turns, one number a warp.
    static constexpr int scratch_begin = ring::barriers_begin;
    static constexpr int scratch_bytes = (ring::barriers + groups) * static_cast<int>(sizeof(std::uint64_t)) +
                                         threads / 32 * static_cast<int>(sizeof(factor_range));
    PROTONCE_DEVICE static std::uint64_t* turn_of(int group) { return ring::more_barriers() + group; }

    /// What a block does, divided out once.
    struct part {
        int row_block;
        int slab;
        int slice;
        int begin; // tiles
        int end;
    };
    PROTONCE_DEVICE part part_of(int block) const {
        const int row_blocks = static_cast<int>(cut.row_blocks);
        const int slabs = static_cast<int>(cut.slabs);
        const int slice_tiles = static_cast<int>(cut.slice_tiles);
        const int tiles = static_cast<int>(right.padded / tile_products::rows);
        part out;
        out.row_block = block % row_blocks;
        out.slab = block / row_blocks % slabs;
        out.slice = block / row_blocks / slabs;
        out.begin = out.slice * slice_tiles;
        out.end = out.begin + slice_tiles < tiles ? out.begin + slice_tiles : tiles;
        return out;
    }

    PROTONCE_DEVICE static void init_barriers() {
        ring::init_barriers(filler::arrivals);
        for (int group = 0; group < groups; ++group) {
            init_barrier(turn_of(group), consumers / groups / 32);
        }
        publish_shared();
    }
    PROTONCE_DEVICE void fetch_left(const part& mine) const {
        arrive_expecting(ring::left_barrier(), ring::tile_bytes);
        copy_bulk(ring::left(), left.tile(mine.row_block), ring::tile_bytes, ring::left_barrier());
    }

    /// Groups take turns to begin products: so one looks at its logits while those of the other are under way. Sums of a
    /// tile are begun behind the logits of the next one, which are needed first.
    PROTONCE_DEVICE void consume(const part& mine, const factor_range& factors) const {
        const float unit = factors.unit();
        const float common = factors.common();
        const int group = thread_index() / 128;
        const auto lane = lane_place::here();
        const unsigned char* left_memory =
            ring::left() + group * (tile_products::group_rows / 8) * tile_products::next_row_core;
        auto rows = weights.begin(index_t{mine.row_block} * block_rows + group * tile_products::group_rows +
                                  thread_index() % 128 / 32 * 16 + lane.group);
        float sum[64];
        PROTONCE_UNROLL for (int i = 0; i < 64; ++i) {
            sum[i] = 0;
        }
        std::uint32_t weight[8][4] = {}; // of the tile before
        ring_place at(ring::stages);
        int before = 0;       // its stage
        int turn = group ^ 1; // the first one passes
        wait_barrier(ring::left_barrier(), 0);
        for (int tile = mine.begin; tile < mine.end; ++tile) {
            const unsigned char* memory = ring::tile(at.stage);
            float product[16][4];
            auto& flat = reinterpret_cast<float(&)[64]>(product);
            wait_barrier(ring::full(at.stage), at.parity);
            wait_barrier(turn_of(group), turn);
            turn ^= 1;
            tile_products::begin_logits<cols>(flat, left_memory, memory);
            tile_products::begin_sums(sum, weight,
                                      ring::tile(before) + mine.slab * ring::slab_bytes); // of nothing at first
            hand_over(group);
            wait_products<1>();
            pin_sums(flat);
            float rescale[2];
            weigh(rows, product, tile, ring::info(at.stage), lane, unit, common, rescale);
            wait_products<0>();
            pin_sums(sum);
            if (tile > mine.begin) {
                release(before);
            }
            multiply(sum, rescale);
            PROTONCE_UNROLL for (int k = 0; k < 8; ++k) { // two neighbouring results are one register
                PROTONCE_UNROLL for (int i = 0; i < 4; ++i) {
                    const float(&pair)[4] = product[2 * k + i / 2];
                    weight[k][i] = to_f16_pair(pair[i % 2 * 2], pair[i % 2 * 2 + 1]);
                }
            }
            before = at.stage;
            at.advance();
        }
        tile_products::begin_sums(sum, weight, ring::tile(before) + mine.slab * ring::slab_bytes);
        wait_products<0>();
        pin_sums(sum);
        if (mine.slab == 0) {
            weights.finish(rows, mine.slice);
        }
        if (has_sums) {
            store(sum, rows, mine, 1 / unit, lane);
        }
    }
    PROTONCE_DEVICE void weigh(typename Weights::rows& rows, float (&product)[16][4], int tile,
                               const unsigned char* info_memory, const lane_place& lane, float unit, float common,
                               float (&rescale)[2]) const {
        const index_t first = index_t{tile} * tile_products::rows;
        if constexpr (Weights::has_common_way) {
            if (common != 0 && weights.is_common(rows, first, first + tile_products::rows) &&
                Weights::weigh_common(rows, product, common, rescale)) {
                return;
            }
        }
        const auto* of_tile = reinterpret_cast<const typename Weights::info*>(info_memory) + 2 * lane.member;
        weights.weigh(
            rows, product, first, [of_tile](int n, int c) { return of_tile[n * 8 + c]; }, unit, rescale);
    }
    PROTONCE_DEVICE void hand_over(int group) const {
        if (thread_index() % 32 == 0) {
            arrive(turn_of(group ^ 1));
        }
    }
    PROTONCE_DEVICE void release(int stage) const {
        if (thread_index() % 32 == 0) {
            arrive(ring::empty(stage));
        }
    }

    PROTONCE_DEVICE static void multiply(float (&sum)[64], const float (&rescale)[2]) {
        if (rescale[0] == 1 && rescale[1] == 1) {
            return;
        }
        PROTONCE_UNROLL for (int i = 0; i < 64; ++i) {
            sum[i] *= rescale[i / 2 % 2];
        }
    }
    PROTONCE_DEVICE void store(const float (&sum)[64], const typename Weights::rows& rows, const part& mine,
                               float scale, const lane_place& lane) const {
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            weights.place(rows, r, mine.slice, scale)
                .store(mine.slab * tile_products::slab_cols + 2 * lane.member, weights.read.query.cols,
                       [&](int n, int c) { return sum[n * 4 + r * 2 + c]; });
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

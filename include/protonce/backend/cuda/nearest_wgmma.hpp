// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/best_of_row.hpp>
#include <protonce/backend/cuda/packed_rows.hpp>
#include <protonce/backend/cuda/ring.hpp>
#include <protonce/backend/cuda/warp_group.hpp>

#include <cstddef>
#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// What nearest_half computes, by groups of four warps (`wgmma`), for architecture 90a; empty for others.
///
/// A block has 256 rows and a slice of the centroids: four groups take 64 rows each, against 128 centroids at a time. A
/// fifth group fetches them ahead, `stage_chunks` times 32 columns a stage: instructions around products are as many a stage,
/// so the more columns the better, if they divide those of the rows. Up to 256 columns the rows are fetched once and stay.
/// The groups wait for stages, not for each other, so that some look at their scores while others multiply.
///
/// reads N C K / 256 values of centroids, from the cache for the most part; compute-bound
template <int stage_chunks>
struct nearest_wgmma {
    static constexpr int groups = 4;
    static constexpr int group_rows = 64;
    static constexpr int consumers = groups * 128;
    static constexpr int threads = consumers + 128; // registers are given to whole groups
    static constexpr int blocks_a_processor = 1;
    static constexpr int block_rows = groups * group_rows;
    static constexpr int block_tiles = block_rows / static_cast<int>(half_tiles::rows);
    static constexpr int block_centroids = half_tiles::rows;
    static constexpr int core_bytes = 128;
    static constexpr int matrix_bytes = half_tiles::chunk_values * 2; // a chunk of 128 rows
    static constexpr int rows_bytes = block_tiles * matrix_bytes;     // a chunk of the block's
    static constexpr int most_chunks_that_stay = 8;
    static constexpr int matrix_memory = most_chunks_that_stay * rows_bytes + 3 * 4 * matrix_bytes; // rows, then stages
    static constexpr int most_stages = 8;
    static constexpr std::size_t shared_bytes = matrix_memory + 2 * most_stages * sizeof(std::uint64_t);

    packed_rows rows;
    packed_rows centroids;
    const float* first_score; // (padded_rows of the centroids,)
    sliced_best best;

    static index_t slices(index_t num_rows, index_t tiles) {
        constexpr index_t enough_blocks = 132; // processors of an H100, a block each
        return sliced_best::slices(ceil_div(num_rows, block_rows), tiles, enough_blocks);
    }
    index_t blocks() const { return row_blocks() * best.num_slices; }

    PROTONCE_DEVICE void operator()() const {
        if constexpr (has_warp_groups) {
            if (thread_index() == 0) {
                for (int stage = 0; stage < stages(); ++stage) {
                    init_barrier(full(stage), 1);
                    init_barrier(empty(stage), consumers / 32);
                }
                publish_shared();
            }
            sync_block();
            if (thread_index() < consumers) {
                take_registers<112>();
                consume();
            } else {
                leave_registers<24>();
                if (thread_index() == consumers) {
                    produce();
                }
            }
        }
    }

private:
    /// A stage's barriers: what it holds has come; all warps have done with it.
    PROTONCE_DEVICE static std::uint64_t* full(int stage) {
        return reinterpret_cast<std::uint64_t*>(shared_memory() + matrix_memory) + stage;
    }
    PROTONCE_DEVICE static std::uint64_t* empty(int stage) { return full(most_stages + stage); }

    PROTONCE_HOST_DEVICE int chunks() const { return static_cast<int>(rows.chunks()); }
    PROTONCE_DEVICE int steps() const { return chunks() / stage_chunks; } // of a tile of centroids
    PROTONCE_DEVICE bool rows_stay() const { return chunks() <= most_chunks_that_stay; }
    /// Centroids, then rows if they do not stay.
    PROTONCE_DEVICE int stage_bytes() const {
        return stage_chunks * (rows_stay() ? matrix_bytes : matrix_bytes + rows_bytes);
    }
    PROTONCE_DEVICE int first_stage() const { return rows_stay() ? chunks() * rows_bytes : 0; }
    PROTONCE_DEVICE int stages() const {
        const int fitting = (matrix_memory - first_stage()) / stage_bytes();
        return fitting < most_stages ? fitting : most_stages;
    }
    PROTONCE_HOST_DEVICE index_t row_blocks() const { return ceil_div(rows.rows, block_rows); }
    PROTONCE_DEVICE sliced_best::share share() const {
        return best.share_of(block_index(), row_blocks(), centroids.padded_rows / block_centroids);
    }

    /// Fills stages as they become empty. Chunks of centroids lie in the order of the steps.
    PROTONCE_DEVICE void produce() const {
        const auto mine = share();
        const index_t last_tile = rows.padded_rows / half_tiles::rows - 1;
        ring_place at(stages());
        for (index_t tile = mine.first; tile < mine.last; ++tile) {
            for (int step = 0; step < steps(); ++step) {
                wait_barrier(empty(at.stage), at.parity ^ 1); // lets the first round pass
                const bool with_rows = !rows_stay() || tile == mine.first;
                arrive_expecting(full(at.stage), stage_chunks * (with_rows ? matrix_bytes + rows_bytes : matrix_bytes));
                const int to = first_stage() + at.stage * stage_bytes();
                fetch(centroids, tile * chunks() + step * stage_chunks, stage_chunks * matrix_bytes, to, at.stage);
                if (with_rows) {
                    fetch_rows(mine.row_block, last_tile, step, to, at.stage);
                }
                at.advance();
            }
        }
    }
    PROTONCE_DEVICE void fetch_rows(index_t row_block, index_t last_tile, int step, int stage_memory, int stage) const {
        int to = rows_memory(step, stage_memory);
        for (int chunk = step * stage_chunks; chunk < (step + 1) * stage_chunks; ++chunk) {
            for (int n = 0; n < block_tiles; ++n, to += matrix_bytes) {
                const index_t tile = row_block * block_tiles + n;
                fetch(rows, (tile < last_tile ? tile : last_tile) * chunks() + chunk, matrix_bytes, to, stage);
            }
        }
    }
    PROTONCE_DEVICE static void fetch(const packed_rows& from, index_t chunk, int bytes, int to, int stage) {
        copy_bulk(shared_memory() + to, from.rounded + chunk * half_tiles::chunk_values, bytes, full(stage));
    }
    /// Where the rows' chunks of a step lie.
    PROTONCE_DEVICE int rows_memory(int step, int stage_memory) const {
        return rows_stay() ? step * stage_chunks * rows_bytes : stage_memory + stage_chunks * matrix_bytes;
    }

    PROTONCE_DEVICE void consume() const {
        const int group = thread_index() / 128;
        const int row_place = group / 2 * matrix_bytes + group % 2 * (group_rows / 8) * core_bytes;
        best_of_lane mine[2]; // of rows g, g + 8, where g is the first one of the thread
        float sum[64];
        ring_place at(stages());
        const auto slice = share();
        for (index_t tile = slice.first; tile < slice.last; ++tile) {
            begin(tile * block_centroids, sum);
            int before = 0; // stage of the step before
            for (int step = 0; step < steps(); ++step) {
                wait_barrier(full(at.stage), at.parity);
                const int stage_memory = first_stage() + at.stage * stage_bytes();
                multiply(rows_memory(step, stage_memory) + row_place, stage_memory, sum);
                wait_products<1>(); // those of the step before
                if (step > 0) {
                    release(before);
                }
                before = at.stage;
                at.advance();
            }
            wait_products<0>();
            release(before);
            pin_sums(sum);
            take(tile * block_centroids, sum, mine);
        }
        merge(group, mine);
    }
    PROTONCE_DEVICE static void release(int stage) {
        if (thread_index() % 32 == 0) {
            arrive(empty(stage));
        }
    }

    PROTONCE_DEVICE void begin(index_t first, float (&sum)[64]) const {
        using pair = at_once<float, 2>;
        const auto* scores = reinterpret_cast<const pair*>(first_score + first) + thread_index() % 4;
        PROTONCE_UNROLL for (int n = 0; n < 16; ++n) {
            const pair score = scores[4 * n];
            PROTONCE_UNROLL for (int i = 0; i < 4; ++i) {
                sum[n * 4 + i] = score.at[i % 2];
            }
        }
        pin_sums(sum);
    }

    /// Begins the products of a step; where its rows and centroids lie in shared memory.
    PROTONCE_DEVICE static void multiply(int row_memory, int centroid_memory, float (&sum)[64]) {
        constexpr int next_k = half_tiles::rows / half_tiles::core * core_bytes;
        const std::uint64_t row = matrix_descriptor(shared_memory() + row_memory, next_k, core_bytes);
        const std::uint64_t centroid = matrix_descriptor(shared_memory() + centroid_memory, next_k, core_bytes);
        fence_products();
        PROTONCE_UNROLL for (int chunk = 0; chunk < stage_chunks; ++chunk) {
            PROTONCE_UNROLL for (int k = 0; k < 2; ++k) {
                begin_product(sum, further(row, chunk * rows_bytes + k * 2 * next_k),
                              further(centroid, chunk * matrix_bytes + k * 2 * next_k));
            }
        }
        commit_products();
    }

    /// Scores of a finished tile into the best so far.
    PROTONCE_DEVICE static void take(index_t first, const float (&sum)[64], best_of_lane (&mine)[2]) {
        const label_t first_label = static_cast<label_t>(first) + 2 * (thread_index() % 4);
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            take_scores<32>(
                mine[r], [&](int i) { return sum[i / 2 * 4 + r * 2 + i % 2]; },
                [&](int i) { return first_label + i / 2 * 8 + i % 2; });
        }
    }

    /// The four lanes of a row put their best together.
    PROTONCE_DEVICE void merge(int group, best_of_lane (&mine)[2]) const {
        const auto block = share();
        const int first = group * group_rows + thread_index() % 128 / 32 * 16 + thread_index() % 32 / 4;
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            merge_four_lanes(mine[r].best);
            const index_t row = block.row_block * block_rows + r * 8 + first;
            if (thread_index() % 4 == 0 && row < rows.rows) {
                best.of(block.slice, row) = mine[r].best;
            }
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

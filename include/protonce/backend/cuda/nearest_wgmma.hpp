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
/// fifth group fetches chunks of 32 columns, eight ahead. Up to 256 columns the rows are fetched once and stay. The
/// groups wait for chunks, not for each other, so that some look at their scores while others multiply: with two groups
/// of 128 rows products waited.
///
/// reads N C K / 256 values of centroids, from the cache for the most part; compute-bound
struct nearest_wgmma {
    static constexpr int groups = 4;
    static constexpr int group_rows = 64;
    static constexpr int consumers = groups * 128;
    static constexpr int threads = consumers + 128; // registers are given to whole groups
    static constexpr int blocks_a_processor = 1;
    static constexpr int block_rows = groups * group_rows;
    static constexpr int block_tiles = block_rows / static_cast<int>(half_tiles::rows);
    static constexpr int block_centroids = half_tiles::rows;
    static constexpr int stages = 8;
    static constexpr index_t enough_blocks = 132; // processors of an H100, a block each
    static constexpr int core_bytes = 128;
    static constexpr int matrix_bytes = half_tiles::chunk_values * 2;           // of 128 rows, in a stage
    static constexpr int centroid_memory = stages * block_tiles * matrix_bytes; // begins behind the rows
    static constexpr int barrier_memory = centroid_memory + stages * matrix_bytes;
    static constexpr std::size_t shared_bytes = barrier_memory + 2 * stages * sizeof(std::uint64_t);

    packed_rows rows;
    packed_rows centroids;
    const float* half_square; // (padded_rows of the centroids,)
    sliced_best best;

    static index_t slices(index_t num_rows, index_t tiles) {
        return sliced_best::slices(ceil_div(num_rows, block_rows), tiles, enough_blocks);
    }
    index_t blocks() const { return row_blocks() * best.num_slices; }

    PROTONCE_DEVICE void operator()() const {
        if constexpr (has_warp_groups) {
            if (thread_index() == 0) {
                for (int stage = 0; stage < stages; ++stage) {
                    init_barrier(full(stage), 1);
                    init_barrier(empty(stage), consumers / 32);
                }
                publish_barriers();
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
    /// A stage's barriers: its chunks have come; all warps have done with them.
    PROTONCE_DEVICE static std::uint64_t* full(int stage) {
        return reinterpret_cast<std::uint64_t*>(shared_memory() + barrier_memory) + stage;
    }
    PROTONCE_DEVICE static std::uint64_t* empty(int stage) { return full(stages + stage); }

    /// Do all chunks of the rows find a place?
    PROTONCE_DEVICE bool rows_stay() const { return rows.chunks() <= stages; }
    PROTONCE_HOST_DEVICE index_t row_blocks() const { return ceil_div(rows.rows, block_rows); }
    PROTONCE_DEVICE sliced_best::share share() const {
        return best.share_of(block_index(), row_blocks(), centroids.padded_rows / block_centroids);
    }

    /// Fills stages as they become empty. Chunks of centroids lie in the order of the steps.
    PROTONCE_DEVICE void produce() const {
        const auto mine = share();
        const index_t last_tile = rows.padded_rows / half_tiles::rows - 1;
        const index_t first_step = mine.first * rows.chunks();
        index_t chunk = 0;
        ring_place<stages> at;
        for (index_t step = first_step; step < mine.last * rows.chunks(); ++step) {
            wait_barrier(empty(at.stage), at.parity ^ 1); // lets the first round pass
            const bool with_rows = !rows_stay() || step < first_step + rows.chunks();
            arrive_expecting(full(at.stage), (with_rows ? 1 + block_tiles : 1) * matrix_bytes);
            if (with_rows) {
                for (int n = 0; n < block_tiles; ++n) {
                    const index_t tile = mine.row_block * block_tiles + n;
                    fetch(rows, (tile < last_tile ? tile : last_tile) * rows.chunks() + chunk,
                          (at.stage * block_tiles + n) * matrix_bytes, at.stage);
                }
            }
            fetch(centroids, step, centroid_memory + at.stage * matrix_bytes, at.stage);
            chunk = chunk + 1 == rows.chunks() ? 0 : chunk + 1;
            at.advance();
        }
    }
    PROTONCE_DEVICE static void fetch(const packed_rows& from, index_t chunk, int to, int stage) {
        copy_bulk(shared_memory() + to, from.rounded + chunk * half_tiles::chunk_values, matrix_bytes, full(stage));
    }

    PROTONCE_DEVICE void consume() const {
        const int group = thread_index() / 128;
        best_three mine[2]; // of rows g, g + 8, where g is the first one of the thread
        float sum[64];
        ring_place<stages> at;
        const auto slice = share();
        for (index_t first = slice.first * block_centroids; first < slice.last * block_centroids;
             first += block_centroids) {
            begin(first, sum);
            int before = 0; // stage of the chunk before
            for (index_t chunk = 0; chunk < rows.chunks(); ++chunk) {
                wait_barrier(full(at.stage), at.parity);
                const int row_stage = rows_stay() ? static_cast<int>(chunk) : at.stage;
                multiply((row_stage * block_tiles + group / 2) * matrix_bytes +
                             group % 2 * (group_rows / 8) * core_bytes,
                         centroid_memory + at.stage * matrix_bytes, sum);
                wait_products<1>(); // those of the chunk before
                if (chunk > 0) {
                    release(before);
                }
                before = at.stage;
                at.advance();
            }
            wait_products<0>();
            release(before);
            pin_sums(sum);
            take(first, sum, mine);
        }
        merge(group, mine);
    }
    PROTONCE_DEVICE static void release(int stage) {
        if (thread_index() % 32 == 0) {
            arrive(empty(stage));
        }
    }

    PROTONCE_DEVICE void begin(index_t first, float (&sum)[64]) const {
        struct alignas(8) pair {
            float value[2];
        };
        const auto* halves = reinterpret_cast<const pair*>(half_square + first) + thread_index() % 4;
        PROTONCE_UNROLL for (int n = 0; n < 16; ++n) {
            const pair half = halves[4 * n];
            PROTONCE_UNROLL for (int i = 0; i < 4; ++i) {
                sum[n * 4 + i] = -half.value[i % 2];
            }
        }
        pin_sums(sum);
    }

    /// Begins the products of a chunk; where its rows and centroids lie in shared memory.
    PROTONCE_DEVICE static void multiply(int row_memory, int column_memory, float (&sum)[64]) {
        constexpr int next_k = half_tiles::rows / half_tiles::core * core_bytes;
        fence_products();
        PROTONCE_UNROLL for (int k = 0; k < 2; ++k) {
            begin_product(sum, matrix_descriptor(shared_memory() + row_memory + k * 2 * next_k, next_k, core_bytes),
                          matrix_descriptor(shared_memory() + column_memory + k * 2 * next_k, next_k, core_bytes));
        }
        commit_products();
    }

    /// Scores of a finished tile into the best so far.
    PROTONCE_DEVICE static void take(index_t first, const float (&sum)[64], best_three (&mine)[2]) {
        const label_t first_label = static_cast<label_t>(first) + 2 * (thread_index() % 4);
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            take_scores<32>(
                mine[r], [&](int i) { return sum[i / 2 * 4 + r * 2 + i % 2]; },
                [&](int i) { return first_label + i / 2 * 8 + i % 2; });
        }
    }

    /// The four lanes of a row put their best together.
    PROTONCE_DEVICE void merge(int group, best_three (&mine)[2]) const {
        const auto block = share();
        const int first = group * group_rows + thread_index() % 128 / 32 * 16 + thread_index() % 32 / 4;
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            merge_four_lanes(mine[r]);
            const index_t row = block.row_block * block_rows + r * 8 + first;
            if (thread_index() % 4 == 0 && row < rows.rows) {
                best.of(block.slice, row) = mine[r];
            }
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

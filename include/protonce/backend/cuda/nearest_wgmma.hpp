// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/best_of_row.hpp>
#include <protonce/backend/cuda/packed_rows.hpp>
#include <protonce/backend/cuda/warp_group.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// What nearest_bf16 computes, by groups of four warps (`wgmma`), for architecture 90a; empty for others.
///
/// A block has 256 rows: two groups take 128 each, against 128 centroids at a time. Another warp fetches chunks of 32
/// columns, eight ahead. Up to 256 columns the rows are fetched once and stay. The groups wait for chunks, not for each
/// other, so that one looks at its scores while the other multiplies.
///
/// reads N C K / 256 values of centroids, from the cache for the most part; compute-bound
struct nearest_wgmma {
    static constexpr int groups = 2;
    static constexpr int consumers = groups * 128;
    static constexpr int threads = consumers + 32;
    static constexpr int block_rows = groups * bf16_tiles::rows;
    static constexpr int block_centroids = bf16_tiles::rows;
    static constexpr int stages = 8;
    static constexpr int matrix_bytes = bf16_tiles::chunk_values * 2;      // of 128 rows, in a stage
    static constexpr int centroid_memory = stages * groups * matrix_bytes; // begins behind the rows
    static constexpr int barrier_memory = centroid_memory + stages * matrix_bytes;
    static constexpr std::size_t shared_bytes = barrier_memory + 2 * stages * sizeof(std::uint64_t);

    packed_rows rows;
    packed_rows centroids;
    const float* half_square; // (padded_rows of the centroids,)
    best_three* best;         // (N,)

    index_t blocks() const { return ceil_div(rows.rows, block_rows); }

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
                consume();
            } else if (thread_index() == consumers) {
                produce();
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
    PROTONCE_DEVICE index_t steps() const { return centroids.padded_rows / block_centroids * rows.chunks(); }

    /// A step in the ring of stages.
    struct cursor {
        int stage = 0;
        int parity = 0; // of how often the ring was left behind

        PROTONCE_DEVICE void advance() {
            if (++stage == stages) {
                stage = 0;
                parity ^= 1;
            }
        }
    };

    /// Fills stages as they become empty. Chunks of centroids lie in the order of the steps.
    PROTONCE_DEVICE void produce() const {
        const index_t last_tile = rows.padded_rows / bf16_tiles::rows - 1;
        index_t chunk = 0;
        cursor at;
        for (index_t step = 0; step < steps(); ++step) {
            wait_barrier(empty(at.stage), at.parity ^ 1); // lets the first round pass
            const bool with_rows = !rows_stay() || step < rows.chunks();
            arrive_expecting(full(at.stage), (with_rows ? 1 + groups : 1) * matrix_bytes);
            if (with_rows) {
                for (int group = 0; group < groups; ++group) {
                    const index_t tile = index_t{block_index()} * groups + group;
                    fetch(rows, (tile < last_tile ? tile : last_tile) * rows.chunks() + chunk,
                          (at.stage * groups + group) * matrix_bytes, at.stage);
                }
            }
            fetch(centroids, step, centroid_memory + at.stage * matrix_bytes, at.stage);
            chunk = chunk + 1 == rows.chunks() ? 0 : chunk + 1;
            at.advance();
        }
    }
    PROTONCE_DEVICE static void fetch(const packed_rows& from, index_t chunk, int to, int stage) {
        copy_bulk(shared_memory() + to, from.rounded + chunk * bf16_tiles::chunk_values, matrix_bytes, full(stage));
    }

    PROTONCE_DEVICE void consume() const {
        const int group = thread_index() / 128;
        best_three mine[4]; // of rows g, g + 8, g + 64, g + 72, where g is the first one of the thread
        float sum[2][64];
        cursor at;
        for (index_t first = 0; first < centroids.padded_rows; first += block_centroids) {
            begin(first, sum);
            int before = 0; // stage of the chunk before
            for (index_t chunk = 0; chunk < rows.chunks(); ++chunk) {
                wait_barrier(full(at.stage), at.parity);
                const int row_slot = rows_stay() ? static_cast<int>(chunk) : at.stage;
                multiply((row_slot * groups + group) * matrix_bytes, centroid_memory + at.stage * matrix_bytes, sum);
                wait_products<1>(); // those of the chunk before
                if (chunk > 0) {
                    release(before);
                }
                before = at.stage;
                at.advance();
            }
            wait_products<0>();
            release(before);
            pin_sums(sum[0]);
            pin_sums(sum[1]);
            take(first, sum, mine);
        }
        merge(group, mine);
    }
    PROTONCE_DEVICE static void release(int stage) {
        if (thread_index() % 32 == 0) {
            arrive(empty(stage));
        }
    }

    PROTONCE_DEVICE void begin(index_t first, float (&sum)[2][64]) const {
        struct alignas(8) pair {
            float value[2];
        };
        const auto* halves = reinterpret_cast<const pair*>(half_square + first) + thread_index() % 4;
        PROTONCE_UNROLL for (int n = 0; n < 16; ++n) {
            const pair half = halves[4 * n];
            PROTONCE_UNROLL for (int i = 0; i < 8; ++i) {
                sum[i / 4][n * 4 + i % 4] = -half.value[i % 2];
            }
        }
        pin_sums(sum[0]);
        pin_sums(sum[1]);
    }

    /// Begins the products of a chunk; where its rows and centroids lie in shared memory.
    PROTONCE_DEVICE static void multiply(int row_memory, int column_memory, float (&sum)[2][64]) {
        constexpr int core_bytes = 128;
        constexpr int next_k = bf16_tiles::rows / bf16_tiles::core * core_bytes;
        fence_products();
        PROTONCE_UNROLL for (int k = 0; k < 2; ++k) {
            const std::uint64_t right =
                matrix_descriptor(shared_memory() + column_memory + k * 2 * next_k, next_k, core_bytes);
            PROTONCE_UNROLL for (int m = 0; m < 2; ++m) {
                const int offset = row_memory + k * 2 * next_k + m * 8 * core_bytes;
                begin_product(sum[m], matrix_descriptor(shared_memory() + offset, next_k, core_bytes), right);
            }
        }
        commit_products();
    }

    /// Scores of a finished tile into the best so far.
    PROTONCE_DEVICE static void take(index_t first, const float (&sum)[2][64], best_three (&mine)[4]) {
        PROTONCE_UNROLL for (int r = 0; r < 4; ++r) {
            float largest = sum[r / 2][r % 2 * 2];
            PROTONCE_UNROLL for (int i = 1; i < 32; ++i) {
                largest = std::fmax(largest, sum[r / 2][i / 2 * 4 + r % 2 * 2 + i % 2]); // the other one, if one is NaN
            }
            if (largest > mine[r].third) {
                PROTONCE_UNROLL for (int i = 0; i < 32; ++i) {
                    mine[r].take(sum[r / 2][i / 2 * 4 + r % 2 * 2 + i % 2],
                                 static_cast<label_t>(first) + i / 2 * 8 + 2 * (thread_index() % 4) + i % 2);
                }
            }
        }
    }

    /// The four lanes of a row put their best together.
    PROTONCE_DEVICE void merge(int group, best_three (&mine)[4]) const {
        const int first = thread_index() % 128 / 32 * 16 + thread_index() % 32 / 4;
        PROTONCE_UNROLL for (int r = 0; r < 4; ++r) {
            merge_four_lanes(mine[r]);
            const index_t row =
                index_t{block_index()} * block_rows + group * bf16_tiles::rows + r / 2 * 64 + r % 2 * 8 + first;
            if (thread_index() % 4 == 0 && row < rows.rows) {
                best[row] = mine[r];
            }
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

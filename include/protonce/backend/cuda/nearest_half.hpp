// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/best_of_row.hpp>
#include <protonce/backend/cuda/packed_rows.hpp>
#include <protonce/backend/cuda/thread.hpp>

#include <cstddef>
#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// The best scores x.c - ||c||^2 / 2 of 128 rows a block, over a slice of the centroids, on the tensor cores in half
/// precision; doubtful.hpp says how far they are to be trusted.
///
/// Eight warps, 32 rows by 64 centroids each. Sums begin with -||c||^2 / 2. Chunks of 32 columns pass through
/// four stages of shared memory.
///
/// reads N C K / 128 values of each matrix, from the cache for the most part; compute-bound
struct nearest_half {
    static constexpr int threads = 256;
    static constexpr int block_rows = half_tiles::rows;
    static constexpr int block_centroids = half_tiles::rows;
    static constexpr int stages = 4;
    static constexpr index_t enough_blocks = 216;                     // processors of an A100, two blocks each
    static constexpr int matrix_bytes = half_tiles::chunk_values * 2; // of a stage, of rows or centroids
    static constexpr std::size_t shared_bytes = std::size_t{stages} * 2 * matrix_bytes;

    packed_rows rows;
    packed_rows centroids;
    const float* first_score; // (padded_rows of the centroids,)
    sliced_best best;

    static index_t slices(index_t num_rows, index_t tiles) {
        return sliced_best::slices(ceil_div(num_rows, block_rows), tiles, enough_blocks);
    }
    index_t blocks() const { return row_blocks() * best.num_slices; }

    PROTONCE_DEVICE void operator()() const {
        const index_t chunks = rows.chunks();
        const auto share = best.share_of(block_index(), row_blocks(), centroids.padded_rows / block_centroids);
        const index_t last_step = share.last * chunks;
        const place at = here();

        best_of_lane mine[4]; // of rows g, g + 8, g + 16, g + 24 of the warp
        float sum[2][8][4];
        const index_t first_step = share.first * chunks;
        for (index_t step = first_step; step < first_step + stages - 1; ++step) {
            fetch(share.row_block, step, last_step);
            commit_copies();
        }
        index_t chunk = 0;
        index_t first = share.first * block_centroids;
        for (index_t step = first_step; step < last_step; ++step) {
            wait_copies<stages - 2>(); // this step's copies have come
            sync_block();              // those of all threads, and all have left the stage that is filled next
            fetch(share.row_block, step + stages - 1, last_step);
            commit_copies();
            if (chunk == 0) {
                begin(first, at, sum);
            }
            multiply(stage_memory(step), at, sum);
            if (++chunk == chunks) {
                take(first, at, sum, mine);
                chunk = 0;
                first += block_centroids;
            }
        }
        wait_copies<0>();
        sync_block();
        merge(share, at, mine);
    }

private:
    PROTONCE_HOST_DEVICE index_t row_blocks() const { return rows.padded_rows / block_rows; }

    /// First row and centroid of the thread's warp in the block; its group and place in the fragments.
    struct place {
        int row;
        int col;
        int group;
        int member;
    };
    PROTONCE_DEVICE static place here() {
        const int warp = thread_index() / 32;
        return {warp / 2 * 32, warp % 2 * 64, thread_index() % 32 / 4, thread_index() % 4};
    }

    PROTONCE_DEVICE static unsigned char* stage_memory(index_t step) {
        return shared_memory() + step % stages * (2 * matrix_bytes);
    }

    /// Begins to copy what a step needs, unless it is past the last one. Chunks of centroids lie in the order of the
    /// steps.
    PROTONCE_DEVICE void fetch(index_t row_block, index_t step, index_t last_step) const {
        if (step >= last_step) {
            return;
        }
        const index_t row_chunk = row_block * rows.chunks() + step % rows.chunks();
        const std::uint16_t* from_rows = rows.rounded + row_chunk * half_tiles::chunk_values;
        const std::uint16_t* from_centroids = centroids.rounded + step * half_tiles::chunk_values;
        unsigned char* to = stage_memory(step);
        PROTONCE_UNROLL for (int piece = 0; piece < matrix_bytes / 16 / threads; ++piece) {
            const int i = thread_index() + piece * threads;
            copy_async_16(to + i * 16, from_rows + i * 8, true);
            copy_async_16(to + matrix_bytes + i * 16, from_centroids + i * 8, true);
        }
    }

    PROTONCE_DEVICE void begin(index_t first, const place& at, float (&sum)[2][8][4]) const {
        PROTONCE_UNROLL for (int n = 0; n < 8; ++n) {
            PROTONCE_UNROLL for (int e = 0; e < 2; ++e) {
                const float score = first_score[first + at.col + n * 8 + 2 * at.member + e];
                PROTONCE_UNROLL for (int m = 0; m < 2; ++m) {
                    sum[m][n][e] = score;
                    sum[m][n][e + 2] = score;
                }
            }
        }
    }

    PROTONCE_DEVICE static void multiply(const unsigned char* stage, const place& at, float (&sum)[2][8][4]) {
        constexpr int core_words = 32; // one a lane
        constexpr int cores = half_tiles::rows / half_tiles::core;
        const auto* words = reinterpret_cast<const std::uint32_t*>(stage) + thread_index() % 32;
        const std::uint32_t* a = words + at.row / 8 * core_words;
        const std::uint32_t* b = words + matrix_bytes / 4 + at.col / 8 * core_words;
        PROTONCE_UNROLL for (int k = 0; k < 4; k += 2) { // cores of 8 columns, two an instruction
            std::uint32_t left[2][4];
            PROTONCE_UNROLL for (int m = 0; m < 2; ++m) {
                PROTONCE_UNROLL for (int i = 0; i < 4; ++i) {
                    left[m][i] = a[((k + i / 2) * cores + 2 * m + i % 2) * core_words];
                }
            }
            PROTONCE_UNROLL for (int n = 0; n < 8; ++n) {
                const std::uint32_t right[2] = {b[(k * cores + n) * core_words], b[((k + 1) * cores + n) * core_words]};
                PROTONCE_UNROLL for (int m = 0; m < 2; ++m) {
                    multiply_add_f16(sum[m][n], left[m], right);
                }
            }
        }
    }

    /// Scores of a finished tile into the best so far.
    PROTONCE_DEVICE static void take(index_t first, const place& at, const float (&sum)[2][8][4],
                                     best_of_lane (&mine)[4]) {
        const label_t first_label = static_cast<label_t>(first) + at.col + 2 * at.member;
        PROTONCE_UNROLL for (int r = 0; r < 4; ++r) {
            take_scores<16>(
                mine[r], [&](int i) { return sum[r / 2][i / 2][r % 2 * 2 + i % 2]; },
                [&](int i) { return first_label + i / 2 * 8 + i % 2; });
        }
    }

    /// The four lanes of a row, then the two warps of a row, put their best together.
    PROTONCE_DEVICE void merge(const sliced_best::share& share, const place& at, best_of_lane (&mine)[4]) const {
        auto* shared = reinterpret_cast<best_three*>(shared_memory());
        PROTONCE_UNROLL for (int r = 0; r < 4; ++r) {
            merge_four_lanes(mine[r].best);
            if (at.member == 0) {
                shared[(at.row + r * 8 + at.group) * 2 + at.col / 64] = mine[r].best;
            }
        }
        sync_block();
        const index_t row = share.row_block * block_rows + thread_index();
        if (thread_index() < block_rows && row < rows.rows) {
            best_three out = shared[thread_index() * 2];
            out.merge(shared[thread_index() * 2 + 1]);
            best.of(share.slice, row) = out;
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

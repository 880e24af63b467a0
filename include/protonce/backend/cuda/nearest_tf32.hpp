// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/best_of_row.hpp>
#include <protonce/backend/cuda/tile_product.hpp>

#include <cstddef>
#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// Rows that one pass leaves to the next: in any order, which no result depends on.
struct row_list {
    index_t* row;   // (N,)
    index_t* count; // (1,)
};

/// The best scores x.c - ||c||^2 / 2 of listed rows, over all centroids, on the tensor cores, 64 rows a block.
///
/// How many rows there are is known on the device alone. The grid is large enough for all; blocks that few rows leave
/// over share the centroids, in up to `most_slices` slices, and the rest leaves at once. merge_slices() puts slices
/// together.
///
/// Both matrices are centred, packed and padded with zeros to `stride` columns, a multiple of 32. What scores may err by:
/// tf32_margin() in doubtful.hpp.
///
/// Columns are fetched 32 at a time, the next ones while these are multiplied.
struct nearest_tf32 {
    static constexpr int threads = 128;
    static constexpr int block_rows = 64;
    static constexpr int block_centroids = 64;
    static constexpr index_t most_slices = 128; // about as many as a device has processors
    using tile = warp_tile<2>;
    static constexpr int chunk = tile::chunk;
    static constexpr int padded = tile::padded;
    static constexpr int stage = (block_rows + block_centroids) * padded;
    static constexpr std::size_t shared_bytes = 2 * stage * sizeof(float);

    const float* rows;
    const float* centroids;
    const float* first_score; // -||c||^2 / 2; -infinity behind the last one, up to a multiple of 64
    row_list list;
    index_t num_centroids;
    index_t stride;
    index_t num_blocks;
    best_three* part; // (num_blocks, 64) of the entries of the list, by slices

    static index_t blocks(index_t num_rows) {
        const index_t enough = ceil_div(num_rows, block_rows);
        return enough > most_slices ? enough : most_slices;
    }

    PROTONCE_DEVICE void operator()() const {
        const index_t row_blocks = ceil_div(*list.count, block_rows);
        if (row_blocks == 0 || block_index() >= row_blocks * slices(row_blocks)) {
            return;
        }
        const auto at = tile::here();
        const index_t slice = block_index() / row_blocks;
        const index_t tiles = ceil_div(num_centroids, block_centroids);
        const index_t chunks = stride / chunk;
        const index_t first_step = tiles * slice / slices(row_blocks) * chunks;
        const index_t last_step = tiles * (slice + 1) / slices(row_blocks) * chunks;

        const float* from[lines];
        find_rows(block_index() % row_blocks * block_rows, from);
        best_three mine[4]; // of rows g, g + 8, g + 16, g + 24 of the warp
        tile sum;
        fetch(first_step, chunks, from);
        commit_copies();
        for (index_t step = first_step; step < last_step; ++step) {
            if (step + 1 < last_step) {
                fetch(step + 1, chunks, from);
            }
            commit_copies();
            wait_copies<1>(); // all but the group just closed
            sync_block();
            if (step % chunks == 0) {
                sum.clear();
            }
            sum.multiply(stage_memory(step), stage_memory(step) + block_rows * padded, at);
            if (step % chunks == chunks - 1) {
                take(step / chunks * block_centroids, at, sum, mine);
            }
            sync_block(); // before the stage is overwritten
        }
        wait_copies<0>();
        merge(at, mine);
    }

    /// Of an entry of the list, after the kernel: the best of all slices.
    PROTONCE_HOST_DEVICE best_three merged(index_t entry) const {
        const index_t row_blocks = ceil_div(*list.count, block_rows);
        best_three all;
        for (index_t slice = 0; slice < slices(row_blocks); ++slice) {
            all.merge(part[slice * row_blocks * block_rows + entry]);
        }
        return all;
    }

private:
    PROTONCE_DEVICE static float* stage_memory(index_t step) {
        return reinterpret_cast<float*>(shared_memory()) + step % 2 * stage;
    }

    /// How many parts the centroids are cut into when so many blocks are needed for the rows.
    PROTONCE_HOST_DEVICE index_t slices(index_t row_blocks) const {
        const index_t spare = num_blocks / row_blocks;
        const index_t tiles = ceil_div(num_centroids, block_centroids);
        const index_t most = tiles < most_slices ? tiles : most_slices;
        return spare < most ? spare : most;
    }

    static constexpr int pieces = chunk / 4; // of 16 bytes, of a line
    static constexpr int lines = block_rows * pieces / threads;

    /// The listed rows of which this thread copies a piece in each step; null behind the last one.
    PROTONCE_DEVICE void find_rows(index_t first_entry, const float* (&from)[lines]) const {
        PROTONCE_UNROLL for (int n = 0; n < lines; ++n) {
            const int i = thread_index() + n * threads;
            const index_t entry = first_entry + i / pieces;
            from[n] = entry < *list.count ? rows + list.row[entry] * stride + i % pieces * 4 : nullptr;
        }
    }

    /// Begins to copy the rows' and the centroids' columns of a step; what lies past the end is zeros.
    PROTONCE_DEVICE void fetch(index_t step, index_t chunks, const float* const (&from)[lines]) const {
        static_assert(block_rows == block_centroids);
        const index_t first_centroid = step / chunks * block_centroids;
        const index_t first_column = step % chunks * chunk;
        PROTONCE_UNROLL for (int n = 0; n < lines; ++n) {
            const int i = thread_index() + n * threads;
            const int column = i % pieces * 4;
            float* to = stage_memory(step) + i / pieces * padded + column;
            copy_async_16(to, from[n] != nullptr ? from[n] + first_column : rows, from[n] != nullptr);
            const index_t k = first_centroid + i / pieces;
            copy_async_16(to + block_rows * padded,
                          centroids + (k < num_centroids ? k * stride : 0) + first_column + column, k < num_centroids);
        }
    }

    /// Scores of a finished tile into the best so far.
    PROTONCE_DEVICE void take(index_t first, const tile::place& at, tile& sum, best_three (&mine)[4]) const {
        PROTONCE_UNROLL for (int n = 0; n < 4; ++n) {
            PROTONCE_UNROLL for (int e = 0; e < 2; ++e) {
                const index_t k = first + at.col + n * 8 + 2 * at.member + e;
                const float score = first_score[k];
                PROTONCE_UNROLL for (int r = 0; r < 4; ++r) {
                    mine[r].take(sum.at(r, n, e) + score, static_cast<label_t>(k));
                }
            }
        }
    }

    /// The four lanes of a row, then the two warps of a row, put their best together.
    PROTONCE_DEVICE void merge(const tile::place& at, best_three (&mine)[4]) const {
        auto* shared = reinterpret_cast<best_three*>(shared_memory());
        PROTONCE_UNROLL for (int r = 0; r < 4; ++r) {
            merge_four_lanes(mine[r]);
            if (at.member == 0) {
                shared[(at.row + r * 8 + at.group) * 2 + at.col / 32] = mine[r];
            }
        }
        sync_block();
        if (thread_index() < block_rows) {
            best_three out = shared[thread_index() * 2];
            out.merge(shared[thread_index() * 2 + 1]);
            part[index_t{block_index()} * block_rows + thread_index()] = out;
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

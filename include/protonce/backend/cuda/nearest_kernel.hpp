// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/tile_product.hpp>
#include <protonce/backend/elementwise/nearest.hpp>

#include <cstddef>
#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// The best scores x.c - ||c||^2 / 2 of 64 rows a block, over all centroids, on the tensor cores.
///
/// Both matrices are centred, packed and padded with zeros to `stride` columns, a multiple of 32. Splitting leaves out three products,
/// each at most 2^-22 of the whole. What is left is added up in float, an instruction of 8 products within 9 * 2^-23 of the magnitudes (9
/// numbers that are cut off; tests/device/test_cuda_instructions.cpp measures it): so a score is within
/// (6.75 C + 32) u (||x|| ||c|| + ||c||^2 / 2) of the exact one, with u = 2^-24.
///
/// Columns are fetched 32 at a time, the next ones while these are multiplied.
struct nearest_scores {
    static constexpr int threads = 128;
    static constexpr int block_rows = 64;
    static constexpr int block_centroids = 64;
    using tile = warp_tile<2>;
    static constexpr int chunk = tile::chunk;
    static constexpr int padded = tile::padded;
    static constexpr int stage = (block_rows + block_centroids) * padded;
    static constexpr std::size_t shared_bytes = 2 * stage * sizeof(float);

    const float* rows;
    const float* centroids;
    const float* half_square; // (K,) ||c||^2 / 2
    index_t num_rows;
    index_t num_centroids;
    index_t stride;
    elementwise::best_two<float>* best; // (N,)

    PROTONCE_DEVICE void operator()() const {
        const auto at = tile::here();
        const index_t chunks = stride / chunk;
        const index_t tiles = ceil_div(num_centroids, block_centroids);
        const index_t steps = tiles * chunks;

        elementwise::best_two<float> mine[4]; // of rows g, g + 8, g + 16, g + 24 of the warp
        tile sum;
        fetch(0, chunks);
        commit_copies();
        for (index_t step = 0; step < steps; ++step) {
            if (step + 1 < steps) {
                fetch(step + 1, chunks);
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

private:
    PROTONCE_DEVICE static float* stage_memory(index_t step) {
        return reinterpret_cast<float*>(shared_memory()) + step % 2 * stage;
    }

    /// Begins to copy the rows' and the centroids' columns of a step; rows past the end are zeros.
    PROTONCE_DEVICE void fetch(index_t step, index_t chunks) const {
        const index_t first_row = index_t{block_index()} * block_rows;
        const index_t first_centroid = step / chunks * block_centroids;
        const index_t first_column = step % chunks * chunk;
        float* to = stage_memory(step);
        constexpr int pieces = chunk / 4; // of 16 bytes
        for (int i = thread_index(); i < (block_rows + block_centroids) * pieces; i += threads) {
            const int line = i / pieces;
            const int column = i % pieces * 4;
            const bool is_row = line < block_rows;
            const index_t source = is_row ? first_row + line : first_centroid + line - block_rows;
            const bool valid = source < (is_row ? num_rows : num_centroids);
            const float* from = (is_row ? rows : centroids) + (valid ? source * stride : 0) + first_column + column;
            copy_async_16(to + line * padded + column, from, valid);
        }
    }

    /// Scores of a finished tile into the best so far.
    PROTONCE_DEVICE void take(index_t first, const tile::place& at, tile& sum,
                              elementwise::best_two<float> (&mine)[4]) const {
        PROTONCE_UNROLL for (int n = 0; n < 4; ++n) {
            PROTONCE_UNROLL for (int e = 0; e < 2; ++e) {
                const index_t k = first + at.col + n * 8 + 2 * at.member + e;
                if (k < num_centroids) {
                    const float half = half_square[k];
                    PROTONCE_UNROLL for (int r = 0; r < 4; ++r) {
                        mine[r].take(sum.at(r, n, e) - half, k);
                    }
                }
            }
        }
    }

    /// The four lanes of a row, then the two warps of a row, put their best together.
    PROTONCE_DEVICE void merge(const tile::place& at, elementwise::best_two<float> (&mine)[4]) const {
        auto* shared = reinterpret_cast<elementwise::best_two<float>*>(shared_memory());
        PROTONCE_UNROLL for (int r = 0; r < 4; ++r) {
            PROTONCE_UNROLL for (int mask = 1; mask < 4; mask *= 2) {
                elementwise::best_two<float> other;
                other.first = shuffle_xor(mine[r].first, mask);
                other.second = shuffle_xor(mine[r].second, mask);
                other.label = shuffle_xor(mine[r].label, mask);
                mine[r].merge(other);
            }
            if (at.member == 0) {
                shared[(at.row + r * 8 + at.group) * 2 + at.col / 32] = mine[r];
            }
        }
        sync_block();
        const index_t row = index_t{block_index()} * block_rows + thread_index();
        if (thread_index() < block_rows && row < num_rows) {
            elementwise::best_two<float> out = shared[thread_index() * 2];
            out.merge(shared[thread_index() * 2 + 1]);
            best[row] = out;
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

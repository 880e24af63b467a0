// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/backend/elementwise/table.hpp>
#include <protonce/core/bfloat16.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace protonce::inline v0::detail::cuda {

/// Rounded to bf16; 0 where bf16 has fewer bits than usual, so that nothing depends on what an instruction makes of such numbers.
PROTONCE_HOST_DEVICE inline bfloat16 to_bf16(float value) {
    const bool is_subnormal = (std::bit_cast<std::uint32_t>(value) & 0x7f800000u) == 0;
    return is_subnormal ? bfloat16() : bfloat16(value);
}

/// Order of a matrix of bf16 for the tensor cores: blocks of 128 rows, in each of them chunks of 32 columns, in each of
/// those cores of 8 x 8 values, 128 bytes, the cores of the same 8 columns first. What a step of a kernel needs is one
/// piece of memory, and the 32 lanes of a fragment read 128 bytes that lie together.
struct bf16_tiles {
    static constexpr index_t rows = 128;
    static constexpr index_t cols = 32;
    static constexpr index_t core = 8;
    static constexpr index_t chunk_values = rows * cols;

    /// Where (i, j) lies in a matrix of so many chunks a row.
    PROTONCE_HOST_DEVICE static index_t at(index_t i, index_t j, index_t chunks) {
        const index_t chunk = i / rows * chunks + j / cols;
        const index_t of_chunk = j % cols / core * (rows / core) + i % rows / core;
        return chunk * chunk_values + of_chunk * core * core + i % core * core + j % core;
    }
};

/// What the kernels read of rows or of centroids, less the mean, and how much of them bf16 leaves out.
struct packed_rows {
    index_t rows;           // N
    index_t padded_rows;    // up to the last block of 128
    index_t stride;         // columns, a multiple of 32, zeros behind the last one
    float* values;          // (N, stride)
    std::uint16_t* rounded; // (padded_rows, stride) to bf16, in the order of bf16_tiles; zeros behind the last row
    float* norm;            // (N,) of the values
    float* rest;            // (N,) of the values less what is left of them in bf16

    template <class Scope>
    packed_rows(Scope& scope, index_t num_rows, index_t cols)
        : rows(num_rows), padded_rows(ceil_div(num_rows, bf16_tiles::rows) * bf16_tiles::rows),
          stride(ceil_div(cols, bf16_tiles::cols) * bf16_tiles::cols),
          values(scope.template matrix<float>(rows, stride).data()),
          rounded(scope.template matrix<std::uint16_t>(padded_rows, stride).data()),
          norm(scope.template vector<float>(rows).data()), rest(scope.template vector<float>(rows).data()) {}

    PROTONCE_HOST_DEVICE index_t chunks() const { return stride / bf16_tiles::cols; }
};

/// Fills packed_rows, a warp a row. reads N C, writes 1.5 N C
struct pack_rows {
    static constexpr int threads = 128;
    static constexpr int warp = 32;

    elementwise::table<const float> x;
    const float* mean; // (C,)
    packed_rows out;
    float* half_square; // (padded_rows,) ||x||^2 / 2, infinity behind the last row; or nullptr

    index_t blocks() const { return ceil_div(out.padded_rows, threads / warp); }

    PROTONCE_DEVICE void operator()() const {
        const int lane = thread_index() % warp;
        const index_t row = index_t{block_index()} * (threads / warp) + thread_index() / warp;
        const bool is_row = row < x.rows;
        double squares = 0;
        double rests = 0;
        for (index_t j = lane; j < out.stride; j += warp) {
            const float value = is_row && j < x.cols ? x(row, j) - mean[j] : 0.0F;
            const bfloat16 rounded = to_bf16(value);
            const double rest = static_cast<double>(value) - static_cast<double>(static_cast<float>(rounded));
            squares = add_product(squares, static_cast<double>(value), static_cast<double>(value));
            rests = add_product(rests, rest, rest);
            out.rounded[bf16_tiles::at(row, j, out.chunks())] = rounded.bits;
            if (is_row) {
                out.values[row * out.stride + j] = value;
            }
        }
        for (int mask = 1; mask < warp; mask *= 2) {
            squares += shuffle_xor(squares, mask);
            rests += shuffle_xor(rests, mask);
        }
        if (lane == 0 && is_row) {
            out.norm[row] = static_cast<float>(std::sqrt(squares));
            out.rest[row] = static_cast<float>(std::sqrt(rests));
        }
        if (lane == 0 && half_square != nullptr) {
            half_square[row] = is_row ? static_cast<float>(squares / 2) : std::numeric_limits<float>::infinity();
        }
    }
};

/// The largest of centroids' norms, but for those with NaN, which are nearest to nothing.
struct largest_norms {
    float norm; // infinity where squares of norms underflow, so that no score of such centroids means anything
    float rest;

    PROTONCE_HOST_DEVICE void take(const largest_norms& other) {
        norm = other.norm > norm ? other.norm : norm;
        rest = other.rest > rest ? other.rest : rest;
    }
};

/// One block.
struct find_largest_norms {
    static constexpr int threads = 256;
    static constexpr int warp = 32;
    static constexpr std::size_t shared_bytes = threads / warp * sizeof(largest_norms);

    packed_rows in;
    largest_norms* out; // (1,)

    PROTONCE_DEVICE void operator()() const {
        auto* shared = reinterpret_cast<largest_norms*>(shared_memory());
        largest_norms mine{0, 0};
        for (index_t k = thread_index(); k < in.rows; k += threads) {
            mine.take({in.norm[k], in.rest[k]});
        }
        for (int mask = 1; mask < warp; mask *= 2) {
            mine.take({shuffle_xor(mine.norm, mask), shuffle_xor(mine.rest, mask)});
        }
        if (thread_index() % warp == 0) {
            shared[thread_index() / warp] = mine;
        }
        sync_block();
        if (thread_index() == 0) {
            for (int w = 1; w < threads / warp; ++w) {
                mine.take(shared[w]);
            }
            const bool underflows = mine.norm > 0 && mine.norm < 0x1p-60F; // above the root of the smallest number
            *out = {underflows ? std::numeric_limits<float>::infinity() : mine.norm, mine.rest};
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

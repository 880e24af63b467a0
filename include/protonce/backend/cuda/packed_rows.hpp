// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/block_sums.hpp>
#include <protonce/backend/cuda/half.hpp>
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/backend/elementwise/table.hpp>
#include <protonce/core/check.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace protonce::inline v0::detail::cuda {

/// Order of a matrix in half precision for the tensor cores: blocks of 128 rows, in each of them chunks of 32 columns, in
/// each of those cores of 8 x 8 values, 128 bytes, the cores of the same 8 columns first. What a step of a kernel needs is
/// one piece of memory, and the 32 lanes of a fragment read 128 bytes that lie together.
struct half_tiles {
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

/// What the kernels read of rows or of centroids, less the mean and times a power of two (find_scale), and how much of
/// them half precision leaves out. All norms and scores are of such values: that is exact, but for what underflows, and
/// that is nothing beside the rounding of values of this size.
struct packed_rows {
    index_t rows;           // N
    index_t padded_rows;    // up to the last block of 128
    index_t stride;         // columns, a multiple of 32, zeros behind the last one
    float* values;          // (N, stride)
    std::uint16_t* rounded; // (padded_rows, stride) by to_half(), in the order of half_tiles; zeros behind the last row
    float* norm;            // (N,) of the values
    float* rest;            // (N,) of the values less what is left of them in half precision

    template <class Scope>
    packed_rows(Scope& scope, index_t num_rows, index_t cols)
        : rows(num_rows), padded_rows(ceil_div(num_rows, half_tiles::rows) * half_tiles::rows),
          stride(ceil_div(cols, half_tiles::cols) * half_tiles::cols),
          values(scope.template matrix<float>(rows, stride).data()),
          rounded(scope.template matrix<std::uint16_t>(padded_rows, stride).data()),
          norm(scope.template vector<float>(rows).data()), rest(scope.template vector<float>(rows).data()) {}

    PROTONCE_HOST_DEVICE index_t chunks() const { return stride / half_tiles::cols; }
};

/// The largest magnitude of the finite values of rows less the mean, one of each block. reads N C
struct find_largest_values {
    static constexpr int threads = 256;
    static constexpr int warp = 32;
    static constexpr std::size_t shared_bytes = threads / warp * sizeof(float);
    static constexpr index_t most_blocks = 1024;

    elementwise::table<const float> x;
    const float* mean; // (C,)
    float* largest;    // (blocks(),)

    index_t blocks() const {
        const index_t enough = ceil_div(x.rows, threads / warp);
        return enough < most_blocks ? enough : most_blocks;
    }

    PROTONCE_DEVICE void operator()() const {
        const index_t first = index_t{block_index()} * (threads / warp) + thread_index() / warp;
        float mine = 0;
        for (index_t row = first; row < x.rows; row += index_t{block_count()} * (threads / warp)) {
            for (index_t j = thread_index() % warp; j < x.cols; j += warp) {
                const float size = std::fabs(x(row, j) - mean[j]);
                mine = check::is_finite(size) && size > mine ? size : mine;
            }
        }
        mine = block_sums<threads>::largest(mine, reinterpret_cast<float*>(shared_memory()));
        if (thread_index() == 0) {
            largest[block_index()] = mine;
        }
    }
};

/// The power of two that rows and centroids are multiplied by. One block.
struct find_scale {
    static constexpr int threads = 256;
    static constexpr std::size_t shared_bytes = find_largest_values::shared_bytes;

    const float* largest; // (count,) as find_largest_values leaves them
    index_t count;
    float* scale; // (1,)

    PROTONCE_DEVICE void operator()() const {
        float mine = 0;
        for (index_t i = thread_index(); i < count; i += threads) {
            mine = std::fmax(mine, largest[i]);
        }
        mine = block_sums<threads>::largest(mine, reinterpret_cast<float*>(shared_memory()));
        if (thread_index() == 0) {
            *scale = half_scale(mine);
        }
    }
};

/// Fills packed_rows, a warp a row. reads N C, writes 1.5 N C
struct pack_rows {
    static constexpr int threads = 128;
    static constexpr int warp = 32;

    elementwise::table<const float> x;
    const float* mean;  // (C,)
    const float* scale; // (1,)
    packed_rows out;
    float* first_score; // (padded_rows,) minus half the squared norm, -infinity behind the last row; or nullptr

    index_t blocks() const { return ceil_div(out.padded_rows, threads / warp); }

    PROTONCE_DEVICE void operator()() const {
        const int lane = thread_index() % warp;
        const index_t row = index_t{block_index()} * (threads / warp) + thread_index() / warp;
        const bool is_row = row < x.rows;
        const float factor = *scale;
        double squares = 0;
        double rests = 0;
        for (index_t j = lane; j < out.stride; j += warp) {
            const float value = is_row && j < x.cols ? (x(row, j) - mean[j]) * factor : 0.0F;
            const std::uint16_t rounded = to_half(value);
            const double rest = static_cast<double>(value) - static_cast<double>(from_half(rounded));
            squares = add_product(squares, static_cast<double>(value), static_cast<double>(value));
            rests = add_product(rests, rest, rest);
            out.rounded[half_tiles::at(row, j, out.chunks())] = rounded;
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
        if (lane == 0 && first_score != nullptr) {
            first_score[row] = is_row ? static_cast<float>(-squares / 2) : -std::numeric_limits<float>::infinity();
        }
    }
};

/// The largest of centroids' norms, but for those with NaN, which are nearest to nothing. Infinite where a centroid is, or
/// has values that half precision does not reach.
struct largest_norms {
    float norm; // infinity where squares of norms underflow, so that no score of such centroids means anything
    float rest;
};

/// One block.
struct find_largest_norms {
    static constexpr int threads = 256;
    static constexpr std::size_t shared_bytes = 2 * find_largest_values::shared_bytes;

    packed_rows in;
    largest_norms* out; // (1,)

    PROTONCE_DEVICE void operator()() const {
        float norm = 0;
        float rest = 0;
        for (index_t k = thread_index(); k < in.rows; k += threads) {
            norm = std::fmax(norm, in.norm[k]); // the other one, if one is NaN
            rest = std::fmax(rest, in.rest[k]);
        }
        auto* shared = reinterpret_cast<float*>(shared_memory());
        norm = block_sums<threads>::largest(norm, shared);
        rest = block_sums<threads>::largest(rest, shared + block_sums<threads>::warps);
        if (thread_index() == 0) {
            const bool underflows = norm > 0 && norm < 0x1p-60F; // above the root of the smallest number
            *out = {underflows ? std::numeric_limits<float>::infinity() : norm, rest};
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

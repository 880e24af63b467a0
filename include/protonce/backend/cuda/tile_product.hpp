// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/core/host_device.hpp>

#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// Values multiplied on the tensor cores, 32 x 32 a warp. `parts` 1: rounded to TF32, 2^-11 of each; 2: split into two of TF32,
/// v = high + low + rest with |rest| <= 2^-22 |v|, and three of the four products taken, the smallest first.
template <int parts>
struct warp_tile {
    static constexpr int chunk = 32;         // columns in shared memory at a time
    static constexpr int padded = chunk + 4; // of a row there: the lanes of a fragment then hit different banks

    /// Where a thread stands: first row and column of its warp in the block, and its group and place in the fragments.
    struct place {
        int row;
        int col;
        int group;
        int member;
    };
    /// Four warps, two by two.
    PROTONCE_DEVICE static place here() {
        const int lane = thread_index() % 32;
        const int warp = thread_index() / 32;
        return {warp / 2 * 32, warp % 2 * 32, lane / 4, lane % 4};
    }

    /// Of the element (row + r * 8 + group, col + n * 8 + 2 * member + e).
    PROTONCE_DEVICE float& at(int r, int n, int e) { return sum[r / 2][n][r % 2 * 2 + e]; }

    PROTONCE_DEVICE void clear() {
        PROTONCE_UNROLL for (int m = 0; m < 2; ++m) {
            PROTONCE_UNROLL for (int n = 0; n < 4; ++n) {
                PROTONCE_UNROLL for (int e = 0; e < 4; ++e) {
                    sum[m][n][e] = 0;
                }
            }
        }
    }

    /// sum += a b^T over a chunk of columns; a and b point to rows of the block in shared memory. With two parts a chunk is
    /// summed by itself: instructions cut off what they add, a float addition rounds it.
    PROTONCE_DEVICE void multiply(const float* a, const float* b, const place& p) {
        if constexpr (parts == 1) {
            add_chunk(sum, a, b, p);
        } else {
            float of_chunk[2][4][4] = {};
            add_chunk(of_chunk, a, b, p);
            PROTONCE_UNROLL for (int m = 0; m < 2; ++m) {
                PROTONCE_UNROLL for (int n = 0; n < 4; ++n) {
                    PROTONCE_UNROLL for (int e = 0; e < 4; ++e) {
                        sum[m][n][e] += of_chunk[m][n][e];
                    }
                }
            }
        }
    }

private:
    PROTONCE_DEVICE static void add_chunk(float (&to)[2][4][4], const float* a, const float* b, const place& p) {
        a += (p.row + p.group) * padded + p.member;
        b += (p.col + p.group) * padded + p.member;
        for (int k = 0; k < chunk; k += 8) {
            std::uint32_t rows[parts][2][4];
            PROTONCE_UNROLL for (int m = 0; m < 2; ++m) {
                const float* from = a + m * 16 * padded + k;
                split(from[0], rows, m, 0);
                split(from[8 * padded], rows, m, 1);
                split(from[4], rows, m, 2);
                split(from[8 * padded + 4], rows, m, 3);
            }
            PROTONCE_UNROLL for (int n = 0; n < 4; ++n) {
                std::uint32_t cols[parts][1][2];
                split(b[n * 8 * padded + k], cols, 0, 0);
                split(b[n * 8 * padded + k + 4], cols, 0, 1);
                PROTONCE_UNROLL for (int m = 0; m < 2; ++m) {
                    if constexpr (parts == 2) {
                        multiply_add_tf32(to[m][n], rows[1][m], cols[0][0]);
                        multiply_add_tf32(to[m][n], rows[0][m], cols[1][0]);
                    }
                    multiply_add_tf32(to[m][n], rows[0][m], cols[0][0]);
                }
            }
        }
    }

    template <int count, int size>
    PROTONCE_DEVICE static void split(float value, std::uint32_t (&to)[parts][count][size], int m, int i) {
        to[0][m][i] = to_tf32(value);
        if constexpr (parts == 2) {
            to[1][m][i] = to_tf32(value - __builtin_bit_cast(float, to[0][m][i]));
        }
    }

    float sum[2][4][4];
};

/// store(i, j, sum over k of a(i, k) b(j, k)) for 64 x 64 elements a block. A `Factors` says how values are read and where sums go:
///
///     rows(), cols(), first(slice), last(slice)   extent of i, j and, in each slice of its own, of k
///     a(i, k), b(j, k)                            inside that extent
///     a_along_k, b_along_k                        do neighbours in memory differ in k?
///     is_diagonal                                 are only blocks with i and j in the same 64 wanted?
///     store(slice, i, j, sum)
///
/// The sum of an element is one chain over k, the same bits wherever in the grid it is computed.
template <class Factors, int parts>
struct tile_product {
    static constexpr int threads = 128;
    static constexpr int block_rows = 64;
    static constexpr int block_cols = 64;
    using tile = warp_tile<parts>;
    static constexpr int chunk = tile::chunk;
    static constexpr int shared_values = (block_rows + block_cols) * tile::padded;

    Factors factors;
    index_t row_blocks;
    index_t col_blocks; // number of the block: (slice * col_blocks + block of columns) * row_blocks + block of rows

    PROTONCE_DEVICE void operator()() const {
        const index_t slice = block_index() / row_blocks / col_blocks;
        const index_t first_row = block_index() % row_blocks * block_rows;
        const index_t first_col =
            Factors::is_diagonal ? first_row : block_index() / row_blocks % col_blocks * block_cols;
        float* a = reinterpret_cast<float*>(shared_memory());
        float* b = a + block_rows * tile::padded;
        const auto p = tile::here();
        tile sum;
        sum.clear();
        const index_t last = factors.last(slice);
        for (index_t k = factors.first(slice); k < last; k += chunk) {
            fetch<Factors::a_along_k>(a, [&](int i, int c) {
                return first_row + i < factors.rows() && k + c < last ? factors.a(first_row + i, k + c) : 0.0F;
            });
            fetch<Factors::b_along_k>(b, [&](int j, int c) {
                return first_col + j < factors.cols() && k + c < last ? factors.b(first_col + j, k + c) : 0.0F;
            });
            sync_block();
            sum.multiply(a, b, p);
            sync_block(); // before the next chunk overwrites it
        }
        PROTONCE_UNROLL for (int r = 0; r < 4; ++r) {
            PROTONCE_UNROLL for (int n = 0; n < 4; ++n) {
                PROTONCE_UNROLL for (int e = 0; e < 2; ++e) {
                    const index_t i = first_row + p.row + r * 8 + p.group;
                    const index_t j = first_col + p.col + n * 8 + 2 * p.member + e;
                    if (i < factors.rows() && j < factors.cols()) {
                        factors.store(slice, i, j, sum.at(r, n, e));
                    }
                }
            }
        }
    }

private:
    /// 64 rows of a chunk, neighbouring threads at neighbouring addresses.
    template <bool along_k, class Read>
    PROTONCE_DEVICE static void fetch(float* to, const Read& read) {
        static_assert(block_rows == block_cols);
        for (int at = thread_index(); at < block_rows * chunk; at += threads) {
            const int line = along_k ? at / chunk : at % block_rows;
            const int column = along_k ? at % chunk : at / block_rows;
            to[line * tile::padded + column] = read(line, column);
        }
    }
};

/// Queues the product, in the given number of slices of k.
template <int parts, class Run, class Factors>
void multiply(Run& run, const Factors& factors, index_t rows, index_t cols, index_t slices) {
    using kernel = tile_product<Factors, parts>;
    const index_t col_blocks = Factors::is_diagonal ? 1 : ceil_div(cols, kernel::block_cols);
    const index_t row_blocks = ceil_div(rows, kernel::block_rows);
    run.launch(row_blocks * col_blocks * slices, kernel::shared_values * sizeof(float),
               kernel{factors, row_blocks, col_blocks});
}

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/packed_operands.hpp>
#include <protonce/backend/cuda/softmax_weights.hpp>
#include <protonce/backend/cuda/tiled_contrast.hpp>

#include <cstddef>

namespace protonce::inline v0::detail::cuda {

/// Up to so many columns of features a block of these kernels holds whole rows.
constexpr index_t most_fused_cols = 256;
static_assert(most_fused_cols <= most_tiled_cols);

/// logit_i = query_i . positive_i / t, times log2_of_e, by the chain that columns go through: a duplicate of the positive has the same
/// bits.
template <class Form>
struct positive_logits {
    static constexpr int threads = 128;
    static constexpr int block_rows = 64;
    packed_operands query;
    packed_operands positive;
    float* logit;

    index_t blocks() const { return ceil_div(query.count, block_rows); }
    static constexpr std::size_t shared_bytes() { return 0; }

    PROTONCE_DEVICE void work(int block) const {
        const index_t first = index_t{block} * block_rows + thread_index() / 32 * 16;
        if (first >= query.count) {
            return; // the whole warp
        }
        const auto at = lane_place::here();
        const int words = Form::words(query.cols);
        float product[2][4] = {};
        multiply_rows<Form>(product, query.rows + first * words, words, positive.rows + first * words, words, words,
                            at);
        PROTONCE_UNROLL for (int n = 0; n < 2; ++n) {
            PROTONCE_UNROLL for (int e = 0; e < 4; ++e) {
                const int row = at.group + e / 2 * 8;
                const index_t i = first + row;
                if (row == n * 8 + 2 * at.member + e % 2 && i < query.count) {
                    logit[i] = product[n][e] * (query.scale[i] * log2_of_e * positive.info[i].factor);
                }
            }
        }
    }
};

/// The kernels of a problem by the instructions of a warp (`mma.sync`).
template <class Form>
struct by_warps {
    using packing = pack_operands<Form>;
    using positives = positive_logits<Form>;
    template <class Weights>
    using sums = fused_sums<Form, Weights>;
    static constexpr cut_shape shape = fused_shape;
};

/// By those of a group of warps (`wgmma`), in half precision, for packed rows of so many columns.
template <int cols>
struct by_groups {
    using packing = pack_tiles<cols>;
    using positives = tiled_positives<cols>;
    template <class Weights>
    using sums = tiled_sums<Weights, cols, false>;
    template <class Weights>
    using picking_sums = tiled_sums<Weights, cols, true>;
    static constexpr cut_shape shape = tiled_shape;
};

// Rows of a problem for packing (pack_operands): those that take no part, and may be NaN, are zeros.
struct queries_of {
    const reader& read;
    PROTONCE_DEVICE index_t of(index_t i) const { return read.takes_part(i) ? i : -1; }
    PROTONCE_DEVICE const float* row(index_t i) const { return read.query.row(i); }
    PROTONCE_DEVICE static bool has_temperatures() { return false; }
    PROTONCE_DEVICE static float temperature(index_t) { return 1; }
    PROTONCE_DEVICE static column_info info(index_t, index_t) { return column_info::none(); } // nobody asks
};
struct positives_of {
    const reader& read;
    PROTONCE_DEVICE index_t of(index_t i) const { return read.takes_part(i) ? i : -1; }
    PROTONCE_DEVICE const float* row(index_t i) const { return read.positive_row(i); }
    PROTONCE_DEVICE bool has_temperatures() const { return !read.has_one_temperature; }
    PROTONCE_DEVICE float temperature(index_t i) const { return read.positive_temperature(i); }
    PROTONCE_DEVICE static column_info info(index_t, index_t) { return {0, 0, -1, -1}; }
};
struct columns_of {
    const reader& read;
    float* weight_of_row; // (P,) ln w by row of the pool, of those that are used; or null

    /// Row of the pool. Without a branch, so that more can be asked for meanwhile.
    PROTONCE_DEVICE index_t of(index_t j) const {
        const index_t p = read.pool_row(j < read.most_used ? j : read.most_used - 1);
        return j < read.num_used() ? p : -1;
    }
    PROTONCE_DEVICE const float* row(index_t p) const { return read.columns.row(p); }
    PROTONCE_DEVICE bool has_temperatures() const { return !read.has_one_temperature; } // of their own
    PROTONCE_DEVICE float temperature(index_t p) const { return read.temperature(p); }
    PROTONCE_DEVICE column_info info(index_t j, index_t p) const {
        const float log_weight = read.log_weight(j);
        if (weight_of_row != nullptr) {
            weight_of_row[p] = log_weight;
        }
        const bool has_group = read.pool_group != nullptr && read.pool_group[p] >= 0;
        return {0, log_weight, static_cast<label_t>(p), has_group ? read.pool_group[p] : column_info::no_group};
    }
};

/// Where the columns of a problem's products come from.
enum class column_source {
    packed, // here
    kept,   // contrast::packed
    picked, // contrast::packed_pool
};

/// Packs the rows of a problem as its products want them.
template <class Packing>
struct pack_problem {
    static constexpr int threads = Packing::threads;
    using operands = typename Packing::operands;
    reader read;
    operands query, columns, positive; // no positive where its logit is not compared
    column_source source;
    float* weight_of_row; // as columns_of has it

    index_t blocks() const { return Packing::blocks(query) + column_blocks() + Packing::blocks(positive); }
    static constexpr std::size_t shared_bytes() { return 0; }

    PROTONCE_DEVICE void work(int block) const {
        const index_t of_columns = block - Packing::blocks(query);
        const index_t of_positive = of_columns - column_blocks();
        const index_t cols = read.query.cols;
        const columns_of pool{read, weight_of_row};
        if (of_columns < 0) {
            Packing::work(query, cols, block, queries_of{read});
        } else if (of_positive < 0 && source != column_source::packed) {
            describe(of_columns * threads + thread_index(), pool);
        } else if (of_positive < 0) {
            Packing::work(columns, cols, of_columns, pool);
        } else {
            Packing::work(positive, cols, of_positive, positives_of{read});
        }
    }

private:
    PROTONCE_HOST_DEVICE index_t column_blocks() const {
        return source == column_source::packed ? Packing::blocks(columns) : ceil_div(Packing::padded(columns), threads);
    }
    /// A column whose row is packed.
    PROTONCE_DEVICE void describe(index_t j, const columns_of& pool) const {
        if (j >= Packing::padded(columns)) {
            return;
        }
        const index_t p = j < columns.count ? pool.of(j) : -1;
        column_info of_row = column_info::none();
        if (p >= 0) {
            of_row = pool.info(j, p);
            of_row.factor =
                source == column_source::picked ? columns.scale_of(p) : 1 / pool.temperature(p) * columns.scale_of(j);
        }
        columns.info[j] = of_row;
    }
};

} // namespace protonce::inline v0::detail::cuda

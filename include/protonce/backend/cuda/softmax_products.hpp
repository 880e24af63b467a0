// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/softmax_weights.hpp>
#include <protonce/backend/cuda/tile_product.hpp>
#include <protonce/backend/elementwise/softmax_contrast.hpp>

namespace protonce::inline v0::detail::cuda {

/// Logits of a tile of columns: query_i . columns_j / t_j.
struct logit_factors {
    static constexpr bool a_along_k = true, b_along_k = true, is_diagonal = false;
    reader read;
    float* logit;
    index_t tile, first_column, count;

    PROTONCE_DEVICE index_t rows() const { return read.query.rows; }
    PROTONCE_DEVICE index_t cols() const { return count; }
    PROTONCE_DEVICE index_t first(index_t) const { return 0; }
    PROTONCE_DEVICE index_t last(index_t) const { return read.query.cols; }
    PROTONCE_DEVICE float a(index_t i, index_t k) const { return read.query(i, k); }
    PROTONCE_DEVICE float b(index_t j, index_t k) const {
        return first_column + j < read.num_used() ? read.columns(read.pool_row(first_column + j), k) : 0.0F;
    }
    PROTONCE_DEVICE void store(index_t, index_t i, index_t j, float sum) const {
        if (first_column + j < read.num_used()) {
            logit[i * tile + j] = sum / read.temperature(read.pool_row(first_column + j));
        }
    }
};

/// Logits of the rows' own positives, by the same chain: a duplicate of the positive has the same bits.
struct positive_factors {
    static constexpr bool a_along_k = true, b_along_k = true, is_diagonal = true;
    reader read;
    float* logit;

    PROTONCE_DEVICE index_t rows() const { return read.query.rows; }
    PROTONCE_DEVICE index_t cols() const { return read.query.rows; }
    PROTONCE_DEVICE index_t first(index_t) const { return 0; }
    PROTONCE_DEVICE index_t last(index_t) const { return read.query.cols; }
    PROTONCE_DEVICE float a(index_t i, index_t k) const { return read.query(i, k); }
    PROTONCE_DEVICE float b(index_t j, index_t k) const { return read.takes_part(j) ? read.positive_row(j)[k] : 0.0F; }
    PROTONCE_DEVICE void store(index_t, index_t i, index_t j, float sum) const {
        if (i == j && read.takes_part(i)) {
            logit[i] = sum / read.positive_temperature(i);
        }
    }
};

/// Sum of slope_ij columns_j over slices of a tile's columns.
struct query_factors {
    static constexpr bool a_along_k = true, b_along_k = false, is_diagonal = false;
    static constexpr index_t slice_columns = 512;
    reader read;
    const float* slope;
    float* part; // (slices, B, C)
    index_t tile, first_column, count;

    PROTONCE_DEVICE index_t rows() const { return read.query.rows; }
    PROTONCE_DEVICE index_t cols() const { return read.query.cols; }
    PROTONCE_DEVICE index_t first(index_t slice) const { return slice * slice_columns; }
    PROTONCE_DEVICE index_t last(index_t slice) const {
        return (slice + 1) * slice_columns < count ? (slice + 1) * slice_columns : count;
    }
    PROTONCE_DEVICE float a(index_t i, index_t k) const { return slope[i * tile + k]; }
    PROTONCE_DEVICE float b(index_t c, index_t k) const {
        return first_column + k < read.num_used() ? read.columns(read.pool_row(first_column + k), c) : 0.0F;
    }
    PROTONCE_DEVICE void store(index_t slice, index_t i, index_t c, float sum) const {
        part[(slice * rows() + i) * cols() + c] = sum;
    }
};

/// add(p, c, sum of slope_ij query_i) for each column p of a tile.
template <class Add>
struct column_factors {
    static constexpr bool a_along_k = false, b_along_k = false, is_diagonal = false;
    reader read;
    const float* slope;
    index_t tile, first_column, count;
    Add add;

    PROTONCE_DEVICE index_t rows() const { return count; }
    PROTONCE_DEVICE index_t cols() const { return read.query.cols; }
    PROTONCE_DEVICE index_t first(index_t) const { return 0; }
    PROTONCE_DEVICE index_t last(index_t) const { return read.query.rows; }
    PROTONCE_DEVICE float a(index_t j, index_t k) const { return slope[k * tile + j]; }
    PROTONCE_DEVICE float b(index_t c, index_t k) const { return read.takes_part(k) ? read.query(k, c) : 0.0F; }
    PROTONCE_DEVICE void store(index_t, index_t j, index_t c, float sum) const {
        if (first_column + j < read.num_used()) {
            add(read.pool_row(first_column + j), c, static_cast<double>(sum));
        }
    }
};

/// elementwise::plain_products on the tensor cores; `parts` as in warp_tile.
template <int parts, class Run>
struct tensor_products {
    using state_type = elementwise::softmax_state<float>;
    elementwise::scratch_of<Run>& scratch;

    void positives(Run& run, const elementwise::softmax_state<float>& state, float* logit) const {
        multiply<parts>(run, positive_factors{state.read, logit}, state.rows, state.rows, 1);
    }
    void logits(Run& run, const state_type& state, index_t j0) const {
        const index_t count = state.tile_count(j0);
        multiply<parts>(run, logit_factors{state.read, state.logit, state.tile, j0, count}, state.rows, count, 1);
    }
    void add_to_query(Run& run, const state_type& state, index_t j0, const float* slope,
                      elementwise::table<double> sum) const {
        elementwise::scope_of<Run> scope(scratch);
        const index_t count = state.tile_count(j0);
        const index_t slices = ceil_div(count, query_factors::slice_columns);
        const index_t values = state.rows * state.cols;
        float* part = scope.template matrix<float>(slices, values).data();
        multiply<parts>(run, query_factors{state.read, slope, part, state.tile, j0, count}, state.rows, state.cols,
                        slices);
        const index_t cols = state.cols;
        const reader read = state.read;
        run.for_each(values, [=] PROTONCE_ON_DEVICE(index_t at) {
            if (!read.takes_part(at / cols)) {
                return; // nor does NaN in a column reach it
            }
            double running = sum(at / cols, at % cols);
            for (index_t s = 0; s < slices; ++s) {
                running += static_cast<double>(part[s * values + at]);
            }
            sum(at / cols, at % cols) = running;
        });
    }
    template <class Add>
    void to_columns(Run& run, const state_type& state, index_t j0, const float* slope, const Add& add) const {
        const index_t count = state.tile_count(j0);
        multiply<parts>(run, column_factors<Add>{state.read, slope, state.tile, j0, count, add}, count, state.cols, 1);
    }
};

} // namespace protonce::inline v0::detail::cuda

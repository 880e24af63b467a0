// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/elementwise/contrast_reader.hpp>

#include <cmath>

namespace protonce::inline v0::detail::elementwise {

/// Sums of gradients: each element belongs to one thread, which adds over the columns, or the rows, in order.
///
///     dl_i/ds_ij = p_ij for the others, -(sum of their p_ij) for the positive;   ds_ij/dt_j = -s_ij / t_j,
///     ds_ij/dquery_i = columns_j / t_j,   ds_ij/dcolumns_j = query_i / t_j
template <class T>
struct gradient_sums {
    template <class Scope, class S>
    gradient_sums(Scope& scope, const softmax_state<T>& state, const contrast<T, S>& out)
        : slope(scope.template vector<T>(state.rows * state.tile).data()),
          query(scope.template matrix<double>(out.grad_query.rows(), state.cols)),
          temperature(out.grad_temperature.size() == 1 ? scope.template vector<double>(state.rows).data() : nullptr),
          has_same_gradient(out.grad_query.rows() > 0 && out.grad_columns.data() == out.grad_query.data()) {}

    T* slope;               // (B, tile) dL/ds_ij / t_j, of the present tile
    table<double> query;    // (B, C) or without rows
    double* temperature;    // (B,) or null
    bool has_same_gradient; // columns' gradients are added to the query's
};

/// The gradient of columns that are not used is 0.
template <class Run, class T>
void clear_columns(Run& run, const contrast<T, typename Run::space>& out) {
    const table<T> gradient = out.grad_columns;
    const index_t cols = gradient.cols;
    run.for_each(gradient.rows * cols, [=] PROTONCE_ON_DEVICE(index_t at) { gradient(at / cols, at % cols) = T(0); });
}
template <class Run, class T>
void clear_temperatures(Run& run, const contrast<T, typename Run::space>& out) {
    if (out.grad_temperature.size() > 1) {
        fill(run, out.grad_temperature.data(), out.grad_temperature.size(), T(0));
    }
}

/// Sums start with what a positive outside the pool gives; gradients that are added to in place start with 0.
template <class Run, class T>
void start_gradients(Run& run, const softmax_state<T>& state, const contrast<T, typename Run::space>& out,
                     const gradient_sums<T>& sums) {
    const contrast_reader<T> read = state.read;
    const row_softmax* softmax = state.softmax;
    const index_t cols = state.cols;
    const bool accumulate = out.accumulate;
    const bool outside = read.positive_is_outside();
    const table<double> query_sum = sums.query;
    const table<T> grad_positive = out.grad_positive;
    double* temperature_sum = sums.temperature;
    run.for_each(state.rows * cols, [=] PROTONCE_ON_DEVICE(index_t at) {
        const index_t i = at / cols;
        const index_t c = at % cols;
        const double t = outside ? static_cast<double>(read.temperature(0)) : 1.0;
        const double slope = outside ? read.row_scale(i) * softmax[i].positive_slope() / t : 0.0;
        if (query_sum.rows > 0) {
            query_sum(i, c) = outside ? slope * static_cast<double>(read.positive(i, c)) : 0.0;
        }
        if (grad_positive.rows > 0) {
            const double old = accumulate ? static_cast<double>(grad_positive(i, c)) : 0.0;
            grad_positive(i, c) = static_cast<T>(old + slope * static_cast<double>(read.query(i, c)));
        }
        if (temperature_sum != nullptr && c == 0) {
            temperature_sum[i] = outside ? -slope * softmax[i].positive_logit : 0.0;
        }
    });
    if (!accumulate && !sums.has_same_gradient) {
        clear_columns(run, out);
    }
    if (!accumulate) {
        clear_temperatures(run, out);
    }
}

/// Slopes of the tile that begins at column j0; 0 where a column is not in the sum of a row.
template <class Run, class T>
void compute_slopes(Run& run, const softmax_state<T>& state, index_t j0, T* slopes) {
    const contrast_reader<T> read = state.read;
    const row_softmax* softmax = state.softmax;
    const T* logit = state.logit;
    const index_t tile = state.tile;
    const index_t count = state.tile_count(j0);
    run.for_each(state.rows * count, [=] PROTONCE_ON_DEVICE(index_t at) {
        const index_t i = at / count;
        const index_t j = j0 + at % count;
        double slope = 0;
        if (j < read.num_used() && read.takes_part(i) && read.is_in(i, read.pool_row(j))) {
            const index_t p = read.pool_row(j);
            const row_softmax& row = softmax[i];
            const T term = logit[i * tile + j - j0] + read.log_weight(j) - static_cast<T>(row.largest);
            slope = read.is_positive(i, p) ? row.positive_slope() : row.scale * static_cast<double>(std::exp(term));
            slope *= read.row_scale(i) / static_cast<double>(read.temperature(p));
        }
        slopes[i * tile + j - j0] = static_cast<T>(slope);
    });
}

/// Gradient of column j = sum of slope_ij query_i: all of it, since a column is in one tile.
template <class Run, class T, class Products>
void add_to_columns(Run& run, const softmax_state<T>& state, index_t j0, const contrast<T, typename Run::space>& out,
                    const gradient_sums<T>& sums, const Products& products) {
    const table<double> query_sum = sums.query;
    const table<T> gradient = out.grad_columns;
    const bool same = sums.has_same_gradient;
    products.to_columns(run, state, j0, sums.slope, [=] PROTONCE_ON_DEVICE(index_t p, index_t c, double sum) {
        if (same) {
            query_sum(p, c) += sum;
        } else {
            gradient(p, c) = static_cast<T>(static_cast<double>(gradient(p, c)) + sum);
        }
    });
}

/// dL/dt_j = -sum of slope_ij s_ij: of each row with one temperature, else of each column.
template <class Run, class T>
void add_to_temperature(Run& run, const softmax_state<T>& state, index_t j0,
                        const contrast<T, typename Run::space>& out, const gradient_sums<T>& sums) {
    const contrast_reader<T> read = state.read;
    const T* slope = sums.slope;
    const T* logit = state.logit;
    const index_t tile = state.tile;
    const index_t rows = state.rows;
    const index_t count = state.tile_count(j0);
    double* row_sum = sums.temperature;
    if (row_sum != nullptr) {
        run.for_each(rows, [=] PROTONCE_ON_DEVICE(index_t i) {
            const index_t used = read.takes_part(i) ? read.num_used() : 0;
            for (index_t at = i * tile, j = j0; j < j0 + count && j < used; ++j, ++at) {
                if (read.is_in(i, read.pool_row(j))) {
                    row_sum[i] -= static_cast<double>(slope[at]) * static_cast<double>(logit[at]);
                }
            }
        });
        return;
    }
    T* gradient = out.grad_temperature.data();
    run.for_each(count, [=] PROTONCE_ON_DEVICE(index_t j) {
        if (j0 + j >= read.num_used()) {
            return;
        }
        const index_t p = read.pool_row(j0 + j);
        double sum = 0;
        for (index_t i = 0; i < rows; ++i) {
            if (read.takes_part(i) && read.is_in(i, p)) {
                sum -= static_cast<double>(slope[i * tile + j]) * static_cast<double>(logit[i * tile + j]);
            }
        }
        gradient[p] = static_cast<T>(static_cast<double>(gradient[p]) + sum);
    });
}

/// Sums, each rounded once, to where they are wanted.
template <class Run, class T>
void finish_gradients(Run& run, const softmax_state<T>& state, const contrast<T, typename Run::space>& out,
                      const gradient_sums<T>& sums) {
    const index_t rows = state.rows;
    const index_t cols = state.cols;
    const bool accumulate = out.accumulate;
    const table<double> query_sum = sums.query;
    const table<T> grad_query = out.grad_query;
    run.for_each(query_sum.rows * cols, [=] PROTONCE_ON_DEVICE(index_t at) {
        const index_t i = at / cols;
        const index_t c = at % cols;
        const double old = accumulate ? static_cast<double>(grad_query(i, c)) : 0.0;
        grad_query(i, c) = static_cast<T>(old + query_sum(i, c));
    });
    const double* row_sum = sums.temperature;
    T* grad_temperature = out.grad_temperature.data();
    run.for_each(row_sum != nullptr ? 1 : 0, [=] PROTONCE_ON_DEVICE(index_t) {
        double sum = 0;
        for (index_t i = 0; i < rows; ++i) {
            sum += row_sum[i];
        }
        grad_temperature[0] = static_cast<T>((accumulate ? static_cast<double>(grad_temperature[0]) : 0.0) + sum);
    });
}

} // namespace protonce::inline v0::detail::elementwise

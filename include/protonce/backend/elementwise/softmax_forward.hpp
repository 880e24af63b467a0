// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/elementwise/contrast_reader.hpp>

#include <cmath>
#include <limits>

namespace protonce::inline v0::detail::elementwise {

/// Products of queries with columns, one thread an element. A backend with a faster way brings its own.
struct plain_products {
    /// logit_i = s_i+ of each row that takes part.
    template <class Run, class T>
    void positives(Run& run, const softmax_state<T>& state, T* logit) const {
        const contrast_reader<T> read = state.read;
        run.for_each(state.rows, [=] PROTONCE_ON_DEVICE(index_t i) {
            if (read.takes_part(i)) {
                logit[i] = read.logit(i, read.positive_row(i), read.positive_temperature(i));
            }
        });
    }

    /// Logits of the tile that begins at column j0.
    template <class Run, class T>
    void logits(Run& run, const softmax_state<T>& state, index_t j0) const {
        const contrast_reader<T> read = state.read;
        T* logit = state.logit;
        const index_t tile = state.tile;
        const index_t count = state.tile_count(j0);
        run.for_each(state.rows * count, [=] PROTONCE_ON_DEVICE(index_t at) {
            const index_t i = at / count;
            const index_t j = j0 + at % count;
            if (j < read.num_used() && read.takes_part(i)) {
                const index_t p = read.pool_row(j);
                logit[i * tile + j - j0] = read.logit(i, read.columns.row(p), read.temperature(p));
            }
        });
    }

    /// sum_i += sum of slope_ij columns_j over the tile.
    template <class Run, class T>
    void add_to_query(Run& run, const softmax_state<T>& state, index_t j0, const T* slope, table<double> sum) const {
        const contrast_reader<T> read = state.read;
        const index_t tile = state.tile;
        const index_t cols = state.cols;
        const index_t count = state.tile_count(j0);
        run.for_each(sum.rows * cols, [=] PROTONCE_ON_DEVICE(index_t at) {
            const index_t i = at / cols;
            const index_t c = at % cols;
            const index_t used = read.takes_part(i) ? read.num_used() : 0;
            double running = sum(i, c);
            for (index_t j = j0; j < j0 + count && j < used; ++j) {
                if (slope[i * tile + j - j0] != 0) { // a column left out may hold NaN
                    running += static_cast<double>(slope[i * tile + j - j0]) *
                               static_cast<double>(read.columns(read.pool_row(j), c));
                }
            }
            sum(i, c) = running;
        });
    }

    /// add(p, c, sum of slope_ij query_i) for each column p of the tile.
    template <class Run, class T, class Add>
    void to_columns(Run& run, const softmax_state<T>& state, index_t j0, const T* slope, const Add& add) const {
        const contrast_reader<T> read = state.read;
        const index_t tile = state.tile;
        const index_t rows = state.rows;
        const index_t cols = state.cols;
        run.for_each(state.tile_count(j0) * cols, [=] PROTONCE_ON_DEVICE(index_t at) {
            const index_t j = at / cols;
            const index_t c = at % cols;
            if (j0 + j >= read.num_used()) {
                return;
            }
            double sum = 0;
            for (index_t i = 0; i < rows; ++i) {
                if (read.takes_part(i)) {
                    sum += static_cast<double>(slope[i * tile + j]) * static_cast<double>(read.query(i, c));
                }
            }
            add(read.pool_row(j0 + j), c, sum);
        });
    }
};

/// Logit and log weight of each row's positive.
template <class Run, class T, class Products>
void find_positives(Run& run, scope_of<Run>& scope, const softmax_state<T>& state, const Products& products) {
    const contrast_reader<T> read = state.read;
    row_softmax* softmax = state.softmax;
    T* logit = scope.template vector<T>(state.rows).data();
    products.positives(run, state, logit);
    // Weights go by place in column_id, positives by row of the pool.
    const T* weight_of_row = read.log_weights;
    if (read.log_weights != nullptr && read.column_id != nullptr) {
        T* by_row = scope.template vector<T>(read.columns.rows).data();
        run.for_each(read.most_used, [=] PROTONCE_ON_DEVICE(index_t j) {
            if (j < read.num_used()) {
                by_row[read.column_id[j]] = read.log_weights[j];
            }
        });
        weight_of_row = by_row;
    }
    run.for_each(state.rows, [=] PROTONCE_ON_DEVICE(index_t i) {
        row_softmax row;
        if (read.takes_part(i)) {
            row.positive_logit = static_cast<double>(logit[i]);
            const bool has_weight = !read.positive_is_outside() && weight_of_row != nullptr;
            row.positive_log_weight = has_weight ? static_cast<double>(weight_of_row[read.own[i]]) : 0.0;
        }
        softmax[i] = row;
    });
}

/// What each part of the tile's columns adds to the sum of each row, the positive's column excepted.
template <class Run, class T>
void sum_parts(Run& run, const softmax_state<T>& state, index_t j0, partial_softmax* part) {
    const contrast_reader<T> read = state.read;
    const row_softmax* softmax = state.softmax;
    const T* logit = state.logit;
    const index_t tile = state.tile;
    const index_t parts = state.parts;
    constexpr index_t length = softmax_state<T>::part_columns;
    const index_t here = ceil_div(state.tile_count(j0), length);
    run.for_each(state.rows * here, [=] PROTONCE_ON_DEVICE(index_t at) {
        const index_t i = at / here;
        const index_t first = j0 + at % here * length;
        const index_t used = read.takes_part(i) ? read.num_used() : 0;
        const index_t last = first + length < used ? first + length : used;
        const auto is_other = [&](index_t j) {
            const index_t p = read.pool_row(j);
            return read.is_in(i, p) && !read.is_positive(i, p);
        };
        T largest = -std::numeric_limits<T>::infinity();
        for (index_t j = first; j < last; ++j) {
            const T term = logit[i * tile + j - j0] + read.log_weight(j);
            largest = term > largest && is_other(j) ? term : largest;
        }
        partial_softmax sum{static_cast<double>(largest), 0, 0, 0};
        const T shift = largest > -std::numeric_limits<T>::infinity() ? largest : T(0); // terms of 0 alone
        const double positive = softmax[i].positive_logit;
        for (index_t j = first; j < last; ++j) {
            if (is_other(j)) {
                const T s = logit[i * tile + j - j0];
                sum.sum += static_cast<double>(std::exp(s + read.log_weight(j) - shift));
                sum.above += static_cast<double>(s) > positive ? 1 : 0;
                sum.equal += static_cast<double>(s) == positive ? 1 : 0;
            }
        }
        part[i * parts + first / length] = sum;
    });
}

/// The sum of each row from its parts, in order, and the rank of its positive.
template <class Run, class T>
void merge_parts(Run& run, const softmax_state<T>& state, const partial_softmax* part) {
    const contrast_reader<T> read = state.read;
    row_softmax* softmax = state.softmax;
    const index_t parts = state.parts;
    run.for_each(state.rows, [=] PROTONCE_ON_DEVICE(index_t i) {
        if (!read.takes_part(i)) {
            return;
        }
        row_softmax row = softmax[i];
        row.largest = row.positive_logit + row.positive_log_weight;
        for (index_t k = 0; k < parts; ++k) {
            const double largest = part[i * parts + k].largest;
            row.largest = largest > row.largest ? largest : row.largest;
        }
        row.positive = std::exp(row.positive_logit + row.positive_log_weight - row.largest);
        index_t above = 0;
        index_t equal = 1;
        for (index_t k = 0; k < parts; ++k) {
            const partial_softmax sum = part[i * parts + k];
            if (sum.sum != 0) {
                row.others += sum.sum * std::exp(sum.largest - row.largest);
            }
            above += sum.above;
            equal += sum.equal;
        }
        row.template finish<T>(above, equal);
        softmax[i] = row;
    });
}

/// What is wanted of one row; the others are null.
template <class T>
PROTONCE_HOST_DEVICE void write_row(index_t i, const row_softmax& row, T* loss, T* log_sum, T* top1) {
    if (loss != nullptr) {
        loss[i] = static_cast<T>(row.loss());
    }
    if (log_sum != nullptr) {
        log_sum[i] = static_cast<T>(row.log_sum());
    }
    if (top1 != nullptr) {
        top1[i] = static_cast<T>(row.top1);
    }
}

/// Losses, logarithms of sums and top-1, as far as they are wanted.
template <class Run, class T>
void write_rows(Run& run, const softmax_state<T>& state, const contrast<T, typename Run::space>& out) {
    const row_softmax* softmax = state.softmax;
    T* loss = data_of(out.loss);
    T* log_sum = data_of(out.log_sum);
    T* top1 = data_of(out.top1);
    run.for_each(state.rows, [=] PROTONCE_ON_DEVICE(index_t i) { write_row(i, softmax[i], loss, log_sum, top1); });
}

} // namespace protonce::inline v0::detail::elementwise

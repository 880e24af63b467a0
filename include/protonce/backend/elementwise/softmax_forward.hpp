// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/elementwise/contrast_reader.hpp>

#include <cmath>
#include <limits>

namespace protonce::inline v0::detail::elementwise {

/// Logit and log weight of each row's positive.
template <class Run, class T>
void find_positives(Run& run, scope_of<Run>& scope, const softmax_state<T>& state) {
    const contrast_reader<T> read = state.read;
    row_softmax* softmax = state.softmax;
    // Weights go by place in column_id, positives by row of the pool.
    const T* weight_of_row = read.log_weights;
    if (read.log_weights != nullptr && read.column_id != nullptr) {
        T* by_row = scope.template vector<T>(read.columns.rows).data();
        run.for_each(read.most_used, [=] PROTONCE_HOST_DEVICE(index_t j) {
            if (j < read.num_used()) {
                by_row[read.column_id[j]] = read.log_weights[j];
            }
        });
        weight_of_row = by_row;
    }
    run.for_each(state.rows, [=] PROTONCE_HOST_DEVICE(index_t i) {
        row_softmax row;
        if (read.positive_is_outside()) {
            row.positive_logit = static_cast<double>(read.logit(i, read.positive.row(i), read.temperature(0)));
        } else if (read.takes_part(i)) {
            const index_t p = read.own[i];
            row.positive_logit = static_cast<double>(read.logit(i, read.columns.row(p), read.temperature(p)));
            row.positive_log_weight = weight_of_row == nullptr ? 0.0 : static_cast<double>(weight_of_row[p]);
        }
        softmax[i] = row;
    });
}

/// Logits of the tile that begins at column j0.
template <class Run, class T>
void compute_logits(Run& run, const softmax_state<T>& state, index_t j0) {
    const contrast_reader<T> read = state.read;
    T* logit = state.logit;
    const index_t tile = state.tile;
    const index_t count = state.tile_count(j0);
    run.for_each(state.rows * count, [=] PROTONCE_HOST_DEVICE(index_t at) {
        const index_t i = at / count;
        const index_t j = j0 + at % count;
        if (j < read.num_used() && read.takes_part(i)) {
            const index_t p = read.pool_row(j);
            logit[i * tile + j - j0] = read.logit(i, read.columns.row(p), read.temperature(p));
        }
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
    run.for_each(state.rows * here, [=] PROTONCE_HOST_DEVICE(index_t at) {
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
        const double positive = softmax[i].positive_logit;
        for (index_t j = first; j < last; ++j) {
            if (is_other(j)) {
                const T s = logit[i * tile + j - j0];
                sum.sum += static_cast<double>(std::exp(s + read.log_weight(j) - largest));
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
    run.for_each(state.rows, [=] PROTONCE_HOST_DEVICE(index_t i) {
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
        const bool is_number = row.sum() == row.sum();
        row.top1 = !is_number ? row.sum() : above > 0 ? 0 : 1 / static_cast<double>(equal);
        row.scale = std::exp(static_cast<double>(static_cast<T>(row.largest)) - row.largest) / row.sum();
        softmax[i] = row;
    });
}

/// Losses, logarithms of sums and top-1, as far as they are wanted.
template <class Run, class T>
void write_rows(Run& run, const softmax_state<T>& state, const contrast<T, typename Run::space>& out) {
    const row_softmax* softmax = state.softmax;
    T* loss = out.loss.data();
    T* log_sum = out.log_sum.data();
    T* top1 = out.top1.data();
    run.for_each(state.rows, [=] PROTONCE_HOST_DEVICE(index_t i) {
        if (loss != nullptr) {
            loss[i] = static_cast<T>(softmax[i].loss());
        }
        if (log_sum != nullptr) {
            log_sum[i] = static_cast<T>(softmax[i].log_sum());
        }
        if (top1 != nullptr) {
            top1[i] = static_cast<T>(softmax[i].top1);
        }
    });
}

} // namespace protonce::inline v0::detail::elementwise

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/reference/distance.hpp>
#include <protonce/core/contrast.hpp>
#include <protonce/core/workspace.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace protonce::inline v0::reference_detail {

/// How the members of a problem are read when some of them are empty.
template <class T>
struct contrast_reader {
    const contrast<T, host>& in;

    bool positive_is_outside() const { return !in.positive.empty(); }
    bool takes_part(index_t i) const { return positive_is_outside() || in.own[i] >= 0; }
    bool is_positive(index_t i, index_t p) const { return !positive_is_outside() && in.own[i] == p; }

    index_t num_used() const {
        if (in.column_id.empty()) {
            return in.columns.rows();
        }
        return in.column_count.empty() ? in.column_id.size() : (std::min)(in.column_count[0], in.column_id.size());
    }
    index_t pool_row(index_t j) const { return in.column_id.empty() ? j : in.column_id[j]; }
    bool left_out(index_t i, index_t p) const {
        if (!in.self.empty() && in.self[i] == p) {
            return true;
        }
        const bool same_group = !in.row_group.empty() && in.row_group[i] >= 0 && in.row_group[i] == in.pool_group[p];
        return same_group && !is_positive(i, p);
    }

    double temperature(index_t p) const { return detail::temperature_of(in, p); }
    double log_weight(index_t j) const { return in.log_weight.empty() ? 0.0 : in.log_weight[j]; }
    double row_scale(index_t i) const { return detail::row_scale_of(in, i); }
};

/// The softmax of one row, every term w_j e^{s_ij} divided by e^largest. The positive stays apart from the others: so a
/// loss near 0 and its gradient keep their digits.
struct row_softmax {
    double positive_logit = 0;
    double positive_log_weight = 0;
    double largest = 0; // of s_ij + ln w_j
    double positive = 1;
    double others = 0;
    double top1 = 0;

    double sum() const { return positive + others; }
    double log_sum() const { return largest + std::log(sum()); }
    double loss() const {
        const bool positive_is_largest = largest == positive_logit + positive_log_weight;
        return positive_is_largest ? positive_log_weight + std::log1p(others)
                                   : std::log(sum()) + (largest - positive_logit);
    }
};

/// \param logit  (J,)  overwritten: s_ij where column j is in the sum of row i
template <class T>
row_softmax contrast_forward(const contrast_reader<T>& read, index_t i, vector_view<double> logit) {
    const auto query = read.in.query.row(i);
    row_softmax row;

    // First loop: logits, each computed once, and the maximum.
    row.largest = -std::numeric_limits<double>::infinity();
    if (read.positive_is_outside()) {
        row.positive_logit = inner_product(query, read.in.positive.row(i)) / read.temperature(0);
        row.largest = row.positive_logit;
    }
    for (index_t j = 0; j < logit.size(); ++j) {
        const index_t p = read.pool_row(j);
        if (read.left_out(i, p)) {
            continue;
        }
        logit[j] = inner_product(query, read.in.columns.row(p)) / read.temperature(p);
        row.largest = (std::max)(row.largest, logit[j] + read.log_weight(j));
        if (read.is_positive(i, p)) {
            row.positive_logit = logit[j];
            row.positive_log_weight = read.log_weight(j);
        }
    }

    // Second loop: the sum, shifted by the maximum so that no exponential overflows, and the rank of the positive.
    row.positive = std::exp(row.positive_logit + row.positive_log_weight - row.largest);
    index_t larger = 0;
    index_t equal = 1;
    for (index_t j = 0; j < logit.size(); ++j) {
        const index_t p = read.pool_row(j);
        if (!read.left_out(i, p) && !read.is_positive(i, p)) {
            row.others += std::exp(logit[j] + read.log_weight(j) - row.largest);
            larger += logit[j] > row.positive_logit ? 1 : 0;
            equal += logit[j] == row.positive_logit ? 1 : 0;
        }
    }
    const bool is_number = row.sum() == row.sum();
    row.top1 = !is_number ? row.sum() : larger > 0 ? 0 : 1 / static_cast<double>(equal);
    return row;
}

/// Sums of gradients in double. An empty one is not wanted.
struct contrast_sums {
    vector_view<double> query;       // (C,) of the present row
    vector_view<double> positive;    // (C,) of the present row
    matrix_view<double> columns;     // (P, C)
    vector_view<double> temperature; // (1,) or (P,)
};

/// Adds the gradients of row i:
///
///     dl_i/ds_ij = p_ij for the others, -(sum of their p_ij) for the positive;   ds_ij/dt_j = -s_ij / t_j,
///     ds_ij/dquery_i = columns_j / t_j,   ds_ij/dcolumns_j = query_i / t_j
template <class T>
void contrast_backward(const contrast_reader<T>& read, index_t i, vector_view<const double> logit,
                       const row_softmax& row, const contrast_sums& sums) {
    const auto query = read.in.query.row(i);
    const auto add = [](vector_view<double> sum, double factor, vector_view<const T> values) {
        for (index_t c = 0; c < sum.size(); ++c) {
            sum[c] += factor * static_cast<double>(values[c]);
        }
    };
    const auto add_logit = [&](double s, double by_logit, index_t p, vector_view<const T> key,
                               vector_view<double> by_key) {
        const double factor = by_logit / read.temperature(p);
        add(sums.query, factor, key);
        add(by_key, factor, query);
        if (!sums.temperature.empty()) {
            sums.temperature[sums.temperature.size() == 1 ? 0 : p] -= factor * s;
        }
    };

    const double by_positive = -read.row_scale(i) * row.others / row.sum();
    if (read.positive_is_outside()) {
        add_logit(row.positive_logit, by_positive, 0, read.in.positive.row(i), sums.positive);
    }
    for (index_t j = 0; j < logit.size(); ++j) {
        const index_t p = read.pool_row(j);
        if (read.left_out(i, p)) {
            continue;
        }
        const double probability = std::exp(logit[j] + read.log_weight(j) - row.largest) / row.sum();
        const double by_logit = read.is_positive(i, p) ? by_positive : read.row_scale(i) * probability;
        const auto by_key = sums.columns.empty() ? vector_view<double>{} : sums.columns.row(p);
        add_logit(logit[j], by_logit, p, read.in.columns.row(p), by_key);
    }
}

/// Writes or adds sums, each rounded once.
template <class T>
void store(vector_view<T> out, vector_view<const double> sum, bool accumulate) {
    for (index_t c = 0; c < out.size(); ++c) {
        out[c] = static_cast<T>(accumulate ? static_cast<double>(out[c]) + sum[c] : sum[c]);
    }
}

/// One softmax problem (core/contrast.hpp) in double, row by row.
template <class T>
void softmax_contrast(workspace<host>& scratch, const contrast<T, host>& problem) {
    const contrast_reader<T> read{problem};
    const index_t width = problem.query.cols();
    const bool same_gradient = !problem.grad_query.empty() && problem.grad_columns.data() == problem.grad_query.data();
    const auto fill_zero = [](vector_view<double> values) { std::fill(values.begin(), values.end(), 0.0); };

    workspace<host>::scope scope(scratch);
    const auto logit = scope.vector<double>(read.num_used()); // of the present row
    contrast_sums sums{.query = scope.vector<double>(problem.grad_query.empty() ? 0 : width),
                       .positive = scope.vector<double>(problem.grad_positive.empty() ? 0 : width),
                       .columns = scope.matrix<double>(problem.grad_columns.rows(), width),
                       .temperature = scope.vector<double>(problem.grad_temperature.size())};
    for (index_t p = 0; p < sums.columns.rows(); ++p) {
        fill_zero(sums.columns.row(p));
    }
    fill_zero(sums.temperature);

    for (index_t i = 0; i < problem.query.rows(); ++i) {
        if (same_gradient) {
            sums.query = sums.columns.row(i); // one gradient with two parts
        } else {
            fill_zero(sums.query);
        }
        fill_zero(sums.positive);
        row_softmax row; // of a row that takes no part: loss, top-1, log_sum and gradients 0
        if (read.takes_part(i)) {
            row = contrast_forward(read, i, logit);
            contrast_backward(read, i, logit, row, sums);
        }

        if (!problem.loss.empty()) {
            problem.loss[i] = static_cast<T>(row.loss());
        }
        if (!problem.log_sum.empty()) {
            problem.log_sum[i] = static_cast<T>(row.log_sum());
        }
        if (!problem.top1.empty()) {
            problem.top1[i] = static_cast<T>(row.top1);
        }
        if (!problem.grad_query.empty() && !same_gradient) {
            store<T>(problem.grad_query.row(i), sums.query, problem.accumulate);
        }
        if (!problem.grad_positive.empty()) {
            store<T>(problem.grad_positive.row(i), sums.positive, problem.accumulate);
        }
    }
    for (index_t p = 0; p < sums.columns.rows(); ++p) {
        store<T>(problem.grad_columns.row(p), sums.columns.row(p), problem.accumulate);
    }
    store<T>(problem.grad_temperature, sums.temperature, problem.accumulate);
}

} // namespace protonce::inline v0::reference_detail

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/reference/distance.hpp>
#include <protonce/core/contrast.hpp>
#include <protonce/core/workspace.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace protonce::inline v0::reference_detail {

/// Writes or adds a sum, rounded once.
template <class T>
void store(T& out, double sum, bool accumulate) {
    out = static_cast<T>(accumulate ? static_cast<double>(out) + sum : sum);
}

/// One softmax problem (core/contrast.hpp) in double, row by row. Letters as there; p_ij = w_j e^{s_ij} / (the row's sum), and
///
///     dl_i/ds_ij = p_ij - [j is the positive],   ds_ij/dquery_i = columns_j / t_j,   ds_ij/dcolumns_j = query_i / t_j,   ds_ij/dt_j = -s_ij / t_j
template <class T>
void softmax_contrast(workspace<host>& scratch, const contrast<T, host>& problem) {
    const auto& in = problem;
    const index_t batch = in.query.rows();
    const index_t width = in.query.cols();
    const index_t pool = in.columns.rows();
    const index_t used = in.column_id.empty()      ? pool
                         : in.column_count.empty() ? in.column_id.size()
                                                   : std::min(in.column_count[0], in.column_id.size());
    const bool outside = !in.positive.empty(); // the positive is a column outside the pool
    const bool same_gradient = !in.grad_columns.empty() && in.grad_columns.data() == in.grad_query.data();

    const auto column = [&](index_t j) { return in.column_id.empty() ? j : in.column_id[j]; };
    const auto temperature_of = [&](index_t p) {
        return static_cast<double>(in.temperature[in.temperature.size() == 1 ? 0 : p]);
    };
    const auto left_out = [&](index_t i, index_t p) {
        if (!in.self.empty() && in.self[i] == p) {
            return true;
        }
        const bool positive = !outside && in.own[i] == p;
        return !in.row_group.empty() && in.row_group[i] >= 0 && in.row_group[i] == in.pool_group[p] && !positive;
    };

    // Sums over rows: kept in double until every row is done.
    workspace<host>::scope scope(scratch);
    auto logit = scope.vector<double>(used);      // of one row
    auto query_sum = scope.vector<double>(width); // of one row
    auto column_sum = scope.matrix<double>(in.grad_columns.rows(), width);
    auto temperature_sum = scope.vector<double>(in.grad_temperature.size());
    std::fill_n(column_sum.data(), column_sum.rows() * width, 0.0);
    std::fill(temperature_sum.begin(), temperature_sum.end(), 0.0);

    for (index_t i = 0; i < batch; ++i) {
        const auto query = in.query.row(i);
        const bool takes_part = outside || in.own[i] >= 0;
        double loss = 0;
        double log_sum = 0;
        double top1 = 0;
        std::fill(query_sum.begin(), query_sum.end(), 0.0);
        if (!in.grad_positive.empty() && !in.accumulate) {
            std::fill_n(in.grad_positive.row(i).data(), width, T{});
        }

        if (takes_part) {
            // First loop: logits, each computed once, and their maximum with weights.
            double positive_logit = 0;
            double largest = -std::numeric_limits<double>::infinity();
            if (outside) {
                positive_logit = inner_product(query, in.positive.row(i)) / temperature_of(0);
                largest = positive_logit;
            }
            const auto log_weight = [&](index_t j) {
                return in.log_weight.empty() ? 0.0 : static_cast<double>(in.log_weight[j]);
            };
            for (index_t j = 0; j < used; ++j) {
                const index_t p = column(j);
                if (left_out(i, p)) {
                    continue;
                }
                logit[j] = inner_product(query, in.columns.row(p)) / temperature_of(p);
                largest = std::max(largest, logit[j] + log_weight(j));
                if (!outside && in.own[i] == p) {
                    positive_logit = logit[j];
                }
            }

            // Second loop: the sum, shifted by the maximum so that no exponential overflows, and the rank of the positive.
            double sum = outside ? std::exp(positive_logit - largest) : 0;
            index_t larger = 0;
            index_t equal = outside ? 1 : 0;
            for (index_t j = 0; j < used; ++j) {
                if (!left_out(i, column(j))) {
                    sum += std::exp(logit[j] + log_weight(j) - largest);
                    larger += logit[j] > positive_logit ? 1 : 0;
                    equal += logit[j] == positive_logit ? 1 : 0;
                }
            }
            log_sum = largest + std::log(sum);
            loss = std::log(sum) + (largest - positive_logit);
            top1 = sum != sum ? sum : larger > 0 ? 0 : 1 / static_cast<double>(equal);

            // Gradients: one term for each logit.
            const double scale =
                in.row_scale.empty() ? 1 : static_cast<double>(in.row_scale[in.row_scale.size() == 1 ? 0 : i]);
            const auto add_term = [&](double by_logit, double s, double t, vector_view<const T> key, index_t p) {
                for (index_t c = 0; c < width; ++c) {
                    query_sum[c] += by_logit / t * static_cast<double>(key[c]);
                }
                if (!temperature_sum.empty()) {
                    temperature_sum[temperature_sum.size() == 1 ? 0 : p] -= by_logit * s / t;
                }
            };
            if (outside) {
                const double by_logit = scale * (std::exp(positive_logit - largest) / sum - 1);
                add_term(by_logit, positive_logit, temperature_of(0), in.positive.row(i), 0);
                for (index_t c = 0; c < width && !in.grad_positive.empty(); ++c) {
                    store(in.grad_positive(i, c), by_logit / temperature_of(0) * static_cast<double>(query[c]),
                          in.accumulate);
                }
            }
            for (index_t j = 0; j < used; ++j) {
                const index_t p = column(j);
                if (left_out(i, p)) {
                    continue;
                }
                const double hit = !outside && in.own[i] == p ? 1 : 0;
                const double by_logit = scale * (std::exp(logit[j] + log_weight(j) - largest) / sum - hit);
                add_term(by_logit, logit[j], temperature_of(p), in.columns.row(p), p);
                for (index_t c = 0; c < width && !column_sum.empty(); ++c) {
                    column_sum(p, c) += by_logit / temperature_of(p) * static_cast<double>(query[c]);
                }
            }
        }

        if (!in.loss.empty()) {
            in.loss[i] = static_cast<T>(loss);
        }
        if (!in.log_sum.empty()) {
            in.log_sum[i] = static_cast<T>(log_sum);
        }
        if (!in.top1.empty()) {
            in.top1[i] = static_cast<T>(top1);
        }
        for (index_t c = 0; c < width && !in.grad_query.empty(); ++c) {
            if (same_gradient) {
                column_sum(i, c) += query_sum[c];
            } else {
                store(in.grad_query(i, c), query_sum[c], in.accumulate);
            }
        }
    }

    for (index_t p = 0; p < column_sum.rows(); ++p) {
        for (index_t c = 0; c < width; ++c) {
            store(in.grad_columns(p, c), column_sum(p, c), in.accumulate);
        }
    }
    for (index_t p = 0; p < temperature_sum.size(); ++p) {
        store(in.grad_temperature[p], temperature_sum[p], in.accumulate);
    }
}

} // namespace protonce::inline v0::reference_detail

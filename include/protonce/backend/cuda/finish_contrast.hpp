// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/block_sums.hpp>
#include <protonce/backend/cuda/side_by_side.hpp>
#include <protonce/backend/cuda/softmax_weights.hpp>
#include <protonce/backend/elementwise/softmax_forward.hpp>
#include <protonce/backend/elementwise/table.hpp>

#include <cmath>
#include <cstddef>

namespace protonce::inline v0::detail::cuda {

/// What is left of a problem when the slices are known, by a block for one row: its softmax, loss, rank, the gradients of the query and
/// of a positive outside the pool. Slices are put together in an order that their number decides.
struct finish_row {
    static constexpr int threads = 128;
    using sums = block_sums<threads>;

    reader read;
    const float* positive;      // (B,) its logit times log2_of_e, or null: computed here
    const float* weight_of_row; // (P,) ln w by row of the pool, or null
    index_t slices;
    const elementwise::partial_softmax* part; // (B, slices)
    const double* moment;                     // (B, slices) or null
    const float* sum;                         // (slices, B, C) if grad_query is wanted
    bool accumulate;
    float* loss; // (B,) or null, as the next two
    float* log_sum;
    float* top1;
    double* of_temperature; // (B,) dL/dt of the temperature that all columns share, or null
    const float* scale;     // (B,) of packed queries
    query_info* info;       // (padded_rows,) for the gradients of columns, or null
    index_t padded_rows;
    elementwise::table<float> grad_query;
    elementwise::table<float> grad_positive;

    std::size_t shared_bytes() const { return static_cast<std::size_t>(slices) * sizeof(double) + sizeof(of_warps); }

    PROTONCE_DEVICE void work(index_t i) const {
        const bool takes_part = read.takes_part(i);
        auto& shared = *reinterpret_cast<of_warps*>(shared_memory());
        auto* weight = reinterpret_cast<double*>(shared_memory() + sizeof(of_warps)); // of a slice
        elementwise::row_softmax row;
        double moments = 0;
        if (takes_part) { // the whole block
            row.positive_logit = positive_logit(i, shared.product);
            const bool has_weight = !read.positive_is_outside() && weight_of_row != nullptr;
            row.positive_log_weight = has_weight ? static_cast<double>(weight_of_row[read.own[i]]) : 0.0;
            row = merge(i, row, weight, shared, moments);
        }
        if (thread_index() == 0) {
            elementwise::write_row(i, row, loss, log_sum, top1);
            if (info != nullptr) {
                info[i] = query_info::of(read, i, scale[i], row);
                for (index_t j = i + read.query.rows; j < padded_rows; j += read.query.rows) {
                    info[j] = query_info::none();
                }
            }
            if (of_temperature != nullptr) {
                const double slopes = row.positive_slope() * row.positive_logit + moments / row.sum();
                of_temperature[i] =
                    takes_part ? -read.row_scale(i) * slopes / static_cast<double>(read.temperature(0)) : 0.0;
            }
        }
        const double row_scale = takes_part ? read.row_scale(i) : 0.0;
        const double of_positive =
            takes_part ? row_scale * row.positive_slope() / static_cast<double>(read.positive_temperature(i)) : 0.0;
        for (index_t c = thread_index(); c < read.query.cols; c += threads) {
            if (grad_query.rows > 0) {
                double all = accumulate ? static_cast<double>(grad_query(i, c)) : 0.0;
                if (takes_part) {
                    const float* of_slice = sum + i * read.query.cols + c;
                    const index_t next = read.query.rows * read.query.cols;
                    double others = 0;
                    PROTONCE_UNROLL_SIXTEEN for (index_t k = 0; k < slices; ++k) {
                        others += weight[k] * static_cast<double>(of_slice[k * next]);
                    }
                    all += of_positive * static_cast<double>(read.positive_row(i)[c]) + row_scale * others / row.sum();
                }
                grad_query(i, c) = static_cast<float>(all);
            }
            if (grad_positive.rows > 0) {
                const double old = accumulate ? static_cast<double>(grad_positive(i, c)) : 0.0;
                grad_positive(i, c) = static_cast<float>(old + of_positive * static_cast<double>(read.query(i, c)));
            }
        }
    }

private:
    struct of_warps {
        double product[sums::warps];
        double largest[sums::warps];
        double sum[sums::warps];
        double moment[sums::warps];
        index_t above[sums::warps];
        index_t equal[sums::warps];
    };

    /// All threads.
    PROTONCE_DEVICE double positive_logit(index_t i, double* of_warp) const {
        if (positive != nullptr) {
            return static_cast<double>(positive[i]) / log2_of_e;
        }
        double product = 0;
        for (index_t c = thread_index(); c < read.query.cols; c += threads) {
            product += static_cast<double>(read.query(i, c)) * static_cast<double>(read.positive_row(i)[c]);
        }
        return sums::sum(product, of_warp) / static_cast<double>(read.positive_temperature(i));
    }
    /// All threads; the weights of the slices, which are not divided by the row's sum, can be read afterwards.
    PROTONCE_DEVICE elementwise::row_softmax merge(index_t i, elementwise::row_softmax row, double* weight,
                                                   of_warps& shared, double& moments) const {
        const elementwise::partial_softmax* mine = part + i * slices;
        double largest = row.positive_logit + row.positive_log_weight;
        for (index_t k = thread_index(); k < slices; k += threads) {
            largest = mine[k].largest > largest ? mine[k].largest : largest;
        }
        row.largest = sums::largest(largest, shared.largest);
        double others = 0;
        double all_moments = 0;
        index_t above = 0;
        index_t equal = 0;
        for (index_t k = thread_index(); k < slices; k += threads) {
            weight[k] = mine[k].sum != 0 ? std::exp(mine[k].largest - row.largest) : 0.0;
            others += mine[k].sum != 0 ? mine[k].sum * weight[k] : 0.0;
            all_moments += moment != nullptr && mine[k].sum != 0 ? moment[i * slices + k] * weight[k] : 0.0;
            above += mine[k].above;
            equal += mine[k].equal;
        }
        row.positive = std::exp(row.positive_logit + row.positive_log_weight - row.largest);
        row.others = sums::sum(others, shared.sum);
        moments = sums::sum(all_moments, shared.moment);
        above = sums::sum(above, shared.above);
        equal = sums::sum(equal, shared.equal) + 1;
        row.template finish<float>(above, equal);
        return row;
    }
};

/// A block a row, which finishes one problem after the other: they may add to one gradient. All threads meet before one of them writes
/// shared memory that was read for the last problem.
struct finish_rows {
    static_assert(most_side_by_side * sizeof(finish_row) <= most_argument_bytes);
    static constexpr int threads = finish_row::threads;
    finish_row problem[most_side_by_side];
    int count;

    PROTONCE_DEVICE void operator()() const {
        for (int p = 0; p < count; ++p) {
            problem[p].work(block_index());
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

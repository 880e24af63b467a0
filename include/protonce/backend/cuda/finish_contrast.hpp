// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/block_sums.hpp>
#include <protonce/backend/cuda/column_weights.hpp>
#include <protonce/backend/cuda/side_by_side.hpp>
#include <protonce/backend/cuda/softmax_weights.hpp>
#include <protonce/backend/elementwise/softmax_forward.hpp>
#include <protonce/backend/elementwise/table.hpp>

#include <cmath>
#include <cstddef>
#include <limits>

namespace protonce::inline v0::detail::cuda {

/// What is left of a problem when the slices are known: the softmax of a row, and from that its loss, rank, and what the gradients of the
/// query and of a positive outside the pool are made of. Slices are put together in an order that their number decides.
struct finish_row {
    reader read;
    const float* positive;      // (B,) its logit times log2_of_e, or null: computed here
    const float* weight_of_row; // (P,) ln w by row of the pool, or null
    int slices;
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

    struct known {
        bool takes_part;
        elementwise::row_softmax softmax;
        double moments;
        const float* positive_row;
        double of_positive; // its factor in the gradient of the query, and that of the query in its own
        index_t above;
        index_t equal;
    };

    /// One warp.
    /// \param factor  (slices,) of the sums of the slices in the gradient of the query
    PROTONCE_DEVICE void merge(index_t i, known& to, double* factor) const {
        const int lane = thread_index() % 32;
        known row{};
        row.takes_part = read.takes_part(i);
        if (row.takes_part) { // the whole warp
            find_softmax(i, row, factor);
            const double row_scale = read.row_scale(i);
            const double sum_of_row = row.softmax.sum();
            for (int k = lane; k < slices; k += 32) {
                factor[k] *= row_scale / sum_of_row;
            }
            row.positive_row = read.positive_row(i);
            row.of_positive =
                row_scale * row.softmax.positive_slope() / static_cast<double>(read.positive_temperature(i));
        }
        if (lane == 0) {
            to = row;
        }
    }

    /// One thread.
    PROTONCE_DEVICE void write(index_t i, known row) const {
        auto& softmax = row.softmax;
        if (row.takes_part) {
            softmax.template finish<float>(row.above, row.equal);
        }
        elementwise::write_row(i, softmax, loss, log_sum, top1);
        if (info != nullptr) {
            info[i] = query_info::of(read, i, scale[i], softmax);
            for (index_t j = i + read.query.rows; j < padded_rows; j += read.query.rows) {
                info[j] = query_info::none();
            }
        }
        if (of_temperature != nullptr) {
            const double slopes = softmax.positive_slope() * softmax.positive_logit + row.moments / softmax.sum();
            of_temperature[i] =
                row.takes_part ? -read.row_scale(i) * slopes / static_cast<double>(read.temperature(0)) : 0.0;
        }
    }

private:
    PROTONCE_DEVICE double find_positive(index_t i) const {
        if (positive != nullptr) {
            return static_cast<double>(positive[i]) / log2_of_e;
        }
        double product = 0;
        for (index_t c = thread_index() % 32; c < read.query.cols; c += 32) {
            product += static_cast<double>(read.query(i, c)) * static_cast<double>(read.positive_row(i)[c]);
        }
        return fold_warp(product, plus{}) / static_cast<double>(read.positive_temperature(i));
    }
    PROTONCE_DEVICE void find_softmax(index_t i, known& row, double* weight) const {
        const int lane = thread_index() % 32;
        const elementwise::partial_softmax* mine = part + i * slices;
        auto& softmax = row.softmax;
        double largest = -std::numeric_limits<double>::infinity();
        for (int k = lane; k < slices; k += 32) {
            largest = mine[k].largest > largest ? mine[k].largest : largest;
        }
        softmax.positive_logit = find_positive(i);
        const bool has_weight = !read.positive_is_outside() && weight_of_row != nullptr;
        softmax.positive_log_weight = has_weight ? static_cast<double>(weight_of_row[read.own[i]]) : 0.0;
        softmax.largest = larger{}(softmax.positive_logit + softmax.positive_log_weight, fold_warp(largest, larger{}));
        softmax.positive = std::exp(softmax.positive_logit + softmax.positive_log_weight - softmax.largest);
        double others = 0;
        double moments = 0;
        index_t above = 0;
        index_t equal = 0;
        for (int k = lane; k < slices; k += 32) {
            const bool has_terms = mine[k].sum != 0;
            weight[k] = has_terms ? std::exp(mine[k].largest - softmax.largest) : 0.0;
            others += has_terms ? mine[k].sum * weight[k] : 0.0;
            moments += moment != nullptr && has_terms ? moment[i * slices + k] * weight[k] : 0.0;
            above += mine[k].above;
            equal += mine[k].equal;
        }
        softmax.others = fold_warp(others, plus{});
        row.moments = moment != nullptr ? fold_warp(moments, plus{}) : 0.0;
        row.above = positive != nullptr ? fold_warp(above, plus{}) : 0;
        row.equal = 1 + (positive != nullptr ? fold_warp(equal, plus{}) : 0);
    }
};

/// A block a row, for problems that share it. A warp each merges their slices, then all warps share the sums of the slices, and add the
/// gradients of problems that go into one.
///
/// most_early: of so many slices in all each warp asks for the sums before it needs them. That shortens the wait where there are few rows,
/// and takes registers, which with many rows keep other blocks away.
template <int warps, int most_early>
struct finish_rows {
    static_assert(most_side_by_side * sizeof(finish_row) <= most_argument_bytes);
    static constexpr int threads = 32 * warps;
    static_assert(warps >= static_cast<int>(most_side_by_side));
    finish_row problem[most_side_by_side];
    int count;
    int most_slices;
    int early; // of a problem's slices a warp asks for so many early

    std::size_t shared_bytes() const {
        const auto factors = most_side_by_side * static_cast<std::size_t>(most_slices) * sizeof(double);
        const auto sums = static_cast<std::size_t>(warps * problem[0].read.query.cols) * sizeof(float);
        return most_side_by_side * sizeof(finish_row::known) + factors + sums;
    }

    PROTONCE_DEVICE void operator()() const {
        const index_t i = block_index();
        const int warp = thread_index() / 32;
        const int cols = static_cast<int>(problem[0].read.query.cols);
        auto* row = reinterpret_cast<finish_row::known*>(shared_memory());
        auto* factor = reinterpret_cast<double*>(row + most_side_by_side);
        auto* sums = reinterpret_cast<float*>(factor + static_cast<int>(most_side_by_side) * most_slices);

        four asked[most_early > 0 ? most_early : 1] = {};
        for_each_early([&](int u, int p, int k) {
            if (problem[p].grad_query.rows > 0 && first_column() < cols) {
                asked[u] = load<true>(sums_of(p, k, i), first_column(), cols);
            }
        });
        if (warp < count) {
            problem[warp].merge(i, row[warp], factor + warp * most_slices);
        }
        sync_block();
        for (int first = 0; first < count;) { // of those that go into one gradient
            int last = first + 1;
            while (last < count && adds_to(last, first)) {
                ++last;
            }
            if (problem[first].grad_query.rows > 0) {
                four sum{};
                for_each_early([&](int u, int p, int k) {
                    if (p >= first && p < last && row[p].takes_part) {
                        add(sum, factor[p * most_slices + k], asked[u]);
                    }
                });
                for (int c = first_column(); c < cols; c += 32 * piece) {
                    const bool has_early = c == first_column();
                    for (int p = first; p < last; ++p) {
                        add_slices(sum, i, c, p, has_early ? early : 0, row[p], factor + p * most_slices);
                    }
                    store(sum, sums + warp * cols, c, cols);
                    sum = {};
                }
                sync_block();
                write_gradient(i, problem[first], sums);
                sync_block();
            }
            first = last;
        }
        for (int p = 0; p < count; ++p) {
            write_positive(i, problem[p], row[p]);
        }
        if (warp < count && thread_index() % 32 == 0) {
            problem[warp].write(i, row[warp]);
        }
    }

private:
    static constexpr int piece = 4; // columns of a lane
    using four = at_once<float, piece>;
    PROTONCE_DEVICE bool adds_to(int p, int first) const {
        const auto& mine = problem[p].grad_query;
        const auto& to = problem[first].grad_query;
        return problem[p].accumulate && mine.rows > 0 && to.rows > 0 && mine.data == to.data;
    }
    PROTONCE_DEVICE static int first_column() { return thread_index() % 32 * piece; }
    PROTONCE_DEVICE const float* sums_of(int p, int k, index_t i) const {
        return problem[p].sum + (k * problem[0].read.query.rows + i) * problem[0].read.query.cols;
    }

    /// f(u, p, k): slice k of problem p, the u-th of those that this warp asks for early.
    template <class F>
    PROTONCE_DEVICE void for_each_early(const F& f) const {
        int p = 0;
        int n = 0;
        PROTONCE_UNROLL for (int u = 0; u < most_early; ++u) {
            const int k = thread_index() / 32 + n * warps;
            if (n < early && p < count && k < problem[p].slices) {
                f(u, p, k);
            }
            if (++n == early) {
                n = 0;
                ++p;
            }
        }
    }

    /// A warp's share of the slices of a problem but for the first ones, and the positive, for columns c to c + 3. Sums of a few slices in
    /// float are as exact as the result.
    PROTONCE_DEVICE void add_slices(four& sum, index_t i, int c, int p, int without, const finish_row::known& row,
                                    const double* factor) const {
        if (!row.takes_part) {
            return;
        }
        const int cols = static_cast<int>(problem[0].read.query.cols);
        const int warp = thread_index() / 32;
        if (warp == warps - 1 - p) {
            add(sum, row.of_positive, load<false>(row.positive_row, c, cols));
        }
        for (int k = warp + without * warps; k < problem[p].slices; k += warps) {
            add(sum, factor[k],
                cols % piece == 0 ? load<true>(sums_of(p, k, i), c, cols) : load<false>(sums_of(p, k, i), c, cols));
        }
    }
    template <bool is_aligned>
    PROTONCE_DEVICE static four load(const float* row, int c, int cols) {
        if constexpr (is_aligned) {
            return *reinterpret_cast<const four*>(row + c);
        } else {
            four values;
            PROTONCE_UNROLL for (int e = 0; e < piece; ++e) {
                values.at[e] = c + e < cols ? row[c + e] : 0.0F;
            }
            return values;
        }
    }
    PROTONCE_DEVICE static void add(four& sum, double factor, const four& values) {
        PROTONCE_UNROLL for (int e = 0; e < piece; ++e) {
            sum.at[e] = std::fma(static_cast<float>(factor), values.at[e], sum.at[e]);
        }
    }
    PROTONCE_DEVICE static void store(const four& sum, float* row, int c, int cols) {
        PROTONCE_UNROLL for (int e = 0; e < piece; ++e) {
            if (c + e < cols) {
                row[c + e] = sum.at[e];
            }
        }
    }
    PROTONCE_DEVICE static void write_gradient(index_t i, const finish_row& of, const float* sums) {
        const index_t cols = of.read.query.cols;
        for (index_t c = thread_index(); c < cols; c += threads) {
            double all = of.accumulate ? static_cast<double>(of.grad_query(i, c)) : 0.0;
            PROTONCE_UNROLL for (int warp = 0; warp < warps; ++warp) {
                all += static_cast<double>(sums[warp * cols + c]);
            }
            of.grad_query(i, c) = static_cast<float>(all);
        }
    }
    PROTONCE_DEVICE static void write_positive(index_t i, const finish_row& of, const finish_row::known& row) {
        if (of.grad_positive.rows == 0) {
            return;
        }
        for (index_t c = thread_index(); c < of.read.query.cols; c += threads) {
            const double old = of.accumulate ? static_cast<double>(of.grad_positive(i, c)) : 0.0;
            of.grad_positive(i, c) =
                static_cast<float>(old + row.of_positive * static_cast<double>(of.read.query(i, c)));
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/best_of_row.hpp>
#include <protonce/backend/cuda/fused_sums.hpp>
#include <protonce/backend/cuda/softmax_weights.hpp>

#include <cmath>
#include <cstddef>

namespace protonce::inline v0::detail::cuda {

/// What the gradient of the columns needs of a query.
struct alignas(16) query_info {
    float factor;   // scale of the packed row times dL/dl_i
    float scale;    // of the packed row
    float largest;  // of its exponents, times log2_of_e
    float softmax;  // p_ij = softmax * 2^((s_ij + ln w_j) log2_of_e - largest)
    float positive; // dl_i/ds_i+
    label_t own;    // row of the pool that is its positive; outside: -1
    label_t self;   // and those that are left out
    label_t group;  // of it too, as group_of_query() says

    static constexpr label_t no_part = -2; // as `own`
    PROTONCE_HOST_DEVICE static query_info none() { return {0, 0, 0, 0, 0, no_part, -1, no_group_of_query}; }
    PROTONCE_HOST_DEVICE static float lone_factor() { return 0; } // there is more

    PROTONCE_DEVICE static query_info of(const reader& read, index_t i, float scale,
                                         const elementwise::row_softmax& row) {
        if (!read.takes_part(i)) {
            return none();
        }
        const auto largest = static_cast<float>(row.largest * static_cast<double>(log2_of_e));
        const double rounded = static_cast<double>(largest) / static_cast<double>(log2_of_e);
        return {static_cast<float>(read.row_scale(i)) * scale,
                scale,
                largest,
                static_cast<float>(std::exp(rounded - row.largest) / row.sum()),
                static_cast<float>(row.positive_slope()),
                read.own != nullptr ? read.own[i] : label_t{-1},
                read.self != nullptr ? read.self[i] : label_t{-1},
                group_of_query(read, i)};
    }
};

/// What becomes of the columns' gradients.
struct column_gradients {
    const column_info* column;          // (J,) of packed columns
    bool is_added;                      // to what the gradient holds
    elementwise::table<float> gradient; // (P, C), or without rows
    float* temperature;                 // (P,) gradient, added to; or null

    /// dL/dt_j = -(sum of dL/ds_ij s_ij) / t_j
    PROTONCE_DEVICE void add_temperature(const reader& read, label_t row, double moment) const {
        float& to = temperature[row];
        to = static_cast<float>(static_cast<double>(to) - moment / static_cast<double>(read.temperature(row)));
    }
};

/// Sums of a slice of the queries for all columns, where the queries are cut; else null.
struct column_slices {
    float* sum;     // (slices, J, C) over t_j, or null: no gradient of columns is wanted
    double* moment; // (slices, J) sum of dL/ds_ij s_ij, or null: no gradient of temperatures is
};

/// Left: columns, right: queries. The weight is dL/ds_ij; the sum, over t_j, is the gradient of a column.
struct column_weights {
    using info = query_info;
    static constexpr bool has_common_way = false;
    reader read;
    column_gradients to;
    column_slices part;

    struct rows {
        index_t first;  // and first + 8
        label_t row[2]; // of the pool; -1: none
        label_t group[2];
        float factor[2]; // times log2_of_e, as the next one
        float log_weight[2];
        float inverse[2]; // 1 / t_j
        double moment[2];
    };
    PROTONCE_DEVICE rows begin(index_t first) const {
        rows out;
        out.first = first;
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            const index_t j = first + r * 8;
            const column_info mine = j < read.most_used ? to.column[j] : column_info::none();
            out.row[r] = mine.row;
            out.group[r] = mine.group;
            out.factor[r] = mine.factor * log2_of_e;
            out.log_weight[r] = mine.log_weight * log2_of_e;
            out.inverse[r] = mine.is_none() ? 0 : 1 / read.temperature(mine.row);
            out.moment[r] = 0;
        }
        return out;
    }

    /// \param query  query(n, c): query_info of query 8 n + 2 member + c of the tile
    template <int tiles, class Query>
    PROTONCE_DEVICE void weigh(rows& mine, float (&product)[tiles][4], index_t, const Query& query, float unit,
                               float (&rescale)[2]) const {
        float moments[2] = {};
        PROTONCE_UNROLL for (int n = 0; n < tiles; ++n) {
            PROTONCE_UNROLL for (int c = 0; c < 2; ++c) {
                const query_info row = query(n, c);
                PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
                    float& s = product[n][2 * r + c];
                    const float exponent = std::fma(s, row.scale * mine.factor[r], mine.log_weight[r]);
                    const float softmax = row.softmax * power_of_two(exponent - row.largest);
                    const bool is_own = row.own == mine.row[r];
                    const bool is_out = row.own == query_info::no_part || row.self == mine.row[r] ||
                                        (!is_own && row.group == mine.group[r]);
                    const float weight = is_out ? 0.0F : (is_own ? row.positive : softmax) * row.factor;
                    moments[r] += is_out ? 0.0F : weight * s * mine.factor[r];
                    s = weight * unit;
                }
            }
        }
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            mine.moment[r] += static_cast<double>(moments[r]);
            rescale[r] = 1;
        }
    }

    PROTONCE_DEVICE void finish(const rows& mine, int slice) const {
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            const double all = sum_of_row(mine.moment[r]) / static_cast<double>(log2_of_e);
            if (to.temperature == nullptr || mine.row[r] < 0 || lane_place::here().member != 0) {
                continue;
            }
            if (part.moment != nullptr) {
                part.moment[number(mine, r, slice)] = all;
            } else {
                to.add_temperature(read, mine.row[r], all);
            }
        }
    }
    PROTONCE_DEVICE sums_place place(const rows& mine, int r, int slice, float factor) const {
        if (mine.row[r] < 0) {
            return {nullptr, 0, false};
        }
        if (part.sum != nullptr) {
            return {part.sum + number(mine, r, slice) * read.query.cols, mine.inverse[r] * factor, false};
        }
        return {to.gradient.row(mine.row[r]), mine.inverse[r] * factor, to.is_added};
    }

private:
    PROTONCE_DEVICE index_t number(const rows& mine, int r, int slice) const {
        return slice * read.most_used + mine.first + r * 8;
    }
};

/// Gradients of the columns from those of the slices, a thread a value; the first of a column has its temperature too.
struct add_column_slices {
    static constexpr int threads = 256;
    reader read;
    column_gradients to;
    column_slices part;
    index_t slices;

    PROTONCE_HOST_DEVICE index_t width() const { return part.sum != nullptr ? read.query.cols : 1; }
    PROTONCE_HOST_DEVICE index_t size() const { return read.most_used * width(); }
    index_t blocks() const { return ceil_div(size(), threads); }
    static constexpr std::size_t shared_bytes() { return 0; }

    PROTONCE_DEVICE void work(int block) const {
        const index_t at = index_t{block} * threads + thread_index();
        if (at < size()) {
            add(at);
        }
    }

private:
    PROTONCE_DEVICE void add(index_t at) const {
        const index_t j = at / width();
        const index_t c = at % width();
        const label_t row = to.column[j].row;
        if (row < 0) {
            return;
        }
        if (part.sum != nullptr) {
            float& value = to.gradient(row, c);
            double sum = to.is_added ? static_cast<double>(value) : 0.0;
            for (index_t k = 0; k < slices; ++k) {
                sum += static_cast<double>(part.sum[k * read.most_used * width() + at]);
            }
            value = static_cast<float>(sum);
        }
        if (to.temperature != nullptr && c == 0) {
            double moment = 0;
            for (index_t k = 0; k < slices; ++k) {
                moment += part.moment[k * read.most_used + j];
            }
            to.add_temperature(read, row, moment);
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

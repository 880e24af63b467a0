// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/fused_sums.hpp>
#include <protonce/backend/elementwise/contrast_reader.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace protonce::inline v0::detail::cuda {

using reader = elementwise::contrast_reader<float>;

/// Over the four lanes of a row, the same in each.
template <class V>
PROTONCE_DEVICE V sum_of_row(V value) {
    value += shuffle_xor(value, 1);
    return value + shuffle_xor(value, 2);
}
PROTONCE_DEVICE inline float largest_of_row(float value) {
    for (int mask = 1; mask < 4; mask *= 2) {
        const float other = shuffle_xor(value, mask);
        value = other > value ? other : value;
    }
    return value;
}

/// Left: queries, right: columns. Terms e^{s_ij + ln w_j - m_i} of the columns that are neither left out nor the row's positive, with
/// m_i the largest exponent so far, and their sum; the weight is the term over t_j.
struct query_weights {
    reader read;
    const elementwise::row_softmax* softmax; // (B,) with the positive's logit
    const float* scale;                      // (B,) of packed queries
    const float* factor;                     // (J,) scale of packed columns over t_j
    bool has_masks;                          // may a column be left out for a row?
    index_t slices;
    elementwise::partial_softmax* part; // (B, slices)
    double* moment;                     // (B, slices) sum of term times logit, or null
    float* sum;                         // (slices, B, C)

    struct rows {
        index_t first; // and first + 8
        bool takes_part[2];
        float scale[2];
        float positive[2];
        float largest[2];
        double sum[2];
        double moment[2];
        int above[2];
        int equal[2];
    };
    PROTONCE_DEVICE rows begin(index_t first) const {
        rows out;
        out.first = first;
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            const index_t i = first + r * 8;
            out.takes_part[r] = i < read.query.rows && read.takes_part(i);
            out.scale[r] = out.takes_part[r] ? scale[i] : 0;
            out.positive[r] = out.takes_part[r] ? static_cast<float>(softmax[i].positive_logit) : 0;
            out.largest[r] = -std::numeric_limits<float>::infinity();
            out.sum[r] = out.moment[r] = 0;
            out.above[r] = out.equal[r] = 0;
        }
        return out;
    }

    PROTONCE_DEVICE void weigh(rows& mine, float (&product)[4][4], index_t first, float unit,
                               float (&rescale)[2]) const {
        const index_t columns = read.num_used();
        const int member = lane_place::here().member;
        std::uint32_t used = 0; // bit 4 n + e: is the product one of a term?
        float of_column[4][2];
        float largest[2] = {mine.largest[0], mine.largest[1]};
        PROTONCE_UNROLL for (int n = 0; n < 4; ++n) {
            PROTONCE_UNROLL for (int c = 0; c < 2; ++c) {
                const index_t j = first + n * 8 + 2 * member + c;
                const bool is_column = j < columns;
                const float log_weight = is_column ? read.log_weight(j) : 0;
                of_column[n][c] = is_column ? factor[j] : 0;
                PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
                    float& s = product[n][2 * r + c];
                    s = s * mine.scale[r] * of_column[n][c];
                    if (is_column && mine.takes_part[r] && is_other(mine.first + r * 8, j)) {
                        used |= 1u << (4 * n + 2 * r + c);
                        const float exponent = s + log_weight;
                        largest[r] = exponent > largest[r] ? exponent : largest[r];
                    }
                }
            }
        }
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            largest[r] = largest_of_row(largest[r]);
            rescale[r] = largest[r] > mine.largest[r] ? std::exp(mine.largest[r] - largest[r]) : 1.0F;
            mine.largest[r] = largest[r];
            take_terms(mine, r, product, used, first + 2 * member, of_column, unit, rescale[r]);
        }
    }

    PROTONCE_DEVICE void finish(const rows& mine, int slice) const {
        const bool writes = lane_place::here().member == 0;
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            const elementwise::partial_softmax out{static_cast<double>(mine.largest[r]), sum_of_row(mine.sum[r]),
                                                   sum_of_row(index_t{mine.above[r]}),
                                                   sum_of_row(index_t{mine.equal[r]})};
            const double all_moment = sum_of_row(mine.moment[r]);
            if (writes && mine.takes_part[r]) {
                part[(mine.first + r * 8) * slices + slice] = out;
                if (moment != nullptr) {
                    moment[(mine.first + r * 8) * slices + slice] = all_moment;
                }
            }
        }
    }
    PROTONCE_DEVICE void store(const rows& mine, int r, int slice, int c, float value) const {
        if (mine.takes_part[r] && c < read.query.cols) {
            sum[(slice * read.query.rows + (mine.first + r * 8)) * read.query.cols + c] = value;
        }
    }

private:
    PROTONCE_DEVICE bool is_other(index_t i, index_t j) const {
        if (!has_masks) {
            return true;
        }
        const index_t p = read.pool_row(j);
        return read.is_in(i, p) && !read.is_positive(i, p);
    }
    /// Terms of the tile into the sums of row r, and weights in place of its logits.
    PROTONCE_DEVICE void take_terms(rows& mine, int r, float (&product)[4][4], std::uint32_t used, index_t first,
                                    const float (&of_column)[4][2], float unit, float rescale) const {
        const bool has_term = mine.largest[r] > -std::numeric_limits<float>::infinity();
        const float shift = has_term ? mine.largest[r] : 0.0F; // else terms of 0 alone
        float terms = 0;
        float moments = 0;
        PROTONCE_UNROLL for (int n = 0; n < 4; ++n) {
            PROTONCE_UNROLL for (int c = 0; c < 2; ++c) {
                float& s = product[n][2 * r + c];
                const bool is_term = (used >> (4 * n + 2 * r + c) & 1u) != 0;
                const float term = is_term ? std::exp(s + read.log_weight(first + n * 8 + c) - shift) : 0.0F;
                terms += term;
                moments += is_term ? term * s : 0.0F;
                mine.above[r] += is_term && s > mine.positive[r] ? 1 : 0;
                mine.equal[r] += is_term && s == mine.positive[r] ? 1 : 0;
                s = term * (of_column[n][c] * unit);
            }
        }
        mine.sum[r] = mine.sum[r] * static_cast<double>(rescale) + static_cast<double>(terms);
        mine.moment[r] = mine.moment[r] * static_cast<double>(rescale) + static_cast<double>(moments);
    }
};

/// What the gradient of the columns needs of a row.
struct query_slope {
    float largest;   // of its exponents
    float scale;     // p_ij = scale * e^(s_ij + ln w_j - largest)
    float positive;  // dl_i/ds_i+
    float row_scale; // dL/dl_i
};

/// Left: columns, right: queries. The weight is dL/ds_ij; the sum, over t_j, is the gradient of a column.
struct column_weights {
    reader read;
    const query_slope* slope;           // (B,)
    const float* query_scale;           // (B,) of packed queries
    const float* query_factor;          // (B,) their scale times dL/dl_i
    const float* factor;                // (J,) scale of packed columns over t_j
    bool is_added;                      // to what the gradient holds
    elementwise::table<float> gradient; // (P, C)
    float* temperature;                 // (P,) gradient, added to; or null

    struct rows {
        index_t row[2]; // of the pool; -1: none
        float factor[2];
        float log_weight[2];
        float inverse[2]; // 1 / t_j
        double moment[2];
    };
    PROTONCE_DEVICE rows begin(index_t first) const {
        rows out;
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            const index_t j = first + r * 8;
            const bool is_used = j < read.num_used();
            out.row[r] = is_used ? read.pool_row(j) : -1;
            out.factor[r] = is_used ? factor[j] : 0;
            out.log_weight[r] = is_used ? read.log_weight(j) : 0;
            out.inverse[r] = is_used ? 1 / read.temperature(out.row[r]) : 0;
            out.moment[r] = 0;
        }
        return out;
    }

    PROTONCE_DEVICE void weigh(rows& mine, float (&product)[4][4], index_t first, float unit,
                               float (&rescale)[2]) const {
        const int member = lane_place::here().member;
        float moments[2] = {};
        PROTONCE_UNROLL for (int n = 0; n < 4; ++n) {
            PROTONCE_UNROLL for (int c = 0; c < 2; ++c) {
                const index_t i = first + n * 8 + 2 * member + c;
                const bool is_row = i < read.query.rows && read.takes_part(i);
                const query_slope of_row = is_row ? slope[i] : query_slope{};
                const float weight_of_row = is_row ? query_factor[i] * unit : 0;
                const float scale = is_row ? query_scale[i] : 0;
                PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
                    float& s = product[n][2 * r + c];
                    const float logit = s * scale * mine.factor[r];
                    s = 0;
                    if (is_row && mine.row[r] >= 0 && read.is_in(i, mine.row[r])) {
                        const float value = read.is_positive(i, mine.row[r])
                                                ? of_row.positive
                                                : of_row.scale * std::exp(logit + mine.log_weight[r] - of_row.largest);
                        moments[r] += value * of_row.row_scale * logit;
                        s = value * weight_of_row;
                    }
                }
            }
        }
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            mine.moment[r] += static_cast<double>(moments[r]);
            rescale[r] = 1;
        }
    }

    /// dL/dt_j = -(sum of dL/ds_ij s_ij) / t_j
    PROTONCE_DEVICE void finish(const rows& mine, int) const {
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            const double all = sum_of_row(mine.moment[r]);
            if (temperature != nullptr && mine.row[r] >= 0 && lane_place::here().member == 0) {
                float& to = temperature[mine.row[r]];
                to = static_cast<float>(static_cast<double>(to) -
                                        all / static_cast<double>(read.temperature(mine.row[r])));
            }
        }
    }
    PROTONCE_DEVICE void store(const rows& mine, int r, int, int c, float value) const {
        if (mine.row[r] >= 0 && c < read.query.cols) {
            float& to = gradient(mine.row[r], c);
            to = (is_added ? to : 0.0F) + value * mine.inverse[r];
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

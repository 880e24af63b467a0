// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/best_of_row.hpp>
#include <protonce/backend/cuda/fused_sums.hpp>
#include <protonce/backend/elementwise/contrast_reader.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace protonce::inline v0::detail::cuda {

using reader = elementwise::contrast_reader<float>;

constexpr float log2_of_e = 1.44269504F;

/// Over the four lanes of a row, the same in each.
template <class V>
PROTONCE_DEVICE V sum_of_row(V value) {
    value += shuffle_xor(value, 1);
    return value + shuffle_xor(value, 2);
}
/// Unlike any column's.
constexpr label_t no_group_of_query = column_info::no_group - 1;
PROTONCE_DEVICE inline label_t group_of_query(const reader& read, index_t i) {
    return read.row_group != nullptr && read.row_group[i] >= 0 ? read.row_group[i] : no_group_of_query;
}

/// The rows of the pool that are left out for two rows; -1: none.
struct left_out {
    label_t own[2]; // the positive's column is none of the others
    label_t self[2];
    label_t group[2]; // and all columns of it

    PROTONCE_DEVICE static left_out of(const reader& read, index_t first) {
        left_out out;
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            const index_t i = first + r * 8;
            const bool is_row = i < read.query.rows;
            out.own[r] = is_row && read.own != nullptr ? read.own[i] : -1;
            out.self[r] = is_row && read.self != nullptr ? read.self[i] : -1;
            out.group[r] = is_row ? group_of_query(read, i) : no_group_of_query;
        }
        return out;
    }
    PROTONCE_DEVICE bool has(int r, const column_info& column) const {
        return column.row == own[r] || column.row == self[r] || column.group == group[r];
    }
};

/// Where a row's sums go: out = (is_added ? out : 0) + factor * sum. No row: null.
struct sums_place {
    float* row;
    float factor;
    bool is_added;

    /// Sums of columns first + 8 n and the one behind it, sum(n, 0) and sum(n, 1), for n below 16: those below `cols`.
    template <class Sum>
    PROTONCE_DEVICE void store(index_t first, index_t cols, const Sum& sum) const {
        using pair = at_once<float, 2>;
        constexpr int count = 16;
        if (row == nullptr) {
            return;
        }
        float* to = row + first;
        const bool has_pairs = reinterpret_cast<std::uintptr_t>(to) % sizeof(pair) == 0;
        if (has_pairs && !is_added && first + (count - 1) * 8 + 2 <= cols) { // the usual case, without a branch each
            PROTONCE_UNROLL for (int n = 0; n < count; ++n) {
                *reinterpret_cast<pair*>(to + n * 8) = {{sum(n, 0) * factor, sum(n, 1) * factor}};
            }
            return;
        }
        PROTONCE_UNROLL for (int n = 0; n < count; ++n) {
            PROTONCE_UNROLL for (int c = 0; c < 2; ++c) {
                if (first + n * 8 + c < cols) {
                    to[n * 8 + c] = (is_added ? to[n * 8 + c] : 0.0F) + sum(n, c) * factor;
                }
            }
        }
    }
};

/// Left: queries, right: columns. Terms e^{s_ij + ln w_j - m_i} of the columns that are neither left out nor the row's positive, with
/// m_i the largest exponent so far, and their sum; the weight is the term over t_j. Logits and exponents are times log2_of_e, for powers of
/// two.
///
/// has_masks: may a column be left out for a row? has_ranks: are logits compared with the positive's, and may columns have a w_j?
/// has_moments: terms times logits are summed too.
template <bool has_masks, bool has_ranks, bool has_moments>
struct query_weights {
    using info = column_info;
    reader read;
    const float* positive; // (B,) its logit, for ranks
    const float* scale;    // (B,) of packed queries
    index_t slices;
    elementwise::partial_softmax* part; // (B, slices)
    double* moment;                     // (B, slices) sum of term times logit
    float* sum;                         // (slices, B, C)

    struct rows {
        index_t first; // and first + 8
        bool takes_part[2];
        left_out without;
        index_t with_masks; // columns that may be left out, the first ones
        index_t num_used;
        float scale[2]; // times log2_of_e
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
        if constexpr (has_masks) {
            out.without = left_out::of(read, first);
        }
        out.with_masks = has_masks && !has_ranks ? read.num_with_masks() : 0;
        out.num_used = has_common_way ? read.num_used() : 0;
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            const index_t i = first + r * 8;
            out.takes_part[r] = i < read.query.rows && read.takes_part(i);
            out.scale[r] = log2_of_e * (out.takes_part[r] ? scale[i] : 1.0F);
            if constexpr (has_ranks) {
                out.positive[r] = out.takes_part[r] ? positive[i] : 0;
            }
            out.largest[r] = -std::numeric_limits<float>::infinity();
            out.sum[r] = out.moment[r] = 0;
            out.above[r] = out.equal[r] = 0;
        }
        return out;
    }

    /// \param first   number of the first column
    /// \param column  column(n, c): column_info of column first + 8 n + 2 member + c
    template <int tiles, class Column>
    PROTONCE_DEVICE void weigh(rows& mine, float (&product)[tiles][4], index_t first, const Column& column, float unit,
                               float (&rescale)[2]) const {
        if (has_ranks ||
            (has_masks && first < mine.with_masks)) { // with ranks a second way would take too many registers
            find_exponents<true>(mine, product, column);
        } else {
            find_exponents<false>(mine, product, column);
        }
        float shift[2];
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            shift[r] = raise(mine, r, largest_of_row(product, r), rescale);
        }
        take_terms(mine, product, column, unit, shift, rescale);
    }

    /// Where all columns of a tile have one factor, and may not be left out: what weigh() does, in fewer instructions.
    static constexpr bool has_common_way = !has_ranks;
    PROTONCE_DEVICE bool is_common(const rows& mine, index_t first, index_t last) const {
        return first >= mine.with_masks && last <= mine.num_used;
    }
    /// False, and nothing done, for huge logits, whose exponents would be rounded by more than half precision has room for.
    template <int tiles>
    PROTONCE_DEVICE static bool weigh_common(rows& mine, float (&product)[tiles][4], float factor,
                                             float (&rescale)[2]) {
        constexpr float log2_of_unit = 14; // of weights, as weigh() makes them: factor * unit
        constexpr float huge = 0x1p22F;
        float scales[2];
        float largest[2];
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            scales[r] = mine.scale[r] * factor;
            largest[r] = std::fmax(up_to_64th(largest_of_row(product, r) * scales[r]), mine.largest[r]);
        }
        if (any_of_warp(!(std::abs(largest[0]) < huge && std::abs(largest[1]) < huge))) {
            return false;
        }
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            const float shift = raise(mine, r, largest[r], rescale) - log2_of_unit;
            float terms = 0;
            PROTONCE_UNROLL for (int n = 0; n < tiles; ++n) {
                PROTONCE_UNROLL for (int c = 0; c < 2; ++c) {
                    float& value = product[n][2 * r + c];
                    value = power_of_two(std::fma(value, scales[r], -shift));
                    terms += value;
                }
            }
            mine.sum[r] = mine.sum[r] * static_cast<double>(rescale[r]) + static_cast<double>(terms * 0x1p-14F);
        }
        return true;
    }

    PROTONCE_DEVICE void finish(const rows& mine, int slice) const {
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            const double all = sum_of_row(mine.sum[r]);
            const index_t above = has_ranks ? sum_of_row(index_t{mine.above[r]}) : 0;
            const index_t equal = has_ranks ? sum_of_row(index_t{mine.equal[r]}) : 0;
            const double all_moment = has_moments ? sum_of_row(mine.moment[r]) : 0;
            if (lane_place::here().member == 0 && mine.takes_part[r]) {
                const index_t at = (mine.first + r * 8) * slices + slice;
                part[at] = {static_cast<double>(mine.largest[r]) / log2_of_e, all, above, equal};
                if constexpr (has_moments) {
                    moment[at] = all_moment / log2_of_e;
                }
            }
        }
    }
    PROTONCE_DEVICE sums_place place(const rows& mine, int r, int slice, float factor) const {
        const index_t row = slice * read.query.rows + mine.first + r * 8;
        return {mine.takes_part[r] ? sum + row * read.query.cols : nullptr, factor, false};
    }

private:
    /// Of the four lanes that share a row of a tile.
    template <int tiles>
    PROTONCE_DEVICE static float largest_of_row(const float (&product)[tiles][4], int r) {
        float largest = product[0][2 * r];
        PROTONCE_UNROLL for (int n = 0; n < tiles; ++n) {
            PROTONCE_UNROLL for (int c = 0; c < 2; ++c) {
                largest = std::fmax(largest, product[n][2 * r + c]); // the other one, if one is NaN
            }
        }
        return largest_of_four_lanes(largest);
    }
    /// The largest exponent so far, which terms are to be divided by, when one more is known.
    PROTONCE_DEVICE static float raise(rows& mine, int r, float exponent, float (&rescale)[2]) {
        const float largest = std::fmax(mine.largest[r], exponent); // the other one, if one is NaN
        rescale[r] = largest > mine.largest[r] ? power_of_two(mine.largest[r] - largest) : 1.0F;
        mine.largest[r] = largest;
        return largest > -std::numeric_limits<float>::infinity() ? largest : 0.0F; // else terms of 0 alone
    }
    /// So that, up to 2^18, a small whole number can be taken from it without rounding.
    PROTONCE_DEVICE static float up_to_64th(float value) { return std::ceil(value * 64) / 64; }

    /// Exponents in place of products, -infinity for what is left out; ranks.
    template <bool masks, int tiles, class Column>
    PROTONCE_DEVICE static void find_exponents(rows& mine, float (&product)[tiles][4], const Column& column) {
        PROTONCE_UNROLL for (int n = 0; n < tiles; ++n) {
            PROTONCE_UNROLL for (int c = 0; c < 2; ++c) {
                const column_info of_column = column(n, c);
                PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
                    float& value = product[n][2 * r + c];
                    bool is_out = false;
                    if constexpr (has_masks && masks) {
                        is_out = mine.without.has(r, of_column);
                    }
                    const float factor = mine.scale[r] * of_column.factor;
                    const float log_weight =
                        of_column.log_weight * (has_ranks ? log2_of_e : 1); // 0 or -infinity, without
                    if constexpr (has_ranks) {
                        const float logit = value * factor;
                        const bool counts = !is_out && !of_column.is_none();
                        mine.above[r] += counts && logit > mine.positive[r] ? 1 : 0;
                        mine.equal[r] += counts && logit == mine.positive[r] ? 1 : 0;
                    }
                    value = is_out ? -std::numeric_limits<float>::infinity() : std::fma(value, factor, log_weight);
                }
            }
        }
    }
    /// Terms into the sums of the rows, and weights in place of exponents.
    template <int tiles, class Column>
    PROTONCE_DEVICE static void take_terms(rows& mine, float (&product)[tiles][4], const Column& column, float unit,
                                           const float (&shift)[2], const float (&rescale)[2]) {
        float terms[2] = {};
        float moments[2] = {};
        PROTONCE_UNROLL for (int n = 0; n < tiles; ++n) {
            PROTONCE_UNROLL for (int c = 0; c < 2; ++c) {
                const column_info of_column = column(n, c);
                const float factor = of_column.factor * unit;
                PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
                    float& value = product[n][2 * r + c];
                    const float term = power_of_two(value - shift[r]);
                    terms[r] += term;
                    if constexpr (has_moments) { // 0 times infinity is no number
                        moments[r] += term != 0 ? term * (value - of_column.log_weight * log2_of_e) : 0.0F;
                    }
                    value = term * factor;
                }
            }
        }
        PROTONCE_UNROLL for (int r = 0; r < 2; ++r) {
            mine.sum[r] = mine.sum[r] * static_cast<double>(rescale[r]) + static_cast<double>(terms[r]);
            if constexpr (has_moments) {
                mine.moment[r] = mine.moment[r] * static_cast<double>(rescale[r]) + static_cast<double>(moments[r]);
            }
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

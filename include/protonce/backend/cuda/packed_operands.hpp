// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/block_sums.hpp>
#include <protonce/backend/cuda/operand_forms.hpp>
#include <protonce/backend/elementwise/table.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace protonce::inline v0::detail::cuda {

/// What a weight needs of a row of the right.
struct alignas(16) column_info {
    float factor;     // what the packed row is to be multiplied by, for the row over t_j
    float log_weight; // ln w_j
    label_t row;      // of the pool; -1: none
    label_t group;    // of the pool's row, or no_group

    static constexpr label_t no_group = -1; // negative groups are none, and equal none of a query's
    /// Behind the last row: exponents of -infinity.
    PROTONCE_HOST_DEVICE static column_info none() {
        return {0, -std::numeric_limits<float>::infinity(), -1, no_group};
    }
    PROTONCE_HOST_DEVICE bool is_none() const { return row < 0; }
    /// The factor if it is all that tells the column from others, else 0; infinity behind the last row.
    PROTONCE_HOST_DEVICE float lone_factor() const {
        return is_none() ? std::numeric_limits<float>::infinity() : log_weight == 0 ? factor : 0;
    }
};

/// Rows as kernels read them: in a form, without gaps, padded with zero rows to a multiple of 16.
struct packed_operands {
    index_t count = 0; // without the padding
    index_t cols = 0;  // a multiple of 16
    std::uint32_t* rows = nullptr;
    std::uint32_t* pairs = nullptr; // (count / 2, cols) if the form has them
    float* scale = nullptr;         // by which a row was divided
    PROTONCE_HOST_DEVICE float scale_of(index_t i) const { return scale[i]; }
    column_info* info = nullptr; // of columns, and of positives
};

/// Packs two rows a warp.
template <class Form>
struct pack_operands {
    using operands = packed_operands;
    static constexpr int threads = 128;
    static constexpr int block_rows = 2 * threads / 32;
    static_assert(16 % block_rows == 0);

    /// In memory of the scope, without `info`.
    template <class Scope>
    static operands take(Scope& scope, index_t count, index_t cols) {
        const index_t padded = ceil_div(count, 16) * 16;
        operands to{.count = count, .cols = ceil_div(cols, 16) * 16};
        to.rows = scope.template matrix<std::uint32_t>(padded, Form::words(to.cols)).data();
        to.pairs = scope.template matrix<std::uint32_t>(Form::has_pairs ? padded / 2 : 0, to.cols).data();
        to.scale = scope.template vector<float>(padded).data();
        return to;
    }
    PROTONCE_HOST_DEVICE static index_t padded(const operands& to) { return ceil_div(to.count, 16) * 16; }
    PROTONCE_HOST_DEVICE static index_t blocks(const operands& to) { return padded(to) / block_rows; }

    /// Source::of(i): where row i is, or -1 for zeros; row(p), temperature(p): its `cols` values, and what they are to be divided
    /// by; info(i, p): the rest that is to be known of it.
    template <class Source>
    PROTONCE_DEVICE static void work(const operands& to, index_t cols, index_t block, const Source& source) {
        const int lane = thread_index() % 32;
        const index_t even = block * block_rows + thread_index() / 32 * 2;
        const scaled_row first = pack(to, cols, even, lane, source);
        const scaled_row second = pack(to, cols, even + 1, lane, source);
        if constexpr (Form::has_pairs) {
            for (index_t c = lane; c < to.cols; c += 32) {
                to.pairs[even / 2 * to.cols + c] = Form::pair(first, second, c);
            }
        }
    }

private:
    /// A value of the row, divided by its scale.
    struct scaled_row {
        const float* values;
        index_t cols;
        float inverse;
        PROTONCE_DEVICE float operator()(index_t c) const {
            return values != nullptr && c < cols ? values[c] * inverse : 0.0F;
        }
    };

    template <class Source>
    PROTONCE_DEVICE static scaled_row pack(const operands& to, index_t cols, index_t i, int lane,
                                           const Source& source) {
        const index_t at = i < to.count ? source.of(i) : -1;
        const float* values = at >= 0 ? source.row(at) : nullptr;
        float largest = 0;
        for (index_t c = lane; values != nullptr && c < cols; c += 32) {
            const float size = std::abs(values[c]);
            largest = size > largest ? size : largest; // NaN does not count
        }
        const float scale = Form::scale_of(fold_warp(largest, larger{}));
        const scaled_row out{values, cols, 1 / scale};
        const int words = Form::words(to.cols);
        for (int w = lane; w < words; w += 32) {
            to.rows[i * words + w] = Form::word(out, w);
        }
        if (lane == 0) {
            to.scale[i] = scale;
        }
        if (lane == 0 && to.info != nullptr) {
            column_info mine = column_info::none();
            if (at >= 0) {
                mine = source.info(i, at);
                mine.factor = 1 / source.temperature(at) * scale;
            }
            to.info[i] = mine;
        }
        return out;
    }
};

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/operand_forms.hpp>
#include <protonce/backend/elementwise/table.hpp>

#include <cmath>
#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// Rows as kernels read them: in a form, without gaps, padded with zero rows to a multiple of 16.
struct packed_operands {
    index_t count = 0; // without the padding
    index_t cols = 0;  // a multiple of 16
    std::uint32_t* rows = nullptr;
    std::uint32_t* pairs = nullptr; // (count / 2, cols) if the form has them
    float* scale = nullptr;         // by which a row was divided
    float* factor = nullptr;        // scale times the row's number of the caller's
};

/// Packs two rows a warp. row(i): pointer to the row's values, null for zeros; number(i): for its factor.
template <class Form, class Row, class Number>
struct pack_kernel {
    static constexpr int threads = 128;
    static constexpr int block_rows = 2 * threads / 32;
    packed_operands to;
    index_t cols;
    Row row;
    Number number;

    /// A value of the row, divided by its scale.
    struct scaled_row {
        const float* values;
        index_t cols;
        float inverse;
        PROTONCE_DEVICE float operator()(index_t c) const {
            return values != nullptr && c < cols ? values[c] * inverse : 0.0F;
        }
    };

    PROTONCE_DEVICE void operator()() const {
        const int lane = thread_index() % 32;
        const index_t even = index_t{block_index()} * block_rows + thread_index() / 32 * 2;
        const scaled_row first = take(even, lane);
        const scaled_row second = take(even + 1, lane);
        if constexpr (Form::has_pairs) {
            for (index_t c = lane; c < to.cols; c += 32) {
                to.pairs[even / 2 * to.cols + c] = Form::pair(first, second, c);
            }
        }
    }

private:
    PROTONCE_DEVICE scaled_row take(index_t i, int lane) const {
        const float* values = i < to.count ? row(i) : nullptr;
        float largest = 0;
        for (index_t c = lane; values != nullptr && c < cols; c += 32) {
            const float size = std::abs(values[c]);
            largest = size > largest ? size : largest; // NaN does not count
        }
        for (int mask = 16; mask > 0; mask /= 2) {
            const float other = shuffle_xor(largest, mask);
            largest = other > largest ? other : largest;
        }
        const float scale = Form::scale_of(largest);
        const scaled_row out{values, cols, 1 / scale};
        const int words = Form::words(to.cols);
        for (int w = lane; w < words; w += 32) {
            to.rows[i * words + w] = Form::word(out, w);
        }
        if (lane == 0) {
            to.scale[i] = scale;
            to.factor[i] = i < to.count ? scale * number(i) : 0.0F;
        }
        return out;
    }
};

template <class Form, class Run, class Row, class Number>
packed_operands pack_operands(Run& run, elementwise::scope_of<Run>& scope, index_t count, index_t cols, const Row& row,
                      const Number& number) {
    const index_t padded = ceil_div(count, 16) * 16;
    packed_operands to{.count = count, .cols = ceil_div(cols, 16) * 16};
    to.rows = scope.template matrix<std::uint32_t>(padded, Form::words(to.cols)).data();
    to.pairs = scope.template matrix<std::uint32_t>(Form::has_pairs ? padded / 2 : 0, to.cols).data();
    to.scale = scope.template vector<float>(padded).data();
    to.factor = scope.template vector<float>(padded).data();
    using kernel = pack_kernel<Form, Row, Number>;
    static_assert(16 % kernel::block_rows == 0);
    run.launch(padded / kernel::block_rows, 0, kernel{to, cols, row, number});
    return to;
}

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/host_device.hpp>
#include <protonce/core/view.hpp>

namespace protonce::inline v0 {

/// One softmax of B query rows over the columns of a pool, with its loss and gradients: what InfoNCE, NT-Xent, the symmetric loss
/// and ProtoNCE have in common. The B x J logits are never stored.
///
///     s_ij = query_i . columns_j / temperature_j
///     l_i  = ln( [e^{s_i+}] + sum_j w_j e^{s_ij} ) - s_i+
///
/// s_i+ is the logit of the row's positive. The bracket is there when `positive` is given (a column outside the pool); with `own`
/// the positive is a column of the pool and already in the sum. j runs over `column_id`, or over the whole pool, without the columns
/// left out for row i by `self` and the groups. Every member but `query` may be left empty; an empty output is not computed.
///
/// A row with own = -1 takes no part: loss, top-1, log_sum and gradients 0. A row whose sum has no term but its positive:
/// loss ln w of it, 0 without weights.
template <class T, memory_space S>
struct contrast {
    matrix_view<const T, S> query{};   // (B, C)
    matrix_view<const T, S> columns{}; // (P, C) queue, keys, both views, prototypes; P may be 0 if `positive` is given
    vector_view<const T, S> packed{};  // `columns` as the backend's pack_rows() keeps them, beside them; or empty
    vector_view<const T, S> packed_pool{}; // `columns` with their own temperatures, as pack_pool() keeps them; or empty
    vector_view<const index_t, S> column_id{};    // (J,) distinct pool rows that are used, read in place; empty: all P
    vector_view<const index_t, S> column_count{}; // (1,) only this many of column_id are used; empty: all of them
    matrix_view<const T, S>
        positive{}; // (B, C) own positive, outside the pool; exactly one of positive and own is given
    vector_view<const label_t, S> own{};       // (B,) pool row of the positive; must be among the columns used
    vector_view<const index_t, S> own_count{}; // (1,) these are among the first so many columns used; empty: anywhere
    vector_view<const label_t, S> self{};      // (B,) pool row left out for this row (NT-Xent); -1: none
    vector_view<const label_t, S>
        row_group{}; // (B,) with pool_group: columns of the row's group, its positive excepted,
    vector_view<const label_t, S> pool_group{}; // (P,) are left out; negative: belongs to no group
    vector_view<const T, S> temperature{};      // (1,) or (P,), (1,) if `positive` is given; empty: one_temperature
    T one_temperature{1};
    vector_view<const T, S> log_weight{}; // (J,) ln w_j, in the denominator only; empty: 0
    double row_factor = 1;                // times row_scale, rounded to T: dL/dl_i, factor of every gradient
    vector_view<const T, S> row_scale{};  // (1,) or (B,); empty: 1
    bool accumulate = false;              // gradients are added to what is there instead of overwriting it
    vector_view<T, S> loss{};             // (B,) l_i, not scaled
    vector_view<T, S> log_sum{};          // (B,) logarithm of the denominator
    vector_view<T, S> top1{};          // (B,) 1/t if the positive is one of the t largest logits (no weights), else 0
    matrix_view<T, S> grad_query{};    // (B, C)
    matrix_view<T, S> grad_positive{}; // (B, C)
    matrix_view<T, S> grad_columns{};  // (P, C); may be the view grad_query: then both parts add
    vector_view<T, S> grad_temperature{}; // as temperature, (1,) if that is empty, the positive's part included

    bool has_one_temperature() const { return temperature.size() <= 1; }
};

namespace detail {

/// Where a problem lies in host memory: t of pool row p, and dL/dl_i.
template <class T>
T temperature_of(const contrast<T, host>& in, index_t p) {
    return in.temperature.empty() ? in.one_temperature : in.temperature[in.has_one_temperature() ? 0 : p];
}
template <class T>
T row_scale_of(const contrast<T, host>& in, index_t i) {
    return scaled(in.row_factor, in.row_scale.empty() ? T(1) : in.row_scale[in.row_scale.size() == 1 ? 0 : i]);
}

} // namespace detail

} // namespace protonce::inline v0

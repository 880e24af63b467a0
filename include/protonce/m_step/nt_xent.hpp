// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/m_step/problem_constants.hpp>
#include <protonce/m_step/reduction.hpp>

#include <span>
#include <string_view>

namespace protonce::inline v0 {

struct nt_xent_options {
    double temperature = 0.5; // tau; a temperature among the inputs overrides it
    protonce::reduction reduction = protonce::reduction::mean;
};

template <backend B>
struct nt_xent_inputs {
    matrix_of<B, const value_of<B>> first{};       // (B, C) unit rows, one view of each sample
    matrix_of<B, const value_of<B>> second{};      // (B, C) unit rows, the other view
    vector_of<B, const value_of<B>> temperature{}; // (1,) optional: a learned temperature
    vector_of<B, const value_of<B>> upstream{};    // as loss, optional: dL/dloss, factor of every gradient
};

/// Rows 0 ... B - 1 of what has 2B values belong to the first view.
template <backend B>
struct nt_xent_outputs {
    vector_of<B> loss{};             // (1,), or (2B,) with reduction::none
    vector_of<B> loss_per_row{};     // (2B,)
    vector_of<B> top1{};             // (2B,) 1/t if the other view is one of t equal largest logits, else 0
    vector_of<B> accuracy{};         // (1,) mean of top1
    matrix_of<B> grad_first{};       // (B, C)
    matrix_of<B> grad_second{};      // (B, C)
    vector_of<B> grad_temperature{}; // (1,)
    bool accumulate = false;         // `loss` and the gradients are added to what is there; the rest is overwritten
};

namespace detail {

template <backend B>
void check_nt_xent(B& be, const nt_xent_inputs<B>& in, const nt_xent_options& options, const nt_xent_outputs<B>& out) {
    constexpr std::string_view function = "nt_xent";
    check_reduction(function, options.reduction);
    check::matrix(function, "first", in.first);
    check::matrix(function, "second", in.second);
    check::equal_shape(function, "first", in.first, "second", in.second);
    const index_t rows = in.first.rows();
    const index_t cols = in.first.cols();
    check_numbered(function, "first", rows);
    check_numbered(function, "first and second", 2 * rows);
    check_temperature<B>(function, options.temperature, in.temperature);
    const index_t reduced = reduced_size(options.reduction, 2 * rows);
    check::optional_size(function, "upstream", in.upstream, reduced);

    check::optional_size(function, "loss", out.loss, reduced);
    check::optional_size(function, "loss_per_row", out.loss_per_row, 2 * rows);
    check::optional_size(function, "top1", out.top1, 2 * rows);
    check::optional_size(function, "accuracy", out.accuracy, 1);
    check::optional_shape(function, "grad_first", out.grad_first, rows, cols);
    check::optional_shape(function, "grad_second", out.grad_second, rows, cols);
    check::optional_size(function, "grad_temperature", out.grad_temperature, 1);

    check::finite_rows(be, function, "first", in.first);
    check::finite_rows(be, function, "second", in.second);
}

/// Both matrices as one, where the rows of the second follow those of the first in memory; else an empty view.
template <class T, memory_space S>
matrix_view<T, S> stacked(matrix_view<T, S> first, matrix_view<T, S> second) {
    // One row has no next one: its stride says nothing.
    const index_t stride = first.rows() > 1 ? first.stride() : first.cols();
    if (first.rows() > 1 && second.stride() != stride) {
        return {};
    }
    if (first.data() + first.rows() * stride != second.data()) {
        return {};
    }
    return {first.data(), 2 * first.rows(), first.cols(), stride};
}

} // namespace detail

/// NT-Xent: each view of a sample must find the other view among all views of the batch (Chen et al. 2020, equation 1).
///
///     l_i = -log( e^{z_i.z_p(i)/tau} / sum_{j != i} e^{z_i.z_j/tau} ),   i, j over the 2B rows
///
/// p(i) is the other view of i's sample.
///
/// Views that lie one after the other in memory, rows 0 ... B - 1 and B ... 2B - 1 of one matrix, are read in place,
/// and so are gradients written; others go through a stacked copy in scratch memory.
///
/// Outputs are overwritten (see `accumulate`) and must not overlap the inputs; an empty one is not computed. With B = 1 the only other row is the positive: loss and gradients are 0.
/// \throws shape_error     views that do not go together
/// \throws argument_error  temperature not positive and finite; NaN or infinity in a view
/// Synchronises: no, but for the check of finite features.  Scratch: O(B), 4BC values for separate views.
/// Reproducible: bitwise.
template <backend B>
void nt_xent(B& be, const nt_xent_inputs<B>& inputs, const nt_xent_options& options,
             const nt_xent_outputs<B>& outputs) {
    using T = value_of<B>;
    detail::check_nt_xent(be, inputs, options, outputs);

    const index_t rows = inputs.first.rows();
    const index_t cols = inputs.first.cols();
    typename workspace<typename B::space>::scope scratch(be.scratch());
    auto views = detail::stacked(inputs.first, inputs.second);
    if (views.empty()) {
        const auto copy = scratch.template matrix<T>(2 * rows, cols);
        detail::add_rows(be, inputs.first, false, copy.slice(0, rows));
        detail::add_rows(be, inputs.second, false, copy.slice(rows, rows));
        views = copy;
    }

    const bool wants_first = !outputs.grad_first.empty();
    const bool wants_second = !outputs.grad_second.empty();
    matrix_of<B> gradient{};
    bool in_place = false;
    if (wants_first && wants_second) {
        gradient = detail::stacked(outputs.grad_first, outputs.grad_second);
        in_place = !gradient.empty();
    }
    if ((wants_first || wants_second) && !in_place) {
        gradient = scratch.template matrix<T>(2 * rows, cols);
    }
    // What `accumulate` asks of the gradient to the temperature is asked of the stacked copy too, which starts at 0.
    if (!gradient.empty() && !in_place && outputs.accumulate) {
        detail::fill_rows(be, gradient, T{0});
    }

    contrast<T, typename B::space> problem{
        .query = views,
        .columns = views,
        .accumulate = outputs.accumulate,
        .loss = detail::given_or_scratch(scratch, outputs.loss_per_row, !outputs.loss.empty(), 2 * rows),
        .top1 = detail::given_or_scratch(scratch, outputs.top1, !outputs.accuracy.empty(), 2 * rows),
        .grad_query = gradient,
        .grad_columns = gradient,
        .grad_temperature = outputs.grad_temperature};
    detail::add_constants<B>(be, scratch,
                             {.temperature = options.temperature,
                              .learned = inputs.temperature,
                              .factor = detail::row_factor(options.reduction, 2 * rows, 1.0),
                              .upstream = inputs.upstream,
                              .has_own = true,
                              .first_own = rows,
                              .has_self = true},
                             problem);
    be.softmax_contrast(std::span<const contrast<T, typename B::space>>(&problem, 1));

    if (wants_first && !in_place) {
        const matrix_of<B, const T> part = gradient.slice(0, rows);
        detail::add_rows(be, part, outputs.accumulate, outputs.grad_first);
    }
    if (wants_second && !in_place) {
        const matrix_of<B, const T> part = gradient.slice(rows, rows);
        detail::add_rows(be, part, outputs.accumulate, outputs.grad_second);
    }
    using rows_view = vector_of<B, const T>;
    if (!outputs.loss.empty()) {
        detail::reduce(be, options.reduction, rows_view(problem.loss), outputs.loss, outputs.accumulate);
    }
    if (!outputs.accuracy.empty()) {
        detail::reduce(be, reduction::mean, rows_view(problem.top1), outputs.accuracy, false);
    }
}

} // namespace protonce::inline v0

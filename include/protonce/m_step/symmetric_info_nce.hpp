// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/m_step/problem_constants.hpp>
#include <protonce/m_step/reduction.hpp>

#include <array>
#include <span>
#include <string_view>

namespace protonce::inline v0 {

struct symmetric_info_nce_options {
    double temperature = 0.07; // tau = 1 / s; a scale among the inputs overrides it
    protonce::reduction reduction = protonce::reduction::mean;
};

template <backend B>
struct symmetric_info_nce_inputs {
    matrix_of<B, const value_of<B>> first{};    // (B, C) unit rows of one tower
    matrix_of<B, const value_of<B>> second{};   // (B, C) unit rows of the other; row i belongs to row i of the first
    vector_of<B, const value_of<B>> scale{};    // (1,) optional: learned s, the factor of the inner products
    vector_of<B, const value_of<B>> upstream{}; // as loss, optional: dL/dloss, factor of every gradient
};

template <backend B>
struct symmetric_info_nce_outputs {
    vector_of<B> loss{};         // (1,), or (B,) with reduction::none
    vector_of<B> loss_per_row{}; // (B,) mean of the two directions
    vector_of<B>
        top1_first{}; // (B,) rows of the first find theirs in the second: 1/t if one of t equal largest, else 0
    vector_of<B> top1_second{};     // (B,) and the other way round
    vector_of<B> accuracy_first{};  // (1,) mean of top1_first
    vector_of<B> accuracy_second{}; // (1,) mean of top1_second
    matrix_of<B> grad_first{};      // (B, C)
    matrix_of<B> grad_second{};     // (B, C)
    vector_of<B> grad_scale{};      // (1,) to s; times s, it is the gradient to ln s
    bool accumulate = false;        // `loss` and the gradients are added to what is there; the rest is overwritten
};

namespace detail {

template <backend B>
void check_symmetric(B& be, const symmetric_info_nce_inputs<B>& in, const symmetric_info_nce_options& options,
                     const symmetric_info_nce_outputs<B>& out) {
    constexpr std::string_view function = "symmetric_info_nce";
    check_reduction(function, options.reduction);
    check::matrix(function, "first", in.first);
    check::matrix(function, "second", in.second);
    check::equal_shape(function, "first", in.first, "second", in.second);
    const index_t rows = in.first.rows();
    const index_t cols = in.first.cols();
    check_numbered(function, "first", rows);
    check::optional_size(function, "scale", in.scale, 1);
    if (in.scale.empty()) {
        check_temperature<B>(function, options.temperature, {});
    } else {
        check_positive<B>(function, "scale", in.scale);
    }
    const index_t reduced = reduced_size(options.reduction, rows);
    check::optional_size(function, "upstream", in.upstream, reduced);

    check::optional_size(function, "loss", out.loss, reduced);
    check::optional_size(function, "loss_per_row", out.loss_per_row, rows);
    check::optional_size(function, "top1_first", out.top1_first, rows);
    check::optional_size(function, "top1_second", out.top1_second, rows);
    check::optional_size(function, "accuracy_first", out.accuracy_first, 1);
    check::optional_size(function, "accuracy_second", out.accuracy_second, 1);
    check::optional_shape(function, "grad_first", out.grad_first, rows, cols);
    check::optional_shape(function, "grad_second", out.grad_second, rows, cols);
    check::optional_size(function, "grad_scale", out.grad_scale, 1);

    check::finite_rows(be, function, "first", in.first);
    check::finite_rows(be, function, "second", in.second);
}

/// tau = 1 / s
template <class T>
struct inverse_to {
    const T* scale;
    T* temperature;

    PROTONCE_HOST_DEVICE void operator()(index_t) const {
        temperature[0] = quotient<T>(1.0, static_cast<double>(scale[0]));
    }
};

/// Of the one dL/dtau:  dL/ds = -dL/dtau tau^2 = -(dL/dtau / s) / s, as tau = 1 / s.
template <class T>
struct scale_gradient_to {
    const T* scale; // or null: `constant`
    double constant;
    bool accumulate;
    T* out;

    PROTONCE_HOST_DEVICE void operator()(double slope) const {
        const double s = scale == nullptr ? constant : static_cast<double>(scale[0]);
        const T once = quotient<T>(slope, s);
        out[0] = weighted_sum(-1.0, quotient<T>(static_cast<double>(once), s), accumulate ? 1.0 : 0.0, out[0]);
    }
};

/// An element a row: the mean of its two losses.
template <class T>
struct mean_of_both {
    const T* forth;
    const T* back;
    T* out;

    PROTONCE_HOST_DEVICE void operator()(index_t i) const {
        const T half = weighted_sum(0.5, forth[i], 0.0, T(0));
        out[i] = weighted_sum(0.5, back[i], 1.0, half);
    }
};

} // namespace detail

/// Symmetric InfoNCE of two towers: each row must find its partner in the other tower's batch, both ways, with a
/// learned scale (Radford et al. 2021, figure 3).
///
///     l_i = (a_i + b_i) / 2,   a_i = ln sum_j e^{s x_i.y_j} - s x_i.y_i,   b_i = ln sum_j e^{s x_j.y_i} - s x_i.y_i
///
/// x are the rows of the first tower, y of the second, s = 1 / tau.
///
/// Outputs are overwritten (see `accumulate`) and must not overlap the inputs; an empty one is not computed.
/// \throws shape_error     views that do not go together
/// \throws argument_error  temperature or scale not positive and finite; NaN or infinity in a tower
/// Synchronises: no, but for the check of finite features.  Scratch: O(B), and the backend's tiles.
/// Reproducible: bitwise.
template <backend B>
void symmetric_info_nce(B& be, const symmetric_info_nce_inputs<B>& inputs, const symmetric_info_nce_options& options,
                        const symmetric_info_nce_outputs<B>& outputs) {
    using T = value_of<B>;
    using const_view = vector_of<B, const T>;
    detail::check_symmetric(be, inputs, options, outputs);

    const index_t rows = inputs.first.rows();
    typename workspace<typename B::space>::scope scratch(be.scratch());
    const auto temperature = detail::given_or_scratch(scratch, vector_of<B>{}, !inputs.scale.empty(), 1);
    if (!inputs.scale.empty()) {
        be.for_each(1, detail::inverse_to<T>{inputs.scale.data(), temperature.data()});
    }
    const bool wants_loss = !outputs.loss.empty() || !outputs.loss_per_row.empty();
    const auto losses = detail::given_or_scratch(scratch, vector_of<B>{}, wants_loss, 2 * rows);
    const auto grad_temperature = detail::given_or_scratch(scratch, vector_of<B>{}, !outputs.grad_scale.empty(), 1);
    if (!grad_temperature.empty() && outputs.accumulate) {
        be.fill(grad_temperature, T{0});
    }
    contrast<T, typename B::space> forth{
        .query = inputs.first,
        .columns = inputs.second,
        .accumulate = outputs.accumulate,
        .loss = wants_loss ? losses.slice(0, rows) : losses,
        .top1 = detail::given_or_scratch(scratch, outputs.top1_first, !outputs.accuracy_first.empty(), rows),
        .grad_query = outputs.grad_first,
        .grad_columns = outputs.grad_second,
        .grad_temperature = grad_temperature};
    detail::add_constants<B>(be, scratch,
                             {.temperature = options.temperature,
                              .learned = temperature,
                              .factor = detail::row_factor(options.reduction, rows, 0.5),
                              .upstream = inputs.upstream,
                              .has_own = true},
                             forth);
    auto back = forth;
    back.query = inputs.second;
    back.columns = inputs.first;
    back.accumulate = true;
    back.loss = wants_loss ? losses.slice(rows, rows) : losses;
    back.top1 = detail::given_or_scratch(scratch, outputs.top1_second, !outputs.accuracy_second.empty(), rows);
    back.grad_query = outputs.grad_second;
    back.grad_columns = outputs.grad_first;
    const std::array problems{forth, back};
    be.softmax_contrast(std::span<const contrast<T, typename B::space>>(problems));

    if (!outputs.grad_scale.empty()) {
        detail::sum_one_row(be, grad_temperature,
                            detail::scale_gradient_to<T>{detail::data_of(inputs.scale), 1.0 / options.temperature,
                                                         outputs.accumulate, outputs.grad_scale.data()});
    }
    if (wants_loss) {
        const auto per_row = outputs.loss_per_row.empty() ? scratch.template vector<T>(rows) : outputs.loss_per_row;
        be.for_each(rows, detail::mean_of_both<T>{forth.loss.data(), back.loss.data(), per_row.data()});
        if (!outputs.loss.empty()) {
            detail::reduce(be, options.reduction, const_view(per_row), outputs.loss, outputs.accumulate);
        }
    }
    if (!outputs.accuracy_first.empty()) {
        detail::reduce(be, reduction::mean, const_view(forth.top1), outputs.accuracy_first, false);
    }
    if (!outputs.accuracy_second.empty()) {
        detail::reduce(be, reduction::mean, const_view(back.top1), outputs.accuracy_second, false);
    }
}

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/m_step/problem_constants.hpp>
#include <protonce/m_step/reduction.hpp>

#include <cmath>
#include <span>
#include <string_view>

namespace protonce::inline v0 {

/// Where the negatives of InfoNCE come from.
enum class key_pool {
    queue, // `negatives`, the same rows for every query
    batch, // the keys of the other rows of the batch
};

struct info_nce_options {
    double temperature = 0.2; // tau; a temperature among the inputs overrides it
    key_pool pool = key_pool::queue;
    protonce::reduction reduction = protonce::reduction::mean;
};

template <backend B>
struct info_nce_inputs {
    matrix_of<B, const value_of<B>> query{};     // (B, C) unit rows
    matrix_of<B, const value_of<B>> positive{};  // (B, C) unit rows, the key of each query
    matrix_of<B, const value_of<B>> negatives{}; // (R, C) unit rows; empty while the queue is, and with key_pool::batch
    vector_of<B, const value_of<B>> packed_negatives{}; // optional: memory_queue::packed(), beside its rows()
    vector_of<B, const label_t> query_cluster{};    // (B,) optional: negatives of the query's own cluster are left out;
    vector_of<B, const label_t> negative_cluster{}; // (R,) with it, but not with key_pool::batch; -1: of no cluster
    vector_of<B, const value_of<B>> temperature{};  // (1,) optional: a learned temperature
    vector_of<B, const value_of<B>> upstream{};     // as loss, optional: dL/dloss, factor of every gradient
};

template <backend B>
struct info_nce_outputs {
    vector_of<B> loss{};             // (1,), or (B,) with reduction::none
    vector_of<B> loss_per_row{};     // (B,)
    vector_of<B> top1{};             // (B,) 1/t if the positive is one of t equal largest logits, else 0
    vector_of<B> accuracy{};         // (1,) mean of top1
    matrix_of<B> grad_query{};       // (B, C)
    matrix_of<B> grad_positive{};    // (B, C)
    matrix_of<B> grad_negatives{};   // (R, C)
    vector_of<B> grad_temperature{}; // (1,)
    bool accumulate = false;         // `loss` and the gradients are added to what is there; the rest is overwritten
};

struct info_nce_report {
    index_t num_negatives = 0; // of one query, before clusters are left out
    double chance_level = 0;   // ln(1 + num_negatives), the loss of a row of equal logits
};

namespace detail {

/// What a queue keeps of its rows besides these, if the backend has a form of its own; another one passes it over.
template <backend B>
void check_packed([[maybe_unused]] B& be, std::string_view function, const info_nce_inputs<B>& in) {
    check::well_formed(function, "packed_negatives", in.packed_negatives);
    if constexpr (packs_rows<B>) {
        if (in.packed_negatives.empty() || in.negatives.empty()) {
            return;
        }
        const index_t needed = be.packed_size(in.negatives.rows(), in.negatives.cols());
        if (in.packed_negatives.size() < needed) {
            check::fail_shape(function, "packed_negatives",
                              "must hold as many rows as negatives, " + check::text(needed) + " values or more",
                              check::text(in.packed_negatives.size()) + " values");
        }
    }
}

template <backend B>
void check_info_nce(B& be, std::string_view function, const info_nce_inputs<B>& in, const info_nce_options& options,
                    const info_nce_outputs<B>& out) {
    const bool batch = options.pool == key_pool::batch;
    if (!batch && options.pool != key_pool::queue) {
        check::fail_argument(function, "pool", "must be queue or batch", check::text(static_cast<int>(options.pool)));
    }
    check_reduction(function, options.reduction);
    check::matrix(function, "query", in.query);
    check::matrix(function, "positive", in.positive);
    check::equal_shape(function, "query", in.query, "positive", in.positive);
    const index_t rows = in.query.rows();
    const index_t cols = in.query.cols();
    check_numbered(function, "query", rows);
    check::well_formed(function, "negatives", in.negatives);
    if (batch && !in.packed_negatives.empty()) {
        check::fail_argument(function, "packed_negatives", "must not be given with key_pool::batch",
                             check::text(in.packed_negatives.size()) + " values");
    }
    if (batch && !in.negatives.empty()) {
        check::fail_argument(function, "negatives", "must not be given with key_pool::batch",
                             check::shape_text(in.negatives.rows(), in.negatives.cols()));
    }
    if (!in.negatives.empty()) {
        check::equal_cols(function, "query", in.query, "negatives", in.negatives);
    }
    check_packed<B>(be, function, in);
    check::optional_size(function, "query_cluster", in.query_cluster, rows);
    if (in.query_cluster.empty() || batch) {
        check::optional_size(function, "negative_cluster", in.negative_cluster, 0);
    } else {
        check::size(function, "negative_cluster", in.negative_cluster, in.negatives.rows());
    }
    check_temperature<B>(function, options.temperature, in.temperature);
    const index_t reduced = reduced_size(options.reduction, rows);
    check::optional_size(function, "upstream", in.upstream, reduced);

    check::optional_size(function, "loss", out.loss, reduced);
    check::optional_size(function, "loss_per_row", out.loss_per_row, rows);
    check::optional_size(function, "top1", out.top1, rows);
    check::optional_size(function, "accuracy", out.accuracy, 1);
    check::optional_shape(function, "grad_query", out.grad_query, rows, cols);
    check::optional_shape(function, "grad_positive", out.grad_positive, rows, cols);
    check::optional_shape(function, "grad_negatives", out.grad_negatives, in.negatives.rows(),
                          in.negatives.empty() ? out.grad_negatives.cols() : cols);
    check::optional_size(function, "grad_temperature", out.grad_temperature, 1);

    check::finite_rows(be, function, "query", in.query);
    check::finite_rows(be, function, "positive", in.positive);
    check::finite_rows(be, function, "negatives", in.negatives);
}

/// The one problem of InfoNCE; its loss and top1 are the views to reduce.
template <backend B>
contrast<value_of<B>, typename B::space> info_nce_problem(B& be, typename workspace<typename B::space>::scope& scratch,
                                                          const info_nce_inputs<B>& in, const info_nce_options& options,
                                                          double weight, const info_nce_outputs<B>& out) {
    const index_t rows = in.query.rows();
    contrast<value_of<B>, typename B::space> problem{.query = in.query};
    const bool batch = options.pool == key_pool::batch;
    add_constants<B>(be, scratch,
                     {.temperature = options.temperature,
                      .learned = in.temperature,
                      .factor = row_factor(options.reduction, rows, weight),
                      .upstream = in.upstream,
                      .has_own = batch},
                     problem);
    if (batch) {
        // Key i is column i; its gradient as positive and as negative of others is one row.
        problem.columns = in.positive;
        problem.pool_group = in.query_cluster;
        problem.grad_columns = out.grad_positive;
    } else {
        problem.columns = in.negatives;
        problem.packed = in.packed_negatives;
        problem.positive = in.positive;
        problem.pool_group = in.negative_cluster;
        problem.grad_positive = out.grad_positive;
        problem.grad_columns = out.grad_negatives;
    }
    // Without a negative there is none to leave out.
    if (!problem.pool_group.empty()) {
        problem.row_group = in.query_cluster;
    }
    problem.accumulate = out.accumulate;
    problem.loss = given_or_scratch(scratch, out.loss_per_row, !out.loss.empty(), rows);
    problem.top1 = given_or_scratch(scratch, out.top1, !out.accuracy.empty(), rows);
    problem.grad_query = out.grad_query;
    problem.grad_temperature = out.grad_temperature;
    return problem;
}

template <backend B>
info_nce_report report_info_nce(const info_nce_inputs<B>& in, const info_nce_options& options) {
    const index_t num_negatives = options.pool == key_pool::batch ? in.query.rows() - 1 : in.negatives.rows();
    return {.num_negatives = num_negatives, .chance_level = std::log1p(static_cast<double>(num_negatives))};
}

template <backend B>
void reduce_info_nce(B& be, const info_nce_options& options, const contrast<value_of<B>, typename B::space>& problem,
                     const info_nce_outputs<B>& out) {
    using rows_view = vector_of<B, const value_of<B>>;
    if (!out.loss.empty()) {
        reduce(be, options.reduction, rows_view(problem.loss), out.loss, out.accumulate);
    }
    if (!out.accuracy.empty()) {
        reduce(be, reduction::mean, rows_view(problem.top1), out.accuracy, false);
    }
}

} // namespace detail

/// InfoNCE: a query must find its key among negatives (van den Oord et al. 2018; with a queue, He et al. 2020, eq. 1).
///
///     l_i = -log( e^{q_i.k_i/tau} / (e^{q_i.k_i/tau} + sum_j e^{q_i.n_j/tau}) )
///
/// n_j are the rows of the queue, or the keys of the other rows of the batch (`key_pool::batch`). With clusters given,
/// the negatives of the query's own cluster have no term; a negative cluster number means none. The B x R logits are
/// never stored.
///
/// While the queue is empty (no negatives) the loss and all gradients are 0 and every row counts as found (top-1 1).
/// With key_pool::batch `grad_positive` holds what a key gets as positive and as negative of the other rows.
///
/// Outputs are overwritten (see `accumulate`) and must not overlap the inputs; an empty one is not computed.
/// \throws shape_error     views that do not go together
/// \throws argument_error  temperature not positive and finite; NaN or infinity in query, positive or negatives; negatives
///                         with key_pool::batch
/// Synchronises: no, but for the check of finite features.  Scratch: O(B), and the backend's tiles.
/// Reproducible: bitwise.
template <backend B>
info_nce_report info_nce(B& be, const info_nce_inputs<B>& inputs, const info_nce_options& options,
                         const info_nce_outputs<B>& outputs) {
    detail::check_info_nce(be, "info_nce", inputs, options, outputs);

    typename workspace<typename B::space>::scope scratch(be.scratch());
    const contrast<value_of<B>, typename B::space> problem =
        detail::info_nce_problem(be, scratch, inputs, options, 1.0, outputs);
    be.softmax_contrast(std::span(&problem, 1));
    detail::reduce_info_nce(be, options, problem, outputs);
    return detail::report_info_nce(inputs, options);
}

} // namespace protonce::inline v0

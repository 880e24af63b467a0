// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/on_host.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>

namespace protonce::inline v0 {

struct knn_options {
    index_t neighbours = 20;
    double temperature = 0.07; // small: the nearest neighbours decide
    label_t num_classes = 0;   // required
};

template <backend B>
struct knn_inputs {
    matrix_of<B, const value_of<B>> bank{};  // (N, C) unit rows, usually of the training set
    vector_of<B, const label_t> labels{};    // (N,) class of each row of the bank, in [0, num_classes)
    matrix_of<B, const value_of<B>> query{}; // (Q, C) unit rows
};

template <backend B>
struct knn_outputs {
    matrix_of<B> scores{};              // (Q, num_classes) optional
    vector_of<B, label_t> prediction{}; // (Q,) optional: class of the largest score, the lowest among equals
};

namespace detail {

template <backend B>
void check_knn(B& be, const knn_inputs<B>& in, const knn_options& options, const knn_outputs<B>& out) {
    check::matrix("knn_scores", "bank", in.bank);
    check::size("knn_scores", "labels", in.labels, in.bank.rows());
    check::matrix("knn_scores", "query", in.query);
    check::equal_cols("knn_scores", "bank", in.bank, "query", in.query);
    if (in.bank.rows() > (std::numeric_limits<label_t>::max)()) {
        check::fail_shape("knn_scores", "bank", "must have rows that label_t can number", check::text(in.bank.rows()));
    }
    check::at_least<index_t>("knn_scores", "neighbours", options.neighbours, 1);
    if (options.neighbours > in.bank.rows()) {
        check::fail_argument("knn_scores", "neighbours",
                             "must be at most the rows of bank, " + check::text(in.bank.rows()),
                             check::text(options.neighbours));
    }
    check::positive("knn_scores", "temperature", options.temperature);
    check::at_least<label_t>("knn_scores", "num_classes", options.num_classes, 1);
    check::optional_shape("knn_scores", "scores", out.scores, in.query.rows(), options.num_classes);
    check::optional_size("knn_scores", "prediction", out.prediction, in.query.rows());
    check::finite_rows(be, "knn_scores", "bank", in.bank);
    check::finite_rows(be, "knn_scores", "query", in.query);
}

inline void check_classes(vector_view<const label_t> labels, label_t classes) {
    for (index_t i = 0; i < labels.size(); ++i) {
        if (labels[i] < 0 || labels[i] >= classes) {
            check::fail_argument("knn_scores", "labels", "must lie in [0, " + check::text(classes) + ")",
                                 check::text(labels[i]) + " in row " + check::text(i));
        }
    }
}

/// Votes of one query, e^{(similarity - largest) / temperature} by class; returns the class of most votes.
/// Shifted by the largest: with a small temperature rows that are not unit pass the range of double.
template <real T>
label_t count_votes(vector_view<const label_t> neighbour, vector_view<const T> similarity,
                    vector_view<const label_t> labels, double temperature, vector_view<double> votes) {
    std::fill(votes.begin(), votes.end(), 0.0);
    const auto largest = static_cast<double>(similarity[0]);
    for (index_t j = 0; j < neighbour.size(); ++j) {
        votes[labels[neighbour[j]]] += std::exp((static_cast<double>(similarity[j]) - largest) / temperature);
    }
    return static_cast<label_t>(std::max_element(votes.begin(), votes.end()) - votes.begin());
}

/// `host` memory that is written to `out` later: `out` itself where the host writes it.
template <class U, backend B>
vector_view<U> host_room(workspace<host>::scope& scratch, vector_of<B, U> out) {
    if constexpr (std::same_as<typename B::space, host>) {
        return out;
    } else {
        return scratch.template vector<U>(out.size());
    }
}

} // namespace detail

/// Weighted nearest-neighbour classifier: what a trainer watches while the encoder learns (Wu et al. 2018, section
/// 3.4).
///
///     score_c(q) = sum over the nearest rows b of q that are of class c of  e^{q.b / temperature}
///
/// Nearest by inner product, the lowest row first among equals. Rows should be unit; with others, scores may leave the
/// range of the value type and become infinity, predictions stay right.
///
/// Outputs are overwritten; one that is not given is not computed.
/// \throws shape_error     views that do not go together
/// \throws argument_error  neighbours outside [1, N]; a label outside [0, num_classes); temperature not positive and
/// finite;
///                         NaN or infinity in bank or query
/// Synchronises: yes.  Scratch: 2 Q neighbours values.  Reproducible: bitwise.
template <backend B>
void knn_scores(B& be, const knn_inputs<B>& inputs, const knn_options& options, const knn_outputs<B>& outputs) {
    using T = value_of<B>;
    detail::check_knn(be, inputs, options, outputs);
    workspace<host>::scope host_scratch(be.host_scratch());
    const auto labels = detail::on_host<label_t>(be, host_scratch, inputs.labels);
    detail::check_classes(labels, options.num_classes);

    const index_t queries = inputs.query.rows();
    typename workspace<typename B::space>::scope scratch(be.scratch());
    const auto rows = scratch.template matrix<label_t>(queries, options.neighbours);
    const auto similarity = scratch.template matrix<T>(queries, options.neighbours);
    be.top_rows(inputs.query, inputs.bank, rows, similarity);

    const auto neighbour = detail::rows_on_host<label_t, B>(be, host_scratch, rows);
    const auto nearness = detail::rows_on_host<T, B>(be, host_scratch, similarity);
    const auto prediction = detail::host_room<label_t, B>(host_scratch, outputs.prediction);
    const auto votes = host_scratch.template vector<double>(options.num_classes);
    for (index_t i = 0; i < queries; ++i) {
        const auto best = detail::count_votes<T>(neighbour.row(i), nearness.row(i), labels, options.temperature, votes);
        if (!prediction.empty()) {
            prediction[i] = best;
        }
        if (outputs.scores.empty()) {
            continue;
        }
        workspace<host>::scope row_scratch(be.host_scratch());
        const auto score = detail::host_room<T, B>(row_scratch, outputs.scores.row(i));
        const double factor = std::exp(static_cast<double>(nearness(i, 0)) / options.temperature);
        for (index_t c = 0; c < votes.size(); ++c) {
            score[c] = votes[c] == 0.0 ? T{0} : static_cast<T>(votes[c] * factor); // 0 times infinity is NaN
        }
        if constexpr (!std::same_as<typename B::space, host>) {
            be.write(vector_view<const T>(score), outputs.scores.row(i));
        }
    }
    if constexpr (!std::same_as<typename B::space, host>) {
        if (!prediction.empty()) {
            be.write(vector_view<const label_t>(prediction), outputs.prediction);
        }
    }
}

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/prototype_level.hpp>
#include <protonce/m_step/negative_prototypes.hpp>
#include <protonce/m_step/proto_nce_rows.hpp>
#include <protonce/m_step/reduction.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace protonce::inline v0 {

/// Which prototypes ProtoNCE puts into the denominator.
enum class negatives {
    deduplicated,         // the batch's own, each once, and num_negatives drawn from the others
    reference_compatible, // the same; one shared by n rows of the batch counts n times, as in the authors' program
    all,                  // every prototype of the level (equation 11 with r = K - 1)
};

struct proto_nce_options {
    protonce::negatives negatives = protonce::negatives::deduplicated;
    index_t num_negatives =
        16384;              // R_p, at most; fewer if the batch leaves fewer. Not read with negatives::all or given ids
    std::uint64_t seed = 0; // of the draws
    std::uint64_t step = 0; // of training: another one draws others
    protonce::reduction reduction = protonce::reduction::mean;
};

template <backend B>
struct proto_nce_inputs {
    using level = prototype_level<value_of<B>, typename B::space>;

    matrix_of<B, const value_of<B>> query{}; // (B, C) unit rows
    vector_of<B, const index_t> sample{};    // (B,) sample number of each query, in [0, N)
    std::span<const level> levels{};         // M of them; level m draws as level number m
    std::span<const vector_of<B, const index_t>>
        negative_id{};                          // M, optional: negatives of each level instead of drawn ones,
                                                // distinct, none of them a prototype of the batch
    vector_of<B, const value_of<B>> upstream{}; // as loss, optional: dL/dloss, factor of every gradient
    vector_of<B, const index_t> step{};         // (1,) optional: the step number in the backend's memory, overrides
                                                // the option
};

template <backend B>
struct proto_nce_outputs {
    using columns_of_level = column_draw<value_of<B>, typename B::space>;

    vector_of<B> loss{};               // (1,), or (B,) with reduction::none
    vector_of<B> loss_per_level{};     // (M,) mean over the level's rows, whatever the reduction
    matrix_of<B> loss_per_row{};       // (M, B) 0 for a row without a term
    matrix_of<B> top1{};               // (M, B) 1/t if the own prototype is one of t equal largest, else 0
    vector_of<B> accuracy_per_level{}; // (M,) mean of top1 over the level's rows
    matrix_of<B> grad_query{};         // (B, C)
    std::span<const matrix_of<B>> grad_prototypes{};   // M of (K_m, C); an empty one is not computed
    std::span<const vector_of<B>> grad_temperatures{}; // M of (K_m,); likewise
    std::span<const columns_of_level>
        columns{};           // M: the columns used, as draw_negative_prototypes() writes them; optional members
    bool accumulate = false; // `loss` and the gradients are added to what is there; the rest is overwritten
};

/// Known where the backend's memory is the host's, and with negatives::all; -1 elsewhere, where `columns` says it
/// without waiting.
struct proto_nce_report {
    index_t num_negatives = -1; // columns besides the batch's own, the fewest of all levels
    bool clamped = false;       // some level left fewer negatives than asked for
};

namespace detail {

/// Negatives of a level that the caller chose: in range, each once, and none of them a prototype of the batch. Looked
/// at where that needs no waiting, in host memory.
template <backend B>
void check_given_negatives([[maybe_unused]] B& be, [[maybe_unused]] std::string_view function,
                           [[maybe_unused]] std::string_view argument,
                           [[maybe_unused]] vector_of<B, const index_t> given,
                           [[maybe_unused]] vector_of<B, const label_t> own, [[maybe_unused]] index_t num_prototypes) {
    if constexpr (reads_directly<B>) {
        workspace<host>::scope scratch(be.host_scratch());
        const auto ids = scratch.template vector<index_t>(given.size());
        const auto labels = scratch.template vector<label_t>(own.size());
        std::copy(given.begin(), given.end(), ids.begin());
        std::sort(ids.begin(), ids.end());
        std::copy(own.begin(), own.end(), labels.begin());
        std::sort(labels.begin(), labels.end());
        for (index_t i = 0; i < ids.size(); ++i) {
            if (ids[i] < 0 || ids[i] >= num_prototypes) {
                check::fail_argument(function, argument, "must lie in [0, " + check::text(num_prototypes - 1) + "]",
                                     check::text(ids[i]));
            }
            if (i > 0 && ids[i] == ids[i - 1]) {
                check::fail_argument(function, argument, "must hold each number once", check::text(ids[i]) + " again");
            }
            if (std::binary_search(labels.begin(), labels.end(), static_cast<label_t>(ids[i]))) {
                check::fail_argument(function, argument, "must not hold a prototype of the batch", check::text(ids[i]));
            }
        }
    }
}

/// What a clustering keeps of a level besides, if the backend has a form of its own; another one passes it over.
template <backend B>
void check_packed_level([[maybe_unused]] B& be, std::string_view function, std::string_view argument,
                        const prototype_level<value_of<B>, typename B::space>& level) {
    check::well_formed(function, argument, level.packed);
    if constexpr (packs_pools<B>) {
        const index_t needed = be.packed_pool_size(level.prototypes.rows(), level.prototypes.cols());
        if (!level.packed.empty() && needed > 0) {
            check::size(function, argument, level.packed, needed); // no more either: scales lie behind the last row
        }
    }
}

/// As many elements as levels, or none.
template <class Span>
void check_levels(std::string_view function, std::string_view argument, const Span& elements, std::size_t levels) {
    if (!elements.empty() && elements.size() != levels) {
        check::fail_shape(function, argument, "must hold one element for each level, " + check::text(levels),
                          check::text(elements.size()));
    }
}

template <backend B>
void check_proto_nce_outputs(std::string_view function, const proto_nce_inputs<B>& in, const proto_nce_options& options,
                             const proto_nce_outputs<B>& out) {
    const index_t rows = in.query.rows();
    const std::size_t levels = in.levels.size();
    const index_t num_levels = static_cast<index_t>(levels);
    check::optional_size(function, "loss", out.loss, reduced_size(options.reduction, rows));
    check::optional_size(function, "loss_per_level", out.loss_per_level, num_levels);
    check::optional_shape(function, "loss_per_row", out.loss_per_row, num_levels, rows);
    check::optional_shape(function, "top1", out.top1, num_levels, rows);
    check::optional_size(function, "accuracy_per_level", out.accuracy_per_level, num_levels);
    check::optional_shape(function, "grad_query", out.grad_query, rows, in.query.cols());
    check_levels(function, "grad_prototypes", out.grad_prototypes, levels);
    check_levels(function, "grad_temperatures", out.grad_temperatures, levels);
    check_levels(function, "columns", out.columns, levels);
    if (options.negatives == negatives::all && !out.columns.empty()) {
        check::fail_argument(function, "columns", "must not be given with negatives::all",
                             check::text(out.columns.size()));
    }
    for (std::size_t m = 0; m < levels; ++m) {
        const auto prototypes = in.levels[m].prototypes;
        if (!out.grad_prototypes.empty()) {
            check::optional_shape(function, element_name("grad_prototypes", m), out.grad_prototypes[m],
                                  prototypes.rows(), prototypes.cols());
        }
        if (!out.grad_temperatures.empty()) {
            check::optional_size(function, element_name("grad_temperatures", m), out.grad_temperatures[m],
                                 prototypes.rows());
        }
        if (!out.columns.empty()) {
            const index_t asked = in.negative_id.empty() ? options.num_negatives : in.negative_id[m].size();
            check_column_draw<B>(function, element_name("columns", m), out.columns[m],
                                 column_capacity(rows, prototypes.rows(), asked), true);
        }
    }
}

/// Every check of proto_nce(). Delivers the prototype of each row at each level, in `scratch`.
///
/// \param weight  of the loss
template <backend B>
proto_nce_rows<B> check_proto_nce(B& be, typename workspace<typename B::space>::scope& scratch,
                                  std::string_view function, const proto_nce_inputs<B>& in,
                                  const proto_nce_options& options, double weight, const proto_nce_outputs<B>& out) {
    check_reduction(function, options.reduction);
    const auto mode = options.negatives;
    if (mode != negatives::deduplicated && mode != negatives::reference_compatible && mode != negatives::all) {
        check::fail_argument(function, "negatives", "must be deduplicated, reference_compatible or all",
                             check::text(static_cast<int>(mode)));
    }
    check::at_least<index_t>(function, "num_negatives", options.num_negatives, 0);
    check::matrix(function, "query", in.query);
    const index_t rows = in.query.rows();
    check_numbered(function, "query", rows);
    check::size(function, "sample", in.sample, rows);
    if (in.levels.empty()) {
        check::fail_shape(function, "levels", "must hold at least one level", "none");
    }
    check_levels(function, "negative_id", in.negative_id, in.levels.size());
    if (mode == negatives::all && !in.negative_id.empty()) {
        check::fail_argument(function, "negative_id", "must not be given with negatives::all",
                             check::text(in.negative_id.size()) + " levels");
    }
    check::optional_size(function, "upstream", in.upstream, reduced_size(options.reduction, rows));
    check_step<B>(function, in.step);

    for (std::size_t m = 0; m < in.levels.size(); ++m) {
        const auto& level = in.levels[m];
        const element_name prototypes("levels", m, ".prototypes");
        check::matrix(function, prototypes, level.prototypes);
        check::equal_cols(function, "query", in.query, prototypes, level.prototypes);
        check_numbered(function, prototypes, level.prototypes.rows());
        const element_name assignment("levels", m, ".assignment");
        check::given(function, assignment, level.assignment);
        if constexpr (reads_directly<B>) {
            for (index_t i = 0; i < rows; ++i) {
                if (in.sample[i] < 0 || in.sample[i] >= level.assignment.size()) {
                    check::fail_argument(function, "sample",
                                         "must lie in [0, " + check::text(level.assignment.size() - 1) +
                                             "], the samples of " + std::string(std::string_view(assignment)),
                                         check::text(in.sample[i]) + " for row " + check::text(i));
                }
            }
        }
        const element_name temperatures("levels", m, ".temperatures");
        check::size(function, temperatures, level.temperatures, level.prototypes.rows());
        check_positive<B>(function, temperatures, level.temperatures);
        check_packed_level(be, function, element_name("levels", m, ".packed"), level);
    }
    check_proto_nce_outputs(function, in, options, out);

    const proto_nce_rows<B> found =
        find_own<B>(be, scratch, in.levels, in.sample, weight, options.reduction, in.upstream);
    for (std::size_t m = 0; m < in.levels.size(); ++m) {
        const auto& level = in.levels[m];
        const vector_of<B, const label_t> own = found.own.row(static_cast<index_t>(m));
        check_own<B>(function, element_name("levels", m, ".assignment"), own, level.prototypes.rows());
        if (!in.negative_id.empty()) {
            const element_name name("negative_id", m);
            check::well_formed(function, name, in.negative_id[m]);
            check_given_negatives(be, function, name, in.negative_id[m], own, level.prototypes.rows());
        }
    }
    check::finite_rows(be, function, "query", in.query);
    for (std::size_t m = 0; m < in.levels.size(); ++m) {
        check::finite_rows(be, function, element_name("levels", m, ".prototypes"), in.levels[m].prototypes);
    }
    return found;
}

} // namespace detail
} // namespace protonce::inline v0

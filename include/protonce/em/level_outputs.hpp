// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/m_step/m_step.hpp>

#include <cstddef>
#include <span>
#include <string_view>

/// Outputs of the levels in a step in which no level takes part: what was asked for must exist in every step of a loop.
namespace protonce::inline v0::detail {

/// The shapes that such a step needs to know to write zeros.
template <backend B>
void check_level_outputs(std::string_view function, std::span<const index_t> num_clusters, index_t num_cols,
                         const m_step_outputs<B>& out) {
    const std::size_t levels = num_clusters.size();
    check::optional_size(function, "loss_per_level", out.loss_per_level, static_cast<index_t>(levels));
    check::optional_size(function, "accuracy_per_level", out.accuracy_per_level, static_cast<index_t>(levels));
    check_levels(function, "grad_prototypes", out.grad_prototypes, levels);
    check_levels(function, "grad_temperatures", out.grad_temperatures, levels);
    check_levels(function, "columns", out.columns, levels);
    for (std::size_t m = 0; m < out.grad_prototypes.size(); ++m) {
        check::optional_shape(function, element_name("grad_prototypes", m), out.grad_prototypes[m], num_clusters[m],
                              num_cols);
    }
    for (std::size_t m = 0; m < out.grad_temperatures.size(); ++m) {
        check::optional_size(function, element_name("grad_temperatures", m), out.grad_temperatures[m], num_clusters[m]);
    }
    for (std::size_t m = 0; m < out.columns.size(); ++m) {
        check::optional_size(function, element_name("columns", m, ".column_count"), out.columns[m].column_count, 1);
        check::optional_size(function, element_name("columns", m, ".batch_count"), out.columns[m].batch_count, 1);
    }
}

/// Losses, accuracies and numbers of columns 0; gradients 0 or, with `accumulate`, as they are.
template <backend B>
void clear_level_outputs(B& be, const m_step_outputs<B>& out) {
    using value = value_of<B>;
    if (!out.loss_per_level.empty()) {
        be.fill(out.loss_per_level, value{0});
    }
    if (!out.accuracy_per_level.empty()) {
        be.fill(out.accuracy_per_level, value{0});
    }
    for (const auto& gradient : out.grad_prototypes) {
        if (!out.accumulate && !gradient.empty()) {
            fill_rows(be, gradient, value{0});
        }
    }
    for (const auto& gradient : out.grad_temperatures) {
        if (!out.accumulate && !gradient.empty()) {
            be.fill(gradient, value{0});
        }
    }
    for (const auto& columns : out.columns) {
        if (!columns.column_count.empty()) {
            be.fill(columns.column_count, index_t{0});
        }
        if (!columns.batch_count.empty()) {
            be.fill(columns.batch_count, index_t{0});
        }
    }
}

/// What is left to ask of m_step() without levels.
template <backend B>
m_step_outputs<B> without_level_outputs(m_step_outputs<B> out) {
    out.loss_per_level = {};
    out.accuracy_per_level = {};
    out.grad_prototypes = {};
    out.grad_temperatures = {};
    out.columns = {};
    return out;
}

} // namespace protonce::inline v0::detail

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/elementwise/softmax_forward.hpp>
#include <protonce/backend/elementwise/softmax_gradient.hpp>

namespace protonce::inline v0::detail::elementwise {

/// One softmax problem (core/contrast.hpp), in two passes over tiles of the columns: sums, then gradients. Where all columns fit into
/// one tile, the logits are computed once.
template <class Run, class T, class Products>
void softmax_contrast(Run& run, scratch_of<Run>& scratch, const contrast<T, typename Run::space>& problem,
                      const Products& products) {
    scope_of<Run> scope(scratch);
    const softmax_state<T> state(scope, problem);
    const index_t columns = state.read.most_used;

    find_positives(run, scope, state, products);
    auto* part = scope.template vector<partial_softmax>(state.rows * state.parts).data();
    for (index_t j0 = 0; j0 < columns; j0 += state.tile) {
        products.logits(run, state, j0);
        sum_parts(run, state, j0, part);
    }
    merge_parts(run, state, part);
    write_rows(run, state, problem);

    const bool wants_gradient = !problem.grad_query.empty() || !problem.grad_positive.empty() ||
                                !problem.grad_columns.empty() || !problem.grad_temperature.empty();
    if (!wants_gradient) {
        return;
    }
    const gradient_sums<T> sums(scope, state, problem);
    start_gradients(run, state, problem, sums);
    for (index_t j0 = 0; j0 < columns; j0 += state.tile) {
        if (state.tile < columns) {
            products.logits(run, state, j0);
        }
        compute_slopes(run, state, j0, sums.slope);
        if (sums.query.rows > 0) {
            products.add_to_query(run, state, j0, sums.slope, sums.query);
        }
        if (!problem.grad_columns.empty()) {
            add_to_columns(run, state, j0, problem, sums, products);
        }
        if (!problem.grad_temperature.empty()) {
            add_to_temperature(run, state, j0, problem, sums);
        }
    }
    finish_gradients(run, state, problem, sums);
}

} // namespace protonce::inline v0::detail::elementwise

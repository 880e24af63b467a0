// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/softmax_weights.hpp>
#include <protonce/backend/elementwise/softmax_forward.hpp>
#include <protonce/backend/elementwise/softmax_gradient.hpp>

#include <cmath>

namespace protonce::inline v0::detail::cuda {

/// Up to so many columns of features a softmax problem is solved by the kernels of this file, whose blocks hold whole rows.
constexpr index_t most_fused_cols = 256;

/// logit_i = query_i . positive_i / t, by the chain that columns go through: a duplicate of the positive has the same bits.
template <class Form>
struct positive_logits {
    static constexpr int threads = 128;
    static constexpr int block_rows = 64;
    packed_operands query;
    packed_operands positive;
    float* logit;

    PROTONCE_DEVICE void operator()() const {
        const index_t first = index_t{block_index()} * block_rows + thread_index() / 32 * 16;
        if (first >= query.count) {
            return; // the whole warp
        }
        const auto at = lane_place::here();
        const int words = Form::words(query.cols);
        float product[2][4] = {};
        multiply_rows<Form>(product, query.rows + first * words, words, positive.rows + first * words, words, words,
                            at);
        PROTONCE_UNROLL for (int n = 0; n < 2; ++n) {
            PROTONCE_UNROLL for (int e = 0; e < 4; ++e) {
                const int row = at.group + e / 2 * 8;
                const index_t i = first + row;
                if (row == n * 8 + 2 * at.member + e % 2 && i < query.count) {
                    logit[i] = product[n][e] * query.scale[i] * positive.factor[i];
                }
            }
        }
    }
};

/// The rows of a problem, packed; the sides of its products.
template <class Form>
struct packed_problem {
    packed_operands query, columns, positive;

    template <class Run>
    void positives(Run& run, const elementwise::softmax_rows<float>&, float* logit) const {
        using kernel = positive_logits<Form>;
        run.launch(ceil_div(query.count, kernel::block_rows), 0, kernel{query, positive, logit});
    }
};

template <class Form, class Run>
packed_problem<Form> pack_problem(Run& run, elementwise::scope_of<Run>& scope, const reader& read) {
    const index_t cols = read.query.cols;
    packed_problem<Form> out;
    out.query = pack_operands<Form>(
        run, scope, read.query.rows, cols,
        [=] PROTONCE_HOST_DEVICE(index_t i) -> const float* { // NaN in a row that takes no part stays there
            return read.takes_part(i) ? read.query.row(i) : nullptr;
        },
        [=] PROTONCE_HOST_DEVICE(index_t i) { return static_cast<float>(read.row_scale(i)); });
    out.columns = pack_operands<Form>(
        run, scope, read.most_used, cols,
        [=] PROTONCE_HOST_DEVICE(index_t j) -> const float* {
            return j < read.num_used() ? read.columns.row(read.pool_row(j)) : nullptr;
        },
        [=] PROTONCE_HOST_DEVICE(index_t j) {
            return j < read.num_used() ? 1 / read.temperature(read.pool_row(j)) : 0.0F;
        });
    out.positive = pack_operands<Form>(
        run, scope, read.query.rows, cols,
        [=] PROTONCE_HOST_DEVICE(index_t i) -> const float* {
            return read.takes_part(i) ? read.positive_row(i) : nullptr;
        },
        [=] PROTONCE_HOST_DEVICE(index_t i) { return read.takes_part(i) ? 1 / read.positive_temperature(i) : 0.0F; });
    return out;
}

/// p_ij over the terms that a slice has: e^{its largest exponent - the row's} / the row's sum
PROTONCE_HOST_DEVICE inline double of_slice(const elementwise::partial_softmax& part,
                                            const elementwise::row_softmax& row) {
    return static_cast<double>(std::exp(static_cast<float>(part.largest - row.largest))) / row.sum();
}

/// Gradients of the queries, from the sums of the slices in order, and of positives outside the pool.
template <class Run>
void finish_rows(Run& run, const elementwise::softmax_rows<float>& state,
                 const contrast<float, typename Run::space>& out, const elementwise::partial_softmax* part,
                 const float* sum) {
    const reader read = state.read;
    const elementwise::row_softmax* softmax = state.softmax;
    const index_t slices = state.parts;
    const index_t rows = state.rows;
    const index_t cols = state.cols;
    const bool accumulate = out.accumulate;
    const elementwise::table<float> grad_query = out.grad_query;
    const elementwise::table<float> grad_positive = out.grad_positive;
    run.for_each(rows * cols, [=] PROTONCE_HOST_DEVICE(index_t at) {
        const index_t i = at / cols;
        const index_t c = at % cols;
        const bool takes_part = read.takes_part(i);
        const double scale = takes_part ? read.row_scale(i) : 0.0;
        const double slope =
            takes_part ? scale * softmax[i].positive_slope() / static_cast<double>(read.positive_temperature(i)) : 0.0;
        if (grad_query.rows > 0) {
            double all = accumulate ? static_cast<double>(grad_query(i, c)) : 0.0;
            if (takes_part) {
                double others = 0;
                for (index_t k = 0; k < slices; ++k) {
                    others += of_slice(part[i * slices + k], softmax[i]) *
                              static_cast<double>(sum[(k * rows + i) * cols + c]);
                }
                all += slope * static_cast<double>(read.positive_row(i)[c]) + scale * others;
            }
            grad_query(i, c) = static_cast<float>(all);
        }
        if (grad_positive.rows > 0) {
            const double old = accumulate ? static_cast<double>(grad_positive(i, c)) : 0.0;
            grad_positive(i, c) = static_cast<float>(old + slope * static_cast<double>(read.query(i, c)));
        }
    });
}

/// Gradient of a temperature that all columns share: dL/dt = -(sum of dL/ds_ij s_ij) / t.
template <class Run>
void finish_temperature(Run& run, elementwise::scope_of<Run>& scope, const elementwise::softmax_rows<float>& state,
                        const contrast<float, typename Run::space>& out, const elementwise::partial_softmax* part,
                        const double* moment) {
    const reader read = state.read;
    const elementwise::row_softmax* softmax = state.softmax;
    const index_t slices = state.parts;
    const index_t rows = state.rows;
    const bool accumulate = out.accumulate;
    double* of_row = scope.template vector<double>(rows).data();
    float* gradient = out.grad_temperature.data();
    run.for_each(rows, [=] PROTONCE_HOST_DEVICE(index_t i) {
        double sum = 0;
        if (read.takes_part(i)) {
            sum = softmax[i].positive_slope() * softmax[i].positive_logit;
            for (index_t k = 0; k < slices; ++k) {
                sum += of_slice(part[i * slices + k], softmax[i]) * moment[i * slices + k];
            }
            sum *= -read.row_scale(i) / static_cast<double>(read.temperature(0));
        }
        of_row[i] = sum;
    });
    run.for_each(1, [=] PROTONCE_HOST_DEVICE(index_t) {
        double sum = accumulate ? static_cast<double>(gradient[0]) : 0.0;
        for (index_t i = 0; i < rows; ++i) {
            sum += of_row[i];
        }
        gradient[0] = static_cast<float>(sum);
    });
}

/// Gradients of the columns and of their temperatures: logits once more, now that the sums of the rows are known.
template <class Form, class Run>
void add_to_columns(Run& run, elementwise::scope_of<Run>& scope, const elementwise::softmax_rows<float>& state,
                    const contrast<float, typename Run::space>& out, const packed_problem<Form>& packed) {
    const reader read = state.read;
    const elementwise::row_softmax* softmax = state.softmax;
    query_slope* slope = scope.template vector<query_slope>(state.rows).data();
    run.for_each(state.rows, [=] PROTONCE_HOST_DEVICE(index_t i) {
        slope[i] = {static_cast<float>(softmax[i].largest), static_cast<float>(softmax[i].scale),
                    static_cast<float>(softmax[i].positive_slope()), static_cast<float>(read.row_scale(i))};
    });
    const bool is_same = !out.grad_query.empty() && out.grad_columns.data() == out.grad_query.data();
    if (!out.accumulate && !out.column_id.empty() && !is_same) {
        elementwise::clear_columns(run, out);
    }
    if (!out.accumulate) {
        elementwise::clear_temperatures(run, out);
    }
    const bool has_sums = !out.grad_columns.empty();
    const fused_cut cut(read.most_used, state.rows, packed.query.cols, has_sums, false);
    add_weighted_rows<Form>(
        run, packed.columns, packed.query, cut, has_sums,
        column_weights{.read = read,
                       .slope = slope,
                       .query_scale = packed.query.scale,
                       .query_factor = packed.query.factor,
                       .factor = packed.columns.factor,
                       .is_added = out.accumulate || is_same,
                       .gradient = out.grad_columns,
                       .temperature = out.grad_temperature.size() > 1 ? out.grad_temperature.data() : nullptr});
}

/// One softmax problem (core/contrast.hpp) whose logits are never stored: a pass over the columns for the sums and the gradient of
/// the queries, and where wanted one for the gradient of the columns. The number of kernels is the same for any number of columns.
template <class Form, class Run>
void fused_contrast(Run& run, elementwise::scratch_of<Run>& scratch,
                    const contrast<float, typename Run::space>& problem) {
    if (problem.query.rows() == 0) {
        return;
    }
    elementwise::scope_of<Run> scope(scratch);
    const bool grads_query = !problem.grad_query.empty();
    const bool grads_temperature = problem.grad_temperature.size() == 1;
    const fused_cut cut(problem.query.rows(), elementwise::used_columns(problem), problem.query.cols(), grads_query,
                        true);
    const index_t slices = cut.slices;
    const elementwise::softmax_rows<float> state(scope, problem, slices);
    const reader read = state.read;
    const auto packed = pack_problem<Form>(run, scope, read);
    elementwise::find_positives(run, scope, state, packed);

    auto* part = scope.template vector<elementwise::partial_softmax>(state.rows * slices).data();
    double* moment = grads_temperature ? scope.template vector<double>(state.rows * slices).data() : nullptr;
    float* sum = scope.template vector<float>(grads_query ? slices * state.rows * state.cols : 0).data();
    add_weighted_rows<Form>(
        run, packed.query, packed.columns, cut, grads_query,
        query_weights{.read = read,
                      .softmax = state.softmax,
                      .scale = packed.query.scale,
                      .factor = packed.columns.factor,
                      .has_masks = read.self != nullptr || read.row_group != nullptr || !read.positive_is_outside(),
                      .slices = slices,
                      .part = part,
                      .moment = moment,
                      .sum = sum});
    elementwise::merge_parts(run, state, part);
    elementwise::write_rows(run, state, problem);
    if (grads_query || !problem.grad_positive.empty()) {
        finish_rows(run, state, problem, part, sum);
    }
    if (grads_temperature) {
        finish_temperature(run, scope, state, problem, part, moment);
    }
    if (!problem.grad_columns.empty() || problem.grad_temperature.size() > 1) {
        add_to_columns<Form>(run, scope, state, problem, packed);
    }
}

} // namespace protonce::inline v0::detail::cuda

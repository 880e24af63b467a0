// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/finish_contrast.hpp>
#include <protonce/backend/cuda/softmax_weights.hpp>
#include <protonce/backend/cuda/tiled_contrast.hpp>
#include <protonce/backend/elementwise/softmax_forward.hpp>
#include <protonce/backend/elementwise/softmax_gradient.hpp>

#include <cmath>
#include <type_traits>

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
                    logit[i] = product[n][e] * query.scale[i] * positive.info[i].factor;
                }
            }
        }
    }
};

/// The products of a problem by the instructions of a warp (`mma.sync`).
template <class Form>
struct by_warps {
    using operands = packed_operands;
    static constexpr cut_shape shape = fused_shape;

    template <class Scope, class Row, class Info>
    static auto packing(Scope& scope, index_t count, index_t cols, const Row& row, const Info& info) {
        return packing_of<Form>(scope, count, cols, row, info);
    }
    template <class Run>
    static void positives(Run& run, const operands& query, const operands& positive, float* logit) {
        using kernel = positive_logits<Form>;
        run.launch(ceil_div(query.count, kernel::block_rows), 0, kernel{query, positive, logit});
    }
    template <class Run, class Weights>
    static void add_sums(Run& run, const operands& left, const operands& right, const fused_cut& cut, bool has_sums,
                         const Weights& weights) {
        const fused_sums<Form, Weights> kernel{left, right, cut, has_sums, weights};
        run.launch(cut.blocks(), kernel.shared_bytes(), kernel);
    }
};

/// By those of a group of warps (`wgmma`), in half precision.
struct by_groups {
    using operands = tiled_operands;
    static constexpr cut_shape shape = tiled_shape;

    template <class Scope, class Row, class Info>
    static auto packing(Scope& scope, index_t count, index_t cols, const Row& row, const Info& info) {
        return tiling_of(scope, count, cols, row, info);
    }
    template <class Run>
    static void positives(Run& run, const operands& query, const operands& positive, float* logit) {
        with_cols(query.cols, [&](auto cols) {
            const tiled_positives<cols()> kernel{query, positive, logit};
            run.launch(query.padded / kernel.block_rows, kernel.shared_bytes(), kernel);
        });
    }
    template <class Run, class Weights>
    static void add_sums(Run& run, const operands& left, const operands& right, const fused_cut& cut, bool has_sums,
                         const Weights& weights) {
        with_cols(left.cols, [&](auto cols) {
            const tiled_sums<Weights, cols()> kernel{left, right, cut, has_sums, weights};
            run.launch(cut.blocks(), kernel.shared_bytes(), kernel);
        });
    }
    /// Is the device one that these kernels were compiled for?
    template <class Run>
    static bool are_there(const Run& run) {
        return run.template has_body<tiled_sums<plain_query_weights<false>, 128>>();
    }

private:
    template <class F>
    static void with_cols(index_t cols, const F& f) {
        if (cols == 64) {
            f(std::integral_constant<int, 64>());
        } else if (cols == 128) {
            f(std::integral_constant<int, 128>());
        } else {
            f(std::integral_constant<int, 256>());
        }
    }
};
static_assert(most_fused_cols <= most_tiled_cols);

/// The rows of a problem, packed; the sides of its products.
template <class Method>
struct packed_problem {
    typename Method::operands query, columns, positive;

    template <class Run>
    void positives(Run& run, const elementwise::softmax_rows<float>&, float* logit) const {
        Method::positives(run, query, positive, logit);
    }
};

template <class Method, class Run>
packed_problem<Method> pack_problem(Run& run, elementwise::scope_of<Run>& scope, const reader& read) {
    const index_t cols = read.query.cols;
    const auto query = Method::packing(
        scope, read.query.rows, cols,
        [=] PROTONCE_ON_DEVICE(index_t i) -> const float* { // NaN in a row that takes no part stays there
            return read.takes_part(i) ? read.query.row(i) : nullptr;
        },
        [=] PROTONCE_ON_DEVICE(index_t i) {
            return column_info{static_cast<float>(read.row_scale(i)), 0, -1, -1};
        });
    const auto columns = Method::packing(
        scope, read.most_used, cols,
        [=] PROTONCE_ON_DEVICE(index_t j) -> const float* {
            return j < read.num_used() ? read.columns.row(read.pool_row(j)) : nullptr;
        },
        [=] PROTONCE_ON_DEVICE(index_t j) {
            if (j >= read.num_used()) {
                return column_info::none();
            }
            const index_t p = read.pool_row(j);
            return column_info{1 / read.temperature(p), read.log_weight(j), static_cast<label_t>(p),
                               read.pool_group == nullptr ? label_t{-1} : read.pool_group[p]};
        });
    const auto positive = Method::packing(
        scope, read.query.rows, cols,
        [=] PROTONCE_ON_DEVICE(index_t i) -> const float* {
            return read.takes_part(i) ? read.positive_row(i) : nullptr;
        },
        [=] PROTONCE_ON_DEVICE(index_t i) {
            return column_info{read.takes_part(i) ? 1 / read.positive_temperature(i) : 0.0F, 0, -1, -1};
        });
    const pack_three kernel{query, columns, positive};
    run.launch(kernel.blocks(), 0, kernel);
    return {query.to, columns.to, positive.to};
}

/// Gradient of a temperature that all columns share: the sum over the rows.
template <class Run>
void sum_temperature(Run& run, const contrast<float, typename Run::space>& out, const double* of_row, index_t rows) {
    const bool accumulate = out.accumulate;
    float* gradient = out.grad_temperature.data();
    sum_on_device(run, of_row, rows, [=] PROTONCE_ON_DEVICE(double sum) {
        gradient[0] = static_cast<float>(accumulate ? static_cast<double>(gradient[0]) + sum : sum);
    });
}

/// Gradients of the columns and of their temperatures: logits once more, now that the sums of the rows are known.
template <class Method, class Run>
void add_to_columns(Run& run, elementwise::scope_of<Run>& scope, const elementwise::softmax_rows<float>& state,
                    const contrast<float, typename Run::space>& out, const packed_problem<Method>& packed) {
    const reader read = state.read;
    const elementwise::row_softmax* softmax = state.softmax;
    query_slope* slope = scope.template vector<query_slope>(state.rows).data();
    run.for_each(state.rows, [=] PROTONCE_ON_DEVICE(index_t i) {
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
    Method::add_sums(
        run, packed.columns, packed.query,
        fused_cut(Method::shape, read.most_used, state.rows, packed.query.cols, has_sums, false), has_sums,
        column_weights{.read = read,
                       .slope = slope,
                       .query_scale = packed.query.scale,
                       .info = packed.columns.info,
                       .is_added = out.accumulate || is_same,
                       .gradient = out.grad_columns,
                       .temperature = out.grad_temperature.size() > 1 ? out.grad_temperature.data() : nullptr});
}

/// One softmax problem (core/contrast.hpp) whose logits are never stored: a pass over the columns for the sums and the gradient of
/// the queries, and where wanted one for the gradient of the columns. The number of kernels is the same for any number of columns.
template <class Method, class Run>
void fused_contrast(Run& run, elementwise::scratch_of<Run>& scratch,
                    const contrast<float, typename Run::space>& problem) {
    if (problem.query.rows() == 0) {
        return;
    }
    elementwise::scope_of<Run> scope(scratch);
    const bool grads_query = !problem.grad_query.empty();
    const bool grads_temperature = problem.grad_temperature.size() == 1;
    const fused_cut cut(Method::shape, problem.query.rows(), elementwise::used_columns(problem), problem.query.cols(),
                        grads_query, true);
    const index_t slices = cut.slices;
    const elementwise::softmax_rows<float> state(scope, problem, slices);
    const reader read = state.read;
    const auto packed = pack_problem<Method>(run, scope, read);
    elementwise::find_positives(run, scope, state, packed);

    auto* part = scope.template vector<elementwise::partial_softmax>(state.rows * slices).data();
    double* moment = grads_temperature ? scope.template vector<double>(state.rows * slices).data() : nullptr;
    double* of_temperature = grads_temperature ? scope.template vector<double>(state.rows).data() : nullptr;
    float* sum = scope.template vector<float>(grads_query ? slices * state.rows * state.cols : 0).data();
    const bool has_masks = read.self != nullptr || read.row_group != nullptr || !read.positive_is_outside();
    const bool has_ranks = !problem.top1.empty();
    const auto add = [&](const auto& weights) {
        Method::add_sums(run, packed.query, packed.columns, cut, grads_query, weights);
    };
    if (!has_ranks && !grads_temperature && has_masks) {
        add(plain_query_weights<true>{read, packed.query.scale, slices, part, sum});
    } else if (!has_ranks && !grads_temperature) {
        add(plain_query_weights<false>{read, packed.query.scale, slices, part, sum});
    } else {
        add(query_weights{.read = read,
                          .softmax = state.softmax,
                          .scale = packed.query.scale,
                          .has_masks = has_masks,
                          .has_ranks = has_ranks,
                          .slices = slices,
                          .part = part,
                          .moment = moment,
                          .sum = sum});
    }
    const finish_row finish{.read = read,
                            .softmax = state.softmax,
                            .slices = slices,
                            .part = part,
                            .moment = moment,
                            .sum = sum,
                            .accumulate = problem.accumulate,
                            .loss = data_of(problem.loss),
                            .log_sum = data_of(problem.log_sum),
                            .top1 = data_of(problem.top1),
                            .of_temperature = of_temperature,
                            .grad_query = problem.grad_query,
                            .grad_positive = problem.grad_positive};
    run.launch(state.rows, finish.shared_bytes(), finish);
    if (grads_temperature) {
        sum_temperature(run, problem, of_temperature, state.rows);
    }
    if (!problem.grad_columns.empty() || problem.grad_temperature.size() > 1) {
        add_to_columns<Method>(run, scope, state, problem, packed);
    }
}

} // namespace protonce::inline v0::detail::cuda

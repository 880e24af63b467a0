// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/column_weights.hpp>
#include <protonce/backend/cuda/contrast_kernels.hpp>
#include <protonce/backend/cuda/finish_contrast.hpp>
#include <protonce/backend/cuda/side_by_side.hpp>
#include <protonce/backend/cuda/sum_rows.hpp>
#include <protonce/backend/elementwise/softmax_gradient.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>

namespace protonce::inline v0::detail::cuda {

/// The pass over the columns: for sums and the gradient of the queries alone, where columns may be left out for a row or not, for ranks
/// or weighted columns too, or for the gradient of a common temperature besides.
enum class query_pass { sums, masked_sums, ranks, moments };

/// A problem (core/contrast.hpp) and what its kernels hand to each other.
template <class Method, class Run>
struct fused_problem {
    using packing = typename Method::packing;
    using operands = typename packing::operands;
    using problem = contrast<float, typename Run::space>;

    const problem& given;
    reader read;
    query_pass pass;
    fused_cut cut;
    fused_cut column_cut; // of the pass for them
    operands query;
    column_source source;
    operands columns;  // where they are picked nothing but `info`, and the scales of the pool
    operands positive; // none where its logit is not compared
    float* weight_of_row;
    float* logit; // (B,) of the positives, or null
    elementwise::partial_softmax* part;
    double* moment;
    double* of_temperature;
    float* sum;
    query_info* info;
    column_slices column_part;

    /// \param wanted_blocks    of the pass over the columns
    /// \param wanted_for_them  of the pass for the columns
    template <class Scope>
    fused_problem(Scope& scope, const problem& of, index_t wanted_blocks, index_t wanted_for_them)
        : given(of), read(of), pass(pass_of(of)),
          cut(Method::shape, of.query.rows(), read.most_used, of.query.cols(), has_sums(), wanted_blocks),
          column_cut(Method::shape, read.most_used, of.query.rows(), of.query.cols(), !of.grad_columns.empty(),
                     wanted_for_them),
          query(packing::take(scope, of.query.rows(), of.query.cols())), source(source_of(of)),
          columns(take_columns(scope, of)),
          positive(with_info(scope, packing::take(scope, has_ranks() ? of.query.rows() : 0, of.query.cols()))) {
        const index_t rows = of.query.rows();
        const index_t parts = rows * cut.slices;
        const bool has_moments = pass == query_pass::moments;
        const bool has_weights = read.own != nullptr && read.log_weights != nullptr;
        weight_of_row = has_weights ? scope.template vector<float>(of.columns.rows()).data() : nullptr;
        logit = has_ranks() ? scope.template vector<float>(rows).data() : nullptr;
        part = scope.template vector<elementwise::partial_softmax>(parts).data();
        moment = has_moments ? scope.template vector<double>(parts).data() : nullptr;
        of_temperature = has_moments ? scope.template vector<double>(rows).data() : nullptr;
        sum = scope.template vector<float>(has_sums() ? parts * of.query.cols() : 0).data();
        info = has_column_pass() ? scope.template vector<query_info>(packing::padded(query)).data() : nullptr;
        column_part = take_slices(scope);
    }

    static query_pass pass_of(const problem& of) {
        if (of.grad_temperature.size() == 1) {
            return query_pass::moments;
        }
        if (!of.top1.empty() || !of.log_weight.empty()) {
            return query_pass::ranks;
        }
        const bool has_masks = !of.own.empty() || !of.self.empty() || !of.row_group.empty();
        return has_masks ? query_pass::masked_sums : query_pass::sums;
    }
    /// A pool can be picked from for the queries' sake alone: the pass for the columns has them on its left.
    static column_source source_of(const problem& of) {
        const bool has_one_temperature = of.has_one_temperature();
        if (can_keep && !of.packed.empty() && of.column_id.empty() && has_one_temperature) {
            return column_source::kept;
        }
        const bool can_pick = !of.own.empty() && !has_one_temperature && !has_column_pass(of);
        return can_keep && can_pick && !of.packed_pool.empty() ? column_source::picked : column_source::packed;
    }
    /// Problems that may share the launch of the pass over the columns.
    static bool are_alike(const problem& one, const problem& other) {
        return pass_of(one) == pass_of(other) &&
               (source_of(one) == column_source::picked) == (source_of(other) == column_source::picked);
    }
    bool has_ranks() const { return pass == query_pass::ranks || pass == query_pass::moments; }
    static constexpr bool can_keep = requires { &packing::kept; };
    template <class Scope>
    operands take_columns(Scope& scope, const problem& of) const {
        if constexpr (can_keep) {
            if (source == column_source::kept) { // which nothing writes here
                return with_info(scope,
                                 packing::kept(const_cast<float*>(of.packed.data()), read.most_used, of.query.cols()));
            }
            if (source == column_source::picked) {
                const auto all = pool();
                return with_info(scope, {.count = read.most_used, .padded = all.padded, .scale = all.scale});
            }
        }
        return with_info(scope, packing::take(scope, read.most_used, of.query.cols()));
    }
    template <class Scope>
    static operands with_info(Scope& scope, operands of) {
        of.info = scope.template vector<column_info>(packing::padded(of)).data();
        return of;
    }
    bool has_sums() const { return !given.grad_query.empty(); }
    static bool has_column_pass(const problem& of) {
        return !of.grad_columns.empty() || of.grad_temperature.size() > 1;
    }
    bool has_column_pass() const { return has_column_pass(given); }
    bool has_column_slices() const { return has_column_pass() && column_cut.slices > 1; }
    bool has_one_gradient() const { return has_sums() && given.grad_columns.data() == given.grad_query.data(); }

    pack_problem<packing> pack() const { return {read, query, columns, positive, source, weight_of_row}; }
    /// `picks`: the columns are picked from a pool
    template <query_pass which, bool picks>
    auto query_kernel() const {
        constexpr bool masks = which != query_pass::sums;
        constexpr bool moments = which == query_pass::moments;
        constexpr bool ranks = which == query_pass::ranks || moments;
        using weights = query_weights<masks, ranks, moments>;
        const weights of{read, logit, query.scale, cut.slices, part, moment, sum};
        if constexpr (picks) {
            return typename Method::template picking_sums<weights>{query, pool(), columns.info, cut, has_sums(), of};
        } else {
            return kernel(query, columns, columns.info, cut, has_sums(), of);
        }
    }
    /// Logits once more, now that the sums of the rows are known.
    auto column_kernel() const {
        return kernel(columns, query, info, column_cut, !given.grad_columns.empty(),
                      column_weights{read, column_gradient(), column_part});
    }
    add_column_slices add_slices() const { return {read, column_gradient(), column_part, column_cut.slices}; }
    finish_row finish() const {
        return {.read = read,
                .positive = logit,
                .weight_of_row = weight_of_row,
                .slices = static_cast<int>(cut.slices),
                .part = part,
                .moment = moment,
                .sum = sum,
                .accumulate = given.accumulate,
                .loss = data_of(given.loss),
                .log_sum = data_of(given.log_sum),
                .top1 = data_of(given.top1),
                .of_temperature = of_temperature,
                .scale = query.scale,
                .info = info,
                .padded_rows = packing::padded(query),
                .grad_query = given.grad_query,
                .grad_positive = given.grad_positive};
    }

private:
    /// What the slices of the queries leave behind, if there are more than one.
    template <class Scope>
    column_slices take_slices(Scope& scope) const {
        if (!has_column_slices()) {
            return {};
        }
        const index_t parts = column_cut.slices * read.most_used;
        const column_gradients to = column_gradient();
        return {to.gradient.rows > 0 ? scope.template vector<float>(parts * given.query.cols()).data() : nullptr,
                to.temperature != nullptr ? scope.template vector<double>(parts).data() : nullptr};
    }
    column_gradients column_gradient() const {
        return {columns.info, given.accumulate || has_one_gradient(), given.grad_columns,
                given.grad_temperature.size() > 1 ? given.grad_temperature.data() : nullptr};
    }
    auto pool() const {
        auto* memory = const_cast<float*>(given.packed_pool.data()); // which nothing writes here
        return packing::pool(memory, given.columns.rows(), read.most_used, given.query.cols());
    }
    template <class Weights>
    static typename Method::template sums<Weights> kernel(const operands& left, const operands& right,
                                                          const typename Weights::info* of_right, const fused_cut& cut,
                                                          bool has_sums, const Weights& weights) {
        return {left, right, of_right, cut, has_sums, weights};
    }
};

/// Gradient of a temperature that all columns share: the sum over the rows.
template <class Method, class Run>
void sum_temperature(Run& run, const fused_problem<Method, Run>& of) {
    if (of.of_temperature == nullptr) {
        return;
    }
    const bool accumulate = of.given.accumulate;
    float* gradient = of.given.grad_temperature.data();
    sum_on_device(run, of.of_temperature, of.read.query.rows, [=] PROTONCE_ON_DEVICE(double sum) {
        gradient[0] = static_cast<float>(accumulate ? static_cast<double>(gradient[0]) + sum : sum);
    });
}

/// Before the pass for the columns: gradients of those that are not used, and of temperatures, which are added to in place.
template <class Method, class Run>
void clear_gradients(Run& run, const fused_problem<Method, Run>& of) {
    if (!of.given.accumulate && !of.given.column_id.empty() && !of.has_one_gradient()) {
        elementwise::clear_columns(run, of.given);
    }
    if (!of.given.accumulate) {
        elementwise::clear_temperatures(run, of.given);
    }
}

/// Problems of equal rows and columns of features, a few at once.
template <class Method, class Run>
class fused_problems {
    using state = fused_problem<Method, Run>;

public:
    template <class Scope>
    fused_problems(Scope& scope, std::span<const typename state::problem> problems) : count_(problems.size()) {
        for (std::size_t i = 0; i < problems.size(); ++i) {
            index_t like_this = 0; // share a launch
            index_t for_columns = 0;
            for (const auto& problem : problems) {
                like_this += state::are_alike(problem, problems[i]) ? 1 : 0;
                for_columns += state::has_column_pass(problem) ? 1 : 0;
            }
            problem_[i].emplace(scope, problems[i], Method::shape.wanted_blocks / like_this,
                                Method::shape.wanted_blocks / (std::max)(for_columns, index_t{1}));
        }
    }

    void solve(Run& run) const {
        const auto all = [](const state&) { return true; };
        launch(run, all, [](const state& of) { return of.pack(); });
        launch(
            run, [](const state& of) { return of.has_ranks(); },
            [](const state& of) {
                return typename Method::positives{of.query, of.positive, of.logit};
            });
        pass_over_columns<query_pass::sums>(run);
        pass_over_columns<query_pass::masked_sums>(run);
        pass_over_columns<query_pass::ranks>(run);
        pass_over_columns<query_pass::moments>(run);
        if constexpr (state::can_keep) {
            pass_over_columns<query_pass::masked_sums, true>(run);
            pass_over_columns<query_pass::ranks, true>(run);
        }
        finish(run);
        for (std::size_t i = 0; i < count_; ++i) {
            sum_temperature(run, *problem_[i]);
            clear_gradients(run, *problem_[i]);
        }
        launch(
            run, [](const state& of) { return of.has_column_pass(); },
            [](const state& of) { return of.column_kernel(); });
        launch(
            run, [](const state& of) { return of.has_column_slices(); },
            [](const state& of) { return of.add_slices(); });
    }

private:
    /// One launch for the problems that it concerns.
    template <class Concerns, class Make>
    void launch(Run& run, const Concerns& concerns, const Make& make) const {
        const state* chosen[most_side_by_side] = {};
        std::size_t count = 0;
        for (std::size_t i = 0; i < count_; ++i) {
            if (concerns(*problem_[i])) {
                chosen[count++] = &*problem_[i];
            }
        }
        if (count > 0) {
            launch_side_by_side(run, count, [&](std::size_t i) { return make(*chosen[i]); });
        }
    }
    template <query_pass which, bool picks = false>
    void pass_over_columns(Run& run) const {
        launch(
            run, [](const state& of) { return of.pass == which && (of.source == column_source::picked) == picks; },
            [](const state& of) { return of.template query_kernel<which, picks>(); });
    }
    void finish(Run& run) const {
        constexpr index_t few_rows = 512; // a few blocks a processor
        problem_[0]->read.query.rows <= few_rows ? finish_by<8, 16>(run) : finish_by<4, 0>(run);
    }
    template <int warps, int most_early>
    void finish_by(Run& run) const {
        const auto of = [&](std::size_t i) { return problem_[i < count_ ? i : 0]->finish(); };
        const int count = static_cast<int>(count_);
        const bool is_aligned = problem_[0]->read.query.cols % 4 == 0; // of the sums
        finish_rows<warps, most_early> kernel{
            {of(0), of(1), of(2), of(3)}, count, 0, is_aligned ? most_early / count : 0};
        for (const finish_row& row : kernel.problem) {
            kernel.most_slices = (std::max)(kernel.most_slices, row.slices);
        }
        run.launch(problem_[0]->read.query.rows, kernel.shared_bytes(), kernel);
    }

    std::array<std::optional<state>, most_side_by_side> problem_;
    std::size_t count_;
};

/// Softmax problems (core/contrast.hpp) of up to most_fused_cols columns of features, whose logits are never stored: a pass over the columns
/// for the sums and the gradient of the queries, and where wanted one for the gradient of the columns. The number of kernels is the same for
/// any number of columns, but that few of them may be summed by slices of the queries, which takes one more.
///
/// \param problems  at most most_side_by_side, as count_together() finds them
template <class Method, class Run>
void fused_contrast(Run& run, elementwise::scratch_of<Run>& scratch,
                    std::span<const contrast<float, typename Run::space>> problems) {
    elementwise::scope_of<Run> scope(scratch);
    fused_problems<Method, Run>(scope, problems).solve(run);
}

/// By groups of warps, if the device has what they need.
template <class Run>
bool has_group_kernels(const Run& run) {
    return run.template has_body<side_by_side<tiled_sums<query_weights<false, false, false>, 128>>>();
}
template <class Run>
void contrast_by_groups(Run& run, elementwise::scratch_of<Run>& scratch,
                        std::span<const contrast<float, typename Run::space>> problems) {
    const index_t cols = problems.front().query.cols();
    if (cols <= 64) {
        fused_contrast<by_groups<64>>(run, scratch, problems);
    } else if (cols <= 128) {
        fused_contrast<by_groups<128>>(run, scratch, problems);
    } else {
        fused_contrast<by_groups<256>>(run, scratch, problems);
    }
}

} // namespace protonce::inline v0::detail::cuda

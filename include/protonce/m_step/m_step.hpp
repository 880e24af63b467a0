// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/proto_nce.hpp>

#include <cstdint>
#include <span>
#include <string_view>

namespace protonce::inline v0 {

struct m_step_options {
    double temperature = 0.2; // tau of InfoNCE; a temperature among the inputs overrides it
    protonce::negatives negatives = protonce::negatives::deduplicated;
    index_t num_negatives = 16384; // R_p, at most; not read with negatives::all or given ids
    std::uint64_t seed = 0;        // of the draws
    std::uint64_t step = 0;        // of training: another one draws others
    double instance_weight = 1;    // of InfoNCE
    double prototype_weight = 1;   // of ProtoNCE
};

template <backend B>
struct m_step_inputs {
    using level = prototype_level<value_of<B>, typename B::space>;

    matrix_of<B, const value_of<B>> query{};            // (B, C) unit rows
    matrix_of<B, const value_of<B>> positive{};         // (B, C) unit rows, the key of each query
    matrix_of<B, const value_of<B>> negatives{};        // (R, C) unit rows, the queue; empty while it is
    vector_of<B, const value_of<B>> packed_negatives{}; // optional: memory_queue::packed(), beside its rows()
    vector_of<B, const label_t> query_cluster{};        // (B,) optional: queue negatives of the query's own cluster are
    vector_of<B, const label_t> negative_cluster{};     // (R,) left out; -1: of no cluster
    vector_of<B, const value_of<B>> temperature{};      // (1,) optional: a learned temperature of InfoNCE
    vector_of<B, const index_t> sample{};               // (B,) sample number of each query; not read without levels
    std::span<const level> levels{};                    // M; none during warm-up: InfoNCE alone
    std::span<const vector_of<B, const index_t>>
        negative_id{};                          // M, optional: negatives of each level instead of drawn ones
    vector_of<B, const value_of<B>> upstream{}; // (1,) optional: dL/dloss, factor of every gradient
    vector_of<B, const index_t> step{};         // (1,) optional: the step number in the backend's memory, overrides
                                                // the option
};

template <backend B>
struct m_step_outputs {
    using columns_of_level = column_draw<value_of<B>, typename B::space>;

    vector_of<B> loss{};                               // (1,) instance_weight InfoNCE + prototype_weight ProtoNCE
    vector_of<B> loss_instance{};                      // (1,) InfoNCE, mean over the rows
    vector_of<B> loss_prototypes{};                    // (1,) ProtoNCE, mean over the levels
    vector_of<B> loss_per_level{};                     // (M,) mean over the level's rows
    vector_of<B> accuracy_instance{};                  // (1,) share of queries that find their key among the negatives
    vector_of<B> accuracy_per_level{};                 // (M,) share that find their prototype
    matrix_of<B> grad_query{};                         // (B, C)
    matrix_of<B> grad_positive{};                      // (B, C)
    matrix_of<B> grad_negatives{};                     // (R, C)
    vector_of<B> grad_temperature{};                   // (1,)
    std::span<const matrix_of<B>> grad_prototypes{};   // M of (K_m, C); an empty one is not computed
    std::span<const vector_of<B>> grad_temperatures{}; // M of (K_m,); likewise
    std::span<const columns_of_level> columns{}; // M: the prototypes used, as draw_negative_prototypes() writes them
    bool accumulate = false; // `loss` and the gradients are added to what is there; the rest is overwritten
};

struct m_step_report {
    info_nce_report instance{};
    proto_nce_report prototypes{};
};

namespace detail {

/// What of m_step()'s arguments is InfoNCE's and what ProtoNCE's.
template <backend B>
struct m_step_parts {
    info_nce_inputs<B> instance_in;
    info_nce_options instance_options;
    info_nce_outputs<B> instance_out;
    proto_nce_inputs<B> prototype_in;
    proto_nce_options prototype_options;
    proto_nce_outputs<B> prototype_out;

    m_step_parts(const m_step_inputs<B>& in, const m_step_options& options, const m_step_outputs<B>& out)
        : instance_in{.query = in.query,
                      .positive = in.positive,
                      .negatives = in.negatives,
                      .packed_negatives = in.packed_negatives,
                      .query_cluster = in.query_cluster,
                      .negative_cluster = in.negative_cluster,
                      .temperature = in.temperature,
                      .upstream = in.upstream},
          instance_options{.temperature = options.temperature}, instance_out{.accuracy = out.accuracy_instance,
                                                                             .grad_query = out.grad_query,
                                                                             .grad_positive = out.grad_positive,
                                                                             .grad_negatives = out.grad_negatives,
                                                                             .grad_temperature = out.grad_temperature,
                                                                             .accumulate = out.accumulate},
          prototype_in{.query = in.query,
                       .sample = in.sample,
                       .levels = in.levels,
                       .negative_id = in.negative_id,
                       .upstream = in.upstream,
                       .step = in.step},
          prototype_options{.negatives = options.negatives,
                            .num_negatives = options.num_negatives,
                            .seed = options.seed,
                            .step = options.step},
          prototype_out{.loss_per_level = out.loss_per_level,
                        .accuracy_per_level = out.accuracy_per_level,
                        .grad_query = out.grad_query,
                        .grad_prototypes = out.grad_prototypes,
                        .grad_temperatures = out.grad_temperatures,
                        .columns = out.columns,
                        .accumulate = out.accumulate} {}
};

/// A weight may be 0, which switches a part off, but not negative.
inline void check_weight(std::string_view argument, double weight) {
    check::finite("m_step", argument, weight);
    check::at_least("m_step", argument, weight, 0.0);
}

template <backend B>
void check_m_step(const m_step_options& options, const m_step_inputs<B>& in, const m_step_outputs<B>& out) {
    check_weight("instance_weight", options.instance_weight);
    check_weight("prototype_weight", options.prototype_weight);
    check::optional_size("m_step", "loss", out.loss, 1);
    check::optional_size("m_step", "loss_instance", out.loss_instance, 1);
    check::optional_size("m_step", "loss_prototypes", out.loss_prototypes, 1);
    check::optional_size("m_step", "accuracy_instance", out.accuracy_instance, 1);
    if (in.levels.empty()) {
        // Nothing of a level may be asked for where there is none.
        check::optional_size("m_step", "loss_per_level", out.loss_per_level, 0);
        check::optional_size("m_step", "accuracy_per_level", out.accuracy_per_level, 0);
        const auto none = [](std::string_view argument, std::size_t given) {
            if (given != 0) {
                check::fail_shape("m_step", argument, "must hold one element for each level, 0", check::text(given));
            }
        };
        none("negative_id", in.negative_id.size());
        none("grad_prototypes", out.grad_prototypes.size());
        none("grad_temperatures", out.grad_temperatures.size());
        none("columns", out.columns.size());
    }
}

/// For sum_rows of what InfoNCE's rows and the levels' rows have: each part's mean.
template <class T>
struct mean_of_part {
    index_t first; // part that row 0 is
    double rows;
    T* instance;
    mean_of_level<T> level;

    PROTONCE_HOST_DEVICE void operator()(index_t m, double sum) const {
        const index_t part = first + m;
        if (part == 0) {
            instance[0] = quotient<T>(sum, rows);
        } else {
            level(part - 1, sum);
        }
    }
};

/// Of the sum of the levels' mean losses: ProtoNCE and the loss of all parts.
template <class T>
struct add_parts {
    double levels;
    T* prototypes; // or null
    const T* instance;
    double instance_weight;
    double prototype_weight;
    bool accumulate;
    T* loss; // or null

    PROTONCE_HOST_DEVICE void operator()(double sum) const {
        const T mean = quotient<T>(sum, levels);
        if (prototypes != nullptr) {
            prototypes[0] = mean;
        }
        if (loss != nullptr) {
            const T weighted = weighted_sum(instance_weight, instance[0], accumulate ? 1.0 : 0.0, loss[0]);
            loss[0] = weighted_sum(prototype_weight, mean, 1.0, weighted);
        }
    }
};

/// One number for each part of the loss and row of the batch: (1 + M, B), InfoNCE's first, as far as they are wanted.
template <backend B>
class part_rows {
public:
    part_rows(typename workspace<typename B::space>::scope& scratch, index_t num_levels, index_t rows,
              bool wants_instance, bool wants_levels)
        : first_(wants_instance ? 0 : 1), last_(wants_levels ? 1 + num_levels : 1) {
        if (first_ < last_) {
            values_ = scratch.template matrix<value_of<B>>(1 + num_levels, rows);
        }
    }
    vector_of<B> instance() const { return first_ == 0 ? values_.row(0) : vector_of<B>{}; }
    matrix_of<B> levels() const { return last_ > 1 ? values_.slice(1, last_ - 1) : matrix_of<B>{}; }

    /// Those that are wanted.
    matrix_of<B, const value_of<B>> wanted() const {
        return first_ < last_ ? values_.slice(first_, last_ - first_) : matrix_of<B>{};
    }
    /// Their means over the rows, over those that take part where it is a level.
    mean_of_part<value_of<B>> means(vector_of<B, const double> participants, vector_of<B> instance,
                                    vector_of<B> level) const {
        return {
            first_, static_cast<double>(values_.cols()), instance.data(), {participants.data(), level.data(), nullptr}};
    }

private:
    index_t first_;
    index_t last_;
    matrix_of<B> values_{};
};

} // namespace detail

/// The loss of one batch of Prototypical Contrastive Learning and its gradients (Li et al. 2021, equation 11):
///
///     L = instance_weight * InfoNCE + prototype_weight * mean over the levels of ProtoNCE terms,   both weights 1
///
/// The same numbers as info_nce() with a queue and proto_nce() with `accumulate`, both as means (on cuda_backend up to
/// rounding); queue and all levels are one operation of the backend. Without levels (warm-up, MoCo) it is InfoNCE
/// alone, loss_prototypes 0.
///
/// Outputs are overwritten (see `accumulate`) and must not overlap the inputs; an empty one is not computed.
/// \throws shape_error, argument_error  as info_nce() and proto_nce(); a weight negative or not finite
/// Synchronises: no, but for the check of finite features.  Reproducible: bitwise.
/// Scratch: O(M (B + R_p) + max K), and the backend's tiles.
template <backend B>
m_step_report m_step(B& be, const m_step_inputs<B>& inputs, const m_step_options& options,
                     const m_step_outputs<B>& outputs) {
    using T = value_of<B>;
    detail::check_m_step(options, inputs, outputs);
    const auto num_levels = static_cast<index_t>(inputs.levels.size());
    typename workspace<typename B::space>::scope scratch(be.scratch());
    workspace<host>::scope host_scratch(be.host_scratch());
    detail::m_step_parts<B> parts(inputs, options, outputs);

    detail::check_info_nce(be, "m_step", parts.instance_in, parts.instance_options, parts.instance_out);
    detail::proto_nce_rows<B> rows{};
    if (num_levels > 0) {
        rows = detail::check_proto_nce(be, scratch, "m_step", parts.prototype_in, parts.prototype_options,
                                       options.prototype_weight, parts.prototype_out);
    }
    const bool wants_loss = !outputs.loss.empty();
    const bool wants_instance = wants_loss || !outputs.loss_instance.empty();
    const bool wants_prototypes = wants_loss || !outputs.loss_prototypes.empty();
    const bool wants_levels = num_levels > 0 && (wants_prototypes || !outputs.loss_per_level.empty());
    const index_t num_rows = inputs.query.rows();
    const detail::part_rows<B> losses(scratch, num_levels, num_rows, wants_instance, wants_levels);
    const detail::part_rows<B> top1(scratch, num_levels, num_rows, !outputs.accuracy_instance.empty(),
                                    !outputs.accuracy_per_level.empty());
    parts.instance_out.loss_per_row = losses.instance();
    parts.instance_out.top1 = top1.instance();
    parts.prototype_out.loss_per_row = losses.levels();
    parts.prototype_out.top1 = top1.levels();

    m_step_report report;
    const auto problems = detail::take_problems<B>(host_scratch, 1 + inputs.levels.size());
    problems[0] = detail::info_nce_problem(be, scratch, parts.instance_in, parts.instance_options,
                                           options.instance_weight, parts.instance_out);
    report.instance = detail::report_info_nce(parts.instance_in, parts.instance_options);
    if (num_levels > 0) {
        report.prototypes =
            detail::proto_nce_problems(be, scratch, host_scratch, rows, parts.prototype_in, parts.prototype_options,
                                       options.prototype_weight, true, parts.prototype_out, problems.subspan(1));
    }
    be.softmax_contrast(std::span<const detail::problem_of<B>>(problems));

    const auto instance_loss = detail::given_or_scratch(scratch, outputs.loss_instance, wants_loss, 1);
    const auto level_loss = detail::given_or_scratch(scratch, outputs.loss_per_level, wants_levels, num_levels);
    const auto sum_all = [&](const auto& last) {
        const auto upper = losses.wanted(), lower = top1.wanted();
        be.sum_rows(upper.rows() + lower.rows(), num_rows, detail::stacked_rows<T>(upper, lower),
                    detail::either_part<detail::mean_of_part<T>>{
                        upper.rows(), losses.means(rows.participants, instance_loss, level_loss),
                        top1.means(rows.participants, outputs.accuracy_instance, outputs.accuracy_per_level)},
                    last);
    };
    if (wants_prototypes) {
        const detail::add_parts<T> add{.levels = static_cast<double>(num_levels),
                                       .prototypes = detail::data_of(outputs.loss_prototypes),
                                       .instance = instance_loss.data(),
                                       .instance_weight = options.instance_weight,
                                       .prototype_weight = options.prototype_weight,
                                       .accumulate = outputs.accumulate,
                                       .loss = detail::data_of(outputs.loss)};
        sum_all(detail::sum_at_the_end<T, detail::add_parts<T>>{level_loss.data(), num_levels, add});
    } else {
        sum_all(detail::nothing_more{});
    }
    return report;
}

} // namespace protonce::inline v0

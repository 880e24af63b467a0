// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/buffer.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/prototype_level.hpp>
#include <protonce/e_step/clustering.hpp>
#include <protonce/e_step/e_step.hpp>
#include <protonce/em/level_outputs.hpp>
#include <protonce/em/objective_options.hpp>
#include <protonce/m_step/m_step.hpp>
#include <protonce/momentum/ema.hpp>
#include <protonce/momentum/memory_queue.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace protonce::inline v0 {

/// One batch, as the host's encoders made it.
template <backend B>
struct step_inputs {
    matrix_of<B, const value_of<B>> query{};       // (B, C) unit rows, of the encoder
    matrix_of<B, const value_of<B>> positive{};    // (B, C) unit rows, of the momentum encoder
    vector_of<B, const index_t> sample{};          // (B,) sample numbers, in [0, N); may be left out without levels
    vector_of<B, const value_of<B>> temperature{}; // (1,) optional: a learned temperature of InfoNCE
    vector_of<B, const value_of<B>> upstream{};    // (1,) optional: dL/dloss, factor of every gradient
    std::span<const vector_of<B, const index_t>>
        negative_id{}; // M, optional: negatives of each level instead of drawn ones; not
                       // read in a step without prototypes
};

/// What a step did.
struct step_report {
    index_t step = 0;             // its number, counted from 0 over all epochs
    bool used_prototypes = false; // false: InfoNCE alone
    info_nce_report instance{};
    proto_nce_report prototypes{}; // as used_prototypes says
};

namespace detail {

/// Everything that changes during a run, and that a checkpoint holds.
template <backend B>
struct run_state {
    memory_queue<B> queue;
    buffer<index_t, typename B::space> counter; // (1,) `step` once more, where the backend's memory is
    std::vector<clustering<B>> levels{};        // M, or none before the first E-step
    index_t epoch = 0;
    index_t step = 0;
    index_t epoch_step = 0;
    index_t snapshot_epoch = -1;
};

/// The counter of a run of `step` steps.
template <backend B>
buffer<index_t, typename B::space> step_counter(B& be, index_t step) {
    buffer<index_t, typename B::space> out(be.memory(), 1);
    be.fill(out.view(), step);
    return out;
}

struct add_one {
    index_t* to;
    PROTONCE_HOST_DEVICE void operator()(index_t) const { ++to[0]; }
};

template <backend B>
void count_step(B& be, vector_of<B, index_t> counter) {
    be.for_each(1, add_one{counter.data()});
}

struct objective_access;

} // namespace detail

/// State of a training run with Prototypical Contrastive Learning (Li et al. 2021, algorithm 1): queue, prototypes,
/// counters. The caller owns the loop, the encoders, their optimiser and the order of the data.
///
///     for (; run.epoch() < epochs; run.end_epoch()) {
///         if (run.needs_e_step()) { run.e_step(be, momentum embeddings of all samples, without augmentation); }
///         for each batch {
///             run.update_average(be, parameters of the two encoders);
///             ... positive = momentum encoder of one view, query = encoder of the other
///             run.step(be, {.query = query, .positive = positive, .sample = ids},
///                      {.loss = loss, .grad_query = gradient});
///             ... back through the encoder, optimiser
///         }
///     }
///
/// A step may be recorded in a CUDA graph and replayed: what moves from step to step (step number, queue position, the
/// momentum of a schedule) lives in the backend's memory. Then call catch_up() before the host's numbers matter, and
/// record anew after each e_step() and when the warm-up ends; `docs/gpu.md` says the rest.
///
/// Without clusters this is MoCo. The levels of one E-step stay as they are until the next has succeeded. Owns its
/// memory, from `be.memory()`: the queue, and twice the levels (those in use, and those that the next E-step writes),
/// each as memory_queue and clustering say.
template <backend B>
class objective {
public:
    using value_type = value_of<B>;
    using level_type = prototype_level<value_type, typename B::space>;

    /// \throws argument_error  an option outside its range
    /// \throws std::bad_alloc  no room for the queue
    objective(B& be, objective_options options)
        : options_(checked(std::move(options))), state_{memory_queue<B>(be, {.capacity = options_.queue_size,
                                                                             .num_cols = options_.num_cols,
                                                                             .start = options_.queue_start,
                                                                             .seed = options_.seed}),
                                                        detail::step_counter(be, 0)},
          reports_(options_.num_clusters.size()) {
        views_.reserve(options_.num_clusters.size());
    }

    const objective_options& options() const { return options_; }
    index_t num_levels() const { return static_cast<index_t>(options_.num_clusters.size()); }
    /// Epochs that were ended.
    index_t epoch() const { return state_.epoch; }
    /// Steps made in all epochs, and in this one: what a resumed loop has to pass over.
    index_t num_steps() const { return state_.step; }
    index_t num_steps_of_epoch() const { return state_.epoch_step; }
    /// Epoch of the E-step whose levels are in use; -1: there was none.
    index_t snapshot_epoch() const { return state_.snapshot_epoch; }

    const memory_queue<B>& queue() const { return state_.queue; }
    /// The clusterings of the last E-step; none before the first. Valid until the next E-step or the loading of a
    /// checkpoint.
    std::span<const clustering<B>> levels() const { return state_.levels; }

    bool is_warm() const { return state_.epoch >= options_.warmup_epochs; }
    /// Is this epoch's E-step still to come?
    bool needs_e_step() const { return num_levels() > 0 && is_warm() && state_.snapshot_epoch != state_.epoch; }
    /// Would step() add ProtoNCE now?
    bool uses_prototypes() const { return is_warm() && !state_.levels.empty(); }

    /// Momentum of the next update_average().
    double current_momentum() const {
        return options_.momentum_steps == 0
                   ? options_.momentum
                   : detail::cosine_momentum(state_.step, options_.momentum_steps, options_.momentum);
    }
    /// ema() with the run's momentum. Synchronises: only for the check of finite values.
    void update_average(B& be, std::span<const ema_pair<B>> parameters) const {
        if (options_.momentum_steps == 0) {
            return ema(be, parameters, {.momentum = options_.momentum});
        }
        typename workspace<typename B::space>::scope scratch(be.scratch());
        const auto momentum = scratch.template vector<double>(1);
        momentum_at(be, step_counter(), options_.momentum_steps, options_.momentum, momentum);
        ema(be, parameters, vector_of<B, const double>(momentum));
    }

    /// Number of the next step, (1,) in the backend's memory: for whatever of the caller's changes from step to step.
    vector_of<B, const index_t> step_counter() const { return state_.counter.view(); }
    /// Takes over step number and queue counters from the backend's memory, after replays of a recorded step.
    /// Synchronises: yes.
    void catch_up(B& be) {
        state_.queue.catch_up(be);
        index_t step = 0;
        be.read(step_counter(), vector_view<index_t>(&step, 1));
        state_.epoch_step += step - state_.step;
        state_.step = step;
    }

    /// Clusters all samples anew and takes the result as this epoch's levels, all at once. From the second time on it
    /// starts at the centroids of the time before. May be called in any epoch; the levels are used once the warm-up is
    /// over.
    ///
    /// \param momentum_features  (N, C) unit rows of the momentum encoder, in evaluation mode and without augmentation
    /// \param weight             (N,) of each sample in K-means; empty: 1
    /// \returns                  a report of each level, valid until the next call
    /// \throws shape_error, argument_error  as protonce::e_step(); without levels: argument_error
    /// On any exception the levels before stay in use.  Synchronises: yes.
    std::span<const e_step_report> e_step(B& be, matrix_of<B, const value_type> momentum_features,
                                          vector_of<B, const value_type> weight = {}) {
        if (num_levels() == 0) {
            check::fail_argument("objective.e_step", "num_clusters", "must have at least one level", "none");
        }
        check::shape("objective.e_step", "momentum_features", momentum_features, options_.num_samples,
                     options_.num_cols);
        if (spare_.empty()) {
            spare_ = make_levels(be);
        }
        protonce::e_step(be, {.features = momentum_features, .weight = weight, .previous = state_.levels},
                         {.iterations = options_.iterations,
                          .restarts = options_.restarts,
                          .tolerance = options_.tolerance,
                          .temperature = options_.temperature,
                          .smoothing = options_.smoothing,
                          .seed = options_.seed,
                          .spherical = options_.spherical},
                         spare_, reports_);
        std::swap(state_.levels, spare_);
        state_.snapshot_epoch = state_.epoch;
        renew_views();
        return reports_;
    }

    /// Loss and gradients of one batch, against the queue as it is before the batch; then the batch's keys go into the
    /// queue.
    ///
    ///     L = instance_weight InfoNCE                                during warm-up, and while there was no E-step
    ///     L = instance_weight InfoNCE + prototype_weight ProtoNCE    from then on
    ///
    /// \param outputs  as m_step(). Outputs of the levels may be given in any step: without prototypes losses,
    ///                 accuracies and gradients are 0 there, and no columns are used.
    /// \throws shape_error, argument_error  as m_step(); a sample outside [0, N) (looked at in host memory)
    /// On an error nothing has changed, neither outputs nor queue nor counters.  Synchronises: as m_step().
    step_report step(B& be, const step_inputs<B>& inputs, const m_step_outputs<B>& outputs) {
        constexpr std::string_view function = "objective.step";
        const bool with_prototypes = uses_prototypes();
        check::matrix(function, "query", inputs.query);
        check::shape(function, "query", inputs.query, inputs.query.rows(), options_.num_cols);
        check_samples(function, inputs, with_prototypes);
        m_step_inputs<B> in{.query = inputs.query,
                            .positive = inputs.positive,
                            .negatives = state_.queue.rows(),
                            .packed_negatives = state_.queue.packed(),
                            .temperature = inputs.temperature,
                            .upstream = inputs.upstream,
                            .step = step_counter()};
        typename workspace<typename B::space>::scope scratch(be.scratch());
        m_step_outputs<B> out = outputs;
        if (with_prototypes) {
            in.sample = inputs.sample;
            in.levels = views_;
            in.negative_id = inputs.negative_id;
            if (options_.mask_level >= 0) {
                add_mask(be, scratch, in);
            }
        } else {
            detail::check_level_outputs<B>(function, options_.num_clusters, options_.num_cols, outputs);
            out = detail::without_level_outputs(outputs);
        }
        const auto parts = m_step(be, in,
                                  {.temperature = options_.temperature,
                                   .negatives = options_.negatives,
                                   .num_negatives = options_.num_negatives,
                                   .seed = options_.seed,
                                   .instance_weight = options_.instance_weight,
                                   .prototype_weight = options_.prototype_weight},
                                  out);
        if (!with_prototypes) {
            detail::clear_level_outputs(be, outputs);
        }
        state_.queue.push(be, inputs.positive, inputs.sample);
        detail::count_step(be, state_.counter.view());
        ++state_.epoch_step;
        return {.step = state_.step++,
                .used_prototypes = with_prototypes,
                .instance = parts.instance,
                .prototypes = parts.prototypes};
    }

    /// Goes on to the next epoch.
    void end_epoch() {
        ++state_.epoch;
        state_.epoch_step = 0;
    }

private:
    friend struct detail::objective_access;

    static objective_options checked(objective_options options) {
        detail::check_objective_options<value_type>(options);
        return options;
    }

    std::vector<clustering<B>> make_levels(B& be) const {
        std::vector<clustering<B>> out;
        out.reserve(options_.num_clusters.size());
        for (const index_t clusters : options_.num_clusters) {
            out.emplace_back(be, options_.num_samples, options_.num_cols, clusters);
        }
        return out;
    }

    void renew_views() {
        views_.clear();
        for (const auto& level : state_.levels) {
            views_.push_back(level.level());
        }
    }

    void check_samples(std::string_view function, const step_inputs<B>& inputs, bool needed) const {
        if (needed) {
            check::size(function, "sample", inputs.sample, inputs.query.rows());
        } else {
            check::optional_size(function, "sample", inputs.sample, inputs.query.rows());
        }
        if constexpr (std::same_as<typename B::space, host>) {
            for (index_t i = 0; i < inputs.sample.size(); ++i) {
                if (inputs.sample[i] < 0 || inputs.sample[i] >= options_.num_samples) {
                    check::fail_argument(function, "sample",
                                         "must lie in [0, " + check::text(options_.num_samples - 1) + "]",
                                         check::text(inputs.sample[i]) + " for row " + check::text(i));
                }
            }
        }
    }

    /// Clusters of the batch and of the queue's keys, by their sample numbers.
    void add_mask(B& be, typename workspace<typename B::space>::scope& scratch, m_step_inputs<B>& in) const {
        const auto assignment = views_[static_cast<std::size_t>(options_.mask_level)].assignment;
        const auto ids = state_.queue.ids();
        const auto query_cluster = scratch.template vector<label_t>(in.sample.size());
        const auto negative_cluster = scratch.template vector<label_t>(ids.size());
        be.gather_labels(assignment, in.sample, query_cluster);
        be.gather_labels(assignment, ids, negative_cluster);
        in.query_cluster = query_cluster;
        in.negative_cluster = negative_cluster;
    }

    objective_options options_;
    detail::run_state<B> state_;
    std::vector<clustering<B>> spare_{}; // what the next E-step writes
    std::vector<level_type> views_{};    // of state_.levels
    std::vector<e_step_report> reports_;
};

} // namespace protonce::inline v0

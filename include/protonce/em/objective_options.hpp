// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/check.hpp>
#include <protonce/e_step/concentration.hpp>
#include <protonce/e_step/kmeans.hpp>
#include <protonce/m_step/m_step.hpp>
#include <protonce/momentum/memory_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace protonce::inline v0 {

/// What a training run is; fixed for its whole length. The defaults are the paper's.
struct objective_options {
    index_t num_samples = 0;             // N
    index_t num_cols = 0;                // C, features of an embedding
    std::vector<index_t> num_clusters{}; // K of each level; empty: no prototypes at all (MoCo)
    index_t warmup_epochs = 20;          // InfoNCE alone
    double temperature = 0.2;            // tau, of InfoNCE and mean of the concentrations
    index_t queue_size = 16384;          // R
    protonce::queue_start queue_start = protonce::queue_start::random_rows;
    double momentum = 0.999;    // of the moving average
    index_t momentum_steps = 0; // steps over which it rises to 1 on the cosine schedule; 0: constant

    protonce::negatives negatives = protonce::negatives::deduplicated;
    index_t num_negatives = 16384; // R_p, at most
    double instance_weight = 1;    // of InfoNCE
    double prototype_weight = 1;   // of ProtoNCE
    index_t mask_level = -1; // queue negatives of the query's own cluster at this level are left out; -1: none are

    int iterations = 20;    // of K-means
    int restarts = 5;       // of the first E-step; later ones start from the clusters before
    double tolerance = 0;   // as kmeans_options
    double smoothing = 10;  // as concentration_options
    bool spherical = false; // as kmeans_options
    std::uint64_t seed = 0; // of everything that is drawn
};

namespace detail {

/// Calls f(name, value) for each option but the list num_clusters, in the order of a checkpoint's options.
template <class F>
void for_each_option(const objective_options& options, const F& f) {
    f("num_samples", options.num_samples);
    f("num_cols", options.num_cols);
    f("warmup_epochs", options.warmup_epochs);
    f("temperature", options.temperature);
    f("queue_size", options.queue_size);
    f("queue_start", static_cast<index_t>(options.queue_start));
    f("momentum", options.momentum);
    f("momentum_steps", options.momentum_steps);
    f("negatives", static_cast<index_t>(options.negatives));
    f("num_negatives", options.num_negatives);
    f("instance_weight", options.instance_weight);
    f("prototype_weight", options.prototype_weight);
    f("mask_level", options.mask_level);
    f("iterations", index_t{options.iterations});
    f("restarts", index_t{options.restarts});
    f("tolerance", options.tolerance);
    f("smoothing", options.smoothing);
    f("spherical", index_t{options.spherical});
    f("seed", options.seed);
}

inline void check_objective_clusters(const objective_options& options) {
    constexpr std::string_view function = "objective";
    for (std::size_t m = 0; m < options.num_clusters.size(); ++m) {
        const index_t clusters = options.num_clusters[m];
        if (clusters < 1 || clusters > options.num_samples || clusters > (std::numeric_limits<label_t>::max)()) {
            check::fail_argument(function, "num_clusters[" + std::to_string(m) + "]",
                                 "must lie in [1, " + check::text(options.num_samples) +
                                     "], the number of samples, and fit a label",
                                 check::text(clusters));
        }
    }
    const auto levels = static_cast<index_t>(options.num_clusters.size());
    if (options.mask_level < -1 || options.mask_level >= levels) {
        check::fail_argument(function, "mask_level",
                             "must be a level, below " + check::text(levels) + ", or -1 for none",
                             check::text(options.mask_level));
    }
}

template <class T>
void check_objective_options(const objective_options& options) {
    constexpr std::string_view function = "objective";
    check::at_least(function, "num_samples", options.num_samples, index_t{1});
    check::at_least(function, "num_cols", options.num_cols, index_t{1});
    check::at_least(function, "queue_size", options.queue_size, index_t{1});
    check::at_least(function, "warmup_epochs", options.warmup_epochs, index_t{0});
    check::at_least(function, "momentum_steps", options.momentum_steps, index_t{0});
    check::at_least(function, "num_negatives", options.num_negatives, index_t{0});
    check::in_range(function, "momentum", options.momentum, 0.0, 1.0);
    constexpr double largest = (std::numeric_limits<double>::max)();
    check::in_range(function, "instance_weight", options.instance_weight, 0.0, largest);
    check::in_range(function, "prototype_weight", options.prototype_weight, 0.0, largest);
    if (options.queue_start != queue_start::random_rows && options.queue_start != queue_start::empty) {
        check::fail_argument(function, "queue_start", "must be random_rows or empty",
                             check::text(static_cast<int>(options.queue_start)));
    }
    if (options.negatives != negatives::deduplicated && options.negatives != negatives::reference_compatible &&
        options.negatives != negatives::all) {
        check::fail_argument(function, "negatives", "must be deduplicated, reference_compatible or all",
                             check::text(static_cast<int>(options.negatives)));
    }
    check_concentration_options<T>(function, {.temperature = options.temperature, .smoothing = options.smoothing});
    check_kmeans_options(
        function, {.iterations = options.iterations, .tolerance = options.tolerance, .restarts = options.restarts});
    check_objective_clusters(options);
}

} // namespace detail
} // namespace protonce::inline v0

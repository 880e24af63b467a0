// SPDX-License-Identifier: MIT
#pragma once
#include "world.hpp"

#include <protonce/metrics/cluster_scores.hpp>
#include <protonce/metrics/effective_rank.hpp>
#include <protonce/metrics/knn.hpp>
#include <protonce/metrics/uniformity.hpp>
#include <protonce/momentum/ema.hpp>

namespace robustness {

template <class B>
refusals<B> momentum_refusals() {
    using T = value_of<B>;
    using W = world<B>;
    return {
        {"ema", "momentum", "1.5", kind::argument,
         [](W& w) {
             const ema_pair<B> pair{w.out(3), w.values.in({T(1), T(2), T(3)})};
             ema(w.be, {&pair, 1}, {.momentum = 1.5});
         }},
        {"ema", "momentum", "nan", kind::argument,
         [](W& w) {
             const ema_pair<B> pair{w.out(3), w.values.in({T(1), T(2), T(3)})};
             ema(w.be, {&pair, 1}, {.momentum = not_a_number<double>()});
         }},
        {"ema", "parameters[0].average", "0 values", kind::shape,
         [](W& w) {
             const ema_pair<B> pair{{}, w.values.in({T(1)})};
             ema(w.be, {&pair, 1});
         }},
        {"ema", "parameters[1].value", "2", kind::shape,
         [](W& w) {
             const std::vector<ema_pair<B>> pairs{{w.out(2), w.values.in({T(1), T(2)})},
                                                  {w.out(3), w.values.in({T(1), T(2)})}};
             ema(w.be, pairs);
         }},
        {"ema", "parameters[1].value", "a null pointer", kind::shape,
         [](W& w) {
             const std::vector<ema_pair<B>> pairs{{w.out(2), w.values.in({T(1), T(2)})},
                                                  {w.out(3), vector_view<const T>(nullptr, 3)}};
             ema(w.be, pairs);
         }},
        {"ema", "parameters[1].value", "NaN or infinity", kind::argument,
         [](W& w) {
             const std::vector<ema_pair<B>> pairs{{w.out(2), w.values.in({T(1), T(2)})},
                                                  {w.out(1), w.values.in({not_a_number<T>()})}};
             ema(w.be, pairs);
         }},
        {"ema", "momentum", "1.5", kind::argument,
         [](W& w) {
             const ema_pair<B> pair{w.out(3), w.values.in({T(1), T(2), T(3)})};
             ema(w.be, {&pair, 1}, w.doubles.in({1.5}));
         }},
        {"ema", "momentum", "2", kind::shape,
         [](W& w) {
             const ema_pair<B> pair{w.out(3), w.values.in({T(1), T(2), T(3)})};
             ema(w.be, {&pair, 1}, w.doubles.in({0.5, 0.5}));
         }},
        {"momentum_at", "total", "0", kind::argument, [](W&) { momentum_at(0, 0); }},
        {"momentum_at", "total", "0", kind::argument,
         [](W& w) { momentum_at(w.be, w.indices.in({0}), 0, 0.9, w.doubles.out(1)); }},
        {"momentum_at", "base", "2", kind::argument,
         [](W& w) { momentum_at(w.be, w.indices.in({0}), 5, 2.0, w.doubles.out(1)); }},
        {"momentum_at", "step", "got 0", kind::shape, [](W& w) { momentum_at(w.be, {}, 5, 0.9, w.doubles.out(1)); }},
        {"momentum_at", "momentum", "2", kind::shape,
         [](W& w) { momentum_at(w.be, w.indices.in({0}), 5, 0.9, w.doubles.out(2)); }},
        {"momentum_at", "step", "-1", kind::argument, [](W&) { momentum_at(-1, 10); }},
        {"momentum_at", "step", "11", kind::argument, [](W&) { momentum_at(11, 10); }},
        {"momentum_at", "base", "-0.1", kind::argument, [](W&) { momentum_at(1, 10, -0.1); }},
        {"memory_queue", "capacity", "0", kind::argument, [](W& w) { memory_queue<B>(w.be, {.num_cols = cols}); }},
        {"memory_queue", "num_cols", "-1", kind::argument,
         [](W& w) { memory_queue<B>(w.be, {.capacity = slots, .num_cols = -1}); }},
        {"memory_queue.push", "keys", "(0, 0)", kind::shape, [](W& w) { w.queue.push(w.be, {}); }},
        {"memory_queue.push", "keys", "(2, 5)", kind::shape, [](W& w) { w.queue.push(w.be, w.zeros(2, 5)); }},
        {"memory_queue.push", "keys", "stride 2", kind::shape,
         [](W& w) {
             w.queue.push(w.be, {w.query.view().data(), 3, cols, 2});
         }},
        {"memory_queue.push", "ids", "4", kind::shape,
         [](W& w) {
             w.queue.push(w.be, w.query.view(), w.indices.in({0, 1, 2, 3}));
         }},
        {"memory_queue.push", "ids", "-2 at 4", kind::argument,
         [](W& w) {
             w.queue.push(w.be, w.query.view(), w.indices.in({0, 1, 2, -1, -2}));
         }},
        {"memory_queue.push", "keys", "NaN or infinity in row 2", kind::argument,
         [](W& w) { w.queue.push(w.be, w.with_nan(w.query, 2)); }},
        {"memory_queue.load", "rows", "12", kind::shape, [](W& w) { w.queue.load(w.be, {.rows = w.features.view()}); }},
        {"memory_queue.load", "rows", "(2, 3)", kind::shape, [](W& w) { w.queue.load(w.be, {.rows = w.zeros(2, 3)}); }},
        {"memory_queue.load", "position", "0", kind::argument,
         [](W& w) { w.queue.load(w.be, {.rows = w.query.view()}); }},
        {"memory_queue.load", "position", "6", kind::argument,
         [](W& w) { w.queue.load(w.be, {.rows = w.negatives.view(), .position = slots}); }},
        {"memory_queue.load", "ids", "1", kind::shape,
         [](W& w) { w.queue.load(w.be, {.rows = w.query.view(), .ids = w.indices.in({0}), .position = batch}); }},
        {"memory_queue.load", "rows", "NaN or infinity in row 5", kind::argument,
         [](W& w) { w.queue.load(w.be, {.rows = w.with_infinity(w.negatives, 5)}); }},
    };
}

/// An objective with one option changed.
template <class B, class F>
void with_option(world<B>& w, const F& change) {
    auto options = world<B>::run_options();
    change(options);
    objective<B>(w.be, options);
}

template <class B>
refusals<B> objective_refusals() {
    using T = value_of<B>;
    using W = world<B>;
    using O = objective_options;
    return {
        {"objective", "num_samples", "0", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.num_samples = 0; }); }},
        {"objective", "num_cols", "0", kind::argument, [](W& w) { with_option(w, [](O& o) { o.num_cols = 0; }); }},
        {"objective", "num_clusters[0]", "13", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.num_clusters = {13}; }); }},
        {"objective", "num_clusters[0]", "0", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.num_clusters[0] = 0; }); }},
        {"objective", "queue_size", "0", kind::argument, [](W& w) { with_option(w, [](O& o) { o.queue_size = 0; }); }},
        {"objective", "queue_start", "3", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.queue_start = static_cast<queue_start>(3); }); }},
        {"objective", "warmup_epochs", "-1", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.warmup_epochs = -1; }); }},
        {"objective", "temperature", "0", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.temperature = 0; }); }},
        {"objective", "temperature", "nan", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.temperature = not_a_number<double>(); }); }},
        {"objective", "momentum", "1.01", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.momentum = 1.01; }); }},
        {"objective", "momentum_steps", "-5", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.momentum_steps = -5; }); }},
        {"objective", "negatives", "4", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.negatives = static_cast<protonce::negatives>(4); }); }},
        {"objective", "num_negatives", "-1", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.num_negatives = -1; }); }},
        {"objective", "instance_weight", "-2", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.instance_weight = -2; }); }},
        {"objective", "prototype_weight", "inf", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.prototype_weight = infinity<double>(); }); }},
        {"objective", "mask_level", "1", kind::argument, [](W& w) { with_option(w, [](O& o) { o.mask_level = 1; }); }},
        {"objective", "iterations", "-1", kind::argument,
         [](W& w) { with_option(w, [](O& o) { o.iterations = -1; }); }},
        {"objective", "restarts", "0", kind::argument, [](W& w) { with_option(w, [](O& o) { o.restarts = 0; }); }},
        {"objective", "tolerance", "-1", kind::argument, [](W& w) { with_option(w, [](O& o) { o.tolerance = -1; }); }},
        {"objective", "smoothing", "-3", kind::argument, [](W& w) { with_option(w, [](O& o) { o.smoothing = -3; }); }},
        {"objective.e_step", "momentum_features", "(5, 4)", kind::shape,
         [](W& w) { w.run.e_step(w.be, w.query.view()); }},
        {"objective.e_step", "num_clusters", "none", kind::argument,
         [](W& w) {
             auto options = W::run_options();
             options.num_clusters = {};
             objective<B>(w.be, options).e_step(w.be, w.features.view());
         }},
        {"e_step", "features", "NaN or infinity in row 6", kind::argument,
         [](W& w) { w.run.e_step(w.be, w.with_nan(w.features, 6)); }},
        {"objective.step", "query", "(0, 0)", kind::shape, [](W& w) { w.run.step(w.be, {}, {.loss = w.out(1)}); }},
        {"objective.step", "query", "(5, 3)", kind::shape,
         [](W& w) { w.run.step(w.be, {.query = w.zeros(batch, 3)}, {.loss = w.out(1)}); }},
        {"objective.step", "sample", "0", kind::shape,
         [](W& w) { w.run.step(w.be, {.query = w.query.view(), .positive = w.positive.view()}, {.loss = w.out(1)}); }},
        {"objective.step", "sample", "12 for row 1", kind::argument,
         [](W& w) {
             w.run.step(
                 w.be,
                 {.query = w.query.view(), .positive = w.positive.view(), .sample = w.indices.in({0, 12, 1, 1, 1})},
                 {.loss = w.out(1), .grad_query = w.out(batch, cols)});
         }},
        {"m_step", "positive", "NaN or infinity in row 4", kind::argument,
         [](W& w) {
             w.run.step(
                 w.be,
                 {.query = w.query.view(), .positive = w.with_nan(w.positive, 4), .sample = view_vector(w.sample)},
                 {.loss = w.out(1), .loss_per_level = w.out(1), .grad_query = w.out(batch, cols)});
         }},
        {"objective.step", "loss_per_level", "2", kind::shape,
         [](W& w) {
             objective<B> warming_up(w.be, W::run_options());
             warming_up.step(w.be, {.query = w.query.view(), .positive = w.positive.view()},
                             {.loss = w.out(1), .loss_per_level = w.out(2)});
         }},
        {"objective.step", "grad_temperatures[0]", "2", kind::shape,
         [](W& w) {
             objective<B> warming_up(w.be, W::run_options());
             const vector_view<T> gradient = w.out(2);
             warming_up.step(w.be, {.query = w.query.view(), .positive = w.positive.view()},
                             {.loss = w.out(1), .grad_temperatures = std::span(&gradient, 1)});
         }},
        {"load_checkpoint", "no_such_folder/a.ckpt", "must be a file", kind::backend,
         [](W& w) { load_checkpoint(w.be, "no_such_folder/a.ckpt", w.run); }},
        {"save_checkpoint", "no_such_folder/a.ckpt", "No such file or directory", kind::backend,
         [](W& w) { save_checkpoint(w.be, w.run, "no_such_folder/a.ckpt"); }},
    };
}

template <class B>
refusals<B> metrics_refusals() {
    using T = value_of<B>;
    using W = world<B>;
    return {
        {"cluster_scores", "truth", "0 values", kind::shape, [](W&) { cluster_scores({}, {}); }},
        {"cluster_scores", "predicted", "1", kind::shape,
         [](W& w) {
             cluster_scores(w.labels.in({0, 1}), w.labels.in({0}));
         }},
        {"cluster_scores", "predicted", "-1 in row 1", kind::argument,
         [](W& w) {
             cluster_scores(w.labels.in({0, 1}), w.labels.in({0, -1}));
         }},
        {"knn_scores", "labels", "11", kind::shape,
         [](W& w) {
             knn_scores(w.be,
                        {.bank = w.features.view(),
                         .labels = w.labels.in(std::vector<label_t>(11, 0)),
                         .query = w.query.view()},
                        {.neighbours = 3, .num_classes = 2}, {.scores = w.out(batch, 2)});
         }},
        {"knn_scores", "neighbours", "13", kind::argument,
         [](W& w) {
             knn_scores(w.be,
                        {.bank = w.features.view(),
                         .labels = w.labels.in(std::vector<label_t>(12, 0)),
                         .query = w.query.view()},
                        {.neighbours = 13, .num_classes = 2}, {.scores = w.out(batch, 2)});
         }},
        {"knn_scores", "labels", "2 in row 0", kind::argument,
         [](W& w) {
             knn_scores(w.be,
                        {.bank = w.features.view(),
                         .labels = w.labels.in(std::vector<label_t>(12, 2)),
                         .query = w.query.view()},
                        {.neighbours = 3, .num_classes = 2},
                        {.scores = w.out(batch, 2), .prediction = w.labels.out(batch)});
         }},
        {"knn_scores", "query", "NaN or infinity in row 4", kind::argument,
         [](W& w) {
             knn_scores(w.be,
                        {.bank = w.features.view(),
                         .labels = w.labels.in(std::vector<label_t>(12, 1)),
                         .query = w.with_nan(w.query, 4)},
                        {.neighbours = 3, .num_classes = 2},
                        {.scores = w.out(batch, 2), .prediction = w.labels.out(batch)});
         }},
        {"alignment", "second", "(12, 4)", kind::shape,
         [](W& w) { alignment(w.be, w.query.view(), w.features.view()); }},
        {"alignment", "exponent", "0", kind::argument,
         [](W& w) { alignment(w.be, w.query.view(), w.positive.view(), {.exponent = 0}); }},
        {"uniformity", "features", "(1, 4)", kind::shape, [](W& w) { uniformity(w.be, w.zeros(1, cols)); }},
        {"uniformity", "scale", "nan", kind::argument,
         [](W& w) { uniformity(w.be, w.features.view(), {.scale = not_a_number<double>()}); }},
        {"uniformity", "features", "NaN or infinity in row 8", kind::argument,
         [](W& w) { uniformity(w.be, w.with_infinity(w.features, 8)); }},
        {"effective_rank", "features", "(0, 0)", kind::shape,
         [](W& w) { effective_rank(w.be, matrix_view<const T>{}); }},
        {"effective_rank", "features", "NaN or infinity in row 7", kind::argument,
         [](W& w) { effective_rank(w.be, w.with_nan(w.features, 7)); }},
    };
}

} // namespace robustness

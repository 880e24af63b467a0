// SPDX-License-Identifier: MIT
#pragma once
#include "world.hpp"

#include <protonce/core/normalize.hpp>
#include <protonce/e_step/assign.hpp>
#include <protonce/e_step/e_step.hpp>

namespace robustness {

template <class B>
refusals<B> core_refusals() {
    using T = value_of<B>;
    using W = world<B>;
    return {
        {"normalize_rows", "rows", "(0, 0)", kind::shape, [](W& w) { normalize_rows(w.be, {}, w.out(rows, cols)); }},
        {"normalize_rows", "rows", "a null pointer", kind::shape,
         [](W& w) { normalize_rows(w.be, matrix_view<const T>(nullptr, 2, 2), w.out(2, 2)); }},
        {"normalize_rows", "rows", "stride 3", kind::shape,
         [](W& w) { normalize_rows(w.be, matrix_view<const T>(w.features.view().data(), 2, 4, 3), w.out(2, 4)); }},
        {"normalize_rows", "unit", "(12, 3)", kind::shape,
         [](W& w) { normalize_rows(w.be, w.features.view(), w.out(rows, 3)); }},
        {"normalize_rows", "norms", "11", kind::shape,
         [](W& w) { normalize_rows(w.be, w.features.view(), w.out(rows, cols), w.out(11)); }},
        {"normalize_rows", "rows", "NaN or infinity in row 11", kind::argument,
         [](W& w) { normalize_rows(w.be, w.with_nan(w.features, 11), w.out(rows, cols)); }},
        {"normalize_rows_gradient", "norms", "0", kind::shape,
         [](W& w) {
             normalize_rows_gradient(w.be, {.unit = w.features.view(), .grad_unit = w.features.view()},
                                     w.out(rows, cols));
         }},
        {"normalize_rows_gradient", "grad_unit", "(5, 4)", kind::shape,
         [](W& w) {
             normalize_rows_gradient(w.be,
                                     {.unit = w.features.view(),
                                      .norms = w.values.in(std::vector<T>(12, T(1))),
                                      .grad_unit = w.query.view()},
                                     w.out(rows, cols));
         }},
        {"normalize_rows_gradient", "grad_unit", "NaN or infinity in row 0", kind::argument,
         [](W& w) {
             normalize_rows_gradient(w.be,
                                     {.unit = w.features.view(),
                                      .norms = w.values.in(std::vector<T>(12, T(1))),
                                      .grad_unit = w.with_infinity(w.features, 0)},
                                     w.out(rows, cols));
         }},
    };
}

template <class B>
refusals<B> kmeans_refusals() {
    using T = value_of<B>;
    using W = world<B>;
    return {
        {"kmeans", "features", "(0, 0)", kind::shape, [](W& w) { kmeans(w.be, matrix_view<const T>{}, {}, w.level); }},
        {"kmeans", "level.assignment", "12", kind::shape, [](W& w) { kmeans(w.be, w.query.view(), {}, w.level); }},
        {"kmeans", "level.centroids", "(3, 4)", kind::shape, [](W& w) { kmeans(w.be, w.zeros(rows, 5), {}, w.level); }},
        {"kmeans", "num_clusters", "3 clusters, 2 rows", kind::argument,
         [](W& w) { kmeans(w.be, w.zeros(2, cols), {}, w.level); }},
        {"kmeans", "num_clusters", "5", kind::argument,
         [](W& w) { kmeans(w.be, w.features.view(), {.num_clusters = 5}, w.level); }},
        {"kmeans", "num_clusters", "-1", kind::argument,
         [](W& w) { kmeans(w.be, w.features.view(), {.num_clusters = -1}, w.level); }},
        {"kmeans", "iterations", "-1", kind::argument,
         [](W& w) { kmeans(w.be, w.features.view(), {.iterations = -1}, w.level); }},
        {"kmeans", "tolerance", "-0.5", kind::argument,
         [](W& w) { kmeans(w.be, w.features.view(), {.tolerance = -0.5}, w.level); }},
        {"kmeans", "tolerance", "nan", kind::argument,
         [](W& w) { kmeans(w.be, w.features.view(), {.tolerance = not_a_number<double>()}, w.level); }},
        {"kmeans", "restarts", "0", kind::argument,
         [](W& w) { kmeans(w.be, w.features.view(), {.restarts = 0}, w.level); }},
        {"kmeans", "init_trials", "-2", kind::argument,
         [](W& w) { kmeans(w.be, w.features.view(), {.init_trials = -2}, w.level); }},
        {"kmeans", "level", "16777216", kind::argument,
         [](W& w) { kmeans(w.be, w.features.view(), {.level = 1u << 24}, w.level); }},
        {"kmeans", "restarts", "2", kind::argument,
         [](W& w) {
             kmeans(w.be, {.features = w.features.view(), .initial_centroids = w.zeros(clusters, cols)},
                    {.restarts = 2, .init = kmeans_init::given}, w.level);
         }},
        {"kmeans", "initial_centroids", "(0, 0)", kind::shape,
         [](W& w) { kmeans(w.be, w.features.view(), {.init = kmeans_init::given}, w.level); }},
        {"kmeans", "initial_centroids", "(3, 4)", kind::argument,
         [](W& w) {
             kmeans(w.be, {.features = w.features.view(), .initial_centroids = w.zeros(clusters, cols)}, {}, w.level);
         }},
        {"kmeans", "initial_centroids", "NaN or infinity in row 5", kind::argument,
         [](W& w) {
             clustering<B> five(w.be, rows, cols, slots);
             kmeans(w.be, {.features = w.features.view(), .initial_centroids = w.with_nan(w.negatives, 5)},
                    {.init = kmeans_init::given}, five);
         }},
        {"kmeans", "weight", "11", kind::shape,
         [](W& w) {
             kmeans(w.be, {.features = w.features.view(), .weight = w.values.in(std::vector<T>(11, T(1)))}, {},
                    w.level);
         }},
        {"kmeans", "weight", "-1 in row 4", kind::argument,
         [](W& w) {
             const auto weight = w.values.in(std::vector<T>(12, T(1)));
             weight[4] = T(-1);
             kmeans(w.be, {.features = w.features.view(), .weight = weight}, {}, w.level);
         }},
        {"kmeans", "weight", "nan in row 7", kind::argument,
         [](W& w) {
             const auto weight = w.values.in(std::vector<T>(12, T(1)));
             weight[7] = not_a_number<T>();
             kmeans(w.be, {.features = w.features.view(), .weight = weight}, {}, w.level);
         }},
        {"kmeans", "weight", "0 everywhere", kind::argument,
         [](W& w) {
             kmeans(w.be, {.features = w.features.view(), .weight = w.values.in(std::vector<T>(12, T(0)))}, {},
                    w.level);
         }},
        {"kmeans", "weight", "2", kind::argument,
         [](W& w) {
             const auto weight = w.values.in(std::vector<T>(12, T(0)));
             weight[4] = weight[8] = T(1);
             kmeans(w.be, {.features = w.features.view(), .weight = weight}, {}, w.level);
         }},
        {"kmeans", "features", "NaN or infinity in row 3", kind::argument,
         [](W& w) { kmeans(w.be, w.with_nan(w.features, 3), {}, w.level); }},
        {"kmeans", "features", "NaN or infinity in row 0", kind::argument,
         [](W& w) { kmeans(w.be, w.with_infinity(w.features, 0), {}, w.level); }},
        {"kmeans", "features", "in row 9", kind::argument,
         [](W& w) { kmeans(w.be, w.changed(w.features, 9, 0, T(3)), {.spherical = true}, w.level); }},
        {"kmeans", "num_clusters", "empty clusters after 0 updates", kind::argument,
         [](W& w) { kmeans(w.be, w.zeros(rows, cols), {.on_empty = empty_cluster::error}, w.level); }},
        {"clustering", "num_rows", "0", kind::argument, [](W& w) { clustering<B>(w.be, 0, cols, clusters); }},
        {"clustering", "num_cols", "-4", kind::argument, [](W& w) { clustering<B>(w.be, rows, -4, clusters); }},
        {"clustering", "num_clusters", "0", kind::argument, [](W& w) { clustering<B>(w.be, rows, cols, 0); }},
        {"clustering", "num_clusters", "4294967296", kind::argument,
         [](W& w) { clustering<B>(w.be, rows, cols, index_t{1} << 32); }},
    };
}

template <class B>
refusals<B> assignment_refusals() {
    using T = value_of<B>;
    using W = world<B>;
    return {
        {"assign", "features", "(0, 0)", kind::shape,
         [](W& w) { assign(w.be, matrix_view<const T>{}, w.features.view(), w.labels.out(rows)); }},
        {"assign", "centroids", "(0, 0)", kind::shape,
         [](W& w) { assign(w.be, w.features.view(), matrix_view<const T>{}, w.labels.out(rows)); }},
        {"assign", "centroids", "(3, 5)", kind::shape,
         [](W& w) { assign(w.be, w.features.view(), w.zeros(3, 5), w.labels.out(rows)); }},
        {"assign", "assignment", "5", kind::shape,
         [](W& w) { assign(w.be, w.features.view(), w.level.centroids(), w.labels.out(batch)); }},
        {"assign", "squared_distance", "13", kind::shape,
         [](W& w) { assign(w.be, w.features.view(), w.level.centroids(), w.labels.out(rows), w.doubles.out(13)); }},
        {"assign", "centroids", "NaN or infinity in row 2", kind::argument,
         [](W& w) {
             assign(w.be, w.features.view(), w.with_nan(w.negatives, 2), w.labels.out(rows), w.doubles.out(rows));
         }},
        {"assign", "features", "NaN or infinity in row 2", kind::argument,
         [](W& w) { assign(w.be, w.with_infinity(w.features, 2), w.negatives.view(), w.labels.out(rows)); }},
        {"fill_clustering", "assignment", "11", kind::shape,
         [](W& w) {
             fill_clustering(w.be,
                             {.features = w.features.view(), .assignment = w.labels.in(std::vector<label_t>(11, 0))},
                             w.level);
         }},
        {"fill_clustering", "assignment", "3 in row 6", kind::argument,
         [](W& w) {
             const auto labels = w.labels.in(std::vector<label_t>(12, 0));
             labels[6] = 3;
             fill_clustering(w.be, {.features = w.features.view(), .assignment = labels}, w.level);
         }},
        {"fill_clustering", "assignment", "-2 in row 0", kind::argument,
         [](W& w) {
             const auto labels = w.labels.in(std::vector<label_t>(12, 0));
             labels[0] = -2;
             fill_clustering(w.be, {.features = w.features.view(), .assignment = labels}, w.level);
         }},
        {"fill_clustering", "weight", "inf in row 2", kind::argument,
         [](W& w) {
             const auto weight = w.values.in(std::vector<T>(12, T(1)));
             weight[2] = infinity<T>();
             fill_clustering(w.be,
                             {.features = w.features.view(),
                              .assignment = w.labels.in(std::vector<label_t>(12, 1)),
                              .weight = weight},
                             w.level);
         }},
        {"fill_clustering", "features", "NaN or infinity in row 10", kind::argument,
         [](W& w) {
             fill_clustering(
                 w.be, {.features = w.with_nan(w.features, 10), .assignment = w.labels.in(std::vector<label_t>(12, 1))},
                 w.level);
         }},
        {"concentration", "squared_distance", "0 values", kind::shape,
         [](W& w) { concentration(w.be, {}, {}, w.out(clusters)); }},
        {"concentration", "assignment", "11", kind::shape,
         [](W& w) {
             concentration(w.be, {w.level.squared_distance(), w.labels.in(std::vector<label_t>(11, 0))}, {},
                           w.out(clusters));
         }},
        {"concentration", "out", "0 values", kind::shape,
         [](W& w) { concentration(w.be, w.level.spread(), {}, vector_view<T>{}); }},
        {"concentration", "temperature", "-0.2", kind::argument,
         [](W& w) { concentration(w.be, w.level.spread(), {.temperature = -0.2}, w.out(clusters)); }},
        {"concentration", "temperature", "nan", kind::argument,
         [](W& w) { concentration(w.be, w.level.spread(), {.temperature = not_a_number<double>()}, w.out(clusters)); }},
        {"concentration", "smoothing", "-1", kind::argument,
         [](W& w) { concentration(w.be, w.level.spread(), {.smoothing = -1}, w.out(clusters)); }},
        {"concentration", "assignment", "2 in row 3", kind::argument,
         [](W& w) {
             concentration(w.be, {w.doubles.in(std::vector<double>(4, 1.0)), w.labels.in({0, 1, 0, 2})}, {}, w.out(2));
         }},
        {"concentration", "squared_distance", "in cluster 1", kind::argument,
         [](W& w) {
             const auto distance = w.doubles.in(std::vector<double>(4, 1.0));
             distance[2] = not_a_number<double>();
             concentration(w.be, {distance, w.labels.in({0, 0, 1, 1})}, {}, w.out(2));
         }},
        {"e_step", "features", "(0, 0)", kind::shape, [](W& w) { e_step(w.be, matrix_view<const T>{}, {}, w.levels); }},
        {"e_step", "levels[0].assignment", "12", kind::shape, [](W& w) { e_step(w.be, w.query.view(), {}, w.levels); }},
        {"e_step", "restarts", "0", kind::argument,
         [](W& w) { e_step(w.be, w.features.view(), {.restarts = 0}, w.levels); }},
        {"e_step", "temperature", "0", kind::argument,
         [](W& w) { e_step(w.be, w.features.view(), {.temperature = 0}, w.levels); }},
        {"e_step", "previous", "1", kind::shape,
         [](W& w) { e_step(w.be, {.features = w.features.view(), .previous = std::span(&w.level, 1)}, {}, w.levels); }},
        {"e_step", "reports", "1", kind::shape,
         [](W& w) {
             e_step_report report;
             e_step(w.be, w.features.view(), {}, w.levels, std::span(&report, 1));
         }},
        {"e_step", "features", "NaN or infinity in row 1", kind::argument,
         [](W& w) { e_step(w.be, w.with_nan(w.features, 1), {}, w.levels); }},
    };
}

} // namespace robustness

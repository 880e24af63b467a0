// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/e_step/clustering.hpp>
#include <protonce/e_step/concentration.hpp>
#include <protonce/e_step/kmeans.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace protonce::inline v0 {

struct e_step_options {
    int iterations = 20;      // of K-means, at most
    int restarts = 5;         // of a level that has no predecessor
    double tolerance = 0;     // as in kmeans_options
    double temperature = 0.2; // tau, the mean of the concentrations of each level
    double smoothing = 10;    // alpha, as in concentration_options
    std::uint64_t seed = 0;   // level m clusters with seed + m
    bool spherical = false;   // as in kmeans_options
};

/// What e_step() reads.
template <backend B>
struct e_step_inputs {
    matrix_of<B, const value_of<B>> features{}; // (N, C) v', the momentum encoder's unit rows
    vector_of<B, const value_of<B>> weight{};   // (N,) for K-means, as in kmeans_inputs; empty: 1 a row
    std::span<const clustering<B>>
        previous{}; // (M,) the last epoch's levels, for a warm start; may be those that are written
};

/// What e_step() found in one level.
struct e_step_report {
    kmeans_report clusters{};
    concentration_report concentration{};
};

namespace detail {

/// "levels[3].centroids" without allocating: names are made before it is known whether they are needed.
class level_name {
public:
    level_name(std::string_view list, std::size_t number, std::string_view member) {
        append(list);
        append("[");
        size_ = static_cast<std::size_t>(std::to_chars(text_ + size_, text_ + sizeof(text_), number).ptr - text_);
        append("]");
        append(member);
    }
    operator std::string_view() const { return {text_, size_}; }

private:
    void append(std::string_view part) {
        std::copy(part.begin(), part.end(), text_ + size_);
        size_ += part.size();
    }

    char text_[64];
    std::size_t size_ = 0;
};

/// Shapes of all levels, before any is written. Returns the largest K.
template <backend B>
index_t check_e_step_levels(B& be, const e_step_inputs<B>& in, bool is_spherical, std::span<clustering<B>> levels) {
    constexpr std::string_view name = "e_step";
    const index_t rows = in.features.rows();
    index_t most_clusters = 0;
    for (std::size_t m = 0; m < levels.size(); ++m) {
        const index_t clusters = levels[m].num_clusters();
        if (clusters > rows) {
            check::fail_argument(name, level_name("levels", m, ""), "must have at most as many clusters as rows",
                                 check::text(clusters) + " clusters, " + check::text(rows) + " rows");
        }
        check::size(name, level_name("levels", m, ".assignment"), levels[m].assignment(), rows);
        check::shape(name, level_name("levels", m, ".centroids"), levels[m].centroids(), clusters, in.features.cols());
        if (!in.previous.empty()) {
            const level_name previous("previous", m, ".centroids");
            const auto centroids = in.previous[m].centroids();
            check::shape(name, previous, centroids, clusters, in.features.cols());
            check_initial_centroids(be, name, previous, centroids, is_spherical);
        }
        most_clusters = (std::max)(most_clusters, clusters);
    }
    return most_clusters;
}

} // namespace detail

/// The E-step of one epoch (Li et al. 2021, algorithm 1): for each level K-means of the momentum features, prototypes,
/// assignment and concentration.
///
/// The first epoch starts each level from random rows and keeps the best of `restarts` runs, with seed + m for level m,
/// as the authors' program does. Later epochs, with `previous`, make one run from the previous centroids: the features
/// have moved a little, and so have those. An empty cluster is reseeded. Weights enter K-means, not the concentration.
///
/// \param levels            (M,) of N rows and C columns; K may differ from level to level. Overwritten.
/// \param reports           (M,) overwritten, or empty
/// \throws shape_error      features, weight, levels, previous and reports do not go together
/// \throws argument_error   as kmeans() and concentration(). The outputs are untouched.
/// Synchronises: yes.  Scratch: that of kmeans().  Reproducible: bitwise, for any number of threads.
template <backend B>
void e_step(B& be, const std::type_identity_t<e_step_inputs<B>>& in, const e_step_options& options,
            std::span<std::type_identity_t<clustering<B>>> levels, std::span<e_step_report> reports = {}) {
    constexpr std::string_view name = "e_step";
    const bool is_warm = !in.previous.empty();
    kmeans_options run{.iterations = options.iterations,
                       .tolerance = options.tolerance,
                       .restarts = is_warm ? 1 : options.restarts,
                       .init = is_warm ? kmeans_init::given : kmeans_init::random_rows,
                       .spherical = options.spherical};
    const concentration_options spread{.temperature = options.temperature, .smoothing = options.smoothing};
    kmeans_inputs<B> rows{.features = in.features, .weight = in.weight};

    check::at_least(name, "restarts", options.restarts, 1);
    detail::check_kmeans_options(name, run);
    detail::check_concentration_options<value_of<B>>(name, spread);
    check::matrix(name, "features", in.features);
    if (is_warm && in.previous.size() != levels.size()) {
        check::fail_shape(name, "previous", "must be empty or one a level, " + check::text(levels.size()),
                          check::text(in.previous.size()));
    }
    if (!reports.empty() && reports.size() != levels.size()) {
        check::fail_shape(name, "reports", "must be empty or one a level, " + check::text(levels.size()),
                          check::text(reports.size()));
    }
    const index_t most_clusters = detail::check_e_step_levels(be, in, options.spherical, levels);
    detail::check_kmeans_rows(be, name, rows, options.spherical, most_clusters);

    auto index = be.index_rows(in.features, !options.spherical); // one for all levels
    for (std::size_t m = 0; m < levels.size(); ++m) {
        run.seed = options.seed + m;
        run.level = static_cast<std::uint32_t>(m);
        detail::forget_history(index);
        if (is_warm) {
            rows.initial_centroids = in.previous[m].centroids();
            if (in.previous[m].num_rows() == in.features.rows()) {
                detail::hint_assignment(index, in.previous[m].assignment());
            }
        }
        detail::lloyd<B> solver(be, index, rows, run, levels[m].num_clusters());
        e_step_report report;
        report.clusters = solver.run();
        solver.write(levels[m]);
        report.concentration = concentration(be, levels[m].spread(), spread, levels[m].temperatures());
        levels[m].pack(be);
        if (!reports.empty()) {
            reports[m] = report;
        }
    }
}

/// The same without weights and predecessor.
template <backend B>
void e_step(B& be, matrix_of<B, const value_of<B>> features, const e_step_options& options,
            std::span<std::type_identity_t<clustering<B>>> levels, std::span<e_step_report> reports = {}) {
    e_step(be, e_step_inputs<B>{.features = features}, options, levels, reports);
}

} // namespace protonce::inline v0

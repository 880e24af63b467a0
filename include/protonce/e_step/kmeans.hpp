// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/e_step/clustering.hpp>
#include <protonce/e_step/kmeans_options.hpp>
#include <protonce/e_step/lloyd.hpp>

#include <cmath>
#include <limits>
#include <string_view>
#include <type_traits>

namespace protonce::inline v0 {

namespace detail {

/// How far the norm of a row may lie from 1 and still pass as a unit row. Rows that a framework normalised in 32 bits
/// are off by 1e-6 at most; rows that nobody normalised are off by more.
inline constexpr double unit_row_tolerance = 1e-4;

/// Rows must be unit, or with `only_nonzero` have a direction at all.
template <backend B>
void check_directions(B& be, std::string_view function, std::string_view argument, matrix_of<B, const value_of<B>> rows,
                      bool only_nonzero) {
    typename workspace<typename B::space>::scope scope(be.scratch());
    workspace<host>::scope host_scope(be.host_scratch());
    auto norm = scope.template vector<value_of<B>>(rows.rows());
    be.row_norms(rows, norm);
    const auto values = on_host<value_of<B>>(be, host_scope, norm);
    for (index_t i = 0; i < values.size(); ++i) {
        const double length = static_cast<double>(values[i]);
        if (only_nonzero ? length == 0 : std::abs(length - 1.0) > unit_row_tolerance) {
            check::fail_argument(function, argument,
                                 only_nonzero ? "must not have a row of zeros with spherical"
                                              : "must have rows of norm 1, within " + check::text(unit_row_tolerance) +
                                                    ", with spherical (see normalize_rows)",
                                 "norm " + check::text(values[i]) + " in row " + check::text(i));
        }
    }
}

/// Everything about the options that does not depend on the data.
inline void check_kmeans_options(std::string_view function, const kmeans_options& options) {
    check::at_least(function, "num_clusters", options.num_clusters, index_t{0});
    check::at_least(function, "iterations", options.iterations, 0);
    check::in_range(function, "tolerance", options.tolerance, 0.0, (std::numeric_limits<double>::max)());
    check::at_least(function, "restarts", options.restarts, 1);
    check::at_least(function, "init_trials", options.init_trials, 0);
    if (options.level >= (std::uint32_t{1} << 24)) {
        check::fail_argument(function, "level", "must be below 2^24", check::text(options.level));
    }
    if (options.init == kmeans_init::given && options.restarts > 1) {
        check::fail_argument(function, "restarts", "must be 1 with given centroids, which every restart would repeat",
                             check::text(options.restarts));
    }
}

template <backend B>
void check_kmeans_shapes(std::string_view function, const kmeans_inputs<B>& in, const kmeans_options& options,
                         const clustering<B>& level) {
    const index_t rows = in.features.rows();
    const index_t clusters = level.num_clusters();
    check::matrix(function, "features", in.features);
    if (options.num_clusters != 0 && options.num_clusters != clusters) {
        check::fail_argument(function, "num_clusters", "must be 0 or that of level, " + check::text(clusters),
                             check::text(options.num_clusters));
    }
    if (clusters > rows) {
        check::fail_argument(function, "num_clusters", "must be at most the number of rows",
                             check::text(clusters) + " clusters, " + check::text(rows) + " rows");
    }
    check::size(function, "level.assignment", level.assignment(), rows);
    check::shape(function, "level.centroids", level.centroids(), clusters, in.features.cols());
    if (options.init == kmeans_init::given) {
        check::shape(function, "initial_centroids", in.initial_centroids, clusters, in.features.cols());
    } else if (in.initial_centroids.rows() != 0 || in.initial_centroids.data() != nullptr) {
        check::fail_argument(function, "initial_centroids", "must be left out unless init is kmeans_init::given",
                             check::shape_text(in.initial_centroids.rows(), in.initial_centroids.cols()));
    }
}

/// Everything that reads the rows.
template <backend B>
void check_kmeans_rows(B& be, std::string_view function, const kmeans_inputs<B>& in, bool is_spherical,
                       index_t clusters) {
    if (in.weight.size() != 0 || in.weight.data() != nullptr) {
        const index_t positive = check_weights(be, function, in.weight, in.features.rows());
        if (positive < clusters) {
            check::fail_argument(function, "weight",
                                 "must be positive for at least " + check::text(clusters) + " rows, one a cluster",
                                 check::text(positive));
        }
    }
    check::finite_rows(be, function, "features", in.features);
    if (is_spherical) {
        check_directions(be, function, "features", in.features, false);
    }
}

/// Everything that reads given centroids.
template <backend B>
void check_initial_centroids(B& be, std::string_view function, std::string_view argument,
                             matrix_of<B, const value_of<B>> centroids, bool is_spherical) {
    check::finite_rows(be, function, argument, centroids);
    if (is_spherical) {
        check_directions(be, function, argument, centroids, true);
    }
}

} // namespace detail

/// K-means by Lloyd's iterations (Lloyd 1982): centroids m that make  sum_i w_i ||x_i - m_{a_i}||^2  small, a_i the
/// nearest.
///
/// Each iteration assigns every row to its nearest centroid, ties to the lowest number, then moves each centroid to the
/// weighted mean of its rows. It stops after `iterations` updates; sooner only if an assignment repeats, so that
/// further ones would change nothing, or by the tolerance, which has scikit-learn's meaning: the squared shift of all
/// centroids together is at most `tolerance` times the mean over the features of their variance (of the weighted rows,
/// where scikit-learn leaves weights out). The labels, distances and inertia that are returned come from a last
/// assignment to the centroids that are returned.
///
/// Nothing is subsampled. Rows of weight 0 are assigned, but never become centroids. A cluster of total weight 0 is an
/// empty one. `spherical`: rows must be unit within 1e-4 and are not centred; each mean is normalised, so that nearest
/// means largest inner product and the inertia is the sum of 2 - 2 x.m; first centroids are normalised too.
///
/// Empty clusters (empty_cluster): `reseed` gives each, in order, the farthest row of the cluster of largest inertia,
/// lowest number among equals; a donor has positive inertia and keeps at least one row of positive weight. Without a
/// donor the rest stay empty.
///
/// \param level             of N rows, C columns, K clusters. Overwritten: centroids (K, C), assignment (N,),
///                          squared_distance (N,) and prototypes (K, C), the normalised centroids. The temperatures are
///                          concentration()'s.
/// \throws shape_error      features, weight, initial_centroids and level do not go together
/// \throws argument_error   K above the number of rows, or of rows of positive weight; NaN or infinity in features or
///                          initial_centroids; a weight that is negative or not finite; an option out of its range;
///                          with `spherical` a row that is not unit; with empty_cluster::error a cluster without rows.
///                          The outputs are untouched.
/// Synchronises: yes.  Scratch: N labels and N doubles (twice with restarts), three times K * C values, and the index.
/// Reproducible: bitwise, for any number of threads; random numbers depend on (seed, restart, level) alone.
template <backend B>
kmeans_report kmeans(B& be, const std::type_identity_t<kmeans_inputs<B>>& in, const kmeans_options& options,
                     clustering<B>& level) {
    constexpr std::string_view name = "kmeans";
    detail::check_kmeans_options(name, options);
    detail::check_kmeans_shapes(name, in, options, level);
    detail::check_kmeans_rows(be, name, in, options.spherical, level.num_clusters());
    if (options.init == kmeans_init::given) {
        detail::check_initial_centroids(be, name, "initial_centroids", in.initial_centroids, options.spherical);
    }

    auto index = be.index_rows(in.features, !options.spherical);
    detail::lloyd<B> solver(be, index, in, options, level.num_clusters());
    const kmeans_report report = solver.run();
    solver.write(level);
    return report;
}

/// The same without weights and given centroids.
template <backend B>
kmeans_report kmeans(B& be, matrix_of<B, const value_of<B>> features, const kmeans_options& options,
                     clustering<B>& level) {
    return kmeans(be, kmeans_inputs<B>{.features = features}, options, level);
}

} // namespace protonce::inline v0

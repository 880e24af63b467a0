// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/e_step/support.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace protonce::inline v0 {

/// Where the first centroids of K-means come from.
enum class kmeans_init {
    plus_plus,   // greedy k-means++ (Arthur and Vassilvitskii 2007, with several trials a centroid)
    random_rows, // distinct rows, each set equally likely, as the authors of PCL do
    given,       // the caller's
};

namespace detail {

/// scikit-learn's number of candidates a centroid: 2 + floor(ln K).
inline index_t default_init_trials(index_t clusters) {
    return 2 + static_cast<index_t>(std::log(static_cast<double>(clusters)));
}

/// Centroids = K distinct rows of positive weight: the first of a random permutation of all rows.
template <backend B>
void choose_random_rows(B& be, matrix_of<B, const value_of<B>> features, vector_view<const value_of<B>> host_weight,
                        const rng_key& key, matrix_of<B> centroids) {
    typename workspace<typename B::space>::scope scope(be.scratch());
    workspace<host>::scope host_scope(be.host_scratch());
    auto ids = scope.template vector<index_t>(centroids.rows());
    auto host_ids = host_scope.template vector<index_t>(centroids.rows());
    const random_permutation permutation(key, static_cast<std::uint64_t>(features.rows()));
    index_t found = 0;
    for (index_t i = 0; found < centroids.rows(); ++i) {
        const index_t row = static_cast<index_t>(permutation(static_cast<std::uint64_t>(i)));
        if (host_weight.empty() || host_weight[row] > 0) {
            host_ids[found++] = row;
        }
    }
    be.write(host_ids, ids);
    be.gather_rows(features, ids, centroids);
}

/// Greedy k-means++. The first centroid is a row drawn by weight. For each further one, `trials` rows are drawn with
/// probability weight * (squared distance to the nearest centroid so far), and the one that lowers the sum of these
/// most is taken, the first among equals.
///
/// Once every row lies on a centroid there is nothing left to draw: the remaining centroids repeat the first, whose
/// cluster keeps its rows because ties go to the lowest number.
///
/// \param least  (N,) scratch
template <backend B>
void choose_plus_plus(B& be, typename B::row_index& index, matrix_of<B, const value_of<B>> features,
                      vector_of<B, const value_of<B>> weight, const rng_key& key, index_t trials,
                      matrix_of<B> centroids, vector_of<B, double> least) {
    typename workspace<typename B::space>::scope scope(be.scratch());
    workspace<host>::scope host_scope(be.host_scratch());
    auto uniform = scope.template vector<double>(trials);
    auto rows = scope.template vector<index_t>(trials);
    auto candidates = scope.template matrix<value_of<B>>(trials, features.cols());
    auto potential = scope.template vector<double>(trials);
    auto host_uniform = host_scope.template vector<double>(trials);
    auto host_rows = host_scope.template vector<index_t>(trials);
    auto host_potential = host_scope.template vector<double>(trials);

    be.fill(least, 1.0);
    for (index_t k = 0; k < centroids.rows(); ++k) {
        const index_t draws = k == 0 ? 1 : trials;
        for (index_t l = 0; l < draws; ++l) {
            host_uniform[l] = random_uniform(key, static_cast<std::uint64_t>(k * trials + l));
        }
        be.write(host_uniform.slice(0, draws), uniform.slice(0, draws));
        be.draw_weighted(least, weight, uniform.slice(0, draws), rows.slice(0, draws));
        be.read(rows.slice(0, draws), host_rows.slice(0, draws));
        if (host_rows[0] < 0) { // the total is 0
            for (; k < centroids.rows(); ++k) {
                be.copy(centroids.row(0), centroids.row(k));
            }
            return;
        }
        be.gather_rows(features, rows.slice(0, draws), candidates.slice(0, draws));
        index_t best = 0;
        if (k == 0) {
            be.fill(least, (std::numeric_limits<double>::max)());
        } else if (draws > 1) {
            be.candidate_potential(index, candidates, weight, least, potential);
            be.read(potential, host_potential);
            for (index_t l = 1; l < draws; ++l) {
                best = host_potential[l] < host_potential[best] ? l : best;
            }
        }
        be.copy(candidates.row(best), centroids.row(k));
        if (k + 1 < centroids.rows()) {
            be.relax_nearest(index, candidates.slice(best, 1), least);
        }
    }
}

} // namespace detail

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/search_report.hpp>
#include <protonce/e_step/kmeans_init.hpp>

#include <cstdint>

namespace protonce::inline v0 {

/// What becomes of a cluster that no row of positive weight is nearest to.
enum class empty_cluster {
    reseed, // takes over the farthest row of the cluster of largest inertia
    keep,   // its centroid stays where it was
    drop,   // as keep while iterating; in the result the others have moved to the front, in order, and zero rows follow
    error,  // argument_error
};

/// Looks on: on_search(context, report) is called after each search for the nearest centroids, on the calling thread, where the backend
/// says how it searched. It must not throw.
struct kmeans_observer {
    void* context = nullptr;
    void (*on_search)(void* context, const search_report& report) = nullptr;
};

struct kmeans_options {
    index_t num_clusters = 0; // K; 0: that of the clustering which is written
    int iterations = 20;      // updates of the centroids, at most; 0: one assignment to the first centroids
    double tolerance =
        0; // stop when the squared shift of all centroids is at most this times the mean variance of a feature
    int restarts = 1; // the run of least inertia is kept
    std::uint64_t seed = 0;
    kmeans_init init = kmeans_init::plus_plus;
    int init_trials = 0;    // candidates a centroid for k-means++; 0: 2 + floor(ln K)
    bool spherical = false; // unit rows, unit centroids, nearest by inner product
    empty_cluster on_empty = empty_cluster::reseed;
    std::uint32_t level = 0; // separates the random numbers of several clusterings of one seed; below 2^24
    kmeans_observer observer{};
};

/// Views of kmeans() beyond the features.
template <backend B>
struct kmeans_inputs {
    matrix_of<B, const value_of<B>> features{}; // (N, C)
    vector_of<B, const value_of<B>> weight{};   // (N,) finite, not negative; empty: 1 a row
    matrix_of<B, const value_of<B>>
        initial_centroids{}; // (K, C), with kmeans_init::given only; may be views of the result
};

/// What kmeans() found, in the restart that it kept.
struct kmeans_report {
    double inertia = 0;       // sum over rows of weight * squared distance, from the last assignment, in double
    int iterations = 0;       // updates made; the one that found nothing left to change is counted
    bool converged = false;   // stopped because nothing changed any more, or by the tolerance
    int best_restart = 0;     // number of the restart that was kept
    index_t num_clusters = 0; // clusters with members
    index_t num_empty = 0;    // clusters without, after the last assignment; with `drop`, how many were dropped
    index_t num_reseeded = 0; // rows that were moved into an empty cluster, over all iterations
    index_t num_zero_means =
        0; // clusters whose mean has norm 0: a zero prototype; with `spherical` the centroid stays where it was
    double init_seconds = 0; // wall time spent on choosing first centroids, over all restarts
    search_report search{};  // the last search, its shares the means over all searches of the restart; bytes: the most
};

} // namespace protonce::inline v0

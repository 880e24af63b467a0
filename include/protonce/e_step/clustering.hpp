// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/buffer.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/prototype_level.hpp>
#include <protonce/e_step/support.hpp>

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

namespace protonce::inline v0 {

/// How far samples lie from the centroid of their cluster: what concentration() reads.
template <memory_space S>
struct cluster_spread {
    vector_view<const double, S> squared_distance{}; // (N,) ||v_i - m||^2 to the sample's own centroid
    vector_view<const label_t, S> assignment{};      // (N,) cluster of each sample; -1: none
};

/// One clustering of N samples into K clusters: where the E-step writes, and what the losses read through level().
///
/// Owns its memory, from `be.memory()`, which must outlive it: 2 K C + K values, N labels and N doubles, and where the backend's losses
/// want prototypes in a form of their own (cuda_backend on architecture 90a) 2 bytes for each of 64, 128 or 256 columns
/// and 4 for each prototype. Starts with every sample in no cluster (-1) and everything else 0. Moves, does not copy.
template <backend B>
class clustering {
public:
    using value_type = value_of<B>;
    using space = typename B::space;

    /// \throws argument_error  num_rows, num_cols or num_clusters below 1, or too large for labels of 32 bits
    /// \throws std::bad_alloc  no room
    clustering(B& be, index_t num_rows, index_t num_cols, index_t num_clusters) : num_cols_(num_cols) {
        check::at_least("clustering", "num_rows", num_rows, index_t{1});
        check::at_least("clustering", "num_cols", num_cols, index_t{1});
        check::at_least("clustering", "num_clusters", num_clusters, index_t{1});
        if (num_clusters > (std::numeric_limits<label_t>::max)()) {
            check::fail_argument("clustering", "num_clusters",
                                 "must be at most " + check::text((std::numeric_limits<label_t>::max)()),
                                 check::text(num_clusters));
        }
        // A product that does not fit into index_t does not fit into memory either: buffer refuses the largest size.
        constexpr index_t most = (std::numeric_limits<index_t>::max)();
        const index_t values = num_clusters > most / num_cols ? most : num_clusters * num_cols;
        centroids_ = buffer<value_type, space>(be.memory(), values);
        prototypes_ = buffer<value_type, space>(be.memory(), values);
        assignment_ = buffer<label_t, space>(be.memory(), num_rows);
        squared_distance_ = buffer<double, space>(be.memory(), num_rows);
        temperatures_ = buffer<value_type, space>(be.memory(), num_clusters);
        be.fill(centroids_.view(), value_type{});
        be.fill(prototypes_.view(), value_type{});
        be.fill(assignment_.view(), label_t{-1});
        be.fill(squared_distance_.view(), 0.0);
        be.fill(temperatures_.view(), value_type{});
        if constexpr (detail::packs_pools<B>) {
            packed_ = buffer<value_type, space>(be.memory(), be.packed_pool_size(num_clusters, num_cols));
        }
    }

    index_t num_rows() const { return assignment_.size(); }       // N
    index_t num_cols() const { return num_cols_; }                // C
    index_t num_clusters() const { return temperatures_.size(); } // K

    /// (K, C) means of the clusters, not normalised
    matrix_view<value_type, space> centroids() { return centroids_.rows(num_cols_); }
    matrix_view<const value_type, space> centroids() const { return centroids_.rows(num_cols_); }
    /// (K, C) L2-normalised centroids, as ProtoNCE uses them
    matrix_view<value_type, space> prototypes() {
        is_packed_ = false;
        return prototypes_.rows(num_cols_);
    }
    matrix_view<const value_type, space> prototypes() const { return prototypes_.rows(num_cols_); }
    /// (N,) cluster of each sample; -1: none
    vector_view<label_t, space> assignment() { return assignment_.view(); }
    vector_view<const label_t, space> assignment() const { return assignment_.view(); }
    /// (N,) to the sample's own centroid; 0 for samples in no cluster
    vector_view<double, space> squared_distance() { return squared_distance_.view(); }
    vector_view<const double, space> squared_distance() const { return squared_distance_.view(); }
    /// (K,) concentration phi of each cluster, as concentration() fills it
    vector_view<value_type, space> temperatures() {
        is_packed_ = false;
        return temperatures_.view();
    }
    vector_view<const value_type, space> temperatures() const { return temperatures_.view(); }

    /// The part that concentration() reads.
    cluster_spread<space> spread() const { return {squared_distance(), assignment()}; }
    /// The part that the losses read.
    prototype_level<value_type, space> level() const {
        prototype_level<value_type, space> out{prototypes(), assignment(), temperatures()};
        if (is_packed_) {
            out.packed = packed_.view();
        }
        return out;
    }
    /// Keeps prototypes and temperatures, when both are written, in the form in which the backend's losses want them, if it has one: then
    /// they need not make it in each step. level() hands it on until one of the two is asked for in order to be written (kmeans(),
    /// fill_clustering() and concentration() do), and nobody must write to views from before. e_step() calls it.
    void pack(B& be) {
        if constexpr (detail::packs_pools<B>) {
            if (packed_.size() > 0) {
                be.pack_pool(std::as_const(*this).prototypes(), std::as_const(*this).temperatures(), packed_.view());
                is_packed_ = true;
            }
        }
    }

private:
    index_t num_cols_ = 0;
    buffer<value_type, space> centroids_;
    buffer<value_type, space> prototypes_;
    buffer<label_t, space> assignment_;
    buffer<double, space> squared_distance_;
    buffer<value_type, space> temperatures_;
    buffer<value_type, space> packed_; // prototypes and temperatures, or nothing
    bool is_packed_ = false;
};

/// What fill_clustering() reads.
template <backend B>
struct fill_clustering_inputs {
    matrix_of<B, const value_of<B>> features{}; // (N, C)
    vector_of<B, const label_t> assignment{};   // (N,) in [-1, K); may be the view of the level that is filled
    vector_of<B, const value_of<B>> weight{};   // (N,) finite, not negative; empty: 1 a row
};

/// What fill_clustering() found.
struct fill_clustering_report {
    index_t num_empty = 0; // clusters of no members, or of total weight 0: centroid and prototype are zero rows
    index_t num_zero_centroids = 0; // other clusters whose centroid has norm 0: the prototype is a zero row
};

namespace detail {

/// Weights must be finite and not negative, and positive somewhere. Returns how many are positive.
template <backend B>
index_t check_weights(B& be, std::string_view function, vector_of<B, const value_of<B>> weight, index_t rows) {
    check::size(function, "weight", weight, rows);
    workspace<host>::scope scope(be.host_scratch());
    const auto values = on_host<value_of<B>>(be, scope, weight);
    index_t positive = 0;
    for (index_t i = 0; i < rows; ++i) {
        // By bits where a comparison could be optimised away.
        if (!check::is_finite(values[i]) || values[i] < 0) {
            check::fail_argument(function, "weight", "must be finite and not negative",
                                 check::text(values[i]) + " in row " + check::text(i));
        }
        positive += check::is_positive(values[i]) ? 1 : 0;
    }
    if (positive == 0) {
        check::fail_argument(function, "weight", "must be positive for at least one row", "0 everywhere");
    }
    return positive;
}

/// prototypes = normalised centroids; returns how many of the first `clusters` have members and norm 0.
template <backend B>
index_t normalize_centroids(B& be, matrix_of<B, const value_of<B>> centroids, vector_view<const double> members,
                            matrix_of<B> prototypes) {
    typename workspace<typename B::space>::scope scope(be.scratch());
    workspace<host>::scope host_scope(be.host_scratch());
    auto norm = scope.template vector<value_of<B>>(centroids.rows());
    be.normalize_rows(centroids, prototypes, norm);
    const auto host_norm = on_host<value_of<B>>(be, host_scope, norm);
    index_t zero = 0;
    for (index_t k = 0; k < members.size(); ++k) {
        zero += members[k] > 0 && host_norm[k] == 0 ? 1 : 0;
    }
    return zero;
}

/// squared_distance_i = ||x_i - m_{a_i}||^2, 0 for samples in no cluster; within a relative 4 eps of T, exact where x_i
/// = m.
template <backend B>
void own_squared_distance(B& be, matrix_of<B, const value_of<B>> features, vector_of<B, const label_t> assignment,
                          matrix_of<B, const value_of<B>> centroids, vector_of<B, double> squared_distance) {
    constexpr index_t block = 4096;
    const index_t most = (std::min)(block, features.rows());
    typename workspace<typename B::space>::scope scope(be.scratch());
    workspace<host>::scope host_scope(be.host_scratch());
    auto rows = scope.template matrix<value_of<B>>(most, features.cols());       // x
    auto difference = scope.template matrix<value_of<B>>(most, features.cols()); // m, then x - m
    auto norm = scope.template vector<value_of<B>>(most);
    auto ids = scope.template vector<index_t>(most);
    const auto labels = on_host<label_t>(be, host_scope, assignment);
    auto host_ids = host_scope.template vector<index_t>(most);
    auto host_norm = host_scope.template vector<value_of<B>>(most);
    auto square = host_scope.template vector<double>(most);
    for (index_t first = 0; first < features.rows(); first += block) {
        const index_t count = (std::min)(block, features.rows() - first);
        for (index_t i = 0; i < count; ++i) {
            host_ids[i] = (std::max<index_t>)(labels[first + i], 0);
        }
        be.write(host_ids.slice(0, count), ids.slice(0, count));
        be.gather_rows(centroids, ids.slice(0, count), difference.slice(0, count));
        copy_rows(be, features.slice(first, count), rows.slice(0, count));
        be.axpby(1.0, flat(rows.slice(0, count)), -1.0, flat(difference.slice(0, count)));
        be.row_norms(difference.slice(0, count), norm.slice(0, count));
        be.read(norm.slice(0, count), host_norm.slice(0, count));
        for (index_t i = 0; i < count; ++i) {
            const double distance = static_cast<double>(host_norm[i]);
            square[i] = labels[first + i] < 0 ? 0.0 : distance * distance;
        }
        be.write(square.slice(0, count), squared_distance.slice(first, count));
    }
}

} // namespace detail

/// A clustering from labels that something else computed: another clusterer, classes, a file.
///
/// Writes the assignment, the centroids (weighted means of the members), the squared distances to them and the
/// prototypes; the temperatures are concentration()'s. Labels are not changed: a sample need not be at its nearest
/// centroid. A sample with label -1 (the noise of density-based clusterers) belongs to no cluster and has distance 0. K
/// stays K, trailing empty clusters included.
///
/// \param level             of N rows, C columns; overwritten, temperatures excepted
/// \throws shape_error      features, assignment, weight and level do not go together
/// \throws argument_error   NaN or infinity in features; a label outside [-1, K); a weight negative, not finite, or all
///                          0
/// Synchronises: yes.  Scratch: K * C doubles and 4096 rows.  Reproducible: bitwise, for any number of threads.
template <backend B>
fill_clustering_report fill_clustering(B& be, const std::type_identity_t<fill_clustering_inputs<B>>& in,
                                       clustering<B>& level) {
    constexpr auto name = "fill_clustering";
    check::matrix(name, "features", in.features);
    check::size(name, "assignment", in.assignment, in.features.rows());
    check::size(name, "level.assignment", level.assignment(), in.features.rows());
    check::shape(name, "level.centroids", level.centroids(), level.num_clusters(), in.features.cols());
    if (in.weight.size() != 0 || in.weight.data() != nullptr) {
        detail::check_weights(be, name, in.weight, in.features.rows());
    }
    detail::check_labels(be, name, "assignment", in.assignment, level.num_clusters());
    check::finite_rows(be, name, "features", in.features);

    const index_t clusters = level.num_clusters();
    typename workspace<typename B::space>::scope scope(be.scratch());
    workspace<host>::scope host_scope(be.host_scratch());
    auto sum = scope.template matrix<double>(clusters, in.features.cols()); // (K, C)
    auto count = scope.template vector<double>(clusters);                   // (K,)
    be.segment_sum(in.features, in.weight, in.assignment, sum, count);
    be.fill(detail::flat(level.centroids()), value_of<B>{});
    be.mean_rows(sum, count, level.centroids());
    if (in.assignment.data() != level.assignment().data()) {
        be.copy(in.assignment, level.assignment());
    }
    detail::own_squared_distance(be, in.features, level.assignment(), level.centroids(), level.squared_distance());

    const auto members = detail::on_host<double>(be, host_scope, count);
    fill_clustering_report report;
    report.num_empty = std::count(members.begin(), members.end(), 0.0);
    report.num_zero_centroids = detail::normalize_centroids(be, level.centroids(), members, level.prototypes());
    return report;
}

} // namespace protonce::inline v0

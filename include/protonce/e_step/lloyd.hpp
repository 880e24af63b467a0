// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/e_step/clustering.hpp>
#include <protonce/e_step/kmeans_init.hpp>
#include <protonce/e_step/kmeans_options.hpp>
#include <protonce/e_step/reseed.hpp>
#include <protonce/e_step/support.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <utility>

namespace protonce::inline v0::detail {

/// Lloyd iterations over an index of the features, restarts included, in scratch memory. Arguments are checked. One
/// use: run(), then write().
template <backend B>
class lloyd {
    using T = value_of<B>;

    struct solution {
        matrix_of<B> centroids;                // (K, C)
        vector_of<B, label_t> assignment;      // (N,)
        vector_of<B, double> squared_distance; // (N,)
    };

public:
    lloyd(B& be, typename B::row_index& index, const kmeans_inputs<B>& in, const kmeans_options& options,
          index_t clusters)
        : be_(be), index_(index), in_(in), options_(options), scope_(be.scratch()), host_scope_(be.host_scratch()) {
        const index_t cols = in.features.cols();
        now_ = allocate(clusters);
        best_ = options.restarts > 1 ? allocate(clusters) : now_;
        before_ = scope_.template matrix<T>(clusters, cols);
        mean_ = options.spherical ? scope_.template matrix<T>(clusters, cols) : matrix_of<B>{};
        sum_ = scope_.template matrix<double>(clusters, cols);
        count_ = scope_.template vector<double>(clusters);
        inertia_ = scope_.template vector<double>(clusters);
        norm_ = scope_.template vector<T>(clusters);
        summed_ = scope_.template vector<label_t>(in.features.rows());
        host_count_ = host_scope_.template vector<double>(clusters);
        host_inertia_ = host_scope_.template vector<double>(clusters);
        host_norm_ = host_scope_.template vector<T>(clusters);
        if (!in.weight.empty()) {
            host_weight_ = on_host<T>(be, host_scope_, in.weight);
        }
    }

    /// Runs all restarts and keeps the one of least inertia, the earliest among equals.
    kmeans_report run() {
        expect_more_searches(index_, options_.iterations > 1);
        const double shift_limit = options_.tolerance > 0 ? options_.tolerance * mean_variance() : 0.0;
        kmeans_report best;
        double init_seconds = 0;
        for (int restart = 0; restart < options_.restarts; ++restart) {
            kmeans_report report;
            report.best_restart = restart;
            const auto start = std::chrono::steady_clock::now();
            initialize(restart);
            init_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            iterate(shift_limit, report);
            if (restart == 0 || report.inertia < best.inertia) {
                best = report;
                std::swap(now_, best_);
            }
            if (restart + 1 < options_.restarts) {
                forget_history(index_);
            }
        }
        best.init_seconds = init_seconds;
        if (options_.on_empty == empty_cluster::drop && best.num_empty > 0) {
            drop_empty();
        }
        return best;
    }

    /// The solution that was kept, into the caller's clustering.
    void write(clustering<B>& level) {
        be_.copy(constant(flat(best_.centroids)), flat(level.centroids()));
        be_.copy(constant(best_.assignment), level.assignment());
        be_.copy(constant(best_.squared_distance), level.squared_distance());
        if (options_.spherical) {
            // Unit already: dividing by 1 + eps once more would make prototypes that differ from the centroids in the
            // last bit.
            be_.copy(constant(flat(best_.centroids)), flat(level.prototypes()));
        } else {
            be_.normalize_rows(constant(best_.centroids), level.prototypes(), vector_of<B>{});
        }
    }

private:
    solution allocate(index_t clusters) {
        const index_t rows = in_.features.rows();
        return {scope_.template matrix<T>(clusters, in_.features.cols()), scope_.template vector<label_t>(rows),
                scope_.template vector<double>(rows)};
    }

    void initialize(int restart) {
        rng_key key{.seed = options_.seed, .step = static_cast<std::uint64_t>(restart), .level = options_.level};
        if (options_.init == kmeans_init::given) {
            copy_rows(be_, in_.initial_centroids, now_.centroids);
        } else if (options_.init == kmeans_init::random_rows) {
            key.purpose = draw_purpose::initial_rows;
            choose_random_rows(be_, in_.features, host_weight_, key, now_.centroids);
        } else {
            key.purpose = draw_purpose::initial_plus_plus;
            const index_t trials =
                options_.init_trials > 0 ? options_.init_trials : default_init_trials(now_.centroids.rows());
            choose_plus_plus(be_, index_, in_.features, in_.weight, key, trials, now_.centroids, now_.squared_distance);
        }
        if (options_.spherical) {
            be_.copy(constant(flat(now_.centroids)), flat(mean_));
            be_.normalize_rows(constant(mean_), now_.centroids, norm_);
        }
    }

    void iterate(double shift_limit, kmeans_report& report) {
        bool is_current = false; // are there labels and distances that belong to the centroids?
        has_sums_ = false;
        searches_ = 0;
        while (report.iterations < options_.iterations && !report.converged) {
            // Distances are for the end, and for empty clusters.
            search(report, vector_of<B, double>{});
            const index_t moved = sum_members(report);
            const double squared_shift = move_centroids(report);
            ++report.iterations;
            report.num_reseeded += moved;
            // Equal assignments have equal means, to the last bit; so an assignment that repeats shows as centroids
            // that stay.
            report.converged = squared_shift <= shift_limit;
            is_current = squared_shift == 0 && moved == 0 && has_distances_;
        }
        if (!is_current) {
            search(report, now_.squared_distance);
        }
        if (searches_ > 0) {
            report.search.bounded_share /= searches_;
            report.search.full_share /= searches_;
        }
        evaluate(report);
    }

    /// Nearest centroids, and what the backend says of the search.
    void search(kmeans_report& report, vector_of<B, double> squared_distance) {
        be_.nearest_row(index_, constant(now_.centroids), now_.assignment, squared_distance);
        if constexpr (requires { index_.report(); }) {
            const search_report& last = index_.report();
            search_report& all = report.search;
            all = {.method = last.method,
                   .columns = last.columns,
                   .groups = last.groups,
                   .bounded_share = last.bounded_share + (searches_ > 0 ? all.bounded_share : 0),
                   .full_share = last.full_share + (searches_ > 0 ? all.full_share : 0),
                   .bytes = (std::max)(last.bytes, all.bytes)};
            ++searches_;
            if (options_.observer.on_search != nullptr) {
                options_.observer.on_search(options_.observer.context, last);
            }
        }
    }

    /// Sums of the members of each cluster, and what is to be done about empty ones. Returns how many rows were moved.
    index_t sum_members(kmeans_report& report) {
        sum_rows();
        has_distances_ = false;
        const index_t empty = std::count(host_count_.begin(), host_count_.end(), 0.0);
        if (empty == 0) {
            return 0;
        }
        refuse_empty(empty, report.iterations);
        if (options_.on_empty != empty_cluster::reseed) {
            return 0;
        }
        search(report, now_.squared_distance);
        has_distances_ = true;
        be_.segment_scalar_sum(constant(now_.squared_distance), scalar_map::identity, in_.weight,
                               constant(now_.assignment), inertia_, count_);
        be_.read(constant(inertia_), host_inertia_);
        const index_t moved = reseed_empty(be_, in_.weight, host_weight_, now_.assignment, now_.squared_distance,
                                           host_count_, host_inertia_);
        if (moved > 0) {
            sum_rows();
        }
        return moved;
    }

    /// Sums and counts of the current assignment, from those before where a backend can do that without a trace: taking a row out of a
    /// sum by subtraction must not leave its rounding behind.
    void sum_rows() {
        if constexpr (requires {
                          be_.update_segment_sum(index_, in_.weight, constant(summed_), constant(summed_), sum_,
                                                 count_);
                      }) {
            if (has_sums_) {
                be_.update_segment_sum(index_, in_.weight, constant(summed_), constant(now_.assignment), sum_, count_);
            } else {
                be_.segment_sum(in_.features, in_.weight, constant(now_.assignment), sum_, count_);
            }
            be_.copy(constant(now_.assignment), summed_);
            has_sums_ = true;
        } else {
            be_.segment_sum(in_.features, in_.weight, constant(now_.assignment), sum_, count_);
        }
        be_.read(constant(count_), host_count_);
    }

    void refuse_empty(index_t empty, int iteration) const {
        if (options_.on_empty == empty_cluster::error && empty > 0) {
            check::fail_argument("kmeans", "num_clusters", "must leave no cluster empty, as on_empty asks",
                                 check::text(empty) + " empty clusters after " + check::text(iteration) + " updates");
        }
    }

    /// Centroids become the means of their members; returns the sum of squares of what they moved by.
    double move_centroids(kmeans_report& report) {
        be_.copy(constant(flat(now_.centroids)), flat(before_));
        if (options_.spherical) {
            be_.copy(constant(flat(now_.centroids)), flat(mean_));
            be_.mean_rows(constant(sum_), constant(count_), mean_);
            be_.normalize_rows(constant(mean_), now_.centroids, norm_);
            be_.read(constant(norm_), host_norm_);
            report.num_zero_means = 0;
            for (index_t k = 0; k < host_norm_.size(); ++k) {
                // A mean of norm 0 has no direction, and a zero row would be no unit centroid: 2 - 2 x.c is the same
                // for every unit c, so the old one serves. An empty cluster keeps its own to the last bit.
                const bool has_zero_mean = host_count_[k] != 0 && host_norm_[k] == 0;
                if (host_count_[k] == 0 || has_zero_mean) {
                    be_.copy(constant(before_.row(k)), now_.centroids.row(k));
                }
                report.num_zero_means += has_zero_mean ? 1 : 0;
            }
        } else {
            be_.mean_rows(constant(sum_), constant(count_), now_.centroids);
        }
        be_.axpby(1.0, constant(flat(now_.centroids)), -1.0, flat(before_));
        be_.row_norms(constant(before_), norm_);
        be_.read(constant(norm_), host_norm_);
        double squared_shift = 0;
        for (const T norm : host_norm_) {
            squared_shift += static_cast<double>(norm) * static_cast<double>(norm);
        }
        return squared_shift;
    }

    void evaluate(kmeans_report& report) {
        be_.segment_scalar_sum(constant(now_.squared_distance), scalar_map::identity, in_.weight,
                               constant(now_.assignment), inertia_, count_);
        be_.read(constant(inertia_), host_inertia_);
        be_.read(constant(count_), host_count_);
        has_sums_ = false;
        report.inertia = std::accumulate(host_inertia_.begin(), host_inertia_.end(), 0.0);
        report.num_empty = std::count(host_count_.begin(), host_count_.end(), 0.0);
        report.num_clusters = host_count_.size() - report.num_empty;
        refuse_empty(report.num_empty, report.iterations);
        if (!options_.spherical) {
            be_.row_norms(constant(now_.centroids), norm_);
            be_.read(constant(norm_), host_norm_);
            report.num_zero_means = 0;
            for (index_t k = 0; k < host_norm_.size(); ++k) {
                report.num_zero_means += host_count_[k] != 0 && host_norm_[k] == 0 ? 1 : 0;
            }
        }
    }

    /// The clusters with members move to the front, in order, and the rows are labelled anew: the same partition, since
    /// order and distances stay. Rows of weight 0 in a dropped cluster go to their nearest that is left.
    void drop_empty() {
        be_.segment_scalar_sum(constant(best_.squared_distance), scalar_map::identity, in_.weight,
                               constant(best_.assignment), inertia_, count_);
        be_.read(constant(count_), host_count_);
        index_t kept = 0;
        for (index_t k = 0; k < host_count_.size(); ++k) {
            if (host_count_[k] != 0) {
                if (kept != k) {
                    be_.copy(constant(best_.centroids.row(k)), best_.centroids.row(kept));
                }
                ++kept;
            }
        }
        be_.fill(flat(best_.centroids.slice(kept, host_count_.size() - kept)), T{});
        forget_history(index_);
        be_.nearest_row(index_, constant(best_.centroids.slice(0, kept)), best_.assignment, best_.squared_distance);
    }

    /// Mean over the features of their variance, weighted: what scikit-learn multiplies a tolerance with.
    double mean_variance() {
        be_.fill(now_.assignment, label_t{0});
        be_.segment_sum(in_.features, in_.weight, constant(now_.assignment), sum_.slice(0, 1), count_.slice(0, 1));
        be_.mean_rows(constant(sum_.slice(0, 1)), constant(count_.slice(0, 1)), before_.slice(0, 1));
        be_.nearest_row(index_, constant(before_.slice(0, 1)), now_.assignment, now_.squared_distance);
        be_.segment_scalar_sum(constant(now_.squared_distance), scalar_map::identity, in_.weight,
                               constant(now_.assignment), inertia_.slice(0, 1), count_.slice(0, 1));
        be_.read(constant(inertia_.slice(0, 1)), host_inertia_.slice(0, 1));
        be_.read(constant(count_.slice(0, 1)), host_count_.slice(0, 1));
        forget_history(index_);
        return host_inertia_[0] / host_count_[0] / static_cast<double>(in_.features.cols());
    }

    B& be_;
    typename B::row_index& index_;
    const kmeans_inputs<B>& in_;
    const kmeans_options& options_;
    typename workspace<typename B::space>::scope scope_;
    workspace<host>::scope host_scope_;
    solution now_;                 // of the current restart
    solution best_;                // of the best one so far
    matrix_of<B> before_;          // (K, C) centroids before an update, then what they moved by
    matrix_of<B> mean_;            // (K, C) before normalising, with `spherical`
    matrix_of<B, double> sum_;     // (K, C)
    vector_of<B, double> count_;   // (K,) total weight
    vector_of<B, double> inertia_; // (K,)
    vector_of<B> norm_;            // (K,)
    vector_of<B, label_t> summed_; // (N,) labels that sum_ and count_ belong to
    bool has_sums_ = false;
    bool has_distances_ = false;
    int searches_ = 0;
    vector_view<double> host_count_;
    vector_view<double> host_inertia_;
    vector_view<T> host_norm_;
    vector_view<const T> host_weight_;
};

} // namespace protonce::inline v0::detail

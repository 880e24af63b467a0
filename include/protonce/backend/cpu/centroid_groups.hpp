// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels_nearest.hpp>
#include <protonce/backend/cpu/tiles.hpp>
#include <protonce/core/parallel.hpp>
#include <protonce/core/workspace.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

namespace protonce::inline v0::detail::cpu {

/// Centroids in groups of neighbours, one or more panels each, and how far they have moved since they were grouped.
template <class T, class Threads>
class centroid_groups {
    static constexpr int W = panel_width<T>;
    static constexpr T eps = std::numeric_limits<T>::epsilon();

public:
    /// Halves, halves of halves and so on, along the line between two centroids far apart.
    void form(workspace<host>::scope& scope, workspace<host>& scratch, const kernel_table<T>& kernel,
              matrix_view<const T> centroids, index_t most_groups) {
        const index_t K = centroids.rows();
        const index_t panels = ceil_div(K, W);
        if (order_.empty()) {
            panels_per_group_ = (std::max<index_t>)(1, ceil_div(panels, (std::max<index_t>)(1, most_groups)));
            groups_ = ceil_div(panels, panels_per_group_);
            order_ = scope.vector<std::int32_t>(groups_ * panels_per_group_ * W);
            group_ = scope.vector<std::int32_t>(K);
            drift_ = scope.vector<T>(K);
            moved_ = scope.vector<T>(groups_);
            before_ = scope.matrix<T>(K, centroids.cols());
        }
        for (index_t n = 0; n < order_.size(); ++n) {
            order_[n] = n < K ? static_cast<std::int32_t>(n) : -1;
        }
        std::fill(moved_.begin(), moved_.end(), T(0));
        std::fill(drift_.begin(), drift_.end(), T(0));
        moved_most_ = T(0);
        workspace<host>::scope inner(scratch);
        auto along = inner.vector<std::pair<double, std::int32_t>>(K);
        split(kernel, centroids, along, 0, K);
        for (index_t n = 0; n < K; ++n) {
            group_[order_[n]] = static_cast<std::int32_t>(n / width());
        }
        remember(centroids);
    }

    /// Takes note of where the centroids are now.
    void move(const thread_team<Threads>& team, const kernel_table<T>& kernel, matrix_view<const T> centroids) {
        constexpr index_t block = 64;
        team.for_each(ceil_div(centroids.rows(), block), [&](index_t task) {
            for (index_t k = task * block; k < (std::min)(centroids.rows(), (task + 1) * block); ++k) {
                const double square =
                    kernel.squared_distance(centroids.row(k).data(), before_.row(k).data(), centroids.cols());
                const double distance = std::sqrt(square) * (1 + 1e-10);
                drift_[k] = static_cast<T>(distance + distance * static_cast<double>(eps));
            }
        });
        T most{};
        for (index_t g = 0; g < groups_; ++g) {
            T within{};
            for (index_t n = g * width(); n < (g + 1) * width(); ++n) {
                within = order_[n] >= 0 ? (std::max)(within, drift_[order_[n]]) : within;
            }
            moved_[g] = (moved_[g] + within) * (1 + 2 * eps);
            most = (std::max)(most, within);
        }
        moved_most_ = (moved_most_ + most) * (1 + 2 * eps);
        remember(centroids);
    }

    index_t count() const { return groups_; }
    index_t panels_per_group() const { return panels_per_group_; }
    /// Places in a group.
    index_t width() const { return panels_per_group_ * W; }
    vector_view<const std::int32_t> order() const { return order_; } // centroid at each place, -1 for none
    index_t group_of(label_t k) const { return group_[k]; }
    vector_view<const T> drift() const { return drift_; }      // (K,) in the last move
    vector_view<const T> moved() const { return moved_; }      // (groups,) sum of the largest moves
    T moved_most() const { return moved_most_; }               // the same over all centroids
    matrix_view<const T> centroids() const { return before_; } // (K, C) as of now

private:
    void remember(matrix_view<const T> centroids) {
        std::copy(centroids.data(), centroids.data() + centroids.rows() * centroids.cols(), before_.data());
    }

    void split(const kernel_table<T>& kernel, matrix_view<const T> centroids,
               vector_view<std::pair<double, std::int32_t>> along, index_t first, index_t last) {
        if (last - first <= width()) {
            return;
        }
        const index_t C = centroids.cols();
        const auto farthest_from = [&](const T* x) {
            double most = -1;
            index_t at = first;
            for (index_t n = first; n < last; ++n) {
                const double d = kernel.squared_distance(x, centroids.row(order_[n]).data(), C);
                if (d > most) {
                    most = d;
                    at = n;
                }
            }
            return centroids.row(order_[at]).data();
        };
        const T* one = farthest_from(centroids.row(order_[first]).data());
        const T* other = farthest_from(one);
        for (index_t n = first; n < last; ++n) {
            const T* x = centroids.row(order_[n]).data();
            along[n] = {kernel.squared_distance(x, one, C) - kernel.squared_distance(x, other, C), order_[n]};
        }
        const index_t middle = (std::min)(last, first + round_up((last - first) / 2, width()));
        std::nth_element(along.begin() + first, along.begin() + middle, along.begin() + last);
        for (index_t n = first; n < last; ++n) {
            order_[n] = along[n].second;
        }
        split(kernel, centroids, along, first, middle);
        split(kernel, centroids, along, middle, last);
    }

    index_t panels_per_group_ = 1;
    index_t groups_ = 0;
    T moved_most_{};
    vector_view<std::int32_t> order_{};
    vector_view<std::int32_t> group_{};
    vector_view<T> drift_{};
    vector_view<T> moved_{};
    matrix_view<T> before_{};
};

} // namespace protonce::inline v0::detail::cpu

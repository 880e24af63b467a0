// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/best_of_row.hpp>
#include <protonce/backend/elementwise/table.hpp>
#include <protonce/core/exact_distance.hpp>

namespace protonce::inline v0::detail::cuda {

/// Labels and squared distances from what is known of each row, one label or two; of two the nearer one, in double, and in
/// exact arithmetic where that cannot tell. An element a row.
struct settle_rows {
    elementwise::table<const float> x;
    elementwise::table<const float> centroids;
    const choice* known; // (N,) at least one label
    label_t* assignment;
    double* squared_distances; // or nullptr

    PROTONCE_HOST_DEVICE void operator()(index_t row) const {
        label_t label = known[row].label;
        const label_t other = known[row].other;
        if (other != label) {
            const double distance = distance_to(row, label);
            const int order = compare_rounded(x.row(row), centroids.row(label), distance, centroids.row(other),
                                              distance_to(row, other), x.cols);
            label = order > 0 || (order == 0 && other < label) ? other : label;
        }
        assignment[row] = label;
        if (squared_distances != nullptr) {
            squared_distances[row] = distance_to(row, label);
        }
    }

private:
    PROTONCE_HOST_DEVICE double distance_to(index_t row, label_t label) const {
        return squared_distance(x.row(row), centroids.row(label), x.cols);
    }
};

} // namespace protonce::inline v0::detail::cuda

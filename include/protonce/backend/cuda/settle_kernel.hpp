// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/best_of_row.hpp>
#include <protonce/backend/elementwise/table.hpp>
#include <protonce/core/exact_distance.hpp>

#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// Of two labels the nearer one, in double, and in exact arithmetic where that cannot tell: an element a row.
struct settle_pairs {
    elementwise::table<const float> x;
    elementwise::table<const float> centroids;
    choice* known; // (N,)

    PROTONCE_HOST_DEVICE void operator()(index_t row) const {
        const choice mine = known[row];
        if (mine.other < 0 || mine.other == mine.label) {
            return;
        }
        const float* a = centroids.row(mine.label);
        const float* b = centroids.row(mine.other);
        const int order = compare_rounded(x.row(row), a, squared_distance(x.row(row), a, x.cols), b,
                                          squared_distance(x.row(row), b, x.cols), x.cols);
        const label_t label = order > 0 || (order == 0 && mine.other < mine.label) ? mine.other : mine.label;
        known[row] = {label, label};
    }
};

/// Labels and squared distances from what is known of each row, one label or nothing, a thread a row. Of a row of which nothing
/// is known the whole warp looks for the nearest centroid: a lane takes every 32nd one, then the lanes compare what they found, in
/// exact arithmetic where distances in double cannot tell.
struct settle_rows {
    static constexpr int threads = 128;
    static constexpr int warp = 32;

    elementwise::table<const float> x;
    elementwise::table<const float> centroids;
    const choice* known; // (N,)
    label_t* assignment;
    double* squared_distances; // or nullptr

    PROTONCE_DEVICE void operator()() const {
        const int lane = thread_index() % warp;
        const index_t row = index_t{block_index()} * threads + thread_index();
        const bool is_row = row < x.rows;
        const choice mine = is_row ? known[row] : choice{0, 0};
        index_t label = mine.label;
        std::uint32_t doubtful = mine.other < 0 ? std::uint32_t{1} << lane : 0; // a bit a lane
        for (int mask = 1; mask < warp; mask *= 2) {
            doubtful |= shuffle_xor(doubtful, mask);
        }
        for (int turn = 0; turn < warp; ++turn) {
            if ((doubtful >> turn & 1) != 0) {
                const index_t found = nearest_by_warp(x.row(row - lane + turn), lane);
                label = turn == lane ? found : label;
            }
        }
        if (is_row) {
            assignment[row] = static_cast<label_t>(label);
            if (squared_distances != nullptr) {
                squared_distances[row] = squared_distance(x.row(row), centroids.row(label), x.cols);
            }
        }
    }

private:
    /// The same in all lanes.
    PROTONCE_DEVICE index_t nearest_by_warp(const float* point, int lane) const {
        index_t label = -1; // of nothing: no centroid, or at distance NaN
        double distance = 0;
        if (lane < centroids.rows) {
            label = lane + warp * nearest_centroid(point, centroids.row(lane), ceil_div(centroids.rows - lane, warp),
                                                   centroids.cols, warp * centroids.stride);
            distance = squared_distance(point, centroids.row(label), centroids.cols);
            label = distance == distance ? label : -1;
        }
        for (int mask = 1; mask < warp; mask *= 2) {
            const index_t other = shuffle_xor(label, mask);
            const double other_distance = shuffle_xor(distance, mask);
            if (other < 0 || other == label) {
                continue;
            }
            const int order = label < 0 ? 1
                                        : compare_rounded(point, centroids.row(label), distance, centroids.row(other),
                                                          other_distance, centroids.cols);
            if (order > 0 || (order == 0 && other < label)) {
                label = other;
                distance = other_distance;
            }
        }
        return label < 0 ? 0 : label;
    }
};

} // namespace protonce::inline v0::detail::cuda

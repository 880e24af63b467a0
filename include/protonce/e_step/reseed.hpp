// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/e_step/support.hpp>

#include <algorithm>

namespace protonce::inline v0::detail {

template <class T>
double weight_of(vector_view<const T> host_weight, index_t row) {
    return host_weight.empty() ? 1.0 : static_cast<double>(host_weight[row]);
}

/// The row that the best donor gives away, taken off the donor's inertia and members; -1 if there is no donor.
template <backend B>
index_t give_row(B& be, vector_of<B, const value_of<B>> weight, vector_view<const value_of<B>> host_weight,
                 vector_of<B, const label_t> assignment, vector_of<B, const double> squared_distance,
                 vector_view<double> members, vector_view<double> inertia) {
    for (;;) {
        const auto largest = std::max_element(inertia.begin(), inertia.end());
        const index_t donor = largest - inertia.begin();
        if (!(*largest > 0)) {
            return -1;
        }
        const index_t row = be.farthest_in_segment(squared_distance, weight, assignment, static_cast<label_t>(donor));
        double distance = 0;
        if (row >= 0) {
            be.read(squared_distance.slice(row, 1), vector_view<double>(&distance, 1));
        }
        const double row_weight = row < 0 ? 0.0 : weight_of(host_weight, row);
        // With one member left, or only rounding left of the inertia, the cluster has nothing to give.
        if (!(distance > 0) || !(members[donor] - row_weight > 0)) {
            inertia[donor] = 0;
            continue;
        }
        members[donor] -= row_weight;
        inertia[donor] -= row_weight * distance;
        return row;
    }
}

/// Each empty cluster, in order, takes over the farthest row of the cluster of largest inertia, the lowest number among
/// equals. A donor has positive inertia, and weight left without that row. Without a donor the rest stay empty.
///
/// \param host_weight       weight as the host reads it, or empty
/// \param assignment        (N,) changed: rows that moved have their new cluster
/// \param squared_distance  (N,) changed: rows that moved have distance 0
/// \param members           (K,) total weight of each cluster, kept up to date
/// \param inertia           (K,) sum of weight * squared_distance of each cluster, changed
/// Returns how many rows moved. reads N labels and distances for each.
template <backend B>
index_t reseed_empty(B& be, vector_of<B, const value_of<B>> weight, vector_view<const value_of<B>> host_weight,
                     vector_of<B, label_t> assignment, vector_of<B, double> squared_distance,
                     vector_view<double> members, vector_view<double> inertia) {
    index_t moved = 0;
    for (index_t k = 0; k < members.size(); ++k) {
        if (members[k] != 0) {
            continue;
        }
        const index_t row = give_row(be, weight, host_weight, assignment, squared_distance, members, inertia);
        if (row < 0) {
            break;
        }
        be.fill(assignment.slice(row, 1), static_cast<label_t>(k));
        be.fill(squared_distance.slice(row, 1), 0.0);
        members[k] = weight_of(host_weight, row);
        inertia[k] = 0;
        ++moved;
    }
    return moved;
}

} // namespace protonce::inline v0::detail

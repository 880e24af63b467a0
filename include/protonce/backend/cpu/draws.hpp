// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/workspace.hpp>

#include <algorithm>
#include <cmath>

namespace protonce::inline v0::detail::cpu {

/// The columns of one ProtoNCE level: distinct clusters of the batch, ascending, then negatives from the others. No set and no table:
/// the r-th negative is a rank among the other clusters, and the rank is turned into an id by a binary search.
template <class T>
void draw_columns(workspace<host>& scratch, vector_view<const label_t> own, index_t pool, index_t num_negatives,
                  const rng_key& key, column_draw<T, host> out) {
    workspace<host>::scope scope(scratch);
    auto sorted = scope.vector<label_t>(own.size());
    std::copy(own.begin(), own.end(), sorted.begin());
    std::sort(sorted.begin(), sorted.end());
    index_t batch = 0;
    for (auto from = std::lower_bound(sorted.begin(), sorted.end(), label_t{0}); from != sorted.end(); ++batch) {
        const auto to = std::upper_bound(from, sorted.end(), *from);
        out.column_id[batch] = *from;
        if (!out.log_count.empty()) {
            out.log_count[batch] = static_cast<T>(std::log(static_cast<double>(to - from)));
        }
        from = to;
    }
    const index_t others = pool - batch;
    const index_t negatives = (std::min)(num_negatives, others);
    const random_permutation permutation(key, static_cast<std::uint64_t>((std::max<index_t>)(others, 1)));
    for (index_t r = 0; r < negatives; ++r) {
        const auto rank = static_cast<index_t>(permutation(static_cast<std::uint64_t>(r)));
        out.column_id[batch + r] = column_of_rank(rank, batch, out.column_id);
        if (!out.log_count.empty()) {
            out.log_count[batch + r] = T(0);
        }
    }
    out.column_count[0] = batch + negatives;
    out.batch_count[0] = batch;
}

} // namespace protonce::inline v0::detail::cpu

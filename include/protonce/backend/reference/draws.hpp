// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/rng.hpp>
#include <protonce/core/workspace.hpp>

#include <algorithm>
#include <cmath>

namespace protonce::inline v0::reference_detail {

/// rows_l: the first row where the running sum of values_i * weight_i, in row order, exceeds uniform_l * total. That
/// row raised the sum, so its product is positive. -1 for every draw if the total is 0 or not finite.
template <class T>
void draw_weighted(vector_view<const double> values, vector_view<const T> weight, vector_view<const double> uniform,
                   vector_view<index_t> rows) {
    const auto product = [&](index_t i) {
        return weight.empty() ? values[i] : values[i] * static_cast<double>(weight[i]);
    };
    double total = 0;
    for (index_t i = 0; i < values.size(); ++i) {
        total += product(i);
    }
    for (index_t l = 0; l < rows.size(); ++l) {
        rows[l] = -1;
        if (!check::is_positive(total)) {
            continue;
        }
        const double threshold = uniform[l] * total;
        double running = 0;
        for (index_t i = 0; i < values.size() && running <= threshold; ++i) {
            running += product(i);
            // Kept up to the end: in a subnormal total uniform * total can round up to the total itself.
            if (product(i) > 0) {
                rows[l] = i;
            }
        }
    }
}

/// The columns of one ProtoNCE level: the distinct clusters of the batch, ascending, then min(R_p, P - distinct) of the
/// other clusters. Those are numbered in ascending order, too; `random_permutation(key, P - distinct)` of 0, 1, 2, ...
/// says which are taken.
template <class T>
void draw_columns(workspace<host>& scratch, vector_view<const label_t> own, index_t num_columns, index_t num_negatives,
                  const rng_key& key, column_draw<T, host> out) {
    workspace<host>::scope scope(scratch);
    auto sorted = scope.vector<label_t>(own.size());
    std::copy(own.begin(), own.end(), sorted.begin());
    std::sort(sorted.begin(), sorted.end());

    index_t distinct = 0;
    for (index_t i = 0; i < sorted.size();) {
        index_t next = i + 1;
        while (next < sorted.size() && sorted[next] == sorted[i]) {
            ++next;
        }
        if (sorted[i] >= 0) {
            out.column_id[distinct] = sorted[i];
            if (!out.log_count.empty()) {
                out.log_count[distinct] = static_cast<T>(std::log(static_cast<double>(next - i)));
            }
            ++distinct;
        }
        i = next;
    }

    const index_t others = num_columns - distinct;
    const index_t drawn = (std::min)(num_negatives, others);
    const random_permutation permutation(key, static_cast<std::uint64_t>((std::max<index_t>)(others, 1)));
    for (index_t r = 0; r < drawn; ++r) {
        auto id = static_cast<index_t>(permutation(static_cast<std::uint64_t>(r)));
        // The id of that rank among the others: one up for each cluster of the batch at or before it.
        for (index_t k = 0; k < distinct && out.column_id[k] <= id; ++k) {
            ++id;
        }
        out.column_id[distinct + r] = id;
        if (!out.log_count.empty()) {
            out.log_count[distinct + r] = 0;
        }
    }
    out.column_count[0] = distinct + drawn;
    out.batch_count[0] = distinct;
}

} // namespace protonce::inline v0::reference_detail

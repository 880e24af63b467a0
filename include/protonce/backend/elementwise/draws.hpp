// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/elementwise/segments.hpp>
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/rng.hpp>
#include <protonce/core/workspace.hpp>

#include <cmath>
#include <cstdint>

namespace protonce::inline v0::detail::elementwise {

/// rows_l: the first row where the running sum of values_i weight_i exceeds uniform_l * total, always one that raises the sum; -1 for
/// every draw if the total is 0 or not finite. The sum runs by blocks.
template <class Run, class T>
void draw_weighted(Run& run, scratch_of<Run>& scratch, vector_view<const double, typename Run::space> given,
                   const T* weight, const double* uniform, vector_view<index_t, typename Run::space> rows) {
    scope_of<Run> scope(scratch);
    const blocks cut(given.size());
    const double* values = given.data();
    index_t* drawn = rows.data();
    double* before = scope.template vector<double>(cut.count + 1).data();
    const auto product = [=] PROTONCE_ON_DEVICE(index_t i) {
        return weight == nullptr ? values[i] : values[i] * static_cast<double>(weight[i]);
    };
    sums_before_blocks(run, cut, product, before);
    run.for_each(rows.size(), [=] PROTONCE_ON_DEVICE(index_t l) {
        const double all = before[cut.count];
        drawn[l] = -1;
        if (!check::is_positive(all)) {
            return;
        }
        const double aim = uniform[l] * all;
        index_t b = 0;
        while (b + 1 < cut.count && before[b + 1] <= aim) {
            ++b;
        }
        // Rounding may leave the running sum of the block below the aim: then the last row that raised it, or the first of a later
        // block. A block without such a row cannot be where `before` passed the aim, unless it is the last one.
        double running = before[b];
        for (; b < cut.count && drawn[l] < 0; ++b) {
            for (index_t i = cut.first(b); i < cut.last(b); ++i) {
                running += product(i);
                if (product(i) > 0) {
                    drawn[l] = i;
                    if (running > aim) {
                        break;
                    }
                }
            }
        }
        for (b = cut.count - 1; b >= 0 && drawn[l] < 0; --b) {
            for (index_t i = cut.last(b) - 1; i >= cut.first(b) && drawn[l] < 0; --i) {
                drawn[l] = product(i) > 0 ? i : -1;
            }
        }
    });
}

/// The columns of one ProtoNCE level: distinct clusters of the batch, ascending, then negatives from the others: the r-th is a rank
/// among these, which a binary search turns into an id.
template <class Run, class T>
void draw_columns(Run& run, scratch_of<Run>& scratch, const column_request<T, typename Run::space>& request) {
    scope_of<Run> scope(scratch);
    const index_t n = request.own.size();
    const std::uint32_t* key_of = sort_by_label(run, scratch, scope, request.own).key; // 1 + label, 0: none

    const blocks cut(n, 8); // counts come out the same in any order
    index_t* before = scope.template vector<index_t>(cut.count + 1).data();
    const auto is_head = [=] PROTONCE_ON_DEVICE(index_t i) -> index_t {
        return key_of[i] > 0 && (i == 0 || key_of[i] != key_of[i - 1]) ? 1 : 0;
    };
    sums_before_blocks(run, cut, is_head, before);

    const index_t pool = request.num_columns;
    const index_t num_negatives = request.num_negatives;
    const rng_key key = request.key;
    const index_t* step = data_of(request.step);
    index_t* id = request.out.column_id.data();
    T* log_count = data_of(request.out.log_count);
    index_t* column_count = request.out.column_count.data();
    index_t* batch_count = request.out.batch_count.data();
    run.for_each(cut.count, [=] PROTONCE_ON_DEVICE(index_t b) {
        index_t at = before[b];
        for (index_t i = cut.first(b); i < cut.last(b); ++i) {
            if (is_head(i) == 0) {
                continue;
            }
            id[at] = static_cast<index_t>(key_of[i]) - 1;
            if (log_count != nullptr) {
                index_t next = i + 1;
                while (next < n && key_of[next] == key_of[i]) {
                    ++next;
                }
                log_count[at] = static_cast<T>(std::log(static_cast<double>(next - i)));
            }
            ++at;
        }
    });
    run.for_each(1, [=] PROTONCE_ON_DEVICE(index_t) {
        const index_t batch = before[cut.count];
        const index_t others = pool - batch;
        batch_count[0] = batch;
        column_count[0] = batch + (num_negatives < others ? num_negatives : others);
    });
    run.for_each(num_negatives < pool ? num_negatives : pool, [=] PROTONCE_ON_DEVICE(index_t r) {
        const index_t batch = before[cut.count];
        const index_t others = pool - batch;
        if (r >= others) {
            return;
        }
        const random_permutation permutation(at_step(key, step), static_cast<std::uint64_t>(others));
        const auto rank = static_cast<index_t>(permutation(static_cast<std::uint64_t>(r)));
        id[batch + r] = column_of_rank(rank, batch, id);
        if (log_count != nullptr) {
            log_count[batch + r] = T(0);
        }
    });
}

} // namespace protonce::inline v0::detail::elementwise

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/elementwise/table.hpp>
#include <protonce/core/backend.hpp>
#include <protonce/core/exact_distance.hpp>
#include <protonce/core/workspace.hpp>

#include <concepts>

namespace protonce::inline v0::detail::elementwise {

/// norms_i = ||x_i||
template <class Run, class T>
void row_norms(Run& run, table<const T> x, T* norms) {
    run.for_each(x.rows, [=] PROTONCE_ON_DEVICE(index_t i) {
        norms[i] = static_cast<T>(std::sqrt(inner_product(x.row(i), x.row(i), x.cols)));
    });
}

/// unit_i = x_i / ||x_i||, a zero row stays zero; `unit` may be `x`, `norms` may be null.
template <class Run, class T>
void normalize_rows(Run& run, table<const T> x, table<T> unit, T* norms) {
    run.for_each(x.rows, [=] PROTONCE_ON_DEVICE(index_t i) {
        const double length = std::sqrt(inner_product(x.row(i), x.row(i), x.cols));
        for (index_t j = 0; j < x.cols; ++j) {
            unit(i, j) = length == 0 ? T(0) : static_cast<T>(static_cast<double>(x(i, j)) / length);
        }
        if (norms != nullptr) {
            norms[i] = static_cast<T>(length);
        }
    });
}

/// With u = x / ||x||:  dL/dx = (g - (g.u) u) / ||x||; `out` may be `gradient`.
template <class Run, class T>
void normalize_rows_gradient(Run& run, table<const T> unit, const T* norms, table<const T> gradient, table<T> out) {
    run.for_each(unit.rows, [=] PROTONCE_ON_DEVICE(index_t i) {
        const double along = inner_product(gradient.row(i), unit.row(i), unit.cols);
        const double length = static_cast<double>(norms[i]);
        for (index_t j = 0; j < unit.cols; ++j) {
            const double across =
                add_product(static_cast<double>(gradient(i, j)), -along, static_cast<double>(unit(i, j)));
            out(i, j) = length == 0 ? T(0) : static_cast<T>(across / length);
        }
    });
}

/// to_i = from_{ids_i}
template <class Run, class T>
void gather_rows(Run& run, table<const T> from, const index_t* ids, table<T> to) {
    const index_t cols = to.cols;
    run.for_each(to.rows * cols,
                 [=] PROTONCE_ON_DEVICE(index_t at) { to(at / cols, at % cols) = from(ids[at / cols], at % cols); });
}

/// to_{ids_i} = from_i, ids distinct
template <class Run, class T>
void scatter_rows(Run& run, table<const T> from, const index_t* ids, table<T> to) {
    const index_t cols = from.cols;
    run.for_each(from.rows * cols,
                 [=] PROTONCE_ON_DEVICE(index_t at) { to(ids[at / cols], at % cols) = from(at / cols, at % cols); });
}

/// mean_k = sum_k / count_k; rows with count_k = 0 stay as they are.
template <class Run, class T>
void mean_rows(Run& run, table<const double> sum, const double* count, table<T> mean) {
    const index_t cols = mean.cols;
    run.for_each(mean.rows * cols, [=] PROTONCE_ON_DEVICE(index_t at) {
        const index_t k = at / cols;
        if (count[k] != 0) {
            mean(k, at % cols) = static_cast<T>(sum(k, at % cols) / count[k]);
        }
    });
}

/// The winner among rows 0 to n - 1, or -1: `best(i, winner)` says whether row i goes before the lower-numbered `winner`, which may
/// be -1. Waits.
template <class Run, class F>
index_t first_best(Run& run, scratch_of<Run>& scratch, index_t n, const F& best) {
    scope_of<Run> scope(scratch);
    const blocks cut(n);
    index_t* found = scope.template vector<index_t>(cut.count + 1).data();
    run.for_each(cut.count, [=] PROTONCE_ON_DEVICE(index_t b) {
        index_t winner = -1;
        for (index_t i = cut.first(b); i < cut.last(b); ++i) {
            winner = best(i, winner) ? i : winner;
        }
        found[b] = winner;
    });
    run.for_each(1, [=] PROTONCE_ON_DEVICE(index_t) {
        index_t winner = -1;
        for (index_t b = 0; b < cut.count; ++b) {
            winner = found[b] >= 0 && best(found[b], winner) ? found[b] : winner;
        }
        found[cut.count] = winner;
    });
    index_t winner = -1;
    run.read(found + cut.count, &winner, 1);
    return winner;
}

/// Lowest row that holds NaN or infinity, -1 if there is none. Waits.
template <class Run, class T>
index_t first_nonfinite_row(Run& run, scratch_of<Run>& scratch, table<const T> x) {
    scope_of<Run> scope(scratch);
    bool* is_finite = scope.template vector<bool>(x.rows).data();
    run.for_each(x.rows, [=] PROTONCE_ON_DEVICE(index_t i) { is_finite[i] = all_finite(x.row(i), x.cols); });
    return first_best(run, scratch, x.rows,
                      [=] PROTONCE_ON_DEVICE(index_t i, index_t winner) { return winner < 0 && !is_finite[i]; });
}

/// f(m, sum_j value(m, j)) for every row, block by block.
template <class Run, class Value, class F>
void sum_rows(Run& run, scratch_of<Run>& scratch, index_t rows, index_t cols, const Value& value, const F& f) {
    scope_of<Run> scope(scratch);
    const blocks cut(cols);
    const table<double> part = scope.template matrix<double>(rows, cut.count);
    run.for_each(rows * cut.count, [=] PROTONCE_ON_DEVICE(index_t at) {
        const index_t m = at / cut.count;
        const index_t b = at % cut.count;
        double sum = 0;
        for (index_t j = cut.first(b); j < cut.last(b); ++j) {
            sum += value(m, j);
        }
        part(m, b) = sum;
    });
    run.for_each(rows, [=] PROTONCE_ON_DEVICE(index_t m) {
        double sum = 0;
        for (index_t b = 0; b < cut.count; ++b) {
            sum += part(m, b);
        }
        f(m, sum);
    });
}

/// last(), once.
template <class Run, class Last>
void at_the_end(Run& run, const Last& last) {
    if constexpr (!std::same_as<Last, nothing_more>) {
        run.for_each(1, [=] PROTONCE_ON_DEVICE(index_t) { last(); });
    }
}

/// The k = rows.cols rows of the bank with the largest inner products, compared in double: descending, lowest row first among
/// equals, NaN last.
template <class Run, class T>
void top_rows(Run& run, scratch_of<Run>& scratch, table<const T> queries, table<const T> bank, table<label_t> rows,
              table<T> similarity) {
    scope_of<Run> scope(scratch);
    const index_t k = rows.cols;
    const table<double> product = scope.template matrix<double>(queries.rows, k);
    run.for_each(queries.rows, [=] PROTONCE_ON_DEVICE(index_t i) {
        for (index_t j = 0; j < bank.rows; ++j) {
            const double value = inner_product(queries.row(i), bank.row(j), bank.cols);
            const auto goes_before = [&](index_t l) {
                return value > product(i, l) || (product(i, l) != product(i, l) && value == value);
            };
            const index_t filled = j < k ? j : k;
            if (filled == k && !goes_before(k - 1)) {
                continue;
            }
            index_t at = filled < k ? filled : k - 1;
            for (; at > 0 && goes_before(at - 1); --at) {
                product(i, at) = product(i, at - 1);
                rows(i, at) = rows(i, at - 1);
            }
            product(i, at) = value;
            rows(i, at) = static_cast<label_t>(j);
        }
        for (index_t l = 0; l < k; ++l) {
            similarity(i, l) = static_cast<T>(product(i, l));
        }
    });
}

} // namespace protonce::inline v0::detail::elementwise

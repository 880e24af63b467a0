// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/on_host.hpp>

#include <string_view>

namespace protonce::inline v0::detail {

/// The same values, not to be written: what an operation of the seam takes as input.
template <class T, memory_space S>
vector_view<const T, S> constant(vector_view<T, S> values) {
    return values;
}
template <class T, memory_space S>
matrix_view<const T, S> constant(matrix_view<T, S> rows) {
    return rows;
}

/// All values of a matrix whose rows follow each other without a gap.
template <class T, memory_space S>
vector_view<T, S> flat(matrix_view<T, S> rows) {
    return {rows.data(), rows.rows() * rows.cols()};
}

/// Copies rows of any stride into rows of any stride.
template <backend B>
void copy_rows(B& be, matrix_of<B, const value_of<B>> from, matrix_of<B> to) {
    if (from.stride() == from.cols() && to.stride() == to.cols()) {
        be.copy(vector_of<B, const value_of<B>>(flat(from)), flat(to));
        return;
    }
    for (index_t i = 0; i < from.rows(); ++i) {
        be.copy(from.row(i), to.row(i));
    }
}

/// Drops what an index remembers of earlier assignments, and seeds it with a guess of the next. Results never depend on
/// either, so a backend without them loses only time.
template <class Index>
void forget_history(Index& index) {
    if constexpr (requires { index.forget(); }) {
        index.forget();
    }
}
template <class Index>
void expect_more_searches(Index& index, bool more) {
    if constexpr (requires { index.expect_more(more); }) {
        index.expect_more(more);
    }
}
template <class Index, class Labels>
void hint_assignment(Index& index, Labels assignment) {
    if constexpr (requires { index.hint(assignment); }) {
        index.hint(assignment);
    }
}

/// Labels must lie in [-1, clusters).
template <backend B>
void check_labels(B& be, std::string_view function, std::string_view argument, vector_of<B, const label_t> labels,
                  index_t clusters) {
    workspace<host>::scope scope(be.host_scratch());
    const auto values = on_host<label_t>(be, scope, labels);
    for (index_t i = 0; i < values.size(); ++i) {
        if (values[i] < -1 || values[i] >= clusters) {
            check::fail_argument(function, argument,
                                 "must be a cluster in [0, " + check::text(clusters) + "), or -1 for none",
                                 check::text(values[i]) + " in row " + check::text(i));
        }
    }
}

} // namespace protonce::inline v0::detail

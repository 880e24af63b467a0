// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>

#include <concepts>

namespace protonce::inline v0::detail {

/// `values` where the host reads them: in place if it can, else a copy that lives as long as `scratch`.
template <class U, backend B>
vector_view<const U> on_host(B& be, workspace<host>::scope& scratch, vector_of<B, const U> values) {
    if constexpr (std::same_as<typename B::space, host>) {
        return values;
    } else {
        const auto copy = scratch.template vector<U>(values.size());
        be.read(values, copy);
        return copy;
    }
}

/// Rows where the host reads them.
template <class U, backend B>
matrix_view<const U> rows_on_host(B& be, workspace<host>::scope& scratch, matrix_of<B, const U> rows) {
    if constexpr (std::same_as<typename B::space, host>) {
        return rows;
    } else {
        const auto copy = scratch.template matrix<U>(rows.rows(), rows.cols());
        if (rows.stride() == rows.cols()) {
            be.read(vector_of<B, const U>(rows.data(), rows.rows() * rows.cols()),
                    vector_view<U>(copy.data(), rows.rows() * rows.cols()));
            return copy;
        }
        for (index_t i = 0; i < rows.rows(); ++i) {
            be.read(rows.row(i), copy.row(i));
        }
        return copy;
    }
}

} // namespace protonce::inline v0::detail

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>

#include <concepts>
#include <string_view>

namespace protonce::inline v0 {

struct normalize_report {
    index_t zero_rows = -1; // rows of norm 0; -1 where the backend's memory is not the host's (the norms tell)
};

/// Rows of norm 1: u_i = x_i / ||x_i||. A row of norm 0 stays 0 and is counted.
///
/// \param rows   (B, C)
/// \param unit   (B, C)  overwritten; may be the view `rows`
/// \param norms  (B,)    optional, overwritten: ||x_i||, which normalize_rows_gradient() reads
/// \throws shape_error     the views do not go together
/// \throws argument_error  NaN or infinity in rows
/// Synchronises: no, but for the check of finite rows.  Scratch: B values if norms are not given.
/// Reproducible: bitwise.
template <backend B>
normalize_report normalize_rows(B& be, matrix_of<B, const value_of<B>> rows, matrix_of<B> unit,
                                vector_of<B> norms = {}) {
    check::matrix("normalize_rows", "rows", rows);
    check::equal_shape("normalize_rows", "rows", rows, "unit", unit);
    check::optional_size("normalize_rows", "norms", norms, rows.rows());
    check::finite_rows(be, "normalize_rows", "rows", rows);

    normalize_report report;
    if constexpr (std::same_as<typename B::space, host>) {
        typename workspace<typename B::space>::scope scratch(be.scratch());
        if (norms.empty()) {
            norms = scratch.template vector<value_of<B>>(rows.rows());
        }
        be.normalize_rows(rows, unit, norms);
        report.zero_rows = 0;
        for (index_t i = 0; i < norms.size(); ++i) {
            report.zero_rows += norms[i] == value_of<B>{0} ? 1 : 0;
        }
    } else {
        be.normalize_rows(rows, unit, norms);
    }
    return report;
}

/// What normalize_rows() delivered, and the gradient to it.
template <backend B>
struct normalize_gradient_inputs {
    matrix_of<B, const value_of<B>> unit{};      // (B, C)
    vector_of<B, const value_of<B>> norms{};     // (B,)
    matrix_of<B, const value_of<B>> grad_unit{}; // (B, C) dL/du
};

/// The gradient through normalize_rows():  dL/dx = (g - (g.u) u) / ||x||,  g = dL/du;  0 for a row of norm 0.
///
/// \param grad_rows  (B, C)  overwritten; may be the view `grad_unit`
/// \throws shape_error     the views do not go together
/// \throws argument_error  NaN or infinity in unit or grad_unit
/// Synchronises: no, but for the check of finite rows.  Scratch: none.  Reproducible: bitwise.
template <backend B>
void normalize_rows_gradient(B& be, const normalize_gradient_inputs<B>& inputs, matrix_of<B> grad_rows) {
    constexpr std::string_view function = "normalize_rows_gradient";
    check::matrix(function, "unit", inputs.unit);
    check::size(function, "norms", inputs.norms, inputs.unit.rows());
    check::equal_shape(function, "unit", inputs.unit, "grad_unit", inputs.grad_unit);
    check::equal_shape(function, "unit", inputs.unit, "grad_rows", grad_rows);
    check::finite_rows(be, function, "unit", inputs.unit);
    check::finite_rows(be, function, "grad_unit", inputs.grad_unit);

    be.normalize_rows_gradient(inputs.unit, inputs.norms, inputs.grad_unit, grad_rows);
}

} // namespace protonce::inline v0

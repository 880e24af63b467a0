// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/rng.hpp>
#include <protonce/m_step/reduction.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

namespace protonce::inline v0 {

struct negative_prototypes_options {
    index_t num_negatives = 16384; // R_p, at most; fewer if the batch leaves fewer
    std::uint64_t seed = 0;
    std::uint64_t step = 0;  // of training: another one draws others
    std::uint32_t level = 0; // which clustering of several
};

/// Known where the backend's memory is the host's; -1 elsewhere, where column_count - batch_count says it without
/// waiting.
struct negative_prototypes_report {
    index_t num_negatives = -1; // drawn
    bool clamped = false;       // fewer than asked for
};

namespace detail {

/// The most columns a batch can use: its own prototypes and the negatives, none twice.
constexpr index_t column_capacity(index_t rows, index_t num_prototypes, index_t num_negatives) {
    return (std::min)(num_prototypes, rows + (std::min)(num_prototypes, num_negatives));
}

/// Every prototype of the batch must exist. Looked at where that needs no waiting, in host memory.
template <backend B>
void check_own(std::string_view function, std::string_view argument, vector_of<B, const label_t> own,
               index_t num_prototypes) {
    if constexpr (std::same_as<typename B::space, host>) {
        for (index_t i = 0; i < own.size(); ++i) {
            if (own[i] < -1 || own[i] >= num_prototypes) {
                check::fail_argument(function, argument,
                                     "must lie in [-1, " + check::text(num_prototypes - 1) +
                                         "] for every row of the batch",
                                     check::text(own[i]) + " for row " + check::text(i));
            }
        }
    }
}

/// Room for the columns of a batch; views that are not given pass if `optional`.
template <backend B>
void check_column_draw(std::string_view function, std::string_view argument,
                       const column_draw<value_of<B>, typename B::space>& out, index_t capacity, bool optional) {
    const auto has_room = [&](index_t size, bool given, std::string_view member, index_t needed) {
        if ((given || !optional) && size < needed) {
            std::string name(argument);
            name.append(name.empty() ? "" : ".").append(member);
            check::fail_shape(function, name, "must hold at least " + check::text(needed) + " values",
                              check::text(size));
        }
    };
    const auto is_given = [](const auto& view) { return view.size() != 0 || view.data() != nullptr; };
    check::well_formed(function, argument, out.column_id);
    check::well_formed(function, argument, out.log_count);
    check::well_formed(function, argument, out.column_count);
    check::well_formed(function, argument, out.batch_count);
    has_room(out.column_id.size(), is_given(out.column_id), "column_id", capacity);
    has_room(out.column_count.size(), is_given(out.column_count), "column_count", 1);
    has_room(out.batch_count.size(), is_given(out.batch_count), "batch_count", 1);
    if (is_given(out.log_count)) {
        has_room(out.log_count.size(), true, "log_count", capacity);
    }
}

template <backend B>
negative_prototypes_report read_counts([[maybe_unused]] vector_of<B, const index_t> column_count,
                                       [[maybe_unused]] vector_of<B, const index_t> batch_count,
                                       [[maybe_unused]] index_t asked) {
    negative_prototypes_report report;
    if constexpr (std::same_as<typename B::space, host>) {
        report.num_negatives = column_count[0] - batch_count[0];
        report.clamped = report.num_negatives < asked;
    }
    return report;
}

} // namespace detail

/// The prototypes that a batch is contrasted with: its own, each once, and others drawn without replacement (Li et al.
/// 2021, section 3.2: r negative prototypes; here for the whole batch, as in the authors' program).
///
/// The draw is a pure function of its arguments: the same on every machine, for any number of threads, on host and
/// device.
///
/// \param own             (B,) prototype of each row, in [0, num_prototypes); -1: none
/// \param num_prototypes  K
/// \param out             column_id: min(K, B + R_p) values or more, the batch's distinct prototypes ascending, then
///                        the negatives, in the order drawn; log_count: optional, as many; column_count, batch_count:
///                        (1,). What lies behind is left as it is.
/// \param step            (1,) the step number in the backend's memory, instead of options.step; or empty
/// \throws shape_error     an output is too small
/// \throws argument_error  a row's prototype out of range, a negative step (looked at in host memory); num_negatives
///                         negative; K < 1
/// Synchronises: no.  Scratch: O(B).
template <backend B>
negative_prototypes_report draw_negative_prototypes(B& be, vector_of<B, const label_t> own, index_t num_prototypes,
                                                    const negative_prototypes_options& options,
                                                    const column_draw<value_of<B>, typename B::space>& out,
                                                    vector_of<B, const index_t> step = {}) {
    constexpr std::string_view function = "draw_negative_prototypes";
    check::given(function, "own", own);
    check::in_range(function, "num_prototypes", static_cast<double>(num_prototypes), 1.0,
                    static_cast<double>((std::numeric_limits<label_t>::max)()));
    check::at_least<index_t>(function, "num_negatives", options.num_negatives, 0);
    detail::check_own<B>(function, "own", own, num_prototypes);
    const index_t capacity = detail::column_capacity(own.size(), num_prototypes, options.num_negatives);
    detail::check_column_draw<B>(function, "", out, capacity, false);
    detail::check_step<B>(function, step);

    const column_request<value_of<B>, typename B::space> request{.own = own,
                                                                 .num_columns = num_prototypes,
                                                                 .num_negatives = options.num_negatives,
                                                                 .key = {.seed = options.seed,
                                                                         .step = options.step,
                                                                         .level = options.level,
                                                                         .purpose = draw_purpose::negative_prototypes},
                                                                 .step = step,
                                                                 .out = out};
    be.draw_columns({&request, 1});
    return detail::read_counts<B>(out.column_count, out.batch_count, options.num_negatives);
}

} // namespace protonce::inline v0

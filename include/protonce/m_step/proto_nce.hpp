// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/m_step/proto_nce_arguments.hpp>
#include <protonce/m_step/proto_nce_problems.hpp>

#include <span>

namespace protonce::inline v0 {

/// ProtoNCE: a query must find the prototype of its cluster among others, at each granularity (Li et al. 2021, eq. 11).
///
///     l_i = ln( sum_j w_j e^{q_i.c_j/phi_j} ) - q_i.c_s/phi_s,   s the cluster of sample i, at one level
///     L   = mean over the levels of the mean of l_i over the rows that have a cluster there
///
/// j runs over the batch's own prototypes, each once, and the negatives (`proto_nce_options::negatives`); w_j is the
/// number of rows of the batch that share prototype j with reference_compatible, else 1. Each column has its own
/// temperature, the concentration phi_j. The default differs from the authors' program, where a row is
/// charged for every other row of the batch that shares its prototype.
///
/// A sample without a cluster (assignment -1) has no term at that level and is not in its mean; a level without any has
/// loss 0. With reduction::sum L is the mean over the levels of the sums, with reduction::none (B,) means over the
/// levels, 0 where there is no term.
///
/// Outputs are overwritten (see `accumulate`) and must not overlap the inputs; an empty one is not computed.
/// \throws shape_error     views that do not go together
/// \throws argument_error  NaN or infinity in query or prototypes; a temperature not positive and finite; a sample or
///                         assignment out of range; given ids out of range, repeated, or of the batch (values of
///                         vectors: looked at in host memory)
/// Synchronises: no, but for the check of finite features.  Reproducible: bitwise.
/// Scratch: O(M (B + R_p) + max K), and the backend's tiles.
template <backend B>
proto_nce_report proto_nce(B& be, const proto_nce_inputs<B>& inputs, const proto_nce_options& options,
                           const proto_nce_outputs<B>& outputs) {
    typename workspace<typename B::space>::scope scratch(be.scratch());
    workspace<host>::scope host_scratch(be.host_scratch());
    auto rows = detail::check_proto_nce(be, scratch, "proto_nce", inputs, options, 1.0, outputs);

    const auto problems = detail::take_problems<B>(host_scratch, inputs.levels.size());
    const auto report = detail::proto_nce_problems(be, scratch, host_scratch, rows, inputs, options, 1.0,
                                                   outputs.accumulate, outputs, problems);
    be.softmax_contrast(std::span<const detail::problem_of<B>>(problems));
    detail::reduce_proto_nce(be, rows, options.reduction, outputs);
    return report;
}

} // namespace protonce::inline v0

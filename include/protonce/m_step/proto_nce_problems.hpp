// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/rng.hpp>
#include <protonce/m_step/negative_prototypes.hpp>
#include <protonce/m_step/proto_nce_arguments.hpp>
#include <protonce/m_step/proto_nce_rows.hpp>
#include <protonce/m_step/reduction.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

/// ProtoNCE as problems of softmax_contrast, one for each level: what proto_nce() and m_step() share.
namespace protonce::inline v0::detail {

template <backend B>
using problem_of = contrast<value_of<B>, typename B::space>;
template <backend B>
using request_of = column_request<value_of<B>, typename B::space>;

/// `count` default-constructed objects, in host memory that nothing but the scope owns.
template <class U>
std::span<U> take_objects(workspace<host>::scope& host_scratch, std::size_t count) {
    const auto memory = host_scratch.template vector<U>(static_cast<index_t>(count));
    for (std::size_t i = 0; i < count; ++i) {
        ::new (memory.data() + i) U{};
    }
    return {memory.data(), count};
}

template <backend B>
std::span<problem_of<B>> take_problems(workspace<host>::scope& host_scratch, std::size_t count) {
    return take_objects<problem_of<B>>(host_scratch, count);
}

/// An element a given negative: behind the batch's own columns, if there is room.
template <class T>
struct append_column {
    const index_t* from;
    const index_t* batch_count;
    index_t capacity;
    index_t* id;
    T* log_count; // or null

    PROTONCE_HOST_DEVICE void operator()(index_t r) const {
        const index_t at = batch_count[0] + r;
        if (at < capacity) {
            id[at] = from[r];
            if (log_count != nullptr) {
                log_count[at] = T(0);
            }
        }
    }
};

/// How many columns there are then.
struct count_columns {
    const index_t* batch_count;
    index_t given;
    index_t capacity;
    index_t* column_count;

    PROTONCE_HOST_DEVICE void operator()(index_t) const {
        const index_t all = batch_count[0] + given;
        column_count[0] = all < capacity ? all : capacity;
    }
};

/// Puts given negatives behind the batch's own columns; never more than there is room for.
template <backend B>
void append_columns(B& be, vector_of<B, const index_t> given, index_t capacity,
                    const column_draw<value_of<B>, typename B::space>& columns) {
    const index_t* batch_count = columns.batch_count.data();
    be.for_each(given.size(), append_column<value_of<B>>{given.data(), batch_count, capacity, columns.column_id.data(),
                                                         data_of(columns.log_count)});
    be.for_each(1, count_columns{batch_count, given.size(), capacity, columns.column_count.data()});
}

/// What to draw for level m, into the caller's views or scratch: the batch's own columns alone where negatives are given.
template <backend B>
request_of<B> request_of_level(typename workspace<typename B::space>::scope& scratch, std::size_t m,
                               vector_of<B, const label_t> own, const proto_nce_inputs<B>& in,
                               const proto_nce_options& options, const proto_nce_outputs<B>& out) {
    const index_t num_prototypes = in.levels[m].prototypes.rows();
    const bool drawn = in.negative_id.empty();
    const index_t asked = drawn ? options.num_negatives : in.negative_id[m].size();
    const index_t capacity = column_capacity(own.size(), num_prototypes, asked);

    auto columns = out.columns.empty() ? column_draw<value_of<B>, typename B::space>{} : out.columns[m];
    const bool weighted = options.negatives == negatives::reference_compatible;
    columns.column_id = given_or_scratch(scratch, columns.column_id, true, capacity).slice(0, capacity);
    columns.log_count = given_or_scratch(scratch, columns.log_count, weighted, capacity);
    if (!columns.log_count.empty()) {
        columns.log_count = columns.log_count.slice(0, capacity);
    }
    columns.column_count = given_or_scratch(scratch, columns.column_count, true, 1);
    columns.batch_count = given_or_scratch(scratch, columns.batch_count, true, 1);
    return {.own = own,
            .num_columns = num_prototypes,
            .num_negatives = drawn ? asked : 0,
            .key = {.seed = options.seed,
                    .step = options.step,
                    .level = static_cast<std::uint32_t>(m),
                    .purpose = draw_purpose::negative_prototypes},
            .step = in.step,
            .out = columns};
}

/// The columns of every level, drawn in one call or given: `out` of the result, whose every member is there but perhaps
/// log_count. None with negatives::all.
template <backend B>
std::span<const request_of<B>> columns_of_levels(B& be, typename workspace<typename B::space>::scope& scratch,
                                                 workspace<host>::scope& host_scratch, matrix_of<B, const label_t> own,
                                                 const proto_nce_inputs<B>& in, const proto_nce_options& options,
                                                 const proto_nce_outputs<B>& out) {
    if (options.negatives == negatives::all) {
        return {};
    }
    const auto requests = take_objects<request_of<B>>(host_scratch, in.levels.size());
    for (std::size_t m = 0; m < requests.size(); ++m) {
        requests[m] = request_of_level<B>(scratch, m, own.row(static_cast<index_t>(m)), in, options, out);
    }
    be.draw_columns(std::span<const request_of<B>>(requests));
    for (std::size_t m = 0; m < in.negative_id.size(); ++m) {
        append_columns<B>(be, in.negative_id[m], requests[m].out.column_id.size(), requests[m].out);
    }
    return requests;
}

/// Fills `problems`, one a level. All of them add to one grad_query; the first overwrites it unless `adds_to_query`.
///
/// \param rows  as check_proto_nce() delivers them; the members that are not there yet are filled
template <backend B>
proto_nce_report proto_nce_problems(B& be, typename workspace<typename B::space>::scope& scratch,
                                    workspace<host>::scope& host_scratch, proto_nce_rows<B>& rows,
                                    const proto_nce_inputs<B>& in, const proto_nce_options& options, double weight,
                                    bool adds_to_query, const proto_nce_outputs<B>& out,
                                    std::span<problem_of<B>> problems) {
    using T = value_of<B>;
    const index_t num_levels = rows.own.rows();
    const bool wants_loss = !out.loss.empty() || !out.loss_per_level.empty();
    rows.loss = given_or_scratch(scratch, out.loss_per_row, wants_loss, num_levels, rows.own.cols());
    rows.top1 = given_or_scratch(scratch, out.top1, !out.accuracy_per_level.empty(), num_levels, rows.own.cols());
    const auto requests =
        columns_of_levels(be, scratch, host_scratch, matrix_of<B, const label_t>(rows.own), in, options, out);
    proto_nce_report report;
    for (std::size_t m = 0; m < problems.size(); ++m) {
        const auto level_number = static_cast<index_t>(m);
        const auto& level = in.levels[m];
        auto& problem = problems[m];
        problem.query = in.query;
        problem.columns = level.prototypes;
        problem.own = rows.own.row(level_number);
        problem.packed_pool = level.packed;
        problem.temperature = level.temperatures;
        if (options.reduction == reduction::mean) {
            problem.row_scale = rows.scale.slice(level_number, 1);
        } else {
            problem.row_factor = weight / static_cast<double>(num_levels);
            problem.row_scale = in.upstream;
        }

        negative_prototypes_report used{.num_negatives = level.prototypes.rows() - 1, .clamped = false};
        if (options.negatives != negatives::all) {
            const auto& columns = requests[m].out;
            const index_t asked = in.negative_id.empty() ? options.num_negatives : in.negative_id[m].size();
            problem.column_id = columns.column_id;
            problem.column_count = columns.column_count;
            problem.own_count = columns.batch_count;
            if (options.negatives == negatives::reference_compatible) {
                problem.log_weight = columns.log_count;
            }
            used = read_counts<B>(columns.column_count, columns.batch_count, asked);
        }
        report.num_negatives = m == 0 ? used.num_negatives : (std::min)(report.num_negatives, used.num_negatives);
        report.clamped = report.clamped || used.clamped;

        problem.loss = rows.loss.empty() ? vector_of<B>{} : rows.loss.row(level_number);
        problem.top1 = rows.top1.empty() ? vector_of<B>{} : rows.top1.row(level_number);
        problem.grad_query = out.grad_query;
        if (!out.grad_prototypes.empty()) {
            problem.grad_columns = out.grad_prototypes[m];
        }
        if (!out.grad_temperatures.empty()) {
            problem.grad_temperature = out.grad_temperatures[m];
        }
        problem.accumulate = out.accumulate || m > 0 || adds_to_query;
        if (problem.accumulate && !out.accumulate) {
            // Adding to grad_query must not mean adding to what the level's own gradients held.
            if (!problem.grad_columns.empty()) {
                fill_rows(be, problem.grad_columns, T{0});
            }
            if (!problem.grad_temperature.empty()) {
                be.fill(problem.grad_temperature, T{0});
            }
        }
    }
    return report;
}

/// What the solved problems say, as the outputs ask for it.
template <backend B>
void reduce_proto_nce(B& be, const proto_nce_rows<B>& rows, reduction how, const proto_nce_outputs<B>& out) {
    using T = value_of<B>;
    const index_t num_levels = rows.own.rows();
    const double levels = static_cast<double>(num_levels);
    const double* participants = rows.participants.data();
    typename workspace<typename B::space>::scope scratch(be.scratch());
    const bool wants_one = !out.loss.empty() && how != reduction::none; // a mean or a sum
    const bool wants_sums = wants_one || !out.loss_per_level.empty();
    const auto losses = matrix_of<B, const T>(wants_sums ? rows.loss : matrix_of<B>{});
    const auto top1 = matrix_of<B, const T>(out.accuracy_per_level.empty() ? matrix_of<B>{} : rows.top1);
    const auto mean = given_or_scratch(scratch, out.loss_per_level, wants_one && how == reduction::mean, num_levels);
    const auto sum = scratch.template vector<double>(how == reduction::sum ? num_levels : 0);
    const auto sum_all = [&](const auto& last) {
        be.sum_rows(losses.rows() + top1.rows(), rows.own.cols(), stacked_rows<T>(losses, top1),
                    either_part<mean_of_level<T>>{losses.rows(),
                                                  {participants, data_of(mean), data_of(sum)},
                                                  {participants, out.accuracy_per_level.data(), nullptr}},
                    last);
    };
    const mean_to<T> into_loss{levels, out.accumulate, out.loss.data()};
    if (wants_one && how == reduction::mean) {
        sum_all(sum_at_the_end<T, mean_to<T>>{mean.data(), num_levels, into_loss});
    } else if (wants_one) {
        sum_all(sum_at_the_end<double, mean_to<T>>{sum.data(), num_levels, into_loss});
    } else if (wants_sums || !top1.empty()) {
        sum_all(nothing_more{});
    }
    if (!out.loss.empty() && how == reduction::none) {
        be.for_each(rows.own.cols(), mean_over_levels<T>{rows.loss.data(), rows.loss.stride(), num_levels,
                                                         out.accumulate, out.loss.data()});
    }
}

} // namespace protonce::inline v0::detail

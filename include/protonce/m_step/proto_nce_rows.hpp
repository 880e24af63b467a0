// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/prototype_level.hpp>
#include <protonce/m_step/reduction.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

/// ProtoNCE's numbers for each level and row of the batch. All levels lie in one matrix, so that one operation serves them all.
namespace protonce::inline v0::detail {

template <backend B>
struct proto_nce_rows {
    matrix_of<B, label_t> own{};         // (M, B) prototype of each row; -1: none, the row has no term at that level
    vector_of<B, double> participants{}; // (M,) rows that have a term
    vector_of<B> scale{};                // (M,) for a mean: dL/dl_i of these
    matrix_of<B> loss{};                 // (M, B), or empty: not wanted
    matrix_of<B> top1{};                 // (M, B), likewise
};

/// For sum_rows, a row a level: the label of the batch's sample, -1 for a sample of -1, and 1 where there is one.
struct find_label {
    static constexpr index_t most_levels = 8; // a kernel's arguments have a size that is known when it is compiled
    const label_t* assignment[most_levels];
    const index_t* sample;
    label_t* own;
    index_t stride;

    PROTONCE_HOST_DEVICE double operator()(index_t m, index_t i) const {
        const index_t id = sample[i];
        const label_t label = id < 0 ? label_t{-1} : assignment[m][id];
        own[m * stride + i] = label;
        return label < 0 ? 0 : 1;
    }
};

/// For sum_rows of find_label: how many rows have a term at a level and, for a mean over them and the levels, how much each of
/// their losses counts.
template <class T>
struct count_participants {
    double weight;
    double levels;
    const T* upstream; // (1,), or null: 1
    double* participants;
    T* scale; // (M,), or null: not for a mean

    PROTONCE_HOST_DEVICE void operator()(index_t m, double count) const {
        participants[m] = count;
        if (scale != nullptr) {
            const double all = upstream == nullptr ? weight : static_cast<double>(scaled(weight, upstream[0]));
            scale[m] = quotient<T>(all, levels * count);
        }
    }
};

/// The prototypes of the rows at every level, and how many rows take part.
///
/// \param weight  of the loss
template <backend B>
proto_nce_rows<B> find_own(B& be, typename workspace<typename B::space>::scope& scratch,
                           std::span<const prototype_level<value_of<B>, typename B::space>> levels,
                           vector_of<B, const index_t> sample, double weight, reduction how,
                           vector_of<B, const value_of<B>> upstream) {
    using T = value_of<B>;
    const index_t rows = sample.size();
    const auto num_levels = static_cast<index_t>(levels.size());
    proto_nce_rows<B> out{.own = scratch.template matrix<label_t>(num_levels, rows),
                          .participants = scratch.template vector<double>(num_levels),
                          .scale = scratch.template vector<T>(how == reduction::mean ? num_levels : 0)};
    for (index_t first = 0; first < num_levels; first += find_label::most_levels) {
        const index_t count = (std::min)(find_label::most_levels, num_levels - first);
        find_label find{
            .assignment = {}, .sample = sample.data(), .own = out.own.row(first).data(), .stride = out.own.stride()};
        for (index_t m = 0; m < count; ++m) {
            find.assignment[m] = levels[static_cast<std::size_t>(first + m)].assignment.data();
        }
        be.sum_rows(count, rows, find,
                    count_participants<T>{.weight = weight,
                                          .levels = static_cast<double>(num_levels),
                                          .upstream = data_of(upstream),
                                          .participants = out.participants.data() + first,
                                          .scale = out.scale.empty() ? nullptr : out.scale.data() + first},
                    nothing_more{});
    }
    return out;
}

/// For sum_rows of what a level's rows have: the mean over those that take part.
template <class T>
struct mean_of_level {
    const double* participants;
    T* mean;     // (M,), or null
    double* all; // (M,), or null: the sum itself

    PROTONCE_HOST_DEVICE void operator()(index_t m, double sum) const {
        if (mean != nullptr) {
            mean[m] = quotient<T>(sum, participants[m]);
        }
        if (all != nullptr) {
            all[m] = sum;
        }
    }
};

/// For sum_rows: the rows of one matrix and then those of another.
template <class T>
struct stacked_rows {
    value_in_rows<T> upper;
    value_in_rows<T> lower;
    index_t upper_rows;

    template <memory_space S>
    stacked_rows(matrix_view<const T, S> above, matrix_view<const T, S> below)
        : upper{above.data(), above.stride()}, lower{below.data(), below.stride()}, upper_rows(above.rows()) {}

    PROTONCE_HOST_DEVICE double operator()(index_t m, index_t j) const {
        return m < upper_rows ? upper(m, j) : lower(m - upper_rows, j);
    }
};
/// For sum_rows of these: what is done with the sums of either.
template <class F>
struct either_part {
    index_t upper_rows;
    F upper;
    F lower;

    PROTONCE_HOST_DEVICE void operator()(index_t m, double sum) const {
        m < upper_rows ? upper(m, sum) : lower(m - upper_rows, sum);
    }
};

/// At the end of sum_rows: f(sum of `count` of the values that are there then).
template <class U, class F>
struct sum_at_the_end {
    const U* values;
    index_t count;
    F f;

    PROTONCE_HOST_DEVICE void operator()() const {
        double sum = 0;
        for (index_t m = 0; m < count; ++m) {
            sum += static_cast<double>(values[m]);
        }
        f(sum);
    }
};

/// An element a row: the mean of its losses over the levels, added one after the other.
template <class T>
struct mean_over_levels {
    const T* loss;
    index_t stride;
    index_t num_levels;
    bool accumulate;
    T* out;

    PROTONCE_HOST_DEVICE void operator()(index_t i) const {
        const double share = 1.0 / static_cast<double>(num_levels);
        T sum = weighted_sum(share, loss[i], accumulate ? 1.0 : 0.0, out[i]);
        for (index_t m = 1; m < num_levels; ++m) {
            sum = weighted_sum(share, loss[m * stride + i], 1.0, sum);
        }
        out[i] = sum;
    }
};

} // namespace protonce::inline v0::detail

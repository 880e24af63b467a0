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
    matrix_of<B> takes_part{};           // (M, B) 1, or 0 where there is none
    vector_of<B, double> participants{}; // (M,) rows that have a term
    matrix_of<B> loss{};                 // (M, B), or empty: not wanted
    matrix_of<B> top1{};                 // (M, B), likewise
};

/// An element a level and row: the label of the row's sample, -1 for a sample of -1, and whether there is one.
template <class T>
struct gather_own {
    static constexpr index_t most_levels = 8; // a kernel's arguments have a size that is known when it is compiled
    const label_t* assignment[most_levels];
    const index_t* sample;
    index_t rows;
    label_t* own;
    T* takes_part;

    PROTONCE_HOST_DEVICE void operator()(index_t at) const {
        const index_t id = sample[at % rows];
        const label_t label = id < 0 ? label_t{-1} : assignment[at / rows][id];
        own[at] = label;
        takes_part[at] = label < 0 ? T(0) : T(1);
    }
};

/// The prototypes of the rows at every level, and which rows take part.
template <backend B>
proto_nce_rows<B> find_own(B& be, typename workspace<typename B::space>::scope& scratch,
                           std::span<const prototype_level<value_of<B>, typename B::space>> levels,
                           vector_of<B, const index_t> sample) {
    using T = value_of<B>;
    const index_t rows = sample.size();
    const auto num_levels = static_cast<index_t>(levels.size());
    proto_nce_rows<B> out{.own = scratch.template matrix<label_t>(num_levels, rows),
                          .takes_part = scratch.template matrix<T>(num_levels, rows)};
    for (index_t first = 0; first < num_levels; first += gather_own<T>::most_levels) {
        const index_t count = (std::min)(gather_own<T>::most_levels, num_levels - first);
        gather_own<T> gather{.assignment = {},
                             .sample = sample.data(),
                             .rows = rows,
                             .own = out.own.row(first).data(),
                             .takes_part = out.takes_part.row(first).data()};
        for (index_t m = 0; m < count; ++m) {
            gather.assignment[m] = levels[static_cast<std::size_t>(first + m)].assignment.data();
        }
        be.for_each(count * rows, gather);
    }
    return out;
}

/// For sum_rows of takes_part: how many rows have a term at a level and, for a mean over them and the levels, how much each of
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
            const double all =
                upstream == nullptr ? weight : static_cast<double>(weighted_sum(weight, upstream[0], 0.0, T(0)));
            scale[m] = quotient<T>(all, levels * count);
        }
    }
};

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

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/fill_cycle.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/m_step/reduction.hpp>

#include <algorithm>

/// What a problem of softmax_contrast reads that is a number or a count: all of it written at once, for a launch costs a device as much
/// as the sums of a small batch.
namespace protonce::inline v0::detail {

template <class T>
struct write_constants {
    scale_upstream<T> row_scale;
    index_t num_scales;
    T option;
    T* temperature; // or null
    index_t rows;
    index_t first_own;
    label_t* own;  // or null
    label_t* self; // or null

    PROTONCE_HOST_DEVICE void operator()(index_t i) const {
        if (i < num_scales) {
            row_scale(i);
        }
        if (i == 0 && temperature != nullptr) {
            temperature[0] = option;
        }
        if (own != nullptr) {
            cycle_element{first_own, rows, own}(i);
        }
        if (self != nullptr) {
            cycle_element{0, rows, self}(i);
        }
    }
};

/// What a loss wants of its problem.
template <backend B>
struct problem_constants {
    double temperature = 1;
    vector_of<B, const value_of<B>> learned{};  // (1,) or empty: overrides the temperature
    double factor = 1;                          // dL/dl_i of each row
    vector_of<B, const value_of<B>> upstream{}; // (1,), (rows,) or empty: times this
    bool has_own = false;                       // own_i = (first_own + i) mod rows
    index_t first_own = 0;
    bool has_self = false; // self_i = i
};

/// Fills the problem's temperature, row_scale, and own and self if they are wanted; its query says how many rows there are.
template <backend B>
void add_constants(B& be, typename workspace<typename B::space>::scope& scratch, const problem_constants<B>& wanted,
                   contrast<value_of<B>, typename B::space>& problem) {
    using T = value_of<B>;
    using labels = vector_of<B, label_t>;
    const index_t rows = problem.query.rows();
    const index_t num_scales = wanted.upstream.empty() ? 1 : wanted.upstream.size();
    const auto row_scale = scratch.template vector<T>(num_scales);
    const auto temperature = given_or_scratch(scratch, vector_of<B>{}, wanted.learned.empty(), 1);
    const auto own = given_or_scratch(scratch, labels{}, wanted.has_own, rows);
    const auto self = given_or_scratch(scratch, labels{}, wanted.has_self, rows);
    const bool has_labels = wanted.has_own || wanted.has_self;
    be.for_each(has_labels ? (std::max)(rows, num_scales) : num_scales,
                write_constants<T>{.row_scale = {wanted.factor, data_of(wanted.upstream), row_scale.data()},
                                   .num_scales = num_scales,
                                   .option = static_cast<T>(wanted.temperature),
                                   .temperature = data_of(temperature),
                                   .rows = rows,
                                   .first_own = wanted.first_own,
                                   .own = data_of(own),
                                   .self = data_of(self)});
    problem.row_scale = row_scale;
    problem.temperature = wanted.learned.empty() ? vector_of<B, const T>(temperature) : wanted.learned;
    problem.own = own;
    problem.self = self;
}

} // namespace protonce::inline v0::detail

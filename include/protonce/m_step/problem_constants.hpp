// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/fill_cycle.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/m_step/reduction.hpp>

/// What a problem of softmax_contrast reads that is a number or a count. Numbers go with the problem; only counts are written to memory,
/// at once, for a launch costs a device as much as the sums of a small batch.
namespace protonce::inline v0::detail {

struct write_counts {
    index_t rows;
    index_t first_own;
    label_t* own;
    label_t* self; // or null

    PROTONCE_HOST_DEVICE void operator()(index_t i) const {
        cycle_element{first_own, rows, own}(i);
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
    bool has_self = false; // and self_i = i; not without own
};

/// Fills the problem's temperatures, factors of rows, and own and self if they are wanted; its query says how many rows there are.
template <backend B>
void add_constants(B& be, typename workspace<typename B::space>::scope& scratch, const problem_constants<B>& wanted,
                   contrast<value_of<B>, typename B::space>& problem) {
    problem.temperature = wanted.learned;
    problem.one_temperature = static_cast<value_of<B>>(wanted.temperature);
    problem.row_factor = wanted.factor;
    problem.row_scale = wanted.upstream;
    if (wanted.has_own) {
        const index_t rows = problem.query.rows();
        const auto own = scratch.template vector<label_t>(rows);
        const auto self = given_or_scratch(scratch, vector_of<B, label_t>{}, wanted.has_self, rows);
        be.for_each(rows, write_counts{rows, wanted.first_own, own.data(), data_of(self)});
        problem.own = own;
        problem.self = self;
    }
}

} // namespace protonce::inline v0::detail

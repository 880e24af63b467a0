// SPDX-License-Identifier: MIT
#pragma once
#include "m_step/losses.hpp"

#include <protonce/m_step/info_nce.hpp>

#include <cstddef>
#include <vector>

namespace test {

/// Queries, keys and a queue of random unit rows, and room for every output.
template <class T>
struct info_nce_problem {
    matrix<T> query, positive, negatives;
    std::vector<T> loss = std::vector<T>(1), per_row, top1, accuracy = loss, grad_temperature = loss;
    matrix<T> grad_query, grad_positive, grad_negatives;

    info_nce_problem(random_source& random, index_t rows, index_t count, index_t cols)
        : query(random.unit_rows<T>(rows, cols, 1)), positive(random.unit_rows<T>(rows, cols)),
          negatives(random.unit_rows<T>(count, cols, 3)), per_row(std::size_t(rows)), top1(std::size_t(rows)),
          grad_query(rows, cols, 2), grad_positive(rows, cols), grad_negatives(count, cols) {}
    info_nce_problem(const info_nce_problem&) = delete;

    template <class B>
    protonce::info_nce_inputs<B> in(const B&) const {
        return {.query = query.view(), .positive = positive.view(), .negatives = negatives.view()};
    }
    template <class B>
    protonce::info_nce_outputs<B> out(const B&) {
        return {.loss = protonce::view_vector(loss),
                .loss_per_row = protonce::view_vector(per_row),
                .top1 = protonce::view_vector(top1),
                .accuracy = protonce::view_vector(accuracy),
                .grad_query = grad_query.view(),
                .grad_positive = grad_positive.view(),
                .grad_negatives = grad_negatives.view(),
                .grad_temperature = protonce::view_vector(grad_temperature)};
    }
};

} // namespace test

// SPDX-License-Identifier: MIT
#pragma once
#include "m_step/losses.hpp"

#include <protonce/m_step/proto_nce.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace test {

inline constexpr double smallest_temperature = 0.2; // of proto_problem

/// Memory for the columns of some levels, and the views of it.
template <class T>
struct column_memory {
    std::vector<std::vector<index_t>> id;
    std::vector<std::vector<T>> log_count;
    std::vector<index_t> column_count, batch_count;
    std::vector<protonce::column_draw<T, protonce::host>> views;

    column_memory(const proto_problem<T>& p, index_t num_negatives)
        : column_count(p.levels.size(), -7), batch_count(p.levels.size(), -7) {
        for (const auto& level : p.levels) {
            const auto size = static_cast<std::size_t>(
                std::min(level.prototypes.rows(), p.query.rows() + std::min(num_negatives, level.prototypes.rows())));
            id.emplace_back(size, index_t{-7});
            log_count.emplace_back(size, T(-7));
        }
        for (std::size_t m = 0; m < id.size(); ++m) {
            views.push_back({.column_id = protonce::view_vector(id[m]),
                             .log_count = protonce::view_vector(log_count[m]),
                             .column_count = protonce::view_vector(column_count).slice(index_t(m), 1),
                             .batch_count = protonce::view_vector(batch_count).slice(index_t(m), 1)});
        }
    }
    std::vector<index_t> columns(std::size_t m) const { return {id[m].begin(), id[m].begin() + column_count[m]}; }
    std::vector<index_t> negatives_of(std::size_t m) const {
        return {id[m].begin() + batch_count[m], id[m].begin() + column_count[m]};
    }
};

template <class B>
protonce::proto_nce_inputs<B> inputs(const B&, const proto_problem<protonce::value_of<B>>& p) {
    return {.query = p.query.view(), .sample = protonce::view_vector(p.sample), .levels = p.levels};
}

} // namespace test

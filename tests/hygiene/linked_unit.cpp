// SPDX-License-Identifier: MIT
// Compiled twice, with different flags and another name for PROTONCE_UNIT each time; see linked_flags.cmake.
#include "linked_unit.hpp"

#include <protonce/backend/cpu.hpp>
#include <protonce/core/rng.hpp>
#include <protonce/e_step/kmeans.hpp>
#include <protonce/m_step/info_nce.hpp>

#include <cmath>
#include <numbers>
#include <vector>

linked_result PROTONCE_UNIT() {
    constexpr protonce::index_t rows = 300;
    constexpr protonce::index_t cols = 19;
    constexpr protonce::index_t clusters = 6;
    std::vector<float> values(static_cast<std::size_t>(rows * cols));
    for (std::size_t i = 0; i < values.size(); ++i) {
        // Six well separated groups of rows with a spread of their own: no label depends on rounding.
        const auto row = i / static_cast<std::size_t>(cols);
        const auto col = i % static_cast<std::size_t>(cols);
        const double centre = col == row % 6 ? 10.0 : 0.0;
        values[i] = static_cast<float>(centre + std::sin(static_cast<double>(i) * std::numbers::phi));
    }
    const auto features = protonce::view_rows(values.data(), rows, cols);

    protonce::cpu_backend<float> be;
    protonce::clustering level(be, rows, cols, clusters);
    linked_result result;
    result.workers = be.team().workers();
    result.inertia = protonce::kmeans(be, features, {.num_clusters = clusters, .seed = 3}, level).inertia;
    result.labels.assign(level.assignment().begin(), level.assignment().end());

    std::vector<float> loss(1);
    const auto query = protonce::matrix_view<const float>(values.data(), 32, cols);
    const auto positive = protonce::matrix_view<const float>(values.data() + 6 * cols, 32, cols);
    const auto negatives = protonce::matrix_view<const float>(values.data() + 64 * cols, 128, cols);
    protonce::info_nce(be, {.query = query, .positive = positive, .negatives = negatives}, {.temperature = 20},
                       {.loss = protonce::view_vector(loss)});
    result.loss = static_cast<double>(loss[0]);
    return result;
}

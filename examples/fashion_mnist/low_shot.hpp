// SPDX-License-Identifier: MIT
#pragma once
#include "layers.hpp"

#include "dataset.hpp"

#include <protonce/core/parallel.hpp>
#include <protonce/core/rng.hpp>
#include <protonce/core/view.hpp>

#include <linear.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace fashion {

/// Images a class that a low-shot classifier learns from.
inline constexpr std::array<index_t, 5> shot_counts{1, 2, 4, 8, 16};

struct low_shot_options {
    int draws = 5;
    double cost = 1.0; // C of the linear support vector machine
    std::uint64_t seed = 0;
};

inline constexpr auto low_shot_stream = static_cast<protonce::draw_purpose>(66);

namespace detail {

struct model_deleter {
    void operator()(::model* learned) const { free_and_destroy_model(&learned); }
};

/// `count` rows of each class, drawn without replacement: the first of one permutation a class and draw, so that more shots contain
/// fewer shots, and every kind of feature learns from the same images.
inline std::vector<index_t> draw_shots(const std::vector<std::uint8_t>& classes, index_t count, std::uint64_t draw,
                                       std::uint64_t seed) {
    std::array<std::vector<index_t>, static_cast<std::size_t>(num_classes)> members{};
    for (std::size_t i = 0; i < classes.size(); ++i) {
        members[classes[i]].push_back(static_cast<index_t>(i));
    }
    std::vector<index_t> rows;
    for (std::size_t c = 0; c < members.size(); ++c) {
        if (static_cast<index_t>(members[c].size()) < count) {
            throw std::runtime_error("low-shot evaluation: class " + std::to_string(c) + " has fewer than " +
                                     std::to_string(count) + " images");
        }
        const protonce::rng_key key{
            .seed = seed, .step = draw, .level = static_cast<std::uint32_t>(c), .purpose = low_shot_stream};
        const protonce::random_permutation order(key, members[c].size());
        for (index_t i = 0; i < count; ++i) {
            rows.push_back(members[c][order(static_cast<std::uint64_t>(i))]);
        }
    }
    return rows;
}

/// Weights (columns + 1, classes) of a one-against-the-rest linear SVM with squared hinge loss and L2 penalty; the last row is the
/// bias. liblinear's trust-region solver is used: it is deterministic, its dual solvers draw from rand().
inline row_major<float> train_linear(protonce::matrix_view<const float> features, const std::vector<index_t>& rows,
                                     const std::vector<std::uint8_t>& classes, double cost) {
    const auto columns = static_cast<std::size_t>(features.cols());
    std::vector<feature_node> nodes(rows.size() * (columns + 2));
    std::vector<feature_node*> starts;
    std::vector<double> targets;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        feature_node* node = nodes.data() + i * (columns + 2);
        for (std::size_t c = 0; c < columns; ++c) {
            node[c] = {static_cast<int>(c + 1), static_cast<double>(features(rows[i], static_cast<index_t>(c)))};
        }
        node[columns] = {static_cast<int>(columns + 1), 1.0};
        node[columns + 1] = {-1, 0.0};
        starts.push_back(node);
        targets.push_back(static_cast<double>(classes[static_cast<std::size_t>(rows[i])]));
    }
    problem task{};
    task.l = static_cast<int>(rows.size());
    task.n = static_cast<int>(columns + 1);
    task.y = targets.data();
    task.x = starts.data();
    task.bias = 1.0;
    parameter settings{};
    settings.solver_type = L2R_L2LOSS_SVC;
    settings.C = cost;
    settings.eps = 1e-3;
    if (const char* fault = check_parameter(&task, &settings); fault != nullptr) {
        throw std::runtime_error(std::string("liblinear: ") + fault);
    }
    set_print_string_function([](const char*) {});
    const std::unique_ptr<::model, model_deleter> learned{train(&task, &settings)};
    row_major<float> weights(static_cast<index_t>(columns) + 1, num_classes);
    for (index_t c = 0; c < num_classes; ++c) {
        for (index_t j = 0; j <= static_cast<index_t>(columns); ++j) {
            weights(j, learned->label[c]) = static_cast<float>(learned->w[j * num_classes + c]);
        }
    }
    return weights;
}

} // namespace detail

/// Share of right answers on the test rows, for each number of shots: mean over the draws. Calls after_each() once a number of shots.
template <class Team, class AfterEach>
std::array<double, shot_counts.size()>
low_shot_accuracy(const Team& threads, protonce::matrix_view<const float> train_features,
                  const std::vector<std::uint8_t>& train_classes, protonce::matrix_view<const float> test_features,
                  const std::vector<std::uint8_t>& test_classes, const low_shot_options& options,
                  const AfterEach& after_each) {
    constexpr index_t rows_at_once = 500;
    const index_t tests = test_features.rows();
    const index_t tasks = (tests + rows_at_once - 1) / rows_at_once;
    std::array<double, shot_counts.size()> accuracy{};
    for (std::size_t s = 0; s < shot_counts.size(); ++s) {
        for (int draw = 0; draw < options.draws; ++draw) {
            const auto rows =
                detail::draw_shots(train_classes, shot_counts[s], static_cast<std::uint64_t>(draw), options.seed);
            const row_major<float> weights = detail::train_linear(train_features, rows, train_classes, options.cost);
            std::vector<index_t> right(static_cast<std::size_t>(tasks), 0);
            threads.for_each(tasks, [&](index_t task) {
                const index_t first = task * rows_at_once;
                const index_t count = std::min(rows_at_once, tests - first);
                const const_map_of<float> x(test_features.row(first).data(), count, test_features.cols());
                row_major<float> scores = x * weights.topRows(x.cols());
                scores.rowwise() += weights.row(x.cols());
                for (index_t i = 0; i < count; ++i) {
                    index_t best = 0;
                    scores.row(i).maxCoeff(&best);
                    right[static_cast<std::size_t>(task)] += best == test_classes[static_cast<std::size_t>(first + i)];
                }
            });
            index_t total = 0;
            for (const index_t count : right) {
                total += count;
            }
            accuracy[s] += static_cast<double>(total) / static_cast<double>(tests * options.draws);
        }
        after_each();
    }
    return accuracy;
}

} // namespace fashion

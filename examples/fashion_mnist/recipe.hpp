// SPDX-License-Identifier: MIT
#pragma once
#include "augment.hpp"
#include "network.hpp"
#include "options.hpp"

#include "../support/json.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace fashion {

/// Everything that the results depend on, but the seed.
struct recipe {
    training_method method = training_method::pcl;
    index_t images = 60000;
    index_t epochs = 10;
    index_t batch = 256;
    encoder_widths widths{};
    augmentation views{};

    double learning_rate = 0.2; // at the start; falls to 0 on a cosine
    double momentum = 0.9;      // of the gradient
    double weight_decay = 1e-4;

    double temperature = 0.4;       // of InfoNCE, NT-Xent, and mean of the concentrations
    index_t queue = 4096;           // PCL, MoCo
    double average_momentum = 0.99; // of the momentum encoder
    index_t key_groups = 2;         // separate batch statistics for the keys

    std::vector<index_t> clusters{100, 250, 500}; // K of each level
    index_t warmup_epochs = 2;                    // InfoNCE alone
    int kmeans_iterations = 10;
    int kmeans_restarts = 2; // of the first E-step

    index_t neighbours = 20;
    double neighbour_temperature = 0.07;
    int score_restarts = 20; // of the K-means with 10 clusters whose AMI is reported
    int low_shot_draws = 5;
    double low_shot_cost = 10;
    index_t bank = 60000; // training images that the evaluation reads
    index_t tests = 10000;

    bool has_queue() const { return method != training_method::simclr; }
    bool has_prototypes() const { return method == training_method::pcl; }
};

/// The recipe for what the command line asks for.
inline recipe chosen_recipe(const program_options& options) {
    recipe chosen{.method = options.method};
    if (options.is_quick) {
        chosen.images = 2048;
        chosen.epochs = 3;
        chosen.queue = 1024;
        chosen.clusters = {10, 25, 50};
        chosen.bank = 2048;
        chosen.tests = 1000;
        chosen.low_shot_draws = 2;
    }
    if (options.images > 0) {
        chosen.images = options.images;
        chosen.bank = std::min(chosen.bank, options.images);
    }
    if (options.epochs > 0) {
        chosen.epochs = options.epochs;
    }
    chosen.warmup_epochs = std::max<index_t>(1, chosen.epochs / 4); // a quarter of the run
    return chosen;
}

/// The recipe as names and JSON values, as far as the method reads it.
inline std::vector<std::pair<std::string, std::string>> recipe_entries(const recipe& r) {
    const auto list = [](const auto& values) {
        std::string text;
        for (const index_t value : values) {
            text += (text.empty() ? "" : ", ") + std::to_string(value);
        }
        return "[" + text + "]";
    };
    const auto number = [](double value) { return support::json_number(value); };
    const auto count = [](index_t value) { return std::to_string(value); };
    std::vector<std::pair<std::string, std::string>> entries{
        {"images", count(r.images)},
        {"epochs", count(r.epochs)},
        {"batch", count(r.batch)},
        {"channels", list(r.widths.channels)},
        {"hidden", count(r.widths.hidden)},
        {"embedding", count(r.widths.embedding)},
        {"crop_min_area", number(r.views.min_area)},
        {"crop_max_aspect", number(r.views.max_aspect)},
        {"max_shift", number(r.views.max_shift)},
        {"gamma", number(r.views.gamma)},
        {"brightness", number(r.views.brightness)},
        {"noise", number(r.views.noise)},
        {"learning_rate", number(r.learning_rate)},
        {"momentum", number(r.momentum)},
        {"weight_decay", number(r.weight_decay)},
        {"temperature", number(r.temperature)},
    };
    if (r.has_queue()) {
        entries.insert(entries.end(), {{"queue", count(r.queue)},
                                       {"average_momentum", number(r.average_momentum)},
                                       {"key_groups", count(r.key_groups)}});
    }
    if (r.has_prototypes()) {
        entries.insert(entries.end(), {{"clusters", list(r.clusters)},
                                       {"warmup_epochs", count(r.warmup_epochs)},
                                       {"kmeans_iterations", count(r.kmeans_iterations)},
                                       {"kmeans_restarts", count(r.kmeans_restarts)}});
    }
    entries.insert(entries.end(), {{"evaluation_bank", count(r.bank)},
                                   {"evaluation_tests", count(r.tests)},
                                   {"neighbours", count(r.neighbours)},
                                   {"neighbour_temperature", number(r.neighbour_temperature)},
                                   {"score_restarts", count(r.score_restarts)},
                                   {"low_shot_draws", count(r.low_shot_draws)},
                                   {"low_shot_cost", number(r.low_shot_cost)}});
    return entries;
}

} // namespace fashion

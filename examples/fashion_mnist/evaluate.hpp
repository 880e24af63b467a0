// SPDX-License-Identifier: MIT
#pragma once
#include "low_shot.hpp"
#include "train.hpp"

#include <protonce/e_step/kmeans.hpp>
#include <protonce/metrics/cluster_scores.hpp>
#include <protonce/metrics/knn.hpp>

#include <array>
#include <cstdint>
#include <vector>

namespace fashion {

/// One kind of feature, measured on the test images. All shares lie in [0, 1].
struct evaluation {
    double knn = 0;                                    // weighted nearest neighbours
    std::array<double, shot_counts.size()> low_shot{}; // linear SVM on 1, 2, 4, 8, 16 images a class
    double ami_features = 0;                           // K-means with 10 clusters against the classes
    double ami_embedding = 0;                          // the same on the embedding
};

/// Unit rows of one kind of feature, of the bank (training images) and of the test images.
struct feature_rows {
    std::vector<float> bank{};  // (bank, cols)
    std::vector<float> tests{}; // (tests, cols)
    index_t cols = 0;
};

inline std::vector<protonce::label_t> labels_of(const image_set& images) {
    return {images.classes.begin(), images.classes.end()};
}

/// Measures features against the classes.
class evaluator {
public:
    evaluator(cpu& be, const team& threads, const image_set& bank, const image_set& tests, const recipe& r,
              std::uint64_t seed)
        : be_(be), threads_(threads), bank_(bank), tests_(tests), bank_labels_(labels_of(bank)),
          test_labels_(labels_of(tests)), recipe_(r), seed_(seed) {}

    evaluation raw_pixels(progress& shown) {
        feature_rows rows{.cols = image_size};
        const auto scaled = [](const image_set& images) {
            std::vector<float> values(images.pixels.size());
            std::transform(images.pixels.begin(), images.pixels.end(), values.begin(),
                           [](std::uint8_t pixel) { return static_cast<float>(pixel) / 255.0F; });
            return values;
        };
        rows.bank = scaled(bank_);
        rows.tests = scaled(tests_);
        evaluation measured = features(rows, "raw pixels", shown);
        measured.ami_embedding = measured.ami_features; // pixels have no embedding beside themselves
        return measured;
    }

    evaluation network(const encoder_layout& layout, const encoder_model<float>& net, const std::string& name,
                       progress& shown) {
        feature_rows rows{.cols = layout.features()};
        const auto last_maps = [&](const image_set& images) {
            std::vector<float> values(static_cast<std::size_t>(images.size() * layout.features()));
            const auto prepare = [&](index_t row, float* out) { plain_view(images.image(row), out); };
            encode(layout, net, threads_, images.size(), prepare, values.data(), static_cast<float*>(nullptr));
            return values;
        };
        rows.bank = last_maps(bank_);
        rows.tests = last_maps(tests_);
        evaluation measured = features(rows, name, shown);
        const std::vector<float> embeddings = unit_embeddings(be_, layout, net, threads_, tests_, tests_.size());
        measured.ami_embedding =
            cluster_agreement(protonce::view_rows(embeddings.data(), tests_.size(), layout.embedding));
        return measured;
    }

private:
    using matrix = protonce::matrix_view<float>;
    using const_matrix = protonce::matrix_view<const float>;

    static constexpr index_t neighbour_steps = 10; // of the bar, and of the test images
    static constexpr index_t cluster_steps = 3;    // about the same time each

    evaluation features(feature_rows& rows, const std::string& name, progress& shown) {
        const matrix bank = protonce::view_rows(rows.bank.data(), bank_.size(), rows.cols);
        const matrix tests = protonce::view_rows(rows.tests.data(), tests_.size(), rows.cols);
        protonce::normalize_rows(be_, bank, bank);
        protonce::normalize_rows(be_, tests, tests);
        index_t done = neighbour_steps + cluster_steps;
        shown.begin("evaluate " + name, done + static_cast<index_t>(shot_counts.size()));
        evaluation measured;
        measured.knn = neighbour_accuracy(bank, tests, shown);
        measured.ami_features = cluster_agreement(tests);
        shown.update(done);
        measured.low_shot =
            low_shot_accuracy(threads_, bank, bank_.classes, tests, tests_.classes,
                              {.draws = recipe_.low_shot_draws, .cost = recipe_.low_shot_cost, .seed = seed_},
                              [&] { shown.update(++done); });
        return measured;
    }

    double neighbour_accuracy(const_matrix bank, const_matrix tests, progress& shown) {
        std::vector<protonce::label_t> predicted(static_cast<std::size_t>(tests.rows()));
        for (index_t step = 0; step < neighbour_steps; ++step) {
            const index_t first = tests.rows() * step / neighbour_steps;
            const index_t count = tests.rows() * (step + 1) / neighbour_steps - first;
            protonce::knn_scores(
                be_, {.bank = bank, .labels = protonce::view_vector(bank_labels_), .query = tests.slice(first, count)},
                {.neighbours = recipe_.neighbours,
                 .temperature = recipe_.neighbour_temperature,
                 .num_classes = static_cast<protonce::label_t>(num_classes)},
                {.prediction = protonce::view_vector(predicted).slice(first, count)});
            shown.update(step + 1);
        }
        index_t right = 0;
        for (std::size_t i = 0; i < predicted.size(); ++i) {
            right += predicted[i] == test_labels_[i];
        }
        return static_cast<double>(right) / static_cast<double>(tests.rows());
    }

    double cluster_agreement(const_matrix rows) {
        protonce::clustering<cpu> found(be_, rows.rows(), rows.cols(), num_classes);
        protonce::kmeans(be_, rows, {.iterations = 100, .restarts = recipe_.score_restarts, .seed = seed_}, found);
        return protonce::cluster_scores(protonce::view_vector(test_labels_), found.assignment()).ami;
    }

    cpu& be_;
    team threads_;
    const image_set& bank_;
    const image_set& tests_;
    std::vector<protonce::label_t> bank_labels_;
    std::vector<protonce::label_t> test_labels_;
    recipe recipe_;
    std::uint64_t seed_;
};

} // namespace fashion

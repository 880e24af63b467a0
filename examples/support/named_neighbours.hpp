// SPDX-License-Identifier: MIT
#pragma once
#include "../fashion_mnist/dataset.hpp"

#include <protonce/core/view.hpp>
#include <protonce/em/objective.hpp>
#include <protonce/metrics/knn.hpp>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string_view>
#include <vector>

/// What the examples that train an encoder of another framework share.
namespace fashion {

/// The share of the images asked for whose class the nearest of those known name, by the embeddings of both.
template <protonce::backend B>
double named_by_neighbours(B& be, protonce::matrix_view<const float> known, const image_set& known_images,
                           protonce::matrix_view<const float> asked, const image_set& asked_images) {
    using protonce::view_vector;
    const std::vector<protonce::label_t> classes(known_images.classes.begin(), known_images.classes.end());
    std::vector<protonce::label_t> prediction(static_cast<std::size_t>(asked_images.size()));
    knn_scores(be, {.bank = known, .labels = view_vector(classes), .query = asked}, {.num_classes = num_classes},
               {.prediction = view_vector(prediction)});
    return static_cast<double>(std::inner_product(prediction.begin(), prediction.end(), asked_images.classes.begin(), 0,
                                                  std::plus<>(), std::equal_to<>())) /
           static_cast<double>(asked_images.size());
}

/// The line of an epoch.
template <protonce::backend B>
void print_epoch(const protonce::objective<B>& run, double loss, double named) {
    std::printf("epoch %2d  %s  loss %.3f  nearest neighbours %.3f\n", static_cast<int>(run.epoch() + 1),
                run.uses_prototypes() ? "prototypes" : "warm-up   ", loss, named);
}

/// The last sentence, and whether training gained what it must.
inline bool print_gain(double before, double after) {
    std::printf("nearest neighbours name %.3f of the classes before training, %.3f after\n", before, after);
    return after > before + 0.05;
}

/// The main function of `name [--data DIR]`: does train(DIR) return true?
inline int train_on_folder(const char* name, int argc, char** argv, bool (*train)(const std::filesystem::path&)) {
    std::filesystem::path folder = "/usr/share/datasets/fashion-mnist";
    if (argc == 3 && std::string_view(argv[1]) == "--data") {
        folder = argv[2];
    } else if (argc != 1) {
        std::printf("usage: %s [--data DIR]   (DIR: the four idx files of Fashion-MNIST)\n", name);
        return EXIT_FAILURE;
    }
    try {
        return train(folder) ? EXIT_SUCCESS : EXIT_FAILURE;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", name, error.what());
        return EXIT_FAILURE;
    }
}

} // namespace fashion

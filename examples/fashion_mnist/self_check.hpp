// SPDX-License-Identifier: MIT
#pragma once
#include "augment.hpp"
#include "encode.hpp"
#include "input_check.hpp"

#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

/// What the network must fulfil whatever it learns: its gradient, and bits that do not depend on the number of threads; and what its
/// input must.
namespace fashion {

namespace detail {

template <class T>
std::vector<T> normal_values(index_t count, std::uint64_t seed) {
    const protonce::rng_key key{.seed = seed, .purpose = static_cast<protonce::draw_purpose>(127)};
    std::vector<T> values;
    for (index_t i = 0; i < count; ++i) {
        values.push_back(static_cast<T>(random_normal(key, static_cast<std::uint64_t>(i))));
    }
    return values;
}

/// L = sum of w e + e^2 / 2 over the embeddings e, so that dL/de = w + e is neither zero nor constant.
inline double test_loss(const std::vector<double>& embeddings, const std::vector<double>& weights) {
    double loss = 0;
    for (std::size_t i = 0; i < embeddings.size(); ++i) {
        loss += weights[i] * embeddings[i] + embeddings[i] * embeddings[i] / 2;
    }
    return loss;
}

/// Every partial derivative of a small network in double against central differences, for one and for two groups of statistics.
inline bool check_gradient(index_t groups) {
    const encoder_layout layout({12, 12, 1}, {.channels = {4, 6, 8}, .hidden = 10, .embedding = 5});
    const index_t rows = 3 * rows_per_block * groups - (groups == 1 ? 5 : 0); // an incomplete block, too
    const team threads(1);
    training_pass<double> pass(layout, rows, threads);
    encoder_model<double> net = initial_model<double>(layout, 1);
    for (const stage& layer : layout.stages) { // gains and shifts off their initial values
        const auto offsets = normal_values<double>(2 * layer.out.channels, 5);
        for (std::size_t c = 0; c < offsets.size(); ++c) {
            net.parameters[static_cast<std::size_t>(layer.gain) + c] += 0.2 * offsets[c];
        }
    }
    const auto images = normal_values<double>(rows * layout.image_values(), 2);
    const auto weights = normal_values<double>(rows * layout.embedding, 3);
    std::vector<double> embeddings(weights.size());
    const auto loss_of = [&](encoder_model<double> at) {
        pass.forward(at, images.data(), rows, groups, embeddings.data());
        return test_loss(embeddings, weights);
    };
    const double loss = loss_of(net);
    std::vector<double> upstream(weights);
    for (std::size_t i = 0; i < upstream.size(); ++i) {
        upstream[i] += embeddings[i];
    }
    std::vector<double> gradient(net.parameters.size());
    pass.backward(net, upstream.data(), gradient);

    // The difference of two losses, each a sum of n terms with a rounding error of about sqrt(n) eps of its size, is divided by 2 h; the
    // sums inside the network add as much again for each of its five layers, and a factor of 10 covers that these are orders, not
    // bounds. The truncation error, of order h^2, is far below.
    const double step = 1e-6;
    const double rounding = 10 * 5 * std::sqrt(static_cast<double>(weights.size())) *
                            std::numeric_limits<double>::epsilon() * (std::abs(loss) + 1) / (2 * step);
    double largest = 0;
    for (std::size_t i = 0; i < net.parameters.size(); ++i) {
        encoder_model<double> above = net;
        encoder_model<double> below = net;
        above.parameters[i] += step;
        below.parameters[i] -= step;
        const double difference = (loss_of(above) - loss_of(below)) / (2 * step);
        largest = std::max(largest, std::abs(difference - gradient[i]));
    }
    const bool is_right = largest <= rounding;
    std::printf("gradient of %zu parameters, %d group(s): largest difference %.2g, allowed %.2g: %s\n", gradient.size(),
                static_cast<int>(groups), largest, rounding, is_right ? "ok" : "WRONG");
    return is_right;
}

/// Embeddings and gradient of the network that is trained, with 1, 2, 3 and 7 threads.
inline bool check_threads() {
    const encoder_layout layout({image_side, image_side, 1}, {});
    const index_t rows = 4 * rows_per_block;
    const auto images = normal_values<float>(rows * image_size, 4);
    std::vector<float> first;
    bool is_same = true;
    for (const int count : {1, 2, 3, 7}) {
        const team threads(count);
        training_pass<float> pass(layout, rows, threads);
        encoder_model<float> net = initial_model<float>(layout, 1);
        std::vector<float> embeddings(static_cast<std::size_t>(rows * layout.embedding));
        std::vector<float> gradient(net.parameters.size());
        pass.forward(net, images.data(), rows, 2, embeddings.data());
        pass.backward(net, embeddings.data(), gradient);
        const auto prepare = [&](index_t row, float* out) {
            std::copy_n(images.data() + row * image_size, image_size, out);
        };
        std::vector<float> features(static_cast<std::size_t>(rows * layout.features()));
        encode(layout, net, threads, rows, prepare, features.data(), static_cast<float*>(nullptr));
        embeddings.insert(embeddings.end(), gradient.begin(), gradient.end());
        embeddings.insert(embeddings.end(), features.begin(), features.end());
        if (first.empty()) {
            first = embeddings;
        }
        is_same = is_same && embeddings == first;
    }
    std::printf("embeddings, gradient and features with 1, 2, 3, 7 threads: %s\n",
                is_same ? "the same bits" : "DIFFERENT");
    return is_same;
}

/// Evaluation mode with running moments equal to a batch's own gives that batch's embeddings.
inline bool check_evaluation_mode() {
    const encoder_layout layout({12, 12, 1}, {.channels = {4, 6, 8}, .hidden = 10, .embedding = 5});
    const index_t rows = 2 * rows_per_block;
    const team threads(1);
    training_pass<double> pass(layout, rows, threads);
    encoder_model<double> net = initial_model<double>(layout, 1);
    const auto images = normal_values<double>(rows * layout.image_values(), 2);
    std::vector<double> trained(static_cast<std::size_t>(rows * layout.embedding));
    // Each pass takes the moments 10 % closer to the batch's: after 400 the old ones' share is 0.9^400 = 5e-19.
    for (int i = 0; i < 400; ++i) {
        pass.forward(net, images.data(), rows, 1, trained.data());
    }
    std::vector<double> evaluated(trained.size());
    // The running variance is the unbiased one; undo that, to compare like with like.
    for (const stage& layer : layout.stages) {
        const auto count = static_cast<double>(rows * layer.out.positions());
        for (index_t c = 0; c < layer.out.channels; ++c) {
            net.moments[static_cast<std::size_t>(layer.moments + layer.out.channels + c)] *= (count - 1) / count;
        }
    }
    const auto prepare = [&](index_t row, double* out) {
        std::copy_n(images.data() + row * layout.image_values(), layout.image_values(), out);
    };
    encode(layout, net, threads, rows, prepare, static_cast<double*>(nullptr), evaluated.data());
    double largest = 0;
    double size = 0;
    for (std::size_t i = 0; i < trained.size(); ++i) {
        largest = std::max(largest, std::abs(trained[i] - evaluated[i]));
        size = std::max(size, std::abs(trained[i]));
    }
    // 400 blends of rounded moments, then sums of up to 54 products in each of five layers.
    const double allowed = size * (400 + 5 * 54) * std::numeric_limits<double>::epsilon();
    std::printf("evaluation mode against batch statistics: largest difference %.2g, allowed %.2g: %s\n", largest,
                allowed, largest <= allowed ? "ok" : "WRONG");
    return largest <= allowed;
}

} // namespace detail

/// Exit status: 0 if all holds.
inline int self_check() {
    bool is_right = detail::check_gradient(1);
    is_right = detail::check_gradient(2) && is_right;
    is_right = detail::check_evaluation_mode() && is_right;
    is_right = detail::check_threads() && is_right;
    is_right = detail::check_views() && is_right;
    is_right = detail::check_files() && is_right;
    return is_right ? 0 : 1;
}

} // namespace fashion

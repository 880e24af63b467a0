// SPDX-License-Identifier: MIT
#pragma once
#include "layers.hpp"

#include <protonce/core/rng.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace fashion {

/// Widths of the encoder: three 3 x 3 convolutions of stride 2, a hidden dense layer, a projection.
struct encoder_widths {
    std::array<index_t, 3> channels{32, 64, 128};
    index_t hidden = 256;
    index_t embedding = 64;
};

/// One layer with batch normalisation and ReLU behind it, and where its values lie in the flat vectors of a model.
struct stage {
    map_shape in{};
    map_shape out{};
    bool is_dense = false;
    index_t weights = 0; // first of (fan_in, out.channels)
    index_t gain = 0;    // first of (out.channels,), the normalisation's factor; the shift follows it
    index_t moments = 0; // first of (out.channels,) running means; the running variances follow them

    index_t fan_in() const { return is_dense ? in.size() : 9 * in.channels; }
};

/// Shapes and offsets of the encoder. The same for every model of these widths.
struct encoder_layout {
    static constexpr index_t num_stages = 4;

    std::array<stage, num_stages> stages{};
    index_t projection = 0; // first of (hidden, embedding) weights
    index_t bias = 0;       // first of (embedding,)
    index_t embedding = 0;
    index_t hidden = 0;
    index_t num_parameters = 0;
    index_t num_moments = 0;

    explicit encoder_layout(map_shape image, const encoder_widths& widths)
        : embedding(widths.embedding), hidden(widths.hidden) {
        map_shape in = image;
        for (std::size_t s = 0; s < stages.size(); ++s) {
            stage& layer = stages[s];
            layer.is_dense = s == 3;
            layer.in = in;
            layer.out = layer.is_dense ? map_shape{1, 1, hidden} : convolved(in, widths.channels[s]);
            layer.weights = take(layer.fan_in() * layer.out.channels);
            layer.gain = take(2 * layer.out.channels);
            layer.moments = num_moments;
            num_moments += 2 * layer.out.channels;
            in = layer.out;
        }
        projection = take(hidden * embedding);
        bias = take(embedding);
    }

    index_t image_values() const { return stages[0].in.size(); }
    /// Values of the flattened last map: the features that are evaluated.
    index_t features() const { return stages[2].out.size(); }

private:
    index_t take(index_t count) {
        const index_t first = num_parameters;
        num_parameters += count;
        return first;
    }
};

/// Parameters (one flat vector, so that optimiser and moving average are one call) and running moments of one encoder.
template <class T>
struct encoder_model {
    std::vector<T> parameters{};
    std::vector<T> moments{};
};

/// Standard normal value at a counter (Box and Muller).
inline double random_normal(const protonce::rng_key& key, std::uint64_t counter) {
    const double u = 1.0 - protonce::random_uniform(key, 2 * counter); // in (0, 1]
    const double v = protonce::random_uniform(key, 2 * counter + 1);
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

/// Purpose of the network's initial weights; the library's own streams have small numbers.
inline constexpr auto initial_weights_stream = static_cast<protonce::draw_purpose>(64);

/// Weights normal with variance 2 / fan-in (He et al. 2015), gains 1, shifts 0, running moments 0 and 1.
template <class T>
encoder_model<T> initial_model(const encoder_layout& layout, std::uint64_t seed) {
    encoder_model<T> made{std::vector<T>(static_cast<std::size_t>(layout.num_parameters), T{0}),
                          std::vector<T>(static_cast<std::size_t>(layout.num_moments), T{0})};
    const protonce::rng_key key{.seed = seed, .purpose = initial_weights_stream};
    const auto fill_normal = [&](index_t first, index_t count, index_t fan_in) {
        const double deviation = std::sqrt(2.0 / static_cast<double>(fan_in));
        for (index_t i = first; i < first + count; ++i) {
            made.parameters[static_cast<std::size_t>(i)] =
                static_cast<T>(deviation * random_normal(key, static_cast<std::uint64_t>(i)));
        }
    };
    for (const stage& layer : layout.stages) {
        const index_t channels = layer.out.channels;
        fill_normal(layer.weights, layer.fan_in() * channels, layer.fan_in());
        std::fill_n(made.parameters.begin() + layer.gain, channels, T{1});
        std::fill_n(made.moments.begin() + layer.moments + channels, channels, T{1});
    }
    fill_normal(layout.projection, layout.hidden * layout.embedding, layout.hidden);
    return made;
}

} // namespace fashion

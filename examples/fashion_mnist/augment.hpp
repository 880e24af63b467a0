// SPDX-License-Identifier: MIT
#pragma once
#include "dataset.hpp"

#include <protonce/core/rng.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace fashion {

/// How strongly two views of one image differ.
struct augmentation {
    double min_area = 0.5;       // share of the image that a crop keeps, uniform in [min_area, 1]
    double max_aspect = 4.0 / 3; // log-uniform in [1 / max_aspect, max_aspect]
    double max_shift = 2.0;      // pixels that the crop may leave the image by
    double gamma = 0.5;          // exponent log-uniform in [2^-gamma, 2^gamma]
    double brightness = 0.4;     // factor uniform in [1 - brightness, 1 + brightness]
    double noise = 0.05;         // deviation of the normal noise, of a value range of 1
};

/// Mean and deviation of the training pixels, of a value range of 1.
inline constexpr float pixel_mean = 0.2860F;
inline constexpr float pixel_deviation = 0.3530F;

inline constexpr auto augmentation_stream = static_cast<protonce::draw_purpose>(65);

/// An image as the network takes it, unchanged.
inline void plain_view(const std::uint8_t* image, float* out) {
    for (index_t i = 0; i < image_size; ++i) {
        out[i] = (static_cast<float>(image[i]) / 255.0F - pixel_mean) / pixel_deviation;
    }
}

/// Random views: crop with aspect and shift, flip, gamma, brightness, noise. A view is a function of (seed, step, number of the view).
class augmenter {
public:
    explicit augmenter(augmentation strength, std::uint64_t seed) : strength_(strength), seed_(seed) {
        curves_.resize(num_curves * 256);
        for (std::size_t g = 0; g < num_curves; ++g) {
            const double position = 2.0 * static_cast<double>(g) / (num_curves - 1) - 1.0; // -1 to 1
            const double exponent = std::exp2(strength.gamma * position);
            for (std::size_t v = 0; v < 256; ++v) {
                curves_[g * 256 + v] = static_cast<float>(std::pow(static_cast<double>(v) / 255.0, exponent));
            }
        }
    }

    /// \param out  (784,)  overwritten
    void view(const std::uint8_t* image, std::uint64_t step, std::uint64_t number, float* out) const {
        const protonce::rng_key key{.seed = seed_, .step = step, .purpose = augmentation_stream};
        const std::uint64_t base = number << 8; // counters of this view
        const auto uniform = [&](std::uint64_t i, double low, double high) {
            return low + (high - low) * protonce::random_uniform(key, base + i);
        };
        const double side = static_cast<double>(image_side);
        const double area = uniform(0, strength_.min_area, 1.0);
        const double log_aspect = std::log(strength_.max_aspect);
        const double aspect = std::exp(0.5 * uniform(1, -log_aspect, log_aspect));
        const double width = std::min(1.0, std::sqrt(area) * aspect) * side;
        const double height = std::min(1.0, std::sqrt(area) / aspect) * side;
        const double left = uniform(2, -strength_.max_shift, side - width + strength_.max_shift);
        const double top = uniform(3, -strength_.max_shift, side - height + strength_.max_shift);
        const bool is_flipped = uniform(4, 0.0, 1.0) < 0.5;
        const auto curve = static_cast<std::size_t>(uniform(5, 0.0, static_cast<double>(num_curves)));
        const auto factor = static_cast<float>(uniform(6, 1.0 - strength_.brightness, 1.0 + strength_.brightness));

        std::array<float, padded_side * padded_side> source{};
        for (index_t y = 0; y < image_side; ++y) {
            float* row = source.data() + (y + 1) * padded_side + 1;
            for (index_t x = 0; x < image_side; ++x) {
                row[x] = curves_[curve * 256 + image[y * image_side + x]];
            }
        }
        const axis across = sample_points(left, width, is_flipped);
        const axis down = sample_points(top, height, false);
        for (index_t y = 0; y < image_side; ++y) {
            const auto [first, share] = down[static_cast<std::size_t>(y)];
            const float* above = source.data() + first * padded_side;
            std::array<float, padded_side> mixed;
            for (std::size_t x = 0; x < padded_side; ++x) {
                mixed[x] = above[x] + share * (above[x + padded_side] - above[x]);
            }
            for (index_t x = 0; x < image_side; ++x) {
                const auto [column, part] = across[static_cast<std::size_t>(x)];
                const auto c = static_cast<std::size_t>(column);
                out[y * image_side + x] = mixed[c] + part * (mixed[c + 1] - mixed[c]);
            }
        }
        finish(key, base, factor, out);
    }

private:
    static constexpr std::size_t num_curves = 65;
    static constexpr index_t padded_side = image_side + 2; // zeros around, so that no sample point needs a check

    struct sample_point {
        index_t first = 0;  // of the two neighbours, in padded pixels
        float share = 0.0F; // of the second one
    };
    using axis = std::array<sample_point, static_cast<std::size_t>(image_side)>;

    /// Where the 28 values of one axis of the view lie in the image: linear interpolation between pixel centres.
    static axis sample_points(double start, double length, bool is_flipped) {
        axis points{};
        for (std::size_t i = 0; i < points.size(); ++i) {
            const double at = start + (static_cast<double>(i) + 0.5) * length / static_cast<double>(image_side) + 0.5;
            const double inside = std::clamp(at, 0.0, static_cast<double>(padded_side) - 1.0);
            const index_t first = std::min(static_cast<index_t>(inside), padded_side - 2);
            points[is_flipped ? points.size() - 1 - i : i] = {first,
                                                              static_cast<float>(inside - static_cast<double>(first))};
        }
        return points;
    }

    /// Brightness, noise, clamp, and the scale of the network's input. The noise is a sum of four uniform 16-bit numbers, which is close
    /// to normal and needs no function call a pixel.
    void finish(const protonce::rng_key& key, std::uint64_t base, float factor, float* out) const {
        // Deviation of the sum of four uniform numbers in [0, 65536) is 65536 * sqrt(4 / 12).
        const auto scale = static_cast<float>(strength_.noise / (65536.0 * std::sqrt(4.0 / 12.0)));
        std::uint64_t state = protonce::random_bits(key, base + 255);
        for (index_t i = 0; i < image_size; ++i) {
            // SplitMix64 (Steele, Lea, Flood 2014).
            state += 0x9E3779B97F4A7C15U;
            std::uint64_t bits = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9U;
            bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
            bits ^= bits >> 31;
            const auto sum = static_cast<std::int32_t>((bits & 0xFFFFU) + (bits >> 16 & 0xFFFFU) +
                                                       (bits >> 32 & 0xFFFFU) + (bits >> 48));
            const float noisy = out[i] * factor + scale * static_cast<float>(sum - 2 * 65535);
            out[i] = (std::clamp(noisy, 0.0F, 1.0F) - pixel_mean) / pixel_deviation;
        }
    }

    augmentation strength_;
    std::uint64_t seed_;
    std::vector<float> curves_{}; // (65, 256) gamma curves
};

} // namespace fashion

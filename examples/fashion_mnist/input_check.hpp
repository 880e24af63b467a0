// SPDX-License-Identifier: MIT
#pragma once
#include "augment.hpp"
#include "dataset.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace fashion::detail {

/// 28 x 28 bytes without symmetry.
inline std::vector<std::uint8_t> test_image() {
    std::vector<std::uint8_t> image;
    for (index_t i = 0; i < image_size; ++i) {
        image.push_back(static_cast<std::uint8_t>((i * 37 + i / 28 * 11) % 256));
    }
    return image;
}

/// A view without strength is the image or its mirror image; with strength it stays within the range of the pixels, differs from the
/// next one, and comes back with the same numbers.
inline bool check_views() {
    const std::vector<std::uint8_t> image = test_image();
    std::array<float, static_cast<std::size_t>(image_size)> plain{};
    plain_view(image.data(), plain.data());
    auto mirrored = plain;
    for (auto row = mirrored.begin(); row != mirrored.end(); row += image_side) {
        std::reverse(row, row + image_side);
    }

    const augmenter idle({.min_area = 1, .max_aspect = 1, .max_shift = 0, .gamma = 0, .brightness = 0, .noise = 0}, 1);
    const augmenter strong({}, 1);
    auto view = plain;
    auto again = plain;
    auto other = plain;
    int upright = 0;
    int flipped = 0;
    bool is_right = true;
    const float low = (0.0F - pixel_mean) / pixel_deviation;
    const float high = (1.0F - pixel_mean) / pixel_deviation;
    // Interpolation at a pixel's centre: its position, of size 28, is rounded once in double, its share once in float; values are 1 / 0.353
    // at most.
    const float allowed = 1e-5F;
    const auto distance = [](const auto& a, const auto& b) {
        float largest = 0;
        for (std::size_t i = 0; i < a.size(); ++i) {
            largest = std::max(largest, std::abs(a[i] - b[i]));
        }
        return largest;
    };
    constexpr int views = 64;
    for (std::uint64_t number = 0; number < views; ++number) {
        idle.view(image.data(), 3, number, view.data());
        upright += distance(view, plain) <= allowed ? 1 : 0;
        flipped += distance(view, mirrored) <= allowed ? 1 : 0;
        strong.view(image.data(), 3, number, view.data());
        strong.view(image.data(), 3, number, again.data());
        strong.view(image.data(), 3, number + 1, other.data());
        is_right = is_right && view == again && view != other;
        is_right = is_right && std::all_of(view.begin(), view.end(), [&](float v) { return v >= low && v <= high; });
    }
    is_right = is_right && upright + flipped == views && upright > 0 && flipped > 0;
    std::printf("views: %d upright, %d flipped of %d without strength; range and repetition with it: %s\n", upright,
                flipped, views, is_right ? "ok" : "WRONG");
    return is_right;
}

inline void write_bytes(const std::filesystem::path& path, const std::vector<std::uint8_t>& bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// Plain idx files are read; damaged ones are refused with their name.
inline bool check_files() {
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() /
        ("fashion_mnist_check_" + std::to_string(std::hash<std::string>{}(std::filesystem::current_path().string())));
    std::filesystem::create_directories(folder);
    const std::vector<std::uint8_t> image = test_image();
    std::vector<std::uint8_t> images{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28};
    images.insert(images.end(), image.begin(), image.end());
    images.insert(images.end(), image.rbegin(), image.rend());
    const std::vector<std::uint8_t> labels{0, 0, 8, 1, 0, 0, 0, 2, 9, 0};
    const std::string images_name = "train-images-idx3-ubyte";
    const std::string labels_name = "train-labels-idx1-ubyte";

    const auto load = [&](const std::vector<std::uint8_t>& of_images, const std::vector<std::uint8_t>& of_labels) {
        write_bytes(folder / images_name, of_images);
        write_bytes(folder / labels_name, of_labels);
        return load_images(folder, "train");
    };
    const auto is_refused = [&](const std::vector<std::uint8_t>& of_images,
                                const std::vector<std::uint8_t>& of_labels) {
        try {
            load(of_images, of_labels);
        } catch (const std::exception& error) {
            return std::string(error.what()).find(folder.string()) == 0;
        }
        return false;
    };
    const auto with = [](std::vector<std::uint8_t> bytes, std::size_t at, std::uint8_t value) {
        bytes[at] = value;
        return bytes;
    };
    const image_set set = load(images, labels);
    bool is_right = set.size() == 2 && set.classes[0] == 9 && std::equal(image.begin(), image.end(), set.image(0)) &&
                    std::equal(image.rbegin(), image.rend(), set.image(1));
    int refused = 0;
    refused += is_refused({images.begin(), images.end() - 1}, labels) ? 1 : 0; // too short
    refused += is_refused({images.begin(), images.begin() + 3}, labels) ? 1 : 0;
    refused += is_refused(with(images, 2, 13), labels) ? 1 : 0;         // floats
    refused += is_refused(with(images, 11, 27), labels) ? 1 : 0;        // another size
    refused += is_refused(images, with(labels, 9, 10)) ? 1 : 0;         // class 10
    refused += is_refused(images, {0, 0, 8, 1, 0, 0, 0, 1, 9}) ? 1 : 0; // one label for two images
    refused += is_refused({0x1F, 0x8B, 8, 0, 0, 0}, labels) ? 1 : 0;    // gzip that ends early
    std::filesystem::remove_all(folder);
    is_right = is_right && refused == 7;
    std::printf("files: plain ones read, %d of 7 damaged ones refused: %s\n", refused, is_right ? "ok" : "WRONG");
    return is_right;
}

} // namespace fashion::detail

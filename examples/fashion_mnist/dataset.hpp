// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fashion {

using protonce::index_t;

inline constexpr index_t image_side = 28;
inline constexpr index_t image_size = image_side * image_side;
inline constexpr index_t num_classes = 10;

/// Images of 28 x 28 bytes, row after row, with one class a row.
struct image_set {
    std::vector<std::uint8_t> pixels{};  // (N, 784)
    std::vector<std::uint8_t> classes{}; // (N,)

    index_t size() const { return static_cast<index_t>(classes.size()); }
    const std::uint8_t* image(index_t row) const { return pixels.data() + row * image_size; }
};

namespace detail {

struct gz_closer {
    void operator()(gzFile file) const { gzclose(file); }
};
using gz_handle = std::unique_ptr<gzFile_s, gz_closer>;

/// The whole content of a file, gzip or plain: zlib hands plain files through unchanged.
inline std::vector<std::uint8_t> read_whole(const std::filesystem::path& path) {
    const gz_handle file{gzopen(path.string().c_str(), "rb")};
    if (!file) {
        throw std::runtime_error("cannot open " + path.string());
    }
    std::vector<std::uint8_t> content;
    std::array<std::uint8_t, 1 << 16> block{};
    for (;;) {
        const int count = gzread(file.get(), block.data(), static_cast<unsigned>(block.size()));
        if (count < 0) {
            throw std::runtime_error(path.string() + ": broken gzip data");
        }
        if (count == 0) {
            break;
        }
        content.insert(content.end(), block.begin(), block.begin() + count);
    }
    int status = Z_OK;
    gzerror(file.get(), &status); // a file that ends within its gzip data is reported here, not by gzread
    if (status != Z_OK && status != Z_STREAM_END) {
        throw std::runtime_error(path.string() + ": gzip data ends early");
    }
    return content;
}

inline std::uint32_t big_endian(const std::vector<std::uint8_t>& content, std::size_t offset) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        value = value << 8 | content[offset + i];
    }
    return value;
}

/// Values of an idx file of bytes, after a check of its type, its sizes and its length.
inline std::vector<std::uint8_t> read_idx(const std::filesystem::path& path, const std::vector<std::uint32_t>& tail) {
    std::vector<std::uint8_t> content = read_whole(path);
    const std::size_t header = 8 + 4 * tail.size();
    if (content.size() < header || big_endian(content, 0) != 0x801U + tail.size()) {
        throw std::runtime_error(path.string() + ": not an idx file of bytes with " + std::to_string(1 + tail.size()) +
                                 " dimension(s)");
    }
    std::size_t needed = big_endian(content, 4);
    for (std::size_t i = 0; i < tail.size(); ++i) {
        const std::uint32_t extent = big_endian(content, 8 + 4 * i);
        if (extent != tail[i]) {
            throw std::runtime_error(path.string() + ": dimension " + std::to_string(i + 1) + " must be " +
                                     std::to_string(tail[i]) + "; got " + std::to_string(extent));
        }
        needed *= extent;
    }
    if (content.size() != header + needed) {
        throw std::runtime_error(path.string() + ": must hold " + std::to_string(needed) + " values; got " +
                                 std::to_string(content.size() - header));
    }
    content.erase(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(header));
    return content;
}

/// `name.gz` or `name` below the folder.
inline std::filesystem::path find_file(const std::filesystem::path& folder, const std::string& name) {
    for (const std::string& candidate : {name + ".gz", name}) {
        if (std::filesystem::is_regular_file(folder / candidate)) {
            return folder / candidate;
        }
    }
    throw std::runtime_error("neither " + name + " nor " + name + ".gz found in " + folder.string() +
                             "; install the Debian package dataset-fashion-mnist, or name the folder of the four idx "
                             "files with --data DIR");
}

} // namespace detail

/// Reads `prefix-images-idx3-ubyte` and `prefix-labels-idx1-ubyte`, gz or plain; prefix is "train" or "t10k".
///
/// \throws std::runtime_error  a file is missing or damaged, counts differ, or a class is not in [0, 10)
inline image_set load_images(const std::filesystem::path& folder, const std::string& prefix) {
    image_set set;
    const auto side = static_cast<std::uint32_t>(image_side);
    set.pixels = detail::read_idx(detail::find_file(folder, prefix + "-images-idx3-ubyte"), {side, side});
    set.classes = detail::read_idx(detail::find_file(folder, prefix + "-labels-idx1-ubyte"), {});
    if (set.pixels.size() != set.classes.size() * static_cast<std::size_t>(image_size)) {
        throw std::runtime_error(folder.string() + ": " + prefix + ": images and labels differ in number");
    }
    if (std::any_of(set.classes.begin(), set.classes.end(), [](std::uint8_t c) { return c >= num_classes; })) {
        throw std::runtime_error(folder.string() + ": " + prefix + ": a label is not in [0, 10)");
    }
    return set;
}

/// The first `count` images of a set.
inline image_set first_images(const image_set& set, index_t count) {
    const index_t kept = std::min(count, set.size());
    return {{set.pixels.begin(), set.pixels.begin() + kept * image_size},
            {set.classes.begin(), set.classes.begin() + kept}};
}

} // namespace fashion

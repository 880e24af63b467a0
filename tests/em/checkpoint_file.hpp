// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/em/checkpoint_format.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

/// `part` must be in `whole`; both are shown if it is not.
#define CHECK_CONTAINS(whole, part)                                                                                    \
    do {                                                                                                               \
        const std::string text_of_whole = (whole);                                                                     \
        const std::string text_of_part = (part);                                                                       \
        INFO("\"", text_of_whole, "\" should contain \"", text_of_part, "\"");                                         \
        CHECK(text_of_whole.find(text_of_part) != std::string::npos);                                                  \
    } while (false)

namespace test {

/// A folder of its own, gone with the object.
class checkpoint_folder {
public:
    checkpoint_folder() {
        const auto base = std::filesystem::temp_directory_path();
        for (int number = 0; number < 100000; ++number) {
            folder_ = base / ("protonce_checkpoint_" + std::to_string(number));
            if (std::filesystem::create_directory(folder_)) {
                return;
            }
        }
        throw std::runtime_error("no folder for checkpoints in " + base.string());
    }
    checkpoint_folder(const checkpoint_folder&) = delete;
    checkpoint_folder& operator=(const checkpoint_folder&) = delete;
    ~checkpoint_folder() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }

    std::filesystem::path path(const std::string& name) const { return folder_ / name; }
    std::vector<std::string> names() const {
        std::vector<std::string> out;
        for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
            out.push_back(entry.path().filename().string());
        }
        std::sort(out.begin(), out.end());
        return out;
    }

private:
    std::filesystem::path folder_;
};

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error("cannot open " + path.string());
    }
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) {
        throw std::runtime_error("cannot write " + path.string());
    }
}

template <class T>
T value_at(const std::string& bytes, std::size_t at) {
    T out;
    std::memcpy(&out, bytes.data() + at, sizeof(out));
    return out;
}
template <class T>
void put_at(std::string& bytes, std::size_t at, const T& value) {
    std::memcpy(bytes.data() + at, &value, sizeof(value));
}

/// Where the values of section number `n` of a good checkpoint begin.
inline std::size_t section_at(const std::string& bytes, std::size_t n) {
    using namespace protonce::detail;
    std::size_t at = sizeof(checkpoint_header);
    for (; n > 0; --n) {
        at += section_bytes(value_at<section_header>(bytes, at).size);
    }
    return at + sizeof(section_header);
}

/// Makes every checksum of a changed checkpoint right again: what a faulty program, not a faulty disk, would write.
inline std::string resealed(std::string bytes) {
    using namespace protonce::detail;
    auto header = value_at<checkpoint_header>(bytes, 0);
    header.file_size = bytes.size();
    header.checksum = header_checksum(header);
    put_at(bytes, 0, header);
    for (std::size_t at = sizeof(header); at + sizeof(section_header) < bytes.size();) {
        const std::size_t size = sizeof(section_header) + value_at<section_header>(bytes, at).size;
        crc64 sum;
        sum.add(bytes.data() + at, size);
        put_at(bytes, at + size, sum.value());
        at += size + sizeof(std::uint64_t);
    }
    return bytes;
}

} // namespace test

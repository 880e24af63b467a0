// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/em/crc64.hpp>
#include <protonce/em/file_io.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

/// Layout of a checkpoint: a header, then sections, each a section_header, its values, and the crc64 of both.
/// Everything is in the byte order of the machine that wrote it, which the header tells.
namespace protonce::inline v0::detail {

inline constexpr std::uint32_t checkpoint_version = 1;

struct checkpoint_header {
    // As in PNG: a byte above 127, a carriage return and an end-of-file character tell a file that was sent as text.
    std::array<unsigned char, 8> magic{0x89, 'P', 'N', 'C', 'E', '\r', '\n', 0x1A};
    std::uint32_t byte_order = 0x01020304;
    std::uint32_t version = checkpoint_version;
    std::uint32_t value_size = 0; // of features: 4 or 8
    std::uint32_t num_sections = 0;
    std::uint64_t file_size = 0;
    std::uint64_t checksum = 0; // of the bytes before
};

enum class section : std::uint32_t {
    options = 1,
    state,
    queue_rows,
    queue_ids,
    centroids,
    prototypes,
    assignment,
    squared_distance,
    temperatures,
};

struct section_header {
    section kind{};
    std::uint32_t level = 0;
    std::uint64_t size = 0; // bytes of the values
};

static_assert(sizeof(checkpoint_header) == 40 && sizeof(section_header) == 16, "no padding is written");
static_assert(std::is_trivially_copyable_v<checkpoint_header> && std::is_trivially_copyable_v<section_header>);

/// Bytes that a section of `size` bytes of values takes in the file.
constexpr std::uint64_t section_bytes(std::uint64_t size) {
    return sizeof(section_header) + size + sizeof(std::uint64_t);
}

inline std::uint64_t header_checksum(const checkpoint_header& header) {
    crc64 sum;
    sum.add(&header, offsetof(checkpoint_header, checksum));
    return sum.value();
}

inline std::string section_name(section kind, std::uint32_t level) {
    constexpr std::array<const char*, 10> names{
        "",          "options",    "state",      "queue rows",        "queue ids",
        "centroids", "prototypes", "assignment", "squared distances", "temperatures"};
    const auto number = static_cast<std::size_t>(kind);
    std::string out = number < names.size() ? names[number] : "unknown";
    if (kind >= section::centroids) {
        out += " of level " + std::to_string(level);
    }
    return out;
}

/// Values are moved between file and backend in pieces of this many.
inline constexpr index_t checkpoint_chunk = index_t{1} << 13;

class section_writer {
public:
    explicit section_writer(replacing_file& file) : file_(file) {}

    void begin(section kind, std::uint32_t level, std::uint64_t size) {
        sum_ = {};
        const section_header header{kind, level, size};
        put(&header, sizeof(header));
    }
    void put(const void* data, std::size_t size) {
        sum_.add(data, size);
        file_.write(data, size);
    }
    void end() {
        const std::uint64_t sum = sum_.value();
        file_.write(&sum, sizeof(sum));
    }

    /// A whole section of values that lie in the backend's memory.
    template <class U, backend B>
    void values(B& be, section kind, std::uint32_t level, vector_of<B, const U> from) {
        workspace<host>::scope scratch(be.host_scratch());
        const auto chunk = scratch.template vector<U>(checkpoint_chunk);
        begin(kind, level, static_cast<std::uint64_t>(from.size()) * sizeof(U));
        for (index_t first = 0; first < from.size(); first += checkpoint_chunk) {
            const index_t count = (std::min)(checkpoint_chunk, from.size() - first);
            be.read(from.slice(first, count), chunk.slice(0, count));
            put(chunk.data(), static_cast<std::size_t>(count) * sizeof(U));
        }
        end();
    }

private:
    replacing_file& file_;
    crc64 sum_;
};

/// Reads sections in the order in which they must come. What is wrong with values is said only after their checksum was
/// found right: a damaged file is called damaged, whatever the damage makes of it.
class section_reader {
public:
    explicit section_reader(sequential_file& file) : file_(file) {}

    /// \returns the bytes of values that follow, at most what is left of the file
    std::uint64_t begin(section kind, std::uint32_t level) {
        sum_ = {};
        reason_.clear();
        kind_ = kind;
        level_ = level;
        section_header header;
        get(&header, sizeof(header));
        const std::uint64_t left = file_.left();
        if (header.kind != kind || header.level != level || left < sizeof(std::uint64_t) ||
            header.size > left - sizeof(std::uint64_t)) {
            fail_damaged();
        }
        return header.size;
    }
    void get(void* out, std::size_t size) {
        file_.read(out, size);
        sum_.add(out, size);
    }
    /// Notes what is wrong with the values; the first note counts.
    void note(const std::string& reason) {
        if (reason_.empty()) {
            reason_ = reason;
        }
    }
    void end() {
        std::uint64_t sum = 0;
        file_.read(&sum, sizeof(sum));
        if (sum != sum_.value()) {
            fail_damaged();
        }
        if (!reason_.empty()) {
            file_.fail(reason_);
        }
    }

    /// A whole section of values into the backend's memory; `is_valid` says of each value whether it may be there.
    template <class U, backend B, class F>
    void values(B& be, section kind, std::uint32_t level, vector_of<B, U> to, const F& is_valid) {
        workspace<host>::scope scratch(be.host_scratch());
        const auto chunk = scratch.template vector<U>(checkpoint_chunk);
        if (begin(kind, level) != static_cast<std::uint64_t>(to.size()) * sizeof(U)) {
            fail_damaged();
        }
        for (index_t first = 0; first < to.size(); first += checkpoint_chunk) {
            const auto part = chunk.slice(0, (std::min)(checkpoint_chunk, to.size() - first));
            get(part.data(), static_cast<std::size_t>(part.size()) * sizeof(U));
            if (!std::all_of(part.begin(), part.end(), is_valid)) {
                note(section_name(kind, level) + ": a value is out of range");
            }
            be.write(vector_view<const U>(part), to.slice(first, part.size()));
        }
        end();
    }

    [[noreturn]] void fail_damaged() const {
        file_.fail("is damaged: section `" + section_name(kind_, level_) + "` is not what its checksum says");
    }

private:
    sequential_file& file_;
    crc64 sum_;
    std::string reason_;
    section kind_{};
    std::uint32_t level_ = 0;
};

/// Reads the header; every refusal says which of the reasons it was.
inline checkpoint_header read_checkpoint_header(sequential_file& file, std::uint32_t value_size) {
    const checkpoint_header wanted;
    checkpoint_header header;
    if (file.size() < sizeof(header)) {
        file.fail("must be a checkpoint of at least " + std::to_string(sizeof(header)) + " bytes; got " +
                  std::to_string(file.size()));
    }
    file.read(&header, sizeof(header));
    if (header.magic != wanted.magic) {
        file.fail("is not a checkpoint of this library");
    }
    if (header.byte_order != wanted.byte_order) {
        file.fail(header.byte_order == 0x04030201 ? "was written on a machine of the other byte order"
                                                  : "is damaged: its header has no byte order");
    }
    if (header.version != wanted.version) {
        file.fail("must have format version " + std::to_string(wanted.version) + "; got " +
                  std::to_string(header.version));
    }
    if (header.checksum != header_checksum(header)) {
        file.fail("is damaged: its header is not what its checksum says");
    }
    if (header.file_size != file.size()) {
        file.fail("must be " + std::to_string(header.file_size) + " bytes long, as its header says; got " +
                  std::to_string(file.size()));
    }
    if (header.value_size != value_size) {
        file.fail("must hold values of " + std::to_string(value_size) + " bytes; got " +
                  std::to_string(header.value_size));
    }
    return header;
}

} // namespace protonce::inline v0::detail

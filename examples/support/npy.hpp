// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <ios>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// Arrays in NumPy's .npy format (versions 1 to 3), as far as the examples need it: little-endian numbers, C order.
namespace support {

static_assert(std::endian::native == std::endian::little, "the .npy files of the examples are little-endian");

template <class T>
concept npy_value =
    std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, std::int32_t> || std::same_as<T, std::int64_t>;

/// NumPy's name of a type.
template <npy_value T>
constexpr std::string_view npy_name() {
    if constexpr (std::same_as<T, float>) {
        return "<f4";
    } else if constexpr (std::same_as<T, double>) {
        return "<f8";
    } else if constexpr (std::same_as<T, std::int32_t>) {
        return "<i4";
    } else {
        return "<i8";
    }
}

/// What the header of a file says, and where the values begin.
struct npy_header {
    std::string type{};                // "<f4", "<f8", ...
    std::vector<std::int64_t> shape{}; // empty for a single number
    std::int64_t offset = 0;           // of the first value, in bytes
};

namespace detail {

/// The text behind `'key':`, without leading blanks.
inline std::string_view npy_field(std::string_view header, std::string_view key, const std::string& path) {
    const std::size_t found = header.find("'" + std::string(key) + "'");
    const std::size_t colon = found == std::string_view::npos ? found : header.find(':', found);
    const std::size_t start = colon == std::string_view::npos ? colon : header.find_first_not_of(' ', colon + 1);
    if (start == std::string_view::npos) {
        throw std::runtime_error(path + ": broken .npy header, no " + std::string(key));
    }
    return header.substr(start);
}

inline std::vector<std::int64_t> npy_shape(std::string_view text, const std::string& path) {
    const std::size_t close = text.find(')');
    if (text.empty() || text.front() != '(' || close == std::string_view::npos) {
        throw std::runtime_error(path + ": broken .npy header, shape");
    }
    std::vector<std::int64_t> shape;
    std::int64_t extent = 0;
    bool has_digits = false;
    for (const char c : text.substr(1, close)) { // up to and with the closing bracket
        if (c >= '0' && c <= '9') {
            if (extent > (std::numeric_limits<std::int64_t>::max)() / 16) {
                throw std::runtime_error(path + ": broken .npy header, shape");
            }
            extent = 10 * extent + (c - '0');
            has_digits = true;
        } else if (c == ',' || c == ')') {
            if (has_digits) {
                shape.push_back(extent);
            }
            extent = 0;
            has_digits = false;
        } else if (c != ' ') {
            throw std::runtime_error(path + ": broken .npy header, shape");
        }
    }
    return shape;
}

} // namespace detail

/// \throws std::runtime_error  the file cannot be read, is no .npy file, or is in Fortran order
inline npy_header read_npy_header(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error("cannot open " + path);
    }
    std::string start(12, '\0');
    file.read(start.data(), 12);
    const auto byte = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(start[i])); };
    if (file.gcount() != 12 || start.substr(0, 6) != "\x93NUMPY" || byte(6) < 1 || byte(6) > 3) {
        throw std::runtime_error(path + ": not an .npy file of version 1 to 3");
    }
    const bool is_short = byte(6) == 1;
    std::uint64_t length = byte(8) | byte(9) << 8;
    if (!is_short) {
        length |= byte(10) << 16 | byte(11) << 24;
    }
    constexpr std::uint64_t longest = 1 << 20;
    if (length > longest) {
        throw std::runtime_error(path + ": broken .npy header, length");
    }
    const std::int64_t begin = is_short ? 10 : 12;
    std::string text(static_cast<std::size_t>(length), '\0');
    file.seekg(begin);
    file.read(text.data(), static_cast<std::streamsize>(length));
    if (file.gcount() != static_cast<std::streamsize>(length)) {
        throw std::runtime_error(path + ": the .npy header ends early");
    }
    npy_header header;
    header.offset = begin + static_cast<std::int64_t>(length);
    const std::string_view type = detail::npy_field(text, "descr", path);
    const std::size_t quote = type.find('\'', 1);
    if (type.front() != '\'' || quote == std::string_view::npos) {
        throw std::runtime_error(path + ": broken .npy header, descr");
    }
    header.type = type.substr(1, quote - 1);
    if (!detail::npy_field(text, "fortran_order", path).starts_with("False")) {
        throw std::runtime_error(path + ": must be in C order; got Fortran order");
    }
    header.shape = detail::npy_shape(detail::npy_field(text, "shape", path), path);
    return header;
}

/// A matrix as it lies in a file, row after row.
template <npy_value T>
struct npy_matrix {
    std::vector<T> values{};
    std::int64_t rows = 0;
    std::int64_t cols = 0;
};

/// Reads a matrix of exactly this type.
///
/// \throws std::runtime_error  another type, not two dimensions, or fewer values than the header says
template <npy_value T>
npy_matrix<T> read_npy(const std::string& path) {
    const npy_header header = read_npy_header(path);
    if (header.type != npy_name<T>()) {
        throw std::runtime_error(path + ": must hold " + std::string(npy_name<T>()) + "; got " + header.type);
    }
    if (header.shape.size() != 2) {
        throw std::runtime_error(path + ": must have 2 dimensions; got " + std::to_string(header.shape.size()));
    }
    npy_matrix<T> matrix{.rows = header.shape[0], .cols = header.shape[1]};
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    const std::int64_t available =
        (static_cast<std::int64_t>(file.tellg()) - header.offset) / static_cast<std::int64_t>(sizeof(T));
    // Compared by division: the product of broken sizes may overflow, and nothing is allocated before it is known to be there.
    if (matrix.cols > 0 && matrix.rows > available / matrix.cols) {
        throw std::runtime_error(path + ": must hold " + std::to_string(matrix.rows) + " x " +
                                 std::to_string(matrix.cols) + " values; got " + std::to_string(available));
    }
    matrix.values.resize(static_cast<std::size_t>(matrix.rows * matrix.cols));
    file.seekg(header.offset);
    file.read(reinterpret_cast<char*>(matrix.values.data()),
              static_cast<std::streamsize>(matrix.values.size() * sizeof(T)));
    if (!file) {
        throw std::runtime_error("cannot read " + path);
    }
    return matrix;
}

/// Writes values of any shape (version 1, values from a multiple of 64 bytes on, as NumPy does).
///
/// \throws std::runtime_error  the file cannot be written
template <npy_value T>
void write_npy(const std::string& path, const T* values, const std::vector<std::int64_t>& shape) {
    std::string extents;
    std::int64_t count = 1;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        extents += (i > 0 ? ", " : "") + std::to_string(shape[i]);
        count *= shape[i];
    }
    if (shape.size() == 1) {
        extents += ",";
    }
    std::string header =
        "{'descr': '" + std::string(npy_name<T>()) + "', 'fortran_order': False, 'shape': (" + extents + "), }";
    header.append(63 - (10 + header.size()) % 64, ' ');
    header += '\n';
    std::string start = "\x93NUMPY";
    start += '\x01';
    start += '\x00';
    start += static_cast<char>(header.size() & 0xFF);
    start += static_cast<char>(header.size() >> 8);
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(start.data(), static_cast<std::streamsize>(start.size()));
    file.write(header.data(), static_cast<std::streamsize>(header.size()));
    file.write(reinterpret_cast<const char*>(values),
               static_cast<std::streamsize>(count) * static_cast<std::streamsize>(sizeof(T)));
    file.close();
    if (!file) {
        throw std::runtime_error("cannot write " + path);
    }
}

} // namespace support

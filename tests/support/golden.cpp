// SPDX-License-Identifier: MIT
#include "golden.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>

namespace golden {
namespace {

static_assert(std::endian::native == std::endian::little, "the arrays are stored in little endian");

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error("golden: " + what);
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        fail("cannot open " + path.string());
    }
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

template <class T>
std::vector<double> convert(const std::string& bytes, std::size_t first, std::size_t count) {
    std::vector<double> out(count);
    for (std::size_t i = 0; i < count; ++i) {
        T value;
        std::memcpy(&value, bytes.data() + first + i * sizeof(T), sizeof(T));
        out[i] = static_cast<double>(value);
    }
    return out;
}

std::size_t width_of(const std::string& dtype) {
    if (dtype == "<f8") {
        return 8;
    }
    if (dtype == "<f4" || dtype == "<i4") {
        return 4;
    }
    if (dtype == "|u1") {
        return 1;
    }
    fail("arrays of type " + dtype + " are not read here");
}

// NumPy format version 1.0: magic, version, 16-bit length of the header, the header (a Python literal), the values in C
// order.
array read_npy(const std::filesystem::path& path, const std::string& dtype, const std::vector<index_t>& shape) {
    const std::string bytes = read_file(path);
    if (bytes.size() < 10 || bytes.compare(0, 8, std::string("\x93NUMPY\x01\x00", 8)) != 0) {
        fail(path.string() + " is not of NumPy format version 1.0");
    }
    std::uint16_t header_size = 0;
    std::memcpy(&header_size, bytes.data() + 8, sizeof(header_size));
    const std::size_t first = std::size_t{10} + header_size;
    const std::string header = bytes.substr(10, header_size);
    if (header.find("'descr': '" + dtype + "'") == std::string::npos ||
        header.find("'fortran_order': False") == std::string::npos) {
        fail(path.string() + " is not in C order of type " + dtype + " as its manifest says");
    }
    std::string tuple = "(";
    for (const index_t extent : shape) {
        tuple += std::to_string(extent) + (shape.size() == 1 ? "," : ", ");
    }
    if (shape.size() > 1) {
        tuple.resize(tuple.size() - 2);
    }
    tuple += ")";
    if (header.find("'shape': " + tuple) == std::string::npos) {
        fail(path.string() + " has not the shape " + tuple + " of its manifest");
    }

    std::size_t count = 1;
    for (const index_t extent : shape) {
        count *= static_cast<std::size_t>(extent);
    }
    if (bytes.size() != first + count * width_of(dtype)) {
        fail(path.string() + " has not the size of its shape");
    }
    array out{shape, {}};
    if (dtype == "<f8") {
        out.values = convert<double>(bytes, first, count);
    } else if (dtype == "<f4") {
        out.values = convert<float>(bytes, first, count);
    } else if (dtype == "<i4") {
        out.values = convert<std::int32_t>(bytes, first, count);
    } else {
        out.values = convert<std::uint8_t>(bytes, first, count);
    }
    return out;
}

using texts = std::map<std::string, std::string, std::less<>>;

void flatten(const nlohmann::json& node, const std::string& key, numbers& out, texts& words) {
    const std::string prefix = key.empty() ? "" : key + "/";
    if (node.is_object()) {
        for (const auto& [name, value] : node.items()) {
            flatten(value, prefix + name, out, words);
        }
    } else if (node.is_array()) {
        for (std::size_t i = 0; i < node.size(); ++i) {
            flatten(node[i], prefix + std::to_string(i), out, words);
        }
    } else if (node.is_boolean()) {
        out[key] = node.get<bool>() ? 1.0 : 0.0;
    } else if (node.is_number()) {
        out[key] = node.get<double>();
    } else if (node.is_string()) {
        words[key] = node.get<std::string>();
    }
}

template <class Map>
const auto& find(const Map& map, std::string_view key, const std::string& case_name, const char* what) {
    const auto it = map.find(key);
    if (it == map.end()) {
        fail("case " + case_name + " has no " + what + " " + std::string(key));
    }
    return it->second;
}

std::vector<double> list_of(const numbers& map, std::string_view key, const std::string& case_name, const char* what) {
    std::vector<double> out;
    for (;;) {
        const auto it = map.find(std::string(key) + "/" + std::to_string(out.size()));
        if (it == map.end()) {
            break;
        }
        out.push_back(it->second);
    }
    if (out.empty()) {
        fail("case " + case_name + " has no list " + what + " " + std::string(key));
    }
    return out;
}

} // namespace

const array& test_case::operator[](std::string_view array_name) const {
    return find(arrays_, array_name, name_, "array");
}
double test_case::param(std::string_view key) const {
    return find(params_, key, name_, "parameter");
}
double test_case::expected(std::string_view key) const {
    return find(expected_, key, name_, "expected number");
}
double test_case::tolerance(std::string_view key) const {
    return find(tolerance_, key, name_, "tolerance");
}
const std::string& test_case::param_text(std::string_view key) const {
    return find(texts_, key, name_, "parameter");
}
std::vector<double> test_case::param_list(std::string_view key) const {
    return list_of(params_, key, name_, "of parameters");
}
std::vector<double> test_case::expected_list(std::string_view key) const {
    return list_of(expected_, key, name_, "of expected numbers");
}

std::vector<test_case> cases(std::string_view kind) {
    const std::filesystem::path root(PROTONCE_GOLDEN_DIR);
    if (!std::filesystem::is_directory(root)) {
        fail("no folder " + root.string());
    }
    std::vector<test_case> out;
    for (const auto& entry : std::filesystem::directory_iterator(root)) {
        if (!entry.is_directory()) {
            continue;
        }
        const auto manifest = nlohmann::json::parse(read_file(entry.path() / "manifest.json"));
        if (manifest.at("kind").get<std::string>() != kind) {
            continue;
        }
        test_case one;
        texts unused;
        one.name_ = manifest.at("case").get<std::string>();
        flatten(manifest.at("params"), "", one.params_, one.texts_);
        flatten(manifest.at("expected"), "", one.expected_, unused);
        if (manifest.contains("tolerance")) {
            flatten(manifest.at("tolerance"), "", one.tolerance_, unused);
        }
        for (const auto& [name, about] : manifest.at("arrays").items()) {
            one.arrays_[name] = read_npy(entry.path() / (name + ".npy"), about.at("dtype").get<std::string>(),
                                         about.at("shape").get<std::vector<index_t>>());
        }
        out.push_back(std::move(one));
    }
    if (out.empty()) {
        fail("no case of kind " + std::string(kind) + " in " + root.string());
    }
    std::sort(out.begin(), out.end(), [](const test_case& a, const test_case& b) { return a.name() < b.name(); });
    return out;
}

test_case named(std::string_view kind, std::string_view name) {
    for (auto& one : cases(kind)) {
        if (one.name() == name) {
            return one;
        }
    }
    fail("no case " + std::string(name) + " of kind " + std::string(kind));
}

double difference(const std::vector<double>& expected, const std::vector<double>& actual) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    if (expected.size() != actual.size() || expected.empty()) {
        return infinity;
    }
    double largest = 0.0;
    double worst = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const double off = std::abs(expected[i] - actual[i]);
        if (!(off <= std::numeric_limits<double>::max())) {
            return infinity;
        }
        worst = std::max(worst, off);
        largest = std::max(largest, std::abs(expected[i]));
    }
    return largest > 0.0 ? worst / largest : worst;
}

} // namespace golden

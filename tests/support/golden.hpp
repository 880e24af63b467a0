// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/view.hpp>

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

/// Expected values computed by other programs; `tests/golden/README.md` describes the files.
///
///     for (const auto& c : golden::cases("infonce_queue")) {
///         INFO(c.name());
///         const auto query = c["q"].as<float>();                       // values, row after row
///         ... info_nce(be, {.query = view_rows(query.data(), c["q"].rows(), c["q"].cols()), ...
///         CHECK(golden::difference(c["loss_per_sample"], loss) <= c.tolerance("rtol_f32"));
///     }
namespace golden {

using protonce::index_t;

/// One array of a case, whatever its type in the file, as double.
struct array {
    std::vector<index_t> shape;
    std::vector<double> values;

    index_t size() const { return static_cast<index_t>(values.size()); }
    /// First dimension; 1 for a scalar.
    index_t rows() const { return shape.empty() ? 1 : shape[0]; }
    /// Product of the others; 1 for a vector.
    index_t cols() const { return rows() > 0 ? size() / rows() : 0; }
    double operator()(index_t i, index_t j = 0) const { return values.at(static_cast<std::size_t>(i * cols() + j)); }

    template <class T>
    std::vector<T> as() const {
        std::vector<T> out;
        out.reserve(values.size());
        for (const double value : values) {
            out.push_back(static_cast<T>(value));
        }
        return out;
    }
};

/// Numbers of a manifest by name; members of lists and objects as "loss_proto/0", "inertia/converged". true is 1, false
/// 0.
using numbers = std::map<std::string, double, std::less<>>;

class test_case {
public:
    const std::string& name() const { return name_; }

    bool has(std::string_view array_name) const { return arrays_.find(array_name) != arrays_.end(); }
    bool has_param(std::string_view key) const { return params_.find(key) != params_.end(); }
    bool has_expected(std::string_view key) const { return expected_.find(key) != expected_.end(); }
    bool has_tolerance(std::string_view key) const { return tolerance_.find(key) != tolerance_.end(); }

    /// \throws std::runtime_error  there is none of this name (all four)
    const array& operator[](std::string_view array_name) const;
    double param(std::string_view key) const;
    double expected(std::string_view key) const;
    double tolerance(std::string_view key) const;

    /// The numbers "<key>/0", "<key>/1", ...; \throws std::runtime_error  there is none
    std::vector<double> param_list(std::string_view key) const;
    std::vector<double> expected_list(std::string_view key) const;
    /// A parameter that is a word, such as "style".
    const std::string& param_text(std::string_view key) const;

private:
    friend std::vector<test_case> cases(std::string_view kind);

    std::string name_;
    std::map<std::string, array, std::less<>> arrays_;
    numbers params_;
    numbers expected_;
    numbers tolerance_;
    std::map<std::string, std::string, std::less<>> texts_;
};

/// Every case of a kind, by name. \throws std::runtime_error  there is none, or a file is missing or not as its
/// manifest says
std::vector<test_case> cases(std::string_view kind);
/// One case of a kind, by name. \throws std::runtime_error  there is none
test_case named(std::string_view kind, std::string_view name);

/// Largest |expected - actual| over the array, relative to the largest |expected| (absolute if that is 0). Infinity if
/// sizes differ, something is NaN, or the array is empty: a comparison of nothing must not pass.
double difference(const std::vector<double>& expected, const std::vector<double>& actual);

namespace detail {
template <class Range>
std::vector<double> doubles(const Range& values) {
    std::vector<double> out;
    for (const auto& value : values) {
        out.push_back(static_cast<double>(value));
    }
    return out;
}
template <class T>
std::vector<double> doubles(protonce::matrix_view<T> values) {
    std::vector<double> out;
    for (index_t i = 0; i < values.rows(); ++i) {
        for (const auto& value : values.row(i)) {
            out.push_back(static_cast<double>(value));
        }
    }
    return out;
}
} // namespace detail

/// The same for an array of a case and any range, vector_view or matrix_view of numbers.
template <class Values>
double difference(const array& expected, const Values& actual) {
    return difference(expected.values, detail::doubles(actual));
}

} // namespace golden

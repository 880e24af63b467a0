// SPDX-License-Identifier: MIT
// Without LibTorch: a type with those members of its tensors that are asked for. examples/libtorch has the real ones.
#include <protonce/adapt/torch.hpp>

#include "support/thrown.hpp"

#include <doctest/doctest.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using protonce::argument_error;
using protonce::device;
using protonce::index_t;
using protonce::matrix_view;
using protonce::shape_error;
using protonce::vector_view;
using protonce::view_rows;
using protonce::view_vector;

namespace libtorch {

enum class scalar { Float, Double, Int, Long, BFloat16, Half };
const char* toString(scalar type) {
    constexpr const char* names[] = {"Float", "Double", "Int", "Long", "BFloat16", "Half"};
    return names[static_cast<std::size_t>(type)];
}

struct place {
    bool is_host;
    std::string str() const { return is_host ? "cpu" : "cuda:1"; }
};

struct tensor {
    void* data = nullptr;
    scalar type = scalar::Float;
    std::vector<std::int64_t> sizes{};
    std::vector<std::int64_t> strides{};
    bool is_host = true;

    bool defined() const { return !sizes.empty(); }
    std::int64_t dim() const { return static_cast<std::int64_t>(sizes.size()); }
    std::int64_t size(std::int64_t d) const { return sizes[static_cast<std::size_t>(d)]; }
    std::int64_t stride(std::int64_t d) const { return strides[static_cast<std::size_t>(d)]; }
    bool is_cpu() const { return is_host; }
    bool is_cuda() const { return !is_host; }
    place device() const { return {is_host}; }
    scalar scalar_type() const { return type; }
    void* data_ptr() const { return data; }
};

} // namespace libtorch

using libtorch::scalar;
using libtorch::tensor;

TEST_CASE("torch: rows of a tensor are viewed in place, slices too") {
    std::vector<float> values{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    const tensor slice{.data = values.data() + 1, .sizes = {2, 3}, .strides = {5, 1}};

    const auto view = view_rows<float>(slice);

    static_assert(std::same_as<decltype(view), const matrix_view<float>>);
    CHECK(view.data() == values.data() + 1);
    CHECK(view.rows() == 2);
    CHECK(view.cols() == 3);
    CHECK(view.stride() == 5);
    view(1, 2) = -1.0F;
    CHECK(values[8] == -1.0F);
    static_assert(std::same_as<decltype(view_rows<const float>(slice)), matrix_view<const float>>);
    CHECK(view_rows<const float>(slice)(1, 2) == -1.0F);
}

TEST_CASE("torch: each type of values has its view") {
    std::vector<double> values{1, 2, 3};
    std::vector<index_t> ids{4, 5, 6};
    std::vector<protonce::label_t> labels{7, 8};
    std::vector<protonce::bfloat16> halves(2);
    const tensor of_values{.data = values.data(), .type = scalar::Double, .sizes = {3}, .strides = {1}};
    const tensor of_ids{.data = ids.data(), .type = scalar::Long, .sizes = {3}, .strides = {1}};
    const tensor of_labels{.data = labels.data(), .type = scalar::Int, .sizes = {2}, .strides = {1}};
    const tensor of_halves{.data = halves.data(), .type = scalar::BFloat16, .sizes = {1, 2}, .strides = {2, 1}};

    CHECK(view_vector<double>(of_values)[2] == 3.0);
    CHECK(view_vector<const index_t>(of_ids)[1] == 5);
    CHECK(view_vector<protonce::label_t>(of_labels).size() == 2);
    CHECK(view_rows<protonce::bfloat16>(of_halves).cols() == 2);
}

TEST_CASE("torch: a tensor on a device is a view of the device's memory") {
    std::vector<float> values(6);
    const tensor there{.data = values.data(), .sizes = {2, 3}, .strides = {3, 1}, .is_host = false};
    const tensor vector{.data = values.data(), .sizes = {6}, .strides = {1}, .is_host = false};

    static_assert(std::same_as<decltype(view_rows<float, device>(there)), matrix_view<float, device>>);
    static_assert(std::same_as<decltype(view_vector<float, device>(vector)), vector_view<float, device>>);
    CHECK(view_rows<float, device>(there).data() == values.data());
    CHECK(view_vector<float, device>(vector).size() == 6);
}

TEST_CASE("torch: what a view cannot be is refused with what was given") {
    std::vector<float> values(12);
    const tensor rows{.data = values.data(), .sizes = {3, 4}, .strides = {4, 1}};
    auto there = rows;
    there.is_host = false;
    auto half = rows;
    half.type = scalar::Half;
    const tensor turned{.data = values.data(), .sizes = {4, 3}, .strides = {1, 4}};
    const tensor every_second{.data = values.data(), .sizes = {6}, .strides = {2}};
    const tensor undefined;
    const auto refused = [](auto&& call) { return test::message_of<argument_error>(call); };
    const auto misshapen = [](auto&& call) { return test::message_of<shape_error>(call); };

    CHECK(refused([&] { view_rows<float>(undefined); }) == "view_rows: array: must be a tensor; got an undefined one");
    CHECK(refused([&] { view_rows<double>(rows); }) == "view_rows: array: must hold values of type Double; got Float");
    CHECK(refused([&] { view_rows<float>(half); }) == "view_rows: array: must hold values of type Float; got Half");
    CHECK(refused([&] { view_rows<float>(there); }) ==
          "view_rows: array: must lie in memory of the host; got a tensor on cuda:1");
    CHECK(refused([&] { view_rows<float, device>(rows); }) ==
          "view_rows: array: must lie in memory of a CUDA device; got a tensor on cpu");
    CHECK(misshapen([&] { view_vector<float>(rows); }) == "view_vector: array: must have 1 dimension; got 2");
    CHECK(misshapen([&] { view_rows<float>(every_second); }) == "view_rows: array: must have 2 dimensions; got 1");
    CHECK(misshapen([&] { view_rows<float>(turned); }) ==
          "view_rows: array: must have the values of a row one after the other, column stride 1; got strides (1, 4)");
    CHECK(misshapen([&] { view_vector<float>(every_second); }) ==
          "view_vector: array: must have its values one after the other, stride 1; got stride 2");
}

TEST_CASE("torch: an empty tensor is an empty view") {
    const tensor none{.sizes = {0, 4}, .strides = {4, 1}};

    CHECK(view_rows<float>(none).empty());
    CHECK(view_rows<float>(none).cols() == 4);
}

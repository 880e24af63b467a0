// SPDX-License-Identifier: MIT
// With DLPack's header where it is, else with a struct of its layout.
#include <protonce/adapt/dlpack.hpp>

#include "support/thrown.hpp"

#include <doctest/doctest.h>

#include <concepts>
#include <cstdint>
#include <utility>
#include <vector>

#if __has_include(<dlpack/dlpack.h>)
#include <dlpack/dlpack.h>
#else
struct DLDevice {
    int device_type;
    std::int32_t device_id;
};
struct DLDataType {
    std::uint8_t code;
    std::uint8_t bits;
    std::uint16_t lanes;
};
struct DLTensor {
    void* data;
    DLDevice device;
    std::int32_t ndim;
    DLDataType dtype;
    std::int64_t* shape;
    std::int64_t* strides;
    std::uint64_t byte_offset;
};
#endif

using protonce::argument_error;
using protonce::device;
using protonce::index_t;
using protonce::matrix_view;
using protonce::shape_error;
using protonce::vector_view;
using protonce::view_rows;
using protonce::view_vector;

namespace dlpack {

constexpr int cpu = 1, cuda = 2, cuda_host = 3, cuda_managed = 13; // devices
constexpr int integer = 0, floating = 2, bfloat = 4;               // types of values

/// A tensor with room for its shape.
struct tensor {
    std::vector<std::int64_t> shape, strides; // strides may be left out
    DLTensor dl{};

    tensor(void* data, int code, int bits, std::vector<std::int64_t> of_shape,
           std::vector<std::int64_t> of_strides = {}, int device_type = cpu)
        : shape(std::move(of_shape)), strides(std::move(of_strides)) {
        dl.data = data;
        dl.device.device_type = static_cast<decltype(dl.device.device_type)>(device_type);
        dl.device.device_id = 1;
        dl.ndim = static_cast<std::int32_t>(shape.size());
        dl.dtype.code = static_cast<std::uint8_t>(code);
        dl.dtype.bits = static_cast<std::uint8_t>(bits);
        dl.dtype.lanes = 1;
        dl.shape = shape.data();
        dl.strides = strides.empty() ? nullptr : strides.data();
        dl.byte_offset = 0;
    }
    tensor(const tensor&) = delete;
    tensor& operator=(const tensor&) = delete;
};

TEST_CASE("dlpack: rows of a tensor are viewed in place, slices too") {
    std::vector<float> values{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    tensor slice(values.data(), floating, 32, {2, 3}, {5, 1});
    slice.dl.byte_offset = sizeof(float);

    const auto view = view_rows<float>(slice.dl);

    static_assert(std::same_as<decltype(view), const matrix_view<float>>);
    CHECK(view.data() == values.data() + 1);
    CHECK(view.rows() == 2);
    CHECK(view.cols() == 3);
    CHECK(view.stride() == 5);
    view(1, 2) = -1.0F;
    CHECK(values[8] == -1.0F);
    static_assert(std::same_as<decltype(view_rows<const float>(slice.dl)), matrix_view<const float>>);
    CHECK(view_rows<const float>(slice.dl)(1, 2) == -1.0F);
}

TEST_CASE("dlpack: without strides the rows follow each other") {
    std::vector<double> values{0, 1, 2, 3, 4, 5};
    const tensor rows(values.data(), floating, 64, {2, 3}), vector(values.data(), floating, 64, {6});

    CHECK(view_rows<double>(rows.dl).stride() == 3);
    CHECK(view_rows<double>(rows.dl)(1, 0) == 3);
    CHECK(view_vector<double>(vector.dl)[5] == 5);
}

TEST_CASE("dlpack: each type of values has its view") {
    std::vector<index_t> ids{4, 5, 6};
    std::vector<protonce::label_t> labels{7, 8};
    std::vector<protonce::bfloat16> halves(2);
    const tensor of_ids(ids.data(), integer, 64, {3}), of_labels(labels.data(), integer, 32, {2}),
        of_halves(halves.data(), bfloat, 16, {1, 2});

    CHECK(view_vector<const index_t>(of_ids.dl)[1] == 5);
    CHECK(view_vector<protonce::label_t>(of_labels.dl).size() == 2);
    CHECK(view_rows<protonce::bfloat16>(of_halves.dl).cols() == 2);
}

TEST_CASE("dlpack: memory of a device, pinned memory and memory of both") {
    std::vector<float> values(6);
    const auto at = [&](int place) { return tensor(values.data(), floating, 32, {2, 3}, {}, place); };
    const tensor there = at(cuda), pinned = at(cuda_host), both = at(cuda_managed);

    static_assert(std::same_as<decltype(view_rows<float, device>(there.dl)), matrix_view<float, device>>);
    static_assert(std::same_as<decltype(view_vector<float, device>(there.dl)), vector_view<float, device>>);
    CHECK(view_rows<float, device>(there.dl).data() == values.data());
    CHECK(view_rows<float>(pinned.dl).data() == values.data());
    CHECK(view_rows<float>(both.dl).data() == values.data());
    CHECK(view_rows<float, device>(both.dl).data() == values.data());
}

TEST_CASE("dlpack: what a view cannot be is refused with what was given") {
    std::vector<float> values(12);
    const tensor rows(values.data(), floating, 32, {3, 4}), half(values.data(), floating, 16, {3, 4}),
        unsigned_ids(values.data(), 1, 32, {3}), unknown(values.data(), 17, 8, {3}),
        there(values.data(), floating, 32, {3, 4}, {}, cuda), elsewhere(values.data(), floating, 32, {3, 4}, {}, 10),
        turned(values.data(), floating, 32, {4, 3}, {1, 4}), every_second(values.data(), floating, 32, {6}, {2});
    tensor vectors(values.data(), floating, 32, {3, 1}), odd(values.data(), floating, 32, {2, 2});
    vectors.dl.dtype.lanes = 4;
    odd.dl.byte_offset = 2;
    const auto refused = [](auto&& call) { return test::message_of<argument_error>(call); };
    const auto misshapen = [](auto&& call) { return test::message_of<shape_error>(call); };

    CHECK(refused([&] { view_rows<double>(rows.dl); }) ==
          "view_rows: array: must hold values of type float64; got float32");
    CHECK(refused([&] { view_rows<protonce::bfloat16>(half.dl); }) ==
          "view_rows: array: must hold values of type bfloat16; got float16");
    CHECK(refused([&] { view_vector<protonce::label_t>(unsigned_ids.dl); }) ==
          "view_vector: array: must hold values of type int32; got uint32");
    CHECK(refused([&] { view_vector<float>(unknown.dl); }) ==
          "view_vector: array: must hold values of type float32; got code 17 of 8");
    CHECK(refused([&] { view_rows<float>(vectors.dl); }) ==
          "view_rows: array: must hold values of type float32; got float32 in vectors of 4");
    CHECK(refused([&] { view_rows<float>(there.dl); }) ==
          "view_rows: array: must lie in memory of the host; got a tensor on device type 2, number 1");
    CHECK(refused([&] { view_rows<float, device>(elsewhere.dl); }) ==
          "view_rows: array: must lie in memory of a CUDA device; got a tensor on device type 10, number 1");
    CHECK(refused([&] { view_rows<float>(odd.dl); }) ==
          "view_rows: array: must be aligned to 4 bytes; got an address that is not");
    CHECK(misshapen([&] { view_vector<float>(rows.dl); }) == "view_vector: array: must have 1 dimension; got 2");
    CHECK(misshapen([&] { view_rows<float>(turned.dl); }) ==
          "view_rows: array: must have the values of a row one after the other, column stride 1; got strides (1, 4)");
    CHECK(misshapen([&] { view_vector<float>(every_second.dl); }) ==
          "view_vector: array: must have its values one after the other, stride 1; got stride 2");
}

TEST_CASE("dlpack: an empty tensor is an empty view") {
    const tensor none(nullptr, floating, 32, {0, 4}), nothing(nullptr, floating, 32, {0});

    CHECK(view_rows<float>(none.dl).empty());
    CHECK(view_rows<float>(none.dl).cols() == 4);
    CHECK(view_vector<float>(nothing.dl).empty());
}

} // namespace dlpack

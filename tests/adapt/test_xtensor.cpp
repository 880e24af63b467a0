// SPDX-License-Identifier: MIT
#include <protonce/adapt/xtensor.hpp>

#include "support/thrown.hpp"

// From 0.26 on the headers lie in folders.
#if __has_include(<xtensor/containers/xtensor.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xfixed.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/views/xstrided_view.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xfixed.hpp>
#include <xtensor/xstrided_view.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>
#endif

#include <doctest/doctest.h>

#include <array>
#include <concepts>
#include <vector>

using protonce::matrix_view;
using protonce::vector_view;
using protonce::view_rows;
using protonce::view_vector;

namespace {

/// Value i, j is 10 i + j.
xt::xtensor<float, 2> numbered_tensor(std::size_t rows, std::size_t cols) {
    xt::xtensor<float, 2> out(std::array<std::size_t, 2>{rows, cols});
    for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < cols; ++j) {
            out(i, j) = static_cast<float>(10 * i + j);
        }
    }
    return out;
}

} // namespace

TEST_CASE("xtensor: containers are viewed in place") {
    auto tensor = numbered_tensor(3, 4);
    xt::xarray<double> array{{1, 2, 3}, {4, 5, 6}};
    xt::xtensor_fixed<float, xt::xshape<2, 2>> fixed{{1, 2}, {3, 4}};

    const auto view = view_rows(tensor);

    static_assert(std::same_as<decltype(view), const matrix_view<float>>);
    static_assert(std::same_as<decltype(view_rows(array)), matrix_view<double>>);
    CHECK(view.data() == tensor.data());
    CHECK(view.rows() == 3);
    CHECK(view.cols() == 4);
    CHECK(view.stride() == 4);
    view(2, 1) = -1.0f;
    CHECK(tensor(2, 1) == -1.0f);
    CHECK(view_rows(array)(1, 2) == 6.0);
    CHECK(view_rows(fixed)(1, 0) == 3.0f);
}

TEST_CASE("xtensor: const containers give views of const") {
    const auto tensor = numbered_tensor(3, 4);
    const xt::xtensor<double, 1> vector{1, 2, 3};

    static_assert(std::same_as<decltype(view_rows(tensor)), matrix_view<const float>>);
    static_assert(std::same_as<decltype(view_vector(vector)), vector_view<const double>>);
    CHECK(view_rows(tensor)(1, 3) == 13.0f);
    CHECK(view_vector(vector)[2] == 3.0);
}

TEST_CASE("xtensor: vectors are views of values") {
    xt::xtensor<float, 1> tensor{1, 2, 3};
    xt::xarray<int> array{4, 5};

    static_assert(std::same_as<decltype(view_vector(tensor)), vector_view<float>>);
    CHECK(view_vector(tensor).data() == tensor.data());
    CHECK(view_vector(tensor).size() == 3);
    CHECK(view_vector(array)[1] == 5);
}

TEST_CASE("xtensor: what adapt returns is viewed, a temporary included") {
    std::vector<float> values{0, 1, 2, 3, 4, 5};
    const std::array<std::size_t, 2> shape{2, 3};
    auto adaptor = xt::adapt(values, shape);

    CHECK(view_rows(adaptor)(1, 2) == 5.0f);
    CHECK(view_rows(xt::adapt(values, shape)).data() == values.data());
    CHECK(view_rows(xt::adapt(values.data(), values.size(), xt::no_ownership(), shape))(1, 0) == 3.0f);
}

TEST_CASE("xtensor: views of rows and of columns keep the row stride") {
    auto tensor = numbered_tensor(5, 6);

    const auto block = view_rows(xt::view(tensor, xt::range(1, 4), xt::range(2, 4)));
    CHECK(block.rows() == 3);
    CHECK(block.cols() == 2);
    CHECK(block.stride() == 6);
    CHECK(block(2, 1) == 33.0f);
    const auto strided = view_rows(xt::strided_view(tensor, {xt::range(0, 5, 2), xt::all()}));
    CHECK(strided.rows() == 3);
    CHECK(strided.stride() == 12);
    CHECK(strided(2, 5) == 45.0f);
    CHECK(view_vector(xt::view(tensor, 2, xt::all()))[5] == 25.0f);
}

TEST_CASE("xtensor: a dimension of extent 1, whose stride xtensor makes 0, is viewed") {
    const xt::xtensor<float, 2> row{{1, 2, 3}};
    const xt::xtensor<float, 2> column{{1}, {2}, {3}};
    const xt::xtensor<float, 1> value{7};

    CHECK(view_rows(row).stride() == 3);
    CHECK(view_rows(row)(0, 2) == 3.0f);
    CHECK(view_rows(column).cols() == 1);
    CHECK(view_rows(column)(2, 0) == 3.0f);
    CHECK(view_vector(value)[0] == 7.0f);
}

TEST_CASE("xtensor: strides that a view cannot have throw shape_error") {
    const xt::xtensor<float, 2, xt::layout_type::column_major> column_major{{1, 2, 3}, {4, 5, 6}};
    const auto tensor = numbered_tensor(3, 4);

    CHECK(test::message_of<protonce::shape_error>([&] { view_rows(column_major); }) ==
          "view_rows: array: must have the values of a row one after the other, column stride 1; got strides (1, 2)");
    CHECK(
        test::message_of<protonce::shape_error>([&] { view_rows(xt::view(tensor, xt::all(), xt::range(0, 4, 2))); }) ==
        "view_rows: array: must have the values of a row one after the other, column stride 1; got strides (4, 2)");
    CHECK(test::message_of<protonce::shape_error>([&] { view_vector(xt::view(tensor, xt::all(), 1)); }) ==
          "view_vector: array: must have its values one after the other, stride 1; got stride 4");
    CHECK(test::message_of<protonce::shape_error>([&] {
              view_rows(xt::strided_view(tensor, {xt::range(2, xt::placeholders::_, -1), xt::all()}));
          }) == "view_rows: array: must have a row stride of at least its columns, 4; got strides (-4, 1)");
}

TEST_CASE("xtensor: another number of dimensions throws shape_error") {
    const auto tensor = numbered_tensor(3, 4);
    const xt::xarray<float> cube = xt::xarray<float>::from_shape({2, 2, 2});
    const xt::xtensor<float, 1> vector{1, 2};

    CHECK(test::message_of<protonce::shape_error>([&] { view_rows(cube); }) ==
          "view_rows: array: must have 2 dimensions; got 3");
    CHECK(test::message_of<protonce::shape_error>([&] { view_rows(vector); }) ==
          "view_rows: array: must have 2 dimensions; got 1");
    CHECK(test::message_of<protonce::shape_error>([&] { view_vector(tensor); }) ==
          "view_vector: array: must have 1 dimension; got 2");
}

// SPDX-License-Identifier: MIT
#include <protonce/core/view.hpp>

#include <doctest/doctest.h>

#include <array>
#include <span>
#include <type_traits>
#include <vector>

using namespace protonce;

// What must not compile is tested with the compiler's message in tests/compile_fail; here the same as facts about
// types.
static_assert(std::is_convertible_v<vector_view<float>, vector_view<const float>>);
static_assert(!std::is_convertible_v<vector_view<const float>, vector_view<float>>);
static_assert(!std::is_convertible_v<vector_view<float>, vector_view<double>>);
static_assert(!std::is_convertible_v<vector_view<float, device>, vector_view<float, host>>);
static_assert(!std::is_convertible_v<vector_view<float, device>, vector_view<const float, host>>);
static_assert(!std::is_convertible_v<vector_view<float, host>, vector_view<const float, device>>);
static_assert(std::is_convertible_v<matrix_view<double, device>, matrix_view<const double, device>>);
static_assert(!std::is_convertible_v<matrix_view<const double>, matrix_view<double>>);
static_assert(!std::is_convertible_v<matrix_view<double, device>, matrix_view<double, host>>);
static_assert(!std::is_convertible_v<matrix_view<double, host>, matrix_view<const double, device>>);
static_assert(std::is_trivially_copyable_v<matrix_view<float>> && std::is_trivially_copyable_v<vector_view<float>>);

TEST_CASE("view: a default-constructed view is empty and points nowhere") {
    const vector_view<float> vector;
    const matrix_view<float> matrix;

    CHECK(vector.empty());
    CHECK(vector.size() == 0);
    CHECK(vector.data() == nullptr);
    CHECK(matrix.empty());
    CHECK(matrix.rows() == 0);
    CHECK(matrix.cols() == 0);
    CHECK(matrix.data() == nullptr);
}

TEST_CASE("view: a vector view reads and writes the owner's values") {
    std::array<int, 4> values{1, 2, 3, 4};
    const vector_view<int> view(values.data(), 4);

    view[2] = 30;
    int sum = 0;
    for (const int value : view) {
        sum += value;
    }

    CHECK(values[2] == 30);
    CHECK(sum == 37);
    CHECK(view.end() - view.begin() == 4);
}

TEST_CASE("view: a slice of a vector view is the same memory further on") {
    std::array<int, 5> values{0, 1, 2, 3, 4};
    const vector_view<int> view(values.data(), 5);

    const auto slice = view.slice(1, 3);

    CHECK(slice.size() == 3);
    CHECK(slice.data() == values.data() + 1);
    CHECK(slice[2] == 3);
    CHECK(view.slice(5, 0).empty());
}

TEST_CASE("view: rows of a matrix view lie a stride apart") {
    std::array<int, 11> values{0, 1, 2, -1, 10, 11, 12, -1, 20, 21, 22};
    const matrix_view<int> view(values.data(), 3, 3, 4);

    view(1, 2) = 99;

    CHECK(values[6] == 99);
    CHECK(view(2, 0) == 20);
    CHECK(view.row(2).size() == 3);
    CHECK(view.row(2).data() == values.data() + 8);
    CHECK(view.row(1)[2] == 99);
}

TEST_CASE("view: without a stride, rows follow each other") {
    std::array<int, 6> values{0, 1, 2, 3, 4, 5};

    const auto view = view_rows(values.data(), 2, 3);

    CHECK(view.stride() == 3);
    CHECK(view(1, 0) == 3);
}

TEST_CASE("view: a slice of a matrix view keeps columns and stride") {
    std::array<int, 12> values{};
    const matrix_view<int> view(values.data(), 4, 2, 3);

    const auto slice = view.slice(1, 2);

    CHECK(slice.rows() == 2);
    CHECK(slice.cols() == 2);
    CHECK(slice.stride() == 3);
    CHECK(slice.data() == values.data() + 3);
}

TEST_CASE("view: conversion to const values keeps pointer and shape") {
    std::array<float, 6> values{1, 2, 3, 4, 5, 6};
    const matrix_view<float> matrix(values.data(), 2, 2, 3);
    const vector_view<float> vector(values.data(), 6);

    const matrix_view<const float> const_matrix = matrix;
    const vector_view<const float> const_vector = vector;

    CHECK(const_matrix.data() == values.data());
    CHECK(const_matrix.rows() == 2);
    CHECK(const_matrix.cols() == 2);
    CHECK(const_matrix.stride() == 3);
    CHECK(const_vector.data() == values.data());
    CHECK(const_vector.size() == 6);
}

TEST_CASE("view: view_vector takes every contiguous range and keeps its constness") {
    std::vector<float> vector{1, 2, 3};
    const std::vector<float> const_vector{1, 2};
    std::array<double, 4> array{};
    label_t plain[5] = {};

    CHECK(view_vector(vector).data() == vector.data());
    CHECK(view_vector(vector).size() == 3);
    CHECK(view_vector(array).size() == 4);
    CHECK(view_vector(plain).size() == 5);
    CHECK(view_vector(std::span<const float>(vector).first(2)).size() == 2);
    CHECK(std::is_same_v<decltype(view_vector(vector)), vector_view<float>>);
    CHECK(std::is_same_v<decltype(view_vector(const_vector)), vector_view<const float>>);
}

// SPDX-License-Identifier: MIT
#include <protonce/adapt/eigen.hpp>

#include "support/thrown.hpp"

#include <Eigen/Core>

#include <doctest/doctest.h>

#include <concepts>
#include <type_traits>
#include <vector>

using protonce::index_t;
using protonce::matrix_view;
using protonce::vector_view;
using protonce::view_rows;
using protonce::view_vector;

namespace {

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Value i, j is 10 i + j.
row_major numbered(Eigen::Index rows, Eigen::Index cols) {
    row_major out(rows, cols);
    for (Eigen::Index i = 0; i < rows; ++i) {
        for (Eigen::Index j = 0; j < cols; ++j) {
            out(i, j) = static_cast<float>(10 * i + j);
        }
    }
    return out;
}

} // namespace

TEST_CASE("eigen: a row-major matrix is viewed in place") {
    row_major matrix = numbered(3, 4);

    const auto view = view_rows(matrix);

    static_assert(std::same_as<decltype(view), const matrix_view<float>>);
    CHECK(view.data() == matrix.data());
    CHECK(view.rows() == 3);
    CHECK(view.cols() == 4);
    CHECK(view.stride() == 4);
    view(2, 1) = -1.0f;
    CHECK(matrix(2, 1) == -1.0f);
}

TEST_CASE("eigen: const matrices give views of const") {
    const row_major matrix = numbered(3, 4);
    const Eigen::VectorXd vector = Eigen::VectorXd::Ones(3);

    static_assert(std::same_as<decltype(view_rows(matrix)), matrix_view<const float>>);
    static_assert(std::same_as<decltype(view_vector(vector)), vector_view<const double>>);
    CHECK(view_rows(matrix)(1, 3) == 13.0f);
    CHECK(view_vector(vector).size() == 3);
}

TEST_CASE("eigen: a block keeps the row stride of its matrix") {
    row_major matrix = numbered(5, 6);

    const auto view = view_rows(matrix.block(1, 2, 3, 2));

    CHECK(view.rows() == 3);
    CHECK(view.cols() == 2);
    CHECK(view.stride() == 6);
    CHECK(view(2, 1) == 33.0f);
    CHECK(view_rows(matrix.topRows(2)).rows() == 2);
    CHECK(view_rows(matrix.bottomRows(1))(0, 5) == 45.0f);
}

TEST_CASE("eigen: maps, references, arrays and fixed sizes are viewed too") {
    std::vector<float> values{0, 1, 2, 3, 4, 5, 6, 7};
    const Eigen::Map<const row_major> map(values.data(), 2, 4);
    Eigen::Map<row_major, 0, Eigen::OuterStride<>> strided(values.data(), 2, 3, Eigen::OuterStride<>(5));
    Eigen::Array<double, 2, 2, Eigen::RowMajor> array;
    array << 1, 2, 3, 4;
    row_major matrix = numbered(2, 2);
    const Eigen::Ref<row_major> reference(matrix);

    static_assert(std::same_as<decltype(view_rows(map)), matrix_view<const float>>);
    CHECK(view_rows(map)(1, 0) == 4.0f);
    CHECK(view_rows(strided).stride() == 5);
    CHECK(view_rows(strided)(1, 2) == 7.0f);
    CHECK(view_rows(array)(1, 0) == 3.0);
    CHECK(view_rows(reference)(1, 1) == 11.0f);
    CHECK(view_rows(Eigen::Map<row_major>(values.data(), 4, 2))(3, 1) == 7.0f); // a temporary map refers to what stays
}

TEST_CASE("eigen: vectors and rows are views of values, columns are rows of one value") {
    row_major matrix = numbered(3, 4);
    Eigen::VectorXf vector = Eigen::VectorXf::LinSpaced(4, 0.0f, 3.0f);
    Eigen::RowVectorXd row(2);
    row << 5, 6;

    static_assert(std::same_as<decltype(view_vector(vector)), vector_view<float>>);
    CHECK(view_vector(vector).data() == vector.data());
    CHECK(view_vector(vector)[3] == 3.0f);
    CHECK(view_vector(vector.head(2)).size() == 2);
    CHECK(view_vector(row)[1] == 6.0);
    CHECK(view_vector(matrix.row(2))[3] == 23.0f);
    const auto column = view_rows(matrix.col(1));
    CHECK(column.rows() == 3);
    CHECK(column.cols() == 1);
    CHECK(column(2, 0) == 21.0f);
    CHECK(view_rows(row).rows() == 1);
    CHECK(view_rows(vector).rows() == 4);
}

TEST_CASE("eigen: empty matrices and vectors give empty views") {
    row_major matrix(0, 4);
    Eigen::VectorXf vector;

    CHECK(view_rows(matrix).empty());
    CHECK(view_vector(vector).empty());
}

TEST_CASE("eigen: strides that a view cannot have throw shape_error") {
    std::vector<float> values(12, 0.0f);
    using any_stride = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
    const Eigen::Map<row_major, 0, any_stride> every_second(values.data(), 2, 3, any_stride(6, 2));
    const Eigen::Map<row_major, 0, any_stride> overlapping(values.data(), 2, 3, any_stride(2, 1));
    row_major matrix = numbered(3, 4);

    CHECK(test::message_of<protonce::shape_error>([&] { view_rows(every_second); }) ==
          "view_rows: array: must have the values of a row one after the other, column stride 1; got strides (6, 2)");
    CHECK(test::message_of<protonce::shape_error>([&] { view_rows(overlapping); }) ==
          "view_rows: array: must have a row stride of at least its columns, 3; got strides (2, 1)");
    CHECK(test::message_of<protonce::shape_error>([&] { view_vector(matrix.col(0)); }) ==
          "view_vector: array: must have its values one after the other, stride 1; got stride 4");
}

// SPDX-License-Identifier: MIT
#include <protonce/adapt/mdspan.hpp>

#include "support/thrown.hpp"

#include <doctest/doctest.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <vector>

#if __has_include(<mdspan>)
#include <mdspan>
#endif

using protonce::matrix_view;
using protonce::vector_view;
using protonce::view_rows;
using protonce::view_vector;

namespace {

/// The members of std::mdspan that are asked for, of a strided layout.
template <class T, std::size_t Rank, class Index = int>
class strided_span {
public:
    using element_type = T;
    using data_handle_type = T*;
    using index_type = Index;

    strided_span(T* data, std::array<Index, Rank> extents, std::array<Index, Rank> strides)
        : data_(data), extents_(extents), strides_(strides) {}

    static constexpr std::size_t rank() { return Rank; }
    Index extent(std::size_t d) const { return extents_[d]; }
    Index stride(std::size_t d) const { return strides_[d]; }
    T* data_handle() const { return data_; }

private:
    T* data_;
    std::array<Index, Rank> extents_;
    std::array<Index, Rank> strides_;
};

} // namespace

TEST_CASE("mdspan: rows of any stride are viewed in place") {
    std::vector<float> values{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    const strided_span<float, 2> span(values.data() + 1, {2, 3}, {5, 1});

    const auto view = view_rows(span);

    static_assert(std::same_as<decltype(view), const matrix_view<float>>);
    CHECK(view.data() == values.data() + 1);
    CHECK(view.rows() == 2);
    CHECK(view.cols() == 3);
    CHECK(view.stride() == 5);
    view(1, 2) = -1.0f;
    CHECK(values[8] == -1.0f);
}

TEST_CASE("mdspan: elements of const give views of const, temporaries are taken") {
    const std::vector<double> values{0, 1, 2, 3};
    using span = strided_span<const double, 2, std::size_t>;

    static_assert(std::same_as<decltype(view_rows(span(values.data(), {2, 2}, {2, 1}))), matrix_view<const double>>);
    CHECK(view_rows(span(values.data(), {2, 2}, {2, 1}))(1, 0) == 2.0);
}

TEST_CASE("mdspan: rank 1 is a view of values") {
    std::vector<int> values{4, 5, 6};

    const auto view = view_vector(strided_span<int, 1>(values.data(), {3}, {1}));

    static_assert(std::same_as<decltype(view), const vector_view<int>>);
    CHECK(view.size() == 3);
    CHECK(view[2] == 6);
}

TEST_CASE("mdspan: strides that a view cannot have throw shape_error") {
    std::vector<float> values(12, 0.0f);
    using matrix = strided_span<float, 2>;
    using vector = strided_span<float, 1>;

    CHECK(test::message_of<protonce::shape_error>([&] {
              view_rows(matrix(values.data(), {3, 4}, {1, 3}));
          }) ==
          "view_rows: array: must have the values of a row one after the other, column stride 1; got strides (1, 3)");
    CHECK(test::message_of<protonce::shape_error>([&] {
              view_rows(matrix(values.data(), {3, 4}, {3, 1}));
          }) == "view_rows: array: must have a row stride of at least its columns, 4; got strides (3, 1)");
    CHECK(test::message_of<protonce::shape_error>([&] { view_vector(vector(values.data(), {3}, {4})); }) ==
          "view_vector: array: must have its values one after the other, stride 1; got stride 4");
}

TEST_CASE("mdspan: empty ones give empty views") {
    using matrix = strided_span<float, 2>;

    CHECK(view_rows(matrix(nullptr, {0, 4}, {4, 1})).empty());
}

#ifdef __cpp_lib_mdspan
TEST_CASE("mdspan: the standard one") {
    std::vector<float> values{0, 1, 2, 3, 4, 5};
    const std::mdspan<const float, std::dextents<int, 2>> rows(values.data(), 2, 3);
    const std::mdspan<float, std::dextents<int, 2>, std::layout_left> columns(values.data(), 2, 3);

    CHECK(view_rows(rows)(1, 2) == 5.0f);
    CHECK_THROWS_AS(view_rows(columns), protonce::shape_error);
}
#endif

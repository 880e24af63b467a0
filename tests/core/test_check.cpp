// SPDX-License-Identifier: MIT
#include <protonce/core/check.hpp>

#include "support/thrown.hpp"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <stdexcept>

using namespace protonce;
using test::message_of;

namespace {

std::array<float, 24> storage{};

matrix_view<float> rows(index_t count, index_t cols) {
    return {storage.data(), count, cols};
}
vector_view<float> values(index_t size) {
    return {storage.data(), size};
}

} // namespace

TEST_CASE_TEMPLATE("check: is_finite and is_positive look at the bits", T, float, double) {
    using limits = std::numeric_limits<T>;

    CHECK(check::is_finite(T{0}));
    CHECK(check::is_finite(limits::max()));
    CHECK(check::is_finite(limits::lowest()));
    CHECK(check::is_finite(limits::denorm_min()));
    CHECK_FALSE(check::is_finite(limits::infinity()));
    CHECK_FALSE(check::is_finite(-limits::infinity()));
    CHECK_FALSE(check::is_finite(limits::quiet_NaN()));
    CHECK_FALSE(check::is_finite(-limits::quiet_NaN()));

    CHECK(check::is_positive(T{1}));
    CHECK(check::is_positive(limits::denorm_min()));
    CHECK(check::is_positive(limits::max()));
    CHECK_FALSE(check::is_positive(T{0}));
    CHECK_FALSE(check::is_positive(-T{0}));
    CHECK_FALSE(check::is_positive(T{-1}));
    CHECK_FALSE(check::is_positive(-limits::denorm_min()));
    CHECK_FALSE(check::is_positive(limits::infinity()));
    CHECK_FALSE(check::is_positive(limits::quiet_NaN()));
    CHECK_FALSE(check::is_positive(-limits::quiet_NaN()));
}

TEST_CASE_TEMPLATE("check: numbers are written shortest, infinities and NaN by name", T, float, double) {
    CHECK(check::text(static_cast<T>(0.1)) == "0.1");
    CHECK(check::text(T{-2}) == "-2");
    CHECK(check::text(std::numeric_limits<T>::infinity()) == "inf");
    CHECK(check::text(-std::numeric_limits<T>::infinity()) == "-inf");
    CHECK(check::text(std::numeric_limits<T>::quiet_NaN()) == "nan");
}

TEST_CASE("check: whole numbers and shapes as text") {
    CHECK(check::text(index_t{-9007199254740993}) == "-9007199254740993");
    CHECK(check::text(std::numeric_limits<index_t>::min()) == "-9223372036854775808");
    CHECK(check::shape_text(3, 128) == "(3, 128)");
}

TEST_CASE("check: a message names function, argument, what is needed and what was given") {
    CHECK(check::message("kmeans", "num_clusters", "must be at most the number of rows", "5 clusters, 3 rows") ==
          "kmeans: num_clusters: must be at most the number of rows; got 5 clusters, 3 rows");
}

TEST_CASE("check: errors are invalid_argument, those of the machine runtime_error") {
    CHECK_THROWS_AS(check::fail_shape("f", "a", "n", "g"), shape_error);
    CHECK_THROWS_AS(check::fail_shape("f", "a", "n", "g"), std::invalid_argument);
    CHECK_THROWS_AS(check::fail_argument("f", "a", "n", "g"), argument_error);
    CHECK_THROWS_AS(check::fail_argument("f", "a", "n", "g"), std::invalid_argument);
    CHECK_THROWS_AS(throw backend_error("open: no such file"), std::runtime_error);
}

TEST_CASE("check: given refuses a missing matrix or vector and says what came") {
    check::given("f", "query", rows(2, 3));
    check::given("f", "loss", values(1));

    CHECK(message_of<shape_error>([] { check::given("f", "query", matrix_view<float>{}); }) ==
          "f: query: must be given and hold at least one row and one column; got (0, 0)");
    CHECK(message_of<shape_error>([] { check::given("f", "query", rows(3, 0)); }) ==
          "f: query: must be given and hold at least one row and one column; got (3, 0)");
    CHECK(message_of<shape_error>([] { check::given("f", "query", rows(-1, 3)); }) ==
          "f: query: must be given and hold at least one row and one column; got (-1, 3)");
    CHECK(message_of<shape_error>([] {
              check::given("f", "query", matrix_view<float>{nullptr, 2, 3});
          }) == "f: query: must be given and hold at least one row and one column; got a null pointer");
    CHECK(message_of<shape_error>([] { check::given("f", "loss", vector_view<float>{}); }) ==
          "f: loss: must be given and hold at least one value; got 0 values");
    CHECK(message_of<shape_error>([] {
              check::given("f", "loss", vector_view<float>{nullptr, 4});
          }) == "f: loss: must be given and hold at least one value; got a null pointer");
}

TEST_CASE("check: well_formed lets an empty view pass and refuses one that makes no sense") {
    check::well_formed("f", "query", matrix_view<float>{});
    check::well_formed("f", "query", matrix_view<float>{storage.data(), 1, 3, 0}); // one row needs no stride
    check::well_formed("f", "loss", vector_view<float>{});

    CHECK(message_of<shape_error>([] { check::well_formed("f", "query", rows(-2, 3)); }) ==
          "f: query: must not have a negative size; got (-2, 3)");
    CHECK(message_of<shape_error>([] {
              check::well_formed("f", "query", matrix_view<float>{nullptr, 2, 3});
          }) == "f: query: must point to its values; got a null pointer");
    CHECK(message_of<shape_error>([] { check::well_formed("f", "query", rows(2, 0)); }) ==
          "f: query: must have at least one column; got (2, 0)");
    CHECK(message_of<shape_error>([] {
              check::well_formed("f", "query", matrix_view<float>{storage.data(), 2, 3, 2});
          }) == "f: query: must have a row stride of at least its columns, 3; got stride 2");
    CHECK(message_of<shape_error>([] { check::well_formed("f", "loss", values(-1)); }) ==
          "f: loss: must not have a negative size; got -1");
    CHECK(message_of<shape_error>([] {
              check::well_formed("f", "loss", vector_view<float>{nullptr, 4});
          }) == "f: loss: must point to its values; got a null pointer");
}

TEST_CASE("check: matrix wants rows, columns and a stride") {
    check::matrix("f", "features", matrix_view<float>{storage.data(), 2, 3, 5});

    CHECK_THROWS_AS(check::matrix("f", "features", matrix_view<float>{}), shape_error);
    CHECK_THROWS_AS(check::matrix("f", "features", matrix_view<float>{storage.data(), 2, 3, 1}), shape_error);
}

TEST_CASE("check: two matrices that must agree are both named") {
    check::equal_cols("info_nce", "query", rows(4, 3), "positive", rows(2, 3));
    check::equal_shape("info_nce", "query", rows(4, 3), "grad_query", rows(4, 3));

    CHECK(message_of<shape_error>([] { check::equal_cols("info_nce", "query", rows(4, 3), "positive", rows(4, 2)); }) ==
          "info_nce: positive: must have the columns of query, 3; got (4, 2)");
    CHECK(message_of<shape_error>([] {
              check::equal_shape("info_nce", "query", rows(4, 3), "grad_query", rows(3, 3));
          }) == "info_nce: grad_query: must have the shape of query, (4, 3); got (3, 3)");
    CHECK(message_of<shape_error>([] {
              check::equal_shape("f", "a", rows(4, 3), "b", matrix_view<float>{nullptr, 4, 3});
          }) == "f: b: must point to its values; got a null pointer");
}

TEST_CASE("check: shape and size say what is needed and what came") {
    check::shape("f", "centroids", rows(2, 3), 2, 3);
    check::size("f", "assignment", values(7), 7);

    CHECK(message_of<shape_error>([] { check::shape("f", "centroids", rows(2, 3), 2, 4); }) ==
          "f: centroids: must be (2, 4); got (2, 3)");
    CHECK(message_of<shape_error>([] { check::size("f", "assignment", values(7), 8); }) ==
          "f: assignment: must hold 8 values; got 7");
}

TEST_CASE("check: a view that may be left out is checked only when it is there") {
    check::optional_size("f", "loss", vector_view<float>{}, 5);
    check::optional_size("f", "loss", values(5), 5);
    check::optional_shape("f", "grad", matrix_view<float>{}, 2, 3);
    check::optional_shape("f", "grad", rows(2, 3), 2, 3);

    CHECK(message_of<shape_error>([] { check::optional_size("f", "loss", values(4), 5); }) ==
          "f: loss: must hold 5 values; got 4");
    // A pointer without values is a mistake, not "not given".
    CHECK(message_of<shape_error>([] { check::optional_size("f", "loss", values(0), 5); }) ==
          "f: loss: must hold 5 values; got 0");
    CHECK(message_of<shape_error>([] { check::optional_shape("f", "grad", rows(3, 3), 2, 3); }) ==
          "f: grad: must be (2, 3); got (3, 3)");
    CHECK(message_of<shape_error>([] { check::optional_shape("f", "grad", rows(0, 3), 2, 3); }) ==
          "f: grad: must be (2, 3); got (0, 3)");
}

TEST_CASE("check: values out of range are refused with the value, NaN among them") {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    check::at_least("f", "iterations", 3, 3);
    check::positive("f", "temperature", 0.2);
    check::finite("f", "weight", -1.5f);
    check::in_range("f", "momentum", 1.0, 0.0, 1.0);

    CHECK(message_of<argument_error>([] { check::at_least("f", "iterations", -1, 0); }) ==
          "f: iterations: must be at least 0; got -1");
    CHECK(message_of<argument_error>([] { check::at_least("f", "tolerance", nan, 0.0); }) ==
          "f: tolerance: must be at least 0; got nan");
    CHECK(message_of<argument_error>([] { check::positive("f", "temperature", 0.0); }) ==
          "f: temperature: must be positive and finite; got 0");
    CHECK(message_of<argument_error>([] { check::positive("f", "temperature", nan); }) ==
          "f: temperature: must be positive and finite; got nan");
    CHECK(message_of<argument_error>([] { check::finite("f", "weight", -std::numeric_limits<float>::infinity()); }) ==
          "f: weight: must be finite; got -inf");
    CHECK(message_of<argument_error>([] { check::in_range("f", "momentum", 1.5, 0.0, 1.0); }) ==
          "f: momentum: must lie in [0, 1]; got 1.5");
    CHECK(message_of<argument_error>([] { check::in_range("f", "momentum", nan, 0.0, 1.0); }) ==
          "f: momentum: must lie in [0, 1]; got nan");
}

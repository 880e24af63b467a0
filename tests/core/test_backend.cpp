// SPDX-License-Identifier: MIT
#include <protonce/backend/reference.hpp>
#include <protonce/core/backend.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <type_traits>
#include <vector>

using namespace protonce;

namespace {

// Backends that lack something.
struct nothing {};
struct without_contrast : reference_backend<float> {
    void softmax_contrast() = delete;
};
struct with_another_index : reference_backend<float> {
    int index_rows(matrix_view<const float>, bool) { return 0; }
};
struct of_whole_numbers : reference_backend<float> {
    using value_type = int;
};
struct in_no_space : reference_backend<float> {
    using space = int;
};
// And one that has everything, by inheritance.
struct complete : reference_backend<double> {};

static_assert(backend<reference_backend<float>> && backend<reference_backend<double>> && backend<complete>);
static_assert(!backend<nothing> && !backend<without_contrast> && !backend<with_another_index>);
static_assert(!backend<of_whole_numbers> && !backend<in_no_space>);
static_assert(std::is_same_v<value_of<complete>, double>);
static_assert(std::is_same_v<vector_of<complete>, vector_view<double, host>>);
static_assert(std::is_same_v<vector_of<complete, const label_t>, vector_view<const label_t, host>>);
static_assert(std::is_same_v<matrix_of<reference_backend<float>, const float>, matrix_view<const float, host>>);

} // namespace

TEST_CASE("backend: finite_rows names the first row with NaN or infinity") {
    reference_backend<float> be;
    std::vector<float> x{1, 2, 3, std::numeric_limits<float>::infinity(), 5, std::numeric_limits<float>::quiet_NaN()};

    check::finite_rows(be, "kmeans", "features", view_rows(x.data(), 1, 3));
    std::string text;
    try {
        check::finite_rows(be, "kmeans", "features", view_rows(x.data(), 3, 2));
    } catch (const argument_error& error) {
        text = error.what();
    }

    CHECK(text == "kmeans: features: must be finite everywhere; got NaN or infinity in row 1");
}

TEST_CASE("backend: finite_rows looks at nothing where the backend's check is off, nor in an empty view") {
    reference_backend<float> careful;
    reference_backend<float> trusting({.check_finite = false});
    std::vector<float> x{std::numeric_limits<float>::quiet_NaN()};

    CHECK_NOTHROW(check::finite_rows(trusting, "kmeans", "features", view_rows(x.data(), 1, 1)));
    CHECK_NOTHROW(check::finite_rows(careful, "kmeans", "features", matrix_view<const float>{}));
    CHECK_THROWS_AS(check::finite_rows(careful, "kmeans", "features", view_rows(x.data(), 1, 1)), argument_error);
}

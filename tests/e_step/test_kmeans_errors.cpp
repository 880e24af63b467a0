// SPDX-License-Identifier: MIT
#include "e_step/snapshot.hpp"
#include "support/backends.hpp"
#include "support/random.hpp"

#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

using namespace protonce;

namespace {

/// Calls that must be refused, on a clustering of 12 rows, 3 columns and 4 clusters. The outputs must stay as they are.
template <class B>
struct refusals {
    using value = value_of<B>;

    refusals() : level(be, 12, 3, 4) {
        test::random_source random(61);
        x = random.template normal_matrix<value>(12, 3);
        init = random.template normal_matrix<value>(4, 3);
        weight.assign(12, value(1));
        test::scribble(be, level);
        before = test::snapshot_of(level);
    }

    kmeans_inputs<B> inputs() const { return {.features = x.view()}; }
    kmeans_inputs<B> with_init() const { return {.features = x.view(), .initial_centroids = init.view()}; }
    kmeans_inputs<B> with_weight() const { return {.features = x.view(), .weight = view_vector(weight)}; }

    template <class Error>
    void expect(const std::string& message, const kmeans_inputs<B>& in, const kmeans_options& options = {}) {
        CAPTURE(message);
        CHECK_THROWS_WITH_AS(kmeans(be, in, options, level), message.c_str(), Error);
        CHECK(test::snapshot_of(level) == before);
    }

    B be;
    clustering<B> level;
    test::matrix<value> x, init;
    std::vector<value> weight;
    test::snapshot<value> before;
};

} // namespace

TEST_CASE_TEMPLATE("kmeans: asking for more clusters than rows throws argument_error with both numbers", B,
                   TEST_BACKENDS) {
    B be;
    const auto x = test::matrix_from<value_of<B>>(3, 1, {1, 2, 3});
    clustering<B> level(be, 3, 1, 5);

    CHECK_THROWS_WITH_AS(kmeans(be, x.view(), {.num_clusters = 5}, level),
                         "kmeans: num_clusters: must be at most the number of rows; got 5 clusters, 3 rows",
                         argument_error);
    CHECK_THROWS_WITH_AS(kmeans(be, x.view(), {}, level),
                         "kmeans: num_clusters: must be at most the number of rows; got 5 clusters, 3 rows",
                         argument_error);
}

TEST_CASE_TEMPLATE("kmeans: options outside their range are refused by name", B, TEST_BACKENDS) {
    refusals<B> refused;
    const auto in = refused.inputs();
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double infinity = std::numeric_limits<double>::infinity();

    refused.template expect<argument_error>("kmeans: num_clusters: must be at least 0; got -1", in,
                                            {.num_clusters = -1});
    refused.template expect<argument_error>("kmeans: num_clusters: must be 0 or that of level, 4; got 5", in,
                                            {.num_clusters = 5});
    refused.template expect<argument_error>("kmeans: iterations: must be at least 0; got -1", in, {.iterations = -1});
    refused.template expect<argument_error>("kmeans: tolerance: must lie in [0, 1.7976931348623157e+308]; got -0.5", in,
                                            {.tolerance = -0.5});
    refused.template expect<argument_error>("kmeans: tolerance: must lie in [0, 1.7976931348623157e+308]; got nan", in,
                                            {.tolerance = nan});
    refused.template expect<argument_error>("kmeans: tolerance: must lie in [0, 1.7976931348623157e+308]; got inf", in,
                                            {.tolerance = infinity});
    refused.template expect<argument_error>("kmeans: restarts: must be at least 1; got 0", in, {.restarts = 0});
    refused.template expect<argument_error>("kmeans: init_trials: must be at least 0; got -2", in, {.init_trials = -2});
    refused.template expect<argument_error>("kmeans: level: must be below 2^24; got 16777216", in, {.level = 1u << 24});
}

TEST_CASE_TEMPLATE("kmeans: first centroids go with kmeans_init::given, and only with it", B, TEST_BACKENDS) {
    refusals<B> refused;

    refused.template expect<shape_error>("kmeans: initial_centroids: must be (4, 3); got (0, 0)", refused.inputs(),
                                         {.init = kmeans_init::given});
    refused.template expect<argument_error>(
        "kmeans: initial_centroids: must be left out unless init is kmeans_init::given; got (4, 3)",
        refused.with_init());
    refused.template expect<argument_error>(
        "kmeans: restarts: must be 1 with given centroids, which every restart would repeat; got 3",
        refused.with_init(), {.restarts = 3, .init = kmeans_init::given});
    auto in = refused.with_init();
    in.initial_centroids = refused.init.view().slice(0, 3);
    refused.template expect<shape_error>("kmeans: initial_centroids: must be (4, 3); got (3, 3)", in,
                                         {.init = kmeans_init::given});
}

TEST_CASE_TEMPLATE("kmeans: views that do not go together are refused by name", B, TEST_BACKENDS) {
    refusals<B> refused;
    using value = value_of<B>;

    refused.template expect<shape_error>(
        "kmeans: features: must be given and hold at least one row and one column; got (0, 0)", {});
    refused.template expect<shape_error>("kmeans: level.assignment: must hold 11 values; got 12",
                                         {.features = refused.x.view().slice(0, 11)});
    refused.template expect<shape_error>("kmeans: level.centroids: must be (4, 2); got (4, 3)",
                                         {.features = matrix_view<const value>(refused.x.view().data(), 12, 2, 3)});
    refused.template expect<shape_error>(
        "kmeans: features: must have a row stride of at least its columns, 3; got stride 2",
        {.features = matrix_view<const value>(refused.x.view().data(), 12, 3, 2)});
    refused.template expect<shape_error>(
        "kmeans: features: must be given and hold at least one row and one column; got a null pointer",
        {.features = matrix_view<const value>(nullptr, 12, 3)});
    auto in = refused.with_weight();
    in.weight = in.weight.slice(0, 7);
    refused.template expect<shape_error>("kmeans: weight: must hold 12 values; got 7", in);
}

TEST_CASE_TEMPLATE("kmeans: NaN and infinity are refused with their row", B, TEST_BACKENDS) {
    using value = value_of<B>;
    refusals<B> refused;

    refused.x(5, 2) = std::numeric_limits<value>::quiet_NaN();
    refused.template expect<argument_error>("kmeans: features: must be finite everywhere; got NaN or infinity in row 5",
                                            refused.inputs());
    refused.x(5, 2) = 0;
    refused.x(11, 0) = -std::numeric_limits<value>::infinity();
    refused.template expect<argument_error>(
        "kmeans: features: must be finite everywhere; got NaN or infinity in row 11", refused.inputs());
    refused.x(11, 0) = 0;
    refused.init(2, 1) = std::numeric_limits<value>::infinity();
    refused.template expect<argument_error>(
        "kmeans: initial_centroids: must be finite everywhere; got NaN or infinity in row 2", refused.with_init(),
        {.init = kmeans_init::given});
}

TEST_CASE_TEMPLATE("kmeans: weights are refused that are negative, not finite, all 0, or positive too rarely", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    refusals<B> refused;

    refused.weight[3] = value(-0.5);
    refused.template expect<argument_error>("kmeans: weight: must be finite and not negative; got -0.5 in row 3",
                                            refused.with_weight());
    refused.weight[3] = std::numeric_limits<value>::quiet_NaN();
    refused.template expect<argument_error>("kmeans: weight: must be finite and not negative; got nan in row 3",
                                            refused.with_weight());
    refused.weight[3] = std::numeric_limits<value>::infinity();
    refused.template expect<argument_error>("kmeans: weight: must be finite and not negative; got inf in row 3",
                                            refused.with_weight());
    refused.weight.assign(12, value(0));
    refused.template expect<argument_error>("kmeans: weight: must be positive for at least one row; got 0 everywhere",
                                            refused.with_weight());
    refused.weight[0] = refused.weight[4] = refused.weight[9] = value(2);
    refused.template expect<argument_error>(
        "kmeans: weight: must be positive for at least 4 rows, one a cluster; got 3", refused.with_weight());
}

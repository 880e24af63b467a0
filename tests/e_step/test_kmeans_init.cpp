// SPDX-License-Identifier: MIT
#include "e_step/snapshot.hpp"
#include "support/backends.hpp"
#include "support/random.hpp"

#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

using namespace protonce;

namespace {

/// The centroids that a run starts with, of rows with one column.
template <class B>
std::vector<double> first_centroids(B& be, const test::matrix<value_of<B>>& x, kmeans_options options,
                                    clustering<B>& level, const std::vector<value_of<B>>& weight = {}) {
    options.iterations = 0;
    kmeans(be, {.features = x.view(), .weight = view_vector(weight)}, options, level);
    const auto values = test::values_of(std::as_const(level).centroids());
    return {values.begin(), values.end()};
}

/// True if `hits` of `draws` fit a probability: within 4.5 standard deviations (one false alarm in 150 000).
bool fits(double hits, double draws, double probability) {
    return std::abs(hits - draws * probability) <= 4.5 * std::sqrt(draws * probability * (1 - probability));
}

} // namespace

TEST_CASE_TEMPLATE("kmeans: random rows are distinct, and every pair is drawn equally often", B, TEST_BACKENDS) {
    B be;
    const auto x = test::matrix_from<value_of<B>>(5, 1, {0, 1, 2, 3, 4});
    clustering<B> level(be, 5, 1, 2);
    constexpr int draws = 3000;
    std::map<std::set<double>, int> seen;

    for (std::uint64_t seed = 0; seed < draws; ++seed) {
        const auto centroids = first_centroids(be, x, {.seed = seed, .init = kmeans_init::random_rows}, level);
        ++seen[{centroids[0], centroids[1]}];
    }

    CHECK(seen.size() == 10);
    for (const auto& [pair, hits] : seen) {
        CHECK(pair.size() == 2);
        CHECK(fits(hits, draws, 0.1));
    }
}

TEST_CASE_TEMPLATE("kmeans: k-means++ draws by squared distance, the first row uniformly", B, TEST_BACKENDS) {
    B be;
    const auto x = test::matrix_from<value_of<B>>(3, 1, {0, 1, 3});
    clustering<B> level(be, 3, 1, 2);
    constexpr int draws = 3000;
    std::map<std::pair<double, double>, int> seen;

    for (std::uint64_t seed = 0; seed < draws; ++seed) {
        const auto centroids = first_centroids(be, x, {.seed = seed, .init_trials = 1}, level);
        ++seen[{centroids[0], centroids[1]}];
    }

    CHECK(seen.size() == 6);
    CHECK(fits(seen[{0, 1}], draws, 1.0 / 3 * 1 / 10));
    CHECK(fits(seen[{0, 3}], draws, 1.0 / 3 * 9 / 10));
    CHECK(fits(seen[{1, 0}], draws, 1.0 / 3 * 1 / 5));
    CHECK(fits(seen[{1, 3}], draws, 1.0 / 3 * 4 / 5));
    CHECK(fits(seen[{3, 0}], draws, 1.0 / 3 * 9 / 13));
    CHECK(fits(seen[{3, 1}], draws, 1.0 / 3 * 4 / 13));
}

TEST_CASE_TEMPLATE("kmeans: of several trials k-means++ takes the one that leaves the least", B, TEST_BACKENDS) {
    B be;
    const auto x = test::matrix_from<value_of<B>>(3, 1, {0, 1, 3});
    clustering<B> level(be, 3, 1, 2);
    constexpr int draws = 3000;
    int far = 0;

    // From 0, the row 3 leaves 1 and the row 1 leaves 4: 3 wins unless both of two draws are 1.
    int from_zero = 0;
    for (std::uint64_t seed = 0; seed < draws; ++seed) {
        const auto centroids = first_centroids(be, x, {.seed = seed, .init_trials = 2}, level);
        from_zero += centroids[0] == 0 ? 1 : 0;
        far += centroids[0] == 0 && centroids[1] == 3 ? 1 : 0;
    }

    CHECK(fits(from_zero, draws, 1.0 / 3));
    CHECK(fits(far, from_zero, 0.99));
    // 2 + floor(ln 2) = 2 trials are the default.
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        CHECK(first_centroids(be, x, {.seed = seed}, level) ==
              first_centroids(be, x, {.seed = seed, .init_trials = 2}, level));
    }
}

TEST_CASE_TEMPLATE("kmeans: weights are probabilities of the first row of k-means++", B, TEST_BACKENDS) {
    B be;
    const auto x = test::matrix_from<value_of<B>>(4, 1, {0, 1, 2, 3});
    const std::vector<value_of<B>> weight{1, 0, 5, 2};
    clustering<B> level(be, 4, 1, 1);
    constexpr int draws = 3000;
    std::map<double, int> seen;

    for (std::uint64_t seed = 0; seed < draws; ++seed) {
        ++seen[first_centroids(be, x, {.seed = seed}, level, weight)[0]];
    }

    CHECK(seen.count(1) == 0);
    CHECK(fits(seen[0], draws, 1.0 / 8));
    CHECK(fits(seen[2], draws, 5.0 / 8));
    CHECK(fits(seen[3], draws, 2.0 / 8));
}

TEST_CASE_TEMPLATE("kmeans: no first centroid is a row of weight 0", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 31);
    const auto x = random.template normal_matrix<value>(40, 1);
    std::vector<value> weight(40, value(0));
    std::set<double> allowed;
    for (index_t i = 0; i < 40; i += 4) {
        weight[static_cast<std::size_t>(i)] = value(0.5);
        allowed.insert(double(x(i, 0)));
    }
    clustering<B> level(be, 40, 1, 10);

    for (const auto init : {kmeans_init::plus_plus, kmeans_init::random_rows}) {
        for (std::uint64_t seed = 0; seed < 20; ++seed) {
            const auto centroids = first_centroids(be, x, {.seed = seed, .init = init}, level, weight);
            CHECK(std::set<double>(centroids.begin(), centroids.end()) == allowed);
        }
    }
}

TEST_CASE_TEMPLATE("kmeans: k-means++ repeats the first centroid when no distance is left", B, TEST_BACKENDS) {
    B be;
    const auto x = test::matrix_from<value_of<B>>(6, 1, {2, 2, 2, 7, 7, 7});
    clustering<B> level(be, 6, 1, 4);

    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        auto centroids = first_centroids(be, x, {.seed = seed}, level);

        CHECK(std::set<double>(centroids.begin(), centroids.begin() + 2) == std::set<double>{2, 7});
        CHECK(centroids[2] == centroids[0]);
        CHECK(centroids[3] == centroids[0]);
    }
}

TEST_CASE_TEMPLATE("kmeans: equal seeds give equal results, other seeds and levels other first rows", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 32);
    const auto x = random.template normal_matrix<value>(500, 3);
    clustering<B> a(be, 500, 3, 12);
    clustering<B> b(be, 500, 3, 12);
    for (const auto init : {kmeans_init::plus_plus, kmeans_init::random_rows}) {
        kmeans(be, x.view(), {.iterations = 3, .restarts = 2, .seed = 5, .init = init, .level = 1}, a);
        kmeans(be, x.view(), {.iterations = 3, .restarts = 2, .seed = 5, .init = init, .level = 1}, b);
        CHECK(test::snapshot_of(a) == test::snapshot_of(b));

        kmeans(be, x.view(), {.iterations = 0, .seed = 5, .init = init}, a);
        kmeans(be, x.view(), {.iterations = 0, .seed = 6, .init = init}, b);
        CHECK(test::snapshot_of(a).centroids != test::snapshot_of(b).centroids);

        kmeans(be, x.view(), {.iterations = 0, .seed = 5, .init = init, .level = 1}, b);
        CHECK(test::snapshot_of(a).centroids != test::snapshot_of(b).centroids);
    }
}

TEST_CASE_TEMPLATE("kmeans: the kept restart is the best, and runs as it would have run alone", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 33);
    const auto x = random.template clustered<value>(160, 2, 9, 0.3).features;
    clustering<B> many(be, 160, 2, 9);
    clustering<B> few(be, 160, 2, 9);
    double best = 0;

    for (int restarts = 1; restarts <= 8; ++restarts) {
        CAPTURE(restarts);
        const kmeans_options options{.restarts = restarts, .seed = 1, .init = kmeans_init::random_rows};
        const auto report = kmeans(be, x.view(), options, many);

        CHECK(report.best_restart < restarts);
        CHECK((restarts == 1 || report.inertia <= best));
        // A later restart is kept only if it is strictly better.
        CHECK((restarts == 1 || report.best_restart < restarts - 1) == (restarts == 1 || report.inertia == best));
        auto shorter = options;
        shorter.restarts = report.best_restart + 1;
        CHECK(kmeans(be, x.view(), shorter, few).inertia == report.inertia);
        CHECK(test::snapshot_of(few) == test::snapshot_of(many));
        best = report.inertia;
    }
}

TEST_CASE_TEMPLATE("kmeans: the report tells the time that choosing first centroids took", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 34);
    const auto x = random.template normal_matrix<value>(400, 8);
    clustering<B> level(be, 400, 8, 20);

    const double seconds = kmeans(be, x.view(), {}, level).init_seconds;

    CHECK(seconds > 0);
    CHECK(seconds < 60);
}

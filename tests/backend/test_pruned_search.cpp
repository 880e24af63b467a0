// SPDX-License-Identifier: MIT
// Leaving out distances changes nothing: labels and centroids of K-means equal those of the full computation to the last bit.
#include "support/values.hpp"

#include <protonce/backend/cpu.hpp>
#include <protonce/e_step/assign.hpp>
#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace protonce;

template <class T>
struct sample {
    index_t rows;
    index_t cols;
    std::vector<T> value;
};

template <class T>
sample<T> filled(index_t rows, index_t cols, const std::function<double(index_t, index_t)>& value) {
    sample<T> out{rows, cols, std::vector<T>(static_cast<std::size_t>(rows * cols))};
    for (index_t i = 0; i < rows; ++i) {
        for (index_t j = 0; j < cols; ++j) {
            out.value[static_cast<std::size_t>(i * cols + j)] = static_cast<T>(value(i, j));
        }
    }
    return out;
}

// `rank` directions with a shrinking share of the variance, around `centres` centres.
double low_rank(index_t i, index_t j, index_t cols, index_t rank, index_t centres, double spread) {
    double sum = 0;
    for (index_t r = 0; r < rank; ++r) {
        const double along = test::noise(1, (i % centres) * rank + r) + spread * test::noise(2, i * rank + r);
        sum += along * test::noise(3, r * cols + j) / (1.0 + static_cast<double>(r));
    }
    return sum;
}

using detail::cpu::instruction_set;

template <class T>
struct outcome {
    std::vector<label_t> label{};
    std::vector<T> centroids{};
    std::vector<double> squared_distance{};
    kmeans_report report{};

    bool operator==(const outcome& other) const {
        return label == other.label && centroids == other.centroids && squared_distance == other.squared_distance &&
               report.inertia == other.report.inertia && report.iterations == other.report.iterations;
    }
};

template <class T>
outcome<T> run(cpu_backend<T>& be, const sample<T>& data, index_t clusters, const kmeans_options& options,
               const std::vector<T>& weight = {}) {
    clustering<cpu_backend<T>> level(be, data.rows, data.cols, clusters);
    outcome<T> out;
    out.report =
        kmeans(be, {.features = view_rows(data.value.data(), data.rows, data.cols), .weight = view_vector(weight)},
               options, level);
    out.label.assign(level.assignment().begin(), level.assignment().end());
    out.centroids.assign(level.centroids().data(), level.centroids().data() + clusters * data.cols);
    out.squared_distance.assign(level.squared_distance().begin(), level.squared_distance().end());
    return out;
}

// Every instruction set that the processor has: pruned as not pruned, for any number of threads; and all with fused multiply-add alike.
template <class T>
void expect_same(const sample<T>& data, index_t clusters, int iterations,
                 kmeans_options options = {.init = kmeans_init::random_rows}, const std::vector<T>& weight = {}) {
    options.iterations = iterations;
    options.seed = 5;
    std::vector<outcome<T>> fused;
    for (int set = 0; set <= static_cast<int>(detail::cpu::widest_instruction_set()); ++set) {
        CAPTURE(set);
        cpu_backend<T> plain(cpu_options{.threads = 1, .prune = false});
        plain.use(static_cast<instruction_set>(set));
        const auto expected = run(plain, data, clusters, options, weight);
        CHECK(expected.report.search.method == "exhaustive");
        cpu_backend<T> pruned(cpu_options{.threads = 1 + set % 3});
        pruned.use(static_cast<instruction_set>(set));
        CHECK(run(pruned, data, clusters, options, weight) == expected);
        if (set >= static_cast<int>(instruction_set::avx2)) {
            fused.push_back(expected);
            CHECK(fused.front() == expected);
        }
    }
}

} // namespace

TEST_CASE_TEMPLATE("pruned K-means equals the full computation to the last bit", T, float, double) {
    SUBCASE("uniform noise, few columns") {
        expect_same(filled<T>(1500, 3, [](index_t i, index_t j) { return test::noise(4, i * 3 + j); }), 150, 8);
    }
    SUBCASE("uniform noise, many columns") {
        expect_same(filled<T>(1500, 70, [](index_t i, index_t j) { return test::noise(4, i * 70 + j); }), 100, 6);
    }
    SUBCASE("low rank, clustered") {
        expect_same(filled<T>(1500, 65, [](index_t i, index_t j) { return low_rank(i, j, 65, 12, 200, 0.2); }), 150, 8);
    }
    SUBCASE("low rank, without clusters") {
        expect_same(filled<T>(1500, 48, [](index_t i, index_t j) { return low_rank(i, j, 48, 9, 1500, 0.0); }), 130, 8);
    }
    SUBCASE("full rank, clustered") {
        expect_same(filled<T>(1500, 64,
                              [](index_t i, index_t j) {
                                  return test::noise(5, i % 250 * 64 + j) + 0.1 * test::noise(6, i * 64 + j);
                              }),
                    200, 8);
    }
    SUBCASE("every row many times") {
        expect_same(filled<T>(1500, 40, [](index_t i, index_t j) { return low_rank(i % 170, j, 40, 8, 500, 0.5); }),
                    160, 8);
    }
    SUBCASE("a grid of whole numbers: many ties") {
        expect_same(
            filled<T>(1500, 30,
                      [](index_t i, index_t j) { return j < 5 ? std::round(2 * test::noise(7, i * 5 + j)) : 0.0; }),
            128, 8);
    }
    SUBCASE("shifted far from the origin") {
        expect_same(filled<T>(1500, 50, [](index_t i, index_t j) { return 1e6 + low_rank(i, j, 50, 8, 150, 0.3); }),
                    100, 8);
    }
    for (const double scale : {1e-18, 1e18}) {
        CAPTURE(scale);
        SUBCASE(("scale " + std::to_string(scale > 1)).c_str()) {
            expect_same(
                filled<T>(1500, 50, [&](index_t i, index_t j) { return scale * low_rank(i, j, 50, 8, 150, 0.3); }), 100,
                8);
        }
    }
    SUBCASE("rows of very different length") {
        expect_same(filled<T>(1500, 50,
                              [](index_t i, index_t j) {
                                  return std::pow(10.0, 12 * test::noise(8, i)) * low_rank(i, j, 50, 8, 150, 0.3);
                              }),
                    100, 8);
    }
}

namespace {

template <class T>
sample<T> structured() {
    return filled<T>(1500, 65, [](index_t i, index_t j) { return low_rank(i, j, 65, 12, 200, 0.2); });
}

} // namespace

TEST_CASE_TEMPLATE("pruned K-means: every option gives what it gives without pruning", T, float, double) {
    const auto data = structured<T>();
    std::vector<T> weight(1500);
    for (index_t i = 0; i < 1500; ++i) {
        weight[static_cast<std::size_t>(i)] = static_cast<T>(i % 7 == 0 ? 0 : 1 + test::noise(9, i) / 2);
    }

    SUBCASE("random rows") {
        expect_same(data, 100, 8, {.init = kmeans_init::random_rows});
    }
    SUBCASE("weights") {
        expect_same(data, 100, 8, {}, weight);
    }
    SUBCASE("restarts") {
        expect_same(data, 100, 5, {.restarts = 3, .init = kmeans_init::random_rows});
    }
    SUBCASE("tolerance") {
        expect_same(data, 100, 50, {.tolerance = 1e-3});
    }
    SUBCASE("empty clusters dropped") {
        const auto few = filled<T>(1500, 40, [](index_t i, index_t j) { return low_rank(i % 90, j, 40, 8, 90, 0.5); });
        expect_same(few, 120, 6, {.init = kmeans_init::random_rows, .on_empty = empty_cluster::drop});
    }
    SUBCASE("spherical") {
        auto unit = data;
        cpu_backend<T> be;
        be.normalize_rows(view_rows(std::as_const(unit.value).data(), unit.rows, unit.cols),
                          view_rows(unit.value.data(), unit.rows, unit.cols), {});
        expect_same(unit, 100, 8, {.spherical = true});
    }
}

TEST_CASE_TEMPLATE("pruned K-means: its memory changes nothing and is kept to", T, float, double) {
    const auto data = structured<T>();
    cpu_backend<T> plain(cpu_options{.prune = false});
    const kmeans_options options{.iterations = 8, .seed = 5};
    const auto expected = run(plain, data, 100, options);

    for (const index_t bytes : {0, 1, 10'000, 40'000, 100'000, 200'000, 500'000, 100'000'000}) {
        CAPTURE(bytes);
        cpu_backend<T> be(cpu_options{.prune_bytes = bytes});
        const auto found = run(be, data, 100, options);
        CHECK(found == expected);
        CHECK(found.report.search.bytes <= bytes);
        CHECK((found.report.search.method != "exhaustive" || bytes < 100'000));
        CHECK((found.report.search.method == "exhaustive" || bytes > 10'000));
    }
}

TEST_CASE("pruned K-means: says how it searched") {
    const auto data = structured<float>();
    std::vector<double> shares;
    const kmeans_options options{
        .iterations = 8, .observer = {.context = &shares, .on_search = [](void* context, const search_report& report) {
                                          static_cast<std::vector<double>*>(context)->push_back(report.full_share);
                                      }}};
    cpu_backend<float> be;

    const auto found = run(be, data, 100, options);

    CHECK(found.report.search.method != "exhaustive");
    CHECK(found.report.search.columns > 0);
    CHECK(found.report.search.groups == 7); // of 16 centroids
    CHECK(found.report.search.full_share > 0);
    CHECK(found.report.search.full_share < 0.1);
    REQUIRE(shares.size() >= 8);
    double sum = 0;
    for (const double share : shares) {
        sum += share;
    }
    CHECK(found.report.search.full_share == doctest::Approx(sum / static_cast<double>(shares.size())));
}

TEST_CASE("pruned K-means: an index that loses its memory to another goes on") {
    const auto data = structured<float>();
    const auto rows = view_rows(data.value.data(), data.rows, data.cols);
    cpu_backend<float> be;
    cpu_backend<float> plain(cpu_options{.prune = false});
    std::vector<label_t> expected(1500);
    std::vector<label_t> found(1500);
    auto one = be.index_rows(rows, true);
    auto other = be.index_rows(rows.slice(0, 1000), true);
    one.expect_more(true);
    other.expect_more(true);

    for (index_t turn = 0; turn < 4; ++turn) {
        CAPTURE(turn);
        const auto centroids = rows.slice(turn * 10, 120);
        auto fresh = plain.index_rows(rows, true);
        plain.nearest_row(fresh, centroids, view_vector(expected), {});
        be.nearest_row(one, centroids, view_vector(found), {});
        CHECK(found == expected);
        be.nearest_row(other, centroids, view_vector(found).slice(0, 1000), {});
    }
    std::vector<double> least(1500, 1e30);
    std::vector<double> again(1500, 1e30);
    std::vector<double> potential(3);
    auto fresh = plain.index_rows(rows, true);
    for (index_t turn = 0; turn < 4; ++turn) {
        const auto candidates = rows.slice(50 * turn, 3);
        be.candidate_potential(one, candidates, {}, view_vector(std::as_const(least)), view_vector(potential));
        be.relax_nearest(one, candidates.slice(turn % 3, 1), view_vector(least));
        be.relax_nearest(one, rows.slice(turn, 1), view_vector(least)); // no candidate of the last call
        plain.relax_nearest(fresh, candidates.slice(turn % 3, 1), view_vector(again));
        plain.relax_nearest(fresh, rows.slice(turn, 1), view_vector(again));
        CHECK(least == again);
    }
}

TEST_CASE("pruned K-means: without checks a row that is no number leaves the others alone") {
    auto data = structured<float>();
    data.value[65 * 7 + 3] = std::numeric_limits<float>::quiet_NaN();
    data.value[65 * 900] = std::numeric_limits<float>::infinity();
    cpu_backend<float> plain(cpu_options{.check_finite = false, .prune = false});
    cpu_backend<float> pruned(cpu_options{.check_finite = false});
    std::vector<label_t> expected(1500);
    std::vector<label_t> found(1500);
    const auto rows = view_rows(std::as_const(data.value).data(), data.rows, data.cols);

    assign(plain, rows, rows.slice(1000, 200), view_vector(expected));
    assign(pruned, rows, rows.slice(1000, 200), view_vector(found));

    found[900] = expected[900]; // infinity has no nearest
    CHECK(found == expected);
    CHECK(found[7] == 0);
}

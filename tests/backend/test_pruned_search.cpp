// SPDX-License-Identifier: MIT
// Leaving out distances changes nothing: labels and centroids of K-means equal those of the full computation to the last bit.
#include <protonce/backend/cpu.hpp>
#include <protonce/core/rng.hpp>
#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

namespace {

using namespace protonce;

template <class T>
struct sample {
    index_t rows;
    index_t cols;
    std::vector<T> value;
};

// Uniform in (-1, 1), a function of (stream, i).
double noise(std::uint64_t stream, index_t i) {
    const auto bits = random_bits({.seed = 11, .step = stream}, static_cast<std::uint64_t>(i));
    return static_cast<double>(bits >> 11) * 0x1p-52 - 1.0;
}

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
        const double along = noise(1, (i % centres) * rank + r) + spread * noise(2, i * rank + r);
        sum += along * noise(3, r * cols + j) / (1.0 + static_cast<double>(r));
    }
    return sum;
}

template <class T>
void expect_same(const sample<T>& data, index_t clusters, int iterations) {
    std::vector<std::vector<label_t>> labels;
    std::vector<std::vector<T>> centroids;
    for (const cpu_options& options :
         {cpu_options{.threads = 1}, cpu_options{.threads = 1, .prune = true}, cpu_options{.threads = 3, .prune = true}}) {
        cpu_backend<T> be(options);
        clustering<cpu_backend<T>> level(be, data.rows, data.cols, clusters);
        kmeans(be, view_rows(data.value.data(), data.rows, data.cols),
               {.iterations = iterations, .seed = 5, .init = kmeans_init::random_rows}, level);
        labels.emplace_back(level.assignment().begin(), level.assignment().end());
        centroids.emplace_back(level.centroids().data(), level.centroids().data() + clusters * data.cols);
    }
    for (std::size_t n = 1; n < labels.size(); ++n) {
        CHECK(labels[n] == labels[0]);
        CHECK(centroids[n] == centroids[0]);
    }
}

} // namespace

TEST_CASE_TEMPLATE("pruned K-means equals the full computation to the last bit", T, float, double) {
    SUBCASE("uniform noise, few columns") {
        expect_same(filled<T>(3000, 3, [](index_t i, index_t j) { return noise(4, i * 3 + j); }), 150, 12);
    }
    SUBCASE("uniform noise, many columns") {
        expect_same(filled<T>(1500, 70, [](index_t i, index_t j) { return noise(4, i * 70 + j); }), 100, 6);
    }
    SUBCASE("low rank, clustered") {
        expect_same(filled<T>(3000, 65, [](index_t i, index_t j) { return low_rank(i, j, 65, 12, 200, 0.2); }), 190,
                    12);
    }
    SUBCASE("low rank, without clusters") {
        expect_same(filled<T>(3000, 48, [](index_t i, index_t j) { return low_rank(i, j, 48, 9, 3000, 0.0); }), 130,
                    12);
    }
    SUBCASE("full rank, clustered") {
        expect_same(
            filled<T>(3000, 64,
                      [](index_t i, index_t j) { return noise(5, i % 250 * 64 + j) + 0.1 * noise(6, i * 64 + j); }),
            200, 12);
    }
    SUBCASE("every row many times") {
        expect_same(filled<T>(3000, 40, [](index_t i, index_t j) { return low_rank(i % 170, j, 40, 8, 500, 0.5); }),
                    160, 8);
    }
    SUBCASE("a grid of whole numbers: many ties") {
        expect_same(
            filled<T>(3000, 30, [](index_t i, index_t j) { return j < 5 ? std::round(2 * noise(7, i * 5 + j)) : 0.0; }),
            128, 8);
    }
    SUBCASE("shifted far from the origin") {
        expect_same(filled<T>(2500, 50, [](index_t i, index_t j) { return 1e6 + low_rank(i, j, 50, 8, 150, 0.3); }),
                    100, 8);
    }
    for (const double scale : {1e-18, 1e18}) {
        CAPTURE(scale);
        SUBCASE(("scale " + std::to_string(scale > 1)).c_str()) {
            expect_same(
                filled<T>(2500, 50, [&](index_t i, index_t j) { return scale * low_rank(i, j, 50, 8, 150, 0.3); }), 100,
                8);
        }
    }
    SUBCASE("rows of very different length") {
        expect_same(filled<T>(2500, 50,
                              [](index_t i, index_t j) {
                                  return std::pow(10.0, 12 * noise(8, i)) * low_rank(i, j, 50, 8, 150, 0.3);
                              }),
                    100, 8);
    }
}

// SPDX-License-Identifier: MIT
#include <protonce/metrics/knn.hpp>

#include "support/backends.hpp"
#include "support/counting_resource.hpp"
#include "support/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

using protonce::index_t;
using protonce::knn_inputs;
using protonce::knn_options;
using protonce::knn_outputs;
using protonce::knn_scores;
using protonce::label_t;
using protonce::view_rows;
using protonce::view_vector;

namespace {

/// Scores by their definition, in double.
template <class T>
test::matrix<double> plain_scores(const test::matrix<T>& bank, const std::vector<label_t>& labels,
                                  const test::matrix<T>& query, const knn_options& options) {
    test::matrix<double> out(query.rows(), options.num_classes);
    std::vector<double> similarity(labels.size());
    std::vector<std::size_t> order(labels.size());
    for (index_t i = 0; i < query.rows(); ++i) {
        for (std::size_t n = 0; n < labels.size(); ++n) {
            similarity[n] = 0.0;
            for (index_t j = 0; j < query.cols(); ++j) {
                similarity[n] +=
                    static_cast<double>(query(i, j)) * static_cast<double>(bank(static_cast<index_t>(n), j));
            }
        }
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(),
                         [&](std::size_t a, std::size_t b) { return similarity[a] > similarity[b]; });
        for (std::size_t l = 0; l < static_cast<std::size_t>(options.neighbours); ++l) {
            out(i, labels[order[l]]) += std::exp(similarity[order[l]] / options.temperature);
        }
    }
    return out;
}

/// Inputs that are right, to be spoilt one at a time.
template <class B>
struct example {
    using T = typename B::value_type;
    std::vector<T> bank{1, 0, 0, 1, -1, 0};
    std::vector<label_t> labels{0, 1, 2};
    std::vector<T> query{1, 0, 0, -1};
    std::vector<T> scores = std::vector<T>(6, T{7});
    std::vector<label_t> prediction{7, 7};

    knn_inputs<B> in{view_rows(bank.data(), 3, 2), view_vector(labels), view_rows(query.data(), 2, 2)};
    knn_options options{.neighbours = 2, .temperature = 0.5, .num_classes = 3};
    knn_outputs<B> out{view_rows(scores.data(), 2, 3), view_vector(prediction)};

    /// The message of the error; outputs must be as they were.
    std::string error() {
        std::string message = "nothing was thrown";
        try {
            B be;
            knn_scores(be, in, options, out);
        } catch (const std::invalid_argument& refused) {
            message = refused.what();
        }
        CHECK(std::count(scores.begin(), scores.end(), T{7}) == 6);
        CHECK(std::count(prediction.begin(), prediction.end(), 7) == 2);
        return message;
    }
};

} // namespace

TEST_CASE_TEMPLATE("knn_scores: two neighbours of three, by hand", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be;
    example<B> e;

    knn_scores(be, e.in, e.options, e.out);

    // Query (1, 0): similarities 1, 0, -1. Query (0, -1): 0, -1, 0.
    const T unit = std::numeric_limits<T>::epsilon();
    CHECK(std::abs(e.scores[0] - static_cast<T>(std::exp(2.0))) <= 8 * unit);
    CHECK(e.scores[1] == T{1});
    CHECK(e.scores[2] == T{0});
    CHECK(e.scores[3] == T{1});
    CHECK(e.scores[4] == T{0});
    CHECK(e.scores[5] == T{1});
    CHECK(e.prediction == std::vector<label_t>{0, 0}); // the lowest of equal classes
}

TEST_CASE_TEMPLATE("knn_scores: weak neighbours outvote a strong one only at a high temperature", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be;
    const std::vector<T> bank{1, 0, T(0.8), T(0.6), T(0.8), T(0.6), T(0.8), T(0.6)};
    const std::vector<label_t> labels{0, 1, 1, 1};
    const std::vector<T> query{1, 0};
    std::vector<label_t> prediction{-1};
    const knn_inputs<B> in{view_rows(bank.data(), 4, 2), view_vector(labels), view_rows(query.data(), 1, 2)};
    const knn_outputs<B> out{.prediction = view_vector(prediction)};

    knn_scores(be, in, {.neighbours = 4, .temperature = 0.1, .num_classes = 2}, out);
    CHECK(prediction[0] == 0); // e^10 > 3 e^8
    knn_scores(be, in, {.neighbours = 4, .temperature = 1.0, .num_classes = 2}, out);
    CHECK(prediction[0] == 1); // e < 3 e^0.8
}

TEST_CASE_TEMPLATE("knn_scores: equals the definition on random rows of any stride", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 21);
    for (const index_t rows : {1, 5, 33, 257}) {
        for (const index_t cols : {1, 3, 16, 33}) {
            CAPTURE(rows);
            CAPTURE(cols);
            B be;
            const auto bank = random.unit_rows<T>(rows, cols, 2);
            const auto query = random.unit_rows<T>(31, cols, 5);
            const auto labels = random.labels(rows, 4);
            // All rows: rounding cannot change which are the nearest.
            const knn_options options{.neighbours = rows, .temperature = 0.2, .num_classes = 4};
            test::matrix<T> scores(31, 4, 3);
            std::vector<label_t> prediction(31);

            knn_scores(be, {.bank = bank.view(), .labels = view_vector(labels), .query = query.view()}, options,
                       {.scores = scores.view(), .prediction = view_vector(prediction)});

            // A similarity of unit rows is off by at most C + 1 units, a term by that over the temperature; all
            // terms are positive, and both sides add N of them in double.
            const double unit = std::numeric_limits<T>::epsilon() / 2;
            const double sums = static_cast<double>(rows) * std::numeric_limits<double>::epsilon();
            const double relative = (static_cast<double>(cols) + 1.0) * unit / options.temperature + 4 * unit + sums;
            const auto expected = plain_scores(bank, labels, query, options);
            for (index_t i = 0; i < 31; ++i) {
                double best = 0.0;
                for (index_t c = 0; c < 4; ++c) {
                    CHECK(std::abs(static_cast<double>(scores(i, c)) - expected(i, c)) <= relative * expected(i, c));
                    best = std::max(best, expected(i, c));
                }
                CHECK(expected(i, prediction[static_cast<std::size_t>(i)]) >= best * (1 - 2 * relative));
            }
        }
    }
}

TEST_CASE_TEMPLATE("knn_scores: of equal rows the first ones are the neighbours", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be;
    const std::vector<T> bank{0, 1, 1, 0, 1, 0, 1, 0};
    const std::vector<label_t> labels{0, 2, 1, 1};
    const std::vector<T> query{1, 0};
    std::vector<label_t> prediction{-1};

    knn_scores(be, {view_rows(bank.data(), 4, 2), view_vector(labels), view_rows(query.data(), 1, 2)},
               {.neighbours = 1, .num_classes = 3}, {.prediction = view_vector(prediction)});

    CHECK(prediction[0] == 2);
}

TEST_CASE_TEMPLATE("knn_scores: rows far from unit overflow scores, not predictions", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be;
    example<B> e;
    e.query = {T(0.5), T(2000), T(-2000), T(0.25)};
    e.options.temperature = 0.01;

    knn_scores(be, e.in, e.options, e.out);

    CHECK(e.prediction == std::vector<label_t>{1, 2});
    CHECK(e.scores[1] == std::numeric_limits<T>::infinity());
    CHECK(e.scores[2] == T{0}); // class 2 is no neighbour
}

TEST_CASE_TEMPLATE("knn_scores: an output that is not given is not needed", B, TEST_BACKENDS) {
    B be;
    example<B> e;
    example<B> scores_only;
    example<B> prediction_only;

    knn_scores(be, e.in, e.options, e.out);
    knn_scores(be, scores_only.in, e.options, {.scores = scores_only.out.scores});
    knn_scores(be, prediction_only.in, e.options, {.prediction = prediction_only.out.prediction});

    CHECK(scores_only.scores == e.scores);
    CHECK(scores_only.prediction == std::vector<label_t>{7, 7});
    CHECK(prediction_only.prediction == e.prediction);
}

TEST_CASE_TEMPLATE("knn_scores: the second identical call allocates nothing", B, TEST_BACKENDS) {
    test::counting_resource memory;
    B be = test::backend_on<B>(&memory);
    example<B> e;
    knn_scores(be, e.in, e.options, e.out);
    const index_t before = memory.allocations();

    knn_scores(be, e.in, e.options, e.out);

    CHECK(before > 0);
    CHECK(memory.allocations() == before);
}

TEST_CASE_TEMPLATE("knn_scores: bitwise the same for any number of threads", B, TEST_THREADED_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 22);
    const auto bank = random.unit_rows<T>(300, 33);
    const auto query = random.unit_rows<T>(257, 33);
    const auto labels = random.labels(300, 10);
    const auto with_threads = [&](int threads) {
        B be(protonce::cpu_options{.threads = threads});
        test::matrix<T> scores(257, 10);
        knn_scores(be, {.bank = bank.view(), .labels = view_vector(labels), .query = query.view()}, {.num_classes = 10},
                   {.scores = scores.view()});
        return scores.storage();
    };

    const auto expected = with_threads(1);
    for (const int threads : {2, 3, 7}) {
        CAPTURE(threads);
        const auto actual = with_threads(threads);
        CHECK(std::memcmp(actual.data(), expected.data(), expected.size() * sizeof(T)) == 0);
    }
}

TEST_CASE_TEMPLATE("knn_scores: with checks off NaN in a query gives NaN scores", B, TEST_BACKENDS) {
    using T = typename B::value_type;
    B be = test::backend_checking<B>(false);
    example<B> e;
    e.query[0] = std::numeric_limits<T>::quiet_NaN();

    knn_scores(be, e.in, {.neighbours = 3, .temperature = 0.5, .num_classes = 3}, e.out);

    for (std::size_t c = 0; c < 3; ++c) {
        CHECK(std::isnan(e.scores[c]));
    }
    CHECK(e.scores[3] == T{1});
}

TEST_CASE("knn_scores: what cannot be used throws, names it, and leaves the outputs alone") {
    using B = protonce::reference_backend<double>;
    const auto error = [](auto&& spoil) {
        example<B> e;
        spoil(e);
        return e.error();
    };

    CHECK(error([](auto& e) { e.in.bank = {}; }) ==
          "knn_scores: bank: must be given and hold at least one row and one column; got (0, 0)");
    CHECK(error([](auto& e) { e.in.query = {}; }) ==
          "knn_scores: query: must be given and hold at least one row and one column; got (0, 0)");
    CHECK(error([](auto& e) { e.in.query = view_rows(e.query.data(), 4, 1); }) ==
          "knn_scores: query: must have the columns of bank, 2; got (4, 1)");
    CHECK(error([](auto& e) { e.in.labels = e.in.labels.slice(0, 2); }) ==
          "knn_scores: labels: must hold 3 values; got 2");
    CHECK(error([](auto& e) { e.labels[1] = 3; }) == "knn_scores: labels: must lie in [0, 3); got 3 in row 1");
    CHECK(error([](auto& e) { e.labels[2] = -1; }) == "knn_scores: labels: must lie in [0, 3); got -1 in row 2");
    CHECK(error([](auto& e) { e.options.neighbours = 0; }) == "knn_scores: neighbours: must be at least 1; got 0");
    CHECK(error([](auto& e) { e.options.neighbours = 4; }) ==
          "knn_scores: neighbours: must be at most the rows of bank, 3; got 4");
    CHECK(error([](auto& e) { e.options.temperature = 0.0; }) ==
          "knn_scores: temperature: must be positive and finite; got 0");
    CHECK(error([](auto& e) { e.options.num_classes = 0; }) == "knn_scores: num_classes: must be at least 1; got 0");
    CHECK(error([](auto& e) { e.out.scores = view_rows(e.scores.data(), 3, 2); }) ==
          "knn_scores: scores: must be (2, 3); got (3, 2)");
    CHECK(error([](auto& e) { e.out.prediction = e.out.prediction.slice(0, 1); }) ==
          "knn_scores: prediction: must hold 2 values; got 1");
    CHECK(error([](auto& e) { e.bank[3] = std::numeric_limits<double>::infinity(); }) ==
          "knn_scores: bank: must be finite everywhere; got NaN or infinity in row 1");
    CHECK(error([](auto& e) { e.query[1] = std::numeric_limits<double>::quiet_NaN(); }) ==
          "knn_scores: query: must be finite everywhere; got NaN or infinity in row 0");
}

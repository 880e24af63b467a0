// SPDX-License-Identifier: MIT
#include "m_step/info_nce_problem.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace protonce;
using test::index_t;
using test::info_nce_problem;
using test::label_t;
using test::loss_bound;

TEST_CASE_TEMPLATE("info_nce: one query, its key and one negative by hand", B, TEST_BACKENDS) {
    using T = value_of<B>;
    B be;
    const std::vector<T> query{1, 0}, positive{1, 0}, negative{0, 1};
    std::vector<T> loss(1), grad_query(2), grad_positive(2), grad_negatives(2), grad_temperature(1), accuracy(1);

    const auto report = info_nce(be,
                                 {.query = view_rows(query.data(), 1, 2),
                                  .positive = view_rows(positive.data(), 1, 2),
                                  .negatives = view_rows(negative.data(), 1, 2)},
                                 {.temperature = 0.5},
                                 {.loss = view_vector(loss),
                                  .accuracy = view_vector(accuracy),
                                  .grad_query = view_rows(grad_query.data(), 1, 2),
                                  .grad_positive = view_rows(grad_positive.data(), 1, 2),
                                  .grad_negatives = view_rows(grad_negatives.data(), 1, 2),
                                  .grad_temperature = view_vector(grad_temperature)});

    // Logits 2 and 0. Probability of the negative p = e^-2 / (1 + e^-2); dl/dlogits = (-p, p).
    const double p = std::exp(-2.0) / (1 + std::exp(-2.0));
    const double bound = loss_bound<T>(2, 0.5);
    CHECK(std::abs(double(loss[0]) - std::log1p(std::exp(-2.0))) <= bound);
    CHECK(test::distance(grad_query, std::vector<double>{-2 * p, 2 * p}) <= bound);
    CHECK(test::distance(grad_positive, std::vector<double>{-2 * p, 0}) <= bound);
    CHECK(test::distance(grad_negatives, std::vector<double>{2 * p, 0}) <= bound);
    CHECK(std::abs(double(grad_temperature[0]) - 4 * p) <= bound); // -p * d(2)/dtau = -p * -2/0.5
    CHECK(accuracy[0] == 1);
    CHECK(report.num_negatives == 1);
    CHECK(report.chance_level == doctest::Approx(std::log(2.0)));
}

TEST_CASE_TEMPLATE("info_nce: equal logits give ln(1 + R), and top-1 shares the place among them", B, TEST_BACKENDS) {
    using T = value_of<B>;
    B be;
    for (const index_t count : {1, 7, 300}) {
        CAPTURE(count);
        const auto query = test::filled<T>(3, 4, T(0.5));
        const auto keys = test::filled<T>(3, 4, T(0.25));
        const auto queue = test::filled<T>(count, 4, T(0.25));
        std::vector<T> per_row(3), top1(3);

        const auto report = info_nce(be, {.query = query.view(), .positive = keys.view(), .negatives = queue.view()},
                                     {}, {.loss_per_row = view_vector(per_row), .top1 = view_vector(top1)});

        for (std::size_t i = 0; i < 3; ++i) {
            CHECK(std::abs(double(per_row[i]) - report.chance_level) <= loss_bound<T>(4, 0.2));
            CHECK(double(top1[i]) == doctest::Approx(1.0 / double(1 + count)).epsilon(1e-6));
        }
        CHECK(report.chance_level == doctest::Approx(std::log(double(1 + count))));
    }
}

TEST_CASE_TEMPLATE("info_nce: rows of dL/dlogits sum to zero", B, TEST_BACKENDS) {
    // With a column of ones in keys and negatives, that column of dl/dq is sum_j dl/ds_j / tau.
    using T = value_of<B>;
    TEST_RANDOM(random, 21);
    B be;
    info_nce_problem<T> p(random, 33, 70, 9);
    for (index_t j = 0; j < 70; ++j) {
        p.negatives(j, 8) = 1;
    }
    for (index_t i = 0; i < 33; ++i) {
        p.positive(i, 8) = 1;
    }

    info_nce(be, p.in(be), {.reduction = reduction::sum}, p.out(be));

    for (index_t i = 0; i < 33; ++i) {
        CHECK(std::abs(double(p.grad_query(i, 8))) <= loss_bound<T>(9, 0.2));
    }
}

TEST_CASE_TEMPLATE("info_nce: a rotation of all features changes no loss and rotates the gradients", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 22);
    B be;
    info_nce_problem<T> p(random, 17, 40, 8);
    const auto direction = random.unit_rows<double>(1, 8);
    info_nce_problem<T> rotated(random, 17, 40, 8);
    rotated.query = test::reflected(p.query, direction);
    rotated.positive = test::reflected(p.positive, direction);
    rotated.negatives = test::reflected(p.negatives, direction);

    info_nce(be, p.in(be), {.reduction = reduction::sum}, p.out(be));
    info_nce(be, rotated.in(be), {.reduction = reduction::sum}, rotated.out(be));

    const double bound = 2 * loss_bound<T>(8, 0.2); // the rotation rounds, too
    CHECK(test::distance(p.per_row, rotated.per_row) <= bound);
    CHECK(test::distance(test::reflected(p.grad_query, direction), rotated.grad_query) <= bound);
    CHECK(test::distance(test::reflected(p.grad_positive, direction), rotated.grad_positive) <= bound);
    CHECK(test::distance(test::reflected(p.grad_negatives, direction), rotated.grad_negatives) <= 17 * bound);
}

TEST_CASE_TEMPLATE("info_nce: a permutation of the negatives changes no loss and permutes their gradients", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 23);
    B be;
    info_nce_problem<T> p(random, 9, 200, 16);
    info_nce_problem<T> other(random, 9, 200, 16);
    other.query = p.query;
    other.positive = p.positive;
    const auto order = random.permutation(200);
    for (index_t j = 0; j < 200; ++j) {
        for (index_t c = 0; c < 16; ++c) {
            other.negatives(j, c) = p.negatives(order[std::size_t(j)], c);
        }
    }

    info_nce(be, p.in(be), {.reduction = reduction::sum}, p.out(be));
    info_nce(be, other.in(be), {.reduction = reduction::sum}, other.out(be));

    const double bound = loss_bound<T>(16, 0.2);
    CHECK(test::distance(p.per_row, other.per_row) <= bound);
    CHECK(test::distance(p.grad_query, other.grad_query) <= bound);
    test::matrix<T> permuted(200, 16);
    for (index_t j = 0; j < 200; ++j) {
        for (index_t c = 0; c < 16; ++c) {
            permuted(j, c) = p.grad_negatives(order[std::size_t(j)], c);
        }
    }
    CHECK(test::distance(permuted, other.grad_negatives) <= 9 * bound);
}

TEST_CASE_TEMPLATE("info_nce: queries and temperature doubled give the same loss and half the gradient, exactly", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 24);
    B be;
    info_nce_problem<T> p(random, 7, 30, 5);
    info_nce_problem<T> doubled(random, 7, 30, 5);
    doubled.query = test::scaled(p.query, T(2));
    doubled.positive = p.positive;
    doubled.negatives = p.negatives;

    info_nce(be, p.in(be), {.temperature = 0.25}, p.out(be));
    info_nce(be, doubled.in(be), {.temperature = 0.5}, doubled.out(be));

    CHECK(p.loss[0] == doubled.loss[0]);
    CHECK(p.top1 == doubled.top1);
    CHECK(test::distance(p.grad_query, test::scaled(doubled.grad_query, T(2))) == 0);
    CHECK(test::distance(p.grad_negatives, doubled.grad_negatives) == 0);
}

TEST_CASE_TEMPLATE("info_nce: an empty queue gives loss, gradients and chance level 0", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 25);
    B be;
    info_nce_problem<T> p(random, 5, 0, 4);
    p.grad_query = test::filled<T>(5, 4, T(3));
    p.grad_positive = test::filled<T>(5, 4, T(3));

    const auto report = info_nce(be, p.in(be), {}, p.out(be));

    CHECK(report.num_negatives == 0);
    CHECK(report.chance_level == 0);
    CHECK(p.loss[0] == 0);
    CHECK(p.per_row == std::vector<T>(5, T(0)));
    CHECK(p.accuracy[0] == 1);
    CHECK(p.grad_temperature[0] == 0);
    CHECK(test::distance(p.grad_query, test::filled<T>(5, 4, T(0))) == 0);
    CHECK(test::distance(p.grad_positive, test::filled<T>(5, 4, T(0))) == 0);
}

TEST_CASE_TEMPLATE("info_nce: batch negatives are the other keys", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 26);
    B be;
    const index_t rows = 12, cols = 6;
    info_nce_problem<T> p(random, rows, 0, cols);

    const auto report = info_nce(be, p.in(be), {.pool = key_pool::batch, .reduction = reduction::sum}, p.out(be));

    CHECK(report.num_negatives == rows - 1);
    const double bound = loss_bound<T>(cols, 0.2);
    test::matrix<double> grad_positive(rows, cols);
    for (index_t i = 0; i < rows; ++i) {
        // The same row alone, with the other keys as its queue.
        info_nce_problem<T> one(random, 1, rows - 1, cols);
        for (index_t c = 0; c < cols; ++c) {
            one.query(0, c) = p.query(i, c);
            one.positive(0, c) = p.positive(i, c);
            for (index_t j = 0; j < rows - 1; ++j) {
                one.negatives(j, c) = p.positive(j < i ? j : j + 1, c);
            }
        }
        info_nce(be, one.in(be), {}, one.out(be));
        CHECK(std::abs(double(one.loss[0]) - double(p.per_row[std::size_t(i)])) <= bound);
        CHECK(one.top1[0] == p.top1[std::size_t(i)]);
        for (index_t c = 0; c < cols; ++c) {
            CHECK(std::abs(double(one.grad_query(0, c)) - double(p.grad_query(i, c))) <= bound);
            grad_positive(i, c) += double(one.grad_positive(0, c));
            for (index_t j = 0; j < rows - 1; ++j) {
                grad_positive(j < i ? j : j + 1, c) += double(one.grad_negatives(j, c));
            }
        }
    }
    CHECK(test::distance(p.grad_positive, grad_positive) <= double(rows) * bound);
}

TEST_CASE_TEMPLATE("info_nce: a batch of one has no batch negatives and loss 0", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 27);
    B be;
    info_nce_problem<T> p(random, 1, 0, 3);

    const auto report = info_nce(be, p.in(be), {.pool = key_pool::batch}, p.out(be));

    CHECK(report.chance_level == 0);
    CHECK(p.loss[0] == 0);
    CHECK(test::distance(p.grad_query, test::filled<T>(1, 3, T(0))) == 0);
}

TEST_CASE_TEMPLATE("info_nce: negatives of the query's own cluster are left out", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 28);
    B be;
    const index_t rows = 6, count = 45, cols = 7;
    info_nce_problem<T> p(random, rows, count, cols);
    const auto negative_cluster = random.labels(count, 4);
    std::vector<label_t> query_cluster{0, 1, 2, 3, -1, 77};
    auto in = p.in(be);
    in.query_cluster = view_vector(query_cluster);
    in.negative_cluster = view_vector(negative_cluster);

    info_nce(be, in, {.reduction = reduction::sum}, p.out(be));

    for (index_t i = 0; i < rows; ++i) {
        CAPTURE(i);
        std::vector<index_t> kept;
        for (index_t j = 0; j < count; ++j) {
            if (negative_cluster[std::size_t(j)] != query_cluster[std::size_t(i)]) {
                kept.push_back(j);
            }
        }
        REQUIRE((i < 4) == (index_t(kept.size()) < count));
        info_nce_problem<T> one(random, 1, index_t(kept.size()), cols);
        for (index_t c = 0; c < cols; ++c) {
            one.query(0, c) = p.query(i, c);
            one.positive(0, c) = p.positive(i, c);
            for (std::size_t j = 0; j < kept.size(); ++j) {
                one.negatives(index_t(j), c) = p.negatives(kept[j], c);
            }
        }
        info_nce(be, one.in(be), {}, one.out(be));
        CHECK(std::abs(double(one.loss[0]) - double(p.per_row[std::size_t(i)])) <= loss_bound<T>(cols, 0.2));
        CHECK(one.top1[0] == p.top1[std::size_t(i)]);
    }
}

TEST_CASE_TEMPLATE("info_nce: with every negative left out the loss and the gradients are 0", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 29);
    B be;
    info_nce_problem<T> p(random, 3, 5, 4);
    const std::vector<label_t> query_cluster(3, 2), negative_cluster(5, 2);
    auto in = p.in(be);
    in.query_cluster = view_vector(query_cluster);
    in.negative_cluster = view_vector(negative_cluster);

    info_nce(be, in, {}, p.out(be));

    CHECK(p.per_row == std::vector<T>(3, T(0)));
    CHECK(p.top1 == std::vector<T>(3, T(1)));
    CHECK(test::distance(p.grad_query, test::filled<T>(3, 4, T(0))) == 0);
    CHECK(test::distance(p.grad_negatives, test::filled<T>(5, 4, T(0))) == 0);
}

TEST_CASE_TEMPLATE("info_nce: logits beyond the range of exp() give finite losses", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 33);
    B be;
    info_nce_problem<T> p(random, 5, 30, 6);

    info_nce(be, p.in(be), {.temperature = 1e-4}, p.out(be)); // logits up to 1e4

    for (std::size_t i = 0; i < 5; ++i) {
        double largest = -1;
        const double own = test::dot(p.query, index_t(i), p.positive, index_t(i));
        for (index_t j = 0; j < 30; ++j) {
            largest = std::max(largest, test::dot(p.query, index_t(i), p.negatives, j));
        }
        const double expected = std::max(0.0, largest - own) / 1e-4;
        CHECK(std::abs(double(p.per_row[i]) - expected) <= std::log(31.0) + loss_bound<T>(6, 1e-4) * 1e-4);
    }
}

// SPDX-License-Identifier: MIT
#include "m_step/proto_nce_problem.hpp"

#include <protonce/m_step/info_nce.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

using namespace protonce;
using test::column_memory;
using test::index_t;
using test::inputs;
using test::label_t;
using test::loss_bound;
using test::proto_problem;
using test::smallest_temperature;

namespace {

/// l_i by the formula, over the given columns with their multiplicities.
template <class T>
double formula(const proto_problem<T>& p, std::size_t m, index_t i, const std::map<index_t, double>& weight) {
    const auto logit = [&](index_t k) {
        return test::dot(p.query, i, p.prototypes[m], k) / double(p.temperatures[m][std::size_t(k)]);
    };
    double sum = 0;
    for (const auto& [k, w] : weight) {
        sum += w * std::exp(logit(k));
    }
    return std::log(sum) - logit(p.own(m, i));
}

} // namespace

TEST_CASE_TEMPLATE("proto_nce: two samples and three prototypes by hand", B, TEST_BACKENDS) {
    using T = value_of<B>;
    B be;
    const std::vector<T> query{1, 0, 0, 1}, prototypes{1, 0, 0, 1, -1, 0}, phi{T(0.5), T(0.25), T(0.5)};
    const std::vector<label_t> assignment{1, 0};
    const std::vector<index_t> sample{1, 0};
    const prototype_level<T, host> level{.prototypes = view_rows(prototypes.data(), 3, 2),
                                         .assignment = view_vector(assignment),
                                         .temperatures = view_vector(phi)};
    std::vector<T> loss(1), per_row(2), accuracy(1);

    const auto report =
        proto_nce(be, {.query = view_rows(query.data(), 2, 2), .sample = view_vector(sample), .levels = {&level, 1}},
                  {.negatives = negatives::all},
                  {.loss = view_vector(loss),
                   .loss_per_row = view_rows(per_row.data(), 1, 2),
                   .accuracy_per_level = view_vector(accuracy)});

    // Row 0 belongs to prototype 0, logits (2, 0, -2); row 1 to prototype 1, logits (0, 4, 0).
    const std::vector<double> expected{std::log(1 + std::exp(-2.0) + std::exp(-4.0)), std::log(1 + 2 * std::exp(-4.0))};
    CHECK(test::distance(per_row, expected) <= loss_bound<T>(2, 0.25));
    CHECK(std::abs(double(loss[0]) - (expected[0] + expected[1]) / 2) <= loss_bound<T>(2, 0.25));
    CHECK(accuracy[0] == 1);
    CHECK(report.num_negatives == 2);
    CHECK_FALSE(report.clamped);
}

TEST_CASE_TEMPLATE("proto_nce: each row's loss is the formula's over the columns drawn, in each of three ways", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 51);
    B be;
    proto_problem<T> p(random, 17, 40, 8, {9, 30, 500}, 1);
    p.own(0, 3) = -1;
    p.own(2, 4) = p.own(2, 5) = p.own(2, 6);
    for (const auto mode : {negatives::deduplicated, negatives::reference_compatible, negatives::all}) {
        CAPTURE(int(mode));
        column_memory<T> columns(p, 12);
        test::matrix<T> per_row(3, 17, 2), top1(3, 17);
        std::vector<T> loss(1), per_level(3), accuracy(3);
        proto_nce_outputs<B> out{.loss = view_vector(loss),
                                 .loss_per_level = view_vector(per_level),
                                 .loss_per_row = per_row.view(),
                                 .top1 = top1.view(),
                                 .accuracy_per_level = view_vector(accuracy)};
        if (mode != negatives::all) {
            out.columns = columns.views;
        }

        proto_nce(be, inputs(be, p), {.negatives = mode, .num_negatives = 12, .seed = 3, .step = 4}, out);

        const double bound = loss_bound<T>(8, smallest_temperature);
        double mean_of_levels = 0;
        for (std::size_t m = 0; m < 3; ++m) {
            CAPTURE(m);
            std::map<index_t, double> weight;
            if (mode == negatives::all) {
                for (index_t k = 0; k < p.prototypes[m].rows(); ++k) {
                    weight[k] = 1;
                }
            } else {
                for (const index_t k : columns.columns(m)) {
                    weight[k] = 0;
                }
                for (index_t i = 0; i < 17; ++i) {
                    if (p.own(m, i) >= 0) {
                        REQUIRE(weight.count(p.own(m, i)) == 1);
                        weight[p.own(m, i)] += 1;
                    }
                }
                for (auto& [k, w] : weight) {
                    w = mode == negatives::deduplicated || w == 0 ? 1 : w;
                }
            }
            double sum = 0, found = 0, participants = 0;
            for (index_t i = 0; i < 17; ++i) {
                CAPTURE(i);
                const bool takes_part = p.own(m, i) >= 0;
                const double expected = takes_part ? formula(p, m, i, weight) : 0;
                CHECK(std::abs(double(per_row(index_t(m), i)) - expected) <= bound);
                sum += expected;
                found += double(top1(index_t(m), i));
                participants += takes_part ? 1 : 0;
                if (!takes_part) {
                    CHECK(per_row(index_t(m), i) == 0);
                    CHECK(top1(index_t(m), i) == 0);
                }
            }
            CHECK(participants == (m == 0 ? 16 : 17));
            CHECK(std::abs(double(per_level[m]) - sum / participants) <= bound);
            CHECK(double(accuracy[m]) == doctest::Approx(found / participants).epsilon(1e-6));
            mean_of_levels += sum / participants / 3;
        }
        CHECK(std::abs(double(loss[0]) - mean_of_levels) <= bound);
    }
}

TEST_CASE_TEMPLATE("proto_nce: the rows of dL/dlogits sum to zero", B, TEST_BACKENDS) {
    // With phi_j as last feature of prototype j, that column of dl/dq is sum_j dl/ds_j.
    using T = value_of<B>;
    TEST_RANDOM(random, 53);
    B be;
    proto_problem<T> p(random, 13, 20, 7, {11});
    for (index_t k = 0; k < 11; ++k) {
        p.prototypes[0](k, 6) = p.temperatures[0][std::size_t(k)];
    }
    for (const auto mode : {negatives::deduplicated, negatives::reference_compatible, negatives::all}) {
        CAPTURE(int(mode));
        test::matrix<T> grad_query(13, 7);

        proto_nce(be, inputs(be, p), {.negatives = mode, .num_negatives = 3, .reduction = reduction::sum},
                  {.grad_query = grad_query.view()});

        for (index_t i = 0; i < 13; ++i) {
            CHECK(std::abs(double(grad_query(i, 6))) <= loss_bound<T>(7, smallest_temperature));
        }
    }
}

TEST_CASE_TEMPLATE("proto_nce: with every concentration equal to tau it is InfoNCE on prototypes", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 54);
    B be;
    const index_t rows = 15, clusters = 24, cols = 10;
    proto_problem<T> p(random, rows, 33, cols, {clusters});
    p.temperatures[0].assign(std::size_t(clusters), T(0.25));
    test::matrix<T> own(rows, cols), grad_proto(rows, cols), grad_info(rows, cols);
    std::vector<label_t> row_cluster, pool_cluster;
    for (index_t i = 0; i < rows; ++i) {
        row_cluster.push_back(p.own(0, i));
        for (index_t c = 0; c < cols; ++c) {
            own(i, c) = p.prototypes[0](p.own(0, i), c);
        }
    }
    for (index_t k = 0; k < clusters; ++k) {
        pool_cluster.push_back(label_t(k));
    }
    std::vector<T> proto_loss(1), info_loss(1), proto_accuracy(1), info_accuracy(1);

    proto_nce(be, inputs(be, p), {.negatives = negatives::all},
              {.loss = view_vector(proto_loss),
               .accuracy_per_level = view_vector(proto_accuracy),
               .grad_query = grad_proto.view()});
    info_nce(be,
             {.query = p.query.view(),
              .positive = own.view(),
              .negatives = p.prototypes[0].view(),
              .query_cluster = view_vector(row_cluster),
              .negative_cluster = view_vector(pool_cluster)},
             {.temperature = 0.25},
             {.loss = view_vector(info_loss), .accuracy = view_vector(info_accuracy), .grad_query = grad_info.view()});

    const double bound = loss_bound<T>(cols, 0.25);
    CHECK(std::abs(double(proto_loss[0]) - double(info_loss[0])) <= bound);
    CHECK(proto_accuracy[0] == info_accuracy[0]);
    CHECK(test::distance(grad_proto, grad_info) <= bound);
}

TEST_CASE_TEMPLATE("proto_nce: a prototype that rows share counts once, or once for each of them", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 55);
    B be;
    proto_problem<T> p(random, 4, 4, 5, {6});
    p.assignment[0] = {2, 2, 2, 2};
    std::vector<T> once(1), authors(1), accuracy(1);

    proto_nce(be, inputs(be, p), {.num_negatives = 0},
              {.loss = view_vector(once), .accuracy_per_level = view_vector(accuracy)});
    proto_nce(be, inputs(be, p), {.negatives = negatives::reference_compatible, .num_negatives = 0},
              {.loss = view_vector(authors)});

    CHECK(once[0] == 0);
    CHECK(accuracy[0] == 1);
    CHECK(double(authors[0]) == doctest::Approx(std::log(4.0)).epsilon(1e-6));
}

TEST_CASE_TEMPLATE("proto_nce: a level without any assigned row has loss, accuracy and gradients 0", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 56);
    B be;
    for (const auto mode : {negatives::deduplicated, negatives::reference_compatible, negatives::all}) {
        for (const std::size_t empty : {std::size_t{0}, std::size_t{1}}) {
            CAPTURE(int(mode));
            CAPTURE(empty);
            proto_problem<T> p(random, 5, 8, 4, {6, 6});
            p.assignment[empty].assign(8, -1);
            std::vector<T> loss(1), per_level(2, T(9)), accuracy(2, T(9)), other_alone(1);
            auto grad_query = test::filled<T>(5, 4, T(9));
            test::matrix<T> grad_other(5, 4);
            std::vector<test::matrix<T>> grad_prototypes{test::filled<T>(6, 4, T(9)), test::filled<T>(6, 4, T(9))};
            std::vector<std::vector<T>> grad_temperatures{std::vector<T>(6, T(9)), std::vector<T>(6, T(9))};
            auto only_other = inputs(be, p);
            only_other.levels = only_other.levels.subspan(1 - empty, 1);

            // As many negatives as there are: both calls use every prototype, whatever they draw.
            proto_nce(be, inputs(be, p), {.negatives = mode, .num_negatives = 6},
                      {.loss = view_vector(loss),
                       .loss_per_level = view_vector(per_level),
                       .accuracy_per_level = view_vector(accuracy),
                       .grad_query = grad_query.view(),
                       .grad_prototypes = test::views_of(grad_prototypes),
                       .grad_temperatures = test::views_of(grad_temperatures)});
            proto_nce(be, only_other, {.negatives = mode, .num_negatives = 6},
                      {.loss = view_vector(other_alone), .grad_query = grad_other.view()});

            const double bound = loss_bound<T>(4, smallest_temperature);
            CHECK(per_level[empty] == 0);
            CHECK(accuracy[empty] == 0);
            CHECK(std::abs(double(loss[0]) - double(other_alone[0]) / 2) <= bound);
            CHECK(loss[0] > 0);
            CHECK(test::distance(grad_prototypes[empty], test::filled<T>(6, 4, T(0))) == 0);
            CHECK(grad_temperatures[empty] == std::vector<T>(6, T(0)));
            CHECK(test::distance(test::scaled(grad_other, T(0.5)), grad_query) <= bound);
        }
    }
}

TEST_CASE_TEMPLATE("proto_nce: nothing but unassigned rows gives loss 0", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 57);
    B be;
    proto_problem<T> p(random, 5, 8, 4, {6});
    p.assignment[0].assign(8, -1);
    for (const index_t count : {0, 3, 100}) {
        std::vector<T> loss(1, T(9));
        auto grad_query = test::filled<T>(5, 4, T(9));

        const auto report = proto_nce(be, inputs(be, p), {.num_negatives = count},
                                      {.loss = view_vector(loss), .grad_query = grad_query.view()});

        CHECK(loss[0] == 0);
        CHECK(report.num_negatives == std::min<index_t>(count, 6));
        CHECK(test::distance(grad_query, test::filled<T>(5, 4, T(0))) == 0);
    }
}

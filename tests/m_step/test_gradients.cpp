// SPDX-License-Identifier: MIT
#include "m_step/losses.hpp"
#include "support/finite_difference.hpp"

#include <protonce/core/normalize.hpp>
#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/m_step.hpp>
#include <protonce/m_step/nt_xent.hpp>
#include <protonce/m_step/proto_nce.hpp>
#include <protonce/m_step/symmetric_info_nce.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace protonce;
using test::gradient_mismatch;
using test::index_t;

namespace {

constexpr reduction reductions[] = {reduction::mean, reduction::sum, reduction::none};

/// The loss and the upstream gradient as one number: what the gradients are gradients of.
struct objective_value {
    reduction how;
    std::vector<double> upstream; // empty: 1
    std::vector<double> loss;

    objective_value(test::random_source& random, reduction reduced, bool has_upstream, index_t rows)
        : how(reduced), loss(reduced == reduction::none ? std::size_t(rows) : 1) {
        if (has_upstream) {
            upstream = random.uniform_values<double>(index_t(loss.size()), 0.5, 2.0);
        }
    }
    double operator()() const {
        double sum = 0;
        for (std::size_t i = 0; i < loss.size(); ++i) {
            sum += loss[i] * (upstream.empty() ? 1.0 : upstream[i]);
        }
        return sum;
    }
};

} // namespace

TEST_CASE_TEMPLATE("info_nce: every gradient matches finite differences, for every option", B, TEST_DOUBLE_BACKENDS) {
    TEST_RANDOM(random, 11);
    B be;
    for (const auto pool : {key_pool::queue, key_pool::batch}) {
        for (const reduction how : reductions) {
            for (const int flags : {0, 1, 2, 3}) {
                const bool masked = (flags & 1) != 0;
                const bool has_upstream = (flags & 2) != 0;
                CAPTURE(int(pool));
                CAPTURE(int(how));
                CAPTURE(masked);
                CAPTURE(has_upstream);
                const index_t rows = 5, cols = 4, count = pool == key_pool::queue ? 6 : 0;
                auto query = random.normal_matrix<double>(rows, cols, 1);
                auto positive = random.normal_matrix<double>(rows, cols, 2);
                auto negatives = random.normal_matrix<double>(count, cols);
                std::vector<double> temperature{0.7};
                auto query_cluster = random.labels(rows, 3);
                auto negative_cluster = random.labels(count, 3);
                query_cluster[0] = -1;
                objective_value objective(random, how, has_upstream, rows);
                info_nce_inputs<B> in{.query = query.view(),
                                      .positive = positive.view(),
                                      .negatives = negatives.view(),
                                      .temperature = view_vector(temperature),
                                      .upstream = view_vector(objective.upstream)};
                if (masked) {
                    in.query_cluster = view_vector(query_cluster);
                    if (pool == key_pool::queue) {
                        in.negative_cluster = view_vector(negative_cluster);
                    }
                }
                test::matrix<double> grad_query(rows, cols, 1), grad_positive(rows, cols), grad_negatives(count, cols);
                std::vector<double> grad_temperature(1);
                const auto loss = [&] {
                    info_nce(be, in, {.pool = pool, .reduction = how}, {.loss = view_vector(objective.loss)});
                    return objective();
                };

                info_nce(be, in, {.pool = pool, .reduction = how},
                         {.grad_query = grad_query.view(),
                          .grad_positive = grad_positive.view(),
                          .grad_negatives = grad_negatives.view(),
                          .grad_temperature = view_vector(grad_temperature)});

                CHECK(gradient_mismatch(loss, query.view(), grad_query.view()) <= 1);
                CHECK(gradient_mismatch(loss, positive.view(), grad_positive.view()) <= 1);
                CHECK(gradient_mismatch(loss, view_vector(temperature), view_vector(grad_temperature)) <= 1);
                if (count > 0) {
                    CHECK(gradient_mismatch(loss, negatives.view(), grad_negatives.view()) <= 1);
                }
            }
        }
    }
}

TEST_CASE_TEMPLATE("nt_xent: every gradient matches finite differences, for every option", B, TEST_DOUBLE_BACKENDS) {
    TEST_RANDOM(random, 12);
    B be;
    for (const reduction how : reductions) {
        for (const bool has_upstream : {false, true}) {
            CAPTURE(int(how));
            CAPTURE(has_upstream);
            const index_t rows = 4, cols = 3;
            auto first = random.normal_matrix<double>(rows, cols, 1);
            auto second = random.normal_matrix<double>(rows, cols);
            std::vector<double> temperature{0.8}, grad_temperature(1);
            objective_value objective(random, how, has_upstream, 2 * rows);
            const nt_xent_inputs<B> in{.first = first.view(),
                                       .second = second.view(),
                                       .temperature = view_vector(temperature),
                                       .upstream = view_vector(objective.upstream)};
            test::matrix<double> grad_first(rows, cols, 2), grad_second(rows, cols);
            const auto loss = [&] {
                nt_xent(be, in, {.reduction = how}, {.loss = view_vector(objective.loss)});
                return objective();
            };

            nt_xent(be, in, {.reduction = how},
                    {.grad_first = grad_first.view(),
                     .grad_second = grad_second.view(),
                     .grad_temperature = view_vector(grad_temperature)});

            CHECK(gradient_mismatch(loss, first.view(), grad_first.view()) <= 1);
            CHECK(gradient_mismatch(loss, second.view(), grad_second.view()) <= 1);
            CHECK(gradient_mismatch(loss, view_vector(temperature), view_vector(grad_temperature)) <= 1);
        }
    }
}

TEST_CASE_TEMPLATE("symmetric_info_nce: every gradient matches finite differences, for every option", B,
                   TEST_DOUBLE_BACKENDS) {
    TEST_RANDOM(random, 13);
    B be;
    for (const reduction how : reductions) {
        for (const bool has_upstream : {false, true}) {
            CAPTURE(int(how));
            CAPTURE(has_upstream);
            const index_t rows = 5, cols = 3;
            auto first = random.normal_matrix<double>(rows, cols);
            auto second = random.normal_matrix<double>(rows, cols, 1);
            std::vector<double> scale{1.7}, grad_scale(1);
            objective_value objective(random, how, has_upstream, rows);
            const symmetric_info_nce_inputs<B> in{.first = first.view(),
                                                  .second = second.view(),
                                                  .scale = view_vector(scale),
                                                  .upstream = view_vector(objective.upstream)};
            test::matrix<double> grad_first(rows, cols), grad_second(rows, cols, 1);
            const auto loss = [&] {
                symmetric_info_nce(be, in, {.reduction = how}, {.loss = view_vector(objective.loss)});
                return objective();
            };

            symmetric_info_nce(be, in, {.reduction = how},
                               {.grad_first = grad_first.view(),
                                .grad_second = grad_second.view(),
                                .grad_scale = view_vector(grad_scale)});

            CHECK(gradient_mismatch(loss, first.view(), grad_first.view()) <= 1);
            CHECK(gradient_mismatch(loss, second.view(), grad_second.view()) <= 1);
            CHECK(gradient_mismatch(loss, view_vector(scale), view_vector(grad_scale)) <= 1);
        }
    }
}

TEST_CASE_TEMPLATE("proto_nce: every gradient matches finite differences, for every option", B, TEST_DOUBLE_BACKENDS) {
    TEST_RANDOM(random, 14);
    B be;
    for (const auto mode : {negatives::deduplicated, negatives::reference_compatible, negatives::all}) {
        for (const reduction how : reductions) {
            for (const bool has_upstream : {false, true}) {
                CAPTURE(int(mode));
                CAPTURE(int(how));
                CAPTURE(has_upstream);
                const index_t rows = 6, cols = 3;
                test::proto_problem<double> p(random, rows, 9, cols, {5, 8}, 1);
                p.own(0, 1) = -1;
                p.own(1, 2) = p.own(1, 3);
                for (auto& phi : p.temperatures) {
                    for (auto& value : phi) {
                        value += 0.5;
                    }
                }
                objective_value objective(random, how, has_upstream, rows);
                const proto_nce_inputs<B> in{.query = p.query.view(),
                                             .sample = view_vector(p.sample),
                                             .levels = p.levels,
                                             .upstream = view_vector(objective.upstream)};
                const proto_nce_options options{.negatives = mode, .num_negatives = 2, .seed = 5, .reduction = how};
                test::matrix<double> grad_query(rows, cols);
                std::vector<test::matrix<double>> grad_prototypes{{5, cols}, {8, cols, 1}};
                std::vector<std::vector<double>> grad_temperatures{std::vector<double>(5), std::vector<double>(8)};
                const auto loss = [&] {
                    proto_nce(be, in, options, {.loss = view_vector(objective.loss)});
                    return objective();
                };

                proto_nce(be, in, options,
                          {.grad_query = grad_query.view(),
                           .grad_prototypes = test::views_of(grad_prototypes),
                           .grad_temperatures = test::views_of(grad_temperatures)});

                CHECK(gradient_mismatch(loss, p.query.view(), grad_query.view()) <= 1);
                for (std::size_t m = 0; m < 2; ++m) {
                    CAPTURE(m);
                    CHECK(gradient_mismatch(loss, p.prototypes[m].view(), grad_prototypes[m].view()) <= 1);
                    CHECK(gradient_mismatch(loss, view_vector(p.temperatures[m]), view_vector(grad_temperatures[m])) <=
                          1);
                }
            }
        }
    }
}

TEST_CASE_TEMPLATE("m_step: every gradient matches finite differences, for every option", B, TEST_DOUBLE_BACKENDS) {
    TEST_RANDOM(random, 15);
    B be;
    for (const auto mode : {negatives::deduplicated, negatives::reference_compatible, negatives::all}) {
        for (const int flags : {0, 1, 2, 3}) {
            const bool masked = (flags & 1) != 0;
            const bool has_upstream = (flags & 2) != 0;
            CAPTURE(int(mode));
            CAPTURE(masked);
            CAPTURE(has_upstream);
            const index_t rows = 5, cols = 3, count = 6;
            test::proto_problem<double> p(random, rows, 7, cols, {4, 6});
            p.own(1, 0) = -1;
            for (auto& phi : p.temperatures) {
                for (auto& value : phi) {
                    value += 0.5;
                }
            }
            auto positive = random.normal_matrix<double>(rows, cols);
            auto queue = random.normal_matrix<double>(count, cols);
            const auto query_cluster = random.labels(rows, 2);
            const auto negative_cluster = random.labels(count, 2);
            std::vector<double> temperature{0.6}, grad_temperature(1);
            objective_value objective(random, reduction::mean, has_upstream, rows);
            m_step_inputs<B> in{.query = p.query.view(),
                                .positive = positive.view(),
                                .negatives = queue.view(),
                                .temperature = view_vector(temperature),
                                .sample = view_vector(p.sample),
                                .levels = p.levels,
                                .upstream = view_vector(objective.upstream)};
            if (masked) {
                in.query_cluster = view_vector(query_cluster);
                in.negative_cluster = view_vector(negative_cluster);
            }
            const m_step_options options{
                .negatives = mode, .num_negatives = 1, .instance_weight = 0.7, .prototype_weight = 1.3};
            test::matrix<double> grad_query(rows, cols), grad_positive(rows, cols), grad_negatives(count, cols);
            std::vector<test::matrix<double>> grad_prototypes{{4, cols}, {6, cols}};
            std::vector<std::vector<double>> grad_temperatures{std::vector<double>(4), std::vector<double>(6)};
            const auto loss = [&] {
                m_step(be, in, options, {.loss = view_vector(objective.loss)});
                return objective();
            };

            m_step(be, in, options,
                   {.grad_query = grad_query.view(),
                    .grad_positive = grad_positive.view(),
                    .grad_negatives = grad_negatives.view(),
                    .grad_temperature = view_vector(grad_temperature),
                    .grad_prototypes = test::views_of(grad_prototypes),
                    .grad_temperatures = test::views_of(grad_temperatures)});

            CHECK(gradient_mismatch(loss, p.query.view(), grad_query.view()) <= 1);
            CHECK(gradient_mismatch(loss, positive.view(), grad_positive.view()) <= 1);
            CHECK(gradient_mismatch(loss, queue.view(), grad_negatives.view()) <= 1);
            CHECK(gradient_mismatch(loss, view_vector(temperature), view_vector(grad_temperature)) <= 1);
            for (std::size_t m = 0; m < 2; ++m) {
                CAPTURE(m);
                CHECK(gradient_mismatch(loss, p.prototypes[m].view(), grad_prototypes[m].view()) <= 1);
                CHECK(gradient_mismatch(loss, view_vector(p.temperatures[m]), view_vector(grad_temperatures[m])) <= 1);
            }
        }
    }
}

TEST_CASE_TEMPLATE("normalize_rows_gradient: matches finite differences", B, TEST_DOUBLE_BACKENDS) {
    TEST_RANDOM(random, 16);
    B be;
    const index_t rows = 4, cols = 5;
    auto raw = random.normal_matrix<double>(rows, cols, 2);
    const auto weight = random.normal_matrix<double>(rows, cols);
    test::matrix<double> unit(rows, cols), grad_raw(rows, cols, 1);
    std::vector<double> norms(static_cast<std::size_t>(rows));
    const auto loss = [&] {
        normalize_rows(be, raw.view(), unit.view());
        double sum = 0;
        for (index_t i = 0; i < rows; ++i) {
            sum += test::dot(weight, i, unit, i);
        }
        return sum;
    };

    normalize_rows(be, raw.view(), unit.view(), view_vector(norms));
    normalize_rows_gradient(be, {.unit = unit.view(), .norms = view_vector(norms), .grad_unit = weight.view()},
                            grad_raw.view());

    CHECK(gradient_mismatch(loss, raw.view(), grad_raw.view()) <= 1);
}

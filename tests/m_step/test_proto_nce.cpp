// SPDX-License-Identifier: MIT
#include "m_step/losses.hpp"

#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/proto_nce.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

using namespace protonce;
using test::index_t;
using test::label_t;
using test::loss_bound;
using test::proto_problem;

namespace {

constexpr double smallest_temperature = 0.2; // of proto_problem

/// Memory for the columns of some levels, and the views of it.
template <class T>
struct column_memory {
    std::vector<std::vector<index_t>> id;
    std::vector<std::vector<T>> log_count;
    std::vector<index_t> column_count, batch_count;
    std::vector<column_draw<T, host>> views;

    column_memory(const proto_problem<T>& p, index_t num_negatives)
        : column_count(p.levels.size(), -7), batch_count(p.levels.size(), -7) {
        for (const auto& level : p.levels) {
            const auto size = static_cast<std::size_t>(
                std::min(level.prototypes.rows(), p.query.rows() + std::min(num_negatives, level.prototypes.rows())));
            id.emplace_back(size, index_t{-7});
            log_count.emplace_back(size, T(-7));
        }
        for (std::size_t m = 0; m < id.size(); ++m) {
            views.push_back({.column_id = view_vector(id[m]),
                             .log_count = view_vector(log_count[m]),
                             .column_count = view_vector(column_count).slice(index_t(m), 1),
                             .batch_count = view_vector(batch_count).slice(index_t(m), 1)});
        }
    }
    std::vector<index_t> columns(std::size_t m) const { return {id[m].begin(), id[m].begin() + column_count[m]}; }
    std::vector<index_t> negatives_of(std::size_t m) const {
        return {id[m].begin() + batch_count[m], id[m].begin() + column_count[m]};
    }
};

template <class B>
proto_nce_inputs<B> inputs(const B&, const proto_problem<value_of<B>>& p) {
    return {.query = p.query.view(), .sample = view_vector(p.sample), .levels = p.levels};
}

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

TEST_CASE_TEMPLATE("proto_nce: reductions are sums and means over the levels of the rows' losses", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 52);
    B be;
    proto_problem<T> p(random, 11, 20, 6, {7, 13});
    p.own(1, 2) = -1;
    test::matrix<T> per_row(2, 11);
    std::vector<T> sum(1), none(11), levels_of_sum(2), levels_of_none(2), levels_of_mean(2);
    const auto in = inputs(be, p);

    proto_nce(be, in, {.reduction = reduction::sum},
              {.loss = view_vector(sum), .loss_per_level = view_vector(levels_of_sum), .loss_per_row = per_row.view()});
    proto_nce(be, in, {.reduction = reduction::none},
              {.loss = view_vector(none), .loss_per_level = view_vector(levels_of_none)});
    proto_nce(be, in, {}, {.loss_per_level = view_vector(levels_of_mean)});

    const double rounding = 8 * double(std::numeric_limits<T>::epsilon());
    double total = 0;
    for (index_t i = 0; i < 11; ++i) {
        const double expected = (double(per_row(0, i)) + double(per_row(1, i))) / 2;
        CHECK(std::abs(double(none[std::size_t(i)]) - expected) <= rounding * (1 + expected));
        total += expected;
    }
    CHECK(std::abs(double(sum[0]) - total) <= rounding * total);
    CHECK(levels_of_sum == levels_of_mean);
    CHECK(levels_of_none == levels_of_mean);
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
        for (const std::size_t empty : {0, 1}) {
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

TEST_CASE_TEMPLATE("proto_nce: the columns used are readable, and given back as negatives they give the same bits", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 58);
    B be;
    proto_problem<T> p(random, 9, 30, 6, {25, 60});
    for (const auto mode : {negatives::deduplicated, negatives::reference_compatible}) {
        CAPTURE(int(mode));
        column_memory<T> drawn(p, 8), reused(p, 8);
        std::vector<T> loss(1), again(1);
        test::matrix<T> grad_query(9, 6), grad_again(9, 6);

        proto_nce(be, inputs(be, p), {.negatives = mode, .num_negatives = 8, .seed = 12, .step = 34},
                  {.loss = view_vector(loss), .grad_query = grad_query.view(), .columns = drawn.views});
        const std::vector<std::vector<index_t>> ids{drawn.negatives_of(0), drawn.negatives_of(1)};
        const std::vector<vector_view<const index_t>> given{view_vector(ids[0]), view_vector(ids[1])};
        auto in = inputs(be, p);
        in.negative_id = given;
        const auto report =
            proto_nce(be, in, {.negatives = mode, .num_negatives = 3},
                      {.loss = view_vector(again), .grad_query = grad_again.view(), .columns = reused.views});

        CHECK(report.num_negatives == 8);
        CHECK_FALSE(report.clamped);
        CHECK(loss[0] == again[0]);
        CHECK(test::distance(grad_query, grad_again) == 0);
        for (std::size_t m = 0; m < 2; ++m) {
            CAPTURE(m);
            CHECK(drawn.columns(m) == reused.columns(m));
            CHECK(drawn.log_count[m] == reused.log_count[m]);

            // The same draw by itself, as level number m.
            std::vector<label_t> own;
            for (index_t i = 0; i < 9; ++i) {
                own.push_back(p.own(m, i));
            }
            column_memory<T> alone(p, 8);
            draw_negative_prototypes(be, vector_view<const label_t>(view_vector(own)), p.prototypes[m].rows(),
                                     {.num_negatives = 8, .seed = 12, .step = 34, .level = std::uint32_t(m)},
                                     alone.views[m]);
            CHECK(alone.columns(m) == drawn.columns(m));
            CHECK(alone.log_count[m] == drawn.log_count[m]);
        }
    }
}

TEST_CASE_TEMPLATE("proto_nce: more negatives than prototypes are clamped, reported, and give every prototype", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 59);
    B be;
    proto_problem<T> p(random, 6, 12, 5, {10, 200});
    std::vector<T> clamped_levels(2), all_levels(2);

    const auto report =
        proto_nce(be, inputs(be, p), {.num_negatives = 150}, {.loss_per_level = view_vector(clamped_levels)});
    const auto report_all =
        proto_nce(be, inputs(be, p), {.negatives = negatives::all}, {.loss_per_level = view_vector(all_levels)});

    std::set<label_t> own;
    for (index_t i = 0; i < 6; ++i) {
        own.insert(p.own(0, i));
    }
    CHECK(report.clamped);
    CHECK(report.num_negatives == 10 - index_t(own.size()));
    CHECK(std::abs(double(clamped_levels[0]) - double(all_levels[0])) <= loss_bound<T>(5, smallest_temperature));
    CHECK(clamped_levels[1] < all_levels[1]);
    CHECK_FALSE(report_all.clamped);
    CHECK(report_all.num_negatives == 9);
}

TEST_CASE_TEMPLATE("proto_nce: accumulate adds to the loss and every gradient and to nothing else", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 60);
    B be;
    proto_problem<T> p(random, 6, 12, 4, {5, 7});
    std::vector<T> loss(1), sum_loss{2}, per_level(2), sum_per_level(2, T(9));
    test::matrix<T> grad_query(6, 4);
    auto sum_query = test::filled<T>(6, 4, T(1));
    std::vector<test::matrix<T>> grad_prototypes{{5, 4}, {7, 4, 3}};
    std::vector<test::matrix<T>> sum_prototypes{test::filled<T>(5, 4, T(1)), test::filled<T>(7, 4, T(1), 2)};
    std::vector<std::vector<T>> grad_temperatures{std::vector<T>(5), std::vector<T>(7)};
    std::vector<std::vector<T>> sum_temperatures{std::vector<T>(5, T(1)), std::vector<T>(7, T(1))};

    proto_nce(be, inputs(be, p), {.num_negatives = 2},
              {.loss = view_vector(loss),
               .loss_per_level = view_vector(per_level),
               .grad_query = grad_query.view(),
               .grad_prototypes = test::views_of(grad_prototypes),
               .grad_temperatures = test::views_of(grad_temperatures)});
    proto_nce(be, inputs(be, p), {.num_negatives = 2},
              {.loss = view_vector(sum_loss),
               .loss_per_level = view_vector(sum_per_level),
               .grad_query = sum_query.view(),
               .grad_prototypes = test::views_of(sum_prototypes),
               .grad_temperatures = test::views_of(sum_temperatures),
               .accumulate = true});

    const double rounding = 16 * double(std::numeric_limits<T>::epsilon());
    CHECK(std::abs(double(sum_loss[0]) - 2 - double(loss[0])) <= rounding);
    CHECK(sum_per_level == per_level);
    const auto is_sum = [&](const std::vector<double>& sum, const std::vector<double>& part) {
        for (std::size_t i = 0; i < sum.size(); ++i) {
            CHECK(std::abs(sum[i] - 1 - part[i]) <= rounding);
        }
    };
    is_sum(test::values_of(sum_query), test::values_of(grad_query));
    for (std::size_t m = 0; m < 2; ++m) {
        is_sum(test::values_of(sum_prototypes[m]), test::values_of(grad_prototypes[m]));
        is_sum({sum_temperatures[m].begin(), sum_temperatures[m].end()},
               {grad_temperatures[m].begin(), grad_temperatures[m].end()});
    }
}

TEST_CASE_TEMPLATE("proto_nce: what does not go together is refused by name, outputs untouched", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 61);
    B be;
    proto_problem<T> p(random, 3, 6, 4, {5, 8});
    std::vector<T> loss(1, T(7));
    const auto refused = [&]<class E>(E*, auto change) {
        const auto message = test::message_of<E>([&] {
            auto in = inputs(be, p);
            proto_nce_options options;
            proto_nce_outputs<B> out{.loss = view_vector(loss)};
            change(in, options, out);
            proto_nce(be, in, options, out);
        });
        CHECK(loss[0] == 7);
        return message;
    };
    constexpr shape_error* shape = nullptr;
    constexpr argument_error* value = nullptr;

    CHECK(refused(shape, [](auto& in, auto&, auto&) { in.levels = {}; }) ==
          "proto_nce: levels: must hold at least one level; got none");
    CHECK(refused(shape, [](auto& in, auto&, auto&) { in.sample = in.sample.slice(0, 2); }) ==
          "proto_nce: sample: must hold 3 values; got 2");
    CHECK(refused(value, [](auto&, auto& options, auto&) { options.num_negatives = -1; }) ==
          "proto_nce: num_negatives: must be at least 0; got -1");

    p.sample[1] = 6;
    CHECK(refused(value, [](auto&, auto&, auto&) {}) ==
          "proto_nce: sample: must lie in [0, 5], the samples of levels[0].assignment; got 6 for row 1");
    p.sample[1] = 2;
    p.assignment[1][2] = 8;
    CHECK(refused(value, [](auto&, auto&, auto&) {}) ==
          "proto_nce: levels[1].assignment: must lie in [-1, 7] for every row of the batch; got 8 for row 1");
    p.assignment[1][2] = 3;
    p.temperatures[1][4] = 0;
    CHECK(refused(value, [](auto&, auto&, auto&) {}) ==
          "proto_nce: levels[1].temperatures: must be positive and finite everywhere; got 0 at 4");
    p.temperatures[1][4] = T(0.5);
    p.prototypes[0](3, 1) = std::numeric_limits<T>::infinity();
    CHECK(refused(value, [](auto&, auto&, auto&) {}) ==
          "proto_nce: levels[0].prototypes: must be finite everywhere; got NaN or infinity in row 3");
    p.prototypes[0](3, 1) = 0;

    const auto given = [&](std::vector<index_t> first) {
        const std::vector<index_t> second;
        const std::vector<vector_view<const index_t>> ids{view_vector(std::as_const(first)), view_vector(second)};
        return refused(value, [&](auto& in, auto&, auto&) { in.negative_id = ids; });
    };
    p.assignment[0].assign(6, 1);
    CHECK(given({0, 5}) == "proto_nce: negative_id[0]: must lie in [0, 4]; got 5");
    CHECK(given({3, 2, 3}) == "proto_nce: negative_id[0]: must hold each number once; got 3 again");
    CHECK(given({4, 1}) == "proto_nce: negative_id[0]: must not hold a prototype of the batch; got 1");

    const std::vector<vector_view<const index_t>> one(1);
    CHECK(refused(shape, [&](auto& in, auto&, auto&) { in.negative_id = one; }) ==
          "proto_nce: negative_id: must hold one element for each level, 2; got 1");
    column_memory<T> columns(p, 8);
    columns.views[1].column_id = columns.views[1].column_id.slice(0, 4);
    CHECK(refused(shape, [&](auto&, auto& options, auto& out) {
              options.num_negatives = 2;
              out.columns = columns.views;
          }) == "proto_nce: columns[1].column_id: must hold at least 5 values; got 4");
    CHECK(refused(value, [&](auto&, auto& options, auto& out) {
              options.negatives = negatives::all;
              out.columns = columns.views;
          }) == "proto_nce: columns: must not be given with negatives::all; got 2");
    std::vector<test::matrix<T>> gradients{{5, 4}, {8, 3}};
    const auto gradient_views = test::views_of(gradients);
    CHECK(refused(shape, [&](auto&, auto&, auto& out) { out.grad_prototypes = gradient_views; }) ==
          "proto_nce: grad_prototypes[1]: must be (8, 4); got (8, 3)");
}

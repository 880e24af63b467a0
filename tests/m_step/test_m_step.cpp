// SPDX-License-Identifier: MIT
#include "m_step/losses.hpp"
#include "support/thrown.hpp"

#include <protonce/m_step/m_step.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

using namespace protonce;
using test::index_t;
using test::label_t;
using test::proto_problem;

namespace {

/// A whole step: levels, keys, a queue, and room for every output.
template <class T>
struct step_problem : proto_problem<T> {
    test::matrix<T> positive, queue;
    std::vector<T> loss = {0}, loss_instance = {0}, loss_prototypes = {0}, accuracy = {0}, grad_temperature = {0};
    std::vector<T> per_level, accuracy_per_level;
    test::matrix<T> grad_query, grad_positive, grad_negatives;
    std::vector<test::matrix<T>> grad_prototypes;
    std::vector<std::vector<T>> grad_temperatures;
    std::vector<matrix_view<T>> prototype_views;
    std::vector<vector_view<T>> temperature_views;

    step_problem(test::random_source& random, index_t rows, index_t count, index_t cols,
                 const std::vector<index_t>& num_clusters)
        : proto_problem<T>(random, rows, 2 * rows, cols, num_clusters), positive(random.unit_rows<T>(rows, cols)),
          queue(random.unit_rows<T>(count, cols)), per_level(num_clusters.size()),
          accuracy_per_level(num_clusters.size()), grad_query(rows, cols), grad_positive(rows, cols),
          grad_negatives(count, cols) {
        for (const index_t k : num_clusters) {
            grad_prototypes.emplace_back(k, cols, k % 2); // rows apart, or not
            grad_temperatures.emplace_back(std::size_t(k));
        }
        prototype_views = test::views_of(grad_prototypes);
        temperature_views = test::views_of(grad_temperatures);
    }

    template <class B>
    m_step_inputs<B> in(const B&) const {
        return {.query = this->query.view(),
                .positive = positive.view(),
                .negatives = queue.view(),
                .sample = view_vector(this->sample),
                .levels = this->levels};
    }
    template <class B>
    m_step_outputs<B> out(const B&) {
        return {.loss = view_vector(loss),
                .loss_instance = view_vector(loss_instance),
                .loss_prototypes = view_vector(loss_prototypes),
                .loss_per_level = view_vector(per_level),
                .accuracy_instance = view_vector(accuracy),
                .accuracy_per_level = view_vector(accuracy_per_level),
                .grad_query = grad_query.view(),
                .grad_positive = grad_positive.view(),
                .grad_negatives = grad_negatives.view(),
                .grad_temperature = view_vector(grad_temperature),
                .grad_prototypes = prototype_views,
                .grad_temperatures = temperature_views};
    }
};

} // namespace

TEST_CASE_TEMPLATE("m_step: the same bits as info_nce and proto_nce one after the other", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 81);
    B be;
    for (const auto mode : {negatives::deduplicated, negatives::reference_compatible, negatives::all}) {
        CAPTURE(int(mode));
        step_problem<T> p(random, 14, 50, 8, {9, 40});
        step_problem<T> parts(random, 14, 50, 8, {9, 40});

        const auto report =
            m_step(be, p.in(be), {.temperature = 0.25, .negatives = mode, .num_negatives = 11, .seed = 3, .step = 9},
                   p.out(be));
        const auto instance =
            info_nce(be, {.query = p.query.view(), .positive = p.positive.view(), .negatives = p.queue.view()},
                     {.temperature = 0.25},
                     {.loss = view_vector(parts.loss),
                      .accuracy = view_vector(parts.accuracy),
                      .grad_query = parts.grad_query.view(),
                      .grad_positive = parts.grad_positive.view(),
                      .grad_negatives = parts.grad_negatives.view(),
                      .grad_temperature = view_vector(parts.grad_temperature)});
        CHECK(parts.loss[0] == p.loss_instance[0]);
        const auto prototypes =
            proto_nce(be, {.query = p.query.view(), .sample = view_vector(p.sample), .levels = p.levels},
                      {.negatives = mode, .num_negatives = 11, .seed = 3, .step = 9},
                      {.loss = view_vector(parts.loss),
                       .loss_per_level = view_vector(parts.per_level),
                       .accuracy_per_level = view_vector(parts.accuracy_per_level),
                       .grad_query = parts.grad_query.view(),
                       .grad_prototypes = parts.prototype_views,
                       .grad_temperatures = parts.temperature_views,
                       .accumulate = true});

        CHECK(report.instance.num_negatives == instance.num_negatives);
        CHECK(report.prototypes.num_negatives == prototypes.num_negatives);
        CHECK(report.prototypes.clamped == prototypes.clamped);
        CHECK(p.loss == parts.loss);
        CHECK(p.per_level == parts.per_level);
        CHECK(p.accuracy == parts.accuracy);
        CHECK(p.accuracy_per_level == parts.accuracy_per_level);
        CHECK(p.grad_temperature == parts.grad_temperature);
        CHECK(test::distance(p.grad_query, parts.grad_query) == 0);
        CHECK(test::distance(p.grad_positive, parts.grad_positive) == 0);
        CHECK(test::distance(p.grad_negatives, parts.grad_negatives) == 0);
        for (std::size_t m = 0; m < 2; ++m) {
            // The memory of the parts was 0, so that adding there is overwriting.
            CHECK(test::distance(p.grad_prototypes[m], parts.grad_prototypes[m]) == 0);
            CHECK(p.grad_temperatures[m] == parts.grad_temperatures[m]);
        }
    }
}

TEST_CASE_TEMPLATE("m_step: what outputs held before the call does not matter", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 82);
    B be;
    step_problem<T> p(random, 6, 10, 4, {5, 7});
    m_step(be, p.in(be), {.num_negatives = 2}, p.out(be));
    const auto clean = p.grad_query;
    const auto clean_prototypes = p.grad_prototypes;
    const auto clean_temperatures = p.grad_temperatures;
    const auto clean_loss = p.loss;
    const T junk = std::numeric_limits<T>::quiet_NaN();
    p.loss[0] = p.loss_instance[0] = p.loss_prototypes[0] = junk;
    for (index_t i = 0; i < 6; ++i) {
        for (index_t j = 0; j < 4; ++j) {
            p.grad_query(i, j) = junk;
        }
    }
    for (std::size_t m = 0; m < 2; ++m) {
        for (index_t k = 0; k < p.grad_prototypes[m].rows(); ++k) {
            p.grad_prototypes[m](k, 1) = junk;
            p.grad_temperatures[m][std::size_t(k)] = junk;
        }
    }

    m_step(be, p.in(be), {.num_negatives = 2}, p.out(be));

    CHECK(p.loss == clean_loss);
    CHECK(test::distance(p.grad_query, clean) == 0);
    for (std::size_t m = 0; m < 2; ++m) {
        CHECK(test::distance(p.grad_prototypes[m], clean_prototypes[m]) == 0);
        CHECK(p.grad_temperatures[m] == clean_temperatures[m]);
    }
}

TEST_CASE_TEMPLATE("m_step: without levels it is InfoNCE alone", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 83);
    B be;
    step_problem<T> p(random, 7, 20, 5, {});
    std::vector<T> info_loss(1);
    test::matrix<T> grad_info(7, 5);
    p.loss_prototypes[0] = 9;
    auto in = p.in(be);
    in.sample = {};

    m_step(be, in, {}, p.out(be));
    info_nce(be, {.query = p.query.view(), .positive = p.positive.view(), .negatives = p.queue.view()}, {},
             {.loss = view_vector(info_loss), .grad_query = grad_info.view()});

    CHECK(p.loss == info_loss);
    CHECK(p.loss_instance == info_loss);
    CHECK(p.loss_prototypes[0] == 0);
    CHECK(test::distance(p.grad_query, grad_info) == 0);
}

TEST_CASE_TEMPLATE("m_step: each number is the same when it alone is asked for", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 89);
    B be;
    step_problem<T> p(random, 7, 20, 5, {6, 11, 4});
    m_step(be, p.in(be), {.num_negatives = 3}, p.out(be));
    const auto alone = [&](vector_view<T> m_step_outputs<B>::*member, std::size_t size) {
        std::vector<T> value(size);
        m_step_outputs<B> out;
        out.*member = view_vector(value);
        m_step(be, p.in(be), {.num_negatives = 3}, out);
        return value;
    };

    CHECK(alone(&m_step_outputs<B>::loss, 1) == p.loss);
    CHECK(alone(&m_step_outputs<B>::loss_instance, 1) == p.loss_instance);
    CHECK(alone(&m_step_outputs<B>::loss_prototypes, 1) == p.loss_prototypes);
    CHECK(alone(&m_step_outputs<B>::loss_per_level, 3) == p.per_level);
    CHECK(alone(&m_step_outputs<B>::accuracy_instance, 1) == p.accuracy);
    CHECK(alone(&m_step_outputs<B>::accuracy_per_level, 3) == p.accuracy_per_level);
}

TEST_CASE_TEMPLATE("m_step: the total is the weighted sum of its parts, and a weight of 0 leaves a part out", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 84);
    B be;
    step_problem<T> p(random, 9, 20, 5, {6, 11});
    step_problem<T> only(random, 9, 20, 5, {6, 11});

    m_step(be, p.in(be), {.instance_weight = 0.5, .prototype_weight = 2}, p.out(be));
    CHECK(double(p.loss[0]) ==
          doctest::Approx(0.5 * double(p.loss_instance[0]) + 2 * double(p.loss_prototypes[0])).epsilon(1e-6));

    m_step(be, p.in(be), {.prototype_weight = 0}, p.out(be));
    info_nce(be, {.query = p.query.view(), .positive = p.positive.view(), .negatives = p.queue.view()}, {},
             {.loss = view_vector(only.loss), .grad_query = only.grad_query.view()});
    CHECK(p.loss == only.loss);
    CHECK(test::distance(p.grad_query, only.grad_query) == 0);
}

TEST_CASE_TEMPLATE("m_step: accumulate adds the total and the gradients; the parts are overwritten", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 85);
    B be;
    step_problem<T> p(random, 6, 9, 4, {5, 7});
    m_step(be, p.in(be), {.num_negatives = 2}, p.out(be));
    const auto once = p.grad_query;
    const auto prototypes_once = p.grad_prototypes;
    const auto loss = p.loss, loss_instance = p.loss_instance, loss_prototypes = p.loss_prototypes,
               per_level = p.per_level;
    auto out = p.out(be);
    out.accumulate = true;

    m_step(be, p.in(be), {.num_negatives = 2}, out);

    const double rounding = 16 * double(std::numeric_limits<T>::epsilon());
    CHECK(double(p.loss[0]) == doctest::Approx(2 * double(loss[0])).epsilon(1e-6));
    CHECK(p.loss_instance == loss_instance);
    CHECK(p.loss_prototypes == loss_prototypes);
    CHECK(p.per_level == per_level);
    CHECK(test::distance(p.grad_query, test::scaled(once, T(2))) <= rounding);
    for (std::size_t m = 0; m < 2; ++m) {
        CHECK(test::distance(p.grad_prototypes[m], test::scaled(prototypes_once[m], T(2))) <= rounding);
    }
}

TEST_CASE_TEMPLATE("m_step: queue negatives of the query's own cluster are left out", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 86);
    B be;
    step_problem<T> p(random, 6, 25, 4, {5});
    const auto query_cluster = random.labels(6, 3);
    const auto negative_cluster = random.labels(25, 3);
    std::vector<T> masked(1);
    auto in = p.in(be);
    in.query_cluster = view_vector(query_cluster);
    in.negative_cluster = view_vector(negative_cluster);

    m_step(be, in, {}, p.out(be));
    info_nce(be,
             {.query = p.query.view(),
              .positive = p.positive.view(),
              .negatives = p.queue.view(),
              .query_cluster = view_vector(query_cluster),
              .negative_cluster = view_vector(negative_cluster)},
             {}, {.loss = view_vector(masked)});

    CHECK(p.loss_instance == masked);
}

TEST_CASE_TEMPLATE("m_step: what does not go together is refused by name, outputs untouched", B, TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 87);
    B be;
    step_problem<T> p(random, 6, 9, 4, {5, 7});
    p.loss[0] = 7;
    const auto refused = [&]<class E>(E*, auto change) {
        const auto message = test::message_of<E>([&] {
            auto in = p.in(be);
            m_step_options options;
            auto out = p.out(be);
            change(in, options, out);
            m_step(be, in, options, out);
        });
        CHECK(p.loss[0] == 7);
        CHECK(test::distance(p.grad_query, test::matrix<T>(6, 4)) == 0);
        return message;
    };
    constexpr shape_error* shape = nullptr;
    constexpr argument_error* value = nullptr;

    CHECK(refused(shape, [](auto& in, auto&, auto&) { in.positive = {}; }) ==
          "m_step: positive: must be given and hold at least one row and one column; got (0, 0)");
    CHECK(refused(shape, [](auto& in, auto&, auto&) { in.sample = {}; }) ==
          "m_step: sample: must hold 6 values; got 0");
    CHECK(refused(value, [](auto&, auto& options, auto&) { options.instance_weight = -1; }) ==
          "m_step: instance_weight: must be at least 0; got -1");
    CHECK(refused(value, [](auto&, auto& options, auto&) {
              options.prototype_weight = std::numeric_limits<double>::quiet_NaN();
          }) == "m_step: prototype_weight: must be finite; got nan");
    CHECK(refused(shape, [](auto&, auto&, auto& out) { out.loss_instance = out.loss_per_level; }) ==
          "m_step: loss_instance: must hold 1 values; got 2");
    CHECK(refused(shape, [](auto& in, auto&, auto& out) {
              in.levels = {};
              out.loss_per_level = {};
              out.accuracy_per_level = {};
              out.grad_temperatures = {};
          }) == "m_step: grad_prototypes: must hold one element for each level, 0; got 2");
    p.prototypes[1](2, 3) = std::numeric_limits<T>::quiet_NaN();
    CHECK(refused(value, [](auto&, auto&, auto&) {}) ==
          "m_step: levels[1].prototypes: must be finite everywhere; got NaN or infinity in row 2");
}

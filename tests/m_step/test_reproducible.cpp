// SPDX-License-Identifier: MIT
#include "m_step/losses.hpp"
#include "support/counting_resource.hpp"

#include <protonce/m_step/m_step.hpp>
#include <protonce/m_step/nt_xent.hpp>
#include <protonce/m_step/symmetric_info_nce.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

using namespace protonce;
using test::index_t;

namespace {

/// Inputs large enough for several blocks of rows and slices of columns, and every output of every loss.
template <class T>
struct everything {
    static constexpr index_t rows = 300, cols = 24, count = 2500;

    test::random_source random{101};
    test::proto_problem<T> p{random, rows, 400, cols, {50, 3000}};
    test::matrix<T> positive = random.unit_rows<T>(rows, cols), queue = random.unit_rows<T>(count, cols);
    std::vector<test::label_t> query_cluster = random.labels(rows, 30), negative_cluster = random.labels(count, 30);
    const std::vector<T> temperature{T(0.2)}, scale{T(5)};

    /// Runs all losses; every value they deliver, one after the other.
    template <class B>
    std::vector<T> run(B& be) const {
        std::vector<T> scalars(16), per_row(std::size_t(2 * rows)), per_level(4);
        test::matrix<T> a(rows, cols), b(rows, cols), c(count, cols);
        std::vector<test::matrix<T>> grad_prototypes{{50, cols}, {3000, cols}};
        std::vector<std::vector<T>> grad_temperatures{std::vector<T>(50), std::vector<T>(3000)};
        const auto prototype_views = test::views_of(grad_prototypes);
        const auto temperature_views = test::views_of(grad_temperatures);
        const auto scalar = [&](index_t i) { return view_vector(scalars).slice(i, 1); };
        std::vector<T> out;
        const auto keep = [&](const auto& values) { out.insert(out.end(), values.begin(), values.end()); };

        m_step(be,
               {.query = p.query.view(),
                .positive = positive.view(),
                .negatives = queue.view(),
                .query_cluster = view_vector(query_cluster),
                .negative_cluster = view_vector(negative_cluster),
                .temperature = view_vector(temperature),
                .sample = view_vector(p.sample),
                .levels = p.levels},
               {.negatives = negatives::reference_compatible, .num_negatives = 700, .seed = 1, .step = 2},
               {.loss = scalar(0),
                .loss_instance = scalar(1),
                .loss_prototypes = scalar(2),
                .loss_per_level = view_vector(per_level).slice(0, 2),
                .accuracy_instance = scalar(3),
                .accuracy_per_level = view_vector(per_level).slice(2, 2),
                .grad_query = a.view(),
                .grad_positive = b.view(),
                .grad_negatives = c.view(),
                .grad_temperature = scalar(4),
                .grad_prototypes = prototype_views,
                .grad_temperatures = temperature_views});
        keep(per_level);
        for (const auto* matrix : {&a, &b, &c, &grad_prototypes[0], &grad_prototypes[1]}) {
            keep(matrix->storage());
        }
        keep(grad_temperatures[0]);
        keep(grad_temperatures[1]);

        info_nce(be, {.query = p.query.view(), .positive = positive.view()}, {.pool = key_pool::batch},
                 {.loss = scalar(5),
                  .loss_per_row = view_vector(per_row).slice(0, rows),
                  .accuracy = scalar(6),
                  .grad_query = a.view(),
                  .grad_positive = b.view(),
                  .grad_temperature = scalar(7)});
        keep(per_row);
        keep(a.storage());
        keep(b.storage());

        nt_xent(be, {.first = p.query.view(), .second = positive.view()}, {},
                {.loss = scalar(8),
                 .loss_per_row = view_vector(per_row),
                 .accuracy = scalar(9),
                 .grad_first = a.view(),
                 .grad_second = b.view(),
                 .grad_temperature = scalar(10)});
        keep(per_row);
        keep(a.storage());
        keep(b.storage());

        symmetric_info_nce(be, {.first = p.query.view(), .second = positive.view(), .scale = view_vector(scale)}, {},
                           {.loss = scalar(11),
                            .loss_per_row = view_vector(per_row).slice(0, rows),
                            .accuracy_first = scalar(12),
                            .accuracy_second = scalar(13),
                            .grad_first = a.view(),
                            .grad_second = b.view(),
                            .grad_scale = scalar(14)});
        keep(per_row);
        keep(a.storage());
        keep(b.storage());
        keep(scalars);
        return out;
    }
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && !a.empty() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

} // namespace

TEST_CASE_TEMPLATE("losses: the same bits for 1, 2, 3 and 7 threads", B, TEST_THREADED_BACKENDS) {
    const everything<value_of<B>> inputs;
    B one(cpu_options{.threads = 1});
    const auto expected = inputs.run(one);

    for (const int threads : {2, 3, 7}) {
        CAPTURE(threads);
        B many(cpu_options{.threads = threads});
        CHECK(same_bits(inputs.run(many), expected));
    }
}

TEST_CASE_TEMPLATE("losses: the second identical call gives the same bits and takes no memory", B, TEST_BACKENDS) {
    const everything<value_of<B>> inputs;
    test::counting_resource memory;
    B be = test::backend_on<B>(&memory);
    const auto first = inputs.run(be);
    const auto allocations = memory.allocations();
    REQUIRE(allocations > 0);

    const auto second = inputs.run(be);

    CHECK(memory.allocations() == allocations);
    CHECK(same_bits(second, first));
}

TEST_CASE_TEMPLATE("losses: memory grows with the batch and the columns, not with their product", B,
                   TEST_THREADED_BACKENDS) {
    // 512 queries against 65536 negatives: the logits alone would be 33 million values.
    using T = value_of<B>;
    TEST_RANDOM(random, 102);
    const index_t rows = 512, count = 65536, cols = 16;
    const auto query = random.unit_rows<T>(rows, cols);
    const auto positive = random.unit_rows<T>(rows, cols);
    const auto queue = random.unit_rows<T>(count, cols);
    test::matrix<T> grad_query(rows, cols);
    std::vector<T> loss(1);
    test::counting_resource memory;
    B be(cpu_options{.threads = 2, .memory = &memory});

    info_nce(be, {.query = query.view(), .positive = positive.view(), .negatives = queue.view()}, {},
             {.loss = view_vector(loss), .grad_query = grad_query.view()});

    CHECK(memory.peak_bytes() < rows * count * index_t(sizeof(T)) / 16);
}

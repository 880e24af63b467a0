// SPDX-License-Identifier: MIT
#include <support/conformance.hpp>
#include <support/counting_resource.hpp>
#include <support/every_operation.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <functional>
#include <vector>

using namespace protonce;
using test::placed;

TEST_CASE_TEMPLATE("conformance: results are bitwise the same for 1, 2, 3 and 7 threads", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 501);
    const test::workload<T> in(random);

    for (auto how : test::variants<B>()) {
        how.threads = 1;
        B alone = test::make<B>(how);
        const auto expected = test::run_every_operation(alone, in);
#ifdef PROTONCE_TEST_EMULATED_CUDA // has one thread, and takes long
        for (const int threads : {2}) {
#else
        for (const int threads : {2, 3, 7}) {
#endif
            how.threads = threads;
            B be = test::make<B>(how);

            INFO(how.name, " threads ", threads);
            CHECK(test::run_every_operation(be, in) == expected);
        }
    }
}

TEST_CASE_TEMPLATE("conformance: results do not depend on what a backend did before", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 502);
    const test::workload<T> first(random);
    const test::workload<T> second(random);
    B fresh = test::make<B>({});
    B used = test::make<B>({});

    const auto expected = test::run_every_operation(fresh, second);
    const auto other = test::run_every_operation(used, first);
    const auto actual = test::run_every_operation(used, second);

    CHECK(actual == expected);
    CHECK_FALSE(other == expected);
}

TEST_CASE_TEMPLATE("conformance: the second identical call allocates nothing", B, CONFORMING_BACKENDS,
                   protonce::reference_backend<float>) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 503);
    const test::workload<T> in(random);
    test::counting_resource memory(test::make<B>({}).memory());
    test::variant how;
    how.threads = 2;
    how.instructions = test::variants<B>().back().instructions;
    B be = test::make<B>(how, &memory);

    test::run_every_operation(be, in);
    const index_t scratch = be.scratch().bytes();
    const index_t host_scratch = be.host_scratch().bytes();
    const auto held = memory.bytes_in_use();
    test::run_every_operation(be, in);
    test::run_every_operation(be, in);

    // Blocks of scratch are never given back, so a further one would be seen. The arguments' memory, from the same
    // resource, is back.
    CHECK(scratch > 0);
    CHECK(held >= scratch);
    CHECK(be.scratch().bytes() == scratch);
    CHECK(be.host_scratch().bytes() == host_scratch);
    CHECK(memory.bytes_in_use() == held);
}

TEST_CASE_TEMPLATE("conformance: with arguments in place the resource is not asked again", B, CONFORMING_BACKENDS,
                   protonce::reference_backend<float>) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 504);
    const test::workload<T> in(random);
    test::counting_resource memory(test::make<B>({}).memory());
    B be = test::make<B>({.threads = 2}, &memory);
    placed<B, T> x(be, in.x), centroids(be, in.centroids), weight(be, in.weight),
        temperature(be, std::vector<T>{T(0.2)});
    placed<B, label_t> assignment(be, in.assignment);
    placed<B, double> values(be, in.values), uniform(be, in.uniform);
    auto sum = placed<B, double>::unwritten(be, in.clusters, in.cols);
    auto count = placed<B, double>::unwritten(be, in.clusters);
    auto drawn = placed<B, index_t>::unwritten(be, 20);
    auto label = placed<B, label_t>::unwritten(be, in.rows);
    auto distance = placed<B, double>::unwritten(be, in.rows);
    auto potential = placed<B, double>::unwritten(be, in.clusters);
    auto top = placed<B, label_t>::unwritten(be, in.clusters, 20);
    auto similarity = placed<B, T>::unwritten(be, in.clusters, 20);
    auto id = placed<B, index_t>::unwritten(be, in.clusters);
    auto one = placed<B, index_t>::unwritten(be, 2);
    auto loss = placed<B, T>::unwritten(be, in.clusters);
    auto grad_query = placed<B, T>::unwritten(be, in.clusters, in.cols);
    auto grad_columns = placed<B, T>::unwritten(be, in.rows, in.cols);
    const contrast<T, typename B::space> problem{.query = centroids.rows(),
                                                 .columns = x.rows(),
                                                 .positive = centroids.rows(),
                                                 .temperature = temperature.vector(),
                                                 .loss = loss.vector(),
                                                 .grad_query = grad_query.rows(),
                                                 .grad_columns = grad_columns.rows()};
    const column_request<T, typename B::space> request{
        .own = assignment.vector().slice(0, 9),
        .num_columns = in.clusters,
        .num_negatives = 10,
        .out = {id.vector(), {}, one.vector().slice(0, 1), one.vector().slice(1, 1)}};
    const std::vector<std::function<void()>> operations{
        [&] { be.first_nonfinite_row(x.rows()); },
        [&] { be.segment_sum(x.rows(), weight.vector(), assignment.vector(), sum.rows(), count.vector()); },
        [&] { be.draw_weighted(values.vector(), {}, uniform.vector(), drawn.vector()); },
        [&] {
            auto index = be.index_rows(x.rows(), true);
            be.nearest_row(index, centroids.rows(), label.vector(), distance.vector());
            be.candidate_potential(index, centroids.rows(), {}, values.vector(), potential.vector());
        },
        [&] { be.top_rows(centroids.rows(), x.rows(), top.rows(), similarity.rows()); },
        [&] {
            be.draw_columns({&request, 1});
        },
        [&] {
            be.softmax_contrast({&problem, 1});
        },
    };

    for (std::size_t i = 0; i < operations.size(); ++i) {
        operations[i]();
        const index_t once = memory.allocations();
        operations[i]();

        CAPTURE(i);
        CHECK(memory.allocations() == once);
    }
}

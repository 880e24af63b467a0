// SPDX-License-Identifier: MIT
#include <support/conformance.hpp>
#include <support/contrast_run.hpp>
#include <support/counting_resource.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <functional>
#include <vector>

using namespace protonce;
using test::placed;

namespace {

// Inputs of every operation, large enough for several tasks and slices.
template <class T>
struct workload {
    index_t rows = 1100;
    index_t cols = 19;
    index_t clusters = 37;
    test::matrix<T> x, centroids;
    std::vector<T> weight;
    std::vector<label_t> assignment;
    std::vector<double> values, uniform;
    std::vector<test::contrast_problem<T>> problems;

    explicit workload(test::random_source& random)
        : x(random.uniform_matrix<T>(rows, cols, 1, 3, 2)), centroids(random.uniform_matrix<T>(clusters, cols, 1, 3)),
          weight(random.uniform_values<T>(rows)), assignment(random.labels(rows, static_cast<label_t>(clusters))),
          values(random.uniform_values<double>(rows)), uniform(random.uniform_values<double>(20)) {
        problems.push_back(test::random_problem<T>(random, {.rows = 300, .pool = 2500, .cols = 7, .outside = true}));
        problems.push_back(test::random_problem<T>(random, {.rows = 40,
                                                            .pool = 3000,
                                                            .cols = 9,
                                                            .selected = true,
                                                            .groups = true,
                                                            .column_temperatures = true,
                                                            .weights = true,
                                                            .scales = true,
                                                            .noise = true}));
    }
};

// The bits of every result of every operation, one after the other.
class results {
public:
    template <class U>
    void add(const std::vector<U>& values) {
        const std::size_t old = bytes_.size();
        bytes_.resize(old + values.size() * sizeof(U));
        if (!values.empty()) {
            std::memcpy(bytes_.data() + old, values.data(), values.size() * sizeof(U));
        }
    }
    bool operator==(const results&) const = default;

private:
    std::vector<unsigned char> bytes_;
};

template <class B>
results run_all(B& be, const workload<typename B::value_type>& in) {
    using T = typename B::value_type;
    results out;
    placed<B, T> x(be, in.x), centroids(be, in.centroids), weight(be, in.weight), y(be, in.weight);
    placed<B, label_t> assignment(be, in.assignment);
    placed<B, double> values(be, in.values), uniform(be, in.uniform), relaxed(be, in.values);
    const auto add = [&](auto&& memory) { out.add(memory.values()); };

    auto unit = placed<B, T>::unwritten(be, in.rows, in.cols);
    auto gradient = placed<B, T>::unwritten(be, in.rows, in.cols);
    auto norms = placed<B, T>::unwritten(be, in.rows);
    be.normalize_rows(x.rows(), unit.rows(), norms.vector());
    be.normalize_rows_gradient(unit.rows(), norms.vector(), x.rows(), gradient.rows());
    be.axpby(0.9, weight.vector(), 0.1, y.vector());
    add(unit);
    add(gradient);
    add(norms);
    add(y);

    auto sum = placed<B, double>::unwritten(be, in.clusters, in.cols);
    auto count = placed<B, double>::unwritten(be, in.clusters);
    auto scalars = placed<B, double>::unwritten(be, in.clusters);
    auto mean = placed<B, T>::unwritten(be, in.clusters, in.cols);
    auto total = placed<B, double>::unwritten(be, 1);
    auto drawn = placed<B, index_t>::unwritten(be, 20);
    be.segment_sum(x.rows(), weight.vector(), assignment.vector(), sum.rows(), count.vector());
    be.mean_rows(sum.rows(), count.vector(), mean.rows());
    be.segment_scalar_sum(values.vector(), scalar_map::square_root, {}, assignment.vector(), scalars.vector(),
                          count.vector());
    be.total(values.vector(), total.vector());
    be.draw_weighted(values.vector(), weight.vector(), uniform.vector(), drawn.vector());
    add(sum);
    add(count);
    add(scalars);
    add(mean);
    add(total);
    add(drawn);
    out.add(std::vector<index_t>{be.farthest_in_segment(values.vector(), weight.vector(), assignment.vector(), 3),
                                 be.first_nonfinite_row(x.rows())});

    auto label = placed<B, label_t>::unwritten(be, in.rows);
    auto distance = placed<B, double>::unwritten(be, in.rows);
    auto potential = placed<B, double>::unwritten(be, in.clusters);
    {
        auto index = be.index_rows(x.rows(), true);
        be.nearest_row(index, centroids.rows(), label.vector(), distance.vector());
        be.candidate_potential(index, centroids.rows(), weight.vector(), values.vector(), potential.vector());
        be.relax_nearest(index, centroids.rows().slice(2, 1), relaxed.vector());
    }
    auto top = placed<B, label_t>::unwritten(be, in.clusters, 20);
    auto similarity = placed<B, T>::unwritten(be, in.clusters, 20);
    be.top_rows(centroids.rows(), x.rows(), top.rows(), similarity.rows());
    add(label);
    add(distance);
    add(potential);
    add(relaxed);
    add(top);
    add(similarity);

    auto id = placed<B, index_t>::unwritten(be, in.clusters);
    auto log_count = placed<B, T>::unwritten(be, in.clusters);
    auto column_count = placed<B, index_t>::unwritten(be, 1);
    auto batch_count = placed<B, index_t>::unwritten(be, 1);
    be.draw_columns(assignment.vector().slice(0, 9), in.clusters, 10, {.seed = 4},
                    {id.vector(), log_count.vector(), column_count.vector(), batch_count.vector()});
    add(id);
    add(log_count);
    add(column_count);
    add(batch_count);

    for (const auto& problem : in.problems) {
        const auto r = test::run_contrast(be, problem);
        for (const auto* part :
             {&r.loss, &r.log_sum, &r.top1, &r.grad_query, &r.grad_positive, &r.grad_columns, &r.grad_temperature}) {
            out.add(*part);
        }
    }
    return out;
}

} // namespace

TEST_CASE_TEMPLATE("conformance: results are bitwise the same for 1, 2, 3 and 7 threads", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 501);
    const workload<T> in(random);

    for (auto how : test::variants<B>()) {
        how.threads = 1;
        B alone = test::make<B>(how);
        const auto expected = run_all(alone, in);
        for (const int threads : {2, 3, 7}) {
            how.threads = threads;
            B be = test::make<B>(how);

            INFO(how.name, " threads ", threads);
            CHECK(run_all(be, in) == expected);
        }
    }
}

TEST_CASE_TEMPLATE("conformance: results do not depend on what a backend did before", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 502);
    const workload<T> first(random);
    const workload<T> second(random);
    B fresh = test::make<B>({});
    B used = test::make<B>({});

    const auto expected = run_all(fresh, second);
    const auto other = run_all(used, first);
    const auto actual = run_all(used, second);

    CHECK(actual == expected);
    CHECK_FALSE(other == expected);
}

TEST_CASE_TEMPLATE("conformance: the second identical call allocates nothing", B, CONFORMING_BACKENDS,
                   protonce::reference_backend<float>) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 503);
    const workload<T> in(random);
    test::counting_resource memory;
    test::variant how;
    how.threads = 2;
    how.instructions = test::variants<B>().back().instructions;
    B be = test::make<B>(how, &memory);

    run_all(be, in);
    const index_t scratch = be.scratch().bytes();
    const index_t host_scratch = be.host_scratch().bytes();
    const auto held = memory.bytes_in_use();
    run_all(be, in);
    run_all(be, in);

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
    const workload<T> in(random);
    test::counting_resource memory;
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
            be.draw_columns(assignment.vector().slice(0, 9), in.clusters, 10, {.seed = 4},
                            {id.vector(), {}, one.vector().slice(0, 1), one.vector().slice(1, 1)});
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

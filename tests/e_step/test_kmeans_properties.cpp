// SPDX-License-Identifier: MIT
#include "e_step/snapshot.hpp"
#include "support/backends.hpp"
#include "support/random.hpp"

#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

using namespace protonce;

namespace kmeans_properties {
namespace {

constexpr index_t num_rows = 330;
constexpr index_t num_cols = 6;
constexpr index_t num_clusters = 11;

/// Clusters that lie apart, so that no label hangs on a rounding, and first centroids away from the best ones.
template <class B>
struct problem {
    explicit problem(test::random_source& random) {
        auto drawn = random.template clustered<value_of<B>>(num_rows, num_cols, num_clusters, 0.3);
        x = std::move(drawn.features);
        init = test::matrix<value_of<B>>(num_clusters, num_cols);
        for (index_t k = 0; k < num_clusters; ++k) {
            for (index_t j = 0; j < num_cols; ++j) {
                init(k, j) = value_of<B>(double(drawn.centres(k, j)) + 0.4 * random.normal());
            }
        }
    }
    test::matrix<value_of<B>> x, init;
};

template <class B>
kmeans_report run(B& be, const test::matrix<value_of<B>>& x, const test::matrix<value_of<B>>& init,
                  clustering<B>& level, int iterations = 30) {
    return kmeans(be, {.features = x.view(), .initial_centroids = init.view()},
                  {.iterations = iterations, .init = kmeans_init::given}, level);
}

template <class B>
void check_centroids(const clustering<B>& expected, const clustering<B>& actual, double tolerance) {
    const auto a = test::values_of(expected.centroids());
    const auto b = test::values_of(actual.centroids());
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        CHECK(std::abs(double(a[i]) - double(b[i])) <= tolerance);
    }
}

} // namespace

TEST_CASE_TEMPLATE("kmeans: a permutation of the rows permutes the assignment", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 41);
    const problem<B> data(random);
    const auto order = random.permutation(num_rows);
    const auto shuffled = test::rows_of(data.x, order);
    clustering<B> a(be, num_rows, num_cols, num_clusters);
    clustering<B> b(be, num_rows, num_cols, num_clusters);

    const auto plain = run(be, data.x, data.init, a);
    const auto permuted = run(be, shuffled, data.init, b);

    // The same values, summed in another order: centroids round to neighbours at most.
    const test::agreement<value> bound(test::largest_magnitude(data.x), 0, num_rows, num_cols, plain.inertia);
    CHECK(std::abs(permuted.inertia - plain.inertia) <= bound.inertia);
    CHECK(permuted.iterations == plain.iterations);
    check_centroids(a, b, bound.coordinate);
    for (index_t i = 0; i < num_rows; ++i) {
        CHECK(b.assignment()[i] == a.assignment()[order[static_cast<std::size_t>(i)]]);
    }
}

TEST_CASE_TEMPLATE("kmeans: a permutation of the first centroids permutes the clusters", B, TEST_BACKENDS) {
    B be;
    TEST_RANDOM(random, 42);
    const problem<B> data(random);
    const auto order = random.permutation(num_clusters);
    const auto shuffled = test::rows_of(data.init, order);
    clustering<B> a(be, num_rows, num_cols, num_clusters);
    clustering<B> b(be, num_rows, num_cols, num_clusters);

    const auto plain = run(be, data.x, data.init, a);
    const auto permuted = run(be, data.x, shuffled, b);

    // The inertia is summed cluster by cluster: only that order differs, N additions of positive doubles.
    CHECK(std::abs(permuted.inertia / plain.inertia - 1) <= double(num_rows) * std::numeric_limits<double>::epsilon());
    for (index_t i = 0; i < num_rows; ++i) {
        CHECK(order[static_cast<std::size_t>(b.assignment()[i])] == a.assignment()[i]);
        CHECK(b.squared_distance()[i] == a.squared_distance()[i]);
    }
}

TEST_CASE_TEMPLATE("kmeans: a whole weight is as many copies of the row", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 43);
    const problem<B> data(random);
    std::vector<value> weight;
    std::vector<index_t> copies;
    for (index_t i = 0; i < num_rows; ++i) {
        const index_t times = random.integer(4);
        weight.push_back(static_cast<value>(times));
        copies.insert(copies.end(), static_cast<std::size_t>(times), i);
    }
    const auto duplicated = test::rows_of(data.x, copies);
    clustering<B> a(be, num_rows, num_cols, num_clusters);
    clustering<B> b(be, duplicated.rows(), num_cols, num_clusters);
    for (const auto init : {kmeans_init::given, kmeans_init::plus_plus}) {
        const auto given = init == kmeans_init::given ? data.init.view() : matrix_view<const value>{};
        const kmeans_options options{.iterations = 30, .tolerance = 1e-3, .seed = 4, .init = init};

        const auto weighted = kmeans(
            be, {.features = data.x.view(), .weight = view_vector(weight), .initial_centroids = given}, options, a);
        const auto copied = kmeans(be, {.features = duplicated.view(), .initial_centroids = given}, options, b);

        const test::agreement<value> bound(test::largest_magnitude(data.x), 0, duplicated.rows(), num_cols,
                                           weighted.inertia);
        CHECK(std::abs(copied.inertia - weighted.inertia) <= bound.inertia);
        CHECK(copied.iterations == weighted.iterations);
        check_centroids(a, b, bound.coordinate);
        for (std::size_t i = 0; i < copies.size(); ++i) {
            CHECK(b.assignment()[static_cast<index_t>(i)] == a.assignment()[copies[i]]);
        }
    }
}

TEST_CASE_TEMPLATE("kmeans: a scale that is a power of two changes no bit but the exponents", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 44);
    const problem<B> data(random);
    clustering<B> a(be, num_rows, num_cols, num_clusters);
    clustering<B> b(be, num_rows, num_cols, num_clusters);
    const auto plain = kmeans(be, data.x.view(), {.seed = 2}, a);
    for (const int exponent : {-30, -3, 5, 40}) {
        CAPTURE(exponent);
        const double factor = std::ldexp(1.0, exponent);
        auto scaled = data.x;
        for (index_t i = 0; i < num_rows; ++i) {
            for (index_t j = 0; j < num_cols; ++j) {
                scaled(i, j) = static_cast<value>(double(data.x(i, j)) * factor);
            }
        }

        const auto report = kmeans(be, scaled.view(), {.seed = 2}, b);

        CHECK(report.inertia == plain.inertia * factor * factor);
        CHECK(test::snapshot_of(a).assignment == test::snapshot_of(b).assignment);
        for (index_t k = 0; k < num_clusters; ++k) {
            for (index_t j = 0; j < num_cols; ++j) {
                CHECK(double(b.centroids()(k, j)) == double(a.centroids()(k, j)) * factor);
            }
        }
    }
}

TEST_CASE_TEMPLATE("kmeans: a rotation of all rows leaves assignment and inertia", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 45);
    const problem<B> data(random);
    // A product of Householder reflections, x -> x - 2 u (u.x), is orthogonal.
    const auto axes = random.template unit_rows<double>(3, num_cols);
    const auto rotated = [&](const test::matrix<value>& from) {
        auto out = from;
        for (index_t i = 0; i < from.rows(); ++i) {
            std::vector<double> row(from.view().row(i).begin(), from.view().row(i).end());
            for (index_t a = 0; a < 3; ++a) {
                double along = 0;
                for (index_t j = 0; j < num_cols; ++j) {
                    along += axes(a, j) * row[static_cast<std::size_t>(j)];
                }
                for (index_t j = 0; j < num_cols; ++j) {
                    row[static_cast<std::size_t>(j)] -= 2 * along * axes(a, j);
                }
            }
            for (index_t j = 0; j < num_cols; ++j) {
                out(i, j) = static_cast<value>(row[static_cast<std::size_t>(j)]);
            }
        }
        return out;
    };
    const auto x = rotated(data.x);
    const auto init = rotated(data.init);
    clustering<B> a(be, num_rows, num_cols, num_clusters);
    clustering<B> b(be, num_rows, num_cols, num_clusters);

    const auto plain = run(be, data.x, data.init, a);
    const auto turned = run(be, x, init, b);

    // Each reflection takes some 2 C operations in double; coordinates reach sqrt(C) X. Then one rounding to T.
    const double magnitude = std::sqrt(double(num_cols)) * test::largest_magnitude(data.x);
    const test::agreement<value> bound(magnitude, 1 + (sizeof(value) == 8 ? 6.0 * double(num_cols) : 0), num_rows,
                                       num_cols, plain.inertia);
    CHECK(std::abs(turned.inertia - plain.inertia) <= bound.inertia);
    CHECK(test::snapshot_of(a).assignment == test::snapshot_of(b).assignment);
}

TEST_CASE_TEMPLATE("kmeans: a translation of all rows leaves assignment and inertia", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 46);
    const problem<B> data(random);
    clustering<B> a(be, num_rows, num_cols, num_clusters);
    clustering<B> b(be, num_rows, num_cols, num_clusters);
    const auto plain = run(be, data.x, data.init, a);
    for (const double offset : {1.0, 100.0, 5000.0}) {
        CAPTURE(offset);
        auto x = data.x;
        auto init = data.init;
        for (index_t j = 0; j < num_cols; ++j) {
            const double shift = offset * (j % 2 == 0 ? 1.0 : -0.7);
            for (index_t i = 0; i < num_rows; ++i) {
                x(i, j) = static_cast<value>(double(x(i, j)) + shift);
            }
            for (index_t k = 0; k < num_clusters; ++k) {
                init(k, j) = static_cast<value>(double(init(k, j)) + shift);
            }
        }

        const auto shifted = run(be, x, init, b);

        // Rounding is that of the larger numbers; with centred data nothing more is lost.
        const test::agreement<value> bound(test::largest_magnitude(data.x) + offset, 1, num_rows, num_cols,
                                           plain.inertia);
        CHECK(std::abs(shifted.inertia - plain.inertia) <= bound.inertia);
        CHECK(test::snapshot_of(a).assignment == test::snapshot_of(b).assignment);
    }
}

TEST_CASE_TEMPLATE("kmeans: inertia never rises from one iteration to the next", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 47);
    const auto x = random.template normal_matrix<value>(400, 5); // without structure: many iterations
    const auto far = random.template normal_matrix<value>(14, 5);
    auto init = far;
    init(3, 0) = value(900); // a cluster that starts empty
    clustering<B> level(be, 400, 5, 14);
    // A label may miss the nearest centroid by the rounding of one comparison, (C + 4) eps ||x|| ||m|| or less; a new
    // centroid is off its mean by half an epsilon a coordinate, which costs less.
    double allowed = 0;
    for (index_t i = 0; i < 400; ++i) {
        for (const value v : x.view().row(i)) {
            allowed += 9 * std::numeric_limits<value>::epsilon() * double(v) * double(v);
        }
    }
    for (const auto on_empty : {empty_cluster::reseed, empty_cluster::keep}) {
        double before = std::numeric_limits<double>::max();
        bool has_converged = false;
        for (int t = 0; t < 60 && !has_converged; ++t) {
            CAPTURE(t);
            const auto report = kmeans(be, {.features = x.view(), .initial_centroids = init.view()},
                                       {.iterations = t, .init = kmeans_init::given, .on_empty = on_empty}, level);

            CHECK(report.inertia <= before + allowed);
            before = report.inertia;
            has_converged = report.converged;
        }
        CHECK(has_converged);
    }
}

TEST_CASE_TEMPLATE("kmeans: every sample is at its nearest centroid", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 48);
    for (const index_t rows : {1, 2, 31, 33, 257}) {
        for (const index_t cols : {1, 3, 16, 33}) {
            const index_t clusters = std::min<index_t>(rows, 15);
            CAPTURE(rows);
            CAPTURE(cols);
            const auto x = random.template normal_matrix<value>(rows, cols, 2);
            clustering<B> level(be, rows, cols, clusters);

            const auto report = kmeans(be, x.view(), {.iterations = 4, .seed = 9}, level);

            const auto centroids = std::as_const(level).centroids();
            double inertia = 0;
            for (index_t i = 0; i < rows; ++i) {
                double nearest = std::numeric_limits<double>::max();
                double size = 0; // ||x||^2 + max ||m||^2
                for (index_t k = 0; k < clusters; ++k) {
                    nearest = std::min(nearest, test::squared_distance(x.view(), i, centroids, k));
                    double norm = 0;
                    for (index_t j = 0; j < cols; ++j) {
                        norm += double(x(i, j)) * double(x(i, j)) + double(centroids(k, j)) * double(centroids(k, j));
                    }
                    size = std::max(size, norm);
                }
                const double own = test::squared_distance(x.view(), i, centroids, level.assignment()[i]);
                // A chain of C + 4 roundings in T of terms that sum to at most the sizes of both vectors; centring can
                // double them.
                CHECK(own <= nearest + 4 * double(cols + 4) * std::numeric_limits<value>::epsilon() * size);
                CHECK(std::abs(level.squared_distance()[i] - own) <=
                      double(cols + 4) * std::numeric_limits<double>::epsilon() * own);
                inertia += own;
            }
            CHECK(std::abs(report.inertia - inertia) <=
                  double(cols + rows + 4) * std::numeric_limits<double>::epsilon() * inertia);
        }
    }
}

TEST_CASE_TEMPLATE("kmeans: a warm start is never worse than what it starts from", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 49);
    auto x = random.template normal_matrix<value>(300, 4);
    clustering<B> level(be, 300, 4, 10);
    auto inertia = kmeans(be, x.view(), {.iterations = 3}, level).inertia;
    for (int epoch = 0; epoch < 5; ++epoch) {
        CAPTURE(epoch);
        for (index_t i = 0; i < 300; ++i) {
            for (index_t j = 0; j < 4; ++j) {
                x(i, j) = value(double(x(i, j)) + 0.05 * random.normal());
            }
        }
        const kmeans_inputs<B> in{.features = x.view(), .initial_centroids = level.centroids()};
        clustering<B> start(be, 300, 4, 10);
        const double before = kmeans(be, in, {.iterations = 0, .init = kmeans_init::given}, start).inertia;

        inertia = kmeans(be, in, {.iterations = 3, .init = kmeans_init::given}, level).inertia;

        CHECK(inertia <= before);
    }
}

TEST_CASE_TEMPLATE("kmeans: bitwise the same for 1, 2, 3 and 7 threads", B, TEST_THREADED_BACKENDS) {
    using value = value_of<B>;
    TEST_RANDOM(random, 50);
    const index_t rows = 2600;
    const auto x = random.template clustered<value>(rows, 19, 40, 0.5).features;
    const auto unit = random.template unit_rows<value>(rows, 19);
    const auto weight = random.template uniform_values<value>(rows, 0.5, 2.0);
    const auto all_of = [&](int threads) {
        B be(cpu_options{.threads = threads});
        clustering<B> level(be, rows, 19, 37);
        std::vector<test::snapshot<value>> out;
        std::vector<double> inertia;
        const auto keep = [&](const kmeans_report& report) {
            out.push_back(test::snapshot_of(level));
            inertia.push_back(report.inertia);
        };
        keep(kmeans(be, x.view(), {.iterations = 8, .restarts = 2}, level));
        keep(kmeans(be, {.features = x.view(), .weight = view_vector(weight)},
                    {.iterations = 8, .tolerance = 1e-4, .init = kmeans_init::random_rows}, level));
        keep(kmeans(be, unit.view(), {.iterations = 8, .spherical = true}, level));
        return std::pair(out, inertia);
    };

    const auto one = all_of(1);

    for (const int threads : {2, 3, 7}) {
        CAPTURE(threads);
        CHECK(all_of(threads) == one);
    }
}

} // namespace kmeans_properties

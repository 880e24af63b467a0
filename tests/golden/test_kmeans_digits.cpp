// SPDX-License-Identifier: MIT
#include "support/backends.hpp"
#include "support/golden.hpp"

#include <protonce/e_step/kmeans.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

using namespace protonce;

namespace {

/// The digits in the type of the backend. They are whole numbers up to 16, which float holds exactly.
template <class B>
struct digits {
    digits() : stored(golden::named("kmeans_real", "kmeans_digits_k10")["x_uint8"]), x(stored.as<value_of<B>>()) {}
    matrix_view<const value_of<B>> view() const { return {x.data(), stored.rows(), stored.cols()}; }

    golden::array stored;
    std::vector<value_of<B>> x;
};

} // namespace

TEST_CASE_TEMPLATE("golden kmeans_real: from the stored centroids to the fixed point of scikit-learn", B,
                   TEST_BACKENDS) {
    B be;
    const digits<B> data;
    for (const auto& c : golden::cases("kmeans_real")) {
        INFO(c.name());
        const auto init = c["init"].template as<value_of<B>>();
        clustering<B> level(be, data.view().rows(), data.view().cols(), c["init"].rows());

        const auto report = kmeans(
            be,
            {.features = data.view(), .initial_centroids = view_rows(init.data(), c["init"].rows(), c["init"].cols())},
            {.iterations = 300, .init = kmeans_init::given}, level);

        // The data are exact in float and labels agree, so that only the means are rounded: by half an epsilon, once.
        const double rtol = c.tolerance("rtol_f64");
        CHECK(std::abs(report.inertia / c.expected("inertia_from_init") - 1) <= rtol);
        CHECK(golden::difference(c["converged_centroids_from_init"], level.centroids()) <= rtol);
        CHECK(golden::difference(c["converged_labels_from_init"], level.assignment()) == 0.0);
        CHECK(report.iterations == static_cast<int>(c.expected("n_iter_from_init")));
        CHECK(report.converged);
    }
}

TEST_CASE_TEMPLATE("golden kmeans_real: best known inertia of digits, K = 10, within 0.2 % with 20 restarts", B,
                   TEST_BACKENDS) {
    B be;
    const digits<B> data;
    const auto c = golden::named("kmeans_real", "kmeans_digits_k10");
    clustering<B> level(be, data.view().rows(), data.view().cols(), 10);

    const auto report = kmeans(be, data.view(), {.iterations = 300, .restarts = 20}, level);

    const double best_known = c.expected("best_known_inertia");
    CHECK(report.inertia <= 1.002 * best_known);
    CHECK(report.inertia >= (1 - 1e-6) * best_known);
}

TEST_CASE_TEMPLATE("golden kmeans_real: single runs from either seeding are as good as scikit-learn's", B,
                   TEST_THREADED_BACKENDS) {
    B be(cpu_options{.threads = 1}); // many runs on little data: threads would mostly wait for each other
    const digits<B> data;
    constexpr int runs = 40;
    for (const auto& c : golden::cases("kmeans_real")) {
        INFO(c.name());
        clustering<B> level(be, data.view().rows(), data.view().cols(), c["init"].rows());
        const auto mean_inertia = [&](kmeans_init init) {
            double sum = 0;
            for (std::uint64_t seed = 0; seed < runs; ++seed) {
                sum += kmeans(be, data.view(), {.iterations = 300, .seed = seed, .init = init}, level).inertia;
            }
            return sum / runs;
        };
        // Two means of runs of one distribution, ours of 40 and theirs of `runs`, differ by less than four standard
        // errors; the standard deviation is taken as (p90 - p10) / 2.56, as for a normal distribution.
        const auto bound = [&](const std::string& key) {
            const double deviation = (c.expected(key + "/p90") - c.expected(key + "/p10")) / 2.56;
            return c.expected(key + "/mean") + 4 * deviation * std::sqrt(1.0 / runs + 1 / c.expected(key + "/runs"));
        };

        CHECK(mean_inertia(kmeans_init::plus_plus) <= bound("single_run_kmeanspp_inertia"));
        CHECK(mean_inertia(kmeans_init::random_rows) <= bound("single_run_random_inertia"));
    }
}

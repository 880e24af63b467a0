// SPDX-License-Identifier: MIT
#include <support/conformance.hpp>
#include <support/contrast_run.hpp>
#include <support/every_operation.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace protonce;
using test::placed;

namespace {

/// ||actual - expected|| / ||expected||
double relative_error(const std::vector<float>& actual, const std::vector<double>& expected) {
    double difference = 0;
    double all = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        difference += std::pow(static_cast<double>(actual[i]) - expected[i], 2);
        all += expected[i] * expected[i];
    }
    return std::sqrt(difference / all);
}

test::contrast_problem<double> in_double(const test::contrast_problem<float>& in) {
    const auto rows = [](const test::matrix<float>& from) {
        test::matrix<double> out(from.rows(), from.cols());
        for (index_t i = 0; i < from.rows(); ++i) {
            for (index_t j = 0; j < from.cols(); ++j) {
                out(i, j) = static_cast<double>(from(i, j));
            }
        }
        return out;
    };
    return {.query = rows(in.query),
            .columns = rows(in.columns),
            .positive = rows(in.positive),
            .own = in.own,
            .temperature = {in.temperature.begin(), in.temperature.end()}};
}

struct assigned {
    std::vector<label_t> label;
    std::vector<double> squared_distance;
    bool operator==(const assigned&) const = default;
};

template <class B>
assigned nearest(B& be, const test::matrix<float>& x, const test::matrix<float>& centroids) {
    placed<B, float> features(be, x), c(be, centroids);
    auto label = placed<B, label_t>::unwritten(be, x.rows());
    auto distance = placed<B, double>::unwritten(be, x.rows());
    auto index = be.index_rows(features.rows(), true);
    be.nearest_row(index, c.rows(), label.vector(), distance.vector());
    return {label.values(), distance.values()};
}

} // namespace

TEST_CASE("emulated cuda: no order of warps and threads changes a bit") {
    TEST_RANDOM(random, 601);
    test::workload<float> in(random);
    test::emulated_cuda<float> be;
    emulator::active_schedule = {};
    const auto expected = test::run_every_operation(be, in);

    for (const auto& schedule : emulator::schedules()) {
        emulator::active_schedule = schedule;
        CHECK(test::run_every_operation(be, in) == expected);
    }
    emulator::active_schedule = {};
}

TEST_CASE("emulated cuda: labels are those of exact arithmetic, distances those of double") {
    TEST_RANDOM(random, 602);
    const auto check = [](const test::matrix<float>& x, const test::matrix<float>& centroids) {
        test::emulated_cuda<float> be;
        reference_backend<float> reference;
        CHECK(nearest(be, x, centroids) == nearest(reference, x, centroids));
    };
    for (const double centre : {0.0, 1e6}) {
        for (const double spread : {1e-18, 1.0, 1e18}) {
            CAPTURE(centre);
            CAPTURE(spread);
            const auto x = random.uniform_matrix<float>(150, 37, centre - spread, centre + spread);
            const auto centroids = random.uniform_matrix<float>(130, 37, centre - spread, centre + spread);
            check(x, centroids);
            check(x, x); // each row is a centroid: all but one are farther, some by very little
        }
    }
    // Pairs of centroids that differ in the last bits: scores cannot tell them apart, and some would err.
    auto pairs = random.uniform_matrix<float>(128, 37, -1, 1);
    for (index_t k = 1; k < 128; k += 2) {
        for (index_t j = 0; j < 37; ++j) {
            pairs(k, j) = std::nextafter(pairs(k - 1, j), random.uniform() < 0.5 ? -2.0F : 2.0F);
        }
    }
    check(random.uniform_matrix<float>(150, 37, -1, 1), pairs);
    // Rows in the middle between two centroids, and duplicates: the lowest number.
    test::matrix<float> centroids(70, 5);
    test::matrix<float> x(70, 5);
    for (index_t k = 0; k < 70; ++k) {
        centroids(k, 0) = static_cast<float>(k / 2);
        x(k, 0) = static_cast<float>(k) + 0.5F;
    }
    check(x, centroids);
}

TEST_CASE("emulated cuda: gradients are as exact as the precision says") {
    TEST_RANDOM(random, 603);
    for (const bool outside : {true, false}) {
        auto problem =
            test::random_problem<float>(random, {.rows = 70, .pool = 1300, .cols = 128, .outside = outside});
        problem.query = random.unit_rows<float>(70, 128);
        problem.columns = random.unit_rows<float>(1300, 128);
        if (outside) {
            problem.positive = random.unit_rows<float>(70, 128);
        }
        problem.temperature = {0.1F};
        reference_backend<double> reference;
        const auto expected = run_contrast(reference, in_double(problem));

        const auto errors = [&](loss_precision losses) {
            test::emulated_cuda<float> be({.losses = losses});
            const auto actual = run_contrast(be, problem);
            std::vector<double> out{relative_error(actual.grad_query, expected.grad_query),
                                    relative_error(actual.grad_columns, expected.grad_columns),
                                    relative_error(actual.loss, expected.loss)};
            if (outside) {
                out.push_back(relative_error(actual.grad_positive, expected.grad_positive));
            }
            return *std::max_element(out.begin(), out.end());
        };
        CAPTURE(outside);
        const double standard = errors(loss_precision::standard);
        const double precise = errors(loss_precision::precise);
        CHECK(standard <= 5e-4);
        CHECK(precise <= 1e-5);
        CHECK(precise < standard); // the option does something
        MESSAGE("relative errors: standard ", standard, ", precise ", precise);
    }
}

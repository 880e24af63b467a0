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

TEST_CASE("emulated cuda: gradients are as exact as the precision says") {
    TEST_RANDOM(random, 603);
    for (const bool outside : {true, false}) {
        auto problem = test::random_problem<float>(random, {.rows = 70, .pool = 1300, .cols = 128, .outside = outside});
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

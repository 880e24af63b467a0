// SPDX-License-Identifier: MIT
#include "golden/loss_case.hpp"
#include "support/backends.hpp"

#include <protonce/core/normalize.hpp>
#include <protonce/m_step/info_nce.hpp>
#include <protonce/momentum/memory_queue.hpp>

#include <doctest/doctest.h>

#include <utility>
#include <vector>

using namespace protonce;

namespace {

/// The unit rows of a case: as recorded, or those of the raw rows.
template <class B>
test::matrix<value_of<B>> unit_rows(B& be, const golden::test_case& c, const char* unit, const char* raw) {
    using T = value_of<B>;
    if (c.has(unit)) {
        return golden::as_matrix<T>(c[unit]);
    }
    const auto rows = golden::as_matrix<T>(c[raw]);
    test::matrix<T> out(rows.rows(), rows.cols());
    normalize_rows(be, rows.view(), out.view());
    return out;
}

template <class B>
double tolerance(const golden::test_case& c) {
    // The case that another program computed in float states what float can give.
    return c.has_tolerance("rtol_f64") ? golden::tolerance_for<value_of<B>>(c) : c.tolerance("rtol_f32");
}

} // namespace

TEST_CASE_TEMPLATE("golden infonce_queue: losses, gradients and top-1", B, TEST_BACKENDS) {
    using T = value_of<B>;
    B be;
    for (const auto& c : golden::cases("infonce_queue")) {
        INFO(c.name());
        const double rtol = tolerance<B>(c);
        const auto query = unit_rows(be, c, "q", "x_q");
        const auto positive = unit_rows(be, c, "k", "x_k");
        const auto queue = golden::as_matrix<T>(c["queue"]);
        std::vector<T> loss(1), sum(1), per_row(std::size_t(query.rows())), accuracy(1);
        test::matrix<T> grad_query(query.rows(), query.cols()), grad_positive(query.rows(), query.cols()),
            grad_negatives(queue.rows(), queue.cols());
        const info_nce_inputs<B> inputs{.query = query.view(), .positive = positive.view(), .negatives = queue.view()};
        const double temperature = c.param("temperature");

        const auto report = info_nce(be, inputs, {.temperature = temperature},
                                     {.loss = view_vector(loss),
                                      .loss_per_row = view_vector(per_row),
                                      .accuracy = view_vector(accuracy),
                                      .grad_query = grad_query.view(),
                                      .grad_positive = grad_positive.view(),
                                      .grad_negatives = grad_negatives.view()});
        info_nce(be, inputs, {.temperature = temperature, .reduction = reduction::sum}, {.loss = view_vector(sum)});

        CHECK(report.num_negatives == index_t(c["queue"].rows()));
        CHECK(golden::difference(c.expected("loss"), double(loss[0])) <= rtol);
        if (c.has_expected("loss_official")) {
            CHECK(golden::difference(c.expected("loss_official"), double(loss[0])) <= rtol);
            CHECK(golden::difference(c.expected("loss_sum"), double(sum[0])) <= rtol);
            CHECK(double(accuracy[0]) == doctest::Approx(c.expected("top1_percent") / 100).epsilon(1e-6));
        }
        if (c.has("grad_q")) {
            CHECK(golden::difference(c["loss_per_sample"], per_row) <= rtol);
            CHECK(golden::difference(c["grad_q"], grad_query.view()) <= rtol);
            CHECK(golden::difference(c["grad_k"], grad_positive.view()) <= rtol);
        }
        if (c.has("grad_queue")) {
            CHECK(golden::difference(c["grad_queue"], grad_negatives.view()) <= rtol);
        }
        if (c.has("logits")) {
            std::vector<double> expected;
            for (index_t i = 0; i < query.rows(); ++i) {
                expected.push_back(golden::row_loss(c["logits"], i, 0));
            }
            CHECK(golden::difference(expected, std::vector<double>(per_row.begin(), per_row.end())) <= rtol);
        }
        if (c.has("grad_x_q")) {
            const auto raw = golden::as_matrix<T>(c["x_q"]);
            test::matrix<T> unit(raw.rows(), raw.cols()), grad_raw(raw.rows(), raw.cols());
            std::vector<T> norms(std::size_t(raw.rows()));
            normalize_rows(be, raw.view(), unit.view(), view_vector(norms));
            normalize_rows_gradient(be,
                                    {.unit = unit.view(), .norms = view_vector(norms), .grad_unit = grad_query.view()},
                                    grad_raw.view());
            CHECK(golden::difference(c["grad_x_q"], grad_raw.view()) <= rtol);
        }
    }
}

TEST_CASE_TEMPLATE("golden infonce_queue: the recorded unit rows are the normalised raw rows", B, TEST_BACKENDS) {
    using T = value_of<B>;
    B be;
    for (const auto& c : golden::cases("infonce_queue")) {
        if (!c.has("q") || !c.has("x_q")) {
            continue;
        }
        INFO(c.name());
        for (const auto& [raw_name, unit_name] : {std::pair{"x_q", "q"}, std::pair{"x_k", "k"}}) {
            const auto raw = golden::as_matrix<T>(c[raw_name]);
            test::matrix<T> unit(raw.rows(), raw.cols());

            const auto report = normalize_rows(be, raw.view(), unit.view());

            CHECK(report.zero_rows == 0);
            CHECK(golden::difference(c[unit_name], unit.view()) <= golden::tolerance_for<T>(c));
        }
    }
}

TEST_CASE_TEMPLATE("golden infonce_queue: the queue after the batch was put in", B, TEST_BACKENDS) {
    using T = value_of<B>;
    B be;
    for (const auto& c : golden::cases("infonce_queue")) {
        if (!c.has("queue_after")) {
            continue;
        }
        INFO(c.name());
        const auto keys = unit_rows(be, c, "k", "x_k");
        const auto rows = golden::as_matrix<T>(c["queue"]);
        memory_queue<B> queue(be, {.capacity = rows.rows(), .num_cols = rows.cols(), .start = queue_start::empty});
        queue.load(be, {.rows = rows.view(), .position = 0});

        queue.push(be, keys.view());

        CHECK(queue.position() == index_t(c.expected("ptr_after")));
        CHECK(golden::difference(c["queue_after"], queue.rows()) <= tolerance<B>(c));
    }
}

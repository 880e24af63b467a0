// SPDX-License-Identifier: MIT
#include "golden/loss_case.hpp"
#include "support/backends.hpp"

#include <protonce/core/normalize.hpp>
#include <protonce/m_step/nt_xent.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace protonce;

TEST_CASE_TEMPLATE("golden ntxent: losses, and gradients to unit and to raw rows", B, TEST_BACKENDS) {
    using T = value_of<B>;
    B be;
    for (const auto& c : golden::cases("ntxent")) {
        INFO(c.name());
        const double rtol = golden::tolerance_for<T>(c);
        const auto first = golden::as_matrix<T>(c["z0"]);
        const auto second = golden::as_matrix<T>(c["z1"]);
        const index_t rows = first.rows();
        const index_t cols = first.cols();
        std::vector<T> loss(1), per_row(std::size_t(2 * rows));
        test::matrix<T> grad_first(rows, cols), grad_second(rows, cols);

        nt_xent(be, {.first = first.view(), .second = second.view()}, {.temperature = c.param("temperature")},
                {.loss = view_vector(loss),
                 .loss_per_row = view_vector(per_row),
                 .grad_first = grad_first.view(),
                 .grad_second = grad_second.view()});

        CHECK(golden::difference(c.expected("loss"), double(loss[0])) <= rtol);
        CHECK(golden::difference(c.expected("loss_second_peer"), double(loss[0])) <= rtol);
        CHECK(golden::difference(c["loss_per_row"], per_row) <= rtol);
        CHECK(golden::difference(c["grad_z0"], grad_first.view()) <= rtol);
        CHECK(golden::difference(c["grad_z1"], grad_second.view()) <= rtol);

        const auto through_normalisation = [&](const char* raw_name, const test::matrix<T>& unit_expected,
                                               const test::matrix<T>& grad_unit, const char* grad_name) {
            const auto raw = golden::as_matrix<T>(c[raw_name]);
            test::matrix<T> unit(rows, cols), grad_raw(rows, cols);
            std::vector<T> norms(static_cast<std::size_t>(rows));
            normalize_rows(be, raw.view(), unit.view(), view_vector(norms));
            CHECK(golden::difference(golden::detail::doubles(unit_expected.view()),
                                     golden::detail::doubles(unit.view())) <= rtol);
            normalize_rows_gradient(
                be, {.unit = unit.view(), .norms = view_vector(norms), .grad_unit = grad_unit.view()}, grad_raw.view());
            CHECK(golden::difference(c[grad_name], grad_raw.view()) <= rtol);
        };
        through_normalisation("x0", first, grad_first, "grad_x0");
        through_normalisation("x1", second, grad_second, "grad_x1");
    }
}

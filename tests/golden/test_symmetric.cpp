// SPDX-License-Identifier: MIT
#include "golden/loss_case.hpp"
#include "support/backends.hpp"

#include <protonce/m_step/symmetric_info_nce.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace protonce;

namespace {

/// The cases state no tolerance for float. Rounding the inputs and the products changes a logit s z.z' of unit rows by
/// s sqrt(C) epsilon / 2, typically. Probabilities, and with them gradients and a loss near 0, change by that relative
/// amount, once from the numerator and once from the sum; twice that is allowed.
template <class T>
double tolerance(const golden::test_case& c, index_t cols) {
    return sizeof(T) == 8
               ? c.tolerance("rtol_f64")
               : 2 * std::sqrt(double(cols)) * c.param("logit_scale") * double(std::numeric_limits<float>::epsilon());
}

} // namespace

TEST_CASE_TEMPLATE("golden symmetric_infonce: loss, top-1, and gradients to both towers and the scale", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    B be;
    for (const auto& c : golden::cases("symmetric_infonce")) {
        INFO(c.name());
        const auto first = golden::as_matrix<T>(c["z0"]);
        const auto second = golden::as_matrix<T>(c["z1"]);
        const double rtol = tolerance<T>(c, first.cols());
        const std::vector<T> scale{T(c.param("logit_scale"))};
        std::vector<T> loss(1), forth(1), back(1), grad_scale(1), loss_by_temperature(1);
        test::matrix<T> grad_first(first.rows(), first.cols()), grad_second(first.rows(), first.cols());

        symmetric_info_nce(be, {.first = first.view(), .second = second.view(), .scale = view_vector(scale)}, {},
                           {.loss = view_vector(loss),
                            .accuracy_first = view_vector(forth),
                            .accuracy_second = view_vector(back),
                            .grad_first = grad_first.view(),
                            .grad_second = grad_second.view(),
                            .grad_scale = view_vector(grad_scale)});
        symmetric_info_nce(be, {.first = first.view(), .second = second.view()},
                           {.temperature = c.param("temperature")}, {.loss = view_vector(loss_by_temperature)});

        CHECK(std::exp(c.param("log_logit_scale")) == doctest::Approx(c.param("logit_scale")).epsilon(1e-12));
        CHECK(golden::difference(c.expected("loss"), double(loss[0])) <= rtol);
        CHECK(golden::difference(c.expected("loss"), double(loss_by_temperature[0])) <= rtol);
        CHECK(golden::difference(c.expected("grad_logit_scale"), double(grad_scale[0])) <= rtol);
        CHECK(golden::difference(c.expected("grad_log_logit_scale"), double(grad_scale[0]) * double(scale[0])) <= rtol);
        CHECK(double(forth[0]) == doctest::Approx(c.expected("top1_percent_0to1") / 100).epsilon(1e-6));
        CHECK(double(back[0]) == doctest::Approx(c.expected("top1_percent_1to0") / 100).epsilon(1e-6));
        CHECK(golden::difference(c["grad_z0"], grad_first.view()) <= rtol);
        CHECK(golden::difference(c["grad_z1"], grad_second.view()) <= rtol);
    }
}

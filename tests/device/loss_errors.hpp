// SPDX-License-Identifier: MIT
#pragma once
#include <support/contrast_run.hpp>
#include <support/random.hpp>

#include <protonce/backend/reference.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

/// How far losses and gradients are from those of double.
namespace test {

/// ||actual - expected|| / max(||expected||, least)
inline double relative_error(const std::vector<float>& actual, const std::vector<double>& expected, double least = 0) {
    double difference = 0;
    double all = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        difference += std::pow(static_cast<double>(actual[i]) - expected[i], 2);
        all += expected[i] * expected[i];
    }
    return difference == 0 ? 0 : std::sqrt(difference) / (std::max)(std::sqrt(all), least);
}

inline contrast_results<double> exact(const contrast_problem<float>& in) {
    protonce::reference_backend<double> reference;
    return run_contrast(reference, in_double(in));
}

/// The largest relative error of losses and gradients, NaN if one is. Rows may cancel in the gradient of a temperature.
inline double largest_error(const contrast_results<float>& actual, const contrast_results<double>& expected) {
    double out = 0;
    for (const double error :
         {relative_error(actual.loss, expected.loss), relative_error(actual.log_sum, expected.log_sum),
          relative_error(actual.grad_query, expected.grad_query),
          relative_error(actual.grad_positive, expected.grad_positive),
          relative_error(actual.grad_columns, expected.grad_columns),
          relative_error(actual.grad_temperature, expected.grad_temperature, 1)}) {
        out = error > out || error != error ? error : out;
    }
    return out;
}

inline void make_unit(matrix<float>& rows) {
    for (index_t i = 0; i < rows.rows(); ++i) {
        double square = 1e-30;
        for (index_t c = 0; c < rows.cols(); ++c) {
            square += std::pow(static_cast<double>(rows(i, c)), 2);
        }
        for (index_t c = 0; c < rows.cols(); ++c) {
            rows(i, c) = static_cast<float>(static_cast<double>(rows(i, c)) / std::sqrt(square));
        }
    }
}

inline contrast_problem<float> unit_problem(random_source& random, const contrast_options& with) {
    auto out = random_problem<float>(random, with);
    make_unit(out.query);
    make_unit(out.columns);
    make_unit(out.positive);
    return out;
}

} // namespace test

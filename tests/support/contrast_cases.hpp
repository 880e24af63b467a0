// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/reference.hpp>

#include <cmath>
#include <initializer_list>
#include <vector>

/// Softmax problems small enough to be solved by hand.
namespace test {

/// Features of one column: with query 1 and temperature 1 the logits are the columns, so logarithms make exponentials
/// whole numbers.
template <class T>
std::vector<T> logarithms(std::initializer_list<double> values) {
    std::vector<T> out;
    for (const double value : values) {
        out.push_back(static_cast<T>(std::log(value)));
    }
    return out;
}

template <class T>
protonce::matrix_view<T> column(std::vector<T>& values) {
    return protonce::view_rows(values.data(), static_cast<protonce::index_t>(values.size()), 1);
}

template <class T>
void run_reference(const protonce::contrast<T, protonce::host>& problem) {
    protonce::reference_backend<T> be;
    be.softmax_contrast({&problem, 1});
}

} // namespace test

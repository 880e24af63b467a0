// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/rng.hpp>
#include <protonce/core/view.hpp>

#include <cstdint>
#include <vector>

namespace test {

/// What a view shows, row after row.
template <class T, class S>
std::vector<T> values_of(protonce::matrix_view<const T, S> view) {
    std::vector<T> out;
    for (protonce::index_t i = 0; i < view.rows(); ++i) {
        out.insert(out.end(), view.row(i).begin(), view.row(i).end());
    }
    return out;
}
template <class T>
std::vector<T> values_of(protonce::vector_view<const T> view) {
    return {view.begin(), view.end()};
}

/// Uniform in (-1, 1), a function of (stream, i).
inline double noise(std::uint64_t stream, protonce::index_t i) {
    const auto bits = protonce::random_bits({.seed = 11, .step = stream}, static_cast<std::uint64_t>(i));
    return static_cast<double>(bits >> 11) * 0x1p-52 - 1.0;
}

} // namespace test

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/metrics/contingency.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory_resource>
#include <utility>
#include <vector>

namespace protonce::inline v0::detail {

/// -sum (a / N) ln(a / N); exactly 0 for one group.
inline double label_entropy(const std::pmr::vector<index_t>& sizes, index_t samples) {
    if (sizes.size() <= 1) {
        return 0.0;
    }
    const auto n = static_cast<double>(samples);
    double sum = 0.0;
    for (const index_t size : sizes) {
        sum += static_cast<double>(size) / n * std::log(n / static_cast<double>(size));
    }
    return sum;
}

/// sum (n_ij / N) ln(N n_ij / (a_i b_j)); exactly 0 if a side has one group, never negative.
inline double mutual_information(const contingency& table) {
    if (table.row_sum.size() <= 1 || table.col_sum.size() <= 1) {
        return 0.0;
    }
    const auto n = static_cast<double>(table.samples);
    double sum = 0.0;
    for (const auto& cell : table.cells) {
        const auto count = static_cast<double>(cell.count);
        const auto a = static_cast<double>(table.row_sum[static_cast<std::size_t>(cell.row)]);
        const auto b = static_cast<double>(table.col_sum[static_cast<std::size_t>(cell.col)]);
        sum += count / n * std::log(count / a * (n / b));
    }
    return sum > 0.0 ? sum : 0.0;
}

/// E[(X / N) ln(N X / (a b))] for X hypergeometric: how many of b samples drawn from N lie in a group of a.
///
/// Neighbouring probabilities have the ratio  p(x + 1) / p(x) = (a - x)(b - x) / ((x + 1)(N - a - b + x + 1)).  The sum
/// starts from the mode with p = 1 and goes both ways until nothing is added; dividing by the sum of the p makes them
/// probabilities. No factorials: the difference of their logarithms, of size N ln N, would lose digits that this keeps.
/// The work is that of some standard deviations.
inline double expected_cell_information(double n, double a, double b) {
    const double low = a + b > n ? a + b - n : 0.0;
    const double high = a < b ? a : b;
    double mode = std::floor((a + 1.0) * (b + 1.0) / (n + 2.0));
    mode = mode < low ? low : mode > high ? high : mode;
    const auto information = [&](double x) { return x > 0.0 ? x / n * std::log(x / a * (n / b)) : 0.0; };
    // Past the mode the p fall faster than geometrically with the ratio at hand, and |information| is at most x ln N /
    // N.
    constexpr double negligible = 1e-30;

    double mass = 1.0;
    double sum = information(mode);
    double p = 1.0;
    for (double x = mode; x < high && p > negligible; x += 1.0) {
        p *= (a - x) * (b - x) / ((x + 1.0) * (n - a - b + x + 1.0));
        mass += p;
        sum += p * information(x + 1.0);
    }
    p = 1.0;
    for (double x = mode; x > low && p > negligible; x -= 1.0) {
        p *= x * (n - a - b + x) / ((a - x + 1.0) * (b - x + 1.0));
        mass += p;
        sum += p * information(x - 1.0);
    }
    return sum / mass;
}

/// The sizes that occur and how many groups have each; at most sqrt(2N) different ones.
inline std::pmr::vector<std::pair<index_t, index_t>> size_counts(std::pmr::vector<index_t> sizes,
                                                                 std::pmr::memory_resource* memory) {
    std::pmr::vector<std::pair<index_t, index_t>> out(memory);
    std::sort(sizes.begin(), sizes.end());
    for (const index_t size : sizes) {
        if (out.empty() || out.back().first != size) {
            out.push_back({size, 0});
        }
        ++out.back().second;
    }
    return out;
}

/// Mean of the mutual information over all labelings of the same group sizes (Vinh, Epps, Bailey 2010, equation 24a). A
/// pair of groups counts by its sizes alone, so each pair of sizes is computed once.
inline double expected_mutual_information(const contingency& table, std::pmr::memory_resource* memory) {
    if (table.row_sum.size() <= 1 || table.col_sum.size() <= 1) {
        return 0.0;
    }
    const auto rows = size_counts({table.row_sum, memory}, memory);
    const auto cols = size_counts({table.col_sum, memory}, memory);
    double sum = 0.0;
    for (const auto& [a, row_groups] : rows) {
        for (const auto& [b, col_groups] : cols) {
            sum += static_cast<double>(row_groups) * static_cast<double>(col_groups) *
                   expected_cell_information(static_cast<double>(table.samples), static_cast<double>(a),
                                             static_cast<double>(b));
        }
    }
    return sum;
}

} // namespace protonce::inline v0::detail

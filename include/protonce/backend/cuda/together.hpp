// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/contrast.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <span>

namespace protonce::inline v0::detail::cuda {

/// Memory that a problem writes, from the first value to behind the last one.
struct written {
    const void* begin = nullptr;
    const void* end = nullptr;

    template <class T, class S>
    static written of(const vector_view<T, S>& view) {
        return {view.data(), view.data() + view.size()};
    }
    template <class T, class S>
    static written of(const matrix_view<T, S>& view) {
        const index_t size = view.empty() ? 0 : (view.rows() - 1) * view.stride() + view.cols();
        return {view.data(), view.data() + size};
    }
    bool overlaps(const written& other) const {
        const std::less<const void*> before;
        return before(begin, other.end) && before(other.begin, end);
    }
};

/// The gradient of the queries first.
template <class T, class S>
std::array<written, 7> outputs_of(const contrast<T, S>& of) {
    return {written::of(of.grad_query),   written::of(of.grad_positive),
            written::of(of.grad_columns), written::of(of.grad_temperature),
            written::of(of.loss),         written::of(of.log_sum),
            written::of(of.top1)};
}

/// May two problems be solved at once, with the same result as one after the other? Rows must be as many and as wide, and nothing that
/// one writes may be written by the other, but for the gradient of the queries: each row of it is of one block, which adds
/// what problems have for it in their order.
template <class T, class S>
bool may_go_together(const contrast<T, S>& one, const contrast<T, S>& other) {
    if (one.query.rows() != other.query.rows() || one.query.cols() != other.query.cols()) {
        return false;
    }
    const bool has_one_gradient =
        one.grad_query.data() == other.grad_query.data() && one.grad_query.stride() == other.grad_query.stride();
    const auto mine = outputs_of(one);
    const auto its = outputs_of(other);
    for (std::size_t i = 0; i < mine.size(); ++i) {
        for (std::size_t j = 0; j < its.size(); ++j) {
            const bool is_in_order = i == 0 && j == 0 && has_one_gradient;
            if (mine[i].overlaps(its[j]) && !is_in_order) {
                return false;
            }
        }
    }
    return true;
}

/// How many of the first problems may be solved at once, `most` of them or fewer.
template <class T, class S>
std::size_t count_together(std::span<const contrast<T, S>> problems, std::size_t most) {
    std::size_t count = 1;
    for (; count < problems.size() && count < most; ++count) {
        for (std::size_t i = 0; i < count; ++i) {
            if (!may_go_together(problems[i], problems[count])) {
                return count;
            }
        }
    }
    return count;
}

} // namespace protonce::inline v0::detail::cuda

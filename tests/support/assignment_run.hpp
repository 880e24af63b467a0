// SPDX-License-Identifier: MIT
#pragma once
#include <support/placed.hpp>
#include <support/random.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace test {

/// Labels and distances of nearest_row().
struct assigned {
    std::vector<label_t> label;
    std::vector<double> squared_distance;
    bool operator==(const assigned&) const = default;
};

template <class B, class T = typename B::value_type>
assigned assign_rows(B& be, const matrix<T>& x, const matrix<T>& centroids, bool may_centre) {
    placed<B, T> features(be, x), c(be, centroids);
    auto label = placed<B, label_t>::unwritten(be, x.rows());
    auto only_label = placed<B, label_t>::unwritten(be, x.rows());
    auto distance = placed<B, double>::unwritten(be, x.rows());
    {
        auto index = be.index_rows(features.rows(), may_centre);
        be.nearest_row(index, c.rows(), label.vector(), distance.vector());
        be.nearest_row(index, c.rows(), only_label.vector(), {});
    }
    CHECK(label.values() == only_label.values());
    return {label.values(), distance.values()};
}

} // namespace test

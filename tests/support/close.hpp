// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

namespace test {

/// True if `actual` is off by at most `roundings` units of relative rounding of T; below magnitude 1, of absolute
/// rounding. False with NaN on either side.
template <class T>
bool close(T actual, double expected, double roundings = 4) {
    const double unit = std::numeric_limits<T>::epsilon() / 2;
    return std::abs(static_cast<double>(actual) - expected) <= roundings * unit * std::max(1.0, std::abs(expected));
}

} // namespace test

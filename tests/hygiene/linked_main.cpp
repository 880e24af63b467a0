// SPDX-License-Identifier: MIT
// With three OpenMP threads set: the serial unit stays serial, the other is not, and both compute the same.
#include "linked_unit.hpp"

#include <cmath>
#include <cstdio>

namespace {

// Sums of at most 300 * 19 float products, each path with its own order and contraction: sqrt(5700) * 2^-24 = 4.5e-6,
// and twice that for the difference of two.
bool close(double a, double b) { return std::abs(a - b) <= 1e-5 * std::abs(a); }

} // namespace

int main() {
    const linked_result plain = plain_unit();
    const linked_result extended = extended_unit();
    std::printf("plain: %d workers, inertia %.9g, loss %.9g\n", plain.workers, plain.inertia, plain.loss);
    std::printf("extended: %d workers, inertia %.9g, loss %.9g\n", extended.workers, extended.inertia, extended.loss);
    const bool same = plain.labels == extended.labels && close(plain.inertia, extended.inertia) &&
                      close(plain.loss, extended.loss);
    return same && plain.workers == 1 && extended.workers == 3 ? 0 : 1;
}

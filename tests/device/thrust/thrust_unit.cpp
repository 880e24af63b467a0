// SPDX-License-Identifier: MIT
// Compiled once for each of Thrust's systems, with another PROTONCE_UNIT each time.
#include "thrust_unit.hpp"

#include <protonce/backend/thrust.hpp>

#include <support/every_operation.hpp>

namespace {
template <class T>
test::results run() {
    test::random_source random(77);
    const test::workload<T> in(random);
    protonce::thrust_backend<T> be;
    return test::run_every_operation(be, in);
}
} // namespace

std::vector<unsigned char> PROTONCE_UNIT() {
    auto out = run<float>().bytes();
    const auto more = run<double>().bytes();
    out.insert(out.end(), more.begin(), more.end());
    return out;
}

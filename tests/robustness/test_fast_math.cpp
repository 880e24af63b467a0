// SPDX-License-Identifier: MIT
// The same cases under the user's -ffast-math, where comparisons and std::isfinite say nothing about NaN and infinity.
#include "check_refusals.hpp"

using namespace protonce;

#ifndef __FAST_MATH__
#error "this file is to be compiled with -ffast-math"
#endif

TEST_CASE_TEMPLATE("bad input with -ffast-math: every case throws what it should, says why, and changes nothing", B,
                   cpu_backend<float>, reference_backend<double>) {
    robustness::check_all_refusals<B>();
}

// SPDX-License-Identifier: MIT
#include "thrust_unit.hpp"

#include <doctest/doctest.h>

#include <omp.h>

TEST_CASE("thrust: the sequential and the OpenMP system give the same bits, linked into one program") {
    const auto expected = run_thrust_cpp();
    REQUIRE(expected.size() > 100000);
    for (const int threads : {1, 2, 3, 7}) {
        omp_set_num_threads(threads);

        CAPTURE(threads);
        CHECK(run_thrust_openmp() == expected);
    }
}

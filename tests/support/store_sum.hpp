// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/host_device.hpp>
#include <protonce/core/types.hpp>

namespace test {

/// For sum_rows: out_m = sum of row m.
struct store_sum {
    double* out;

    PROTONCE_HOST_DEVICE void operator()(protonce::index_t m, double sum) const { out[m] = sum; }
};

} // namespace test

// SPDX-License-Identifier: MIT
#pragma once
#include <cstdint>
#include <vector>

struct linked_result {
    int workers = 0; // that a backend with no number of threads asked for uses
    double inertia = 0;
    double loss = 0;
    std::vector<std::int32_t> labels{};
};

linked_result plain_unit();    // the compiler's default instruction set, no OpenMP
linked_result extended_unit(); // AVX2 and FMA, OpenMP

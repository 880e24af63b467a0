// SPDX-License-Identifier: MIT
// first_rows N K OUT.npy: numbers of K distinct random rows of N, the same on every run, as int64.
//
// SuperKMeans takes no first centroids: it shuffles the row numbers with std::mt19937(seed) and begins with the first K
// rows. Drawing them in the same way gives every program the same start. The order of std::shuffle belongs to the
// standard library; where that is another one than SuperKMeans was built with, its final inertia shows it.
#include "../../examples/support/npy.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <numeric>
#include <random>
#include <string>
#include <vector>

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fputs("usage: first_rows N K OUT.npy\n", stderr);
        return 2;
    }
    try {
        std::vector<std::int64_t> row(std::stoul(argv[1]));
        const std::int64_t count = std::stol(argv[2]);
        if (count < 1 || count > static_cast<std::int64_t>(row.size())) {
            std::fputs("first_rows: K must lie in [1, N]\n", stderr);
            return 2;
        }
        std::iota(row.begin(), row.end(), 0);
        std::shuffle(row.begin(), row.end(), std::mt19937(42));
        support::write_npy(argv[3], row.data(), {count});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "first_rows: %s\n", error.what());
        return 1;
    }
}

// SPDX-License-Identifier: MIT
// With few rows several blocks share the centroids of a row (backend/cuda/best_of_row.hpp, sliced_best).
#include <device/nearest_trace.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

using namespace protonce;
using namespace protonce::detail::cuda;

TEST_CASE("nearest slices: every block of rows sees every tile of centroids once") {
    for (const index_t row_blocks : {1, 2, 5}) {
        for (const index_t tiles : {1, 2, 7, 40}) {
            for (const index_t num_slices : {index_t{1}, (tiles + 1) / 2, tiles}) {
                const sliced_best best{nullptr, 0, num_slices};
                std::vector<int> seen(static_cast<std::size_t>(row_blocks * tiles));
                for (index_t block = 0; block < row_blocks * num_slices; ++block) {
                    const auto share = best.share_of(block, row_blocks, tiles);
                    CHECK(share.first < share.last);
                    CHECK(share.slice < num_slices);
                    for (index_t tile = share.first; tile < share.last; ++tile) {
                        ++seen[static_cast<std::size_t>(share.row_block * tiles + tile)];
                    }
                }
                CHECK(seen == std::vector<int>(seen.size(), 1));
            }
        }
    }
}

TEST_CASE("nearest slices: as many as keep the processors busy, and no more than tiles") {
    CHECK(nearest_wgmma<1>::slices(1, 1) == 1);
    CHECK(nearest_wgmma<1>::slices(256, 1000) == 132);
    CHECK(nearest_wgmma<1>::slices(257, 1000) == 66);
    CHECK(nearest_wgmma<1>::slices(257, 8) == 8);
    CHECK(nearest_wgmma<1>::slices(66 * 256, 1000) == 2);
    CHECK(nearest_wgmma<1>::slices(66 * 256 + 1, 1000) == 1);
    CHECK(nearest_wgmma<1>::slices(1280000, 1000) == 1);
    CHECK(nearest_half::slices(128, 1000) == 216);
    CHECK(nearest_half::slices(109 * 128, 1000) == 1);
}

TEST_CASE("nearest slices: of equal centroids in several slices the first is the label, wherever they are") {
    TEST_RANDOM(random, 821);
    const index_t clusters = 128 * 5 + 70, rows = 40;
    auto x = random.normal_matrix<float>(rows, 9);
    auto centroids = random.normal_matrix<float>(clusters, 9);
    for (index_t i = 0; i < rows; ++i) { // row i finds itself twice, 128 and more apart; the last one thrice
        const index_t first = 13 * i, second = first + 128 + i;
        for (index_t j = 0; j < 9; ++j) {
            centroids(first, j) = centroids(second, j) = x(i, j);
            if (i == rows - 1) {
                centroids(clusters - 1, j) = x(i, j);
            }
        }
    }
    test::check_labels(x, centroids);

    test::device_backend be;
    const auto found = test::assign_rows(be, x, centroids, false);
    for (index_t i = 0; i < rows; ++i) {
        CHECK(found.label[static_cast<std::size_t>(i)] == 13 * i);
    }
}

// SPDX-License-Identifier: MIT
// The last pass of cuda_backend<float>::nearest_row(), over all centroids for rows that no score decides
// (backend/cuda/scan_rows.hpp), however blocks share rows and centroids.
#include <device/nearest_trace.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <vector>

using namespace protonce;
using namespace protonce::detail::cuda;
using test::device_backend;
using test::device_run;
using test::placed;

namespace {

constexpr label_t unlisted = -7;
using limits = std::numeric_limits<float>;

/// Labels that the kernels leave of the listed rows; `unlisted` of others.
std::vector<label_t> scan(const test::matrix<float>& x, const test::matrix<float>& centroids,
                          const std::vector<index_t>& listed) {
    const auto rows = static_cast<std::size_t>(x.rows());
    std::vector<choice> known(rows, choice{unlisted, unlisted});
    for (const index_t row : listed) {
        known[static_cast<std::size_t>(row)] = {0, -1};
    }
    std::vector<index_t> list = listed;
    list.resize(rows, -1);

    device_backend be;
    auto run = device_run();
    detail::elementwise::scope_of<test::run_type> scope(be.scratch());
    placed<device_backend, float> features(be, x), c(be, centroids);
    placed<device_backend, index_t> list_there(be, list), count(be, {static_cast<index_t>(listed.size())});
    choice* known_there = scope.vector<choice>(x.rows()).data();
    run.write(known.data(), known_there, x.rows());
    const scan_rows kernel{.x = features.rows(),
                           .centroids = c.rows(),
                           .list = {list_there.vector().data(), count.vector().data()},
                           .part = scope.vector<found_centroid>(scan_rows::parts(x.rows(), centroids.rows())).data(),
                           .known = known_there};
    const merge_slices merge{.scan = kernel};
    run.launch(kernel.blocks(), scan_rows::shared_bytes, kernel);
    run.launch(merge.blocks(), 0, merge);
    run.read(known_there, known.data(), x.rows());

    std::vector<label_t> out;
    for (const choice& row : known) {
        CHECK(row.label == row.other);
        out.push_back(row.label);
    }
    return out;
}

std::vector<label_t> expected_labels(const test::matrix<float>& x, const test::matrix<float>& centroids,
                                     const std::vector<index_t>& listed) {
    reference_backend<float> reference;
    const auto nearest = test::assign_rows(reference, x, centroids, false).label;
    std::vector<label_t> out(nearest.size(), unlisted);
    for (const index_t row : listed) {
        out[static_cast<std::size_t>(row)] = nearest[static_cast<std::size_t>(row)];
    }
    return out;
}

/// Every `step`th row, the last ones first.
std::vector<index_t> every(index_t rows, index_t step) {
    std::vector<index_t> out;
    for (index_t row = 0; row < rows; row += step) {
        out.push_back(row);
    }
    std::reverse(out.begin(), out.end());
    return out;
}

test::matrix<float> with_gap(const test::matrix<float>& values, index_t gap) {
    test::matrix<float> out(values.rows(), values.cols(), gap);
    for (index_t i = 0; i < out.rows(); ++i) {
        for (index_t j = 0; j < out.cols(); ++j) {
            out(i, j) = values(i, j);
        }
    }
    return out;
}

} // namespace

TEST_CASE("scan rows: none, one, some or all rows, and any number of centroids") {
    TEST_RANDOM(random, 831);
    for (const index_t clusters : {1, 2, 31, 33, 128, 129, 1000}) {
        for (const index_t cols : {1, 32, 37}) {
            INFO("K = ", clusters, " C = ", cols);
            const auto x = with_gap(random.normal_matrix<float>(23, cols), 3);
            const auto centroids = with_gap(random.normal_matrix<float>(clusters, cols), 2);
            for (const auto& listed : {std::vector<index_t>{}, {22}, every(23, 3), every(23, 1)}) {
                CHECK(scan(x, centroids, listed) == expected_labels(x, centroids, listed));
            }
        }
    }
}

TEST_CASE("scan rows: many rows are cut into few slices, more of them into none") {
    TEST_RANDOM(random, 832);
    const auto x = random.normal_matrix<float>(4200, 2);
    const auto centroids = random.normal_matrix<float>(390, 2); // four tiles
    // Slices: one; two of two tiles each, where there is room for three; four.
    for (const index_t step : {1, 3, 5}) {
        CAPTURE(step);
        const auto listed = every(4200, step);
        CHECK(scan(x, centroids, listed) == expected_labels(x, centroids, listed));
    }
}

TEST_CASE("scan rows: slices cover the centroids, none is empty, and all find room") {
    for (const index_t clusters : {1, 128, 129, 300, 25000, 1000000}) {
        scan_rows kernel{};
        kernel.centroids.rows = clusters;
        for (const index_t count : {1, 2, 3, 63, 64, 65, 1023, 1366, 2047, 2048, 2049, 4095, 4096, 4097, 1000000}) {
            INFO("K = ", clusters, " rows ", count);
            const auto [slice, slices] = kernel.cut_for(count);
            CHECK(slice % scan_rows::threads == 0);
            CHECK(slice * slices >= clusters);
            CHECK(slice * (slices - 1) < clusters);
            CHECK((slices == 1 || slices * count <= scan_rows::parts(count, clusters)));
        }
    }
}

TEST_CASE("scan rows: of equal centroids the one with the lowest number, whoever finds it") {
    TEST_RANDOM(random, 833);
    auto x = random.normal_matrix<float>(9, 5);
    const std::vector<std::vector<index_t>> places = {{3, 131},   // of one thread
                                                      {5, 9, 30}, // of one warp
                                                      {40, 70, 127}, {69, 520, 901}, {127, 128}, {131, 260, 389, 999}};
    for (const auto& places_now : places) {
        auto centroids = random.normal_matrix<float>(1000, 5);
        for (const index_t k : places_now) {
            for (index_t j = 0; j < 5; ++j) {
                centroids(k, j) = x(4, j) + 0.01F;
            }
        }
        CAPTURE(places_now.back());
        const auto labels = scan(x, centroids, every(9, 1));
        CHECK(labels == expected_labels(x, centroids, every(9, 1)));
        CHECK(labels[4] == places_now.front());
    }
    // Slices of several tiles, where a lower number may be a higher thread's; more slices than a warp has lanes.
    const auto many = random.normal_matrix<float>(4200, 2);
    const auto few = random.normal_matrix<float>(3, 2);
    auto centroids = random.normal_matrix<float>(390, 2);
    auto of_many_tiles = random.normal_matrix<float>(5000, 2);
    for (index_t j = 0; j < 2; ++j) {
        centroids(5, j) = centroids(130, j) = many(4000, j);
        centroids(80, j) = centroids(290, j) = many(4001, j);
        for (const index_t k : {5 * 128 + 9, 34 * 128 + 1, 37 * 128}) {
            of_many_tiles(k, j) = few(1, j);
        }
    }
    const auto labels = scan(many, centroids, every(4200, 1));
    CHECK(labels == expected_labels(many, centroids, every(4200, 1)));
    CHECK(labels[4000] == 5);
    CHECK(labels[4001] == 80);
    CHECK(scan(few, of_many_tiles, every(3, 1))[1] == 5 * 128 + 9);

    for (const index_t clusters : {33, 129, 1000}) { // all of them
        CHECK(scan(x, test::matrix<float>(clusters, 5), every(9, 2)) ==
              expected_labels(x, test::matrix<float>(clusters, 5), every(9, 2)));
    }
}

TEST_CASE("scan rows: of distances that double does not tell apart the least one, whoever finds it") {
    for (const index_t nearest : {0, 4, 36, 127, 128, 500, 999}) {
        CAPTURE(nearest);
        const test::matrix<float> x(3, 2);
        test::matrix<float> centroids(1000, 2);
        for (index_t k = 0; k < 1000; ++k) {
            centroids(k, 0) = 1;
            centroids(k, 1) = 0x1p-50F * static_cast<float>(1 + (k + 1000 - nearest) % 1000); // 1 + 2^-100 ... is 1
        }
        const auto listed = every(3, 2);
        CHECK(scan(x, centroids, listed) == expected_labels(x, centroids, listed));
        CHECK(scan(x, centroids, listed)[2] == nearest);
    }
}

TEST_CASE("scan rows: NaN and infinity are nearest to nothing, and have the first centroid for a label") {
    TEST_RANDOM(random, 834);
    auto x = random.normal_matrix<float>(12, 40);
    x(2, 39) = limits::quiet_NaN();
    x(5, 0) = limits::infinity();
    x(7, 33) = -limits::infinity();
    for (const index_t clusters : {1, 40, 300}) {
        auto centroids = random.normal_matrix<float>(clusters, 40);
        for (index_t k = 0; k < clusters; k += 2) {
            centroids(k, k % 40) = k % 4 == 0 ? limits::quiet_NaN() : limits::infinity();
        }
        const auto labels = scan(x, centroids, every(12, 1));
        CHECK(labels == expected_labels(x, centroids, every(12, 1)));
        CHECK(labels[2] == 0);
        CHECK((clusters == 1 || labels[3] % 2 == 1));
        for (index_t k = 0; k < clusters; ++k) {
            centroids(k, 1) = limits::quiet_NaN();
        }
        CHECK(scan(x, centroids, every(12, 1)) == std::vector<label_t>(12, 0));
    }
}

TEST_CASE("scan rows: what TF32 leaves undecided, nothing else, comes here") {
    TEST_RANDOM(random, 835);
    const auto few = random.normal_matrix<float>(100, 20);
    const auto x = random.normal_matrix<float>(150, 20);
    test::matrix<float> centroids(500, 20);
    for (index_t k = 0; k < 500; ++k) {
        for (index_t j = 0; j < 20; ++j) {
            const double change = k % 100 < 50 ? 0 : random.uniform(-1e-3, 1e-3); // half precision leaves most in doubt
            centroids(k, j) = few(k % 100, j) * static_cast<float>(1 + change);
        }
    }

    const auto passes = test::trace_passes(x, centroids);

    std::vector<index_t> expected;
    for (const index_t row : passes.list) {
        if (passes.again[static_cast<std::size_t>(row)].other < 0) {
            expected.push_back(row);
        }
    }
    CHECK(passes.undecided == expected);
    CHECK(expected.size() > 30);
    CHECK(expected.size() + 30 < passes.list.size());
    for (const index_t row : expected) {
        const choice& at_last = passes.at_last[static_cast<std::size_t>(row)];
        CHECK(at_last.label == at_last.other);
        CHECK(at_last.label == expected_labels(x, centroids, {row})[static_cast<std::size_t>(row)]);
    }
    test::check_labels(x, centroids);
}

#ifdef PROTONCE_TEST_EMULATED_CUDA
TEST_CASE("scan rows: no schedule changes a label") {
    TEST_RANDOM(random, 836);
    const auto x = random.normal_matrix<float>(7, 70);
    auto centroids = random.normal_matrix<float>(300, 70);
    for (index_t j = 0; j < 70; ++j) {
        centroids(290, j) = centroids(131, j) = centroids(3, j) = x(5, j);
    }
    const auto expected = expected_labels(x, centroids, every(7, 1));
    for (const auto& schedule : emulator::schedules()) {
        emulator::active_schedule = schedule;
        CHECK(scan(x, centroids, every(7, 1)) == expected);
    }
    emulator::active_schedule = {};
}
#endif

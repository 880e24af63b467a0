// SPDX-License-Identifier: MIT
// The power of two that brings rows and centroids into the range of half precision (backend/cuda/packed_rows.hpp), and what
// becomes of those that stay outside of it.
#include <device/nearest_trace.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using namespace protonce;
using test::check_labels;
using test::device_backend;
using test::device_run;
using test::for_each_value;
using test::placed;
using test::trace_passes;
using test::worst_score;

namespace {

using limits = std::numeric_limits<float>;

float scale_of(const test::matrix<float>& x, bool may_centre) {
    device_backend be;
    auto run = device_run();
    placed<device_backend, float> features(be, x);
    const test::cuda::row_index<test::run_type> index(run, be.scratch(), features.rows(), may_centre);
    float scale = 0;
    run.read(index.scale(), &scale, 1);
    return scale;
}

/// Of half the values nothing is left in half precision.
test::matrix<float> of_two_sizes(test::random_source& random, index_t rows) {
    auto out = random.normal_matrix<float>(rows, 20);
    for (index_t i = 0; i < rows; ++i) {
        for (index_t j = 0; j < 20; j += 2) {
            out(i, j) *= 0x1p-26F;
        }
    }
    return out;
}

} // namespace

TEST_CASE("nearest scale: it is that of the largest finite value less the mean, wherever it is") {
    TEST_RANDOM(random, 821);
    for (const index_t rows : {1, 7, 300, 9000}) { // fewer than warps; more than a warp each
        CAPTURE(rows);
        test::matrix<float> x(rows, 35);
        for_each_value(x, [&](float) { return static_cast<float>(random.uniform(-1, 1)); });
        CHECK(scale_of(x, false) == (rows == 1 ? test::cuda::half_scale(0.9F) : 0x1p11F));
        const index_t row = random.integer(rows);
        x(row, random.integer(35)) = -4.5F;
        CHECK(scale_of(x, false) == 0x1p8F);
        x(row, 33) = limits::quiet_NaN();
        x(rows - 1, 2) = limits::infinity();
        x(0, 34) = -limits::infinity();
        x(rows / 2, 3) = 9;
        CHECK(scale_of(x, false) == 0x1p7F);
    }
    test::matrix<float> shifted(2, 3);
    for_each_value(shifted, [&](float) { return 1000.0F; });
    shifted(0, 0) = 1003;
    CHECK(scale_of(shifted, true) == 0x1p10F); // 1.5 above the mean
    CHECK(scale_of(test::matrix<float>(3, 3), true) == 1);
    for_each_value(shifted, [](float) { return limits::quiet_NaN(); });
    CHECK(scale_of(shifted, true) == 1);
}

TEST_CASE("nearest scale: values of any size get the right label") {
    TEST_RANDOM(random, 806);
    for (const float scale : {1e-44F, 1e-39F, 1e-30F, 1e18F, 3.4e38F}) {
        CAPTURE(scale);
        auto x = random.uniform_matrix<float>(9, 5, -1, 1);
        auto centroids = random.uniform_matrix<float>(7, 5, -1, 1);
        for_each_value(x, [&](float value) { return value * scale; });
        for_each_value(centroids, [&](float value) { return value * scale; });
        centroids(3, 2) = scale;
        check_labels(x, centroids);
    }

    // The score of the first centroid overflows on its way, or is below the second's.
    test::matrix<float> wide(1, 2);
    test::matrix<float> distant(2, 2);
    wide(0, 0) = wide(0, 1) = distant(0, 0) = 0x1p64F;
    distant(0, 1) = -0x1p63F;
    distant(1, 0) = distant(1, 1) = 0x1p62F;
    check_labels(wide, distant);

    auto [x, centroids, labels] = random.clustered<float>(140, 6, 20, 0.02);
    x(5, 3) = std::numeric_limits<float>::quiet_NaN();
    x(130, 0) = limits::infinity();
    CHECK(trace_passes(x, centroids).list == std::vector<index_t>{5, 130});
    for (const auto search : {nearest_search::exact, nearest_search::fast}) {
        device_backend be({.search = search});
        const auto out = test::assign_rows(be, x, centroids, false);
        CHECK(out.label[5] == 0);
        CHECK(out.label[130] == 0);
        CHECK(std::isnan(out.squared_distance[5]));
        CHECK(std::isnan(out.squared_distance[130]));
    }

    auto [tiny, tiny_centroids, tiny_labels] = random.clustered<float>(140, 6, 20, 0.02);
    for_each_value(tiny, [](float value) { return value * 1e-30F; });
    for_each_value(tiny_centroids, [](float value) { return value * 1e-30F; });
    device_backend fast({.search = nearest_search::fast});
    CHECK(test::assign_rows(fast, tiny, tiny_centroids, false).label == tiny_labels);
}

TEST_CASE("nearest scale: scores and margins of data of any size are those of data of usual size") {
    TEST_RANDOM(random, 822);
    const auto x = random.normal_matrix<float>(130, 20);
    const auto centroids = random.normal_matrix<float>(70, 20);
    const auto usual = trace_passes(x, centroids);
    for (const float size : {0x1p-90F, 0x1p-5F, 0x1p20F, 0x1p110F}) {
        CAPTURE(size);
        auto x_now = x;
        auto centroids_now = centroids;
        for (auto* values : {&x_now, &centroids_now}) {
            for_each_value(*values, [&](float value) { return value * size; });
        }

        const auto passes = trace_passes(x_now, centroids_now);

        CHECK(passes.margin == usual.margin);
        CHECK(passes.list == usual.list);
        for (std::size_t i = 0; i < 130; ++i) {
            CHECK(passes.in_half[i].score == usual.in_half[i].score);
            CHECK(passes.in_half[i].label == usual.in_half[i].label);
        }
        check_labels(x_now, centroids_now);
    }
}

TEST_CASE("nearest scale: what half precision leaves out of small values is in the margin") {
    TEST_RANDOM(random, 823);
    auto x = of_two_sizes(random, 90);
    auto centroids = of_two_sizes(random, 50);
    const auto mixed = trace_passes(x, centroids);
    CHECK(worst_score(x, centroids, mixed.in_half, mixed.margin, mixed.unit) <= 1);
    check_labels(x, centroids);

    for (auto* values : {&x, &centroids}) {
        for_each_value(*values, [](float value) { return std::abs(value) < 0x1p-20F ? value : 0.0F; });
    }
    x(3, 1) = 5; // of everything else nothing is left
    const auto lost = trace_passes(x, centroids);
    CHECK(worst_score(x, centroids, lost.in_half, lost.margin, lost.unit) <= 1);
    CHECK(lost.list.size() >= 89);
    check_labels(x, centroids);
}

TEST_CASE("nearest scale: centroids much longer than the rows") {
    TEST_RANDOM(random, 824);
    const auto x = random.normal_matrix<float>(140, 20);
    for (const float length : {8.0F, 1000.0F, 1e8F, 1e20F}) { // the first ones have room
        CAPTURE(length);
        auto all_long = random.normal_matrix<float>(40, 20);
        auto one_long = all_long;
        for_each_value(all_long, [&](float value) { return value * length; });
        for (index_t j = 0; j < 20; ++j) {
            one_long(17, j) *= length;
        }
        for (const auto* centroids : {&all_long, &one_long}) {
            const auto passes = trace_passes(x, *centroids);
            CHECK(std::all_of(passes.margin.begin(), passes.margin.end(),
                              [&](float margin) { return (margin < limits::infinity()) == (length < 10); }));
            check_labels(x, *centroids);
            device_backend fast({.search = nearest_search::fast});
            if (length > 10) {
                device_backend exact;
                CHECK(test::assign_rows(fast, x, *centroids, false) == test::assign_rows(exact, x, *centroids, false));
            }
        }
    }
}

TEST_CASE("nearest scale: rows of zeros, and rows and centroids that are not finite") {
    TEST_RANDOM(random, 825);
    const auto some = random.normal_matrix<float>(40, 6);
    auto large = some;
    for_each_value(large, [](float value) { return value * 1e6F; });
    check_labels(test::matrix<float>(9, 6), some);
    check_labels(test::matrix<float>(9, 6), large);
    check_labels(test::matrix<float>(9, 6), test::matrix<float>(40, 6));

    auto x = random.normal_matrix<float>(50, 6);
    auto centroids = some;
    x(3, 2) = limits::quiet_NaN();
    x(4, 0) = limits::infinity();
    centroids(0, 1) = limits::quiet_NaN();
    centroids(30, 4) = 1e30F;
    centroids(31, 5) = limits::quiet_NaN();
    centroids(31, 4) = 1e30F;
    device_backend be;
    reference_backend<float> reference;
    CHECK(test::assign_rows(be, x, centroids, false).label == test::assign_rows(reference, x, centroids, false).label);
    centroids(7, 0) = limits::infinity();
    CHECK(test::assign_rows(be, x, centroids, false).label == test::assign_rows(reference, x, centroids, false).label);
}

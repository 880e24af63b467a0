// SPDX-License-Identifier: MIT
// The passes of cuda_backend<float>::nearest_row() (backend/cuda/nearest.hpp), one by one: what each leaves to the
// next.
#include <device/nearest_trace.hpp>
#include <device/recording.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using namespace protonce;
using namespace protonce::detail::cuda;
using test::check_labels;
using test::device_backend;
using test::for_each_value;
using test::placed;
using test::trace_passes;
using test::worst_score;

namespace {

std::vector<index_t> all_rows(index_t count) {
    std::vector<index_t> out;
    for (index_t i = 0; i < count; ++i) {
        out.push_back(i);
    }
    return out;
}

/// Each centroid `copies` times, their values changed by up to this part of them.
test::matrix<float> near_copies(test::random_source& random, const test::matrix<float>& centroids, index_t copies,
                                double change) {
    test::matrix<float> out(copies * centroids.rows(), centroids.cols());
    for (index_t k = 0; k < out.rows(); ++k) {
        for (index_t j = 0; j < out.cols(); ++j) {
            out(k, j) = centroids(k % centroids.rows(), j) * static_cast<float>(1 + random.uniform(-change, change));
        }
    }
    return out;
}

} // namespace

TEST_CASE_TEMPLATE("nearest passes: the best three scores of any shape lie within half the margin", Kernel,
                   nearest_half, nearest_wgmma<1>) {
    if (std::is_same_v<Kernel, nearest_wgmma<1>> && !test::has_body<nearest_wgmma<1>>()) {
        MESSAGE("skipped: not compiled for this device");
        return;
    }
    TEST_RANDOM(random, 801);
    struct shape {
        index_t rows, cols, clusters;
    };
    for (const shape& size : std::vector<shape>{{1, 1, 1},
                                                {2, 15, 2},
                                                {127, 16, 127},
                                                {128, 17, 128},
                                                {129, 32, 129},
                                                {5, 33, 257},
                                                {130, 64, 65},
                                                {3, 4096, 3},
                                                {257, 1, 3},
                                                {20, 128, 300},
                                                {20, 256, 300},
                                                {140, 257, 140},
                                                {130, 320, 129}}) {
        const index_t rows = size.rows, cols = size.cols,
                      clusters = size.clusters;              // clang captures no parts of a binding
        for (const double scale : {1.0, 1e-30, 1e30, 0.0}) { // 0: half precision holds them, sums alone err
            if (scale != 1 && rows * cols * clusters > index_t{1} << 19) {
                continue;
            }
            INFO("N = ", rows, " C = ", cols, " K = ", clusters, " scale ", scale);
            auto x = random.normal_matrix<float>(rows, cols);
            auto centroids = random.normal_matrix<float>(clusters, cols);
            for (auto* values : {&x, &centroids}) {
                for_each_value(*values, [&](float value) {
                    return scale == 0 ? from_half(to_half(value)) : value * static_cast<float>(scale);
                });
            }

            const auto passes = trace_passes<Kernel>(x, centroids);

            CHECK(worst_score(x, centroids, passes.in_half, passes.margin, passes.unit) <= 1);
        }
    }
}

TEST_CASE("nearest passes: the margin holds where all roundings go the same way, and is not far above them") {
    // Values just below the middle of two in half precision, the largest error that rounding makes: 2^-11 of them.
    constexpr float up = 0x1p-11F - 0x1p-23F;
    for (const bool row_rounds : {true, false}) {
        for (const bool centroid_rounds : {true, false}) {
            test::matrix<float> x(3, 32);
            test::matrix<float> centroids(2, 32);
            for (index_t j = 0; j < 32; ++j) {
                for (index_t i = 0; i < 3; ++i) {
                    x(i, j) = row_rounds ? 1 + up : 1;
                }
                centroids(0, j) = centroid_rounds ? 1 + up : 1;
            }

            const auto passes = trace_passes(x, centroids);

            const double error = worst_score(x, centroids, passes.in_half, passes.margin, passes.unit);
            CAPTURE(row_rounds);
            CAPTURE(centroid_rounds);
            CHECK(error <= 1);
            CHECK(error > (row_rounds || centroid_rounds ? 0.9 : -1));
        }
    }
}

TEST_CASE("nearest passes: rows that half precision misleads get the right label") {
    TEST_RANDOM(random, 803);
    for (const index_t copies : {2, 3}) { // of each centroid, which differ by less than half precision tells
        CAPTURE(copies);
        const auto x = random.normal_matrix<float>(150, 40);
        const auto centroids = near_copies(random, random.normal_matrix<float>(141 / copies, 40), copies, 1e-4);
        device_backend be;
        const auto exact = test::assign_rows(be, x, centroids, false);
        const auto passes = trace_passes(x, centroids);

        int misled = 0;
        for (std::size_t i = 0; i < 150; ++i) {
            misled += passes.in_half[i].label[0] != exact.label[i] ? 1 : 0;
        }
        CHECK(misled > 10); // or nothing was tested
        check_labels(x, centroids);
    }
}

TEST_CASE("nearest passes: half precision leaves one label, or two, or more") {
    TEST_RANDOM(random, 804);
    const auto [x, centres, label] = random.clustered<float>(200, 24, 140, 0.05);

    const auto clear = trace_passes(x, centres);
    CHECK(clear.list.empty());
    for (std::size_t i = 0; i < 200; ++i) {
        CHECK(clear.known[i].label == label[i]);
        CHECK(clear.known[i].other == label[i]);
    }
    check_labels(x, centres);

    auto mixed = x; // every seventh row lies near the middle of two centres
    for (index_t i = 3; i < 200; i += 7) {
        for (index_t j = 0; j < 24; ++j) {
            mixed(i, j) = (centres(i % 140, j) + centres((i + 1) % 140, j)) / 2;
        }
    }
    const auto some = trace_passes(mixed, centres);
    int pairs = 0;
    for (index_t i = 0; i < 200; ++i) {
        const choice& known = some.known[static_cast<std::size_t>(i)];
        const auto one = static_cast<label_t>(i % 140);
        const auto two = static_cast<label_t>((i + 1) % 140);
        const bool is_pair = (known.label == one && known.other == two) || (known.label == two && known.other == one);
        pairs += is_pair ? 1 : 0;
        CHECK((i % 7 == 3 || known.label == known.other)); // of the middle ones a third centre may be as near
    }
    CHECK(pairs > 10);
    CHECK(some.list.size() < 5);
    check_labels(mixed, centres);

    const auto twice = near_copies(random, centres, 2, 0);
    CHECK(trace_passes(x, twice).list.empty());
    check_labels(x, twice);
    const auto thrice = near_copies(random, centres, 3, 0);
    CHECK(trace_passes(x, thrice).list == all_rows(200));
    check_labels(x, thrice);
}

TEST_CASE("nearest passes: half precision leaves few directions in doubt") {
    TEST_RANDOM(random, 812);
    auto x = random.normal_matrix<float>(400, 32);
    auto centroids = random.normal_matrix<float>(600, 32);
    for (auto* values : {&x, &centroids}) {
        for (index_t i = 0; i < values->rows(); ++i) {
            double squares = 0;
            for (index_t j = 0; j < 32; ++j) {
                squares += std::pow(static_cast<double>((*values)(i, j)), 2);
            }
            for (index_t j = 0; j < 32; ++j) {
                (*values)(i, j) /= static_cast<float>(std::sqrt(squares));
            }
        }
    }

    const auto passes = trace_passes(x, centroids);

    const auto has_two = [](const choice& known) { return known.other != known.label; };
    const auto doubtful = std::count_if(passes.known.begin(), passes.known.end(), has_two);
    MESSAGE(doubtful, " of 400 rows are left more than one label, ", passes.list.size(), " more than two");
    CHECK(doubtful < 30);
    CHECK(passes.list.size() < 5);
    check_labels(x, centroids);
}

TEST_CASE("nearest passes: TF32 leaves one label, or two, or more, where half precision leaves more than two") {
    TEST_RANDOM(random, 810);
    int one = 0;
    int two = 0;
    for (const index_t rows : {1, 2, 3, 60, 130}) {
        const auto x = random.normal_matrix<float>(rows, 24);
        const auto centroids = near_copies(random, random.normal_matrix<float>(40, 24), 3, 2e-3);

        const auto passes = trace_passes(x, centroids);

        for (const index_t i : passes.list) {
            const auto at = static_cast<std::size_t>(i);
            const auto& [score, label] = passes.in_tf32[at];
            const choice& again = passes.again[at];
            const choice expected = choose({score[0], score[1], score[2], label[0], label[1]}, passes.margin_again[at]);
            CHECK(again.label == expected.label);
            CHECK(again.other == expected.other);
            one += again.other == again.label ? 1 : 0;
            two += again.other >= 0 && again.other != again.label ? 1 : 0;
        }
        check_labels(x, centroids);
    }
    CHECK(one > 50);
    CHECK(two > 5);
}

TEST_CASE("nearest passes: centroids with NaN are nearest to nothing and draw no row into doubt") {
    TEST_RANDOM(random, 811);
    auto [x, centres, label] = random.clustered<float>(200, 24, 150, 0.05);
    centres(0, 20) = centres(43, 0) = std::numeric_limits<float>::quiet_NaN();

    const auto passes = trace_passes(x, centres);

    for (std::size_t i = 0; i < 200; ++i) {
        if (i % 150 != 0 && i % 150 != 43) {
            CHECK(passes.known[i].label == label[i]);
            CHECK(passes.known[i].other == label[i]);
        }
    }
    check_labels(x, centres);
}

TEST_CASE("nearest passes: rows in doubt get scores of split values, whatever number of slices makes them") {
    TEST_RANDOM(random, 805);
    struct shape {
        index_t rows, clusters;
    };
    // Slices: 1; as many as tiles of centroids; 2 of 3 tiles; and with more rows than spare blocks, 1.
    for (const shape& size : std::vector<shape>{{3, 5}, {70, 333}, {2700, 130}, {4200, 70}}) {
        const index_t rows = size.rows, clusters = size.clusters;
        CAPTURE(rows);
        auto x = random.normal_matrix<float>(rows, 3);
        auto centroids = random.normal_matrix<float>(clusters, 3);
        for (index_t j = 0; j < 3; ++j) {
            centroids(clusters - 1, j) =
                3; // the best one of all rows, and two neighbours are as good in half precision
            centroids(clusters - 2, j) = 3 + 0x1p-20F;
            centroids(clusters - 3, j) = 3 + 0x1p-19F;
        }
        for_each_value(x, [](float value) { return value + 6; });

        const auto passes = trace_passes(x, centroids);

        CHECK(passes.list == all_rows(rows));
        CHECK(worst_score(x, centroids, passes.in_tf32, passes.margin_again, passes.unit) <= 1);
        check_labels(x, centroids);
    }
}

TEST_CASE("nearest passes: scores of split values lie within half the margin for any number of columns") {
    TEST_RANDOM(random, 813);
    for (const index_t cols : {1, 31, 65, 128, 700}) {
        for (const bool all_positive : {false, true}) { // then all that is cut off adds up
            INFO("C = ", cols, " positive ", all_positive);
            auto x = random.normal_matrix<float>(30, cols);
            auto centroids = near_copies(random, random.normal_matrix<float>(25, cols), 3, 0);
            for (auto* values : {&x, &centroids}) {
                for_each_value(*values, [&](float value) { return all_positive ? std::abs(value) : value; });
            }

            const auto passes = trace_passes(x, centroids);

            CHECK(passes.list == all_rows(30));
            const double worst = worst_score(x, centroids, passes.in_tf32, passes.margin_again, passes.unit);
            MESSAGE("C = ", cols, ": errors of up to ", worst, " of what the margin allows");
            CHECK(worst <= 1);
        }
    }
}

TEST_CASE("nearest passes: the fast search takes what half precision names, within the stated error") {
    TEST_RANDOM(random, 807);
    const auto x = random.normal_matrix<float>(150, 40);
    const auto centroids = near_copies(random, random.normal_matrix<float>(70, 40), 2, 1e-4);
    device_backend fast({.search = nearest_search::fast});
    device_backend exact;
    const auto passes = trace_passes(x, centroids);

    const auto actual = test::assign_rows(fast, x, centroids, false);
    const auto expected = test::assign_rows(exact, x, centroids, false);

    CHECK(actual.label != expected.label); // or nothing was tested
    const auto norm = [](const test::matrix<float>& values, index_t i) {
        double squares = 0;
        for (index_t j = 0; j < values.cols(); ++j) {
            squares += std::pow(static_cast<double>(values(i, j)), 2);
        }
        return std::sqrt(squares);
    };
    double longest = 0;
    for (index_t k = 0; k < 140; ++k) {
        longest = std::max(longest, norm(centroids, k));
    }
    double largest = 0;
    for (const float value : x.storage()) {
        largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
    for (std::size_t i = 0; i < 150; ++i) {
        CHECK(actual.label[i] == passes.in_half[i].label[0]);
        const double length = norm(x, static_cast<index_t>(i));
        const double both = length + longest;
        const double stated =
            (length / 256 + (40 + 64) * 0x1p-19 * both) * longest + std::sqrt(40.0) * 0x1p-20 * largest * both;
        const double margin = passes.unit * static_cast<double>(passes.margin[i]);
        CHECK(actual.squared_distance[i] <= expected.squared_distance[i] + 2 * margin);
        CHECK(2 * margin <= stated);
    }
    const auto clear = random.clustered<float>(200, 24, 20, 0.05);
    CHECK(test::assign_rows(fast, clear.features, clear.centres, true).label == clear.label);
}

#ifdef PROTONCE_TEST_EMULATED_CUDA
TEST_CASE("nearest passes: warp groups find the same on every schedule, and rows in doubt as usual") {
    TEST_RANDOM(random, 809);
    test::emulated_cuda<float> be({.has_warp_groups = true});
    for (const index_t cols : {70, 300}) {
        CAPTURE(cols);
        const auto x = random.normal_matrix<float>(140, cols);
        auto centroids = random.normal_matrix<float>(260, cols);
        for (index_t j = 0; j < cols; ++j) {
            centroids(200, j) = centroids(17, j);
        }
        reference_backend<float> reference;
        const auto expected = test::assign_rows(reference, x, centroids, true);

        for (const auto& schedule : emulator::schedules()) {
            emulator::active_schedule = schedule;
            CHECK(test::assign_rows(be, x, centroids, true) == expected);
        }
        emulator::active_schedule = {};
    }
}
#endif

TEST_CASE("nearest passes: recorded once, they find the rows in doubt anew at each replay") {
    TEST_RANDOM(random, 808);
    test::recording<float> tape;
    const auto x = random.normal_matrix<float>(140, 7);
    const auto centroids = random.normal_matrix<float>(30, 7);
    const auto thrice = near_copies(random, random.normal_matrix<float>(10, 7), 3, 0); // all rows are in doubt
    using B = test::recording<float>::backend;
    placed<B, float> features(tape.be, x), c(tape.be, centroids);
    auto label = placed<B, label_t>::unwritten(tape.be, 140);
    auto index = tape.be.index_rows(features.rows(), true);
    const auto assign = [&] { tape.be.nearest_row(index, c.rows(), label.vector(), {}); };
    assign();
    tape.record(assign);

    reference_backend<float> reference;
    for (const test::matrix<float>* now : std::vector<const test::matrix<float>*>{&centroids, &thrice, &centroids}) {
        tape.be.write(view_vector(now->storage()), c.vector());
        tape.replay();
        CHECK(label.values() == test::assign_rows(reference, x, *now, true).label);
    }
}

// SPDX-License-Identifier: MIT
#include <device/emulator/kernels.hpp>
#include <support/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

using test::launch_calling;
namespace cuda = test::cuda;

namespace {

/// Calls `body` on every schedule that tests run on.
template <class F>
void on_every_schedule(const F& body) {
    for (const emulator::schedule& one : emulator::schedules()) {
        CAPTURE(static_cast<int>(one.warps));
        CAPTURE(one.seed);
        emulator::active_schedule = one;
        body();
    }
    emulator::active_schedule = {};
}

/// Whole numbers, whose sums are exact in any order.
template <class T>
std::vector<T> whole_numbers(std::uint64_t seed, std::size_t size) {
    test::random_source random(seed);
    std::vector<T> out;
    for (std::size_t i = 0; i < size; ++i) {
        out.push_back(static_cast<T>(random.integer(201) - 100));
    }
    return out;
}

/// The number of schedules on which a mistake shows: run() returns false or ends in a fault.
template <class F>
int schedules_that_catch(const F& run) {
    int out = 0;
    on_every_schedule([&] {
        try {
            out += run() ? 0 : 1;
        } catch (const emulator::fault&) {
            ++out;
        }
    });
    return out;
}

template <test::bug planted>
bool block_sums_are_right() {
    const auto in = whole_numbers<float>(1, 3 * 128);
    std::vector<float> out(3), expected(3);
    for (std::size_t block = 0; block < 3; ++block) {
        const auto* begin = in.data() + 128 * block;
        expected[block] = std::accumulate(begin, begin + 128, 0.0f);
    }

    emulator::launch(3, 1, 128 * sizeof(float), test::block_sum<planted>{in.data(), out.data()});

    return out == expected;
}

template <class T, test::bug planted>
bool warp_sums_are_right() {
    const auto in = whole_numbers<T>(2, 64);
    std::vector<T> out(64), expected(64);
    for (std::size_t i = 0; i < 64; ++i) {
        const auto* begin = in.data() + i / 32 * 32;
        expected[i] = std::accumulate(begin, begin + 32, T{});
    }

    emulator::launch(1, 1, 0, test::warp_sum<T, planted>{in.data(), out.data()});

    return out == expected;
}

template <test::bug planted>
bool warps_are_reversed() {
    const auto in = whole_numbers<int>(3, 64);
    auto expected = in;
    std::reverse(expected.begin(), expected.begin() + 32);
    std::reverse(expected.begin() + 32, expected.end());
    std::vector<int> out(64);

    emulator::launch(1, 1, 64 * sizeof(int), test::warp_reversal<planted>{in.data(), out.data()});

    return out == expected;
}

template <test::bug planted>
bool columns_are_summed() {
    using kernel = test::pipeline<planted>;
    constexpr std::size_t steps = 5, cols = kernel::cols;
    struct alignas(16) table {
        float values[steps * cols];
    };
    const auto in = std::make_unique<table>();
    const auto values = whole_numbers<float>(4, steps * cols);
    std::copy(values.begin(), values.end(), in->values);
    std::vector<float> out(cols), expected(cols);
    for (std::size_t i = 0; i < steps * cols; ++i) {
        expected[i % cols] += values[i];
    }

    emulator::launch(1, 1, kernel::shared_bytes, kernel{in->values, out.data(), static_cast<int>(steps)});

    return out == expected;
}

template <test::bug planted>
bool tile_product_is_right() {
    const auto a = whole_numbers<float>(5, 128), b = whole_numbers<float>(6, 64), c = whole_numbers<float>(7, 128);
    auto out = c, expected = c;
    for (std::size_t i = 0; i < 128; ++i) {
        for (std::size_t k = 0; k < 8; ++k) {
            expected[i] += a[i / 8 * 8 + k] * b[8 * k + i % 8];
        }
    }

    emulator::launch(1, 1, 0, test::tile_product<planted>{a.data(), b.data(), out.data()});

    return out == expected;
}

} // namespace

TEST_CASE("emulator: kernels that are right give the right result on every schedule") {
    on_every_schedule([] {
        CHECK(block_sums_are_right<test::bug::none>());
        CHECK(warp_sums_are_right<float, test::bug::none>());
        CHECK(warp_sums_are_right<double, test::bug::none>());
        CHECK(warp_sums_are_right<std::int32_t, test::bug::none>());
        CHECK(warp_sums_are_right<std::int64_t, test::bug::none>());
        CHECK(warps_are_reversed<test::bug::none>());
        CHECK(columns_are_summed<test::bug::none>());
        CHECK(tile_product_is_right<test::bug::none>());
    });
}

TEST_CASE("emulator: a missing barrier, wait or swapped fragment shows on a schedule") {
    CHECK(schedules_that_catch(block_sums_are_right<test::bug::no_barrier>) > 0);
    CHECK(schedules_that_catch(warps_are_reversed<test::bug::no_barrier>) > 0);
    CHECK(schedules_that_catch(columns_are_summed<test::bug::no_second_barrier>) > 0);
    CHECK(schedules_that_catch(columns_are_summed<test::bug::no_wait>) > 0);
    CHECK(schedules_that_catch(columns_are_summed<test::bug::no_barrier_after_wait>) > 0);
    CHECK(schedules_that_catch(tile_product_is_right<test::bug::swapped_fragment>) > 0);
}

TEST_CASE("emulator: what depends on no order shows on every schedule") {
    const int all = static_cast<int>(emulator::schedules().size());

    CHECK(schedules_that_catch(block_sums_are_right<test::bug::unwritten>) == all);
    CHECK(schedules_that_catch(columns_are_summed<test::bug::no_wait>) == all);
    CHECK(schedules_that_catch(columns_are_summed<test::bug::no_last_wait>) == all);
    CHECK(schedules_that_catch(columns_are_summed<test::bug::one_stage>) == all);
    CHECK(schedules_that_catch(warp_sums_are_right<float, test::bug::divergent>) == all);
    CHECK(schedules_that_catch(warps_are_reversed<test::bug::divergent>) == all);
    CHECK(schedules_that_catch(tile_product_is_right<test::bug::swapped_fragment>) == all);
}

TEST_CASE("emulator: every thread of every block runs once and knows where it is") {
    on_every_schedule([] {
        std::vector<int> runs(3 * 2 * 64), counts;

        launch_calling<64>(
            0,
            [&] {
                const int block = cuda::block_index_y() * 3 + cuda::block_index();
                ++runs[static_cast<std::size_t>(block * 64 + cuda::thread_index())];
                counts.push_back(cuda::block_count());
            },
            3, 2);

        CHECK(runs == std::vector<int>(3 * 2 * 64, 1));
        CHECK(counts == std::vector<int>(3 * 2 * 64, 3));
    });
}

TEST_CASE("emulator: a schedule is the order of blocks, warps and lanes") {
    const auto order_of = [](const emulator::schedule& schedule) {
        emulator::active_schedule = schedule;
        std::vector<int> out;
        launch_calling<64>(
            0, [&] { out.push_back(64 * cuda::block_index() + cuda::thread_index()); }, 2);
        emulator::active_schedule = {};
        return out;
    };
    using emulator::order;
    std::vector<int> rising(128);
    std::iota(rising.begin(), rising.end(), 0);
    const std::vector<int> falling(rising.rbegin(), rising.rend());

    CHECK(order_of({}) == rising);
    CHECK(order_of({order::backward, order::backward, 0}) == falling);
    CHECK(order_of({order::backward, order::forward, 0}).front() == 96);
    const auto random = order_of({order::random, order::random, 1});
    CHECK(std::is_permutation(random.begin(), random.end(), rising.begin(), rising.end()));
    CHECK(random == order_of({order::random, order::random, 1}));
    CHECK(random != order_of({order::random, order::random, 2}));
}

TEST_CASE("emulator: shared memory is aligned, and NaN at the begin of every block") {
    on_every_schedule([] {
        int nans = 0, aligned = 0;

        launch_calling<32>(
            36,
            [&] {
                auto* shared = test::shared_array<float>();
                aligned += reinterpret_cast<std::uintptr_t>(shared) % 128 == 0 ? 1 : 0;
                cuda::sync_block();
                if (cuda::thread_index() < 9) {
                    nans += std::isnan(shared[cuda::thread_index()]) ? 1 : 0;
                    shared[cuda::thread_index()] = 1;
                }
            },
            2);

        CHECK(nans == 2 * 9);
        CHECK(aligned == 2 * 32);
    });
}

TEST_CASE("emulator: wait_copies ends the oldest groups of this thread, and no others") {
    alignas(16) static constexpr float in[4] = {1, 2, 3, 4};
    std::vector<float> seen;

    launch_calling<32>(32 * 32, [&] {
        float* to = test::shared_array<float>() + 8 * cuda::thread_index();
        cuda::copy_async_16(to, in, true);
        cuda::commit_copies();
        cuda::commit_copies(); // of nothing, and a group
        cuda::copy_async_16(to + 4, in, false);
        cuda::commit_copies();
        const auto see = [&] {
            seen.insert(seen.end(), {std::isnan(to[3]) ? -1 : to[3], std::isnan(to[7]) ? -1 : to[7]});
        };
        if (cuda::thread_index() == 0) {
            see();
            cuda::wait_copies<3>();
            see();
            cuda::wait_copies<2>();
            see();
            cuda::wait_copies<1>();
            see();
        }
        cuda::wait_copies<0>();
        if (cuda::thread_index() == 0) {
            see();
        }
    });

    CHECK(seen == std::vector<float>{-1, -1, -1, -1, 4, -1, 4, -1, 4, 0});
}

TEST_CASE("emulator: TF32 has 10 bits of mantissa, rounded to nearest with ties away from zero") {
    const auto rounded = [](float value) { return std::bit_cast<float>(cuda::to_tf32(value)); };
    const float infinity = std::numeric_limits<float>::infinity();

    CHECK(rounded(1 + 0x1p-10f) == 1 + 0x1p-10f);
    CHECK(rounded(1 + 0x1p-11f) == 1 + 0x1p-10f);
    CHECK(rounded(-1 - 0x1p-11f) == -1 - 0x1p-10f);
    CHECK(rounded(1 + 0x1p-11f - 0x1p-23f) == 1);
    CHECK(rounded(infinity) == infinity);
    CHECK(std::isnan(rounded(std::bit_cast<float>(0xffffffffu))));
    CHECK(std::isnan(rounded(std::bit_cast<float>(0x7fffffffu))));
}

TEST_CASE("emulator: a tile product cuts operands that are not rounded, and keeps NaN in its row") {
    std::vector<float> out(32 * 4);

    launch_calling<32>(0, [&] {
        const std::uint32_t one = std::bit_cast<std::uint32_t>(1.0f);
        const std::uint32_t nan = std::bit_cast<std::uint32_t>(std::numeric_limits<float>::quiet_NaN());
        const std::uint32_t a[4] = {one + 0x1fffu, one + 0x1fffu, one, cuda::thread_index() == 31 ? nan : one};
        const std::uint32_t b[2] = {one, one};
        float c[4] = {};
        cuda::multiply_add_tf32(c, a, b);
        std::copy(c, c + 4, out.begin() + 4 * cuda::thread_index());
    });

    for (std::size_t i = 0; i < out.size(); ++i) {
        const bool is_last_row = i / 4 >= 28 && i % 4 >= 2; // row 15 is of g = 7, elements 2 and 3
        CHECK((is_last_row ? std::isnan(out[i]) : out[i] == 8));
    }
}

TEST_CASE("emulator: host threads launch at the same time, each on its own schedule") {
    std::vector<int> right(4);
    std::vector<std::thread> threads;

    for (std::size_t i = 0; i < right.size(); ++i) {
        threads.emplace_back([&right, i] {
            emulator::active_schedule = emulator::schedules()[i];
            for (int run = 0; run < 10; ++run) {
                right[i] += block_sums_are_right<test::bug::none>() && columns_are_summed<test::bug::none>() ? 1 : 0;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }

    CHECK(right == std::vector<int>(4, 10));
}

// SPDX-License-Identifier: MIT
// Each function of a thread (backend/cuda/thread.hpp) by itself: under the emulator, and on a GPU, where this is the test of the
// wrappers around instructions. Expected values come from plain arithmetic on the host.
#include <device/device_run.hpp>
#include <support/conformance.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

using namespace protonce;
using namespace protonce::detail::cuda;
using test::device_backend;
using test::device_run;
using test::placed;

namespace {

struct rounding_kernel {
    static constexpr int threads = 32;
    const float* in;
    float* out;

    PROTONCE_DEVICE void operator()() const {
        const int i = block_index() * threads + thread_index();
        out[i] = __builtin_bit_cast(float, to_tf32(in[i]));
    }
};

/// Nearest, ties away from zero, to 10 bits of mantissa.
float rounded_to_tf32(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    return std::bit_cast<float>((bits + 0x1000u) & ~0x1fffu);
}

struct power_kernel {
    static constexpr int threads = 32;
    const float* in;
    float* out;

    PROTONCE_DEVICE void operator()() const {
        const int i = block_index() * threads + thread_index();
        out[i] = power_of_two(in[i]);
    }
};

template <class U>
struct shuffle_kernel {
    static constexpr int threads = 64;
    int mask;
    U* out;

    PROTONCE_DEVICE void operator()() const {
        const int i = thread_index();
        out[i] = shuffle_xor(static_cast<U>(3 * i + 1), mask);
    }
};

struct any_kernel {
    static constexpr int threads = 64;
    int lane; // of the second warp
    bool* out;

    PROTONCE_DEVICE void operator()() const { out[thread_index()] = any_of_warp(thread_index() == 32 + lane); }
};

struct copy_kernel {
    static constexpr int threads = 64;
    const float* in;
    float* out;

    /// Even threads copy, odd ones get zeros; each reads what its neighbour fetched.
    PROTONCE_DEVICE void operator()() const {
        auto* shared = reinterpret_cast<float*>(shared_memory());
        const int i = thread_index();
        copy_async_16(shared + 4 * i, in + 4 * i, i % 2 == 0);
        commit_copies();
        copy_async_16(shared + 4 * (threads + i), in + 4 * i, true);
        commit_copies();
        wait_copies<1>();
        sync_block();
        for (int c = 0; c < 4; ++c) {
            out[4 * i + c] = shared[4 * ((i + 1) % threads) + c];
        }
        wait_copies<0>();
        sync_block();
        for (int c = 0; c < 4; ++c) {
            out[4 * (threads + i) + c] = shared[4 * (threads + (i + 33) % threads) + c];
        }
    }
};

struct counting_kernel {
    static constexpr int threads = 64;
    index_t* counter;
    index_t* before;

    PROTONCE_DEVICE void operator()() const {
        before[block_index() * threads + thread_index()] = fetch_add(counter, 1 + thread_index() % 2);
    }
};

/// c += a b with a of 16 x depth, b of depth x 8: one of them a block.
struct tf32_product {
    static constexpr int depth = 8;

    PROTONCE_DEVICE static void multiply(const float* a, const float* b, int g, int t, float (&sum)[4]) {
        const std::uint32_t rows[4] = {to_tf32(a[g * 8 + t]), to_tf32(a[(g + 8) * 8 + t]), to_tf32(a[g * 8 + t + 4]),
                                       to_tf32(a[(g + 8) * 8 + t + 4])};
        const std::uint32_t cols[2] = {to_tf32(b[g * 8 + t]), to_tf32(b[g * 8 + t + 4])};
        multiply_add_tf32(sum, rows, cols);
    }
    static float rounded(float value) { return rounded_to_tf32(value); }
    static constexpr double largest_error = 9 * 0x1p-23; // of the magnitudes
};
/// Of numbers in half precision, two to a register.
struct f16_product {
    static constexpr int depth = 16;

    PROTONCE_DEVICE static void multiply(const float* a, const float* b, int g, int t, float (&sum)[4]) {
        const float* first = a + g * 16 + 2 * t;
        const std::uint32_t rows[4] = {pair(first), pair(first + 8 * 16), pair(first + 8), pair(first + 8 * 16 + 8)};
        const std::uint32_t cols[2] = {pair(b + g * 16 + 2 * t), pair(b + g * 16 + 2 * t + 8)};
        multiply_add_f16(sum, rows, cols);
    }
    PROTONCE_DEVICE static std::uint32_t pair(const float* at) { return to_f16_pair(at[0], at[1]); }
    static float rounded(float value) { return from_half(to_half(value)); }
    static constexpr double largest_error = 18 * 0x1p-23;
};

template <class Product>
struct product_kernel {
    static constexpr int threads = 32;
    const float* a; // (16, depth)
    const float* b; // (8, depth): row n, column k
    const float* c; // (16, 8)
    float* out;     // (16, 8)

    PROTONCE_DEVICE void operator()() const {
        const int g = thread_index() / 4;
        const int t = thread_index() % 4;
        const int at[4] = {g * 8 + 2 * t, g * 8 + 2 * t + 1, (g + 8) * 8 + 2 * t, (g + 8) * 8 + 2 * t + 1};
        float sum[4];
        for (int e = 0; e < 4; ++e) {
            sum[e] = c[block_index() * 128 + at[e]];
        }
        Product::multiply(a + block_index() * 16 * Product::depth, b + block_index() * 8 * Product::depth, g, t, sum);
        for (int e = 0; e < 4; ++e) {
            out[block_index() * 128 + at[e]] = sum[e];
        }
    }
};

struct products {
    std::vector<float> a, b, c, out;
};

template <class Product>
products run_products(test::random_source& random, index_t count, bool whole, double scale_of_c) {
    products in;
    const auto value = [&] {
        return whole ? static_cast<float>(random.integer(9) - 4)
                     : Product::rounded(static_cast<float>(random.normal()));
    };
    std::generate_n(std::back_inserter(in.a), count * 16 * Product::depth, value);
    std::generate_n(std::back_inserter(in.b), count * 8 * Product::depth, value);
    std::generate_n(std::back_inserter(in.c), count * 128,
                    [&] { return static_cast<float>(scale_of_c * (whole ? 1 : random.normal())); });
    device_backend be;
    placed<device_backend, float> a(be, in.a), b(be, in.b), c(be, in.c);
    auto out = placed<device_backend, float>::unwritten(be, count * 128);
    device_run().launch(
        count, 0,
        product_kernel<Product>{a.vector().data(), b.vector().data(), c.vector().data(), out.vector().data()});
    in.out = out.values();
    return in;
}

/// compare(actual, expected, sum of magnitudes) for each element.
template <class Product, class F>
void for_each_product(const products& p, std::size_t count, const F& compare) {
    constexpr std::size_t depth = Product::depth;
    for (std::size_t at = 0; at < count * 128; ++at) {
        const std::size_t block = at / 128;
        double expected = static_cast<double>(p.c[at]);
        double magnitude = std::abs(expected);
        for (std::size_t k = 0; k < depth; ++k) {
            const double term = static_cast<double>(p.a[block * 16 * depth + at % 128 / 8 * depth + k]) *
                                static_cast<double>(p.b[block * 8 * depth + at % 8 * depth + k]);
            expected += term;
            magnitude += std::abs(term);
        }
        compare(static_cast<double>(p.out[at]), expected, magnitude);
    }
}

} // namespace

TEST_CASE("cuda instructions: rounding to TF32") {
    TEST_RANDOM(random, 701);
    std::vector<float> values{0.0F,
                              -0.0F,
                              1.0F,
                              1.0F + 0x1p-11F,
                              1.0F + 0x1p-10F,
                              -1.0F - 0x1p-11F,
                              1.0F + 0x1p-12F,
                              2.0F - 0x1p-23F,
                              0x1p-126F,
                              0x1p-140F,
                              0x1p120F};
    while (values.size() < 512) {
        values.push_back(static_cast<float>(random.normal() * std::exp2(random.uniform(-60, 60))));
    }
    device_backend be;
    placed<device_backend, float> in(be, values);
    auto out = placed<device_backend, float>::unwritten(be, 512);

    device_run().launch(16, 0, rounding_kernel{in.vector().data(), out.vector().data()});

    const auto actual = out.values();
    for (std::size_t i = 0; i < values.size(); ++i) {
        CAPTURE(values[i]);
        CHECK(actual[i] == rounded_to_tf32(values[i]));
    }
}

TEST_CASE("cuda instructions: powers of two") {
    constexpr float inf = std::numeric_limits<float>::infinity();
    TEST_RANDOM(random, 705);
    std::vector<float> values{-127, -200, -inf, inf, std::numeric_limits<float>::quiet_NaN()};
    const std::size_t special = values.size();
    for (const float whole : {0.0F, 1.0F, -1.0F, 127.0F, -125.0F}) {
        values.push_back(whole);
    }
    while (values.size() < 2048) {
        values.push_back(static_cast<float>(random.uniform(-125, 127)));
    }
    device_backend be;
    placed<device_backend, float> in(be, values);
    auto out = placed<device_backend, float>::unwritten(be, 2048);

    device_run().launch(2048 / power_kernel::threads, 0, power_kernel{in.vector().data(), out.vector().data()});

    const auto actual = out.values();
    CHECK(actual[0] == 0);
    CHECK(actual[1] == 0);
    CHECK(actual[2] == 0);
    CHECK(actual[3] == inf);
    CHECK(std::isnan(actual[4]));
    double worst = 0;
    for (std::size_t i = special; i < values.size(); ++i) {
        const double expected = std::exp2(static_cast<double>(values[i]));
        worst = std::max(worst, std::abs(static_cast<double>(actual[i]) - expected) / expected);
    }
    CHECK(worst <= 0x1p-22);
}

TEST_CASE_TEMPLATE("cuda instructions: shuffles", U, float, double, int, index_t) {
    device_backend be;
    for (const int mask : {1, 2, 4, 8, 16, 31}) {
        buffer<U, device> memory(be.memory(), 64);
        device_run().launch(1, 0, shuffle_kernel<U>{mask, memory.view().data()});
        std::vector<U> out(64);
        device_run().read(memory.view().data(), out.data(), 64);

        CAPTURE(mask);
        for (int i = 0; i < 64; ++i) {
            CHECK(out[static_cast<std::size_t>(i)] == static_cast<U>(3 * (i ^ mask) + 1));
        }
    }
}

TEST_CASE("cuda instructions: any lane of the warp, and of no other") {
    device_backend be;
    for (const int lane : {0, 13, 31}) {
        buffer<bool, device> memory(be.memory(), 64);
        device_run().launch(1, 0, any_kernel{lane, memory.view().data()});
        bool any[64];
        be.read(vector_view<const bool, device>(memory.view()), vector_view<bool>(any, 64));
        for (int i = 0; i < 64; ++i) {
            CHECK(any[i] == (i >= 32));
        }
    }
}

TEST_CASE("cuda instructions: asynchronous copies, groups, and zeros where nothing is to be read") {
    std::vector<float> values;
    for (int i = 0; i < 256; ++i) {
        values.push_back(static_cast<float>(i + 1));
    }
    device_backend be;
    placed<device_backend, float> in(be, values);
    auto out = placed<device_backend, float>::unwritten(be, 512);

    device_run().launch(1, 2 * 256 * sizeof(float), copy_kernel{in.vector().data(), out.vector().data()});

    const auto actual = out.values();
    for (int i = 0; i < 64; ++i) {
        for (int c = 0; c < 4; ++c) {
            const int neighbour = (i + 1) % 64;
            const auto at = [&](int j) { return static_cast<float>(4 * j + c + 1); };
            CHECK(actual[static_cast<std::size_t>(4 * i + c)] == (neighbour % 2 == 0 ? at(neighbour) : 0.0F));
            CHECK(actual[static_cast<std::size_t>(256 + 4 * i + c)] == at((i + 33) % 64));
        }
    }
}

TEST_CASE("cuda instructions: a counter counts every thread once") {
    device_backend be;
    placed<device_backend, index_t> counter(be, std::vector<index_t>{index_t{1} << 40});
    auto before = placed<device_backend, index_t>::unwritten(be, 640);

    device_run().launch(10, 0, counting_kernel{counter.vector().data(), before.vector().data()});

    auto seen = before.values();
    std::sort(seen.begin(), seen.end());
    CHECK(counter.values()[0] == (index_t{1} << 40) + 320 + 2 * 320);
    CHECK(seen[0] == index_t{1} << 40);
    for (std::size_t i = 1; i < seen.size(); ++i) {
        CHECK(seen[i] - seen[i - 1] >= 1);
        CHECK(seen[i] - seen[i - 1] <= 2);
    }
}

TEST_CASE_TEMPLATE("cuda instructions: a product of tiles, exact for whole numbers", Product, tf32_product,
                   f16_product) {
    TEST_RANDOM(random, 702);
    const auto p = run_products<Product>(random, 20, true, 5);
    for_each_product<Product>(p, 20, [](double actual, double expected, double) { CHECK(actual == expected); });
}

TEST_CASE_TEMPLATE("cuda instructions: a product of tiles adds within what margins assume", Product, tf32_product,
                   f16_product) {
    TEST_RANDOM(random, 703);
    double worst = 0; // in units of the sum of magnitudes
    for (const double scale : {0.0, 0.1, 1.0, 30.0, 1000.0}) {
        const auto p = run_products<Product>(random, 200, false, scale);
        for_each_product<Product>(p, 200, [&](double actual, double expected, double magnitude) {
            worst = std::max(worst, std::abs(actual - expected) / magnitude);
        });
    }
    MESSAGE("largest error of an instruction: 2^", std::log2(worst), " of the magnitudes");
    CHECK(worst <= Product::largest_error);
    CHECK(worst > 0);
}

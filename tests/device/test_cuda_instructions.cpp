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

struct product_kernel {
    static constexpr int threads = 32;
    const float* a; // (16, 8)
    const float* b; // (8, 8), row n, column k
    const float* c; // (16, 8)
    float* out;     // (16, 8)

    PROTONCE_DEVICE void operator()() const {
        const int g = thread_index() / 4;
        const int t = thread_index() % 4;
        const float* a_of = a + block_index() * 128;
        const float* b_of = b + block_index() * 64;
        const std::uint32_t rows[4] = {to_tf32(a_of[g * 8 + t]), to_tf32(a_of[(g + 8) * 8 + t]),
                                       to_tf32(a_of[g * 8 + t + 4]), to_tf32(a_of[(g + 8) * 8 + t + 4])};
        const std::uint32_t cols[2] = {to_tf32(b_of[g * 8 + t]), to_tf32(b_of[g * 8 + t + 4])};
        const int at[4] = {g * 8 + 2 * t, g * 8 + 2 * t + 1, (g + 8) * 8 + 2 * t, (g + 8) * 8 + 2 * t + 1};
        float sum[4];
        for (int e = 0; e < 4; ++e) {
            sum[e] = c[block_index() * 128 + at[e]];
        }
        multiply_add_tf32(sum, rows, cols);
        for (int e = 0; e < 4; ++e) {
            out[block_index() * 128 + at[e]] = sum[e];
        }
    }
};

struct products {
    std::vector<float> a, b, c, out;
};

products run_products(test::random_source& random, index_t count, bool whole, double scale_of_c) {
    products in;
    const auto value = [&] {
        return whole ? static_cast<float>(random.integer(9) - 4) : rounded_to_tf32(static_cast<float>(random.normal()));
    };
    std::generate_n(std::back_inserter(in.a), count * 128, value);
    std::generate_n(std::back_inserter(in.b), count * 64, value);
    std::generate_n(std::back_inserter(in.c), count * 128,
                    [&] { return static_cast<float>(scale_of_c * (whole ? 1 : random.normal())); });
    device_backend be;
    placed<device_backend, float> a(be, in.a), b(be, in.b), c(be, in.c);
    auto out = placed<device_backend, float>::unwritten(be, count * 128);
    device_run().launch(count, 0,
                        product_kernel{a.vector().data(), b.vector().data(), c.vector().data(), out.vector().data()});
    in.out = out.values();
    return in;
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

TEST_CASE("cuda instructions: a product of tiles, exact for whole numbers") {
    TEST_RANDOM(random, 702);
    const auto p = run_products(random, 20, true, 5);
    for (std::size_t block = 0; block < 20; ++block) {
        for (std::size_t i = 0; i < 16; ++i) {
            for (std::size_t n = 0; n < 8; ++n) {
                float expected = p.c[block * 128 + i * 8 + n];
                for (std::size_t k = 0; k < 8; ++k) {
                    expected += p.a[block * 128 + i * 8 + k] * p.b[block * 64 + n * 8 + k];
                }
                CHECK(p.out[block * 128 + i * 8 + n] == expected);
            }
        }
    }
}

TEST_CASE("cuda instructions: a product of tiles adds within 9 * 2^-23 of the magnitudes") {
    TEST_RANDOM(random, 703);
    double worst = 0; // in units of the sum of magnitudes
    for (const double scale : {0.0, 0.1, 1.0, 30.0, 1000.0}) {
        const auto p = run_products(random, 200, false, scale);
        for (std::size_t block = 0; block < 200; ++block) {
            for (std::size_t i = 0; i < 16; ++i) {
                for (std::size_t n = 0; n < 8; ++n) {
                    double expected = static_cast<double>(p.c[block * 128 + i * 8 + n]);
                    double magnitude = std::abs(expected);
                    for (std::size_t k = 0; k < 8; ++k) {
                        const double term = static_cast<double>(p.a[block * 128 + i * 8 + k]) *
                                            static_cast<double>(p.b[block * 64 + n * 8 + k]);
                        expected += term;
                        magnitude += std::abs(term);
                    }
                    const double error = std::abs(static_cast<double>(p.out[block * 128 + i * 8 + n]) - expected);
                    worst = std::max(worst, error / magnitude);
                }
            }
        }
    }
    MESSAGE("largest error of an instruction: 2^", std::log2(worst), " of the magnitudes");
    CHECK(worst <= 9 * 0x1p-23);
    CHECK(worst > 0);
}

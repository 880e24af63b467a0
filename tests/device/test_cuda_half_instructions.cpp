// SPDX-License-Identifier: MIT
// Rounding to half precision, by a thread and in integer arithmetic; test_cuda_instructions.cpp has its product of tiles.
#include <device/device_run.hpp>
#include <support/conformance.hpp>

#include <protonce/backend/cuda/half.hpp>

#include <doctest/doctest.h>

#include <algorithm>
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

/// Two floats become a pair in half precision, and a product with 1 the float of each half.
struct half_kernel {
    static constexpr int threads = 32;
    const float* in; // (blocks, 16)
    float* out;      // (blocks, 16)

    PROTONCE_DEVICE void operator()() const {
        const int g = thread_index() / 4;
        const int t = thread_index() % 4;
        const float* from = in + block_index() * 16;
        // Row 0 of a are the values, b picks column 2t + e of it; two products, for the columns 0 to 7 and 8 to 15.
        for (int part = 0; part < 2; ++part) {
            const auto value = [&](int k) { return g == 0 ? from[k] : 0.0F; };
            const auto one = [&](int k) { return k == part * 8 + g ? 1.0F : 0.0F; };
            const std::uint32_t rows[4] = {part == 0 ? to_f16_pair(value(2 * t), value(2 * t + 1)) : 0, 0,
                                           part == 1 ? to_f16_pair(value(2 * t + 8), value(2 * t + 9)) : 0, 0};
            const std::uint32_t cols[2] = {to_f16_pair(one(2 * t), one(2 * t + 1)),
                                           to_f16_pair(one(2 * t + 8), one(2 * t + 9))};
            float sum[4] = {};
            multiply_add_f16(sum, rows, cols);
            if (g == 0) {
                out[block_index() * 16 + part * 8 + 2 * t] = sum[0];
                out[block_index() * 16 + part * 8 + 2 * t + 1] = sum[1];
            }
        }
    }
};

struct pair_kernel {
    static constexpr int threads = 32;
    float* out; // (1,) the pair's bits

    PROTONCE_DEVICE void operator()() const { out[0] = __builtin_bit_cast(float, to_f16_pair(1.0F, -2.0F)); }
};

/// Nearest, ties to even, to 10 bits of mantissa and steps of 2^-24 at least.
float rounded_to_f16(float value) {
    int exponent = 0;
    std::frexp(value, &exponent);
    const float unit = std::ldexp(1.0F, std::max(exponent - 11, -24));
    const float rounded = std::nearbyint(value / unit) * unit;
    return std::abs(rounded) > 65504 ? std::copysign(std::numeric_limits<float>::infinity(), value) : rounded;
}

} // namespace

TEST_CASE("cuda instructions: rounding to half precision") {
    TEST_RANDOM(random, 704);
    std::vector<float> values{
        0.0F,     1.0F,     1.0F + 0x1p-11F, 1.0F + 0x1.8p-10F, -1.0F - 0x1p-11F, 2.0F - 0x1p-12F, 65504.0F, 65519.0F,
        0x1p-24F, 0x1p-25F, 0x1.8p-25F,      0x1.8p-24F,        0x1.ffcp-15F,     0x1p-15F,        0x1p-30F, -65504.0F};
    while (values.size() < 256) {
        values.push_back(static_cast<float>(random.normal() * std::exp2(random.uniform(-26, 13))));
    }
    device_backend be;
    placed<device_backend, float> in(be, values);
    auto out = placed<device_backend, float>::unwritten(be, 256);

    device_run().launch(16, 0, half_kernel{in.vector().data(), out.vector().data()});

    const auto actual = out.values();
    for (std::size_t i = 0; i < values.size(); ++i) {
        CAPTURE(values[i]);
        CHECK(actual[i] == rounded_to_f16(values[i]));
    }
}

TEST_CASE("cuda instructions: the first of a pair in half precision is the low half") {
    device_backend be;
    auto out = placed<device_backend, float>::unwritten(be, 1);
    device_run().launch(1, 0, pair_kernel{out.vector().data()});
    CHECK(std::bit_cast<std::uint32_t>(out.values()[0]) == 0xc0003c00u);
}

TEST_CASE("cuda instructions: what half precision cannot hold is infinite, and NaN stays") {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    for (const float value : {65520.0F, 1e30F, -1e30F, infinity, std::numeric_limits<float>::quiet_NaN()}) {
        std::vector<float> values(16);
        values[0] = value; // the others are multiplied by it too: 0 times it is NaN
        device_backend be;
        placed<device_backend, float> in(be, values);
        auto out = placed<device_backend, float>::unwritten(be, 16);
        device_run().launch(1, 0, half_kernel{in.vector().data(), out.vector().data()});

        CAPTURE(value);
        CHECK((value == value ? out.values()[0] == std::copysign(infinity, value) : std::isnan(out.values()[0])));
        CHECK(std::isnan(out.values()[1]));
        CHECK(out.values()[8] == 0);
    }
}

TEST_CASE("half precision: each of its numbers, and what lies between two of them") {
    // Neighbours a < b by rising bits: up to the middle it is a, from there on b; at the middle the one with an even last bit.
    for (std::uint16_t bits = 0x0400; bits < 0x7c00; ++bits) {
        const int exponent = bits >> 10;
        const float a = std::ldexp(static_cast<float>(1024 + (bits & 0x3ff)), exponent - 25);
        const float unit = std::ldexp(1.0F, exponent - 25);
        const float middle = a + unit / 2;
        const auto next = static_cast<std::uint16_t>(bits + 1); // above the largest, infinity
        const bool is_right =
            from_half(bits) == a && to_half(a) == bits && to_half(std::nextafter(middle, 0.0F)) == bits &&
            to_half(middle) == (bits % 2 == 0 ? bits : next) && to_half(std::nextafter(middle, 1e6F)) == next &&
            to_half(-a) == (bits | 0x8000) && from_half(bits | 0x8000) == -a;
        if (!is_right) {
            CAPTURE(bits);
            FAIL_CHECK("not rounded to nearest, ties to even");
        }
    }
    constexpr float infinity = std::numeric_limits<float>::infinity();
    for (const float value : {65520.0F, 1e30F, infinity}) {
        CHECK(from_half(to_half(value)) == infinity);
        CHECK(from_half(to_half(-value)) == -infinity);
    }
    CHECK(std::isnan(from_half(to_half(std::numeric_limits<float>::quiet_NaN()))));
    for (const float value : {0.0F, 0x1p-149F, 0x1p-24F, 0x1.fffffep-15F}) { // no subnormal numbers
        CHECK(from_half(to_half(value)) == 0);
        CHECK(from_half(to_half(-value)) == 0);
    }
}

TEST_CASE("half precision: the scale of data of any size is a power of two, and leaves room") {
    for (const float largest : {0x1p-117F, 1e-30F, 0.999F, 1.0F, 3.0F, 0x1.fffffep10F, 1e30F, 0x1.fffffep127F}) {
        CAPTURE(largest);
        const float scale = half_scale(largest);
        int exponent = 0;
        CHECK(std::frexp(scale, &exponent) == 0.5F);
        CHECK(largest * scale >= 0x1p10F);
        CHECK(largest * scale < 0x1p11F);
    }
    CHECK(half_scale(0.0F) == 1.0F);
    CHECK(half_scale(0x1p-149F) == 0x1p127F);
    CHECK(half_scale(0x1p-118F) == 0x1p127F);
}

// SPDX-License-Identifier: MIT
#include <device/emulator/product.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace emulator::detail {
namespace {

float from_tf32(std::uint32_t bits) {
    return std::bit_cast<float>(bits & 0xffffe000u);
}

float from_f16(std::uint32_t bits) {
    const auto exponent = static_cast<int>(bits >> 10 & 0x1fu);
    const auto mantissa = static_cast<float>(bits & 0x3ffu);
    const float size = exponent == 0   ? std::ldexp(mantissa, -24)
                       : exponent < 31 ? std::ldexp(mantissa + 1024, exponent - 25)
                       : mantissa > 0  ? std::numeric_limits<float>::quiet_NaN()
                                       : std::numeric_limits<float>::infinity();
    return (bits & 0x8000u) != 0 ? -size : size;
}

/// c += a b, c first, then by rising k; the products of two values of 11 bits are exact.
template <int depth>
struct tile {
    float a[16][depth];
    float b[depth][8];
    float c[16][8];

    /// a and b are there.
    void multiply(thread* lanes) {
        for (int lane = 0; lane < warp_size; ++lane) {
            for (int i = 0; i < 4; ++i) {
                c[lane / 4 + i / 2 * 8][2 * (lane % 4) + i % 2] = lanes[lane].now.c[i];
            }
        }
        for (int row = 0; row < 16; ++row) {
            for (int k = 0; k < depth; ++k) {
                for (int col = 0; col < 8; ++col) {
                    c[row][col] += a[row][k] * b[k][col];
                }
            }
        }
        for (int lane = 0; lane < warp_size; ++lane) {
            for (int i = 0; i < 4; ++i) {
                lanes[lane].now.c[i] = c[lane / 4 + i / 2 * 8][2 * (lane % 4) + i % 2];
            }
        }
    }
};

} // namespace

std::uint32_t to_f16(float value) {
    const std::uint32_t sign = std::bit_cast<std::uint32_t>(value) >> 16 & 0x8000u;
    const float size = std::abs(value);
    if (value != value) {
        return 0x7fffu;
    }
    if (size >= 65520.0F) { // half a unit above the largest
        return sign | 0x7c00u;
    }
    if (size < 0x1p-14F) {
        return sign | static_cast<std::uint32_t>(std::nearbyint(size * 0x1p24F)); // 1024 is the least normal one
    }
    const auto bits = std::bit_cast<std::uint32_t>(size) - (112u << 23);
    return sign | (bits + 0xfffu + (bits >> 13 & 1u)) >> 13;
}

void multiply_tf32(thread* lanes) {
    tile<8> all;
    for (int lane = 0; lane < warp_size; ++lane) {
        const visit& in = lanes[lane].now;
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; ++i) {
            all.a[g + i % 2 * 8][t + i / 2 * 4] = from_tf32(in.a[i]);
        }
        all.b[t][g] = from_tf32(in.b[0]);
        all.b[t + 4][g] = from_tf32(in.b[1]);
    }
    all.multiply(lanes);
}

void multiply_f16(thread* lanes) {
    tile<16> all;
    for (int lane = 0; lane < warp_size; ++lane) {
        const visit& in = lanes[lane].now;
        const int g = lane / 4, t = lane % 4;
        for (int half = 0; half < 2; ++half) {
            for (int i = 0; i < 4; ++i) {
                all.a[g + i % 2 * 8][2 * t + i / 2 * 8 + half] = from_f16(in.a[i] >> 16 * half);
            }
            for (int i = 0; i < 2; ++i) {
                all.b[2 * t + i * 8 + half][g] = from_f16(in.b[i] >> 16 * half);
            }
        }
    }
    all.multiply(lanes);
}

} // namespace emulator::detail

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/check.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/view.hpp>

#include <array>
#include <bit>
#include <cstdint>
#include <limits>

/// Which of several points is nearest, in exact arithmetic: for backends that promise it, on host and device.
namespace protonce::inline v0::detail {

/// Sum of products of finite doubles without any rounding: a fixed-point number that holds every bit a product can
/// have.
///
/// A finite double is an integer of 53 bits times 2^e with -1074 <= e <= 971, so a product of two (one of them perhaps
/// doubled) is an integer of 106 bits times 2^e with -2148 <= e <= 1943. Added at bit e + 2148, it is an integer below
/// 2^4197. The digits are worth 2^32 each, and each product adds less than 2^34 to one of them, whatever its sign: 2^28
/// products fit before a digit of 63 bits could overflow. Integer arithmetic alone: flags such as -ffast-math cannot
/// change it.
class exact_sum {
public:
    /// Adds a * b * 2^scale, scale 0 or 1; negative: subtracts it. Both factors finite.
    PROTONCE_HOST_DEVICE void add(double a, double b, int scale = 0, bool negative = false) {
        const number x(a);
        const number y(b);
        const bool down = negative != (x.negative != y.negative);
        const int position = x.exponent + y.exponent + scale;
        // Schoolbook product of halves: 32 and 21 bits.
        const std::uint64_t x0 = x.mantissa & low32;
        const std::uint64_t x1 = x.mantissa >> 32;
        const std::uint64_t y0 = y.mantissa & low32;
        const std::uint64_t y1 = y.mantissa >> 32;
        add_bits(x0 * y0, position, down);
        add_bits(x0 * y1 + x1 * y0, position + 32, down);
        add_bits(x1 * y1, position + 64, down);
    }

    /// -1, 0 or 1.
    PROTONCE_HOST_DEVICE int sign() {
        std::int64_t carry = 0;
        bool any = false;
        for (auto& digit : digits_) {
            digit += carry;
            carry = digit >> 32; // rounds down, also below zero
            digit &= std::int64_t{low32};
            any = any || digit != 0;
        }
        // Digits are in [0, 2^32) now; what is left over carries the sign of the whole.
        return carry < 0 ? -1 : any || carry > 0 ? 1 : 0;
    }

private:
    static constexpr std::uint64_t low32 = 0xffffffffu;

    struct number {
        PROTONCE_HOST_DEVICE explicit number(double value) {
            const auto bits = std::bit_cast<std::uint64_t>(value);
            const int field = static_cast<int>((bits >> 52) & 0x7ff);
            negative = (bits >> 63) != 0;
            mantissa = (bits & 0x000fffffffffffffull) | (field == 0 ? 0 : 0x0010000000000000ull);
            exponent = field == 0 ? 0 : field - 1; // above 2^-1074
        }
        bool negative;
        std::uint64_t mantissa;
        int exponent;
    };

    PROTONCE_HOST_DEVICE void add_bits(std::uint64_t value, int position, bool negative) {
        const auto first = static_cast<std::size_t>(position / 32);
        const int shift = position % 32;
        const std::uint64_t parts[3] = {(value << shift) & low32, (value >> (32 - shift)) & low32,
                                        (value >> (63 - shift)) >> 1};
        for (std::size_t i = 0; i < 3; ++i) {
            const auto part = static_cast<std::int64_t>(parts[i]);
            digits_[first + i] += negative ? -part : part;
        }
    }

    std::array<std::int64_t, 134> digits_{}; // highest used: (4091 + 64) / 32 + 2 = 131
};

/// Sign of ||x - a||^2 - ||x - b||^2 in exact arithmetic, for finite values: -1 if a is nearer, 0 at equal distance, 1
/// if b is nearer. The squares of x cancel: what is left is  sum_j  a_j^2 - 2 x_j a_j - b_j^2 + 2 x_j b_j.
template <class T>
PROTONCE_HOST_DEVICE int compare_distance(const T* x, const T* a, const T* b, index_t cols) {
    exact_sum difference;
    for (index_t j = 0; j < cols; ++j) {
        if (a[j] == b[j]) {
            continue; // cancels too
        }
        difference.add(a[j], a[j]);
        difference.add(x[j], a[j], 1, true);
        difference.add(b[j], b[j], 0, true);
        difference.add(x[j], b[j], 1);
    }
    return difference.sign();
}

template <class T>
PROTONCE_HOST_DEVICE bool all_finite(const T* x, index_t cols) {
    for (index_t j = 0; j < cols; ++j) {
        if (!check::is_finite(x[j])) {
            return false;
        }
    }
    return true;
}

/// A sum of squares of the differences of two points; NaN if a point holds NaN or infinity.
template <class T>
PROTONCE_HOST_DEVICE double distance_or_nan(double sum, const T* x, const T* c, index_t cols) {
    const bool overflow = !check::is_finite(sum);
    return overflow && !(all_finite(x, cols) && all_finite(c, cols)) ? std::numeric_limits<double>::quiet_NaN() : sum;
}

/// Squares of differences, never x^2 - 2 x c + c^2: that form cancels for points far from the origin. A point that
/// holds NaN or infinity is at distance NaN from every other.
template <class T>
PROTONCE_HOST_DEVICE double squared_distance(const T* x, const T* c, index_t cols) {
    double sum = 0;
    for (index_t j = 0; j < cols; ++j) {
        const double difference = static_cast<double>(x[j]) - static_cast<double>(c[j]);
        sum = add_product(sum, difference, difference);
    }
    return distance_or_nan(sum, x, c, cols);
}

/// compare_distance() of a and b, from their squared_distance() where that can tell; neither is NaN.
template <class T>
PROTONCE_HOST_DEVICE int compare_rounded(const T* x, const T* a, double distance_a, const T* b, double distance_b,
                                         index_t cols) {
    // Each rounded distance d is within (1 +- error) d plus `tiny` of the exact one: one rounding for the difference,
    // doubled by squaring, one for the square, C for the sum; the factor 2 pays for the higher orders and for the
    // comparison itself. Squares may underflow.
    constexpr double unit = std::numeric_limits<double>::epsilon() / 2;
    const double error = 2 * unit * static_cast<double>(cols + 4);
    const double tiny = (std::numeric_limits<double>::min)() * static_cast<double>(cols);
    const double margin = error * (distance_a + distance_b) + tiny;
    return distance_a < distance_b - margin   ? -1
           : distance_a > distance_b + margin ? 1
                                              : compare_distance(x, a, b, cols);
}

/// Number of the nearest of `count` centroids, `stride` values apart, in exact arithmetic; the lowest among equals. A
/// centroid at distance NaN is never nearer; if there is no other, the answer is 0.
template <class T>
PROTONCE_HOST_DEVICE index_t nearest_centroid(const T* x, const T* centroids, index_t count, index_t cols,
                                              index_t stride) {
    index_t best = 0;
    double least = std::numeric_limits<double>::quiet_NaN();
    for (index_t k = 0; k < count; ++k) {
        const double distance = squared_distance(x, centroids + k * stride, cols);
        if (distance != distance) {
            continue;
        }
        if (least != least ||
            compare_rounded(x, centroids + k * stride, distance, centroids + best * stride, least, cols) < 0) {
            best = k;
            least = distance;
        }
    }
    return best;
}

} // namespace protonce::inline v0::detail

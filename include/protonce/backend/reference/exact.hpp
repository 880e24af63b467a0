// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/view.hpp>

#include <array>
#include <bit>
#include <cstdint>

namespace protonce::inline v0::reference_detail {

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
    void add(double a, double b, int scale = 0, bool negative = false) {
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
    int sign() {
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
        explicit number(double value) {
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

    void add_bits(std::uint64_t value, int position, bool negative) {
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
int compare_distance(vector_view<const T> x, vector_view<const T> a, vector_view<const T> b) {
    exact_sum difference;
    for (index_t j = 0; j < x.size(); ++j) {
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

} // namespace protonce::inline v0::reference_detail

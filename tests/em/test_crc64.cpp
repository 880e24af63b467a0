// SPDX-License-Identifier: MIT
#include "support/random.hpp"

#include <protonce/em/crc64.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace {
std::uint64_t sum_of(std::string_view text) {
    protonce::detail::crc64 sum;
    sum.add(text.data(), text.size());
    return sum.value();
}
} // namespace

TEST_CASE("crc64: has the published check value of CRC-64/XZ") {
    CHECK(sum_of("123456789") == 0x995DC9BBDF1939FAull);
    CHECK(sum_of("") == 0);
}

TEST_CASE("crc64: pieces give the sum of the whole, however they are cut") {
    TEST_RANDOM(random, 31);
    std::string text;
    for (int i = 0; i < 200; ++i) {
        text += static_cast<char>(random.integer(256));
    }
    const std::uint64_t whole = sum_of(text);
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        protonce::detail::crc64 sum;
        sum.add(text.data(), cut);
        sum.add(text.data() + cut, text.size() - cut);
        CHECK(sum.value() == whole);
    }
}

TEST_CASE("crc64: is the remainder of the polynomial division, bit by bit") {
    TEST_RANDOM(random, 32);
    for (int length = 0; length < 70; ++length) {
        std::string text;
        for (int i = 0; i < length; ++i) {
            text += static_cast<char>(random.integer(256));
        }
        std::uint64_t remainder = ~std::uint64_t{0};
        for (const char c : text) {
            remainder ^= static_cast<unsigned char>(c);
            for (int bit = 0; bit < 8; ++bit) {
                remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? 0xC96C5795D7870F42ull : 0);
            }
        }
        CHECK(sum_of(text) == ~remainder);
    }
}

TEST_CASE("crc64: every single changed bit changes the sum") {
    std::string text(64, 'x');
    const std::uint64_t before = sum_of(text);
    for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
        text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
        CHECK(sum_of(text) != before);
        text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
    }
    CHECK(sum_of(text) == before);
}

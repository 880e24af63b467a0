// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace protonce::inline v0::detail {

/// Tables of the CRC-64 of ECMA-182, reflected (the variant of the xz format). Entry b of table s: the remainder of
/// byte b followed by s zero bytes.
constexpr std::array<std::array<std::uint64_t, 256>, 8> make_crc64_tables() {
    std::array<std::array<std::uint64_t, 256>, 8> tables{};
    for (std::uint64_t byte = 0; byte < 256; ++byte) {
        std::uint64_t remainder = byte;
        for (int bit = 0; bit < 8; ++bit) {
            remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? 0xC96C5795D7870F42ull : 0);
        }
        tables[0][byte] = remainder;
    }
    for (std::size_t s = 1; s < 8; ++s) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint64_t previous = tables[s - 1][byte];
            tables[s][byte] = (previous >> 8) ^ tables[0][previous & 0xff];
        }
    }
    return tables;
}

inline constexpr auto crc64_tables = make_crc64_tables();

/// Checksum of a stream of bytes. Finds every change of up to 64 bits in a row, and any other but for one in 2^64.
class crc64 {
public:
    void add(const void* data, std::size_t size) {
        const auto* bytes = static_cast<const unsigned char*>(data);
        const auto& t = crc64_tables;
        std::uint64_t r = state_;
        if constexpr (std::endian::native == std::endian::little) {
            // Eight bytes at a time: the remainders of the eight, each shifted to its place, add up.
            for (; size >= 8; size -= 8, bytes += 8) {
                std::uint64_t word;
                std::memcpy(&word, bytes, sizeof(word));
                word ^= r;
                r = t[7][word & 0xff] ^ t[6][(word >> 8) & 0xff] ^ t[5][(word >> 16) & 0xff] ^
                    t[4][(word >> 24) & 0xff] ^ t[3][(word >> 32) & 0xff] ^ t[2][(word >> 40) & 0xff] ^
                    t[1][(word >> 48) & 0xff] ^ t[0][word >> 56];
            }
        }
        for (; size > 0; --size, ++bytes) {
            r = (r >> 8) ^ t[0][(r ^ *bytes) & 0xff];
        }
        state_ = r;
    }

    std::uint64_t value() const { return ~state_; }

private:
    std::uint64_t state_ = ~std::uint64_t{0};
};

} // namespace protonce::inline v0::detail

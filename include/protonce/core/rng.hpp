// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/host_device.hpp>
#include <protonce/core/types.hpp>

#include <array>
#include <cstdint>

/// Counter-based random numbers: a pure function of (seed, step, level, purpose, counter). The same on every machine, for any number
/// of threads, on host and device; nothing is carried from one draw to the next.
namespace protonce::inline v0 {

/// What a stream of numbers is for. Streams of different purpose never overlap.
enum class draw_purpose : std::uint32_t {
    initial_rows = 1,        // K-means: random rows
    initial_plus_plus = 2,   // K-means: k-means++
    negative_prototypes = 3, // ProtoNCE
    queue_rows = 4,          // memory queue: initial unit rows
};

/// Names one stream of random numbers.
struct rng_key {
    std::uint64_t seed = 0;
    std::uint64_t step = 0;  // of training, or number of the restart
    std::uint32_t level = 0; // which clustering of several
    draw_purpose purpose = draw_purpose::initial_rows;
};

/// 128 random bits at a counter: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011, doi:10.1145/2063384.2063405).
/// Key = seed. Counter words = (counter low, counter high ^ step high, step low, purpose << 24 ^ level).
PROTONCE_HOST_DEVICE constexpr std::array<std::uint32_t, 4> random_block(const rng_key& key, std::uint64_t counter) {
    std::uint32_t c0 = static_cast<std::uint32_t>(counter);
    std::uint32_t c1 = static_cast<std::uint32_t>(counter >> 32) ^ static_cast<std::uint32_t>(key.step >> 32);
    std::uint32_t c2 = static_cast<std::uint32_t>(key.step);
    std::uint32_t c3 = (static_cast<std::uint32_t>(key.purpose) << 24) ^ key.level;
    std::uint32_t k0 = static_cast<std::uint32_t>(key.seed);
    std::uint32_t k1 = static_cast<std::uint32_t>(key.seed >> 32);
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
        c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
        c1 = static_cast<std::uint32_t>(p1);
        c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
        c3 = static_cast<std::uint32_t>(p0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {c0, c1, c2, c3};
}

/// 64 random bits at a counter.
PROTONCE_HOST_DEVICE constexpr std::uint64_t random_bits(const rng_key& key, std::uint64_t counter) {
    const auto block = random_block(key, counter);
    return (std::uint64_t{block[1]} << 32) | block[0];
}

/// Uniform in [0, 1), a multiple of 2^-53.
PROTONCE_HOST_DEVICE constexpr double random_uniform(const rng_key& key, std::uint64_t counter) {
    return static_cast<double>(random_bits(key, counter) >> 11) * 0x1p-53;
}

/// A pseudo-random permutation of [0, size) that is computed element by element: distinct arguments give distinct results, so its
/// first n values are n draws without replacement, with no set and no table.
///
/// An unbalanced Feistel network of eight rounds over the least power of two >= size and >= 64; results outside are sent through
/// again (cycle walking), from size 32 on fewer than two passes on average. Round keys come from the counter generator.
class random_permutation {
public:
    PROTONCE_HOST_DEVICE constexpr random_permutation(const rng_key& key, std::uint64_t size) : size_(size) {
        // Networks over fewer than 6 bits reach too few permutations: of 3 bits, pairs drawn from 5 are off by a quarter.
        int bits = 6;
        while (bits < 64 && (size - 1) >> bits != 0) { // std::bit_width() is wrong on a device (nvcc 13.0)
            ++bits;
        }
        low_bits_ = bits / 2;
        high_bits_ = bits - low_bits_;
        for (std::uint32_t i = 0; i < rounds / 4; ++i) {
            // Counters from the top: no other draw of the same stream reaches them.
            const auto block = random_block(key, ~std::uint64_t{0} - i);
            for (std::uint32_t j = 0; j < 4; ++j) {
                round_key_[4 * i + j] = block[j];
            }
        }
    }

    /// \param i  in [0, size)
    PROTONCE_HOST_DEVICE constexpr std::uint64_t operator()(std::uint64_t i) const {
        do {
            i = pass(i);
        } while (i >= size_);
        return i;
    }

private:
    static constexpr std::uint32_t rounds = 8;

    // A bijective mixer of 64 bits: multiply, fold, multiply, fold.
    PROTONCE_HOST_DEVICE static constexpr std::uint64_t mix(std::uint64_t x) {
        x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93ull;
        x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93ull;
        return x ^ (x >> 32);
    }

    PROTONCE_HOST_DEVICE constexpr std::uint64_t pass(std::uint64_t x) const {
        // Even rounds change the low part by the high one, odd rounds the high by the low: each is its own inverse.
        std::uint64_t low = x & ((std::uint64_t{1} << low_bits_) - 1);
        std::uint64_t high = x >> low_bits_;
        for (std::uint32_t r = 0; r < rounds; r += 2) {
            low ^= mix(high + (std::uint64_t{round_key_[r]} << 32)) & ((std::uint64_t{1} << low_bits_) - 1);
            high ^= mix(low + (std::uint64_t{round_key_[r + 1]} << 32)) & ((std::uint64_t{1} << high_bits_) - 1);
        }
        return (high << low_bits_) | low;
    }

    std::uint64_t size_;
    int low_bits_ = 1;
    int high_bits_ = 1;
    std::uint32_t round_key_[rounds] = {};
};

} // namespace protonce::inline v0

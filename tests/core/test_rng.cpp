// SPDX-License-Identifier: MIT
#include <protonce/core/rng.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

using namespace protonce;

namespace {

using block = std::array<std::uint32_t, 4>;

std::size_t at(std::uint64_t i) {
    return static_cast<std::size_t>(i);
}

// Upper bound of a chi-square value with `freedom` degrees: mean plus six standard deviations. The draws are fixed by
// their seed, so this passes always or never; a generator with a bias of a few percent in one cell is far above it.
double chi_square_bound(double freedom) {
    return freedom + 6 * std::sqrt(2 * freedom);
}

} // namespace

// Known answers that the authors of the generator publish with their own program (Random123, kat_vectors, philox4x32
// with 10 rounds). Counter words are (counter low, counter high ^ step high, step low, purpose << 24 ^ level), key
// words (seed low, seed high).
static_assert(random_block({.seed = 0, .step = 0, .level = 0, .purpose = draw_purpose{0}}, 0) ==
              block{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
static_assert(random_block({.seed = ~0ull, .step = 0xffffffffull, .level = 0x00ffffffu, .purpose = draw_purpose{0xff}},
                           ~0ull) == block{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
static_assert(random_block({.seed = 0x299f31d0a4093822ull,
                            .step = 0x13198a2eull,
                            .level = 0x00707344u,
                            .purpose = draw_purpose{0x03}},
                           0x85a308d3243f6a88ull) == block{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});

TEST_CASE("rng: Philox4x32-10 gives the published answers at run time, too") {
    rng_key zero{.purpose = draw_purpose{0}};
    rng_key digits_of_pi{
        .seed = 0x299f31d0a4093822ull, .step = 0x13198a2eull, .level = 0x00707344u, .purpose = draw_purpose{3}};

    CHECK(random_block(zero, 0) == block{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
    CHECK(random_block(digits_of_pi, 0x85a308d3243f6a88ull) ==
          block{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

TEST_CASE("rng: seed, step, level, purpose and counter each name another stream") {
    std::set<block> blocks;
    int drawn = 0;

    for (const std::uint64_t seed : {0ull, 1ull, 1ull << 40}) {
        for (const std::uint64_t step : {0ull, 1ull, 1ull << 40}) {
            for (const std::uint32_t level : {0u, 1u, 2u}) {
                for (const auto purpose : {draw_purpose::initial_rows, draw_purpose::initial_plus_plus,
                                           draw_purpose::negative_prototypes, draw_purpose::queue_rows}) {
                    for (std::uint64_t counter = 0; counter < 5; ++counter) {
                        blocks.insert(random_block({seed, step, level, purpose}, counter));
                        ++drawn;
                    }
                }
            }
        }
    }

    CHECK(blocks.size() == static_cast<std::size_t>(drawn));
}

TEST_CASE("rng: random_bits is the first half of the block, random_uniform its upper 53 bits") {
    const rng_key key{.seed = 7, .step = 3};

    const auto words = random_block(key, 11);
    const auto bits = random_bits(key, 11);

    CHECK(bits == ((std::uint64_t{words[1]} << 32) | words[0]));
    CHECK(random_uniform(key, 11) == std::ldexp(static_cast<double>(bits >> 11), -53));
}

TEST_CASE("rng: random_uniform has the moments and the independence of a uniform variable") {
    constexpr int n = 100000;
    double sum = 0;
    double squares = 0;
    double neighbours = 0;
    double previous = random_uniform({.seed = 1}, n);
    bool in_range = true;

    for (std::uint64_t i = 0; i < n; ++i) {
        const double u = random_uniform({.seed = 1}, i);
        in_range = in_range && u >= 0 && u < 1;
        sum += u - 0.5;
        squares += u * u;
        neighbours += (u - 0.5) * (previous - 0.5);
        previous = u;
    }

    // Variances of u, u^2 and a product of two centred ones: 1/12, 4/45, 1/144. Bound: five standard deviations of the
    // mean.
    CHECK(in_range);
    CHECK(std::abs(sum / n) < 5 * std::sqrt(1.0 / 12 / n));
    CHECK(std::abs(squares / n - 1.0 / 3) < 5 * std::sqrt(4.0 / 45 / n));
    CHECK(std::abs(neighbours / n) < 5 * std::sqrt(1.0 / 144 / n));
}

TEST_CASE("rng: random_permutation is a bijection for sizes 1 to 70 and 1000") {
    std::vector<std::uint64_t> sizes{1000};
    for (std::uint64_t size = 1; size <= 70; ++size) {
        sizes.push_back(size);
    }

    for (const std::uint64_t size : sizes) {
        for (std::uint64_t seed = 0; seed < 5; ++seed) {
            const random_permutation permutation({.seed = seed}, size);
            std::vector<int> hits(at(size), 0);
            bool in_range = true;
            for (std::uint64_t i = 0; i < size; ++i) {
                const std::uint64_t image = permutation(i);
                in_range = in_range && image < size;
                ++hits[at(image < size ? image : 0)];
            }

            CAPTURE(size);
            CAPTURE(seed);
            CHECK(in_range);
            CHECK(hits == std::vector<int>(at(size), 1));
        }
    }
}

TEST_CASE("rng: random_permutation of a large size stays inside it and is distinct") {
    constexpr std::uint64_t size = (1ull << 40) + 12345;
    const random_permutation permutation({.seed = 3}, size);
    std::set<std::uint64_t> images;

    for (std::uint64_t i = 0; i < 1000; ++i) {
        images.insert(permutation(i * (size / 1000)));
    }

    CHECK(images.size() == 1000);
    CHECK(*images.rbegin() < size);
}

TEST_CASE("rng: draws without replacement take every row equally often") {
    constexpr double trials = 20000;
    for (const std::uint64_t size : {4ull, 13ull, 16ull, 50ull}) {
        const std::uint64_t drawn = size / 3 + 1;
        std::vector<double> count(at(size), 0);
        for (std::uint64_t step = 0; step < static_cast<std::uint64_t>(trials); ++step) {
            const random_permutation permutation(
                {.seed = 5, .step = step, .purpose = draw_purpose::negative_prototypes}, size);
            for (std::uint64_t i = 0; i < drawn; ++i) {
                ++count[at(permutation(i))];
            }
        }

        // A row is in with probability f = drawn / P. On vectors that sum to zero the covariance of the indicators is f
        // (1 - f) P / (P - 1) times the identity, so the sum of squares over that is chi-square with P - 1 degrees of
        // freedom.
        const double rows = static_cast<double>(size);
        const double f = static_cast<double>(drawn) / rows;
        double squares = 0;
        for (const double c : count) {
            squares += (c - trials * f) * (c - trials * f);
        }
        const double chi_square = squares / (trials * f * (1 - f) * rows / (rows - 1));
        CAPTURE(size);
        CHECK(chi_square < chi_square_bound(rows - 1));
        CHECK(chi_square > 0);
    }
}

TEST_CASE("rng: every ordered pair of rows is drawn equally often") {
    constexpr std::uint64_t size = 9;
    constexpr int trials = 40000;
    std::vector<double> count(at(size * size), 0);

    for (std::uint64_t step = 0; step < trials; ++step) {
        const random_permutation permutation({.seed = 8, .step = step}, size);
        ++count[at(permutation(0) * size + permutation(1))];
    }

    const double cells = size * (size - 1);
    double chi_square = 0;
    for (std::uint64_t first = 0; first < size; ++first) {
        CHECK(count[at(first * size + first)] == 0);
        for (std::uint64_t second = 0; second < size; ++second) {
            if (second != first) {
                const double off = count[at(first * size + second)] - trials / cells;
                chi_square += off * off / (trials / cells);
            }
        }
    }
    CHECK(chi_square < chi_square_bound(cells - 1));
}

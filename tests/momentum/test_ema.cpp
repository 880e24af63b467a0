// SPDX-License-Identifier: MIT
#include "support/backends.hpp"
#include "support/counting_resource.hpp"
#include "support/random.hpp"

#include <protonce/momentum/ema.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using namespace protonce;

TEST_CASE_TEMPLATE("ema: the average keeps its momentum's share and takes the rest from the value", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    std::array<value, 3> average{value(1), value(-2), value(0)};
    const std::array<value, 3> parameter{value(5), value(2), value(-8)};
    const ema_pair<B> pair{view_vector(average), view_vector(parameter)};

    ema(be, {&pair, 1}, {.momentum = 0.75});

    CHECK(average == std::array<value, 3>{value(2), value(-1), value(-2)});
}

TEST_CASE_TEMPLATE("ema: momentum 1 keeps the average, momentum 0 takes the value", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    std::array<value, 2> average{value(0.1), value(-3)};
    const std::array<value, 2> before = average;
    const std::array<value, 2> parameter{value(0.7), value(1e-3)};
    const std::vector<ema_pair<B>> pairs{{view_vector(average), view_vector(parameter)}};

    ema(be, pairs, {.momentum = 1.0});
    CHECK(average == before);

    ema(be, pairs, {.momentum = 0.0});
    CHECK(average == parameter);
}

TEST_CASE_TEMPLATE("ema: many parameters at once are the same as one flat parameter", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 11);
    const std::vector<index_t> sizes{1, 2, 31, 33, 1000, 7};
    const auto values = random.template normal_values<value>(1074);
    auto flat = random.template normal_values<value>(1074);
    auto parts = flat;
    std::vector<ema_pair<B>> pairs;
    index_t first = 0;
    for (const index_t size : sizes) {
        pairs.push_back({view_vector(parts).slice(first, size), view_vector(values).slice(first, size)});
        first += size;
    }
    REQUIRE(first == 1074);
    const ema_pair<B> whole{view_vector(flat), view_vector(values)};

    ema(be, {&whole, 1}, {.momentum = 0.99});
    ema(be, pairs, {.momentum = 0.99});

    CHECK(parts == flat);
}

TEST_CASE_TEMPLATE("ema: each value is rounded once", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 12);
    auto average = random.template normal_values<value>(257);
    const auto before = average;
    const auto values = random.template normal_values<value>(257);
    const ema_pair<B> pair{view_vector(average), view_vector(values)};

    ema(be, {&pair, 1}, {.momentum = 0.999});

    // The coefficients and both products are of double; in double itself they add three roundings of at most half an
    // epsilon each of |m a| + |(1 - m) v|, in float the result is rounded once more.
    for (std::size_t i = 0; i < average.size(); ++i) {
        const long double m = 0.999;
        const long double exact = m * before[i] + (1 - m) * values[i];
        const double scale = std::abs(0.999 * double(before[i])) + std::abs(0.001 * double(values[i]));
        const double bound = 2 * std::numeric_limits<double>::epsilon() * scale +
                             0.5 * double(std::numeric_limits<value>::epsilon()) * std::abs(double(exact));
        CHECK(std::abs(double(average[i] - exact)) <= bound);
    }
}

TEST_CASE_TEMPLATE("ema: repeated steps converge to a constant value at the rate of the momentum", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    std::array<value, 1> average{value(1)};
    const std::array<value, 1> parameter{value(0)};
    const ema_pair<B> pair{view_vector(average), view_vector(parameter)};

    for (int step = 0; step < 100; ++step) {
        ema(be, {&pair, 1}, {.momentum = 0.9});
    }

    // 100 roundings of half an epsilon each.
    const double expected = std::pow(0.9, 100);
    CHECK(std::abs(double(average[0]) - expected) <= 100 * double(std::numeric_limits<value>::epsilon()) * expected);
}

TEST_CASE_TEMPLATE("ema: a momentum in memory does what the option does, bit for bit", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 13);
    const auto values = random.template normal_values<value>(100);
    auto average = random.template normal_values<value>(100);
    for (double momentum : {0.0, 0.3, 0.999, 1.0}) {
        CAPTURE(momentum);
        if (momentum == 0) { // an old average of NaN is not read
            average[3] = std::numeric_limits<value>::quiet_NaN();
        }
        auto by_option = average;
        const ema_pair<B> pair{view_vector(average), view_vector(values)};
        const ema_pair<B> other{view_vector(by_option), view_vector(values)};

        ema(be, {&pair, 1}, vector_view<const double>(&momentum, 1));
        ema(be, {&other, 1}, {.momentum = momentum});

        CHECK(average == by_option);
    }
}

TEST_CASE_TEMPLATE("momentum_at: for a step in memory it is that of the same step, and stays at the end", B,
                   TEST_BACKENDS) {
    B be;
    for (const index_t at : {0, 1, 50, 99, 100, 101, 5000}) {
        CAPTURE(at);
        double momentum = -1;
        momentum_at(be, vector_view<const index_t>(&at, 1), 100, 0.996, vector_view<double>(&momentum, 1));
        CHECK(momentum == momentum_at(std::min<index_t>(at, 100), 100, 0.996));
    }
}

TEST_CASE_TEMPLATE("ema: no parameters at all is no work and no error", B, TEST_BACKENDS) {
    B be;
    CHECK_NOTHROW(ema(be, {}, {.momentum = 0.5}));
}

TEST_CASE_TEMPLATE("ema: the default momentum is 0.999", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    std::array<value, 1> average{value(1)};
    std::array<value, 1> stated{value(1)};
    const std::array<value, 1> parameter{value(3)};
    const ema_pair<B> pair{view_vector(average), view_vector(parameter)};
    const ema_pair<B> stated_pair{view_vector(stated), view_vector(parameter)};

    ema(be, {&pair, 1});
    ema(be, {&stated_pair, 1}, {.momentum = 0.999});

    CHECK(average == stated);

    ema(be, {&pair, 1}, {});
    ema(be, {&stated_pair, 1}, {.momentum = 0.999});

    CHECK(average == stated);
}

TEST_CASE_TEMPLATE("ema: an error in the last parameter leaves the first as it was", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    std::array<value, 2> first{value(1), value(2)};
    std::array<value, 2> second{value(3), value(4)};
    const std::array<value, 2> good{value(0), value(0)};
    const std::array<value, 2> bad{value(0), std::numeric_limits<value>::infinity()};
    const std::vector<ema_pair<B>> pairs{{view_vector(first), view_vector(good)},
                                         {view_vector(second), view_vector(bad)}};

    CHECK_THROWS_WITH_AS(ema(be, pairs), "ema: parameters[1].value: must be finite everywhere; got NaN or infinity",
                         argument_error);
    CHECK(first == std::array<value, 2>{value(1), value(2)});
    CHECK(second == std::array<value, 2>{value(3), value(4)});
}

TEST_CASE_TEMPLATE("ema: takes no memory", B, TEST_BACKENDS) {
    using value = value_of<B>;
    test::counting_resource memory;
    B be = test::backend_on<B>(&memory);
    std::vector<value> average(1000);
    const std::vector<value> values(1000, value(1));
    const ema_pair<B> pair{view_vector(average), view_vector(values)};
    ema(be, {&pair, 1});
    const index_t before = memory.allocations();

    ema(be, {&pair, 1});

    CHECK(memory.allocations() == before);
}

TEST_CASE("momentum_at: begins at the base, is halfway to 1 in the middle, and ends at 1") {
    CHECK(momentum_at(0, 100, 0.996) == 0.996);
    // cos(pi / 2) is rounded to about 6e-17.
    CHECK(std::abs(momentum_at(50, 100, 0.996) - 0.998) <= 2 * std::numeric_limits<double>::epsilon());
    CHECK(momentum_at(100, 100, 0.996) == 1.0);
    CHECK(momentum_at(0, 1, 0.0) == 0.0);
}

TEST_CASE("momentum_at: never falls, and is symmetric about the middle") {
    const index_t total = 777;
    double previous = 0.0;
    for (index_t step = 0; step <= total; ++step) {
        const double now = momentum_at(step, total, 0.99);
        CHECK(now >= previous);
        CHECK(now <= 1.0);
        // m(k) - base = 1 - m(K - k); each is rounded a few times near 1.
        CHECK(std::abs((now - 0.99) - (1.0 - momentum_at(total - step, total, 0.99))) <=
              8 * std::numeric_limits<double>::epsilon());
        previous = now;
    }
}

TEST_CASE("momentum_at: a base of 1 stays 1") {
    for (index_t step = 0; step <= 10; ++step) {
        CHECK(momentum_at(step, 10, 1.0) == 1.0);
    }
}

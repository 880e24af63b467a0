// SPDX-License-Identifier: MIT
#include "m_step/losses.hpp"
#include "support/thrown.hpp"

#include <protonce/m_step/negative_prototypes.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

using namespace protonce;
using test::index_t;
using test::label_t;

namespace {

/// One draw, and what it wrote.
template <class B>
struct draw {
    using T = value_of<B>;
    std::vector<index_t> id;
    std::vector<T> log_count;
    std::vector<index_t> column_count = {-7}, batch_count = {-7};
    negative_prototypes_report report;

    draw(B& be, const std::vector<label_t>& own, index_t num_prototypes, const negative_prototypes_options& options,
         index_t room)
        : id(std::size_t(room), -7), log_count(std::size_t(room), T(-7)),
          report(draw_negative_prototypes(be, vector_view<const label_t>(view_vector(own)), num_prototypes, options,
                                          {.column_id = view_vector(id),
                                           .log_count = view_vector(log_count),
                                           .column_count = view_vector(column_count),
                                           .batch_count = view_vector(batch_count)})) {}

    std::vector<index_t> batch() const { return {id.begin(), id.begin() + batch_count[0]}; }
    std::vector<index_t> negatives() const { return {id.begin() + batch_count[0], id.begin() + column_count[0]}; }
};

} // namespace

TEST_CASE_TEMPLATE("draw_negative_prototypes: a step in memory takes the place of the option", B, TEST_BACKENDS) {
    B be;
    const std::vector<label_t> own{3, 1, 3};
    const draw<B> expected(be, own, 50, {.num_negatives = 10, .seed = 5, .step = 6}, 13);
    draw<B> actual(be, own, 50, {.num_negatives = 10, .seed = 5, .step = 7}, 13);
    CHECK(actual.id != expected.id);
    const index_t step = 6;

    draw_negative_prototypes(be, vector_view<const label_t>(view_vector(own)), 50,
                             {.num_negatives = 10, .seed = 5, .step = 7},
                             {.column_id = view_vector(actual.id),
                              .column_count = view_vector(actual.column_count),
                              .batch_count = view_vector(actual.batch_count)},
                             vector_view<const index_t>(&step, 1));

    CHECK(actual.id == expected.id);
}

TEST_CASE_TEMPLATE("draw_negative_prototypes: the batch's prototypes ascending, then others, each once", B,
                   TEST_BACKENDS) {
    using T = value_of<B>;
    TEST_RANDOM(random, 71);
    B be;
    for (const index_t clusters : {1, 2, 15, 17, 100, 5000}) {
        for (const index_t count : {0, 1, 14, 90, 6000}) {
            CAPTURE(clusters);
            CAPTURE(count);
            auto own = random.labels(13, label_t(clusters));
            own[4] = -1;
            std::multiset<index_t> used(own.begin(), own.end());
            used.erase(-1);
            const std::set<index_t> distinct(used.begin(), used.end());
            const index_t room = std::min<index_t>(clusters, 13 + count) + 2;

            const draw<B> d(be, own, clusters, {.num_negatives = count, .seed = 5, .step = 6}, room);

            CHECK(d.batch() == std::vector<index_t>(distinct.begin(), distinct.end()));
            const auto expected = std::min(count, clusters - index_t(distinct.size()));
            CHECK(index_t(d.negatives().size()) == expected);
            CHECK(d.report.num_negatives == expected);
            CHECK(d.report.clamped == (expected < count));
            std::set<index_t> all = distinct;
            for (const index_t k : d.negatives()) {
                CHECK((k >= 0 && k < clusters));
                CHECK(all.insert(k).second);
            }
            for (std::size_t j = 0; j < std::size_t(room); ++j) {
                if (index_t(j) >= d.column_count[0]) {
                    CHECK(d.id[j] == -7); // what lies behind is left as it is
                } else if (index_t(j) < d.batch_count[0]) {
                    CHECK(double(d.log_count[j]) ==
                          doctest::Approx(std::log(double(used.count(d.id[j])))).epsilon(1e-6));
                } else {
                    CHECK(d.log_count[j] == T(0));
                }
            }
        }
    }
}

TEST_CASE_TEMPLATE("draw_negative_prototypes: seed, step and level name the draw", B, TEST_BACKENDS) {
    B be;
    reference_backend<value_of<B>> reference;
    const std::vector<label_t> own{3, 500, 3, 77};
    const negative_prototypes_options options{.num_negatives = 40, .seed = 1, .step = 2, .level = 3};

    const draw<B> first(be, own, 1000, options, 44);
    const draw<B> again(be, own, 1000, options, 44);
    const draw<reference_backend<value_of<B>>> elsewhere(reference, own, 1000, options, 44);

    CHECK(first.id == again.id);
    CHECK(first.id == elsewhere.id);
    for (const auto& other : {negative_prototypes_options{.num_negatives = 40, .seed = 9, .step = 2, .level = 3},
                              negative_prototypes_options{.num_negatives = 40, .seed = 1, .step = 9, .level = 3},
                              negative_prototypes_options{.num_negatives = 40, .seed = 1, .step = 2, .level = 9}}) {
        const draw<B> different(be, own, 1000, other, 44);
        CHECK(different.batch() == first.batch());
        CHECK(different.negatives() != first.negatives());
    }
}

TEST_CASE_TEMPLATE("draw_negative_prototypes: every other prototype is drawn equally often", B, TEST_BACKENDS) {
    B be;
    const std::vector<label_t> own{2, 7, 2};
    const index_t steps = 4000;
    std::vector<int> count(10);

    for (index_t step = 0; step < steps; ++step) {
        const draw<B> d(be, own, 10, {.num_negatives = 3, .seed = 8, .step = std::uint64_t(step)}, 6);
        for (const index_t k : d.negatives()) {
            ++count[std::size_t(k)];
        }
    }

    // Each of 8 is among the 3 drawn with probability 3/8. Binomial: 4.5 standard deviations allow one failure in 10^4
    // such tests.
    const double expected = double(steps) * 3 / 8;
    const double deviation = std::sqrt(double(steps) * 3 / 8 * 5 / 8);
    for (std::size_t k = 0; k < 10; ++k) {
        CAPTURE(k);
        CHECK(std::abs(count[k] - (k == 2 || k == 7 ? 0.0 : expected)) <= 4.5 * deviation);
    }
    CHECK(count[2] == 0);
    CHECK(count[7] == 0);
}

TEST_CASE_TEMPLATE("draw_negative_prototypes: what does not go together is refused by name", B, TEST_BACKENDS) {
    B be;
    const auto refused = [&]<class E>(E*, const std::vector<label_t>& own, index_t clusters, index_t count,
                                      index_t room) {
        return test::message_of<E>([&] { draw<B>(be, own, clusters, {.num_negatives = count}, room); });
    };
    constexpr shape_error* shape = nullptr;
    constexpr argument_error* value = nullptr;

    CHECK(refused(shape, {}, 5, 1, 5) ==
          "draw_negative_prototypes: own: must be given and hold at least one value; got 0 values");
    CHECK(refused(value, {0, 5}, 5, 1, 5) ==
          "draw_negative_prototypes: own: must lie in [-1, 4] for every row of the batch; got 5 for row 1");
    CHECK(refused(value, {-2}, 5, 1, 5) ==
          "draw_negative_prototypes: own: must lie in [-1, 4] for every row of the batch; got -2 for row 0");
    CHECK(refused(value, {0}, 5, -3, 5) == "draw_negative_prototypes: num_negatives: must be at least 0; got -3");
    CHECK(refused(value, {0}, 0, 1, 5) ==
          "draw_negative_prototypes: num_prototypes: must lie in [1, 2147483647]; got 0");
    CHECK(refused(shape, {0, 1}, 9, 4, 5) == "draw_negative_prototypes: column_id: must hold at least 6 values; got 5");
}

// SPDX-License-Identifier: MIT
#include <support/conformance.hpp>
#include <support/drawn_columns.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

using namespace protonce;
using test::columns_wanted;

namespace {

/// All of them in one call, each in a call of its own, and by reference: the same. A device may round a logarithm differently.
template <class B>
void check_draws(const std::vector<columns_wanted>& wanted) {
    B be = test::make<B>({});
    test::reference_of<B> reference;

    const auto actual = test::draw_columns(be, wanted);
    const auto expected = test::draw_columns(reference, wanted);

    for (std::size_t m = 0; m < wanted.size(); ++m) {
        INFO("request ", m, " of ", wanted.size(), ": B = ", wanted[m].own.size(), " P = ", wanted[m].num_columns,
             " R_p = ", wanted[m].num_negatives);
        CHECK(actual[m].id == expected[m].id);
        CHECK(actual[m].column_count == expected[m].column_count);
        CHECK(actual[m].batch_count == expected[m].batch_count);
        CHECK(test::relative_excess(actual[m].log_count, expected[m].log_count, 2) <= 0);
        if (wanted.size() > 1) {
            CHECK(test::draw_columns(be, {wanted[m]}) == std::vector{actual[m]});
        }
    }
}

rng_key key_of(std::uint64_t step, std::uint32_t level) {
    return {.seed = 9, .step = step, .level = level, .purpose = draw_purpose::negative_prototypes};
}

} // namespace

TEST_CASE_TEMPLATE("conformance: draw_columns writes reference's columns", B, CONFORMING_BACKENDS) {
    TEST_RANDOM(random, 206);
    for (const index_t batch : {1, 2, 31, 33, 257}) {
        for (const index_t columns : {1, 2, 15, 17, 100, 5000}) {
            for (const index_t negatives : {0, 1, 16, 4096}) {
                const auto own = random.labels_with_noise(batch, columns);
                const auto key = key_of(static_cast<std::uint64_t>(batch), 1);
                check_draws<B>({{.own = own, .num_columns = columns, .num_negatives = negatives, .key = key}});
            }
        }
    }
}

TEST_CASE_TEMPLATE("conformance: draw_columns of several requests of different sizes is as if each were alone", B,
                   CONFORMING_BACKENDS) {
    TEST_RANDOM(random, 210);
    const index_t batches[] = {33, 1, 257, 64, 700, 2, 31};
    const index_t columns[] = {5000, 3, 100, 1, 900, 70, 20000};
    const index_t negatives[] = {1000, 0, 4096, 5, 257, 69, 16384};
    for (const std::size_t levels : {1U, 3U, 4U, 5U, 7U}) {
        std::vector<columns_wanted> wanted;
        for (std::size_t m = 0; m < levels; ++m) {
            wanted.push_back({.own = random.labels_with_noise(batches[m], columns[m]),
                              .num_columns = columns[m],
                              .num_negatives = negatives[m],
                              .key = key_of(40 + m, static_cast<std::uint32_t>(m)),
                              .step_in_memory = m % 2 == 1,
                              .wants_log_count = m % 3 != 2});
        }
        check_draws<B>(wanted);
    }
    B be = test::make<B>({});
    be.draw_columns({}); // none
}

TEST_CASE_TEMPLATE("conformance: draw_columns of batches with one label, none, or each another", B,
                   CONFORMING_BACKENDS) {
    const label_t last = std::numeric_limits<label_t>::max() - 1;
    for (const std::size_t batch : {1U, 33U, 256U, 1000U}) {
        std::vector<label_t> falling(batch);
        std::generate(falling.begin(), falling.end(),
                      [&, next = static_cast<label_t>(batch)]() mutable { return --next; });
        const auto size = static_cast<index_t>(batch);
        check_draws<B>({{.own = std::vector<label_t>(batch, 7), .num_columns = 8, .num_negatives = 5},
                        {.own = std::vector<label_t>(batch, 0), .num_columns = 1, .num_negatives = 5},
                        {.own = std::vector<label_t>(batch, -1), .num_columns = 300, .num_negatives = 299},
                        {.own = falling, .num_columns = size, .num_negatives = 1},         // none is left
                        {.own = falling, .num_columns = size + 9, .num_negatives = 100}}); // nine are
        check_draws<B>({{.own = std::vector<label_t>(batch, -1), .num_columns = 3},
                        {.own = std::vector<label_t>(batch, last),
                         .num_columns = std::numeric_limits<label_t>::max(),
                         .num_negatives = 40}});
    }
}

TEST_CASE_TEMPLATE("conformance: draw_columns reads a step number in memory instead of the key's", B,
                   CONFORMING_BACKENDS) {
    TEST_RANDOM(random, 211);
    const auto own = random.labels_with_noise(31, 500);
    const columns_wanted wanted{.own = own, .num_columns = 500, .num_negatives = 90, .key = key_of(77, 2)};
    auto in_memory = wanted;
    in_memory.step_in_memory = true;
    B be = test::make<B>({});
    test::reference_of<B> reference;

    CHECK(test::draw_columns(be, {in_memory}) == test::draw_columns(be, {wanted}));
    CHECK(test::draw_columns(reference, {in_memory}) == test::draw_columns(reference, {wanted}));
}

TEST_CASE_TEMPLATE("conformance: draw_columns takes batches of any size beside others", B, CONFORMING_BACKENDS) {
    TEST_RANDOM(random, 212);
    std::vector<columns_wanted> wanted;
    for (const index_t batch : {4097, 40, 4096, 9000}) { // 4096 labels are the most of a CUDA kernel
        wanted.push_back({.own = random.labels_with_noise(batch, 3000),
                          .num_columns = 3500,
                          .num_negatives = 600,
                          .key = key_of(3, static_cast<std::uint32_t>(batch))});
    }
    check_draws<B>(wanted);
}

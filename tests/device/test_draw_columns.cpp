// SPDX-License-Identifier: MIT
// The kernel of cuda_backend::draw_columns() (backend/cuda/draw_columns.hpp): the same bits as the operation made of elements.
#include <device/device_run.hpp>
#include <device/recording.hpp>
#include <support/drawn_columns.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

using namespace protonce;
using test::columns_wanted;
using test::device_backend;
using test::device_run;

namespace {

using draws = detail::cuda::column_draws<float>;

std::vector<test::drawn_columns<float>> by_elements(const std::vector<columns_wanted>& wanted) {
    device_backend be;
    auto run = device_run();
    return test::draw_by(be, wanted, [&](const auto& requests) {
        for (const auto& request : requests) {
            detail::elementwise::draw_columns(run, be.scratch(), request);
        }
    });
}

void check_equal(const std::vector<columns_wanted>& wanted) {
    device_backend be;
    const auto actual = test::draw_columns(be, wanted);
    const auto expected = by_elements(wanted);
    for (std::size_t m = 0; m < wanted.size(); ++m) {
        INFO("request ", m, " of ", wanted.size(), ": B = ", wanted[m].own.size(), " P = ", wanted[m].num_columns,
             " R_p = ", wanted[m].num_negatives);
        CHECK(actual[m].id == expected[m].id);
        CHECK(actual[m].log_count == expected[m].log_count);
        CHECK(actual[m].column_count == expected[m].column_count);
        CHECK(actual[m].batch_count == expected[m].batch_count);
    }
}

/// A request whose step number lies in the device's memory.
columns_wanted wanted_of(test::random_source& random, index_t batch, index_t columns, index_t negatives) {
    return {.own = random.labels_with_noise(batch, columns),
            .num_columns = columns,
            .num_negatives = negatives,
            .key = {.seed = 5,
                    .step = static_cast<std::uint64_t>(1000 + batch),
                    .level = 2,
                    .purpose = draw_purpose::negative_prototypes},
            .step_in_memory = true};
}

} // namespace

TEST_CASE("draw columns: the kernel writes the bits of the operation by elements, for any batch") {
    TEST_RANDOM(random, 851);
    for (const index_t batch :
         {1, 2, 3, 5, 31, 32, 33, 64, 65, 129, 255, 256, 257, 511, 512, 513, 1000, 4095, 4096, 4097}) {
        for (const index_t columns : {batch / 7 + 1, 20 * batch}) { // runs of many labels, and few
            const index_t negatives = batch % 3 == 0 ? 700 : 300;
            check_equal({wanted_of(random, batch, columns, negatives)});
        }
    }
}

TEST_CASE("draw columns: negatives are cut into ranges, none missing and none twice") {
    TEST_RANDOM(random, 852);
    const index_t most = draws::threads * draws::most_blocks; // one a thread; more are cut into longer ranges
    for (const index_t negatives : {index_t{0}, index_t{1}, index_t{255}, index_t{256}, index_t{257}, index_t{512},
                                    index_t{513}, most - 1, most, most + 1}) {
        check_equal({wanted_of(random, 40, 2 * most, negatives)});
    }
    check_equal({wanted_of(random, 40, 513, 2 * most), wanted_of(random, 1, 1, 1)});
    for (const index_t columns : {290, 296, 297, 550}) { // the last range lies partly or wholly where nothing is left
        check_equal({wanted_of(random, 40, columns, 256), wanted_of(random, 40, columns, 512)});
    }
}

TEST_CASE("draw columns: blocks cover the negatives, and there is one for the batch") {
    for (const index_t negatives : {0, 1, 256, 257, 16384, 65536, 65537, 2000000000}) {
        const draws kernel(column_request<float, device>{.num_columns = 2100000000, .num_negatives = negatives});
        CAPTURE(negatives);
        CHECK(kernel.blocks() >= 1);
        CHECK(kernel.blocks() <= draws::most_blocks);
        CHECK(kernel.range % draws::threads == 0);
        CHECK(kernel.blocks() * kernel.range >= negatives);
        CHECK((kernel.blocks() - 1) * kernel.range <= negatives);
    }
    CHECK(draws(column_request<float, device>{.num_columns = 25000, .num_negatives = 16384}).blocks() == 64);
}

TEST_CASE(
    "draw columns: requests side by side, more than one launch takes, and batches beyond shared memory between them") {
    TEST_RANDOM(random, 853);
    std::vector<columns_wanted> wanted;
    for (const index_t batch : {256, 5000, 33, 1, 1000, 4100, 2, 64}) {
        wanted.push_back(wanted_of(random, batch, 3 * batch, 100 + 3 * batch));
        wanted.back().wants_log_count = batch != 33;
        check_equal(wanted);
    }
}

#ifdef PROTONCE_TEST_EMULATED_CUDA
TEST_CASE("draw columns: no schedule changes a column") {
    TEST_RANDOM(random, 854);
    const std::vector<columns_wanted> wanted{wanted_of(random, 700, 300, 600), wanted_of(random, 33, 90, 40),
                                             wanted_of(random, 256, 2000, 10)};
    const auto expected = by_elements(wanted);
    for (const auto& schedule : emulator::schedules()) {
        emulator::active_schedule = schedule;
        device_backend be;
        CHECK(test::draw_columns(be, wanted) == expected);
    }
    emulator::active_schedule = {};
}

TEST_CASE("draw columns: one launch takes four requests") {
    TEST_RANDOM(random, 855);
    for (const std::size_t levels : {1U, 3U, 4U, 5U, 8U, 9U}) {
        test::tape tape;
        device_backend be({.recorder = &tape});
        std::vector<columns_wanted> wanted;
        for (std::size_t m = 0; m < levels; ++m) {
            wanted.push_back(wanted_of(random, 20, 300, 70));
        }
        std::size_t launches = 0;
        const auto drawn = test::draw_by(be, wanted, [&](const auto& requests) {
            tape.record();
            be.draw_columns(requests);
            tape.stop();
            launches = tape.size();
            tape.replay();
        });
        CHECK(launches == (levels + 3) / 4);
        CHECK(drawn == by_elements(wanted));
    }
}
#endif

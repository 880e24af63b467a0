// SPDX-License-Identifier: MIT
// Rows of a queue that stay packed: what reads them has the bits of what packs the rows in each call.
#include <device/device_run.hpp>
#include <support/placed.hpp>

#include <protonce/em/objective.hpp>
#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/m_step.hpp>
#include <protonce/momentum/memory_queue.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <limits>
#include <vector>

using namespace protonce;

namespace kept_rows {
using B = test::device_backend;
using queue = memory_queue<B>;
using test::placed;

namespace {

struct outputs {
    std::vector<float> loss, grad_query, grad_positive, grad_negatives, grad_temperature, top1;
    bool operator==(const outputs&) const = default;
};

/// InfoNCE against the queue with every output, or with those of the plain pass alone.
outputs run(B& be, const queue& from, bool packed, bool everything, index_t batch, bool masked = false) {
    test::random_source random(31);
    const index_t cols = from.num_cols();
    const index_t rows = from.size();
    placed<B, float> query(be, random.unit_rows<float>(batch, cols)),
        positive(be, random.unit_rows<float>(batch, cols)), temperature(be, std::vector<float>{0.2F});
    placed<B, label_t> query_cluster(be, random.labels(masked ? batch : 0, 5)),
        negative_cluster(be, random.labels(masked ? rows : 0, 5));
    auto loss = placed<B, float>::unwritten(be, 1);
    auto grad_query = placed<B, float>::unwritten(be, batch, cols);
    auto grad_positive = placed<B, float>::unwritten(be, everything ? batch : 0, cols);
    auto grad_negatives = placed<B, float>::unwritten(be, everything ? rows : 0, cols);
    auto grad_temperature = placed<B, float>::unwritten(be, everything ? 1 : 0);
    auto top1 = placed<B, float>::unwritten(be, everything ? batch : 0);
    info_nce(be,
             {.query = query.rows(),
              .positive = positive.rows(),
              .negatives = from.rows(),
              .packed_negatives = packed ? from.packed() : vector_view<const float, device>{},
              .query_cluster = query_cluster.vector(),
              .negative_cluster = negative_cluster.vector(),
              .temperature = temperature.vector()},
             {},
             {.loss = loss.vector(),
              .top1 = top1.vector(),
              .grad_query = grad_query.rows(),
              .grad_positive = grad_positive.rows(),
              .grad_negatives = grad_negatives.rows(),
              .grad_temperature = grad_temperature.vector()});
    return {loss.values(),
            grad_query.row_values(),
            grad_positive.row_values(),
            grad_negatives.row_values(),
            grad_temperature.values(),
            top1.values()};
}

void check_equal(B& be, const queue& from) {
    CHECK(run(be, from, true, false, 33) == run(be, from, false, false, 33));
    CHECK(run(be, from, true, true, 33, true) == run(be, from, false, true, 33, true));
}

void push(B& be, queue& to, test::random_source& random, index_t rows) {
    auto keys = random.unit_rows<float>(rows, to.num_cols());
    for (index_t c = 0; c < to.num_cols(); ++c) {
        keys(rows - 1, c) *= 1000; // the scale of a row stays with it
    }
    placed<B, float> given(be, keys);
    to.push(be, given.rows());
}

} // namespace

TEST_CASE("kept rows: a queue's packed rows give the bits of its rows, whatever was pushed") {
    TEST_RANDOM(random, 871);
    for (const index_t cols : {1, 100, 200}) {
        B be(test::standard_options());
        for (const auto start : {queue_start::random_rows, queue_start::empty}) {
            queue keys(be, {.capacity = 300, .num_cols = cols, .start = start});
            CAPTURE(cols);
            CAPTURE(keys.size());
            CHECK((keys.packed().size() > 0) == (be.packed_size(1, 1) > 0));
            for (const index_t rows : {130, 200, 700}) { // wraps, and more than there is room for
                push(be, keys, random, rows);
                check_equal(be, keys);
            }
        }
    }
}

TEST_CASE("kept rows: nothing is left of rows that were forgotten") {
    TEST_RANDOM(random, 872);
    B be(test::standard_options());
    queue keys(be, {.capacity = 200, .num_cols = 30});
    placed<B, float> bad(be, std::vector<float>(200 * 30, std::numeric_limits<float>::quiet_NaN()));
    keys.push(be, matrix_view<const float, device>(bad.vector().data(), 200, 30));
    keys.reset(be);
    push(be, keys, random, 10);
    check_equal(be, keys);
    CHECK(run(be, keys, true, false, 5).loss[0] > 0);

    placed<B, float> rows(be, random.unit_rows<float>(150, 30));
    keys.load(be, {.rows = rows.rows(), .position = 150, .num_pushed = 150});
    check_equal(be, keys);
}

TEST_CASE("kept rows: an empty queue has no negatives") {
    B be(test::standard_options());
    queue keys(be, {.capacity = 50, .num_cols = 8, .start = queue_start::empty});
    CHECK(run(be, keys, true, false, 5) == run(be, keys, false, false, 5));
    CHECK(run(be, keys, true, false, 5).loss == std::vector<float>{0});
}

TEST_CASE("kept rows: precise losses and wide rows have no other form") {
    B be(test::device_options{.losses = loss_precision::precise});
    CHECK(be.packed_size(100, 64) == 0);
    CHECK(queue(be, {.capacity = 10, .num_cols = 4}).packed().empty());
    B standard(test::standard_options());
    CHECK(standard.packed_size(100, 257) == 0);
}

TEST_CASE("kept rows: a backend that has no form of its own passes them over") {
    B standard(test::standard_options()), precise(test::device_options{.losses = loss_precision::precise});
    queue keys(standard, {.capacity = 100, .num_cols = 16});
    CHECK(run(precise, keys, true, true, 5) == run(precise, keys, false, true, 5));
}

TEST_CASE("kept rows: the first rows are in the first values") {
    TEST_RANDOM(random, 876);
    B be(test::standard_options());
    queue keys(be, {.capacity = 300, .num_cols = 20});
    placed<B, float> query(be, random.unit_rows<float>(3, 20)), positive(be, random.unit_rows<float>(3, 20));
    const auto loss_of = [&](vector_view<const float, device> packed) {
        auto loss = placed<B, float>::unwritten(be, 1);
        info_nce(be,
                 {.query = query.rows(),
                  .positive = positive.rows(),
                  .negatives = keys.rows().slice(0, 130),
                  .packed_negatives = packed},
                 {}, {.loss = loss.vector()});
        return loss.values();
    };
    CHECK(loss_of(keys.packed()) == loss_of({}));
    CHECK(loss_of(keys.packed().slice(0, be.packed_size(130, 20))) == loss_of({}));
}

TEST_CASE("kept rows: m_step() and a step of an objective read them, not the rows") {
    TEST_RANDOM(random, 877);
    B be(test::standard_options());
    if (be.packed_size(1, 1) == 0) {
        MESSAGE("the device has no form of its own for columns");
        return;
    }
    constexpr index_t cols = 12, batch = 6, keys = 140;
    placed<B, float> query(be, random.unit_rows<float>(batch, cols)),
        positive(be, random.unit_rows<float>(batch, cols));
    queue one(be, {.capacity = keys, .num_cols = cols}), other(be, {.capacity = keys, .num_cols = cols, .seed = 3});
    const auto loss_of = [&](const queue& rows, const queue& packed) {
        auto loss = placed<B, float>::unwritten(be, 1);
        m_step(be,
               {.query = query.rows(),
                .positive = positive.rows(),
                .negatives = rows.rows(),
                .packed_negatives = packed.packed()},
               {}, {.loss = loss.vector()});
        return loss.values();
    };
    CHECK(loss_of(one, other) == loss_of(other, other));
    CHECK(loss_of(one, other) != loss_of(one, one));

    objective<B> run(be, {.num_samples = 50, .num_cols = cols, .num_clusters = {4}, .queue_size = keys, .seed = 3});
    auto* rows = const_cast<float*>(run.queue().rows().data()); // what is not read may be overwritten
    be.fill(vector_view<float, device>(rows, keys * cols), 0.0F);
    auto loss = placed<B, float>::unwritten(be, 1);
    placed<B, index_t> sample(be, std::vector<index_t>{0, 1, 2, 3, 4, 5});
    run.step(be, {.query = query.rows(), .positive = positive.rows(), .sample = sample.vector()},
             {.loss = loss.vector()});
    CHECK(loss.values() == loss_of(other, other));
}

TEST_CASE("kept rows: too few are refused by name, and any with the batch's keys") {
    TEST_RANDOM(random, 874);
    B be(test::standard_options());
    queue few(be, {.capacity = 128, .num_cols = 16}), many(be, {.capacity = 129, .num_cols = 16});
    if (few.packed().empty()) {
        MESSAGE("the device has no form of its own for columns");
        return;
    }
    placed<B, float> query(be, random.unit_rows<float>(3, 16));
    auto loss = placed<B, float>::unwritten(be, 1);
    const auto call = [&](info_nce_inputs<B> in, key_pool pool) {
        in.query = in.positive = query.rows();
        info_nce(be, in, {.pool = pool}, {.loss = loss.vector()});
    };
    CHECK_THROWS_WITH_AS(
        call({.negatives = many.rows(), .packed_negatives = few.packed()}, key_pool::queue),
        "info_nce: packed_negatives: must hold as many rows as negatives, 8448 values or more; got 4224 values",
        shape_error);
    CHECK_THROWS_WITH_AS(call({.packed_negatives = few.packed()}, key_pool::batch),
                         "info_nce: packed_negatives: must not be given with key_pool::batch; got 4224 values",
                         argument_error);
    CHECK_THROWS_AS(call({.negatives = many.rows(), .packed_negatives = {nullptr, 8448}}, key_pool::queue),
                    shape_error);
}

} // namespace kept_rows

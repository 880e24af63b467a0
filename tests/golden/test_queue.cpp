// SPDX-License-Identifier: MIT
#include "support/backends.hpp"
#include "support/golden.hpp"
#include "support/values.hpp"

#include <protonce/momentum/memory_queue.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace protonce;

namespace {
// The tolerance is `exact`: keys go in and come out bit for bit, so values are compared as the type they went in with.
std::string numbered(const char* name, std::size_t step) {
    return name + std::to_string(step);
}
} // namespace

TEST_CASE_TEMPLATE("golden queue_ring: slots and position of the authors' queue after each enqueue", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    for (const auto name : {"queue_official_0", "queue_official_1"}) {
        INFO(name);
        const auto c = golden::named("queue_ring", name);
        const auto capacity = index_t(c.param("capacity"));
        const auto cols = index_t(c.param("dim"));
        const auto initial = c["queue_initial"].template as<value>();
        memory_queue<B> queue(be, {.capacity = capacity, .num_cols = cols});
        queue.load(be, {.rows = view_rows(initial.data(), capacity, cols)});
        const auto positions = c.expected_list("ptr_after");
        REQUIRE(positions.size() == c.param_list("batches").size());

        for (std::size_t step = 0; step < positions.size(); ++step) {
            CAPTURE(step);
            const auto& batch = c[numbered("keys_", step)];
            const auto keys = batch.template as<value>();
            queue.push(be, view_rows(keys.data(), batch.rows(), cols));

            CHECK(test::values_of(queue.rows()) == c[numbered("queue_after_", step)].template as<value>());
            CHECK(double(queue.position()) == positions[step]);
        }
    }
}

TEST_CASE_TEMPLATE("golden queue_ring: slots, labels, fill and order of a queue that wraps inside batches", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const auto c = golden::named("queue_ring", "queue_wrap_0");
    const auto capacity = index_t(c.param("capacity"));
    const auto cols = index_t(c.param("dim"));
    REQUIRE(c.param("initially_empty") == 1.0);
    memory_queue<B> queue(be, {.capacity = capacity, .num_cols = cols, .start = queue_start::empty});
    const auto positions = c.expected_list("ptr_after");
    const auto sizes = c.expected_list("size_after");
    const auto filled = c.expected_list("has_been_filled");
    REQUIRE(positions.size() == c.param_list("batches").size());

    for (std::size_t step = 0; step < positions.size(); ++step) {
        CAPTURE(step);
        const auto& batch = c[numbered("keys_", step)];
        const auto keys = batch.template as<value>();
        const auto labels = c[numbered("labels_", step)].template as<index_t>();
        queue.push(be, view_rows(keys.data(), batch.rows(), cols), view_vector(labels));

        const index_t size = queue.size();
        REQUIRE(double(size) == sizes[step]);
        CHECK(double(queue.position()) == positions[step]);
        CHECK(queue.is_full() == (filled[step] == 1.0));
        // The other program's slots that are not yet filled hold zeros; ours are not shown.
        auto memory = c[numbered("memory_after_", step)].template as<value>();
        auto memory_labels = c[numbered("label_memory_after_", step)].template as<index_t>();
        memory.resize(static_cast<std::size_t>(size * cols));
        memory_labels.resize(static_cast<std::size_t>(size));
        CHECK(test::values_of(queue.rows()) == memory);
        CHECK(std::vector<index_t>(queue.ids().begin(), queue.ids().end()) == memory_labels);

        std::vector<value> order;
        for (const auto& part : queue.oldest_first()) {
            const auto rows = test::values_of(part.rows);
            order.insert(order.end(), rows.begin(), rows.end());
        }
        CHECK(order == c[numbered("oldest_first_after_", step)].template as<value>());
    }
}

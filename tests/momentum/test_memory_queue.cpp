// SPDX-License-Identifier: MIT
#include "support/backends.hpp"
#include "support/counting_resource.hpp"
#include "support/random.hpp"

#include <protonce/momentum/memory_queue.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

using namespace protonce;

namespace {
template <class T>
std::vector<T> values_of(matrix_view<const T> view) {
    std::vector<T> out;
    for (index_t i = 0; i < view.rows(); ++i) {
        out.insert(out.end(), view.row(i).begin(), view.row(i).end());
    }
    return out;
}

std::vector<index_t> values_of(vector_view<const index_t> view) {
    return {view.begin(), view.end()};
}

/// Rows and ids of a queue from the oldest to the newest.
template <class B>
std::pair<std::vector<value_of<B>>, std::vector<index_t>> in_order(const memory_queue<B>& queue) {
    std::pair<std::vector<value_of<B>>, std::vector<index_t>> out;
    for (const auto& part : queue.oldest_first()) {
        const auto rows = values_of(part.rows);
        out.first.insert(out.first.end(), rows.begin(), rows.end());
        out.second.insert(out.second.end(), part.ids.begin(), part.ids.end());
    }
    return out;
}

/// Rows whose values name them: row i of a batch that starts at number n is (n + i, n + i + 0.5, ...).
template <class T>
test::matrix<T> numbered_rows(index_t first, index_t rows, index_t cols, index_t gap = 0) {
    test::matrix<T> out(rows, cols, gap);
    for (index_t i = 0; i < rows; ++i) {
        for (index_t j = 0; j < cols; ++j) {
            out(i, j) = static_cast<T>(static_cast<double>(first + i) + 0.25 * static_cast<double>(j));
        }
    }
    return out;
}
} // namespace

TEST_CASE_TEMPLATE("memory_queue: starts full of unit rows without sample numbers", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const memory_queue<B> queue(be, {.capacity = 300, .num_cols = 17, .seed = 5});

    REQUIRE(queue.rows().rows() == 300);
    REQUIRE(queue.rows().cols() == 17);
    CHECK(queue.is_full());
    CHECK(queue.position() == 0);
    CHECK(queue.num_pushed() == 0);
    for (index_t i = 0; i < 300; ++i) {
        double square = 0;
        for (const value x : queue.rows().row(i)) {
            square += double(x) * double(x);
        }
        // Each value is rounded once: the square moves by at most one epsilon, and the norm in double by far less.
        CHECK(std::abs(square - 1.0) <= 2 * double(std::numeric_limits<value>::epsilon()));
        CHECK(queue.ids()[i] == -1);
    }
}

TEST_CASE_TEMPLATE("memory_queue: random rows point in all directions alike", B, TEST_BACKENDS) {
    B be;
    constexpr index_t rows = 4000;
    constexpr index_t cols = 5;
    const memory_queue<B> queue(be, {.capacity = rows, .num_cols = cols, .seed = 6});

    // Uniform on the sphere: E x_j = 0, E x_j x_k = [j = k] / C. The mean over n rows of a value in [-1, 1] with
    // variance at most 1 / C lies within 5 sqrt(1 / (C n)) but for one case in a million; the 20 numbers below share
    // one generator.
    const double bound = 5 / std::sqrt(double(cols) * double(rows));
    for (index_t j = 0; j < cols; ++j) {
        double mean = 0;
        for (index_t i = 0; i < rows; ++i) {
            mean += double(queue.rows()(i, j)) / double(rows);
        }
        CHECK(std::abs(mean) <= bound);
        for (index_t k = 0; k <= j; ++k) {
            double product = 0;
            for (index_t i = 0; i < rows; ++i) {
                product += double(queue.rows()(i, j)) * double(queue.rows()(i, k)) / double(rows);
            }
            CHECK(std::abs(product - (j == k ? 1.0 / double(cols) : 0.0)) <= bound);
        }
    }
}

TEST_CASE_TEMPLATE("memory_queue: the seed decides the random rows, and a larger queue begins with the same ones", B,
                   TEST_BACKENDS) {
    B be;
    const memory_queue<B> queue(be, {.capacity = 300, .num_cols = 4, .seed = 5});
    const memory_queue<B> same(be, {.capacity = 300, .num_cols = 4, .seed = 5});
    const memory_queue<B> larger(be, {.capacity = 700, .num_cols = 4, .seed = 5});
    const memory_queue<B> other(be, {.capacity = 300, .num_cols = 4, .seed = 6});

    CHECK(values_of(queue.rows()) == values_of(same.rows()));
    CHECK(values_of(queue.rows()) == values_of(larger.rows().slice(0, 300)));
    CHECK(values_of(queue.rows()) != values_of(other.rows()));
}

TEST_CASE_TEMPLATE("memory_queue: one column gives rows of 1 and -1, about as many of each", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    const memory_queue<B> queue(be, {.capacity = 1000, .num_cols = 1});

    index_t positive = 0;
    for (index_t i = 0; i < 1000; ++i) {
        CHECK(std::abs(queue.rows()(i, 0)) == value(1));
        positive += queue.rows()(i, 0) > 0 ? 1 : 0;
    }
    // 5 standard deviations of sqrt(1000) / 2.
    CHECK(std::abs(double(positive) - 500.0) <= 5 * std::sqrt(1000.0) / 2);
}

TEST_CASE_TEMPLATE("memory_queue: an empty start has no rows, then as many as were pushed", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    memory_queue<B> queue(be, {.capacity = 5, .num_cols = 2, .start = queue_start::empty});
    CHECK(queue.empty());
    CHECK(queue.rows().rows() == 0);
    CHECK(queue.rows().cols() == 2);
    CHECK(queue.oldest_first()[0].rows.rows() == 0);

    queue.push(be, numbered_rows<value>(0, 3, 2).view());

    CHECK(queue.size() == 3);
    CHECK_FALSE(queue.is_full());
    CHECK(values_of(queue.rows()) == numbered_rows<value>(0, 3, 2).storage());
    CHECK(values_of(queue.ids()) == std::vector<index_t>{-1, -1, -1});
}

TEST_CASE_TEMPLATE("memory_queue: after R / B pushes it holds the last R keys in order", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    memory_queue<B> queue(be, {.capacity = 12, .num_cols = 3});
    for (index_t push = 0; push < 5; ++push) {
        queue.push(be, numbered_rows<value>(4 * push, 4, 3).view());
    }

    CHECK(in_order(queue).first == numbered_rows<value>(8, 12, 3).storage());
    CHECK(queue.position() == 8);
    CHECK(queue.num_pushed() == 20);
}

TEST_CASE_TEMPLATE("memory_queue: batches of any size leave what a bounded deque holds, in the slots of a ring", B,
                   TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    TEST_RANDOM(random, 21);
    for (const index_t capacity : {1, 2, 7, 10}) {
        CAPTURE(capacity);
        memory_queue<B> queue(be, {.capacity = capacity, .num_cols = 2, .start = queue_start::empty});
        std::deque<index_t> model;
        std::vector<index_t> slots(static_cast<std::size_t>(capacity), -7);
        index_t pushed = 0;
        for (int push = 0; push < 60; ++push) {
            const index_t count = 1 + random.integer(2 * capacity + 3);
            CAPTURE(count);
            // A stride above the width in every third batch.
            const auto keys = numbered_rows<value>(pushed, count, 2, push % 3 == 0 ? 3 : 0);
            std::vector<index_t> ids(static_cast<std::size_t>(count));
            std::iota(ids.begin(), ids.end(), pushed);
            for (const index_t id : ids) {
                slots[static_cast<std::size_t>(id % capacity)] = id;
                model.push_back(id);
                if (index_t(model.size()) > capacity) {
                    model.pop_front();
                }
            }
            pushed += count;

            queue.push(be, keys.view(), view_vector(std::as_const(ids)));

            const auto [rows, order] = in_order(queue);
            REQUIRE(order == std::vector<index_t>(model.begin(), model.end()));
            REQUIRE(rows == numbered_rows<value>(model.front(), index_t(model.size()), 2).storage());
            REQUIRE(values_of(queue.ids()) == std::vector<index_t>(slots.begin(), slots.begin() + queue.size()));
            REQUIRE(queue.size() == index_t(model.size()));
            REQUIRE(queue.position() == pushed % capacity);
            REQUIRE(queue.num_pushed() == std::uint64_t(pushed));
        }
    }
}

TEST_CASE_TEMPLATE("memory_queue: a batch is the same as its rows one by one", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    for (const index_t count : {1, 6, 7, 8, 20}) {
        CAPTURE(count);
        memory_queue<B> whole(be, {.capacity = 7, .num_cols = 3, .seed = 3});
        memory_queue<B> single(be, {.capacity = 7, .num_cols = 3, .seed = 3});
        const auto first = numbered_rows<value>(100, 4, 3);
        const auto keys = numbered_rows<value>(0, count, 3, 1);
        whole.push(be, first.view());
        single.push(be, first.view());

        whole.push(be, keys.view());
        for (index_t i = 0; i < count; ++i) {
            single.push(be, keys.view().slice(i, 1));
        }

        CHECK(values_of(whole.rows()) == values_of(single.rows()));
        CHECK(whole.position() == single.position());
        CHECK(whole.num_pushed() == single.num_pushed());
    }
}

TEST_CASE_TEMPLATE("memory_queue: a push without ids forgets those of the slots it takes", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    memory_queue<B> queue(be, {.capacity = 4, .num_cols = 1, .start = queue_start::empty});
    const std::vector<index_t> ids{10, 11, 12, 13};
    queue.push(be, numbered_rows<value>(0, 4, 1).view(), view_vector(ids));

    queue.push(be, numbered_rows<value>(4, 2, 1).view());

    CHECK(values_of(queue.ids()) == std::vector<index_t>{-1, -1, 12, 13});
}

TEST_CASE_TEMPLATE("memory_queue: reset leaves it empty, and it fills again", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    memory_queue<B> queue(be, {.capacity = 4, .num_cols = 2});
    queue.push(be, numbered_rows<value>(0, 3, 2).view());

    queue.reset(be);
    CHECK(queue.empty());
    CHECK(queue.position() == 0);
    CHECK(queue.num_pushed() == 0);

    queue.push(be, numbered_rows<value>(7, 1, 2).view());
    CHECK(values_of(queue.rows()) == numbered_rows<value>(7, 1, 2).storage());
}

TEST_CASE_TEMPLATE("memory_queue: load restores everything, and the copy goes on like the original", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    for (const index_t pushed : {3, 5, 8}) {
        CAPTURE(pushed);
        memory_queue<B> queue(be, {.capacity = 5, .num_cols = 2, .start = queue_start::empty});
        std::vector<index_t> ids(static_cast<std::size_t>(pushed));
        std::iota(ids.begin(), ids.end(), 40);
        queue.push(be, numbered_rows<value>(0, pushed, 2).view(), view_vector(std::as_const(ids)));
        memory_queue<B> copy(be, {.capacity = 5, .num_cols = 2, .seed = 9});

        copy.load(
            be,
            {.rows = queue.rows(), .ids = queue.ids(), .position = queue.position(), .num_pushed = queue.num_pushed()});

        for (int more = 0; more < 2; ++more) {
            CHECK(values_of(copy.rows()) == values_of(queue.rows()));
            CHECK(values_of(copy.ids()) == values_of(queue.ids()));
            CHECK(copy.position() == queue.position());
            CHECK(copy.num_pushed() == queue.num_pushed());
            CHECK(in_order(copy) == in_order(queue));
            queue.push(be, numbered_rows<value>(90, 4, 2).view());
            copy.push(be, numbered_rows<value>(90, 4, 2).view());
        }
    }
}

TEST_CASE_TEMPLATE("memory_queue: load of no rows empties it", B, TEST_BACKENDS) {
    B be;
    memory_queue<B> queue(be, {.capacity = 5, .num_cols = 2});
    queue.load(be, {});
    CHECK(queue.empty());
    CHECK(queue.position() == 0);
}

TEST_CASE_TEMPLATE("memory_queue: what the host knows of the ring equals what the ring knows", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    memory_queue<B> queue(be, {.capacity = 5, .num_cols = 2, .start = queue_start::empty});
    const auto check_counters = [&] {
        const index_t position = queue.position(), size = queue.size();
        const std::uint64_t pushed = queue.num_pushed();
        queue.catch_up(be);
        CHECK(queue.position() == position);
        CHECK(queue.size() == size);
        CHECK(queue.num_pushed() == pushed);
    };
    check_counters();
    for (const index_t rows : {1, 3, 2, 5, 13, 4}) {
        CAPTURE(rows);
        queue.push(be, numbered_rows<value>(0, rows, 2).view());
        check_counters();
    }
    queue.load(be, {.rows = numbered_rows<value>(0, 5, 2).view(), .position = 2, .num_pushed = 1000});
    check_counters();
    queue.load(be, {.rows = numbered_rows<value>(0, 3, 2).view(), .position = 3, .num_pushed = 7});
    check_counters();
    queue.reset(be);
    check_counters();
    memory_queue<B> full(be, {.capacity = 5, .num_cols = 2});
    full.catch_up(be);
    CHECK(full.is_full());
}

TEST_CASE_TEMPLATE("memory_queue: moving it keeps rows, ids and position", B, TEST_BACKENDS) {
    using value = value_of<B>;
    B be;
    memory_queue<B> queue(be, {.capacity = 4, .num_cols = 2});
    queue.push(be, numbered_rows<value>(0, 3, 2).view());
    const auto expected = in_order(queue);

    memory_queue<B> moved(std::move(queue));

    CHECK(in_order(moved) == expected);
    CHECK(moved.position() == 3);
}

TEST_CASE_TEMPLATE("memory_queue: owns R x C values and R ids from the backend's memory, and a second push takes none",
                   B, TEST_BACKENDS) {
    using value = value_of<B>;
    test::counting_resource memory;
    B be = test::backend_on<B>(&memory);
    memory_queue<B> queue(be, {.capacity = 64, .num_cols = 8});
    const auto keys = numbered_rows<value>(0, 50, 8);
    const auto apart = numbered_rows<value>(0, 50, 8, 2);
    queue.push(be, keys.view());
    const index_t before = memory.allocations();

    queue.push(be, keys.view());
    queue.push(be, apart.view());

    CHECK(memory.allocations() == before);
    CHECK(memory.bytes_in_use() >= 64 * 8 * index_t(sizeof(value)) + 64 * index_t(sizeof(index_t)));
}

// SPDX-License-Identifier: MIT
#include <protonce/core/workspace.hpp>

#include <support/counting_resource.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <new>

using namespace protonce;

namespace {

bool is_aligned(const void* pointer) {
    return reinterpret_cast<std::uintptr_t>(pointer) % 64 == 0;
}

// Takes memory as an algorithm would: nested, of several types, larger than the first block.
void nested_work(workspace<host>& scratch, index_t size) {
    workspace<host>::scope outer(scratch);
    auto labels = outer.vector<label_t>(size);
    std::fill(labels.begin(), labels.end(), 1);
    for (int round = 0; round < 3; ++round) {
        workspace<host>::scope inner(scratch);
        auto rows = inner.matrix<double>(size, 7);
        std::fill_n(rows.data(), size * 7, 2.0);
        auto more = inner.vector<float>(3 * size);
        std::fill(more.begin(), more.end(), 3.0f);
    }
    auto late = outer.vector<char>(5 * size);
    std::fill(late.begin(), late.end(), 'x');
    CHECK(std::all_of(labels.begin(), labels.end(), [](label_t k) { return k == 1; }));
}

} // namespace

TEST_CASE("workspace: everything taken is aligned to 64 bytes") {
    workspace<host> scratch(std::pmr::new_delete_resource());
    workspace<host>::scope scope(scratch);

    CHECK(is_aligned(scope.vector<char>(1).data()));
    CHECK(is_aligned(scope.vector<double>(3).data()));
    CHECK(is_aligned(scope.matrix<float>(3, 5).data()));
    CHECK(is_aligned(scope.vector<double>(100000).data()));
    CHECK(is_aligned(scope.vector<char>(1).data()));
}

TEST_CASE("workspace: pieces of one scope do not overlap") {
    workspace<host> scratch(std::pmr::new_delete_resource());
    workspace<host>::scope scope(scratch);

    auto first = scope.vector<int>(100);
    auto second = scope.matrix<int>(5, 50);
    std::fill(first.begin(), first.end(), 1);
    std::fill_n(second.data(), 250, 2);

    CHECK(std::all_of(first.begin(), first.end(), [](int value) { return value == 1; }));
    CHECK(second.rows() == 5);
    CHECK(second.stride() == 50);
}

TEST_CASE("workspace: what an inner scope took is given back when it ends, what the outer one took is not") {
    workspace<host> scratch(std::pmr::new_delete_resource());
    workspace<host>::scope outer(scratch);
    auto kept = outer.vector<int>(10);
    kept[9] = 42;
    const int* inner_data = nullptr;

    {
        workspace<host>::scope inner(scratch);
        inner_data = inner.vector<int>(1000).data();
    }
    const int* next = outer.vector<int>(1000).data();

    CHECK(next == inner_data);
    CHECK(kept[9] == 42);
}

TEST_CASE("workspace: the second identical sequence of calls takes nothing from the resource") {
    for (const index_t size : {1, 100, 5000, 40000}) {
        test::counting_resource memory;
        workspace<host> scratch(&memory);

        nested_work(scratch, size);
        const index_t first = memory.allocations();
        const index_t held = scratch.bytes();
        nested_work(scratch, size);
        nested_work(scratch, size);

        CAPTURE(size);
        CHECK(first >= 1);
        CHECK(memory.allocations() == first);
        CHECK(scratch.bytes() == held);
        CHECK(scratch.bytes() == memory.bytes_in_use());
    }
}

TEST_CASE("workspace: growing by small steps takes few blocks") {
    test::counting_resource memory;
    workspace<host> scratch(&memory);
    workspace<host>::scope scope(scratch);

    for (int i = 0; i < 1000; ++i) {
        scope.vector<char>(10000);
    }

    // Each block is as large as all before it: 64 KiB doubled to 10 MB in about 8 steps.
    CHECK(memory.allocations() <= 10);
    CHECK(scratch.bytes() >= 10000000);
    CHECK(scratch.bytes() <= 4 * 10000000);
}

TEST_CASE("workspace: release gives every block back") {
    test::counting_resource memory;
    workspace<host> scratch(&memory);
    nested_work(scratch, 5000);
    const index_t first = memory.allocations();

    scratch.release();

    CHECK(scratch.bytes() == 0);
    CHECK(memory.bytes_in_use() == 0);
    nested_work(scratch, 5000);
    CHECK(memory.allocations() == 2 * first);
}

TEST_CASE("workspace: a size that overflows throws bad_alloc, and the workspace stays usable") {
    workspace<host> scratch(std::pmr::new_delete_resource());
    constexpr index_t most = std::numeric_limits<index_t>::max();

    {
        workspace<host>::scope scope(scratch);
        scope.vector<char>(10);
        CHECK_THROWS_AS(scope.vector<double>(most / 4), std::bad_alloc);
        CHECK_THROWS_AS(scope.vector<double>(-1), std::bad_alloc);
        CHECK_THROWS_AS(scope.matrix<char>(most / 2, 3), std::bad_alloc);
        CHECK_THROWS_AS(scope.matrix<char>(-1, -1), std::bad_alloc);
    }

    nested_work(scratch, 100);
}

TEST_CASE("workspace: a resource without room leaves it usable") {
    alignas(64) static std::byte storage[1 << 17];
    std::pmr::monotonic_buffer_resource bounded(storage, sizeof(storage), std::pmr::null_memory_resource());
    workspace<host> scratch(&bounded);
    nested_work(scratch, 100);
    const index_t held = scratch.bytes();

    {
        workspace<host>::scope scope(scratch);
        CHECK_THROWS_AS(scope.vector<char>(1 << 20), std::bad_alloc);
    }

    CHECK(scratch.bytes() == held);
    nested_work(scratch, 100);
    CHECK(scratch.bytes() == held);
}

// SPDX-License-Identifier: MIT
#include <protonce/core/buffer.hpp>

#include <support/counting_resource.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

using namespace protonce;

static_assert(!std::is_copy_constructible_v<buffer<float>> && !std::is_copy_assignable_v<buffer<float>>);
static_assert(std::is_nothrow_move_constructible_v<buffer<float>> && std::is_nothrow_move_assignable_v<buffer<float>>);

TEST_CASE("buffer: memory comes from the resource, aligned to 64 bytes, and goes back to it") {
    test::counting_resource memory;

    {
        buffer<float> values(&memory, 5);
        values.view()[4] = 1;

        CHECK(memory.allocations() == 1);
        CHECK(memory.bytes_in_use() == 20);
        CHECK(reinterpret_cast<std::uintptr_t>(values.view().data()) % 64 == 0);
        CHECK(values.size() == 5);
    }

    CHECK(memory.bytes_in_use() == 0);
}

TEST_CASE("buffer: an empty one takes no memory") {
    test::counting_resource memory;

    const buffer<float> by_default;
    const buffer<float> by_size(&memory, 0);

    CHECK(by_default.view().empty());
    CHECK(by_size.view().empty());
    CHECK(memory.allocations() == 0);
}

TEST_CASE("buffer: moving hands the memory over, assignment gives the old memory back") {
    test::counting_resource memory;
    buffer<int> first(&memory, 3);
    first.view()[2] = 7;
    const int* data = first.view().data();

    buffer<int> second(std::move(first));
    buffer<int> third(&memory, 100);
    third = std::move(second);

    CHECK(third.view().data() == data);
    CHECK(third.view()[2] == 7);
    CHECK(second.size() == 0);
    CHECK(memory.allocations() == 2);
    CHECK(memory.bytes_in_use() == 12);
}

TEST_CASE("buffer: the same values as rows") {
    buffer<int> values(std::pmr::new_delete_resource(), 6);

    values.rows(3)(1, 2) = 9;

    CHECK(values.rows(3).rows() == 2);
    CHECK(values.view()[5] == 9);
    CHECK(std::as_const(values).rows(2).rows() == 3);
    CHECK(values.rows(0).empty());
}

TEST_CASE("buffer: a size that no address space holds throws bad_alloc instead of wrapping around") {
    test::counting_resource memory;

    CHECK_THROWS_AS(buffer<double>(&memory, -1), std::bad_alloc);
    CHECK_THROWS_AS(buffer<double>(&memory, std::numeric_limits<index_t>::max()), std::bad_alloc);
    // 2^61 doubles are 2^64 bytes: 0 after a wrap.
    CHECK_THROWS_AS(buffer<double>(&memory, index_t{1} << 61), std::bad_alloc);
    CHECK(memory.allocations() == 0);
}

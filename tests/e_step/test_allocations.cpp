// SPDX-License-Identifier: MIT
#include "e_step/snapshot.hpp"
#include "support/backends.hpp"
#include "support/counting_resource.hpp"
#include "support/random.hpp"

#include <protonce/e_step/assign.hpp>
#include <protonce/e_step/e_step.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

// Counts every allocation of the program that does not go through the backend's memory resource: strings, vectors,
// closures. Not inlined, because g++ would see a free() of what it knows as memory of new, and warn.
namespace {
std::atomic<long> heap_allocations{0};
}

[[gnu::noinline]] void* operator new(std::size_t size) {
    ++heap_allocations;
    if (void* memory = std::malloc(size > 0 ? size : 1)) {
        return memory;
    }
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

using namespace protonce;

namespace {

/// Runs `call` twice; the second time neither the backend nor the program may allocate.
template <class Call>
void check_second_call(const test::counting_resource& memory, const Call& call) {
    call();
    const auto backend_before = memory.allocations();
    const long heap_before = heap_allocations.load();

    call();

    const auto backend_after = memory.allocations();
    const long heap_after = heap_allocations.load();
    CHECK(backend_after == backend_before);
    CHECK(heap_after == heap_before);
}

} // namespace

TEST_CASE_TEMPLATE("e_step: the second identical call allocates nothing", B, TEST_BACKENDS) {
    using value = value_of<B>;
    test::counting_resource memory;
    auto be = test::backend_on<B>(&memory);
    TEST_RANDOM(random, 111);
    const index_t rows = 500;
    const auto x = random.template unit_rows<value>(rows, 8);
    const auto weight = random.template uniform_values<value>(rows, 0.5, 2.0);
    std::vector<clustering<B>> levels;
    levels.emplace_back(be, rows, 8, 5);
    levels.emplace_back(be, rows, 8, 40);
    std::vector<e_step_report> reports(2);
    std::vector<label_t> labels(static_cast<std::size_t>(rows));

    REQUIRE(memory.allocations() > 0); // both counters count
    REQUIRE(heap_allocations.load() > 0);

    check_second_call(memory, [&] { kmeans(be, x.view(), {.restarts = 2}, levels[1]); });
    check_second_call(memory, [&] {
        kmeans(be, {.features = x.view(), .weight = view_vector(weight)},
               {.tolerance = 1e-3, .init = kmeans_init::random_rows, .on_empty = empty_cluster::drop}, levels[1]);
    });
    check_second_call(memory, [&] { kmeans(be, x.view(), {.spherical = true}, levels[0]); });
    check_second_call(memory, [&] { concentration(be, levels[0].spread(), {}, levels[0].temperatures()); });
    check_second_call(memory, [&] { assign(be, x.view(), levels[0].centroids(), view_vector(labels)); });
    check_second_call(
        memory, [&] { fill_clustering(be, {.features = x.view(), .assignment = levels[0].assignment()}, levels[0]); });
    check_second_call(memory, [&] { e_step(be, x.view(), {}, levels, reports); });
    check_second_call(memory, [&] { e_step(be, {.features = x.view(), .previous = levels}, {}, levels, reports); });
}

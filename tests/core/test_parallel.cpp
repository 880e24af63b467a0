// SPDX-License-Identifier: MIT
#include <protonce/core/parallel.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

using namespace protonce;

namespace {

// What a run over tasks did: calls of each task, and whether a worker number was out of range or used twice at once.
struct observation {
    std::vector<std::atomic<int>> calls;
    std::vector<std::atomic<int>> busy;
    std::atomic<bool> worker_out_of_range{false};
    std::atomic<bool> worker_shared{false};

    observation(index_t tasks, int workers)
        : calls(static_cast<std::size_t>(tasks)), busy(static_cast<std::size_t>(workers)) {}

    void enter(index_t task, int worker) {
        ++calls[static_cast<std::size_t>(task)];
        if (worker < 0 || worker >= static_cast<int>(busy.size())) {
            worker_out_of_range = true;
            return;
        }
        if (busy[static_cast<std::size_t>(worker)].fetch_add(1) != 0) {
            worker_shared = true;
        }
        std::this_thread::yield();
        busy[static_cast<std::size_t>(worker)].fetch_sub(1);
    }
    bool each_task_once() const {
        for (const auto& count : calls) {
            if (count.load() != 1) {
                return false;
            }
        }
        return true;
    }
};

// A caller's own pool: a thread for each task, the last task first.
struct own_pool {
    int runs = 0;
    index_t most_tasks = 0;

    static void run(void* context, index_t tasks, void (*task)(void* data, index_t i), void* data) {
        auto& pool = *static_cast<own_pool*>(context);
        ++pool.runs;
        pool.most_tasks = std::max(pool.most_tasks, tasks);
        std::vector<std::thread> threads;
        for (index_t i = tasks - 1; i >= 0; --i) {
            threads.emplace_back(task, data, i);
        }
        for (auto& thread : threads) {
            thread.join();
        }
    }
};

} // namespace

TEST_CASE_TEMPLATE("parallel: every task runs once, and no worker number is used twice at the same time", Threads,
                   serial_threads, default_threads) {
    for (const int threads : {1, 2, 3, 7, 16}) {
        for (const index_t tasks : {1, 2, 5, 100}) {
            const thread_team<Threads> team(threads);
            observation seen(tasks, team.workers());

            team.for_each(tasks, team.workers(), [&](index_t task, int worker) { seen.enter(task, worker); });

            CAPTURE(threads);
            CAPTURE(tasks);
            CHECK(team.workers() == threads);
            CHECK(seen.each_task_once());
            CHECK_FALSE(seen.worker_out_of_range.load());
            CHECK_FALSE(seen.worker_shared.load());
        }
    }
}

TEST_CASE_TEMPLATE("parallel: 0 threads means what the threading library says", Threads, serial_threads,
                   default_threads) {
    const thread_team<Threads> team;
    observation seen(33, team.workers());

    team.for_each(33, [&](index_t task) { seen.enter(task, 0); });

    CHECK(team.workers() == Threads::available());
    CHECK(team.workers() >= 1);
    CHECK(seen.each_task_once());
}

TEST_CASE("parallel: without tasks nothing is called") {
    const thread_team<default_threads> team(4);
    int calls = 0;

    team.for_each(0, [&](index_t) { ++calls; });
    team.for_each(-1, [&](index_t) { ++calls; });

    CHECK(calls == 0);
}

TEST_CASE("parallel: one worker runs the tasks in order on the calling thread") {
    const thread_team<default_threads> team(1);
    std::vector<index_t> order;
    bool same_thread = true;
    const auto self = std::this_thread::get_id();

    team.for_each(5, [&](index_t task) {
        order.push_back(task);
        same_thread = same_thread && std::this_thread::get_id() == self;
    });

    CHECK(order == std::vector<index_t>{0, 1, 2, 3, 4});
    CHECK(same_thread);
}

TEST_CASE("parallel: a caller's own executor does the work, with no more tasks than workers") {
    own_pool pool;
    const thread_team<default_threads> team(3, {.context = &pool, .run = &own_pool::run});
    observation seen(50, team.workers());

    team.for_each(50, team.workers(), [&](index_t task, int worker) { seen.enter(task, worker); });

    CHECK(pool.runs == 1);
    CHECK(pool.most_tasks == 3);
    CHECK(seen.each_task_once());
    CHECK_FALSE(seen.worker_out_of_range.load());
    CHECK_FALSE(seen.worker_shared.load());
}

TEST_CASE("parallel: with fewer tasks than workers only as many workers start") {
    own_pool pool;
    const thread_team<default_threads> team(8, {.context = &pool, .run = &own_pool::run});
    observation seen(2, team.workers());

    team.for_each(2, team.workers(), [&](index_t task, int worker) { seen.enter(task, worker); });

    CHECK(pool.most_tasks == 2);
    CHECK(seen.each_task_once());
}

TEST_CASE("parallel: an own executor without a thread count means one worker, and is not asked") {
    own_pool pool;
    const thread_team<default_threads> team(0, {.context = &pool, .run = &own_pool::run});
    int calls = 0;

    team.for_each(4, [&](index_t) { ++calls; });

    CHECK(team.workers() == 1);
    CHECK(calls == 4);
    CHECK(pool.runs == 0);
}

#ifdef _OPENMP
TEST_CASE("parallel: inside a parallel region of the caller's the calling thread does all the work") {
    std::atomic<int> wrong{0};

#pragma omp parallel num_threads(2)
    {
        const thread_team<openmp_threads> team;
        const auto self = std::this_thread::get_id();
        team.for_each(10, [&](index_t) { wrong += std::this_thread::get_id() == self ? 0 : 1; });
        wrong += team.workers() == 1 ? 0 : 1;
    }

    CHECK(wrong.load() == 0);
}
#endif

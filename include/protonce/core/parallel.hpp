// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

#include <algorithm>
#include <atomic>
#include <type_traits>

#ifdef _OPENMP
#include <omp.h>
#endif

/// The one place that starts threads. Work is cut into tasks whose number never depends on the number of threads; a task writes only
/// what is its own, and what tasks computed is combined in task order. So results are bitwise the same for any number of threads.
namespace protonce::inline v0 {

/// The caller's own threads. `run` must call task(data, i) once for every i in [0, tasks), in any order, on any threads, and return
/// when all are done. Tasks do not throw.
struct executor {
    void* context = nullptr;
    void (*run)(void* context, index_t tasks, void (*task)(void* data, index_t i), void* data) = nullptr;
};

/// Runs everything on the calling thread.
struct serial_threads {
    static int available() { return 1; }
    template <class F>
    static void run(int workers, const F& worker) {
        for (int w = 0; w < workers; ++w) {
            worker(w);
        }
    }
};

#ifdef _OPENMP
/// Runs on the OpenMP team, which host frameworks use too, so that no two pools fight. Inside a parallel region of the caller's the
/// calling thread does all the work.
struct openmp_threads {
    static int available() { return omp_in_parallel() ? 1 : (std::max)(1, omp_get_max_threads()); }
    template <class F>
    static void run(int workers, const F& worker) {
        if (workers == 1) {
            return worker(0);
        }
#pragma omp parallel for schedule(static, 1) num_threads(workers)
        for (int w = 0; w < workers; ++w) {
            worker(w);
        }
    }
};
#endif

// Units compiled with and without OpenMP can be linked into one program: the mode is part of the name of everything built on it.
#ifdef _OPENMP
inline namespace openmp_mode {
using default_threads = openmp_threads;
}
#else
inline namespace serial_mode {
using default_threads = serial_threads;
}
#endif

/// How many workers a backend uses, and whose threads they are.
template <class Threads>
class thread_team {
public:
    /// \param threads  workers; 0 means as many as the threading library says at each call
    explicit thread_team(int threads = 0, executor own = {}) : threads_(threads), own_(own) {}

    /// The most workers that for_each() will use now: the size of per-worker scratch.
    int workers() const {
        if (threads_ > 0) {
            return threads_;
        }
        return own_.run != nullptr ? 1 : Threads::available();
    }

    /// Calls body(task, worker) for every task in [0, tasks); at most one call at a time has the same `worker` in [0, workers()).
    /// `workers` must be the number that the caller sized its scratch with. The body must not throw.
    template <class F>
    void for_each(index_t tasks, int workers, const F& body) const {
        // Erased, so that a body is compiled once and not for each way to run it.
        run_tasks(
            tasks, workers,
            [](const void* data, index_t task, int worker) { (*static_cast<const F*>(data))(task, worker); }, &body);
    }
    /// As above, for bodies without per-worker scratch.
    template <class F>
    void for_each(index_t tasks, const F& body) const {
        for_each(tasks, workers(), [&](index_t task, int) { body(task); });
    }

private:
    using task_body = void (*)(const void* data, index_t task, int worker);

    // Inlined in part it would bring every body along, once more.
    [[gnu::noinline]] void run_tasks(index_t tasks, int workers, task_body body, const void* data) const {
        if (tasks <= 0) {
            return;
        }
        const int used = static_cast<int>((std::min<index_t>)(workers, tasks));
        if (used == 1) {
            for (index_t t = 0; t < tasks; ++t) {
                body(data, t, 0);
            }
            return;
        }
        std::atomic<index_t> next{0};
        const auto worker = [&](int w) {
            for (index_t t = next.fetch_add(1, std::memory_order_relaxed); t < tasks;
                 t = next.fetch_add(1, std::memory_order_relaxed)) {
                body(data, t, w);
            }
        };
        if (own_.run != nullptr) {
            using worker_type = decltype(worker);
            own_.run(
                own_.context, used,
                [](void* from, index_t w) { (*static_cast<worker_type*>(from))(static_cast<int>(w)); },
                const_cast<void*>(static_cast<const void*>(&worker)));
        } else {
            Threads::run(used, worker);
        }
    }

    int threads_;
    executor own_;
};

} // namespace protonce::inline v0

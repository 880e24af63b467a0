// SPDX-License-Identifier: MIT
#pragma once
#include <device/emulator/emulator.hpp>
#include <device/emulator/fiber.hpp>
#include <device/emulator/memory.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

namespace emulator::detail {

constexpr int warp_size = 32;
constexpr int max_threads = 1024;

/// Why a thread does not run.
enum class stop { turn, block, warp, shuffle, multiply_tf32, multiply_f16, end, fault };

/// What a thread brings to where it waits.
struct visit {
    stop at = stop::end;
    call_site site{};
    std::uint64_t* value = nullptr;
    int mask = 0;
    float* c = nullptr;
    const std::uint32_t* a = nullptr;
    const std::uint32_t* b = nullptr;
};

/// The asynchronous copies of a thread, in groups.
class copy_queue {
public:
    static constexpr std::size_t bytes = 16;

    void add(void* to, const void* from); // null: zeros
    void commit() { ends_.push_back(copies_.size()); }
    void wait(std::size_t left);
    void clear();
    bool is_empty() const { return copies_.empty(); }

private:
    struct pending {
        void* to;
        const void* from;
    };
    std::vector<pending> copies_;   // that are under way
    std::vector<std::size_t> ends_; // of the closed groups, in copies_
};

struct thread {
    fiber context;
    visit now;
    copy_queue copies;
};

/// Which one of several comes next.
class chooser {
public:
    void restart(const schedule& schedule) { schedule_ = schedule, state_ = schedule.seed; }
    const schedule& rules() const { return schedule_; }
    std::size_t below(std::size_t limit);
    /// 0 ... size - 1
    void arrange(order order, int* numbers, std::size_t size);

private:
    schedule schedule_;
    std::uint64_t state_ = 0;
};

/// How the text of a fault begins; of no thread in particular if the number is negative.
std::string describe(fault_kind kind, int thread);
/// What a thread does there.
std::string describe(const visit& visit);

/// Runs blocks, one after another, on one host thread.
class block_runner {
public:
    static block_runner& of_host_thread();

    void launch(const grid& grid, const call& call);

    // For the thread that runs:
    /// Inline, and leave() comes last: every return between a switch and the kernel would be predicted wrong.
    void wait(const visit& visit) {
        thread& self = running();
        self.now = visit;
        self.context.leave();
    }
    void copy(void* to, const void* from, bool valid);
    void commit_copies();
    void wait_copies(int left);
    void fail(fault_kind kind, const char* text);

private:
    static void thread_body();
    thread& running() { return threads_[static_cast<std::size_t>(here.thread)]; }
    void run_thread();

    void run_grid();
    void run_block();
    void run_warps();
    bool run_lanes(int warp);
    bool release_warp(int warp);
    bool release_block();
    void resume(int thread);
    void maybe_pause();
    void forget_threads();

    [[noreturn]] void refuse_meeting(fault_kind kind, int waiting, int other);

    grid grid_;
    call call_;
    chooser chooser_;
    shared_arena shared_;
    std::vector<thread> threads_ = std::vector<thread>(max_threads); // a stack is made when one is first entered
    std::exception_ptr failure_;                                     // of a thread, for the host's stack
    bool is_running_ = false;
};

} // namespace emulator::detail

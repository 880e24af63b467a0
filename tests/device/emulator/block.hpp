// SPDX-License-Identifier: MIT
#pragma once
#include <device/emulator/emulator.hpp>
#include <device/emulator/fiber.hpp>
#include <device/emulator/memory.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace emulator::detail {

constexpr int warp_size = 32;
constexpr int max_threads = 1024;

/// Why a thread does not run. From `warp` to `wait_products` a warp does together.
enum class stop {
    turn,
    block,
    barrier,
    warp,
    shuffle,
    multiply_tf32,
    multiply_f16,
    begin_product,
    wait_products,
    end,
    fault
};

/// What a thread brings to where it waits.
struct visit {
    stop at = stop::end;
    call_site site{};
    std::uint64_t* value = nullptr; // of a shuffle; a barrier
    int mask = 0;                   // of a shuffle; parity of a barrier; how many groups of products may be under way
    float* c = nullptr;
    const std::uint32_t* a = nullptr;
    const std::uint32_t* b = nullptr;
    std::uint64_t left = 0; // descriptors of a product of a warp group; the left matrix may be in `a`
    std::uint64_t right = 0;
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
    /// Where copies have landed since the thread last published what it wrote.
    std::vector<void*>& landed() { return landed_; }

private:
    struct pending {
        void* to;
        const void* from;
    };
    std::vector<pending> copies_;   // that are under way
    std::vector<std::size_t> ends_; // of the closed groups, in copies_
    std::vector<void*> landed_;
};

struct thread {
    fiber context;
    visit now;
    copy_queue copies;
};

/// A copy of the block, on its way to shared memory and to the barrier that waits for it.
struct bulk_copy {
    void* to;
    const void* from;
    int bytes;
    std::uint64_t* barrier;
};

/// The products of a warp group that one of its warps has begun, in groups. Until they are waited for, their sums are NaN.
class product_queue {
public:
    static constexpr int rows = 16; // of a warp
    static constexpr int cols = 128;
    static constexpr int depth = 16;
    using matrix = float[depth][cols]; // k, row of the left or column of the right one
    struct operands {
        matrix left, right;
    };
    struct product {
        float* sums; // of the first lane
        std::uint64_t left, right;
        bool has_left; // the left one came in registers, and the right one lies by columns
        bool is_read;  // what lies in shared memory
        std::shared_ptr<operands> values;
    };
    using read_operands = std::function<void(const product&)>;

    /// \param early  operands are read now, not when the product is waited for: the kernel must be right either way
    void begin(const thread* lanes, bool early, const read_operands& read);
    void commit() { ends_.push_back(products_.size()); }
    void wait(std::size_t left, const read_operands& read);
    void restart();
    bool is_empty() const { return products_.empty(); }
    /// Of all products since restart(): equal for the warps of a group.
    std::uint64_t history() const { return history_; }

private:
    static constexpr int lane_sums = rows * cols / warp_size;
    struct sums {
        float* at[warp_size];
        float value[rows][cols];
    };
    static float& sum_of_lane(float (&sums)[rows][cols], int lane, int i);
    static void read_registers(const thread* lanes, matrix& left);
    void multiply(const operands& in, sums& to);

    std::vector<product> products_;
    std::vector<std::size_t> ends_; // of the closed groups, in products_
    std::vector<sums> sums_;        // of products under way
    std::uint64_t history_ = 0;
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
    void publish_shared();
    void init_barrier(std::uint64_t* barrier, int arrivals);
    void arrive(std::uint64_t* barrier, int bytes);
    void wait_barrier(std::uint64_t* barrier, int parity, call_site site);
    void copy_bulk(const bulk_copy& copy);
    std::uint64_t matrix_descriptor(const void* from, int leading_bytes, int stride_bytes);
    void commit_products();
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

    char& is_unpublished(const void* shared);
    void check_barrier(const std::uint64_t* barrier);
    bool release_barriers();
    bool land_copy();
    void refuse_waiting();
    void begin_product(int warp);
    void read_line(std::size_t at, float (&values)[8]);
    product_queue::read_operands matrix_reader(int warp);
    void check_products();
    void forget_threads();

    [[noreturn]] void refuse_meeting(fault_kind kind, int waiting, int other);

    grid grid_;
    call call_;
    chooser chooser_;
    shared_arena shared_;
    std::vector<thread> threads_ = std::vector<thread>(max_threads); // a stack is made when one is first entered
    std::vector<bulk_copy> copies_;                                  // of the block, under way
    std::vector<char> is_unpublished_ = std::vector<char>(shared_arena::capacity / copy_queue::bytes); // by 16 bytes
    std::vector<product_queue> products_ = std::vector<product_queue>(max_threads / warp_size);
    std::exception_ptr failure_; // of a thread, for the host's stack
    bool is_running_ = false;
};

} // namespace emulator::detail

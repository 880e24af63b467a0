// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

/// Runs a kernel that is written on protonce/backend/cuda/thread.hpp on the processor: one fiber a thread, barriers that wait,
/// asynchronous copies that land when they are waited for and no earlier, and shared memory that begins as NaN. Blocks run one
/// after another. What a GPU leaves undefined is refused (fault), or makes wrong results under one of the schedules().
/// Not seen: a race that needs a thread to be interrupted between two of these functions.
#define PROTONCE_DEVICE

namespace emulator {

enum class order { forward, backward, random };

/// Which threads run first, where CUDA leaves it open. Blocks go in the order of the warps. A warp runs until it waits for other
/// warps or, in random order, to its next stop; in random order threads also stop at some of their asynchronous copies.
struct schedule {
    order warps = order::forward;
    order lanes = order::forward; // threads of a warp
    std::uint64_t seed = 0;       // of random orders; equal seeds give equal orders
};

/// The schedule of the launches of this host thread.
inline thread_local schedule active_schedule;

/// Those that a test of a kernel runs on: forward, backward, and three random ones. None finds every mistake.
const std::vector<schedule>& schedules();

enum class fault_kind {
    launch,            // a grid that is empty or too large, more shared memory than a block has
    divergent_barrier, // threads of the block wait at sync_block(), and the others never come
    divergent_warp,    // the same in a warp, at sync_warp(), shuffle_xor() or a product
    shuffle,           // a mask that leaves the warp
    copy,              // not aligned, or not to shared memory
    unwaited_copies,   // a thread ends while its copies are under way
    barrier,           // one that is not in shared memory, or was not made
    stuck,             // threads wait at barriers that nobody completes
    product, // of a warp group: matrices outside of shared memory or not published, warps that differ, sums not waited for
    out_of_bounds,     // something was written beside the shared memory (AddressSanitizer sees more)
};

/// A mistake of a kernel, thrown by launch(). The text begins with the kind, the block and the thread. Threads that were on
/// their way are forgotten: destructors of their variables do not run.
class fault : public std::runtime_error {
public:
    fault(fault_kind kind, const std::string& text) : std::runtime_error(text), kind_(kind) {}
    fault_kind kind() const { return kind_; }

private:
    fault_kind kind_;
};

namespace detail {

struct grid {
    int blocks_x = 0;
    int blocks_y = 0;
    int threads = 0;
    std::size_t shared_bytes = 0;
};
struct call {
    void (*function)(const void*) = nullptr;
    const void* kernel = nullptr;
};
void launch(const grid& grid, const call& call);

/// The thread that runs.
struct place {
    int thread = 0;
    int block_x = 0;
    int block_y = 0;
    int blocks_x = 0;
    unsigned char* shared = nullptr;
};
inline thread_local place here;

/// Where a kernel waits. Threads that meet come from the same one: CUDA does not define barriers in branches that differ.
struct call_site {
    const char* file = nullptr;
    int line = 0;
};
void sync_block(call_site site);
void sync_warp(call_site site);
void shuffle_xor(std::uint64_t& value, int mask, call_site site);
void multiply_add_tf32(float* c, const std::uint32_t* a, const std::uint32_t* b, call_site site);
void multiply_add_f16(float* c, const std::uint32_t* a, const std::uint32_t* b, call_site site);

std::uint32_t to_f16(float value); // in the low half

void copy(void* to, const void* from, bool valid);
void commit_copies();
void wait_copies(int left);

void publish_shared();
void init_barrier(std::uint64_t* barrier, int arrivals);
void arrive(std::uint64_t* barrier, int bytes);
void wait_barrier(std::uint64_t* barrier, int parity, call_site site);
void copy_bulk(void* to, const void* from, int bytes, std::uint64_t* barrier);
std::uint64_t matrix_descriptor(const void* from, int leading_bytes, int stride_bytes);
void begin_product(float* c, std::uint64_t a, std::uint64_t b, call_site site);
void begin_product(float* c, const std::uint32_t* a, std::uint64_t b, call_site site);
void commit_products();
void wait_products(int left, call_site site);

} // namespace detail

/// Runs kernel() by Kernel::threads threads for each of blocks_x x blocks_y blocks. What a kernel throws comes out.
template <class Kernel>
void launch(int blocks_x, int blocks_y, std::size_t shared_bytes, const Kernel& kernel) {
    static_assert(Kernel::threads > 0 && Kernel::threads <= 1024 && Kernel::threads % 32 == 0,
                  "a block has whole warps, at most 32");
    static_assert(std::is_trivially_copyable_v<Kernel>, "a kernel is copied to the device byte by byte");
    const auto run = [](const void* any) { (*static_cast<const Kernel*>(any))(); };
    detail::launch({blocks_x, blocks_y, Kernel::threads, shared_bytes}, {run, &kernel});
}

} // namespace emulator

/// What protonce/backend/cuda/thread.hpp has for nvcc; see there. The places of the calls are for the texts of faults.
namespace protonce::inline v0::detail::cuda {

inline int thread_index() {
    return emulator::detail::here.thread;
}
inline int block_index() {
    return emulator::detail::here.block_x;
}
inline int block_index_y() {
    return emulator::detail::here.block_y;
}
inline int block_count() {
    return emulator::detail::here.blocks_x;
}

inline void sync_block(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    emulator::detail::sync_block({file, line});
}
inline void sync_warp(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    emulator::detail::sync_warp({file, line});
}

template <class T>
T shuffle_xor(T value, int mask, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8),
                  "CUDA shuffles numbers of 4 and 8 bytes");
    using bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    std::uint64_t all = std::bit_cast<bits>(value);
    emulator::detail::shuffle_xor(all, mask, {file, line});
    return std::bit_cast<T>(static_cast<bits>(all));
}

inline bool any_of_warp(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    int any = holds ? 1 : 0;
    for (int mask = 1; mask < 32; mask *= 2) {
        any |= shuffle_xor(any, mask, file, line);
    }
    return any != 0;
}

/// Blocks run one after another, and no thread is interrupted here.
inline index_t fetch_add(index_t* counter, index_t value) {
    const index_t before = *counter;
    *counter += value;
    return before;
}

inline unsigned char* shared_memory() {
    return emulator::detail::here.shared;
}

inline void copy_async_16(void* to, const void* from, bool valid) {
    emulator::detail::copy(to, from, valid);
}
inline void commit_copies() {
    emulator::detail::commit_copies();
}
template <int left>
void wait_copies() {
    static_assert(left >= 0, "the number of groups that may be under way");
    emulator::detail::wait_copies(left);
}

inline float power_of_two(float x) {
    const float out = std::exp2(x);
    return out < 0x1p-126F ? 0.0F : out;
}

inline std::uint32_t to_tf32(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if (value != value) {
        return 0x7fffffffu; // as the device's; the addition below could carry into the sign
    }
    return (bits + 0x1000u) & 0xffffe000u; // sign and magnitude: adding half a unit rounds ties away from zero
}

/// Operands lose the bits that TF32 does not have. Sums are of float, c first, then by rising column of a.
inline void multiply_add_tf32(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                              const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    emulator::detail::multiply_add_tf32(c, a, b, {file, line});
}
inline std::uint32_t to_f16_pair(float low, float high) {
    return emulator::detail::to_f16(low) | emulator::detail::to_f16(high) << 16;
}

/// Sums as above; subnormal operands keep their value.
inline void multiply_add_f16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                             const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    emulator::detail::multiply_add_f16(c, a, b, {file, line});
}

/// What protonce/backend/cuda/warp_group.hpp has. Copies land, and products read their matrices, as late as possible or as early,
/// as the schedule wants it.
constexpr bool has_warp_groups = true;

inline void init_barrier(std::uint64_t* barrier, int arrivals) {
    emulator::detail::init_barrier(barrier, arrivals);
}
inline void publish_shared() {
    emulator::detail::publish_shared();
}
inline void arrive(std::uint64_t* barrier) {
    emulator::detail::arrive(barrier, 0);
}
inline void arrive_expecting(std::uint64_t* barrier, int bytes) {
    emulator::detail::arrive(barrier, bytes);
}
inline void wait_barrier(std::uint64_t* barrier, int parity, const char* file = __builtin_FILE(),
                         int line = __builtin_LINE()) {
    emulator::detail::wait_barrier(barrier, parity, {file, line});
}
inline void copy_bulk(void* to, const void* from, int bytes, std::uint64_t* barrier) {
    emulator::detail::copy_bulk(to, from, bytes, barrier);
}
template <int count>
void take_registers() {
    static_assert(count % 8 == 0 && count >= 24 && count <= 256);
}
template <int count>
void leave_registers() {
    static_assert(count % 8 == 0 && count >= 24 && count <= 256);
}
inline std::uint64_t matrix_descriptor(const void* from, int leading_bytes, int stride_bytes) {
    return emulator::detail::matrix_descriptor(from, leading_bytes, stride_bytes);
}
inline void fence_products() {}
inline void begin_product(float (&c)[64], std::uint64_t a, std::uint64_t b, const char* file = __builtin_FILE(),
                          int line = __builtin_LINE()) {
    emulator::detail::begin_product(c, a, b, {file, line});
}
inline void begin_product(float (&c)[64], const std::uint32_t (&a)[4], std::uint64_t b,
                          const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    emulator::detail::begin_product(c, a, b, {file, line});
}
inline void commit_products() {
    emulator::detail::commit_products();
}
inline void pin_sums(const float (&)[64]) {}
template <int count>
void pin_operands(const std::uint32_t (&)[count][4]) {}
template <int left>
void wait_products(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    emulator::detail::wait_products(left, {file, line});
}

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#include <device/emulator/block.hpp>
#include <device/emulator/emulator.hpp>

#include <string>

namespace emulator {

const std::vector<schedule>& schedules() {
    static const std::vector<schedule> all{{order::forward, order::forward, 0},
                                           {order::backward, order::backward, 0},
                                           {order::random, order::random, 1},
                                           {order::random, order::random, 2},
                                           {order::random, order::random, 3}};
    return all;
}

namespace detail {
namespace {

block_runner& runner() {
    return block_runner::of_host_thread();
}

void check(const grid& grid) {
    const auto refuse = [](const std::string& text) { throw fault(fault_kind::launch, "launch: " + text); };
    if (grid.blocks_x < 1 || grid.blocks_y < 1 || grid.blocks_y > 65535) {
        refuse("blocks: need 1 to 2^31 - 1 times 1 to 65535; got " + std::to_string(grid.blocks_x) + " times " +
               std::to_string(grid.blocks_y));
    }
    if (grid.shared_bytes > shared_arena::capacity) {
        refuse("shared memory: a block has at most " + std::to_string(shared_arena::capacity) + " bytes; got " +
               std::to_string(grid.shared_bytes));
    }
}

} // namespace

void launch(const grid& grid, const call& call) {
    check(grid);
    runner().launch(grid, call);
}
void sync_block(call_site site) {
    runner().wait({.at = stop::block, .site = site});
}
void sync_warp(call_site site) {
    runner().wait({.at = stop::warp, .site = site});
}
void shuffle_xor(std::uint64_t& value, int mask, call_site site) {
    if (mask < 0 || mask >= warp_size) {
        runner().fail(fault_kind::shuffle, "a mask that leaves the warp");
    }
    runner().wait({.at = stop::shuffle, .site = site, .value = &value, .mask = mask});
}
void multiply_add_tf32(float* c, const std::uint32_t* a, const std::uint32_t* b, call_site site) {
    runner().wait({.at = stop::multiply_tf32, .site = site, .c = c, .a = a, .b = b});
}
void multiply_add_f16(float* c, const std::uint32_t* a, const std::uint32_t* b, call_site site) {
    runner().wait({.at = stop::multiply_f16, .site = site, .c = c, .a = a, .b = b});
}
void init_barrier(std::uint64_t* barrier, int arrivals) {
    runner().init_barrier(barrier, arrivals);
}
void arrive(std::uint64_t* barrier, int bytes) {
    runner().arrive(barrier, bytes);
}
void wait_barrier(std::uint64_t* barrier, int parity, call_site site) {
    runner().wait_barrier(barrier, parity, site);
}
void copy_bulk(void* to, const void* from, int bytes, std::uint64_t* barrier) {
    runner().copy_bulk({to, from, bytes, barrier});
}
std::uint64_t matrix_descriptor(const void* from, int leading_bytes, int stride_bytes) {
    return runner().matrix_descriptor(from, leading_bytes, stride_bytes);
}
void begin_product(float* c, std::uint64_t a, std::uint64_t b, call_site site) {
    runner().wait({.at = stop::begin_product, .site = site, .c = c, .left = a, .right = b});
}
void begin_product(float* c, const std::uint32_t* a, std::uint64_t b, call_site site) {
    runner().wait({.at = stop::begin_product, .site = site, .c = c, .a = a, .right = b});
}
void commit_products() {
    runner().commit_products();
}
void wait_products(int left, call_site site) {
    runner().wait({.at = stop::wait_products, .site = site, .mask = left});
}
void publish_shared() {
    runner().publish_shared();
}
void copy(void* to, const void* from, bool valid) {
    runner().copy(to, from, valid);
}
void commit_copies() {
    runner().commit_copies();
}
void wait_copies(int left) {
    runner().wait_copies(left);
}

} // namespace detail
} // namespace emulator

// SPDX-License-Identifier: MIT
#include <device/emulator/block.hpp>
#include <device/emulator/products.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace emulator::detail {
namespace {

bool is_same(const visit& one, const visit& other) {
    return one.at == other.at && one.site.line == other.site.line &&
           (one.site.file == other.site.file || std::strcmp(one.site.file, other.site.file) == 0);
}

bool is_of_warp(const visit& visit) {
    return visit.at >= stop::warp && visit.at <= stop::wait_products;
}

void shuffle(thread* lanes) {
    std::uint64_t values[warp_size];
    for (int lane = 0; lane < warp_size; ++lane) {
        values[lane] = *lanes[lane].now.value;
    }
    for (int lane = 0; lane < warp_size; ++lane) {
        *lanes[lane].now.value = values[lane ^ lanes[lane].now.mask];
    }
}

} // namespace

void copy_queue::add(void* to, const void* from) {
    std::memset(to, poison_byte, bytes);
    copies_.push_back({to, from});
}

void copy_queue::wait(std::size_t left) {
    if (ends_.size() <= left) {
        return;
    }
    const std::size_t groups = ends_.size() - left;
    const std::size_t done = ends_[groups - 1];
    for (std::size_t i = 0; i < done; ++i) {
        if (copies_[i].from != nullptr) {
            std::memcpy(copies_[i].to, copies_[i].from, bytes);
        } else {
            std::memset(copies_[i].to, 0, bytes);
        }
        landed_.push_back(copies_[i].to);
    }
    copies_.erase(copies_.begin(), copies_.begin() + static_cast<std::ptrdiff_t>(done));
    ends_.erase(ends_.begin(), ends_.begin() + static_cast<std::ptrdiff_t>(groups));
    for (std::size_t& end : ends_) {
        end -= done;
    }
    for (const pending& copy : copies_) { // may have landed already where others just did, or not
        std::memset(copy.to, poison_byte, bytes);
    }
}

void copy_queue::clear() {
    copies_.clear();
    ends_.clear();
    landed_.clear();
}

std::size_t chooser::below(std::size_t limit) {
    // splitmix64; the upper half times the limit is uniform enough for an order.
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<std::size_t>(((z ^ (z >> 31)) >> 32) * limit >> 32);
}

void chooser::arrange(order order, int* numbers, std::size_t size) {
    std::iota(numbers, numbers + size, 0);
    if (order == order::backward) {
        std::reverse(numbers, numbers + size);
    } else if (order == order::random) {
        for (std::size_t i = size; i > 1; --i) {
            std::swap(numbers[i - 1], numbers[below(i)]);
        }
    }
}

void block_runner::launch(const grid& grid, const call& call) {
    if (is_running_) {
        throw std::logic_error("emulator: a kernel launches a kernel");
    }
    grid_ = grid;
    call_ = call;
    chooser_.restart(active_schedule);
    shared_.resize(grid.shared_bytes);
    is_running_ = true;
    try {
        run_grid();
    } catch (...) {
        forget_threads();
        is_running_ = false;
        throw;
    }
    is_running_ = false;
}

void block_runner::run_grid() {
    const auto blocks = static_cast<std::size_t>(grid_.blocks_x) * static_cast<std::size_t>(grid_.blocks_y);
    std::vector<int> in_order(blocks);
    chooser_.arrange(chooser_.rules().warps, in_order.data(), blocks);
    for (const int block : in_order) {
        here = {0, block % grid_.blocks_x, block / grid_.blocks_x, grid_.blocks_x, shared_.begin()};
        run_block();
    }
}

void block_runner::run_block() {
    shared_.poison();
    copies_.clear();
    std::fill(is_unpublished_.begin(), is_unpublished_.end(), char{0});
    for (product_queue& products : products_) {
        products.restart();
    }
    for (int i = 0; i < grid_.threads; ++i) {
        threads_[static_cast<std::size_t>(i)].now = {.at = stop::turn};
    }
    do {
        run_warps();
    } while (release_barriers() || release_block());
    check_products();
    if (!shared_.is_intact()) {
        throw fault(fault_kind::out_of_bounds,
                    describe(fault_kind::out_of_bounds, -1) + "something was written beside the shared memory");
    }
}

/// Until no thread of the block can run.
void block_runner::run_warps() {
    int warps[max_threads / warp_size];
    auto left = static_cast<std::size_t>(grid_.threads / warp_size);
    const order order = chooser_.rules().warps;
    chooser_.arrange(order, warps, left);
    if (order != order::random) {
        for (std::size_t i = 0; i < left; ++i) {
            while (run_lanes(warps[i])) {
            }
        }
        return;
    }
    while (left > 0) {
        const std::size_t i = chooser_.below(left);
        if (!run_lanes(warps[i])) {
            warps[i] = warps[--left];
        }
    }
}

/// Each lane that can run does until it stops. True if any can run then.
bool block_runner::run_lanes(int warp) {
    int lanes[warp_size];
    chooser_.arrange(chooser_.rules().lanes, lanes, warp_size);
    bool is_any_left = false;
    for (const int lane : lanes) {
        const int number = warp * warp_size + lane;
        const visit& now = threads_[static_cast<std::size_t>(number)].now;
        if (now.at == stop::turn) {
            resume(number);
            is_any_left = is_any_left || now.at == stop::turn;
        }
    }
    return is_any_left || release_warp(warp);
}

/// False if the warp waits for the block, or has ended. No lane can run.
bool block_runner::release_warp(int warp) {
    thread* lanes = threads_.data() + warp * warp_size;
    const thread* first =
        std::find_if(lanes, lanes + warp_size, [](const thread& lane) { return is_of_warp(lane.now); });
    if (first == lanes + warp_size) {
        return false;
    }
    for (int lane = 0; lane < warp_size; ++lane) {
        if (lanes[lane].now.at == stop::barrier) {
            return false; // it will come when the barrier lets it go
        }
        if (!is_same(lanes[lane].now, first->now)) {
            refuse_meeting(fault_kind::divergent_warp, warp * warp_size + static_cast<int>(first - lanes),
                           warp * warp_size + lane);
        }
    }
    switch (first->now.at) {
    case stop::shuffle:
        shuffle(lanes);
        break;
    case stop::multiply_tf32:
        multiply_tf32(lanes);
        break;
    case stop::multiply_f16:
        multiply_f16(lanes);
        break;
    case stop::begin_product:
        begin_product(warp);
        break;
    case stop::wait_products:
        products_[static_cast<std::size_t>(warp)].wait(static_cast<std::size_t>(first->now.mask), matrix_reader(warp));
        break;
    default:
        break;
    }
    for (int lane = 0; lane < warp_size; ++lane) {
        lanes[lane].now.at = stop::turn;
    }
    return true;
}

/// False if the block has ended. No thread can run, and none waits for its warp.
bool block_runner::release_block() {
    thread* end = threads_.data() + grid_.threads;
    thread* first = std::find_if(threads_.data(), end, [](const thread& one) { return one.now.at == stop::block; });
    if (first == end) {
        refuse_waiting();
        return false;
    }
    for (thread* other = threads_.data(); other != end; ++other) {
        if (!is_same(other->now, first->now)) {
            refuse_meeting(fault_kind::divergent_barrier, static_cast<int>(first - threads_.data()),
                           static_cast<int>(other - threads_.data()));
        }
    }
    for (thread* other = threads_.data(); other != end; ++other) {
        other->now.at = stop::turn;
    }
    return true;
}

void block_runner::refuse_meeting(fault_kind kind, int waiting, int other) {
    throw fault(kind, describe(kind, waiting) + describe(threads_[static_cast<std::size_t>(waiting)].now) +
                          ", thread " + std::to_string(other) + " " +
                          describe(threads_[static_cast<std::size_t>(other)].now));
}

void block_runner::resume(int thread) {
    here.thread = thread;
    threads_[static_cast<std::size_t>(thread)].context.enter(&thread_body);
    if (failure_) {
        std::rethrow_exception(std::exchange(failure_, nullptr));
    }
}

block_runner& block_runner::of_host_thread() {
    thread_local block_runner one; // keeps its stacks
    return one;
}

/// Begins again in every block: what AddressSanitizer keeps for a fiber is costly to make.
void block_runner::thread_body() {
    while (true) {
        of_host_thread().run_thread();
    }
}

void block_runner::run_thread() {
    thread& self = running();
    try {
        call_.function(call_.kernel);
    } catch (...) {
        failure_ = std::current_exception();
    }
    if (!failure_ && !self.copies.is_empty()) {
        fail(fault_kind::unwaited_copies, "ends while its copies are under way");
    }
    self.copies.clear();
    self.now.at = stop::end;
    self.context.leave();
}

/// To the host's stack, by which no exception of this one can travel. Does not come back: what lives here is not destroyed.
void block_runner::fail(fault_kind kind, const char* text) {
    failure_ = std::make_exception_ptr(fault(kind, describe(kind, here.thread) + text));
    wait({.at = stop::fault});
}

void block_runner::copy(void* to, const void* from, bool valid) {
    const auto is_aligned = [](const void* at) {
        return reinterpret_cast<std::uintptr_t>(at) % copy_queue::bytes == 0;
    };
    if (!shared_.holds(to, copy_queue::bytes)) {
        fail(fault_kind::copy, "copies to where no shared memory is");
    }
    if (!is_aligned(to)) {
        fail(fault_kind::copy, "copies to an address that is not aligned to 16 bytes");
    }
    if (valid && !is_aligned(from)) {
        fail(fault_kind::copy, "copies from an address that is not aligned to 16 bytes");
    }
    is_unpublished(to) = 1;
    running().copies.add(to, valid ? from : nullptr);
    maybe_pause();
}

void block_runner::commit_copies() {
    running().copies.commit();
    maybe_pause();
}

void block_runner::wait_copies(int left) {
    running().copies.wait(static_cast<std::size_t>(left));
    maybe_pause();
}

void block_runner::maybe_pause() {
    if (chooser_.rules().lanes == order::random && chooser_.below(4) == 0) {
        land_copy();
    }
    if (chooser_.rules().lanes == order::random && chooser_.below(4) == 0) {
        wait({.at = stop::turn});
    }
}

void block_runner::forget_threads() {
    for (int i = 0; i < grid_.threads; ++i) {
        thread& one = threads_[static_cast<std::size_t>(i)];
        if (one.now.at != stop::end) {
            one.context.discard();
            one.copies.clear();
        }
    }
}

} // namespace emulator::detail

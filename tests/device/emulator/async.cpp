// SPDX-License-Identifier: MIT
// What compute capability 9.0 does beside the threads: barriers in shared memory, copies of a block, products of a warp
// group.
#include <device/emulator/products.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace emulator::detail {
namespace {

/// What the 8 bytes of a barrier hold here.
struct barrier_state {
    std::uint16_t arrivals; // of a phase; 0xffff: never made
    std::uint16_t missing;  // in this one
    std::int32_t bytes;     // expected less arrived, doubled; the parity of the phase in the lowest bit

    static barrier_state of(const std::uint64_t* barrier) { return std::bit_cast<barrier_state>(*barrier); }
    int parity() const { return bytes & 1; }
    void add_bytes(int more) { bytes += 2 * more; }
    void store(std::uint64_t* to) {
        if (missing == 0 && bytes >> 1 == 0) {
            missing = arrivals;
            bytes ^= 1;
        }
        *to = std::bit_cast<std::uint64_t>(*this);
    }
};

/// A descriptor for matrices without swizzling: bits 0-13 address, 16-29 leading offset, 32-45 stride offset, all in 16
/// bytes.
struct matrix_place {
    std::size_t address, leading, stride;

    explicit matrix_place(std::uint64_t descriptor)
        : address((descriptor & 0x3fff) * 16), leading((descriptor >> 16 & 0x3fff) * 16),
          stride((descriptor >> 32 & 0x3fff) * 16) {}
    /// Line `line` of a core, 8 lines of 16 bytes; cores lie `leading` apart in the direction of k, `stride` in the other.
    std::size_t line(int core_row, int core_k, int line) const {
        return address + static_cast<std::size_t>(core_row) * stride + static_cast<std::size_t>(core_k) * leading +
               static_cast<std::size_t>(line) * 16;
    }
};

} // namespace

/// Is what a copy of a thread left there hidden from products? Of the 16 bytes that hold it.
char& block_runner::is_unpublished(const void* shared) {
    const auto offset = static_cast<std::size_t>(static_cast<const unsigned char*>(shared) - shared_.begin());
    return is_unpublished_[offset / copy_queue::bytes];
}

void block_runner::publish_shared() {
    std::vector<void*>& landed = running().copies.landed();
    for (const void* to : landed) {
        is_unpublished(to) = 0;
    }
    landed.clear();
    maybe_pause();
}

void block_runner::check_barrier(const std::uint64_t* barrier) {
    if (!shared_.holds(barrier, 8) || reinterpret_cast<std::uintptr_t>(barrier) % 8 != 0) {
        fail(fault_kind::barrier, "a barrier that is not in shared memory, aligned to 8 bytes");
    }
    if (barrier_state::of(barrier).arrivals == 0xffff) {
        fail(fault_kind::barrier, "a barrier that was not made");
    }
}

void block_runner::init_barrier(std::uint64_t* barrier, int arrivals) {
    const auto count = static_cast<std::uint16_t>(arrivals);
    *barrier = std::bit_cast<std::uint64_t>(barrier_state{count, count, 0});
    check_barrier(barrier);
}

void block_runner::arrive(std::uint64_t* barrier, int bytes) {
    check_barrier(barrier);
    barrier_state state = barrier_state::of(barrier);
    state.add_bytes(bytes);
    --state.missing;
    state.store(barrier);
    maybe_pause();
}

void block_runner::wait_barrier(std::uint64_t* barrier, int parity, call_site site) {
    check_barrier(barrier);
    while (barrier_state::of(barrier).parity() == parity) {
        wait({.at = stop::barrier, .site = site, .value = barrier, .mask = parity});
    }
}

/// Threads whose barrier has been completed may run; if there are none, copies arrive until there are. False if that
/// helps nobody.
bool block_runner::release_barriers() {
    while (true) {
        bool is_any_waiting = false;
        bool is_any_free = false;
        for (int i = 0; i < grid_.threads; ++i) {
            visit& now = threads_[static_cast<std::size_t>(i)].now;
            if (now.at == stop::barrier && barrier_state::of(now.value).parity() != now.mask) {
                now.at = stop::turn;
            }
            is_any_free = is_any_free || now.at == stop::turn;
            is_any_waiting = is_any_waiting || now.at == stop::barrier;
        }
        if (is_any_free || !is_any_waiting || !land_copy()) {
            return is_any_free;
        }
    }
}

void block_runner::copy_bulk(const bulk_copy& copy) {
    check_barrier(copy.barrier);
    const auto is_aligned = [](const void* at) { return reinterpret_cast<std::uintptr_t>(at) % 16 == 0; };
    const auto bytes = static_cast<std::size_t>(copy.bytes);
    if (!shared_.holds(copy.to, bytes)) {
        fail(fault_kind::copy, "copies to where no shared memory is");
    }
    if (!is_aligned(copy.to) || !is_aligned(copy.from) || bytes % 16 != 0) {
        fail(fault_kind::copy, "copies addresses or a size that are no multiple of 16 bytes");
    }
    std::memset(copy.to, poison_byte, bytes);
    copies_.push_back(copy);
    maybe_pause();
}

/// One of the copies under way arrives. False if there is none.
bool block_runner::land_copy() {
    if (copies_.empty()) {
        return false;
    }
    const order order = chooser_.rules().lanes;
    const std::size_t which = order == order::forward    ? 0
                              : order == order::backward ? copies_.size() - 1
                                                         : chooser_.below(copies_.size());
    const bulk_copy copy = copies_[which];
    copies_.erase(copies_.begin() + static_cast<std::ptrdiff_t>(which));
    std::memcpy(copy.to, copy.from, static_cast<std::size_t>(copy.bytes));
    barrier_state state = barrier_state::of(copy.barrier);
    state.add_bytes(-copy.bytes);
    state.store(copy.barrier);
    return true;
}

/// No thread can run any more.
void block_runner::refuse_waiting() {
    for (int i = 0; i < grid_.threads; ++i) {
        const visit& now = threads_[static_cast<std::size_t>(i)].now;
        if (now.at != stop::end) {
            throw fault(fault_kind::stuck, describe(fault_kind::stuck, i) + describe(now) + ", and nobody comes");
        }
    }
}

std::uint64_t block_runner::matrix_descriptor(const void* from, int leading_bytes, int stride_bytes) {
    const auto offset = static_cast<std::uint64_t>(static_cast<const unsigned char*>(from) - shared_.begin());
    const auto leading = static_cast<std::uint64_t>(leading_bytes);
    const auto stride = static_cast<std::uint64_t>(stride_bytes);
    if (!shared_.holds(from, 1) || (offset | leading | stride) % 16 != 0) {
        fail(fault_kind::product, "a matrix that is not in shared memory, in multiples of 16 bytes");
    }
    return offset / 16 | leading / 16 << 16 | stride / 16 << 32;
}

/// Eight values in half precision.
void block_runner::read_line(std::size_t at, float (&values)[8]) {
    const unsigned char* from = shared_.begin() + at;
    if (!shared_.holds(from, 16)) {
        throw fault(fault_kind::product, describe(fault_kind::product, -1) + "a matrix that leaves the shared memory");
    }
    if (is_unpublished(from) != 0) {
        throw fault(fault_kind::product,
                    describe(fault_kind::product, -1) + "a matrix in which copies of a thread have not been published");
    }
    std::uint16_t bits[8];
    std::memcpy(bits, from, sizeof bits);
    for (int i = 0; i < 8; ++i) {
        values[i] = from_f16(bits[i]);
    }
}

/// Of the left matrix the warp's 16 rows of 64. A line holds eight k of a row, or, by columns, eight rows of one k.
product_queue::read_operands block_runner::matrix_reader(int warp) {
    return [this, warp](const product_queue::product& one) {
        const auto read = [&](std::uint64_t descriptor, bool by_columns, int first_core, int rows,
                              product_queue::matrix& to) {
            const matrix_place place(descriptor);
            for (int row = 0; row < rows; row += 8) {
                for (int k = 0; k < product_queue::depth; k += 8) {
                    for (int line = 0; line < 8; ++line) {
                        float values[8];
                        read_line(place.line(first_core + row / 8, k / 8, line), values);
                        for (int i = 0; i < 8; ++i) {
                            (by_columns ? to[k + line][row + i] : to[k + i][row + line]) = values[i];
                        }
                    }
                }
            }
        };
        if (!one.has_left) {
            read(one.left, false, warp % 4 * product_queue::rows / 8, product_queue::rows, one.values->left);
        }
        read(one.right, one.has_left, 0, product_queue::cols, one.values->right);
    };
}

void block_runner::begin_product(int warp) {
    const order order = chooser_.rules().warps;
    const bool early = order == order::backward || (order == order::random && chooser_.below(2) == 0);
    products_[static_cast<std::size_t>(warp)].begin(threads_.data() + warp * warp_size, early, matrix_reader(warp));
}

void block_runner::commit_products() {
    if (here.thread % warp_size == 0) {
        products_[static_cast<std::size_t>(here.thread / warp_size)].commit();
    }
}

/// At the end of a block.
void block_runner::check_products() {
    const auto refuse = [](const char* text) {
        throw fault(fault_kind::product, describe(fault_kind::product, -1) + text);
    };
    for (int warp = 0; warp < grid_.threads / warp_size; ++warp) {
        const product_queue& products = products_[static_cast<std::size_t>(warp)];
        if (!products.is_empty()) {
            refuse("products that were not waited for");
        }
        if (products.history() != products_[static_cast<std::size_t>(warp / 4 * 4)].history()) {
            refuse("the four warps of a group do not begin the same products");
        }
    }
    if (!copies_.empty()) {
        throw fault(fault_kind::unwaited_copies, describe(fault_kind::unwaited_copies, -1) + "of the block");
    }
}

} // namespace emulator::detail

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

#include <atomic>
#include <cstddef>
#include <memory_resource>

namespace test {

/// Host memory that counts what is taken from it.
class counting_resource final : public std::pmr::memory_resource {
public:
    /// Allocations so far.
    protonce::index_t allocations() const { return allocations_.load(); }
    /// Bytes taken and not yet given back.
    protonce::index_t bytes_in_use() const { return bytes_.load(); }
    /// The most bytes that were in use at once.
    protonce::index_t peak_bytes() const { return peak_.load(); }

private:
    void* do_allocate(std::size_t bytes, std::size_t alignment) override {
        void* out = std::pmr::new_delete_resource()->allocate(bytes, alignment);
        ++allocations_;
        const auto now = bytes_ += static_cast<protonce::index_t>(bytes);
        auto peak = peak_.load();
        while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
        }
        return out;
    }
    void do_deallocate(void* pointer, std::size_t bytes, std::size_t alignment) override {
        bytes_ -= static_cast<protonce::index_t>(bytes);
        std::pmr::new_delete_resource()->deallocate(pointer, bytes, alignment);
    }
    bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

    std::atomic<protonce::index_t> allocations_{0};
    std::atomic<protonce::index_t> bytes_{0};
    std::atomic<protonce::index_t> peak_{0};
};

} // namespace test

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

#include <atomic>
#include <cstddef>
#include <memory_resource>

namespace test {

/// Counts what is taken from another resource, host memory if none is named.
class counting_resource final : public std::pmr::memory_resource {
public:
    explicit counting_resource(std::pmr::memory_resource* from = std::pmr::new_delete_resource()) : from_(from) {}

    /// Allocations so far.
    protonce::index_t allocations() const { return allocations_.load(); }
    /// Bytes taken and not yet given back.
    protonce::index_t bytes_in_use() const { return bytes_.load(); }
    /// The most bytes that were in use at once.
    protonce::index_t peak_bytes() const { return peak_.load(); }

private:
    void* do_allocate(std::size_t bytes, std::size_t alignment) override {
        void* out = from_->allocate(bytes, alignment);
        ++allocations_;
        const auto now = bytes_ += static_cast<protonce::index_t>(bytes);
        auto peak = peak_.load();
        while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
        }
        return out;
    }
    void do_deallocate(void* pointer, std::size_t bytes, std::size_t alignment) override {
        bytes_ -= static_cast<protonce::index_t>(bytes);
        from_->deallocate(pointer, bytes, alignment);
    }
    bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

    std::pmr::memory_resource* from_;
    std::atomic<protonce::index_t> allocations_{0};
    std::atomic<protonce::index_t> bytes_{0};
    std::atomic<protonce::index_t> peak_{0};
};

} // namespace test

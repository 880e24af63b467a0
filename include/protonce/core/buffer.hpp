// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/view.hpp>

#include <cstddef>
#include <limits>
#include <memory_resource>
#include <new>
#include <type_traits>
#include <utility>

namespace protonce::inline v0 {

/// Owned memory of a fixed number of values, from a memory resource of its space. Contents start undefined. Moves, does not copy.
/// Alignment: 64 bytes, a cache line and the widest vector.
template <class T, memory_space S = host>
class buffer {
    static_assert(std::is_trivially_copyable_v<T>, "buffer holds plain values");

public:
    static constexpr std::size_t alignment = 64;

    buffer() = default;
    /// \throws std::bad_alloc  the resource has no room, or `size` values do not fit into the address space
    buffer(std::pmr::memory_resource* resource, index_t size) : resource_(resource), size_(size) {
        if (size < 0 || static_cast<std::size_t>(size) > (std::numeric_limits<std::size_t>::max)() / sizeof(T) / 2) {
            throw std::bad_alloc();
        }
        if (size > 0) {
            data_ = static_cast<T*>(resource_->allocate(bytes(), alignment));
        }
    }
    buffer(buffer&& other) noexcept
        : resource_(std::exchange(other.resource_, nullptr)), data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)) {}
    buffer& operator=(buffer&& other) noexcept {
        buffer moved(std::move(other));
        std::swap(resource_, moved.resource_);
        std::swap(data_, moved.data_);
        std::swap(size_, moved.size_);
        return *this;
    }
    buffer(const buffer&) = delete;
    buffer& operator=(const buffer&) = delete;
    ~buffer() {
        if (data_ != nullptr) {
            resource_->deallocate(data_, bytes(), alignment);
        }
    }

    index_t size() const { return size_; }
    vector_view<T, S> view() { return {data_, size_}; }
    vector_view<const T, S> view() const { return {data_, size_}; }
    /// The same values as rows of `cols` values.
    matrix_view<T, S> rows(index_t cols) { return {data_, cols > 0 ? size_ / cols : 0, cols}; }
    matrix_view<const T, S> rows(index_t cols) const { return {data_, cols > 0 ? size_ / cols : 0, cols}; }

private:
    std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(T); }

    std::pmr::memory_resource* resource_ = nullptr;
    T* data_ = nullptr;
    index_t size_ = 0;
};

} // namespace protonce::inline v0

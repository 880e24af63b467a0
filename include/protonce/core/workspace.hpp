// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/buffer.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory_resource>
#include <new>
#include <vector>

namespace protonce::inline v0 {

/// Scratch memory of a backend: a stack of blocks that only grows. What a scope takes is given back when the scope ends, and the
/// blocks are kept; so the second identical call finds every block in its place and allocates nothing.
template <memory_space S>
class workspace {
public:
    explicit workspace(std::pmr::memory_resource* resource) : resource_(resource) {}

    /// Memory taken from a scope is valid until the scope ends. Scopes nest.
    class scope {
    public:
        explicit scope(workspace& owner) : owner_(owner), block_(owner.block_), used_(owner.used_) {}
        scope(const scope&) = delete;
        scope& operator=(const scope&) = delete;
        ~scope() {
            owner_.block_ = block_;
            owner_.used_ = used_;
        }

        /// `size` values, undefined, aligned to 64 bytes.
        template <class T>
        vector_view<T, S> vector(index_t size) {
            return {reinterpret_cast<T*>(owner_.take(size, sizeof(T))), size};
        }
        /// rows x cols values, undefined; the first is aligned to 64 bytes.
        template <class T>
        matrix_view<T, S> matrix(index_t rows, index_t cols) {
            return {reinterpret_cast<T*>(owner_.take(rows, cols, sizeof(T))), rows, cols};
        }

    private:
        workspace& owner_;
        std::size_t block_;
        index_t used_;
    };

    /// Bytes held, in use or not.
    index_t bytes() const {
        index_t sum = 0;
        for (const auto& block : blocks_) {
            sum += block.size();
        }
        return sum;
    }

    /// Gives everything back to the resource. No scope may be open.
    void release() {
        blocks_.clear();
        block_ = 0;
        used_ = 0;
    }

private:
    static constexpr index_t unit = static_cast<index_t>(buffer<std::byte, S>::alignment);
    static constexpr index_t least_block = index_t{1} << 16;

    std::byte* take(index_t rows, index_t cols, std::size_t value_size) {
        if (rows < 0 || cols < 0 || (cols > 0 && rows > (std::numeric_limits<index_t>::max)() / cols)) {
            throw std::bad_alloc();
        }
        return take(rows * cols, value_size);
    }
    // Called from everywhere: compiled once.
    [[gnu::noinline]] std::byte* take(index_t size, std::size_t value_size) {
        const auto bytes_each = static_cast<index_t>(value_size);
        if (size < 0 || size > (std::numeric_limits<index_t>::max)() / 2 / bytes_each) {
            throw std::bad_alloc();
        }
        const index_t need = (size * bytes_each + unit - 1) / unit * unit;
        while (block_ < blocks_.size() && blocks_[block_].size() - used_ < need) {
            ++block_;
            used_ = 0;
        }
        if (block_ == blocks_.size()) {
            // As large as everything before it, at least: the number of blocks stays logarithmic.
            const index_t fresh = (std::max)({need, least_block, bytes()});
            blocks_.emplace_back(resource_, fresh);
            used_ = 0;
        }
        std::byte* out = blocks_[block_].view().data() + used_;
        used_ += need;
        return out;
    }

    std::pmr::memory_resource* resource_;
    std::vector<buffer<std::byte, S>> blocks_;
    std::size_t block_ = 0;
    index_t used_ = 0;
};

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATOR_ASAN
#endif
#endif

namespace emulator {

/// Memory with a page on either side that nobody can access.
class guarded_pages {
public:
    guarded_pages() = default;
    /// At least `bytes`, whole pages. Throws std::bad_alloc.
    explicit guarded_pages(std::size_t bytes);
    guarded_pages(guarded_pages&& other) noexcept { swap(other); }
    guarded_pages& operator=(guarded_pages&& other) noexcept {
        swap(other);
        return *this;
    }
    ~guarded_pages();

    unsigned char* begin() const { return begin_; }
    std::size_t size() const { return size_; }
    /// Undoes every mark of AddressSanitizer.
    void unpoison() const;

    static std::size_t page();

private:
    void swap(guarded_pages& other) noexcept;

    unsigned char* begin_ = nullptr;
    std::size_t size_ = 0;
};

/// All bits set: NaN in every floating point type, -1 in signed integers.
constexpr int poison_byte = 0xff;

/// The dynamic shared memory of the block that runs. Its end lies at a guard page, up to the alignment; the little that lies
/// between is closed to AddressSanitizer, and without it watched for changes.
class shared_arena {
public:
    static constexpr std::size_t alignment = 128;
    static constexpr std::size_t capacity = std::size_t{227} << 10; // of a block, compute capability 9.0

    /// `bytes` up to capacity, not initialised.
    void resize(std::size_t bytes);
    /// Every byte becomes poison_byte.
    void poison();
    /// False if something was written between the memory and its guards.
    bool is_intact() const;
    bool holds(const void* from, std::size_t bytes) const;

    unsigned char* begin() const { return begin_; }
    std::size_t size() const { return size_; }

private:
    guarded_pages pages_;
    unsigned char* open_ = nullptr;  // the first accessible page
    unsigned char* begin_ = nullptr; // size_ bytes, and slack up to the end of pages_
    std::size_t size_ = 0;
};

} // namespace emulator

// SPDX-License-Identifier: MIT
#include <device/emulator/memory.hpp>

#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

#if defined(EMULATOR_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace emulator {
namespace {

std::size_t round_up(std::size_t value, std::size_t unit) {
    return (value + unit - 1) / unit * unit;
}

void close_to_sanitizer([[maybe_unused]] const unsigned char* begin, [[maybe_unused]] const unsigned char* end) {
#if defined(EMULATOR_ASAN)
    __asan_poison_memory_region(begin, static_cast<std::size_t>(end - begin));
#endif
}

void open_to_sanitizer([[maybe_unused]] const unsigned char* begin, [[maybe_unused]] const unsigned char* end) {
#if defined(EMULATOR_ASAN)
    __asan_unpoison_memory_region(begin, static_cast<std::size_t>(end - begin));
#endif
}

void protect(unsigned char* begin, unsigned char* end, int access) {
    if (begin != end && mprotect(begin, static_cast<std::size_t>(end - begin), access) != 0) {
        throw std::bad_alloc();
    }
}

#if !defined(EMULATOR_ASAN)
bool is_poison(const unsigned char* begin, const unsigned char* end) {
    if (begin == end) {
        return true;
    }
    // Equal to itself one byte further on: every byte is the first.
    return *begin == poison_byte && std::memcmp(begin, begin + 1, static_cast<std::size_t>(end - begin) - 1) == 0;
}
#endif

} // namespace

guarded_pages::guarded_pages(std::size_t bytes) : size_(round_up(bytes, page())) {
    void* all = mmap(nullptr, size_ + 2 * page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) {
        throw std::bad_alloc();
    }
    begin_ = static_cast<unsigned char*>(all) + page();
    if (mprotect(all, page(), PROT_NONE) != 0 || mprotect(begin_ + size_, page(), PROT_NONE) != 0) {
        munmap(all, size_ + 2 * page());
        throw std::bad_alloc();
    }
}

guarded_pages::~guarded_pages() {
    if (begin_ != nullptr) {
        unpoison(); // the addresses may be given to someone else
        munmap(begin_ - page(), size_ + 2 * page());
    }
}

void guarded_pages::unpoison() const {
    open_to_sanitizer(begin_, begin_ + size_);
}

std::size_t guarded_pages::page() {
    static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
}

void guarded_pages::swap(guarded_pages& other) noexcept {
    std::swap(begin_, other.begin_);
    std::swap(size_, other.size_);
}

void shared_arena::resize(std::size_t bytes) {
    if (pages_.size() == 0) {
        pages_ = guarded_pages(capacity);
    } else if (bytes == size_) {
        return; // two system calls less for each of many equal launches
    }
    const std::size_t page = guarded_pages::page();
    unsigned char* first = pages_.begin();
    unsigned char* end = first + pages_.size();
    size_ = bytes;
    begin_ = end - round_up(bytes, alignment);
    open_ = first + static_cast<std::size_t>(begin_ - first) / page * page;

    pages_.unpoison();
    protect(first, open_, PROT_NONE);
    protect(open_, end, PROT_READ | PROT_WRITE);
    close_to_sanitizer(first, begin_);
    close_to_sanitizer(begin_ + size_, end);
}

void shared_arena::poison() {
#if defined(EMULATOR_ASAN)
    unsigned char* begin = begin_;
    const std::size_t bytes = size_;
#else
    unsigned char* begin = open_;
    const auto bytes = static_cast<std::size_t>(pages_.begin() + pages_.size() - open_);
#endif
    if (bytes > 0) {
        std::memset(begin, poison_byte, bytes);
    }
}

bool shared_arena::is_intact() const {
#if defined(EMULATOR_ASAN)
    return true; // an access would have ended the program
#else
    return is_poison(open_, begin_) && is_poison(begin_ + size_, pages_.begin() + pages_.size());
#endif
}

bool shared_arena::holds(const void* from, std::size_t bytes) const {
    const auto address = reinterpret_cast<std::uintptr_t>(from);
    const auto begin = reinterpret_cast<std::uintptr_t>(begin_);
    return address >= begin && address - begin <= size_ && size_ - (address - begin) >= bytes;
}

} // namespace emulator

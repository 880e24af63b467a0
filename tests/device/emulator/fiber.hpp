// SPDX-License-Identifier: MIT
#pragma once
#include <device/emulator/memory.hpp>

#include <cstddef>

#if defined(__x86_64__) && defined(__ELF__) && !defined(EMULATOR_USE_UCONTEXT)
#define EMULATOR_OWN_SWITCH
#else
#include <ucontext.h>
#endif

namespace emulator {

/// A function that runs piecemeal, on a stack of its own. It is entered from the host's stack and leaves to it, on one host
/// thread, and no exception may leave it.
class fiber {
public:
    fiber() = default;
    fiber(const fiber&) = delete;
    fiber& operator=(const fiber&) = delete;
    ~fiber() { discard(); }

    /// Continues behind the last leave(). The first time, and after discard(), begins `body`, which never returns.
    void enter(void (*body)());
    /// Called on the fiber: enter() returns.
    void leave();
    /// Forgets where it is. Destructors of what lives on its stack do not run.
    void discard();

private:
    static void begin();
    void prepare();
    void switch_in();
    void switch_out();

    guarded_pages stack_; // kept by discard()
    void (*body_)() = nullptr;
    bool is_begun_ = false;
    bool is_discarded_ = false; // leave() ends for good

#if defined(EMULATOR_OWN_SWITCH)
    void* stack_pointer_ = nullptr; // of the one that does not run
    void* host_stack_pointer_ = nullptr;
#else
    ucontext_t context_{};
    ucontext_t host_context_{};
#endif

    // What AddressSanitizer wants to be told.
    void* fake_stack_ = nullptr;
    void* host_fake_stack_ = nullptr;
    const void* host_bottom_ = nullptr;
    std::size_t host_size_ = 0;
};

} // namespace emulator

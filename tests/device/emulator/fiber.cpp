// SPDX-License-Identifier: MIT
#include <device/emulator/fiber.hpp>

#include <cstdint>
#include <cstring>

#if defined(EMULATOR_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(EMULATOR_OWN_SWITCH)
// swapcontext() makes two system calls, to save a mask of signals that no fiber changes; a launch makes thousands of switches.
// This one saves what the System V ABI makes a function preserve, except for the control words of the floating point units,
// which kernels leave alone. It jumps to where `ret` would go, because a processor predicts that `ret` goes back to the caller.
// It is no C++ function, because an optimiser that saw its body would take what it preserves from there.
extern "C" void protonce_emulator_switch_stack(void** stack_pointer, void* next_stack_pointer);
asm(R"(
    .text
    .globl protonce_emulator_switch_stack
    .hidden protonce_emulator_switch_stack
    .type protonce_emulator_switch_stack, @function
protonce_emulator_switch_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rcx
    jmp *%rcx
    .size protonce_emulator_switch_stack, . - protonce_emulator_switch_stack
)");
#endif

namespace emulator {
namespace {

// Pages that are never touched cost nothing; -O0 with sanitizers makes frames of some kilobytes.
constexpr std::size_t stack_bytes = std::size_t{256} << 10;

thread_local fiber* starting = nullptr;

void announce_switch([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* bottom,
                     [[maybe_unused]] std::size_t size) {
#if defined(EMULATOR_ASAN)
    __sanitizer_start_switch_fiber(fake_stack, bottom, size);
#endif
}

void announce_arrival([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** old_bottom,
                      [[maybe_unused]] std::size_t* old_size) {
#if defined(EMULATOR_ASAN)
    __sanitizer_finish_switch_fiber(fake_stack, old_bottom, old_size);
#endif
}

} // namespace

void fiber::enter(void (*body)()) {
    if (!is_begun_) {
        body_ = body;
        prepare();
        is_begun_ = true;
        starting = this;
    }
    announce_switch(&host_fake_stack_, stack_.begin(), stack_.size());
    switch_in();
    announce_arrival(host_fake_stack_, nullptr, nullptr);
}

void fiber::begin() {
    fiber* self = starting;
    announce_arrival(nullptr, &self->host_bottom_, &self->host_size_);
    self->body_();
}

void fiber::leave() {
    announce_switch(&fake_stack_, host_bottom_, host_size_);
    switch_out();
    announce_arrival(fake_stack_, &host_bottom_, &host_size_);
    if (is_discarded_) {
        announce_switch(nullptr, host_bottom_, host_size_); // null: the fake stack is given back
        switch_out();
    }
}

void fiber::discard() {
#if defined(EMULATOR_ASAN)
    // The sanitizer gives back a fiber's fake stack only when that fiber says so, hence a last visit. The red zones of the frames
    // that never end go too.
    if (is_begun_) {
        is_discarded_ = true;
        enter(body_);
        is_discarded_ = false;
        stack_.unpoison();
    }
#endif
    is_begun_ = false;
}

#if defined(EMULATOR_OWN_SWITCH)
void fiber::prepare() {
    if (stack_.size() == 0) {
        stack_ = guarded_pages(stack_bytes);
    }
    // Tops of stacks at the same place of a page would compete for the same few lines of the first cache.
    const std::size_t colour = reinterpret_cast<std::uintptr_t>(stack_.begin()) / stack_.size() % 16 * 256;
    unsigned char* top = stack_.begin() + stack_.size() - colour;
    // Six registers to pop, where to return to, and the return address of begin() that ends a backtrace. At the begin of a
    // function the stack pointer is 8 off a multiple of 16.
    void* frame[8] = {};
    frame[6] = reinterpret_cast<void*>(&fiber::begin);
    std::memcpy(top - sizeof frame, frame, sizeof frame);
    stack_pointer_ = top - sizeof frame;
}
void fiber::switch_in() {
    protonce_emulator_switch_stack(&host_stack_pointer_, stack_pointer_);
}
void fiber::switch_out() {
    protonce_emulator_switch_stack(&stack_pointer_, host_stack_pointer_);
}
#else
void fiber::prepare() {
    if (stack_.size() == 0) {
        stack_ = guarded_pages(stack_bytes);
    }
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_.begin();
    context_.uc_stack.ss_size = stack_.size();
    context_.uc_link = nullptr;
    makecontext(&context_, &fiber::begin, 0);
}
void fiber::switch_in() {
    swapcontext(&host_context_, &context_);
}
void fiber::switch_out() {
    swapcontext(&context_, &host_context_);
}
#endif

} // namespace emulator

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

/// What a kernel does as one of many threads. Kernels are function objects with `static constexpr int threads`, their block's size, and
/// an operator() that every thread of every block calls; they are written on these functions alone, so the same text is compiled by
/// nvcc and runs under the block emulator of the tests (tests/device/emulator), which brings its own.
#if defined(__CUDACC__)

#include <cstddef>
#include <cstdint>

#define PROTONCE_DEVICE __device__
#define PROTONCE_UNROLL _Pragma("unroll") // before a loop
#define PROTONCE_UNROLL_TWO                                                                                            \
    _Pragma("unroll 2") // left to itself the compiler takes four rounds at once, and registers spill

namespace protonce::inline v0::detail::cuda {

PROTONCE_DEVICE inline int thread_index() {
    return static_cast<int>(threadIdx.x);
}
PROTONCE_DEVICE inline int block_index() {
    return static_cast<int>(blockIdx.x);
}
/// Second coordinate of the block.
PROTONCE_DEVICE inline int block_index_y() {
    return static_cast<int>(blockIdx.y);
}
/// Blocks in the first coordinate.
PROTONCE_DEVICE inline int block_count() {
    return static_cast<int>(gridDim.x);
}

/// All threads of the block reach it, and see what the others wrote before it.
PROTONCE_DEVICE inline void sync_block() {
    __syncthreads();
}
/// The same for the 32 threads of the warp.
PROTONCE_DEVICE inline void sync_warp() {
    __syncwarp();
}
/// The value of the thread whose number in the warp differs by `mask`. All 32 take part.
template <class T>
PROTONCE_DEVICE T shuffle_xor(T value, int mask) {
    return __shfl_xor_sync(0xffffffffu, value, mask);
}
/// Does it hold for any thread of the warp? All 32 take part.
PROTONCE_DEVICE inline bool any_of_warp(bool holds) {
    return __any_sync(0xffffffffu, holds) != 0;
}

/// Adds to a counter that other threads add to; returns what it was before.
PROTONCE_DEVICE inline index_t fetch_add(index_t* counter, index_t value) {
    return static_cast<index_t>(
        atomicAdd(reinterpret_cast<unsigned long long*>(counter), static_cast<unsigned long long>(value)));
}

/// The block's dynamic shared memory, aligned to 128 bytes; undefined when the block begins.
PROTONCE_DEVICE inline unsigned char* shared_memory() {
    extern __shared__ __align__(128) unsigned char protonce_shared_memory[];
    return protonce_shared_memory;
}

/// Begins to copy 16 bytes to shared memory; zeros where not `valid`, `from` is not read then. Both aligned to 16 bytes.
PROTONCE_DEVICE inline void copy_async_16(void* to, const void* from, bool valid) {
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
    const int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
}
/// Closes a group of copies.
PROTONCE_DEVICE inline void commit_copies() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Waits until at most `left` of this thread's groups are under way. Other threads see the copies after sync_block().
template <int left>
PROTONCE_DEVICE void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

/// 2^x within 2^-22 of it; 0 below 2^-126.
PROTONCE_DEVICE inline float power_of_two(float x) {
    float out;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
    return out;
}

/// Rounded to the 10 bits of mantissa that TF32 has, to nearest, ties away from zero.
PROTONCE_DEVICE inline std::uint32_t to_tf32(float value) {
    std::uint32_t out;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(out) : "f"(value));
    return out;
}

/// c += a b for a tile of the warp: a is 16 x 8, b is 8 x 8, c is 16 x 8. With g = lane / 4 and t = lane % 4 a lane holds
///     a: (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)      b: (t, g), (t + 4, g)
///     c: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
PROTONCE_DEVICE inline void multiply_add_tf32(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Both rounded to half precision, 10 bits of mantissa, to nearest, ties to even; beyond its range infinite. `low` goes into the
/// low half.
PROTONCE_DEVICE inline std::uint32_t to_f16_pair(float low, float high) {
    std::uint32_t out;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(out) : "f"(high), "f"(low));
    return out;
}

/// c += a b as above, of pairs in half precision: a is 16 x 16, b is 16 x 8. A register holds two neighbours in k, the first in its low
/// half:
///     a: (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8)      b: (2t, g), (2t + 8, g)      c: as above
PROTONCE_DEVICE inline void multiply_add_f16(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

} // namespace protonce::inline v0::detail::cuda

#elif defined(PROTONCE_CUDA_EMULATOR)
#define PROTONCE_UNROLL
#define PROTONCE_UNROLL_TWO
#include PROTONCE_CUDA_EMULATOR
#else
#error "protonce: kernels are for nvcc, or for the block emulator of the tests"
#endif

namespace protonce::inline v0::detail::cuda {

/// Neighbouring values in memory that a thread reads or writes at once: 8 or 16 bytes, aligned to as many.
template <class V, int count>
struct alignas(count * sizeof(V)) at_once {
    V at[count];
};

} // namespace protonce::inline v0::detail::cuda

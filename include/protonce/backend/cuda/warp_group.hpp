// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>

/// Functions of a thread that compute capability 9.0 has: barriers in shared memory that count arrivals and bytes,
/// copies of a block, and products of a group of four warps, which run beside the threads. `has_warp_groups` says
/// whether the kernel is compiled for them (architecture 90a); only then may the others be called.
#if defined(__CUDACC__)

namespace protonce::inline v0::detail::cuda {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
constexpr bool has_warp_groups = true;
#else
constexpr bool has_warp_groups = false;
#endif

PROTONCE_DEVICE inline std::uint32_t shared_address(const void* at) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(at));
}

/// Makes a barrier in shared memory. A phase ends when so many have arrived and all bytes that were announced have
/// come.
PROTONCE_DEVICE inline void init_barrier(std::uint64_t* barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
/// What this thread wrote to shared memory is there for copies of a block and for products of warp groups, which go another way than
/// threads do: barriers that it made, copies of its own that it has waited for. Others learn of it by a barrier behind this.
PROTONCE_DEVICE inline void publish_shared() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
PROTONCE_DEVICE inline void arrive(std::uint64_t* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
/// Announces bytes of copies of this phase, and arrives.
PROTONCE_DEVICE inline void arrive_expecting(std::uint64_t* barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}
/// Until the phase of this parity has ended; the first phase has parity 0.
PROTONCE_DEVICE inline void wait_barrier(std::uint64_t* barrier, int parity) {
    std::uint32_t is_over = 0;
    while (is_over == 0) {
        asm volatile("{\n"
                     ".reg .pred is_over;\n"
                     "mbarrier.try_wait.parity.shared::cta.b64 is_over, [%1], %2;\n"
                     "selp.u32 %0, 1, 0, is_over;\n"
                     "}"
                     : "=r"(is_over)
                     : "r"(shared_address(barrier)), "r"(parity)
                     : "memory");
    }
}
/// One thread begins a copy to shared memory that the barrier has been told of. Addresses and size are multiples of 16
/// bytes.
PROTONCE_DEVICE inline void copy_bulk(void* to, const void* from, int bytes, std::uint64_t* barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
}

/// All four warps of a group take registers, or give them back, so that each thread has `count`: a multiple of 8. Kernels say
/// `blocks_a_processor = 1`, and what a group does is one branch.
template <int count>
PROTONCE_DEVICE void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}
template <int count>
PROTONCE_DEVICE void leave_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}

/// Where a matrix in half precision lies in shared memory, in cores of 8 rows of 16 bytes, 128 bytes each:
/// `leading_bytes` from one to the next in the direction of k, `stride_bytes` in the other. All multiples of 16.
PROTONCE_DEVICE inline std::uint64_t matrix_descriptor(const void* from, int leading_bytes, int stride_bytes) {
    return static_cast<std::uint64_t>(shared_address(from) >> 4 & 0x3fff) |
           static_cast<std::uint64_t>(leading_bytes >> 4) << 16 | static_cast<std::uint64_t>(stride_bytes >> 4) << 32;
}
/// Before products that are begun after their sums were written by other means.
PROTONCE_DEVICE inline void fence_products() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
// The 64 sums of a lane as operands of an instruction.
// clang-format off
#define PROTONCE_SUM_NAMES \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
#define PROTONCE_SUMS(c) \
    "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7]), \
    "+f"(c[8]), "+f"(c[9]), "+f"(c[10]), "+f"(c[11]), "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15]), \
    "+f"(c[16]), "+f"(c[17]), "+f"(c[18]), "+f"(c[19]), "+f"(c[20]), "+f"(c[21]), "+f"(c[22]), "+f"(c[23]), \
    "+f"(c[24]), "+f"(c[25]), "+f"(c[26]), "+f"(c[27]), "+f"(c[28]), "+f"(c[29]), "+f"(c[30]), "+f"(c[31]), \
    "+f"(c[32]), "+f"(c[33]), "+f"(c[34]), "+f"(c[35]), "+f"(c[36]), "+f"(c[37]), "+f"(c[38]), "+f"(c[39]), \
    "+f"(c[40]), "+f"(c[41]), "+f"(c[42]), "+f"(c[43]), "+f"(c[44]), "+f"(c[45]), "+f"(c[46]), "+f"(c[47]), \
    "+f"(c[48]), "+f"(c[49]), "+f"(c[50]), "+f"(c[51]), "+f"(c[52]), "+f"(c[53]), "+f"(c[54]), "+f"(c[55]), \
    "+f"(c[56]), "+f"(c[57]), "+f"(c[58]), "+f"(c[59]), "+f"(c[60]), "+f"(c[61]), "+f"(c[62]), "+f"(c[63])
// clang-format on

/// Four warps begin c += a b^T of half precision: a is 64 x 16, b is 128 x 16, c is 64 x 128. Warp w of the group holds
/// rows 16 w on; with g = lane / 4 and t = lane % 4 a lane holds in c[4 n], ..., c[4 n + 3]
///     (g, 8 n + 2t), (g, 8 n + 2t + 1), (g + 8, 8 n + 2t), (g + 8, 8 n + 2t + 1)
PROTONCE_DEVICE inline void begin_product(float (&c)[64], std::uint64_t a, std::uint64_t b) {
    // clang-format off
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
        PROTONCE_SUM_NAMES
        "%64, %65, 1, 1, 1, 0, 0;"
        : PROTONCE_SUMS(c)
        : "l"(a), "l"(b));
    // clang-format on
}
/// The same with a warp's rows of a in registers, as multiply_add_f16() takes them, and b by columns: the 16 bytes of a core's line
/// are 8 rows of b with the same k, so that a sum over rows reads them as they lie.
PROTONCE_DEVICE inline void begin_product(float (&c)[64], const std::uint32_t (&a)[4], std::uint64_t b) {
    // clang-format off
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
        PROTONCE_SUM_NAMES
        "{%64, %65, %66, %67}, %68, 1, 1, 1, 1;"
        : PROTONCE_SUMS(c)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
    // clang-format on
}
#undef PROTONCE_SUMS
#undef PROTONCE_SUM_NAMES

/// Closes a group of products.
PROTONCE_DEVICE inline void commit_products() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Waits until at most `left` groups of this warp are under way.
template <int left>
PROTONCE_DEVICE void wait_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
}
/// Around products, for the compiler, which does not know that they change their sums later: before the first one is
/// begun and after the last one was waited for.
PROTONCE_DEVICE inline void pin_sums(float (&c)[64]) {
    PROTONCE_UNROLL for (int i = 0; i < 64; ++i) {
        asm volatile("" : "+f"(c[i])::"memory");
    }
}
/// The same for operands in registers: before the fence.
template <int count>
PROTONCE_DEVICE void pin_operands(std::uint32_t (&a)[count][4]) {
    PROTONCE_UNROLL for (int k = 0; k < count; ++k) {
        PROTONCE_UNROLL for (int i = 0; i < 4; ++i) {
            asm volatile("" : "+r"(a[k][i])::"memory");
        }
    }
}

} // namespace protonce::inline v0::detail::cuda

#endif // the emulator brings them with the others

namespace protonce::inline v0::detail::cuda {

/// The matrix so many bytes further on.
PROTONCE_DEVICE inline std::uint64_t further(std::uint64_t descriptor, int bytes) {
    return descriptor + static_cast<std::uint64_t>(bytes >> 4);
}

} // namespace protonce::inline v0::detail::cuda

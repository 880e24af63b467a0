// SPDX-License-Identifier: MIT
// Includes PROTONCE_KERNEL_FILE, which names a file of kernels, once for each instruction set, in a namespace of its own: an attribute
// cannot be a template argument. All three macros end here.

namespace baseline {
#define PROTONCE_KERNEL_TARGET
#define PROTONCE_KERNEL_BYTES 16
#include PROTONCE_KERNEL_FILE
#undef PROTONCE_KERNEL_TARGET
#undef PROTONCE_KERNEL_BYTES
} // namespace baseline

#if defined(__x86_64__) && defined(__GNUC__)
namespace avx2 {
#define PROTONCE_KERNEL_TARGET __attribute__((target("avx2,fma")))
#define PROTONCE_KERNEL_BYTES 32
#include PROTONCE_KERNEL_FILE
#undef PROTONCE_KERNEL_TARGET
#undef PROTONCE_KERNEL_BYTES
} // namespace avx2

namespace avx512 {
#define PROTONCE_KERNEL_TARGET __attribute__((target("avx512f,avx2,fma")))
#define PROTONCE_KERNEL_BYTES 64
#include PROTONCE_KERNEL_FILE
#undef PROTONCE_KERNEL_TARGET
#undef PROTONCE_KERNEL_BYTES
} // namespace avx512
#endif
#undef PROTONCE_KERNEL_FILE

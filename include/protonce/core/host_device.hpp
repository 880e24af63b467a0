// SPDX-License-Identifier: MIT
#pragma once

/// Before a function that also runs on a device; nothing where the compiler knows no device. The library calls constexpr
/// functions of the standard library from such functions: nvcc wants `--expt-relaxed-constexpr`.
#if defined(__CUDACC__) || defined(__HIPCC__)
#define PROTONCE_HOST_DEVICE __host__ __device__
#else
#define PROTONCE_HOST_DEVICE
#endif

// SPDX-License-Identifier: MIT
#pragma once
#include <support/backends.hpp>

/// For tests of single kernels: the GPU, or the emulated one.
namespace test {

#ifdef PROTONCE_TEST_CUDA
using device_backend = protonce::cuda_backend<float>;
using device_options = protonce::cuda_options;
inline protonce::detail::cuda::run device_run() {
    return protonce::detail::cuda::run(nullptr);
}
/// Of a kernel for architecture 90a: was it compiled for this device?
template <class Kernel>
bool has_body() {
    return device_run().has_body<Kernel>();
}
/// As a device computes losses that nobody chose a precision for.
inline device_options standard_options() {
    return {.check_finite = false};
}
#else
using device_backend = emulated_cuda<float>;
using device_options = emulated_options;
inline device_options standard_options() {
    return {.check_finite = false, .losses = protonce::loss_precision::standard, .has_warp_groups = true};
}
inline emulated_run device_run() {
    return {};
}
template <class Kernel>
bool has_body() {
    return true;
}
#endif

} // namespace test

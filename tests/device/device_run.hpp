// SPDX-License-Identifier: MIT
#pragma once
#include <support/backends.hpp>

namespace test {

/// Where the tests of single kernels launch them: on a GPU, or under the emulator.
#ifdef PROTONCE_TEST_CUDA
using device_backend = protonce::cuda_backend<float>;
using device_options = protonce::cuda_options;
inline protonce::detail::cuda::run device_run() {
    return protonce::detail::cuda::run(nullptr);
}
#else
using device_backend = emulated_cuda<float>;
using device_options = emulated_options;
inline emulated_run device_run() {
    return {};
}
#endif

} // namespace test

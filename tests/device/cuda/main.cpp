// SPDX-License-Identifier: MIT
// Runner of the programs that need a GPU. Without one they are skipped, with the reason; they fail instead where the environment
// says PROTONCE_REQUIRE_GPU=1.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

constexpr int skipped = 77; // CTest's SKIP_RETURN_CODE

/// Is there a device? Any other trouble than a missing driver or device is an error.
cudaError_t find_device() {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    return status == cudaSuccess && count == 0 ? cudaErrorNoDevice : status;
}

} // namespace

int main(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument(argv[i]);
        if (argument == "--count" || argument == "--list-test-cases") {
            return doctest::Context(argc, argv).run();
        }
    }
    const cudaError_t status = find_device();
    if (status == cudaErrorInsufficientDriver || status == cudaErrorNoDevice) {
        const char* required = std::getenv("PROTONCE_REQUIRE_GPU");
        const bool fails = required != nullptr && std::strcmp(required, "1") == 0;
        std::printf("%s: no GPU: %s (%s)\n", fails ? "Failed" : "Skipped", cudaGetErrorName(status),
                    cudaGetErrorString(status));
        return fails ? 1 : skipped;
    }
    if (status != cudaSuccess) {
        std::printf("Failed: looking for a GPU: %s (%s)\n", cudaGetErrorName(status), cudaGetErrorString(status));
        return 1;
    }
    cudaDeviceProp device{};
    cudaGetDeviceProperties(&device, 0);
    std::printf("GPU: %s, compute capability %d.%d\n", device.name, device.major, device.minor);
    return doctest::Context(argc, argv).run();
}

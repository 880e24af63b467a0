// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/error.hpp>
#include <protonce/core/types.hpp>

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory_resource>
#include <new>
#include <string>

namespace protonce::inline v0::detail::cuda {

/// \throws backend_error  with CUDA's name of the error and what was tried
inline void require_success(cudaError_t status, const char* tried) {
    if (status != cudaSuccess) {
        (void)cudaGetLastError(); // reported here: not by the next call as well
        throw backend_error(std::string("cuda: ") + tried + ": " + cudaGetErrorName(status) + ", " +
                            cudaGetErrorString(status));
    }
}

/// Copies on a stream of the caller's.
class transfers {
public:
    explicit transfers(cudaStream_t stream) : stream_(stream) {}

    cudaStream_t stream() const { return stream_; }

    template <class U>
    void copy(const U* from, U* to, index_t n) {
        queue(from, to, n, cudaMemcpyDeviceToDevice);
    }
    /// Waits.
    template <class U>
    void read(const U* from, U* to, index_t n) {
        queue(from, to, n, cudaMemcpyDeviceToHost);
        wait();
    }
    /// Waits: the runtime may still read pageable memory after its call has returned.
    /// Not while the stream is captured: the graph would read the memory at each replay.
    template <class U>
    void write(const U* from, U* to, index_t n) {
        if (n == 0) {
            return;
        }
        cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
        require_success(cudaStreamIsCapturing(stream_, &capture), "asking whether the stream is captured");
        if (capture != cudaStreamCaptureStatusNone) {
            throw backend_error("cuda: host memory cannot be written to the device while the stream is captured");
        }
        queue(from, to, n, cudaMemcpyHostToDevice);
        wait();
    }
    void wait() const { require_success(cudaStreamSynchronize(stream_), "waiting for the stream"); }

private:
    template <class U>
    void queue(const U* from, U* to, index_t n, cudaMemcpyKind kind) {
        if (n > 0) {
            const auto bytes = static_cast<std::size_t>(n) * sizeof(U);
            require_success(cudaMemcpyAsync(to, from, bytes, kind, stream_), "copying");
        }
    }

    cudaStream_t stream_;
};

/// Memory of the current device, from cudaMalloc; aligned to 256 bytes.
class device_memory : public std::pmr::memory_resource {
    void* do_allocate(std::size_t bytes, std::size_t /*alignment*/) override {
        void* out = nullptr;
        const cudaError_t status = cudaMalloc(&out, bytes);
        if (status == cudaErrorMemoryAllocation) {
            (void)cudaGetLastError();
            throw std::bad_alloc();
        }
        require_success(status, "allocating");
        return out;
    }
    void do_deallocate(void* memory, std::size_t /*bytes*/, std::size_t /*alignment*/) override {
        (void)cudaFree(memory); // at the program's end the driver may be gone already
    }
    bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
};

inline std::pmr::memory_resource* default_memory() {
    static device_memory memory;
    return &memory;
}

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/side_by_side.hpp>
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/backend/cuda/transfers.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/workspace.hpp>

#include <cub/device/device_radix_sort.cuh>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// f(i) for i in [0, n).
template <class F>
struct each_element {
    static constexpr int threads = 256;
    F f;
    index_t n;

    PROTONCE_DEVICE void operator()() const {
        const index_t i = index_t{block_index()} * threads + thread_index();
        if (i < n) {
            f(i);
        }
    }
};

/// How many blocks a kernel wants to share a processor, if it says so: decides how many registers it may use.
template <class Kernel>
constexpr int blocks_a_processor = [] {
    if constexpr (requires { Kernel::blocks_a_processor; }) {
        return Kernel::blocks_a_processor;
    } else {
        return 0;
    }
}();
template <class Kernel>
constexpr int blocks_a_processor<side_by_side<Kernel>> = blocks_a_processor<Kernel>;

template <class Kernel>
__global__ void __launch_bounds__(Kernel::threads, blocks_a_processor<Kernel>)
    run_kernel(const __grid_constant__ Kernel kernel) {
    kernel();
}

/// Queues kernels, copies and sorts on a stream.
class run : public transfers {
public:
    using space = device;
    using transfers::transfers;

    template <class F>
    void for_each(index_t n, const F& f) {
        launch(ceil_div(n, each_element<F>::threads), 0, each_element<F>{f, n});
    }

    /// Blocks of Kernel::threads threads, at most 2^31 - 1.
    template <class Kernel>
    void launch(index_t blocks, std::size_t shared_bytes, const Kernel& kernel) {
        if (blocks == 0) {
            return;
        }
        constexpr std::size_t without_asking = 48 << 10;
        if (shared_bytes > without_asking) {
            require_success(cudaFuncSetAttribute(run_kernel<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                 static_cast<int>(shared_bytes)),
                            "asking for shared memory");
        }
        cudaLaunchConfig_t config{};
        config.gridDim = dim3(static_cast<unsigned>(blocks));
        config.blockDim = dim3(Kernel::threads);
        config.dynamicSmemBytes = shared_bytes;
        config.stream = stream();
        require_success(cudaLaunchKernelEx(&config, run_kernel<Kernel>, kernel), "launching a kernel");
    }

    /// Is there more of the kernel than a return? Kernels for a single architecture are empty when compiled for others, and
    /// which one the device runs is known when it has been loaded. What they are for keeps most registers busy.
    template <class Kernel>
    bool has_body() const {
        cudaFuncAttributes attributes{};
        require_success(cudaFuncGetAttributes(&attributes, run_kernel<Kernel>), "asking about a kernel");
        return attributes.numRegs > 64;
    }

    /// Radix sort, which is stable. Takes as much scratch as the arrays, and what CUB asks for.
    void stable_sort(workspace<device>& scratch, std::uint32_t* key, index_t* row, index_t n) {
        workspace<device>::scope scope(scratch);
        ::cub::DoubleBuffer<std::uint32_t> keys(key, scope.vector<std::uint32_t>(n).data());
        ::cub::DoubleBuffer<index_t> rows(row, scope.vector<index_t>(n).data());
        std::size_t bytes = 0;
        sort(nullptr, bytes, keys, rows, n);
        sort(scope.vector<std::byte>(static_cast<index_t>(bytes)).data(), bytes, keys, rows, n);
        if (keys.Current() != key) {
            copy(keys.Current(), key, n);
        }
        if (rows.Current() != row) {
            copy(rows.Current(), row, n);
        }
    }

private:
    void sort(void* memory, std::size_t& bytes, ::cub::DoubleBuffer<std::uint32_t>& keys,
              ::cub::DoubleBuffer<index_t>& rows, index_t n) const {
        require_success(::cub::DeviceRadixSort::SortPairs(memory, bytes, keys, rows, n, 0, 32, stream()), "sorting");
    }
};

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once

// Thrust takes CUDA where nobody says which system; a compiler without CUDA means the processor.
#if !defined(__CUDACC__) && !defined(THRUST_DEVICE_SYSTEM)
#ifdef _OPENMP
#define THRUST_DEVICE_SYSTEM THRUST_DEVICE_SYSTEM_OMP
#else
#define THRUST_DEVICE_SYSTEM THRUST_DEVICE_SYSTEM_CPP
#endif
#endif

#include <protonce/core/workspace.hpp>

#include <thrust/execution_policy.h>
#include <thrust/for_each.h>
#include <thrust/iterator/counting_iterator.h>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>

// The system is in the name, so that units compiled for different ones link into one program.
#if THRUST_DEVICE_SYSTEM == THRUST_DEVICE_SYSTEM_CUDA
#include <protonce/backend/cuda/transfers.hpp>

#include <thrust/sort.h>
#define PROTONCE_THRUST_SYSTEM thrust_on_cuda
#elif THRUST_DEVICE_SYSTEM == THRUST_DEVICE_SYSTEM_OMP
#define PROTONCE_THRUST_SYSTEM thrust_on_openmp
#elif THRUST_DEVICE_SYSTEM == THRUST_DEVICE_SYSTEM_TBB
#define PROTONCE_THRUST_SYSTEM thrust_on_tbb
#else
#define PROTONCE_THRUST_SYSTEM thrust_on_cpp
#endif

namespace protonce::inline v0::detail {
inline namespace PROTONCE_THRUST_SYSTEM {

#if THRUST_DEVICE_SYSTEM == THRUST_DEVICE_SYSTEM_CUDA

/// Runs elements on the device, on a stream.
template <memory_space S>
class thrust_run : public cuda::transfers {
public:
    static_assert(std::same_as<S, device>, "with CUDA the memory of thrust_backend is the device's");
    using space = S;
    using cuda::transfers::transfers;

    template <class F>
    void for_each(index_t n, const F& f) {
        if (n > 0) {
            ::thrust::for_each_n(::thrust::cuda::par_nosync.on(stream()), ::thrust::counting_iterator<index_t>(0), n,
                                 f);
        }
    }
    void stable_sort(workspace<S>& scratch, std::uint32_t* key, index_t* row, index_t n) {
        temporary memory{typename workspace<S>::scope(scratch)};
        ::thrust::stable_sort_by_key(::thrust::cuda::par_nosync(memory).on(stream()), key, key + n, row);
    }
    static std::pmr::memory_resource* default_memory() { return cuda::default_memory(); }

private:
    /// Memory for Thrust's sort. It is given back once the sort is queued: what uses it next is queued behind.
    struct temporary {
        using value_type = std::byte;
        typename workspace<S>::scope scope;
        std::byte* allocate(std::ptrdiff_t n) {
            return scope.template vector<std::byte>(static_cast<index_t>(n)).data();
        }
        void deallocate(std::byte*, std::size_t) {}
    };
};

#elif defined(__CUDACC__)
#error "protonce: a unit of nvcc runs Thrust on CUDA; compile the unit with another compiler for the processor"
#else

/// Runs elements on the processor. Rows are sorted by the standard library: the sort of Thrust 3.0 puts negative keys last there, binds
/// references to null and takes its memory from malloc.
template <memory_space S>
class thrust_run {
public:
    using space = S;

    template <class F>
    void for_each(index_t n, const F& f) {
        if (n == 1) {
            f(index_t{0}); // to wake a team of threads costs more
        } else if (n > 1) {
            ::thrust::for_each_n(::thrust::device, ::thrust::counting_iterator<index_t>(0), n, f);
        }
    }
    void stable_sort(workspace<S>& scratch, std::uint32_t* key, index_t* row, index_t n) {
        struct entry {
            std::uint32_t key;
            index_t row;
        };
        typename workspace<S>::scope scope(scratch);
        entry* entries = scope.template vector<entry>(n).data();
        for (index_t i = 0; i < n; ++i) {
            entries[i] = {key[i], row[i]};
        }
        std::sort(entries, entries + n,
                  [](const entry& a, const entry& b) { return a.key != b.key ? a.key < b.key : a.row < b.row; });
        for (index_t i = 0; i < n; ++i) {
            key[i] = entries[i].key;
            row[i] = entries[i].row;
        }
    }
    template <class U>
    void copy(const U* from, U* to, index_t n) {
        if (n > 0) {
            std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(U));
        }
    }
    template <class U>
    void read(const U* from, U* to, index_t n) {
        copy(from, to, n);
    }
    template <class U>
    void write(const U* from, U* to, index_t n) {
        copy(from, to, n);
    }
    static std::pmr::memory_resource* default_memory() { return std::pmr::get_default_resource(); }
};

#endif

} // namespace PROTONCE_THRUST_SYSTEM
} // namespace protonce::inline v0::detail

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>

/// Kernels that are right, and the same ones with a mistake.
namespace test {

namespace cuda = protonce::detail::cuda;

enum class bug {
    none,
    no_barrier,
    no_second_barrier,
    no_wait,
    no_barrier_after_wait,
    no_last_wait,
    one_stage,
    swapped_fragment,
    divergent,
    unwritten,
};

template <class T>
PROTONCE_DEVICE T* shared_array() {
    return reinterpret_cast<T*>(cuda::shared_memory());
}

/// out[block] is the sum of the block's `threads` values: a tree in shared memory.
template <bug planted = bug::none>
struct block_sum {
    static constexpr int threads = 128;
    const float* in;
    float* out;

    PROTONCE_DEVICE void operator()() const {
        auto* shared = shared_array<float>();
        const int thread = cuda::thread_index();
        if (planted != bug::unwritten || thread != 5) {
            shared[thread] = in[cuda::block_index() * threads + thread];
        }
        for (int half = threads / 2; half > 0; half /= 2) {
            if constexpr (planted != bug::no_barrier) {
                cuda::sync_block();
            }
            if (thread < half) {
                shared[thread] += shared[thread + half];
            }
        }
        if (thread == 0) {
            out[cuda::block_index()] = shared[0];
        }
    }
};

/// Every thread gets the sum over its warp.
template <class T, bug planted = bug::none>
struct warp_sum {
    static constexpr int threads = 64;
    const T* in;
    T* out;

    PROTONCE_DEVICE void operator()() const {
        const int thread = cuda::thread_index();
        T sum = in[thread];
        for (int mask = 16; mask > 0; mask /= 2) {
            if (planted != bug::divergent || thread != 40) {
                sum += cuda::shuffle_xor(sum, mask);
            }
        }
        out[thread] = sum;
    }
};

/// Every thread gets the value of the lane opposite, by shared memory.
template <bug planted = bug::none>
struct warp_reversal {
    static constexpr int threads = 64;
    const int* in;
    int* out;

    PROTONCE_DEVICE void operator()() const {
        auto* shared = shared_array<int>();
        const int thread = cuda::thread_index();
        shared[thread] = in[thread];
        if (planted != bug::no_barrier && (planted != bug::divergent || thread % 32 < 16)) {
            cuda::sync_warp();
        }
        out[thread] = shared[thread / 32 * 32 + 31 - thread % 32];
    }
};

/// Sums `steps` rows of 4 * threads values by column. Rows pass through two stages of shared memory; every thread reads what
/// another one has copied.
template <bug planted = bug::none>
struct pipeline {
    static constexpr int threads = 64;
    static constexpr int cols = 4 * threads;
    static constexpr std::size_t shared_bytes = 2 * cols * sizeof(float);
    const float* in;
    float* out;
    int steps;

    PROTONCE_DEVICE void operator()() const {
        const int mine = 4 * (threads - 1 - cuda::thread_index());
        float sum[4] = {};
        start(0);
        for (int step = 0; step < steps; ++step) {
            start(step + 1);
            if constexpr (planted != bug::no_wait) {
                cuda::wait_copies<1>();
            }
            if constexpr (planted != bug::no_barrier_after_wait) {
                cuda::sync_block();
            }
            const float* row = shared_array<float>() + stage(step) * cols;
            for (int i = 0; i < 4; ++i) {
                sum[i] += row[mine + i];
            }
            if constexpr (planted != bug::no_second_barrier) {
                cuda::sync_block();
            }
        }
        if constexpr (planted != bug::no_last_wait) {
            cuda::wait_copies<0>();
        }
        for (int i = 0; i < 4; ++i) {
            out[mine + i] = sum[i];
        }
    }

private:
    PROTONCE_DEVICE static int stage(int step) { return planted == bug::one_stage ? 0 : step % 2; }

    /// Zeros behind the last row, which is not read there.
    PROTONCE_DEVICE void start(int step) const {
        const int column = 4 * cuda::thread_index();
        const bool is_row = step < steps;
        cuda::copy_async_16(shared_array<float>() + stage(step) * cols + column,
                            is_row ? in + step * cols + column : nullptr, is_row);
        cuda::commit_copies();
    }
};

/// c += a b by one warp, all of them row-major: a (16, 8), b (8, 8), c (16, 8).
template <bug planted = bug::none>
struct tile_product {
    static constexpr int threads = 32;
    const float* a;
    const float* b;
    float* c;

    PROTONCE_DEVICE void operator()() const {
        const int g = cuda::thread_index() / 4;
        const int t = cuda::thread_index() % 4;
        const auto at = [](const float* matrix, int row, int col) { return cuda::to_tf32(matrix[8 * row + col]); };
        std::uint32_t left[4] = {at(a, g, t), at(a, g + 8, t), at(a, g, t + 4), at(a, g + 8, t + 4)};
        const std::uint32_t right[2] = {at(b, t, g), at(b, t + 4, g)};
        if constexpr (planted == bug::swapped_fragment) {
            const std::uint32_t kept = left[1];
            left[1] = left[2];
            left[2] = kept;
        }
        float* mine = c + 8 * g + 2 * t;
        float sum[4] = {mine[0], mine[1], mine[64], mine[65]};
        cuda::multiply_add_tf32(sum, left, right);
        mine[0] = sum[0];
        mine[1] = sum[1];
        mine[64] = sum[2];
        mine[65] = sum[3];
    }
};

/// A kernel of few lines: what every thread does is a function of the host.
template <int block_threads>
struct calling {
    static constexpr int threads = block_threads;
    const std::function<void()>* body;

    PROTONCE_DEVICE void operator()() const { (*body)(); }
};

template <int threads>
void launch_calling(std::size_t shared_bytes, const std::function<void()>& body, int blocks_x = 1, int blocks_y = 1) {
    emulator::launch(blocks_x, blocks_y, shared_bytes, calling<threads>{&body});
}

} // namespace test

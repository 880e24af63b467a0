// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/types.hpp>

#include <cstddef>

namespace protonce::inline v0::detail::cuda {

/// What the threads of a block put together, each in a fixed order, known to all of them afterwards.
template <int threads>
struct block_sums {
    static constexpr int warps = threads / 32;

    /// \param shared  a value a warp, of this call alone
    template <class V>
    PROTONCE_DEVICE static V sum(V value, V* shared) {
        return fold(value, shared, [](V a, V b) { return a + b; });
    }
    /// NaN is never larger.
    template <class V>
    PROTONCE_DEVICE static V largest(V value, V* shared) {
        return fold(value, shared, [](V a, V b) { return b > a ? b : a; });
    }

private:
    template <class V, class F>
    PROTONCE_DEVICE static V fold(V value, V* shared, const F& both) {
        for (int mask = 16; mask > 0; mask /= 2) {
            value = both(value, shuffle_xor(value, mask));
        }
        if (thread_index() % 32 == 0) {
            shared[thread_index() / 32] = value;
        }
        sync_block();
        V all = shared[0];
        for (int warp = 1; warp < warps; ++warp) {
            all = both(all, shared[warp]);
        }
        return all;
    }
};

/// finish(sum of n values) by one block, in an order that n decides.
template <class U, class Finish>
struct sum_values {
    static constexpr int threads = 1024;
    const U* values;
    index_t n;
    Finish finish;

    static constexpr std::size_t shared_bytes = sizeof(double) * threads / 32;

    PROTONCE_DEVICE void operator()() const {
        double mine = 0;
        for (index_t i = thread_index(); i < n; i += threads) {
            mine += static_cast<double>(values[i]);
        }
        const double all = block_sums<threads>::sum(mine, reinterpret_cast<double*>(shared_memory()));
        if (thread_index() == 0) {
            finish(all);
        }
    }
};

template <class Run, class U, class Finish>
void sum_on_device(Run& run, const U* values, index_t n, const Finish& finish) {
    using kernel = sum_values<U, Finish>;
    run.launch(1, kernel::shared_bytes, kernel{values, n, finish});
}

} // namespace protonce::inline v0::detail::cuda

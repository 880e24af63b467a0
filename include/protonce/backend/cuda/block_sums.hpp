// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>

namespace protonce::inline v0::detail::cuda {

struct plus {
    template <class V>
    PROTONCE_DEVICE V operator()(V a, V b) const {
        return a + b;
    }
};
/// NaN is never larger.
struct larger {
    template <class V>
    PROTONCE_DEVICE V operator()(V a, V b) const {
        return b > a ? b : a;
    }
};

/// What the 32 threads of a warp put together, in a fixed order, known to all of them.
template <class V, class F>
PROTONCE_DEVICE V fold_warp(V value, const F& both) {
    for (int mask = 16; mask > 0; mask /= 2) {
        value = both(value, shuffle_xor(value, mask));
    }
    return value;
}

/// The same for the threads of a block.
template <int threads>
struct block_sums {
    static constexpr int warps = threads / 32;

    /// \param shared  a value a warp, of this call alone
    template <class V>
    PROTONCE_DEVICE static V sum(V value, V* shared) {
        return fold(value, shared, plus{});
    }
    template <class V>
    PROTONCE_DEVICE static V largest(V value, V* shared) {
        return fold(value, shared, larger{});
    }

private:
    template <class V, class F>
    PROTONCE_DEVICE static V fold(V value, V* shared, const F& both) {
        value = fold_warp(value, both);
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

} // namespace protonce::inline v0::detail::cuda

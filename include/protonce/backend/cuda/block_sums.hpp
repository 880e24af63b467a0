// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/backend/elementwise/table.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/types.hpp>

#include <cstddef>

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

/// finish(m, sum of row m), a block a row, in an order that the number of columns decides.
template <class U, class Finish>
struct sum_each_row {
    static constexpr int threads = 1024;
    elementwise::table<U> rows;
    Finish finish;

    static constexpr std::size_t shared_bytes = sizeof(double) * threads / 32;

    PROTONCE_DEVICE void operator()() const {
        const index_t m = block_index();
        double mine = 0;
        for (index_t j = thread_index(); j < rows.cols; j += threads) {
            mine += static_cast<double>(rows(m, j));
        }
        const double all = block_sums<threads>::sum(mine, reinterpret_cast<double*>(shared_memory()));
        if (thread_index() == 0) {
            finish(m, all);
        }
    }
};

template <class U, class Run, class Finish>
void sum_rows_on_device(Run& run, elementwise::table<U> rows, const Finish& finish) {
    using kernel = sum_each_row<U, Finish>;
    run.launch(rows.rows, kernel::shared_bytes, kernel{rows, finish});
}

/// finish(sum) of the only row.
template <class Finish>
struct finish_one_row {
    Finish finish;

    PROTONCE_DEVICE void operator()(index_t, double sum) const { finish(sum); }
};

/// finish(sum of n values)
template <class Run, class U, class Finish>
void sum_on_device(Run& run, const U* values, index_t n, const Finish& finish) {
    const matrix_view<const U, typename Run::space> row{values, 1, n};
    sum_rows_on_device<const U>(run, row, finish_one_row<Finish>{finish});
}

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/block_sums.hpp>
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/backend/elementwise/rows.hpp>
#include <protonce/core/backend.hpp>
#include <protonce/core/types.hpp>

#include <concepts>
#include <cstddef>

namespace protonce::inline v0::detail::cuda {

/// Threads that sum a row: so many, or 1024 where it is long.
constexpr int threads_a_row = 256;
constexpr index_t most_short_columns = 16384;

/// finish(m, sum_j value(m, j)), a block a row.
template <class Value, class Finish, int count>
struct sum_each_row {
    static constexpr int threads = count;
    static constexpr std::size_t shared_bytes = sizeof(double) * threads / 32;

    index_t cols;
    Value value;
    Finish finish;

    PROTONCE_DEVICE void operator()() const {
        const index_t m = block_index();
        double mine = 0;
        for (index_t j = thread_index(); j < cols; j += threads) {
            mine += value(m, j);
        }
        const double all = block_sums<threads>::sum(mine, reinterpret_cast<double*>(shared_memory()));
        if (thread_index() == 0) {
            finish(m, all);
        }
    }
};

/// The same in one block, four rows at a time, and then last(): for few values, where a launch costs more than the sums. The bits are those of
/// a block of threads_a_row threads a row.
template <class Value, class Finish, class Last>
struct sum_rows_and_end {
    static constexpr int threads = 1024;
    static constexpr int at_once = threads / threads_a_row;
    static constexpr int warps = threads / 32;
    static constexpr std::size_t shared_bytes = 2 * sizeof(double) * warps;

    index_t rows;
    index_t cols;
    Value value;
    Finish finish;
    Last last;

    PROTONCE_DEVICE void operator()() const {
        auto* of_warp = reinterpret_cast<double*>(shared_memory()); // and as many for the rows after
        auto* of_next = of_warp + warps;
        const int warp = thread_index() / 32;
        const int of_row = thread_index() % threads_a_row;
        for (index_t first = 0; first < rows; first += at_once) {
            const index_t m = first + thread_index() / threads_a_row;
            double mine = 0;
            for (index_t j = of_row; m < rows && j < cols; j += threads_a_row) {
                mine += value(m, j);
            }
            mine = fold_warp(mine, plus{});
            if (thread_index() % 32 == 0) {
                of_warp[warp] = mine;
            }
            sync_block();
            if (of_row == 0 && m < rows) {
                double all = of_warp[warp];
                for (int w = 1; w < threads_a_row / 32; ++w) {
                    all += of_warp[warp + w];
                }
                finish(m, all);
            }
            auto* const before = of_warp;
            of_warp = of_next;
            of_next = before;
        }
        sync_block();
        if (thread_index() == 0) {
            last();
        }
    }
};

/// finish(m, sum_j value(m, j)) for every row, then last(). In an order that the number of columns decides.
template <class Run, class Value, class Finish, class Last>
void sum_rows(Run& run, index_t rows, index_t cols, const Value& value, const Finish& finish, const Last& last) {
    constexpr index_t most_in_one_block = 32768; // values
    if constexpr (!std::same_as<Last, nothing_more>) {
        if (cols <= most_short_columns && rows * cols <= most_in_one_block) {
            using kernel = sum_rows_and_end<Value, Finish, Last>;
            return run.launch(1, kernel::shared_bytes, kernel{rows, cols, value, finish, last});
        }
    }
    if (cols <= most_short_columns) {
        using kernel = sum_each_row<Value, Finish, threads_a_row>;
        run.launch(rows, kernel::shared_bytes, kernel{cols, value, finish});
    } else {
        using kernel = sum_each_row<Value, Finish, 1024>;
        run.launch(rows, kernel::shared_bytes, kernel{cols, value, finish});
    }
    elementwise::at_the_end(run, last);
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
    sum_rows(run, 1, n, value_in_rows<U>{values, n}, finish_one_row<Finish>{finish}, nothing_more{});
}

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/side_by_side.hpp>
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/backend/elementwise/draws.hpp>
#include <protonce/core/backend.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/rng.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace protonce::inline v0::detail::cuda {

/// One request of draw_columns(). Each block finds the distinct ids of the batch in shared memory, so that none waits for another, and
/// writes the negatives of a range of ranks; the first writes the batch's part too. Results are those of elementwise::draw_columns() to
/// the bit.
///
/// reads B labels a block, writes J ids and, if wanted, as many values; bound by the latency of the sort
template <class T>
struct column_draws {
    static constexpr int threads = 256;
    static constexpr int warp = 32;
    static constexpr int warps = threads / warp;
    static constexpr int most_compared = 512;    // above, comparing all with all takes longer than a network
    static constexpr int least_padded = 4;       // are compared at once
    static constexpr index_t most_labels = 4096; // their keys and ids take 32 KiB of shared memory
    static constexpr index_t most_blocks = 256;  // many negatives are cut into longer ranges

    const label_t* own;
    int num_labels;
    int padded; // their number, rounded up to a power of two
    index_t num_columns;
    index_t num_negatives;
    index_t range; // of negatives that a block writes
    rng_key key;
    const index_t* step; // or null
    index_t* column_id;
    T* log_count; // or null
    index_t* column_count;
    index_t* batch_count;

    template <class Space>
    explicit column_draws(const column_request<T, Space>& of)
        : own(of.own.data()), num_labels(static_cast<int>(of.own.size())),
          padded((std::max)(static_cast<int>(std::bit_ceil(static_cast<std::uint32_t>(num_labels))), least_padded)),
          num_columns(of.num_columns), num_negatives((std::min)(of.num_negatives, of.num_columns)),
          range(threads * (std::max)(ceil_div(num_negatives, threads * most_blocks), index_t{1})), key(of.key),
          step(data_of(of.step)), column_id(of.out.column_id.data()), log_count(data_of(of.out.log_count)),
          column_count(of.out.column_count.data()), batch_count(of.out.batch_count.data()) {}

    index_t blocks() const { return (std::max)(ceil_div(num_negatives, range), index_t{1}); } // one for the batch
    std::size_t shared_bytes() const {
        return sizeof(int) * warps + 2 * sizeof(std::uint32_t) * static_cast<std::size_t>(padded);
    }

    PROTONCE_DEVICE void work(int part) const {
        const rng_key stream = at_step(key, step);
        auto* keys = reinterpret_cast<std::uint32_t*>(shared_memory());
        auto* others = keys + padded;
        auto* of_warp = reinterpret_cast<int*>(others + padded);

        load_keys(keys);
        const bool is_small = padded <= most_compared;
        if (is_small) {
            sort_by_comparing(keys, padded, others);
        } else {
            sort(keys, padded);
        }
        auto* id = reinterpret_cast<label_t*>(is_small ? keys : others);
        const int batch = find_ids(part == 0, is_small ? others : keys, of_warp, id);
        sync_block();
        write_negatives(part, batch, id, stream);
    }

private:
    /// 1 + label, 0 for no label; behind them what is larger than any.
    PROTONCE_DEVICE void load_keys(std::uint32_t* sorted) const {
        constexpr std::uint32_t behind_all = ~std::uint32_t{0} - 1; // one more is a number too
        for (int i = thread_index(); i < padded; i += threads) {
            const label_t label = i < num_labels ? own[i] : label_t{-1};
            sorted[i] = i < num_labels ? elementwise::label_key(label) : behind_all;
        }
        sync_block();
    }

    /// Ascending, each key to the place of its rank: how many are less, or equal and before it. Those of other warps' lanes are either all
    /// before it or all behind.
    PROTONCE_DEVICE static void sort_by_comparing(const std::uint32_t* key, int size, std::uint32_t* sorted) {
        for (int i = thread_index(); i < size; i += threads) {
            const std::uint32_t mine = key[i];
            const int first = i / warp * warp;
            const int last = first + warp < size ? first + warp : size;
            int rank = count_below(key, 0, first, mine + 1) + count_below(key, last, size, mine);
            for (int j = first; j < last; ++j) {
                rank += key[j] < mine + (j < i ? 1u : 0u) ? 1 : 0;
            }
            sorted[rank] = mine;
        }
        sync_block();
    }
    /// Of keys [first, last), multiples of four.
    PROTONCE_DEVICE static int count_below(const std::uint32_t* key, int first, int last, std::uint32_t bound) {
        using four = at_once<std::uint32_t, 4>;
        int count = 0;
        for (int j = first; j < last; j += 4) {
            const auto others = *reinterpret_cast<const four*>(key + j);
            PROTONCE_UNROLL for (int e = 0; e < 4; ++e) {
                count += others.at[e] < bound ? 1 : 0;
            }
        }
        return count;
    }

    /// Ascending, by Batcher's bitonic network: runs of twice the length are made of two, of which the second falls.
    PROTONCE_DEVICE static void sort(std::uint32_t* key, int size) {
        for (int run = 2; run <= size; run *= 2) {
            for (int apart = run / 2; apart > 0; apart /= 2) {
                // 32 pairs less than 32 apart lie in 64 keys that one warp had in the step before too, unless that was a wider one.
                if (apart >= warp) {
                    sync_block();
                } else {
                    sync_warp();
                }
                for (int pair = thread_index(); pair < size / 2; pair += threads) {
                    const int at = 2 * pair - (pair & (apart - 1));
                    const std::uint32_t a = key[at];
                    const std::uint32_t b = key[at + apart];
                    if ((a > b) == ((at & run) == 0)) {
                        key[at] = b;
                        key[at + apart] = a;
                    }
                }
            }
        }
        sync_block();
    }

    /// How many distinct ids the batch has, and these in shared memory: the heads of runs of equal keys. A thread takes neighbouring keys.
    PROTONCE_DEVICE int find_ids(bool writes, const std::uint32_t* sorted, int* of_warp, label_t* id) const {
        const auto is_head = [&](int i) { return sorted[i] > 0 && (i == 0 || sorted[i] != sorted[i - 1]); };
        const int n = num_labels;
        const int each = (n + threads - 1) / threads;
        const int first = thread_index() * each;
        const int last = first + each < n ? first + each : n;
        int heads = 0;
        for (int i = first; i < last; ++i) {
            heads += is_head(i) ? 1 : 0;
        }

        // The sum of ever larger groups of lanes; what the group beside it holds comes before if it is the lower one.
        int before = 0;
        for (int mask = 1; mask < warp; mask *= 2) {
            const int beside = shuffle_xor(heads, mask);
            before += (thread_index() & mask) != 0 ? beside : 0;
            heads += beside;
        }
        if (thread_index() % warp == 0) {
            of_warp[thread_index() / warp] = heads;
        }
        sync_block();
        int batch = 0;
        for (int w = 0; w < warps; ++w) {
            before += w < thread_index() / warp ? of_warp[w] : 0;
            batch += of_warp[w];
        }

        for (int i = first; i < last; ++i) {
            if (!is_head(i)) {
                continue;
            }
            id[before] = static_cast<label_t>(sorted[i] - 1);
            if (writes) {
                column_id[before] = id[before];
                if (log_count != nullptr) {
                    const index_t rows = count_before(n - i, [&](index_t j) { return sorted[i + j] == sorted[i]; });
                    log_count[before] = static_cast<T>(std::log(static_cast<double>(rows)));
                }
            }
            ++before;
        }
        return batch;
    }

    PROTONCE_DEVICE void write_negatives(int part, int batch, const label_t* id, const rng_key& stream) const {
        const index_t others = num_columns - batch;
        const index_t drawn = num_negatives < others ? num_negatives : others;
        if (part == 0 && thread_index() == 0) {
            batch_count[0] = batch;
            column_count[0] = batch + drawn;
        }
        const index_t end = range * (part + 1);
        const index_t last = end < drawn ? end : drawn;
        const index_t first = range * part + thread_index();
        if (first >= last) {
            return;
        }
        const random_permutation permutation(stream, static_cast<std::uint64_t>(others));
        for (index_t r = first; r < last; r += threads) {
            const auto rank = static_cast<index_t>(permutation(static_cast<std::uint64_t>(r)));
            column_id[batch + r] = column_of_rank(rank, batch, id);
            if (log_count != nullptr) {
                log_count[batch + r] = T(0);
            }
        }
    }
};

/// One launch for a few requests; batches that shared memory does not hold go by elements, one after the other.
template <class T, class Run>
void draw_columns(Run& run, elementwise::scratch_of<Run>& scratch,
                  std::span<const column_request<T, typename Run::space>> requests) {
    const auto fits = [](const auto& request) { return request.own.size() <= column_draws<T>::most_labels; };
    while (!requests.empty()) {
        if (!fits(requests.front())) {
            elementwise::draw_columns(run, scratch, requests.front());
            requests = requests.subspan(1);
            continue;
        }
        std::size_t count = 1;
        while (count < requests.size() && count < most_side_by_side && fits(requests[count])) {
            ++count;
        }
        launch_side_by_side(run, count, [&](std::size_t i) { return column_draws<T>(requests[i]); });
        requests = requests.subspan(count);
    }
}

} // namespace protonce::inline v0::detail::cuda

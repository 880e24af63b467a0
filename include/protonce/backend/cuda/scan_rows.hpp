// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/best_of_row.hpp>
#include <protonce/backend/cuda/nearest_tf32.hpp>
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/backend/elementwise/table.hpp>
#include <protonce/core/exact_distance.hpp>

#include <cstddef>

namespace protonce::inline v0::detail::cuda {

/// A centroid and its squared_distance() from a row; -1 for none.
struct found_centroid {
    double distance = 0;
    index_t label = -1;
};

/// The nearest of found centroids, in exact arithmetic where distances in double cannot tell; of equals the one with the
/// lowest number. So the order in which they come makes no difference.
struct nearest_of_found {
    const float* point;
    elementwise::table<const float> centroids;
    found_centroid best;

    PROTONCE_HOST_DEVICE void take(const found_centroid& other) {
        if (other.label < 0 || other.label == best.label) {
            return;
        }
        const int order = best.label < 0 ? 1
                                         : compare_rounded(point, centroids.row(best.label), best.distance,
                                                           centroids.row(other.label), other.distance, centroids.cols);
        if (order > 0 || (order == 0 && other.label < best.label)) {
            best = other;
        }
    }
    /// The same in all lanes of the warp.
    PROTONCE_DEVICE void merge_lanes() {
        for (int mask = 1; mask < 32; mask *= 2) {
            take({shuffle_xor(best.distance, mask), shuffle_xor(best.label, mask)});
        }
    }
    /// Nothing is nearer than another to a row at distance NaN from all: the first one then.
    PROTONCE_HOST_DEVICE choice known() const {
        const auto label = static_cast<label_t>(best.label < 0 ? 0 : best.label);
        return {label, label};
    }
};

/// The nearest of all centroids to each listed row, in double, and in exact arithmetic where that cannot tell.
///
/// How many rows there are is known on the device alone. Blocks share pairs of a row and a slice of the centroids: many rows
/// are taken whole, a block each, few are cut into as many slices as keep the blocks busy, which merge_slices puts
/// together. A thread takes one centroid of 128 at a time; they pass through shared memory by 32 columns, read by
/// neighbouring threads at neighbouring addresses.
///
/// reads K C values a row, from the cache for the most part; compute-bound
struct scan_rows {
    static constexpr int threads = 128; // and centroids of a tile
    static constexpr int warp = 32;
    static constexpr int chunk = warp;       // columns
    static constexpr int padded = chunk + 1; // of a centroid in shared memory: lanes then hit different banks
    struct memory {
        double point[chunk];
        found_centroid of_warp[threads / warp];
        float tile[threads * padded];
    };
    static constexpr std::size_t shared_bytes = sizeof(memory);
    static constexpr index_t most_blocks = 1024;
    static constexpr index_t most_parts = 4 * most_blocks; // turns even out what blocks have to do

    elementwise::table<const float> x;
    elementwise::table<const float> centroids;
    row_list list;
    found_centroid* part; // (parts(N, K),) of (slice, entry of the list), where rows are cut
    choice* known;        // (N,) written of listed rows that are not cut

    static index_t parts(index_t num_rows, index_t num_centroids) {
        const index_t all = num_rows * tiles(num_centroids);
        return all < most_parts ? all : most_parts;
    }
    index_t blocks() const { return ceil_div(parts(x.rows, centroids.rows), most_parts / most_blocks); }

    /// How so many rows cut the centroids: no slice is empty, and all slices of all rows are parts(N, K) at most, or one a row.
    struct cut {
        index_t slice; // centroids, a multiple of 128
        index_t slices;
    };
    PROTONCE_HOST_DEVICE cut cut_for(index_t count) const {
        const index_t most = tiles(centroids.rows);
        const index_t spare = count < most_parts ? most_parts / count : 1;
        const index_t each = ceil_div(most, spare < most ? spare : most);
        return {each * threads, ceil_div(most, each)};
    }

    PROTONCE_DEVICE void operator()() const {
        const index_t count = *list.count;
        if (count == 0) {
            return;
        }
        const auto [slice, slices] = cut_for(count);
        for (index_t pair = block_index(); pair < count * slices; pair += block_count()) {
            const int of_slice = slices == 1 ? 0 : static_cast<int>(pair) / static_cast<int>(count);
            const index_t row = list.row[pair - of_slice * count];
            nearest_of_found mine{x.row(row), centroids, {}};
            scan(of_slice * slice, slice, mine);
            merge_warps(mine);
            if (thread_index() == 0 && slices == 1) {
                known[row] = mine.known();
            } else if (thread_index() == 0) {
                part[pair] = mine.best;
            }
        }
    }

private:
    PROTONCE_DEVICE static memory& shared() { return *reinterpret_cast<memory*>(shared_memory()); }

    PROTONCE_HOST_DEVICE static index_t tiles(index_t num_centroids) { return ceil_div(num_centroids, threads); }

    /// Of `count` centroids from the first one on those of this thread.
    PROTONCE_DEVICE void scan(index_t first, index_t count, nearest_of_found& mine) const {
        const index_t end = first + count < centroids.rows ? first + count : centroids.rows;
        for (; first < end; first += threads) {
            const index_t k = first + thread_index();
            double sum = 0; // as squared_distance() adds it up
            for (index_t column = 0; column < x.cols; column += chunk) {
                sync_block(); // all have left the chunk before
                fetch(mine.point, first, column);
                sync_block();
                const float* values = shared().tile + thread_index() * padded;
                const index_t left = x.cols - column;
                for (int j = 0; j < chunk && j < left; ++j) {
                    const double difference = shared().point[j] - static_cast<double>(values[j]);
                    sum = add_product(sum, difference, difference);
                }
            }
            if (k < centroids.rows) {
                const double distance = distance_or_nan(sum, mine.point, centroids.row(k), x.cols);
                mine.take({distance, distance == distance ? k : -1});
            }
        }
    }

    /// A chunk of columns of the row and of 128 centroids; zeros behind the last ones.
    PROTONCE_DEVICE void fetch(const float* point, index_t first, index_t column) const {
        constexpr int together = 4; // loads under way
        const int lane = thread_index() % warp;
        const bool is_column = column + lane < x.cols;
        if (thread_index() < warp) {
            shared().point[lane] = is_column ? static_cast<double>(point[column + lane]) : 0.0;
        }
        for (int line = thread_index() / warp; line < threads; line += together * (threads / warp)) {
            PROTONCE_UNROLL for (int n = 0; n < together; ++n) {
                const int i = line + n * (threads / warp);
                const bool is_value = is_column && first + i < centroids.rows;
                shared().tile[i * padded + lane] = is_value ? centroids(first + i, column + lane) : 0.0F;
            }
        }
    }

    /// The nearest that any thread has found, to the first one. Until all have come to the next chunk, it stays where it is.
    PROTONCE_DEVICE static void merge_warps(nearest_of_found& mine) {
        mine.merge_lanes();
        if (thread_index() % warp == 0) {
            shared().of_warp[thread_index() / warp] = mine.best;
        }
        sync_block();
        if (thread_index() == 0) {
            for (int w = 1; w < threads / warp; ++w) {
                mine.take(shared().of_warp[w]);
            }
        }
    }
};

/// What slices found, put together, a warp a row: after scan_rows.
struct merge_slices {
    static constexpr int threads = 128;
    static constexpr int warp = 32;
    static constexpr index_t most_blocks = 64;

    scan_rows scan;

    /// None where no row is ever cut.
    index_t blocks() const {
        const index_t rows_at_once = scan_rows::parts(scan.x.rows, scan.centroids.rows) / 2; // two parts each at least
        const index_t enough = ceil_div(rows_at_once < scan.x.rows ? rows_at_once : scan.x.rows, threads / warp);
        return scan.centroids.rows <= scan_rows::threads ? 0 : enough < most_blocks ? enough : most_blocks;
    }

    PROTONCE_DEVICE void operator()() const {
        const index_t count = *scan.list.count;
        if (count == 0) {
            return;
        }
        const index_t slices = scan.cut_for(count).slices;
        if (slices == 1) {
            return;
        }
        const index_t first = index_t{block_index()} * (threads / warp) + thread_index() / warp;
        for (index_t entry = first; entry < count; entry += index_t{block_count()} * (threads / warp)) {
            const index_t row = scan.list.row[entry];
            nearest_of_found mine{scan.x.row(row), scan.centroids, {}};
            for (index_t slice = thread_index() % warp; slice < slices; slice += warp) {
                mine.take(scan.part[slice * count + entry]);
            }
            mine.merge_lanes();
            if (thread_index() % warp == 0) {
                scan.known[row] = mine.known();
            }
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

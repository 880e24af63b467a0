// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/fused_sums.hpp>
#include <protonce/backend/cuda/ring.hpp>
#include <protonce/backend/cuda/tiled_operands.hpp>
#include <protonce/backend/cuda/warp_group.hpp>
#include <protonce/core/types.hpp>

#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// Order of a tile of 128 packed rows, half_tiles, in bytes.
struct tile_order {
    static constexpr int rows = static_cast<int>(half_tiles::rows);
    static constexpr int next_row_core = 128;                      // to the next 8 rows
    static constexpr int next_col_core = rows / 8 * next_row_core; // to the next 8 columns
    static constexpr int slab_cols = static_cast<int>(fused_cut::slab_cols);
};

/// Shared memory of tiled_sums: the left's tile, tiles of the right and what is to be known of their rows by stages, barriers. A tile's
/// place holds whole slabs, so that sums of columns behind the last one read what is there.
///
/// \tparam cols       of packed rows
/// \tparam consumers  threads that read what lies here
template <int cols, class Info, int consumers>
struct tile_ring : tile_order {
    static constexpr int slab_bytes = slab_cols / 8 * next_col_core;
    static constexpr int tile_bytes = rows * cols * 2;
    static constexpr int place_bytes = (tile_bytes + slab_bytes - 1) / slab_bytes * slab_bytes;
    static constexpr int info_bytes = rows * static_cast<int>(sizeof(Info));
    static constexpr int stages = cols <= slab_cols ? 4 : 2;
    static constexpr int stage_bytes = place_bytes + info_bytes;
    static constexpr int barriers_begin = place_bytes + stages * stage_bytes;
    static constexpr int barriers = 1 + 2 * stages;

    PROTONCE_DEVICE static unsigned char* left() { return shared_memory(); }
    PROTONCE_DEVICE static unsigned char* tile(int stage) { return left() + place_bytes + stage * stage_bytes; }
    PROTONCE_DEVICE static unsigned char* info(int stage) { return tile(stage) + place_bytes; }
    PROTONCE_DEVICE static std::uint64_t* left_barrier() {
        return reinterpret_cast<std::uint64_t*>(left() + barriers_begin);
    }
    /// A stage's barriers: its tile has come; all warps have done with it.
    PROTONCE_DEVICE static std::uint64_t* full(int stage) { return left_barrier() + 1 + stage; }
    PROTONCE_DEVICE static std::uint64_t* empty(int stage) { return full(stages + stage); }
    /// Behind those of the ring.
    PROTONCE_DEVICE static std::uint64_t* more_barriers() { return full(2 * stages); }

    /// By one thread, which publishes them.
    ///
    /// \param arrivals  at a full stage
    PROTONCE_DEVICE static void init_barriers(int arrivals) {
        init_barrier(left_barrier(), 1);
        for (int stage = 0; stage < stages; ++stage) {
            init_barrier(full(stage), arrivals);
            init_barrier(empty(stage), consumers / 32);
        }
    }
};

// What fills the stages with tiles `begin` to `end` of the right, by the 128 threads behind the consumers:
//     Right                   where the rows lie
//     arrivals                at the barrier of a full stage
//     start()                 the first stages, which are empty; the thread that made the barriers is among those that call it
//     go_on()                 the others, once all threads know the barriers

/// Tiles as they lie in memory, by the first thread.
template <class Ring, class Info>
struct whole_tiles {
    using Right = tiled_operands;
    static constexpr int arrivals = 1;

    const Right& right;
    const Info* info; // of the right's rows
    int next;         // tile
    int end;
    bool is_first;
    ring_place at{Ring::stages};

    PROTONCE_DEVICE whole_tiles(const Right& from, const Info* info_of, int begin_tile, int end_tile, int thread)
        : right(from), info(info_of), next(begin_tile), end(end_tile), is_first(thread == 0) {}

    PROTONCE_DEVICE void start() {
        if (is_first) {
            for (const int begin = next; next < end && next < begin + Ring::stages; ++next) {
                fetch();
            }
        }
    }
    PROTONCE_DEVICE void go_on() {
        if (is_first) {
            for (; next < end; ++next) {
                wait_barrier(Ring::empty(at.stage), at.parity ^ 1);
                fetch();
            }
        }
    }

private:
    PROTONCE_DEVICE void fetch() {
        std::uint64_t* full = Ring::full(at.stage);
        arrive_expecting(full, Ring::tile_bytes + Ring::info_bytes);
        copy_bulk(Ring::tile(at.stage), right.tile(next), Ring::tile_bytes, full);
        copy_bulk(Ring::info(at.stage), info + index_t{next} * Ring::rows, Ring::info_bytes, full);
        at.advance();
    }
};

/// Rows that are picked from a pool: row j is info[j].row of it, zeros where that is negative. A warp brings 32 rows of a tile, 32 bytes of
/// 16 rows at a time: of the pool's memory whole sectors, of the tile's whole cores.
template <class Ring, class Info, int cols>
struct picked_rows {
    using Right = pool_operands;
    static constexpr int arrivals = 128 + 1; // each thread's rows, and the infos

    const Right& right;
    const Info* info; // of the right's rows
    int next;         // tile to be asked for
    int end;
    int thread;
    int announced; // all tiles before have come
    ring_place at{Ring::stages};
    ring_place of_announced{Ring::stages};

    PROTONCE_DEVICE picked_rows(const Right& from, const Info* info_of, int begin_tile, int end_tile, int thread_)
        : right(from), info(info_of), next(begin_tile), end(end_tile), thread(thread_), announced(begin_tile) {}

    PROTONCE_DEVICE void start() {
        label_t row[Ring::stages][parts];
        PROTONCE_UNROLL for (int s = 0; s < Ring::stages; ++s) { // all numbers are asked for before any is needed
            find_rows(next + s, row[s]);
        }
        PROTONCE_UNROLL for (int s = 0; s < Ring::stages; ++s) {
            if (next < end) {
                ask(row[s]);
            }
            commit_copies();
        }
    }
    PROTONCE_DEVICE void go_on() {
        wait_copies<Ring::stages - 1>();
        announce();
        wait_copies<late>();
        announce();
        label_t row[parts];
        find_rows(next, row);
        while (announced < end) {
            if (next < end) {
                wait_barrier(Ring::empty(at.stage), at.parity ^ 1);
                ask(row);
                find_rows(next, row);
            }
            commit_copies(); // of nothing at the end
            wait_copies<late>();
            announce();
        }
    }

private:
    // Tiles under way when one is announced. Consumers give a stage back only after the tile behind it was announced: with one more under
    // way producers would wait for a stage whose consumers wait for an announcement.
    static constexpr int late = Ring::stages - 2;
    static constexpr int parts = 2; // 16 rows of the warp each
    PROTONCE_DEVICE int row_of(int part) const { return thread / 32 * 32 + part * 16 + thread % 32 / 2; }

    PROTONCE_DEVICE void find_rows(int tile, label_t (&row)[parts]) const {
        PROTONCE_UNROLL for (int part = 0; part < parts; ++part) {
            row[part] = tile < end ? info[index_t{tile} * Ring::rows + row_of(part)].row : label_t{-1};
        }
    }
    /// Begins to fill a stage, which is empty.
    PROTONCE_DEVICE void ask(const label_t (&row)[parts]) {
        constexpr int piece = 8; // columns, 16 bytes
        if (thread == 0) {
            arrive_expecting(Ring::full(at.stage), Ring::info_bytes);
            copy_bulk(Ring::info(at.stage), info + index_t{next} * Ring::rows, Ring::info_bytes, Ring::full(at.stage));
        }
        PROTONCE_UNROLL for (int part = 0; part < parts; ++part) {
            const bool is_row = row[part] >= 0;
            const int odd = thread % 2; // of two lanes side by side one has every second piece
            const std::uint16_t* from = right.row(is_row ? row[part] : 0) + odd * piece;
            unsigned char* to = Ring::tile(at.stage) + row_of(part) * piece * 2 + odd * Ring::next_col_core;
            PROTONCE_UNROLL for (int p = 0; p < cols / piece; p += 2) {
                copy_async_16(to + p * Ring::next_col_core, from + p * piece, is_row);
            }
        }
        ++next;
        at.advance();
    }
    /// One more tile, whose copies of this thread have been waited for.
    PROTONCE_DEVICE void announce() {
        if (announced < end) {
            publish_shared();
            arrive(Ring::full(of_announced.stage));
            of_announced.advance();
            ++announced;
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

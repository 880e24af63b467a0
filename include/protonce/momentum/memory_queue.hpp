// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/buffer.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/rng.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <string_view>
#include <type_traits>

namespace protonce::inline v0 {

/// What a queue holds before the first push.
enum class queue_start {
    random_rows, // full, of random unit rows (MoCo, PCL): the loss has its final chance level from the first step on
    empty,       // no rows; only what was pushed counts as a negative
};

struct memory_queue_options {
    index_t capacity = 0; // R, slots
    index_t num_cols = 0; // C, features of a key
    queue_start start = queue_start::random_rows;
    std::uint64_t seed = 0; // of the random rows
};

/// Rows of a queue with their sample numbers.
template <backend B>
struct queue_part {
    matrix_of<B, const value_of<B>> rows{}; // (n, C)
    vector_of<B, const index_t> ids{};      // (n,) sample number of each row; -1: unknown
};

/// What load() puts into a queue: everything a queue holds.
template <backend B>
struct queue_contents {
    matrix_of<B, const value_of<B>> rows{}; // (n, C) in slot order, n at most R; may be empty
    vector_of<B, const index_t> ids{};      // (n,) or empty: unknown
    index_t position = 0;                   // slot of the next key; n if the rows do not fill the queue
    std::uint64_t num_pushed = 0;           // keys pushed so far
};

namespace detail {
/// Unit rows of random direction. Row i depends on (seed, i, columns) alone: two Gaussians a random block (Box-Muller),
/// then divided by the row's norm.
template <class T>
void random_unit_rows(matrix_view<T> out, index_t first_row, std::uint64_t seed, vector_view<double> row) {
    const rng_key key{.seed = seed, .purpose = draw_purpose::queue_rows};
    const index_t cols = out.cols();
    const std::uint64_t blocks = static_cast<std::uint64_t>(cols + 1) / 2;
    for (index_t i = 0; i < out.rows(); ++i) {
        double square = 0;
        for (index_t j = 0; j < cols; j += 2) {
            const auto bits = random_block(key, static_cast<std::uint64_t>(first_row + i) * blocks +
                                                    static_cast<std::uint64_t>(j) / 2);
            // (0, 1], so that the logarithm is finite.
            const double u = static_cast<double>((((std::uint64_t{bits[1]} << 32) | bits[0]) >> 11) + 1) * 0x1p-53;
            const double angle = 2.0 * std::numbers::pi *
                                 static_cast<double>(((std::uint64_t{bits[3]} << 32) | bits[2]) >> 11) * 0x1p-53;
            const double radius = std::sqrt(-2.0 * std::log(u));
            row[j] = radius * std::cos(angle);
            square += row[j] * row[j];
            if (j + 1 < cols) {
                row[j + 1] = radius * std::sin(angle);
                square += row[j + 1] * row[j + 1];
            }
        }
        const double norm = std::sqrt(square);
        for (index_t j = 0; j < cols; ++j) {
            out(i, j) = static_cast<T>(norm > 0 ? row[j] / norm : j == 0 ? 1.0 : 0.0);
        }
    }
}

/// What moves in a ring, where the ring is: slot of the next key, filled slots, keys so far.
enum ring_counter { ring_position, ring_size, ring_pushed, num_ring_counters };

/// An element a key: its slot, and the slot's sample number.
struct take_slot {
    const index_t* ring;
    index_t skipped;
    index_t capacity;
    const index_t* id; // or null
    index_t* slot_id;
    index_t* place;

    PROTONCE_HOST_DEVICE void operator()(index_t i) const {
        const index_t at = (ring[ring_position] + skipped + i) % capacity;
        place[i] = at;
        slot_id[at] = id == nullptr ? -1 : id[skipped + i];
    }
};

struct write_ring {
    index_t* ring;
    index_t position;
    index_t size;
    index_t pushed;

    PROTONCE_HOST_DEVICE void operator()(index_t) const {
        ring[ring_position] = position;
        ring[ring_size] = size;
        ring[ring_pushed] = pushed;
    }
};

struct move_ring {
    index_t* ring;
    index_t capacity;
    index_t count;

    PROTONCE_HOST_DEVICE void operator()(index_t) const {
        const index_t size = ring[ring_size] + count;
        ring[ring_position] = (ring[ring_position] + count) % capacity;
        ring[ring_size] = size < capacity ? size : capacity;
        ring[ring_pushed] += count;
    }
};

/// The slots of keys from the one at the ring's position on, `skipped` of them passed over; their sample numbers go there.
template <backend B>
void take_slots(B& be, const index_t* ring, index_t skipped, vector_of<B, const index_t> ids,
                vector_of<B, index_t> ring_ids, vector_of<B, index_t> places) {
    be.for_each(places.size(), take_slot{ring, skipped, ring_ids.size(), data_of(ids), ring_ids.data(), places.data()});
}

template <backend B>
void set_ring(B& be, index_t* ring, index_t position, index_t size, std::uint64_t pushed) {
    be.for_each(1, write_ring{ring, position, size, static_cast<index_t>(pushed)});
}

template <backend B>
void advance_ring(B& be, index_t* ring, index_t capacity, index_t count) {
    be.for_each(1, move_ring{ring, capacity, count});
}
} // namespace detail

/// The last R keys, first in first out, as negatives of InfoNCE (He et al. 2020, section 3.1).
///
/// A ring of R slots: key number n of all keys ever pushed lies in slot (start + n) mod R. Batches may have any size,
/// also above R, and wrap inside; nothing is moved. Beside each key lies the number of its sample, which tells
/// negatives of the query's own cluster. Contrast with the queue as it is before the batch's own keys are pushed.
///
/// The counters live in the backend's memory, with a copy on the host. A push reads them there, so that one recorded in a
/// CUDA graph goes on at each replay; catch_up() tells the host about such pushes. Record with a full queue: rows() and
/// ids() have as many rows as the host knows of.
///
/// Where the backend's losses want columns in a form of their own (cuda_backend on architecture 90a), the queue keeps its rows in that form
/// too: packed(), 2 bytes for each of 64, 128 or 256 columns and 4 a row, rows in multiples of 128.
///
/// Owns its memory, from `be.memory()`; every other call takes the same backend object or one of the same memory.
template <backend B>
class memory_queue {
public:
    using value_type = value_of<B>;

    /// \throws argument_error  capacity or num_cols below 1
    /// \throws std::bad_alloc  no room for capacity x num_cols values
    /// Synchronises: yes.  Reproducible: bitwise, for one C library.
    memory_queue(B& be, const memory_queue_options& options)
        : capacity_(options.capacity), num_cols_(options.num_cols) {
        check::at_least("memory_queue", "capacity", options.capacity, index_t{1});
        check::at_least("memory_queue", "num_cols", options.num_cols, index_t{1});
        // The largest size that buffer still takes; the product itself must not overflow.
        rows_ =
            buffer<value_type, space>(be.memory(), capacity_ > max_size / num_cols_ ? max_size : capacity_ * num_cols_);
        if constexpr (detail::packs_rows<B>) {
            packed_ = buffer<value_type, space>(be.memory(), be.packed_size(capacity_, num_cols_));
            be.fill(packed_.view(), value_type{0});
        }
        ids_ = buffer<index_t, space>(be.memory(), capacity_);
        ring_ = buffer<index_t, space>(be.memory(), detail::num_ring_counters);
        if (options.start == queue_start::random_rows) {
            fill_randomly(be, options.seed);
        }
        detail::set_ring(be, ring_.view().data(), 0, size_, 0);
    }

    index_t capacity() const { return capacity_; }
    index_t num_cols() const { return num_cols_; }
    /// Filled slots.
    index_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    bool is_full() const { return size_ == capacity_; }
    /// Slot that the next key goes to.
    index_t position() const { return position_; }
    /// Keys pushed since construction or reset(); random rows at the start are not counted.
    std::uint64_t num_pushed() const { return num_pushed_; }

    /// The filled slots in slot order, (size, C). Valid until the next push, load or reset.
    matrix_of<B, const value_type> rows() const { return all_rows().slice(0, size_); }
    /// The rows in the form in which the backend's losses want them, for `packed_negatives`; empty where there is no other.
    vector_of<B, const value_type> packed() const { return packed_.view(); }
    /// Sample number of each filled slot, (size,); -1: unknown.
    vector_of<B, const index_t> ids() const { return ids_.view().slice(0, size_); }

    /// The filled slots from the oldest to the newest key, in two parts; the second may be empty.
    std::array<queue_part<B>, 2> oldest_first() const {
        const index_t first = is_full() ? position_ : 0;
        return {part(first, size_ - first), part(0, first)};
    }

    /// Puts keys in, row by row: each takes the slot of the oldest.
    ///
    /// \param keys  (B, C) any number of rows; of more than R the last R stay, in the slots that one push a row would
    ///              give them
    /// \param ids   (B,) number of each key's sample, at least -1; or empty: unknown
    /// \throws shape_error     keys without rows, or of other columns than the queue; ids of another length
    /// \throws argument_error  NaN or infinity in keys; an id below -1 (looked for in host memory)
    /// `keys` must not lie in the queue itself. Synchronises: only for the check of finite values.  Scratch: B numbers.
    /// On an error the queue is as it was.
    void push(B& be, matrix_of<B, const value_type> keys, vector_of<B, const index_t> ids = {}) {
        check::matrix("memory_queue.push", "keys", keys);
        check_cols("memory_queue.push", "keys", keys);
        check_ids("memory_queue.push", ids, keys.rows());
        check::finite_rows(be, "memory_queue.push", "keys", keys);
        typename workspace<space>::scope scratch(be.scratch());
        put(be, keys, ids, scratch.template vector<index_t>((std::min)(keys.rows(), capacity_)));
    }

    /// Replaces everything the queue holds; also how a queue begins with given rows.
    ///
    /// \throws shape_error     more rows than slots, other columns, or ids of another length
    /// \throws argument_error  a position that does not go with the number of rows; NaN or infinity; an id below -1
    void load(B& be, const queue_contents<B>& contents) {
        const index_t count = contents.rows.rows();
        check::well_formed("memory_queue.load", "rows", contents.rows);
        if (count > 0) {
            check_cols("memory_queue.load", "rows", contents.rows);
        }
        if (count > capacity_) {
            check::fail_shape("memory_queue.load", "rows", "must be at most the capacity, " + check::text(capacity_),
                              check::text(count));
        }
        check_ids("memory_queue.load", contents.ids, count);
        if (count == capacity_ ? contents.position < 0 || contents.position >= capacity_ : contents.position != count) {
            check::fail_argument("memory_queue.load", "position",
                                 count == capacity_ ? "must be a slot, in [0, " + check::text(capacity_) + ")"
                                                    : "must be the first free slot, " + check::text(count),
                                 check::text(contents.position));
        }
        check::finite_rows(be, "memory_queue.load", "rows", contents.rows);

        typename workspace<space>::scope scratch(be.scratch());
        const auto places = scratch.template vector<index_t>(count);
        reset(be);
        if (count > 0) {
            put(be, contents.rows, contents.ids, places);
        }
        position_ = contents.position;
        num_pushed_ = contents.num_pushed;
        detail::set_ring(be, ring_.view().data(), position_, size_, num_pushed_);
    }

    /// Forgets every key; the queue is empty then.
    void reset(B& be) {
        size_ = 0;
        position_ = 0;
        num_pushed_ = 0;
        be.fill(packed_.view(), value_type{0});
        detail::set_ring(be, ring_.view().data(), 0, 0, 0);
    }

    /// Takes over the counters from the backend's memory, after pushes that the host did not make itself (replays of a
    /// CUDA graph). Synchronises: yes.
    void catch_up(B& be) {
        std::array<index_t, detail::num_ring_counters> now{};
        be.read(ring_.view(), vector_view<index_t>(now.data(), detail::num_ring_counters));
        position_ = now[detail::ring_position];
        size_ = now[detail::ring_size];
        num_pushed_ = static_cast<std::uint64_t>(now[detail::ring_pushed]);
    }

private:
    using space = typename B::space;
    static constexpr index_t max_size = (std::numeric_limits<index_t>::max)();

    matrix_of<B> all_rows() { return rows_.rows(num_cols_); }
    matrix_of<B, const value_type> all_rows() const { return rows_.rows(num_cols_); }
    queue_part<B> part(index_t first, index_t count) const {
        return {all_rows().slice(first, count), ids_.view().slice(first, count)};
    }

    void check_cols(std::string_view function, std::string_view argument, matrix_of<B, const value_type> keys) const {
        if (keys.cols() != num_cols_) {
            check::fail_shape(function, argument, "must have the columns of the queue, " + check::text(num_cols_),
                              check::shape_text(keys.rows(), keys.cols()));
        }
    }

    static void check_ids(std::string_view function, vector_of<B, const index_t> ids, index_t rows) {
        check::optional_size(function, "ids", ids, rows);
        if constexpr (std::is_same_v<space, host>) {
            for (index_t i = 0; i < ids.size(); ++i) {
                if (ids[i] < -1) {
                    check::fail_argument(function, "ids", "must be at least -1",
                                         check::text(ids[i]) + " at " + check::text(i));
                }
            }
        }
    }

    /// `places`: scratch for as many keys as stay. Rows that later ones of the same batch would overwrite are passed over;
    /// the position moves as if they had been written.
    void put(B& be, matrix_of<B, const value_type> keys, vector_of<B, const index_t> ids,
             vector_of<B, index_t> places) {
        const index_t count = keys.rows();
        const index_t skipped = count - places.size();
        detail::take_slots<B>(be, ring_.view().data(), skipped, ids, ids_.view(), places);
        be.scatter_rows(keys.slice(skipped, places.size()), places, all_rows());
        pack(be, keys.slice(skipped, places.size()), places);
        detail::advance_ring(be, ring_.view().data(), capacity_, count);
        position_ = (position_ + count) % capacity_;
        size_ = (std::min)(capacity_, size_ + count);
        num_pushed_ += static_cast<std::uint64_t>(count);
    }

    void pack([[maybe_unused]] B& be, [[maybe_unused]] matrix_of<B, const value_type> rows,
              [[maybe_unused]] vector_of<B, const index_t> places) {
        if constexpr (detail::packs_rows<B>) {
            if (packed_.size() > 0) {
                be.pack_rows(rows, places, packed_.view());
            }
        }
    }

    void fill_randomly(B& be, std::uint64_t seed) {
        constexpr index_t chunk = 256;
        typename workspace<host>::scope scratch(be.host_scratch());
        const auto row = scratch.template vector<double>(num_cols_);
        const auto rows = scratch.template matrix<value_type>((std::min)(chunk, capacity_), num_cols_);
        for (index_t first = 0; first < capacity_; first += chunk) {
            const auto part = rows.slice(0, (std::min)(chunk, capacity_ - first));
            detail::random_unit_rows(part, first, seed, row);
            const index_t values = part.rows() * num_cols_;
            be.write(vector_view<const value_type>{part.data(), values},
                     vector_of<B>{all_rows().row(first).data(), values});
        }
        pack(be, all_rows(), {});
        be.fill(ids_.view(), index_t{-1});
        size_ = capacity_;
    }

    index_t capacity_;
    index_t num_cols_;
    buffer<value_type, space> rows_;   // (R, C)
    buffer<value_type, space> packed_; // of the same rows, or nothing
    buffer<index_t, space> ids_;       // (R,)
    buffer<index_t, space> ring_;      // of detail::ring_counter
    index_t size_ = 0;
    index_t position_ = 0;
    std::uint64_t num_pushed_ = 0;
};

} // namespace protonce::inline v0

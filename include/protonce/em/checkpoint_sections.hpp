// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/buffer.hpp>
#include <protonce/em/checkpoint_format.hpp>
#include <protonce/em/file_io.hpp>
#include <protonce/em/objective.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// What each section of a checkpoint holds.
namespace protonce::inline v0::detail {

/// What save and load need of an objective beyond what everybody may see.
struct objective_access {
    template <backend B>
    static const run_state<B>& state(const objective<B>& run) {
        return run.state_;
    }
    template <backend B>
    static std::vector<clustering<B>> make_levels(B& be, const objective<B>& run) {
        return run.make_levels(be);
    }
    /// Nothing in here can fail.
    template <backend B>
    static void replace(objective<B>& run, run_state<B>&& state) {
        run.state_ = std::move(state);
        run.renew_views();
    }
};

/// The counters of a run as a section of a checkpoint.
struct stored_state {
    index_t epoch = 0;
    index_t step = 0;
    index_t epoch_step = 0;
    index_t snapshot_epoch = -1;
    index_t num_levels = 0; // of the snapshot: 0 before the first E-step
    index_t queue_rows = 0;
    index_t queue_position = 0;
    std::uint64_t queue_pushed = 0;
};
static_assert(sizeof(stored_state) == 64 && std::is_trivially_copyable_v<stored_state>, "no padding is written");

/// An option as 64 bits.
inline std::uint64_t option_bits(double value) {
    return std::bit_cast<std::uint64_t>(value);
}
inline std::uint64_t option_bits(index_t value) {
    return static_cast<std::uint64_t>(value);
}
inline std::uint64_t option_bits(std::uint64_t value) {
    return value;
}
template <class T>
std::string option_text(std::uint64_t bits) {
    return check::text(std::bit_cast<T>(bits));
}

inline std::uint64_t options_size(const objective_options& options) {
    std::uint64_t count = 1 + options.num_clusters.size(); // their number, then each
    for_each_option(options, [&](const char*, auto) { ++count; });
    return count * sizeof(std::uint64_t);
}

inline void write_options(section_writer& out, const objective_options& options) {
    out.begin(section::options, 0, options_size(options));
    const auto put = [&](std::uint64_t bits) { out.put(&bits, sizeof(bits)); };
    for_each_option(options, [&](const char*, auto value) { put(option_bits(value)); });
    put(options.num_clusters.size());
    for (const index_t clusters : options.num_clusters) {
        put(option_bits(clusters));
    }
    out.end();
}

/// Refuses a file whose options are not these. Reads value by value: nothing is allocated by a number of the file.
inline void compare_options(section_reader& in, const objective_options& options) {
    std::uint64_t left = in.begin(section::options, 0) / sizeof(std::uint64_t);
    if (left * sizeof(std::uint64_t) < options_size(options) - options.num_clusters.size() * sizeof(std::uint64_t)) {
        in.fail_damaged();
    }
    const auto get = [&] {
        std::uint64_t bits = 0;
        in.get(&bits, sizeof(bits));
        --left;
        return bits;
    };
    const auto differ = [&](const std::string& name, const std::string& needed, const std::string& given) {
        in.note(name + ": must be " + needed + ", as in the objective; got " + given);
    };
    for_each_option(options, [&](const char* name, auto value) {
        const std::uint64_t bits = get();
        if (bits != option_bits(value)) {
            differ(name, check::text(value), option_text<decltype(value)>(bits));
        }
    });
    const std::uint64_t levels = get();
    if (levels != left) {
        in.note("options: the list of levels is not as long as it says");
    }
    if (levels != options.num_clusters.size()) {
        differ("num_clusters", std::to_string(options.num_clusters.size()) + " levels", std::to_string(levels));
    }
    for (std::uint64_t m = 0, given = left; m < given; ++m) {
        const std::uint64_t bits = get();
        if (m < options.num_clusters.size() && bits != option_bits(options.num_clusters[m])) {
            differ("num_clusters[" + std::to_string(m) + "]", check::text(options.num_clusters[m]),
                   option_text<index_t>(bits));
        }
    }
    in.end();
}

inline stored_state read_state(section_reader& in, const objective_options& options) {
    stored_state state;
    if (in.begin(section::state, 0) != sizeof(state)) {
        in.fail_damaged();
    }
    in.get(&state, sizeof(state));
    const auto levels = static_cast<index_t>(options.num_clusters.size());
    const bool has_levels = state.num_levels > 0;
    const bool is_full = state.queue_rows == options.queue_size;
    if (state.epoch < 0 || state.step < 0 || state.epoch_step < 0 || state.epoch_step > state.step ||
        (has_levels ? state.num_levels != levels || state.snapshot_epoch < 0 || state.snapshot_epoch > state.epoch
                    : state.num_levels != 0 || state.snapshot_epoch != -1) ||
        state.queue_rows < 0 || state.queue_rows > options.queue_size || state.queue_position < 0 ||
        (is_full ? state.queue_position >= options.queue_size : state.queue_position != state.queue_rows)) {
        in.note("state: the counters contradict each other or the options");
    }
    in.end();
    return state;
}

/// Bytes of a whole checkpoint, and how many sections it has.
struct checkpoint_extent {
    std::uint64_t bytes = 0;
    std::uint32_t sections = 0;
};

template <class T>
checkpoint_extent extent_of(const objective_options& options, const stored_state& state) {
    checkpoint_extent out{.bytes = sizeof(checkpoint_header), .sections = 0};
    const auto add = [&](index_t values, std::size_t size) {
        out.bytes += section_bytes(static_cast<std::uint64_t>(values) * size);
        ++out.sections;
    };
    add(static_cast<index_t>(options_size(options)), 1);
    add(1, sizeof(stored_state));
    add(state.queue_rows * options.num_cols, sizeof(T));
    add(state.queue_rows, sizeof(index_t));
    for (index_t m = 0; m < state.num_levels; ++m) {
        const index_t clusters = options.num_clusters[static_cast<std::size_t>(m)];
        add(clusters * options.num_cols, sizeof(T));
        add(clusters * options.num_cols, sizeof(T));
        add(options.num_samples, sizeof(label_t));
        add(options.num_samples, sizeof(double));
        add(clusters, sizeof(T));
    }
    return out;
}

template <class T, memory_space S>
vector_view<T, S> all_values(matrix_view<T, S> rows) {
    return {rows.data(), rows.rows() * rows.cols()};
}

template <backend B>
void write_level(B& be, section_writer& out, std::uint32_t number, const clustering<B>& level) {
    using value = value_of<B>;
    out.template values<value>(be, section::centroids, number, all_values(level.centroids()));
    out.template values<value>(be, section::prototypes, number, all_values(level.prototypes()));
    out.template values<label_t>(be, section::assignment, number, level.assignment());
    out.template values<double>(be, section::squared_distance, number, level.squared_distance());
    out.template values<value>(be, section::temperatures, number, level.temperatures());
}

template <backend B>
void read_level(B& be, section_reader& in, std::uint32_t number, clustering<B>& level) {
    using value = value_of<B>;
    const auto anything = [](auto) { return true; };
    const index_t clusters = level.num_clusters();
    const auto is_label = [clusters](label_t label) { return label >= -1 && label < clusters; };
    in.template values<value>(be, section::centroids, number, all_values(level.centroids()), anything);
    in.template values<value>(be, section::prototypes, number, all_values(level.prototypes()), anything);
    in.template values<label_t>(be, section::assignment, number, level.assignment(), is_label);
    in.template values<double>(be, section::squared_distance, number, level.squared_distance(), anything);
    in.template values<value>(be, section::temperatures, number, level.temperatures(),
                              [](value x) { return check::is_positive(x); });
    level.pack(be);
}

template <backend B>
void read_queue(B& be, sequential_file& file, section_reader& in, const objective_options& options,
                const stored_state& state, memory_queue<B>& queue) {
    using value = value_of<B>;
    using space = typename B::space;
    buffer<value, space> rows(be.memory(), state.queue_rows * options.num_cols);
    buffer<index_t, space> ids(be.memory(), state.queue_rows);
    in.template values<value>(be, section::queue_rows, 0, rows.view(), [](value) { return true; });
    in.template values<index_t>(be, section::queue_ids, 0, ids.view(),
                                [&](index_t id) { return id >= -1 && id < options.num_samples; });
    try {
        queue.load(be, {.rows = std::as_const(rows).rows(options.num_cols),
                        .ids = std::as_const(ids).view(),
                        .position = state.queue_position,
                        .num_pushed = state.queue_pushed});
    } catch (const std::invalid_argument& refusal) { // written where NaN is not looked for, read where it is
        file.fail(refusal.what());
    }
}

} // namespace protonce::inline v0::detail

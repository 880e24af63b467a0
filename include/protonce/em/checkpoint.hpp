// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/em/checkpoint_format.hpp>
#include <protonce/em/checkpoint_sections.hpp>
#include <protonce/em/file_io.hpp>
#include <protonce/em/objective.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

namespace protonce::inline v0 {

/// Writes everything that an objective holds to a file: queue with sample numbers, levels, counters, and the options,
/// so that a run goes on as if it had never stopped. Encoders and optimiser are the caller's to save; the random
/// numbers are functions of the seed and the counters.
///
/// The file is written under another name (`<path>.partial0` or a higher number), synced, and renamed: at any moment
/// `path` is the old file or the new one, whole. Its sections carry checksums. Values are in the machine's byte order,
/// which load_checkpoint() checks.
///
/// After replays of a recorded step call objective::catch_up() first: counters are saved as the host knows them.
///
/// \throws backend_error  naming path, call and the system's answer; what was at `path` is untouched, no partial file
///                        stays
/// Synchronises: yes.  Scratch: 64 KiB.
template <backend B>
void save_checkpoint(B& be, const objective<B>& run, const std::filesystem::path& path) {
    using value = value_of<B>;
    const auto& options = run.options();
    const detail::run_state<B>& state = detail::objective_access::state(run);
    const detail::stored_state stored{.epoch = state.epoch,
                                      .step = state.step,
                                      .epoch_step = state.epoch_step,
                                      .snapshot_epoch = state.snapshot_epoch,
                                      .num_levels = static_cast<index_t>(state.levels.size()),
                                      .queue_rows = state.queue.size(),
                                      .queue_position = state.queue.position(),
                                      .queue_pushed = state.queue.num_pushed()};
    const auto extent = detail::extent_of<value>(options, stored);
    detail::checkpoint_header header{
        .value_size = sizeof(value), .num_sections = extent.sections, .file_size = extent.bytes};
    header.checksum = detail::header_checksum(header);

    detail::replacing_file file("save_checkpoint", path);
    file.write(&header, sizeof(header));
    detail::section_writer out(file);
    detail::write_options(out, options);
    out.begin(detail::section::state, 0, sizeof(stored));
    out.put(&stored, sizeof(stored));
    out.end();
    out.template values<value>(be, detail::section::queue_rows, 0, detail::all_values(state.queue.rows()));
    out.template values<index_t>(be, detail::section::queue_ids, 0, state.queue.ids());
    for (std::size_t m = 0; m < state.levels.size(); ++m) {
        detail::write_level(be, out, static_cast<std::uint32_t>(m), state.levels[m]);
    }
    file.commit();
}

/// Reads what save_checkpoint() wrote into an objective of the same options and value type.
///
/// Sizes are compared with the file's length and with the options before memory is taken, every byte is covered by a
/// checksum, and labels, sample numbers, temperatures and counters are looked at. The objective changes only after the
/// whole file was found right.
///
/// \throws backend_error  naming path and reason: not a file, not a checkpoint, another version, byte order or value
///                        type, truncated, damaged, or written with other options (which, and both values)
/// \throws std::bad_alloc no room for a second copy of queue and levels
/// On any exception the objective is as before.  Synchronises: yes.
template <backend B>
void load_checkpoint(B& be, const std::filesystem::path& path, objective<B>& run) {
    using value = value_of<B>;
    const auto& options = run.options();
    detail::sequential_file file("load_checkpoint", path);
    const auto header = detail::read_checkpoint_header(file, sizeof(value));
    detail::section_reader in(file);
    detail::compare_options(in, options);
    const detail::stored_state stored = detail::read_state(in, options);
    const auto extent = detail::extent_of<value>(options, stored);
    if (extent.bytes != file.size() || extent.sections != header.num_sections) {
        file.fail("must be " + std::to_string(extent.bytes) + " bytes in " + std::to_string(extent.sections) +
                  " sections to hold what its options and counters say; got " + std::to_string(file.size()) +
                  " bytes in " + std::to_string(header.num_sections));
    }

    detail::run_state<B> state{
        .queue = memory_queue<B>(
            be, {.capacity = options.queue_size, .num_cols = options.num_cols, .start = queue_start::empty}),
        .counter = detail::step_counter(be, stored.step)};
    detail::read_queue(be, file, in, options, stored, state.queue);
    if (stored.num_levels > 0) {
        state.levels = detail::objective_access::make_levels(be, run);
    }
    for (std::size_t m = 0; m < state.levels.size(); ++m) {
        detail::read_level(be, in, static_cast<std::uint32_t>(m), state.levels[m]);
    }
    state.epoch = stored.epoch;
    state.step = stored.step;
    state.epoch_step = stored.epoch_step;
    state.snapshot_epoch = stored.snapshot_epoch;
    detail::objective_access::replace(run, std::move(state));
}

} // namespace protonce::inline v0

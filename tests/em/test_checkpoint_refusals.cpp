// SPDX-License-Identifier: MIT
#include "checkpoint_file.hpp"
#include "support/backends.hpp"
#include "support/counting_resource.hpp"
#include "training_run.hpp"

#include <protonce/em/checkpoint.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

using namespace protonce;
using doctest::Contains;
using test::advance;
using test::checkpoint_folder;
using test::run_options;
using test::snapshot;
using backend_type = cpu_backend<float>;

namespace {
/// Sections of a checkpoint with levels, in order.
enum : std::size_t {
    options_section,
    state_section,
    rows_section,
    ids_section,
    centroids_section,
    prototypes_section,
    assignment_section,
    distance_section,
    temperatures_section
};
/// Values of the state section, 8 bytes each.
enum : std::size_t { epoch, step, epoch_step, snapshot_epoch, num_levels, queue_rows, queue_position };

/// A checkpoint of a small run with levels, and an objective of its own to load into that must stay as it is.
struct scene {
    test::counting_resource memory{};
    backend_type be = test::backend_on<backend_type>(&memory);
    checkpoint_folder folder{};
    std::filesystem::path path = folder.path("a.ckpt");
    objective<backend_type> target{be, small()};
    std::string before;
    std::string good;

    scene() {
        objective<backend_type> run(be, small());
        run.end_epoch();
        advance(be, run);
        save_checkpoint(be, run, path);
        good = test::read_file(path);
        advance(be, target);
        before = snapshot(target);
    }
    static objective_options small() {
        auto options = run_options();
        options.num_clusters = {2};
        options.queue_size = 9;
        return options;
    }
    /// The text of the refusal; empty if there was none.
    std::string refusal(const std::string& bytes) {
        test::write_file(path, bytes);
        return refusal();
    }
    std::string refusal() {
        std::string out;
        try {
            load_checkpoint(be, path, target);
        } catch (const backend_error& error) {
            out = error.what();
        }
        if (!out.empty()) {
            CHECK(snapshot(target) == before);
            CHECK(out.find("load_checkpoint: " + path.string() + ": ") == 0);
        }
        return out;
    }
};
} // namespace

TEST_CASE("checkpoint: the untouched file of these tests loads") {
    scene s;
    CHECK(s.refusal(s.good) == "");
    CHECK(snapshot(s.target) != s.before);
}

TEST_CASE("checkpoint: resealing an unchanged file changes nothing") {
    scene s;
    CHECK(test::resealed(s.good) == s.good);
}

TEST_CASE("checkpoint: every changed byte is found") {
    scene s;
    for (std::size_t at = 0; at < s.good.size(); ++at) {
        auto bytes = s.good;
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
        CAPTURE(at);
        CHECK(s.refusal(bytes) != "");
    }
}

TEST_CASE("checkpoint: every truncation is found, and takes no memory") {
    scene s;
    const index_t allocations = s.memory.allocations();
    for (std::size_t size = 0; size < s.good.size(); ++size) {
        CAPTURE(size);
        CHECK(s.refusal(s.good.substr(0, size)) != "");
    }
    CHECK(s.memory.allocations() == allocations);
}

TEST_CASE("checkpoint: bytes behind the end are found") {
    scene s;
    CHECK_CONTAINS(s.refusal(s.good + "x"), "must be " + std::to_string(s.good.size()) +
                                                " bytes long, as its header says; got " +
                                                std::to_string(s.good.size() + 1));
}

TEST_CASE("checkpoint: foreign files are called foreign") {
    scene s;
    CHECK_CONTAINS(s.refusal(std::string(1000, 'x')), "is not a checkpoint of this library");
    CHECK_CONTAINS(s.refusal(std::string(1000, '\0')), "is not a checkpoint of this library");
    CHECK_CONTAINS(s.refusal("hello"), "must be a checkpoint of at least 40 bytes; got 5");
    CHECK_CONTAINS(s.refusal(""), "got 0");
    // A transfer as text turned the line end.
    auto text = s.good;
    text.erase(5, 1);
    CHECK_CONTAINS(s.refusal(text), "is not a checkpoint of this library");
}

TEST_CASE("checkpoint: a missing file and a folder are called so") {
    scene s;
    std::filesystem::remove(s.path);
    CHECK_CONTAINS(s.refusal(), "must be a file");
    std::filesystem::create_directory(s.path);
    CHECK_CONTAINS(s.refusal(), "must be a file");
}

TEST_CASE("checkpoint: another version, byte order or value type is named") {
    scene s;
    auto header = test::value_at<detail::checkpoint_header>(s.good, 0);
    const auto with = [&](const detail::checkpoint_header& changed) {
        auto bytes = s.good;
        test::put_at(bytes, 0, changed);
        return test::resealed(bytes);
    };
    auto changed = header;
    changed.version = 2;
    CHECK_CONTAINS(s.refusal(with(changed)), "must have format version 1; got 2");
    changed = header;
    changed.byte_order = 0x04030201;
    CHECK_CONTAINS(s.refusal(with(changed)), "other byte order");
    changed = header;
    changed.num_sections += 1;
    CHECK_CONTAINS(s.refusal(with(changed)), "sections");

    test::write_file(s.path, s.good);
    cpu_backend<double> wide;
    objective<cpu_backend<double>> run(wide, scene::small());
    CHECK_THROWS_WITH_AS(load_checkpoint(wide, s.path, run), Contains("must hold values of 8 bytes; got 4"),
                         backend_error);
}

TEST_CASE("checkpoint: every option that differs is named with both values") {
    scene s;
    test::write_file(s.path, s.good);
    const auto refused = [&](auto change, const char* text) {
        auto options = scene::small();
        change(options);
        objective<backend_type> other(s.be, options);
        const auto before = snapshot(other);
        CAPTURE(text);
        CHECK_THROWS_WITH_AS(load_checkpoint(s.be, s.path, other), Contains(text), backend_error);
        CHECK(snapshot(other) == before);
    };
    using o = objective_options;
    refused([](o& x) { x.num_samples = 61; }, "num_samples: must be 61, as in the objective; got 60");
    refused([](o& x) { x.num_cols = 7; }, "num_cols: must be 7, as in the objective; got 6");
    refused([](o& x) { x.num_clusters = {3}; }, "num_clusters[0]: must be 3, as in the objective; got 2");
    refused([](o& x) { x.num_clusters = {2, 4}; }, "num_clusters: must be 2 levels, as in the objective; got 1");
    refused([](o& x) { x.num_clusters = {}; }, "num_clusters: must be 0 levels, as in the objective; got 1");
    refused([](o& x) { x.warmup_epochs = 2; }, "warmup_epochs: must be 2, as in the objective; got 1");
    refused([](o& x) { x.temperature = 0.1; }, "temperature: must be 0.1, as in the objective; got 0.2");
    refused([](o& x) { x.queue_size = 10; }, "queue_size: must be 10, as in the objective; got 9");
    refused([](o& x) { x.queue_start = queue_start::empty; }, "queue_start: must be 1, as in the objective; got 0");
    refused([](o& x) { x.momentum = 0.99; }, "momentum: must be 0.99, as in the objective; got 0.999");
    refused([](o& x) { x.momentum_steps = 5; }, "momentum_steps: must be 5, as in the objective; got 0");
    refused([](o& x) { x.negatives = negatives::all; }, "negatives: must be 2, as in the objective; got 0");
    refused([](o& x) { x.num_negatives = 5; }, "num_negatives: must be 5, as in the objective; got 4");
    refused([](o& x) { x.instance_weight = 2; }, "instance_weight: must be 2, as in the objective; got 1");
    refused([](o& x) { x.prototype_weight = 3; }, "prototype_weight: must be 3, as in the objective; got 1");
    refused([](o& x) { x.mask_level = 0; }, "mask_level: must be 0, as in the objective; got -1");
    refused([](o& x) { x.iterations = 7; }, "iterations: must be 7, as in the objective; got 20");
    refused([](o& x) { x.restarts = 3; }, "restarts: must be 3, as in the objective; got 2");
    refused([](o& x) { x.tolerance = 0.5; }, "tolerance: must be 0.5, as in the objective; got 0");
    refused([](o& x) { x.smoothing = 9; }, "smoothing: must be 9, as in the objective; got 10");
    refused([](o& x) { x.spherical = true; }, "spherical: must be 1, as in the objective; got 0");
    refused([](o& x) { x.seed = 6; }, "seed: must be 6, as in the objective; got 5");
}

TEST_CASE("checkpoint: options are compared one by one in this test file's list too") {
    // A new option must be stored, compared, and tested above.
    int count = 0;
    detail::for_each_option(objective_options{}, [&](const char*, auto) { ++count; });
    CHECK(count == 19);
}

TEST_CASE("checkpoint: counters that contradict each other are refused before memory is taken") {
    scene s;
    const std::size_t state = test::section_at(s.good, state_section);
    const index_t allocations = s.memory.allocations();
    const std::vector<std::pair<std::size_t, index_t>> wrong{{epoch, -1},
                                                             {step, -1},
                                                             {epoch_step, -1},
                                                             {epoch_step, 2},
                                                             {snapshot_epoch, 2},
                                                             {snapshot_epoch, -1},
                                                             {num_levels, 2},
                                                             {num_levels, 0},
                                                             {num_levels, -1},
                                                             {queue_rows, 10},
                                                             {queue_rows, -1},
                                                             {queue_rows, 7},
                                                             {queue_position, 9},
                                                             {queue_position, -1},
                                                             {queue_rows, index_t{1} << 60},
                                                             {num_levels, index_t{1} << 60}};
    for (const auto& change : wrong) {
        CAPTURE(change.first);
        CAPTURE(change.second);
        auto bytes = s.good;
        test::put_at(bytes, state + 8 * change.first, change.second);
        CHECK_CONTAINS(s.refusal(test::resealed(bytes)), "the counters contradict each other or the options");
    }
    CHECK(s.memory.allocations() == allocations);
}

TEST_CASE("checkpoint: counters that go together but not with the file's length are refused before memory is taken") {
    scene s;
    auto bytes = s.good;
    const std::size_t state = test::section_at(s.good, state_section);
    test::put_at(bytes, state + 8 * num_levels, index_t{0});
    test::put_at(bytes, state + 8 * snapshot_epoch, index_t{-1});
    const index_t allocations = s.memory.allocations();

    CHECK_CONTAINS(s.refusal(test::resealed(bytes)), "to hold what its options and counters say");

    CHECK(s.memory.allocations() == allocations);
}

TEST_CASE("checkpoint: sections of huge or foreign sizes are refused before memory is taken") {
    scene s;
    const index_t allocations = s.memory.allocations();
    for (const std::uint64_t size : {std::uint64_t{1} << 62, ~std::uint64_t{0}, std::uint64_t{0}, std::uint64_t{8}}) {
        CAPTURE(size);
        auto bytes = s.good;
        test::put_at(bytes, test::section_at(s.good, options_section) - 8, size);
        CHECK_CONTAINS(s.refusal(bytes), "is damaged: section `options`");
        bytes = s.good;
        test::put_at(bytes, test::section_at(s.good, state_section) - 8, size);
        CHECK_CONTAINS(s.refusal(bytes), "is damaged: section `state`");
    }
    CHECK(s.memory.allocations() == allocations);
}

TEST_CASE("checkpoint: values that would break the losses are refused although their checksums are right") {
    scene s;
    const auto changed = [&](std::size_t section, auto value) {
        auto bytes = s.good;
        test::put_at(bytes, test::section_at(s.good, section), value);
        return s.refusal(test::resealed(bytes));
    };
    CHECK_CONTAINS(changed(ids_section, index_t{-2}), "queue ids: a value is out of range");
    CHECK_CONTAINS(changed(ids_section, index_t{60}), "queue ids: a value is out of range");
    CHECK_CONTAINS(changed(assignment_section, label_t{2}), "assignment of level 0: a value is out of range");
    CHECK_CONTAINS(changed(assignment_section, label_t{-2}), "assignment of level 0: a value is out of range");
    CHECK_CONTAINS(changed(temperatures_section, 0.0f), "temperatures of level 0: a value is out of range");
    CHECK_CONTAINS(changed(temperatures_section, std::numeric_limits<float>::infinity()), "out of range");
    CHECK_CONTAINS(changed(rows_section, std::numeric_limits<float>::quiet_NaN()), "must be finite everywhere");
    CHECK(changed(assignment_section, label_t{-1}) == "");
}

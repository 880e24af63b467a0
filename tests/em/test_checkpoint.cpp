// SPDX-License-Identifier: MIT
#include "checkpoint_file.hpp"
#include "support/backends.hpp"
#include "training_run.hpp"

#include <protonce/em/checkpoint.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace protonce;
using test::advance;
using test::checkpoint_folder;
using test::run_options;
using test::snapshot;

namespace {
/// A run of `epochs` epochs of three steps each, and `extra` steps more.
template <class B>
objective<B> trained(B& be, const objective_options& options, int epochs, int extra) {
    objective<B> run(be, options);
    for (int epoch = 0; epoch < epochs; ++epoch, run.end_epoch()) {
        for (int step = 0; step < 3; ++step) {
            advance(be, run);
        }
    }
    for (int step = 0; step < extra; ++step) {
        advance(be, run);
    }
    return run;
}
} // namespace

TEST_CASE_TEMPLATE("checkpoint: what was saved is loaded bit for bit", B, TEST_RUN_BACKENDS) {
    B be;
    const checkpoint_folder folder;
    for (const auto start : {queue_start::random_rows, queue_start::empty}) {
        for (const int epochs : {0, 1, 3}) {
            for (const int extra : {0, 1, 2}) {
                CAPTURE(epochs);
                CAPTURE(extra);
                auto options = run_options();
                options.queue_start = start;
                const auto run = trained(be, options, epochs, extra);
                objective<B> other = trained(be, options, 2, 2);

                save_checkpoint(be, run, folder.path("a.ckpt"));
                load_checkpoint(be, folder.path("a.ckpt"), other);

                CHECK(snapshot(other) == snapshot(run));
                CHECK(other.needs_e_step() == run.needs_e_step());
                CHECK(other.uses_prototypes() == run.uses_prototypes());
            }
        }
    }
}

TEST_CASE_TEMPLATE("checkpoint: a resumed run equals an uninterrupted one bit for bit", B, TEST_RUN_BACKENDS) {
    const checkpoint_folder folder;
    for (const int steps_before : {0, 1, 3, 4, 5, 8}) {
        CAPTURE(steps_before);
        const auto path = folder.path("resume.ckpt");
        B be;
        objective<B> whole(be, run_options());
        const auto one_step = [](B& backend, objective<B>& run) {
            const auto out = advance(backend, run);
            if (run.num_steps() % 3 == 0) {
                run.end_epoch();
            }
            return out;
        };
        for (int step = 0; step < steps_before; ++step) {
            one_step(be, whole);
        }
        save_checkpoint(be, whole, path);

        B fresh;
        objective<B> resumed(fresh, run_options());
        load_checkpoint(fresh, path, resumed);

        for (int step = 0; step < 7; ++step) {
            CHECK(one_step(fresh, resumed) == one_step(be, whole));
        }
        CHECK(snapshot(resumed) == snapshot(whole));
    }
}

TEST_CASE_TEMPLATE("checkpoint: a save between E-step and first step does not repeat the E-step", B,
                   TEST_RUN_BACKENDS) {
    using value = value_of<B>;
    B be;
    const checkpoint_folder folder;
    objective<B> run(be, run_options());
    run.end_epoch();
    run.e_step(be, test::run_features<value>(1).view());
    save_checkpoint(be, run, folder.path("a.ckpt"));
    objective<B> resumed(be, run_options());

    load_checkpoint(be, folder.path("a.ckpt"), resumed);

    CHECK_FALSE(resumed.needs_e_step());
    CHECK(advance(be, resumed) == advance(be, run));
}

TEST_CASE_TEMPLATE("checkpoint: two saves of one run are the same file, and a save replaces an older file", B,
                   TEST_RUN_BACKENDS) {
    B be;
    const checkpoint_folder folder;
    const auto early = trained(be, run_options(), 0, 1);
    const auto late = trained(be, run_options(), 2, 1);
    save_checkpoint(be, early, folder.path("a.ckpt"));

    save_checkpoint(be, late, folder.path("a.ckpt"));
    save_checkpoint(be, late, folder.path("b.ckpt"));

    CHECK(test::read_file(folder.path("a.ckpt")) == test::read_file(folder.path("b.ckpt")));
    CHECK(folder.names() == std::vector<std::string>{"a.ckpt", "b.ckpt"});
}

TEST_CASE_TEMPLATE("checkpoint: MoCo's holds no levels", B, TEST_RUN_BACKENDS) {
    B be;
    const checkpoint_folder folder;
    auto options = run_options();
    options.num_clusters = {};
    const auto run = trained(be, options, 2, 1);
    objective<B> other(be, options);

    save_checkpoint(be, run, folder.path("a.ckpt"));
    load_checkpoint(be, folder.path("a.ckpt"), other);

    CHECK(snapshot(other) == snapshot(run));
}

TEST_CASE("checkpoint: loads on another backend of the same value type") {
    reference_backend<float> reference;
    cpu_backend<float> cpu;
    const checkpoint_folder folder;
    const auto run = trained(cpu, run_options(), 2, 1);
    objective<reference_backend<float>> other(reference, run_options());

    save_checkpoint(cpu, run, folder.path("a.ckpt"));
    load_checkpoint(reference, folder.path("a.ckpt"), other);

    CHECK(snapshot(other) == snapshot(run));
}

TEST_CASE("checkpoint: arrays above one piece are whole") {
    cpu_backend<float> be;
    const checkpoint_folder folder;
    auto options = run_options();
    options.queue_size = 2 * detail::checkpoint_chunk / test::run_cols + 5;
    const auto run = trained(be, options, 2, 0);
    options.queue_size = run.options().queue_size;
    objective<cpu_backend<float>> other(be, options);
    REQUIRE(run.queue().size() * test::run_cols > 2 * detail::checkpoint_chunk);

    save_checkpoint(be, run, folder.path("a.ckpt"));
    load_checkpoint(be, folder.path("a.ckpt"), other);

    CHECK(snapshot(other) == snapshot(run));
}

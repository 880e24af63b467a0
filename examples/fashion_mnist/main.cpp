// SPDX-License-Identifier: MIT
// Trains an encoder on Fashion-MNIST without its labels, with PCL, MoCo or SimCLR, and measures what it has learnt.
// The encoder, its optimiser and the loop belong to this program; losses, E-step, queue, moving average and scores to protonce.
#include "evaluate.hpp"
#include "options.hpp"
#include "report.hpp"
#include "self_check.hpp"
#include "train.hpp"

#include "../support/npy.hpp"

#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using namespace fashion;

/// The files beside metrics.json.
void write_arrays(const std::filesystem::path& folder, cpu& be, const team& threads, const trainer& trained,
                  const recipe& chosen, const image_set& images) {
    const index_t cols = trained.layout().embedding;
    const std::vector<float> embeddings =
        unit_embeddings(be, trained.layout(), trained.result(), threads, images, images.size());
    support::write_npy((folder / "embeddings.npy").string(), embeddings.data(), {images.size(), cols});
    const std::vector<protonce::label_t> labels = labels_of(images);
    support::write_npy((folder / "labels.npy").string(), labels.data(), {images.size()});
    const auto levels = trained.levels();
    for (std::size_t m = 0; m < levels.size(); ++m) {
        const auto prototypes = levels[m].prototypes();
        support::write_npy((folder / ("prototypes_" + std::to_string(chosen.clusters[m]) + ".npy")).string(),
                           prototypes.data(), {prototypes.rows(), prototypes.cols()});
    }
}

void run(const program_options& options) {
    const stopwatch watch;
    const recipe chosen = chosen_recipe(options);
    const image_set images = load_images(options.data, "train");
    const image_set tests = first_images(load_images(options.data, "t10k"), chosen.tests);
    if (images.size() < chosen.images) {
        throw std::runtime_error(options.data.string() + ": must hold " + std::to_string(chosen.images) +
                                 " training images; got " + std::to_string(images.size()));
    }
    const std::filesystem::path folder = options.folder();
    std::filesystem::create_directories(folder); // before the work, so that a folder that cannot be made fails at once

    const team threads(options.threads);
    cpu be({.threads = options.threads});
    progress shown(options.is_verbose);
    std::printf("%s on Fashion-MNIST: %d images, %d epochs, seed %llu, %d thread(s)\n", name_of(chosen.method).c_str(),
                static_cast<int>(chosen.images), static_cast<int>(chosen.epochs),
                static_cast<unsigned long long>(options.seed), threads.workers());
    std::fflush(stdout);

    run_times times;
    trainer trained(be, threads, images, chosen, options.seed);
    const stopwatch training_watch;
    trained.train(shown);
    times.training = training_watch.seconds();
    for (const epoch_record& epoch : trained.history()) {
        times.e_steps += epoch.seconds_e_step;
    }
    write_history(folder / "history.csv", chosen, trained.history());
    write_arrays(folder, be, threads, trained, chosen, images);

    const stopwatch evaluation_watch;
    const image_set bank = first_images(images, chosen.bank);
    evaluator scores(be, threads, bank, tests, chosen, options.seed);
    const evaluation of_trained = scores.network(trained.layout(), trained.result(), "trained", shown);
    const evaluation of_raw = scores.raw_pixels(shown);
    const auto untrained = initial_model<float>(trained.layout(), options.seed);
    const evaluation of_untrained = scores.network(trained.layout(), untrained, "untrained", shown);
    shown.clear();
    times.evaluation = evaluation_watch.seconds();
    times.total = watch.seconds();
    measure_process(times);

    const auto lines = result_lines(of_trained, of_raw, of_untrained);
    write_metrics(folder / "metrics.json", chosen, options, threads.workers(), times, lines);
    print_table(chosen, lines);
    std::printf("Training %s (E-steps %s), evaluation %s, all %s. Written to %s.\n", clock_text(times.training).c_str(),
                clock_text(times.e_steps).c_str(), clock_text(times.evaluation).c_str(),
                clock_text(times.total).c_str(), folder.string().c_str());
}

} // namespace

int main(int argc, char** argv) {
    try {
        const program_options options = parse_options({argv + 1, argv + argc});
        if (options.wants_help) {
            std::fputs(help_text.data(), stdout);
            return 0;
        }
        if (options.wants_self_check) {
            return self_check();
        }
        if (options.wants_compare) {
            compare_methods(options);
        } else {
            run(options);
        }
        return 0;
    } catch (const usage_error& error) {
        std::fprintf(stderr, "fashion_mnist: %s\nTry 'fashion_mnist --help'.\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "fashion_mnist: %s\n", error.what());
        return 1;
    }
}

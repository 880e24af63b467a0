// SPDX-License-Identifier: MIT
#pragma once
#include "evaluate.hpp"
#include "history.hpp"

#include "../support/json.hpp"

#include <sys/resource.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace fashion {

/// One line of the table: the same measurement of the three kinds of feature. Accuracies in percent, AMI as it is.
struct result_line {
    std::string name{};
    double trained = 0;
    double raw = 0;
    double untrained = 0;

    bool is_won() const { return trained > raw && trained > untrained; }
};

/// Names of the lines in metrics.json, and heads of the columns of the printed table.
inline constexpr std::array<std::pair<const char*, const char*>, 8> line_names{{{"knn", "k-NN"},
                                                                                {"low_shot_1", "1"},
                                                                                {"low_shot_2", "2"},
                                                                                {"low_shot_4", "4"},
                                                                                {"low_shot_8", "8"},
                                                                                {"low_shot_16", "16"},
                                                                                {"ami_features", "features"},
                                                                                {"ami_embedding", "embedding"}}};

inline bool is_percent(std::size_t line) {
    return line < 6;
}

inline std::vector<result_line> result_lines(const evaluation& trained, const evaluation& raw,
                                             const evaluation& untrained) {
    const auto values = [](const evaluation& e) {
        std::vector<double> all{100 * e.knn};
        for (const double accuracy : e.low_shot) {
            all.push_back(100 * accuracy);
        }
        all.push_back(e.ami_features);
        all.push_back(e.ami_embedding);
        return all;
    };
    const auto t = values(trained);
    const auto r = values(raw);
    const auto u = values(untrained);
    std::vector<result_line> lines;
    for (std::size_t i = 0; i < line_names.size(); ++i) {
        lines.push_back({line_names[i].first, t[i], r[i], u[i]});
    }
    return lines;
}

/// Seconds of the parts of a run.
struct run_times {
    double total = 0;
    double training = 0;
    double e_steps = 0; // part of the training
    double evaluation = 0;
    double processor = 0; // of all threads together
    double peak_mib = 0;  // memory
};

/// Processor time and peak memory of this process.
inline void measure_process(run_times& times) {
    rusage usage{};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        const auto seconds = [](const timeval& t) {
            return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
        };
        times.processor = seconds(usage.ru_utime) + seconds(usage.ru_stime);
        times.peak_mib = static_cast<double>(usage.ru_maxrss) / 1024.0; // KiB on Linux
    }
}

/// `metrics.json`.
///
/// \throws std::runtime_error  the file cannot be written
inline void write_metrics(const std::filesystem::path& path, const recipe& r, const program_options& options,
                          int threads, const run_times& times, const std::vector<result_line>& lines) {
    using support::json_number;
    std::ofstream file(path, std::ios::trunc);
    file << "{\n  \"method\": " << support::json_text(name_of(r.method)) << ",\n  \"seed\": " << options.seed
         << ",\n  \"seconds\": " << json_number(times.total)
         << ",\n  \"seconds_of\": {\"training\": " << json_number(times.training)
         << ", \"e_steps\": " << json_number(times.e_steps) << ", \"evaluation\": " << json_number(times.evaluation)
         << ", \"processor\": " << json_number(times.processor)
         << "},\n  \"peak_memory_mib\": " << json_number(times.peak_mib) << ",\n  \"threads\": " << threads
         << ",\n  \"configuration\": {";
    const char* separator = "\n";
    for (const auto& [name, value] : recipe_entries(r)) {
        file << separator << "    " << support::json_text(name) << ": " << value;
        separator = ",\n";
    }
    file << "\n  },\n  \"results\": {";
    separator = "\n";
    for (const result_line& line : lines) {
        file << separator << "    " << support::json_text(line.name) << ": {\"trained\": " << json_number(line.trained)
             << ", \"raw\": " << json_number(line.raw) << ", \"untrained\": " << json_number(line.untrained) << "}";
        separator = ",\n";
    }
    file << "\n  }\n}\n";
    file.close();
    if (!file) {
        throw std::runtime_error("cannot write " + path.string());
    }
}

namespace detail {

inline void print_heads() {
    std::printf("%-18s %6s   %s   %s\n", "", "", "low-shot, images a class       ", "AMI of 10 clusters");
    std::printf("%-18s %6s  ", "", line_names[0].second);
    for (std::size_t i = 1; i < line_names.size(); ++i) {
        std::printf(is_percent(i) ? " %5s" : " %10s", line_names[i].second);
    }
    std::printf("\n");
}

template <class Value>
void print_row(const std::string& name, std::size_t count, const Value& value) {
    std::printf("%-18s %6.2f  ", name.c_str(), value(0));
    for (std::size_t i = 1; i < count; ++i) {
        std::printf(is_percent(i) ? " %5.1f" : " %10.3f", value(i));
    }
    std::printf("\n");
}

} // namespace detail

/// The table of one run.
inline void print_table(const recipe& r, const std::vector<result_line>& lines) {
    std::printf("\nTest images, percent right (AMI: 1 is agreement with the classes, 0 chance)\n\n");
    detail::print_heads();
    detail::print_row("raw pixels", lines.size(), [&](std::size_t i) { return lines[i].raw; });
    detail::print_row("untrained network", lines.size(), [&](std::size_t i) { return lines[i].untrained; });
    detail::print_row("trained, " + name_of(r.method), lines.size(), [&](std::size_t i) { return lines[i].trained; });
    int won = 0;
    for (const result_line& line : lines) {
        won += line.is_won() ? 1 : 0;
    }
    std::printf("\nThe trained network is above raw pixels and the untrained network on %d of %d lines.\n", won,
                static_cast<int>(lines.size()));
}

/// The three methods side by side, from their metrics.json.
///
/// \throws std::runtime_error  a file is missing or broken, or the runs differ in images, epochs or seed
inline void compare_methods(const program_options& options) {
    struct run {
        std::string method{};
        double seconds = 0;
        std::vector<result_line> lines{};
    };
    std::vector<run> runs;
    std::string first_setting;
    for (const training_method method : {training_method::simclr, training_method::moco, training_method::pcl}) {
        const std::filesystem::path path = options.folder_of(method) / "metrics.json";
        if (!std::filesystem::exists(path)) {
            throw std::runtime_error("no " + path.string() + "; run --method " + name_of(method) + " first");
        }
        const support::json_value metrics = support::read_json(path.string());
        try {
            run found{.method = metrics.at("method").as_text(), .seconds = metrics.at("seconds").as_number()};
            if (found.method != name_of(method)) {
                throw std::runtime_error("is of method " + found.method);
            }
            const auto& configuration = metrics.at("configuration");
            const std::string setting = support::json_number(configuration.at("images").as_number()) + " images, " +
                                        support::json_number(configuration.at("epochs").as_number()) +
                                        " epochs, seed " + support::json_number(metrics.at("seed").as_number());
            if (!first_setting.empty() && setting != first_setting) {
                throw std::runtime_error("is of " + setting + ", another run of " + first_setting);
            }
            first_setting = setting;
            for (const auto& [name, head] : line_names) {
                const auto& line = metrics.at("results").at(name);
                found.lines.push_back({name, line.at("trained").as_number(), line.at("raw").as_number(),
                                       line.at("untrained").as_number()});
            }
            runs.push_back(std::move(found));
        } catch (const std::runtime_error& error) {
            throw std::runtime_error(path.string() + ": " + error.what());
        }
    }
    const std::vector<result_line>& moco = runs[1].lines;
    const std::vector<result_line>& pcl = runs[2].lines;
    std::printf("Fashion-MNIST, %s\nTest images, percent right (AMI: 1 is agreement with the classes, 0 chance)\n\n",
                first_setting.c_str());
    detail::print_heads();
    detail::print_row("raw pixels", pcl.size(), [&](std::size_t i) { return pcl[i].raw; });
    detail::print_row("untrained network", pcl.size(), [&](std::size_t i) { return pcl[i].untrained; });
    for (const run& each : runs) {
        detail::print_row(each.method, each.lines.size(), [&](std::size_t i) { return each.lines[i].trained; });
    }
    int equalled = 0;
    for (std::size_t i = 0; i < pcl.size(); ++i) {
        equalled += pcl[i].trained >= moco[i].trained ? 1 : 0;
    }
    std::printf("\npcl at least equals moco on %d of %d lines.  Seconds:", equalled, static_cast<int>(pcl.size()));
    for (const run& each : runs) {
        std::printf(" %s %.0f", each.method.c_str(), each.seconds);
    }
    std::printf("\n");
}

} // namespace fashion

// SPDX-License-Identifier: MIT
// losses_peer LOSS FOLDER RUNS THREADS: one loss with its gradients on the arrays of FOLDER, as losses_torch.py has it.
//
// Reads FOLDER/<input>.npy, writes FOLDER/<output>.ours.npy, and prints one line of JSON: value, seconds of each run
// after a first one, and how far the peak of the resident memory rose over all of them. Reading files is in neither.
#include "../../examples/support/npy.hpp"

#include <protonce/backend/cpu.hpp>
#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/nt_xent.hpp>
#include <protonce/m_step/proto_nce.hpp>

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using protonce::index_t;
using protonce::label_t;
using protonce::view_rows;
using protonce::view_vector;
using backend = protonce::cpu_backend<float>;

class peak_growth {
public:
    peak_growth() {
        std::ofstream("/proc/self/clear_refs") << "5"; // the peak falls to what is resident now
        start_ = status("VmRSS:");
    }
    long kibibytes() const { return status("VmHWM:") - start_; }

private:
    static long status(const std::string& field) {
        std::ifstream file("/proc/self/status");
        for (std::string word; file >> word;) {
            if (word == field) {
                long value = 0;
                file >> value;
                return value;
            }
        }
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        return usage.ru_maxrss;
    }
    long start_;
};

class loss_run {
public:
    loss_run(std::string folder, int runs, int threads) : folder_(std::move(folder)), runs_(runs), be({threads}) {}

    template <class T>
    support::npy_matrix<T> read(const std::string& name) const {
        return support::read_npy<T>(folder_ + "/" + name + ".npy");
    }

    template <class T>
    void write(const std::string& name, const std::vector<T>& values, index_t cols) const {
        const auto rows = static_cast<index_t>(values.size()) / cols;
        support::write_npy(folder_ + "/" + name + ".ours.npy", values.data(), {rows, cols});
    }

    /// Times `compute`, which returns the value of the loss, and prints.
    void measure(const std::function<float()>& compute) const {
        const peak_growth growth;
        float value = compute();
        std::string seconds;
        for (int run = 0; run < runs_; ++run) {
            const auto start = std::chrono::steady_clock::now();
            value = compute();
            const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
            seconds += (run > 0 ? ", " : "") + std::to_string(elapsed.count());
        }
        std::printf("{\"value\": %.9g, \"seconds\": [%s], \"peak_growth_bytes\": %ld}\n", static_cast<double>(value),
                    seconds.c_str(), growth.kibibytes() * 1024);
    }

private:
    std::string folder_;
    int runs_;

public:
    backend be;
};

template <class T>
auto rows_of(const support::npy_matrix<T>& matrix) {
    return view_rows(matrix.values.data(), matrix.rows, matrix.cols);
}

void info_nce(loss_run& run) {
    const auto query = run.read<float>("query"), positive = run.read<float>("positive");
    const auto negatives = run.read<float>("negatives");
    std::vector<float> gradient(query.values.size());
    run.measure([&] {
        float loss = 0;
        protonce::info_nce(run.be,
                           {.query = rows_of(query), .positive = rows_of(positive), .negatives = rows_of(negatives)},
                           {.temperature = 0.2},
                           {.loss = {&loss, 1}, .grad_query = view_rows(gradient.data(), query.rows, query.cols)});
        return loss;
    });
    run.write("grad_query", gradient, query.cols);
}

void nt_xent(loss_run& run) {
    const auto first = run.read<float>("first"), second = run.read<float>("second");
    std::vector<float> grad_first(first.values.size()), grad_second(second.values.size());
    run.measure([&] {
        float loss = 0;
        protonce::nt_xent(run.be, {.first = rows_of(first), .second = rows_of(second)}, {.temperature = 0.5},
                          {.loss = {&loss, 1},
                           .grad_first = view_rows(grad_first.data(), first.rows, first.cols),
                           .grad_second = view_rows(grad_second.data(), second.rows, second.cols)});
        return loss;
    });
    run.write("grad_first", grad_first, first.cols);
    run.write("grad_second", grad_second, second.cols);
}

// The negatives are drawn in every run. Those of the last are written: each run draws the same.
void proto_nce(loss_run& run) {
    constexpr std::size_t num_levels = 3;
    const auto query = run.read<float>("query");
    const auto sample = run.read<std::int64_t>("sample");
    const auto negatives = run.read<std::int64_t>("num_negatives").values.at(0);
    std::vector<support::npy_matrix<float>> prototypes, temperatures;
    std::vector<support::npy_matrix<std::int32_t>> assignment;
    std::vector<std::vector<index_t>> columns;
    for (std::size_t m = 0; m < num_levels; ++m) {
        const auto number = std::to_string(m);
        prototypes.push_back(run.read<float>("prototypes_" + number));
        temperatures.push_back(run.read<float>("temperatures_" + number));
        assignment.push_back(run.read<std::int32_t>("assignment_" + number));
        columns.emplace_back(static_cast<std::size_t>(query.rows + negatives));
    }
    std::vector<protonce::prototype_level<float, protonce::host>> levels;
    std::vector<protonce::column_draw<float, protonce::host>> drawn;
    for (std::size_t m = 0; m < num_levels; ++m) {
        levels.push_back({rows_of(prototypes[m]), view_vector(std::as_const(assignment[m].values)),
                          view_vector(std::as_const(temperatures[m].values))});
        drawn.push_back({.column_id = view_vector(columns[m])});
    }
    std::vector<float> gradient(query.values.size());
    const std::vector<index_t> sample_id(sample.values.begin(), sample.values.end());
    run.measure([&] {
        float loss = 0;
        protonce::proto_nce(run.be, {.query = rows_of(query), .sample = view_vector(sample_id), .levels = levels},
                            {.num_negatives = negatives, .seed = 7},
                            {.loss = {&loss, 1},
                             .grad_query = view_rows(gradient.data(), query.rows, query.cols),
                             .columns = std::span<const protonce::column_draw<float, protonce::host>>(drawn)});
        return loss;
    });
    run.write("grad_query", gradient, query.cols);
    for (std::size_t m = 0; m < num_levels; ++m) {
        run.write("columns_" + std::to_string(m), columns[m], static_cast<index_t>(columns[m].size()));
    }
}

} // namespace

int main(int argc, char** argv) {
    const std::string loss = argc == 5 ? argv[1] : "";
    if (loss != "info_nce" && loss != "nt_xent" && loss != "proto_nce") {
        std::fputs("usage: losses_peer info_nce|nt_xent|proto_nce FOLDER RUNS THREADS\n", stderr);
        return 2;
    }
    try {
        loss_run run(argv[2], std::stoi(argv[3]), std::stoi(argv[4]));
        (loss == "info_nce" ? info_nce : loss == "nt_xent" ? nt_xent : proto_nce)(run);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "losses_peer: %s\n", error.what());
        return 1;
    }
}

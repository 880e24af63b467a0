// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

/// Times by events: medians of `repeats` runs after two that are not counted.
namespace gpu_bench {

inline std::FILE* json = nullptr;
inline int repeats = 20;

inline void require(cudaError_t status) {
    protonce::detail::cuda::require_success(status, "timing");
}

/// Median of milliseconds.
inline double measure(cudaStream_t stream, const std::function<void()>& work) {
    cudaEvent_t begin{};
    cudaEvent_t end{};
    require(cudaEventCreate(&begin));
    require(cudaEventCreate(&end));
    std::vector<float> times;
    for (int i = -2; i < repeats; ++i) {
        require(cudaEventRecord(begin, stream));
        work();
        require(cudaEventRecord(end, stream));
        require(cudaEventSynchronize(end));
        float ms = 0;
        require(cudaEventElapsedTime(&ms, begin, end));
        if (i >= 0) {
            times.push_back(ms);
        }
    }
    require(cudaEventDestroy(begin));
    require(cudaEventDestroy(end));
    std::nth_element(times.begin(), times.begin() + repeats / 2, times.end());
    return static_cast<double>(times[static_cast<std::size_t>(repeats / 2)]);
}

/// The same for work recorded in a CUDA graph, after one call that takes its scratch memory.
inline double measure_replayed(cudaStream_t stream, const std::function<void()>& work) {
    cudaGraph_t graph{};
    cudaGraphExec_t executable{};
    work();
    require(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    work();
    require(cudaStreamEndCapture(stream, &graph));
    require(cudaGraphInstantiate(&executable, graph, 0));
    const double out = measure(stream, [&] { require(cudaGraphLaunch(executable, stream)); });
    require(cudaGraphExecDestroy(executable));
    require(cudaGraphDestroy(graph));
    return out;
}

/// rate: in units of 1e12 a second.
inline void report(const std::string& name, double ms, double operations, const char* unit) {
    const double rate = operations / ms / 1e9;
    std::printf("%-64s %10.3f ms %10.2f %s\n", name.c_str(), ms, rate, unit);
    if (json != nullptr) {
        std::fprintf(json, "{\"name\": \"%s\", \"milliseconds\": %.6g, \"rate\": %.6g, \"unit\": \"%s\"}\n",
                     name.c_str(), ms, rate, unit);
    }
}

/// A loss, call by call and in a CUDA graph.
inline void report_loss(protonce::detail::cuda::run& run, const std::string& name, const std::function<void()>& work,
                        double operations) {
    report(name, measure(run.stream(), work), operations, "TFLOP/s");
    report(name + ", replayed", measure_replayed(run.stream(), work), operations, "TFLOP/s");
}

} // namespace gpu_bench

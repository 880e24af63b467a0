// SPDX-License-Identifier: MIT
#pragma once
#include <support/backends.hpp>

#ifdef PROTONCE_TEST_CUDA
#include <cuda_runtime_api.h>
#endif

namespace test {

/// A backend whose work can be recorded once and replayed: in a CUDA graph, or on the tape of the emulated device.
#ifdef PROTONCE_TEST_CUDA
template <class T>
class recording {
public:
    using backend = protonce::cuda_backend<T>;

    recording() : be({.check_finite = false, .stream = stream_}) {}
    recording(const recording&) = delete;
    recording& operator=(const recording&) = delete;
    ~recording() {
        if (executable_ != nullptr) { // else the runtime keeps an error, and the next sort reports it
            cudaGraphExecDestroy(executable_);
        }
        cudaStreamDestroy(stream_);
    }

    template <class F>
    void record(const F& work) {
        cudaGraph_t graph = nullptr;
        REQUIRE(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal) == cudaSuccess);
        work();
        REQUIRE(cudaStreamEndCapture(stream_, &graph) == cudaSuccess);
        REQUIRE(cudaGraphInstantiate(&executable_, graph, 0) == cudaSuccess);
        cudaGraphDestroy(graph);
    }
    void replay() { REQUIRE(cudaGraphLaunch(executable_, stream_) == cudaSuccess); }
    /// Gives up what was recorded so far.
    void abandon() {
        cudaGraph_t graph = nullptr;
        cudaStreamEndCapture(stream_, &graph);
        cudaGraphDestroy(graph);
        (void)cudaGetLastError();
    }

private:
    static cudaStream_t new_stream() {
        cudaStream_t out = nullptr;
        REQUIRE(cudaStreamCreateWithFlags(&out, cudaStreamNonBlocking) == cudaSuccess);
        return out;
    }
    cudaStream_t stream_ = new_stream();
    cudaGraphExec_t executable_ = nullptr;

public:
    backend be;
};
#else
template <class T>
class recording {
public:
    using backend = emulated_cuda<T>;

    recording()
        : be({.check_finite = false,
              .losses = protonce::loss_precision::standard,
              .recorder = &tape_,
              .has_warp_groups = true}) {} // as architecture 90a
    recording(const recording&) = delete;
    recording& operator=(const recording&) = delete;

    template <class F>
    void record(const F& work) {
        tape_.record();
        work();
        tape_.stop();
    }
    void replay() { tape_.replay(); }
    void abandon() { tape_.stop(); }

private:
    tape tape_;

public:
    backend be;
};
#endif

} // namespace test

// SPDX-License-Identifier: MIT
// A training step recorded once in a CUDA graph, then replayed: one launch for all its kernels. The step number, the queue's position
// and the momentum live on the device and move on there, so replays do what ordinary steps do, to the last bit.
//
// Prints the time of a step made in both ways, and a sentence that it checks:
//     after 50 steps either way: the same 4096 keys, 16640 pushed, the same encoder
#include <protonce/backend/cuda.hpp>
#include <protonce/core/normalize.hpp>
#include <protonce/em/objective.hpp>

#include <cuda_runtime_api.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

using protonce::device;
using protonce::index_t;
using protonce::view_vector;
using backend = protonce::cuda_backend<float>;
using buffer = protonce::buffer<float, device>;

namespace {

constexpr index_t samples = 4096, cols = 64, batch = 320, steps = 50;

std::vector<float> gaussian(index_t size, unsigned seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<float> out(static_cast<std::size_t>(size));
    for (auto& value : out) {
        value = normal(generator);
    }
    return out;
}

buffer place(backend& be, const std::vector<float>& values) {
    buffer out(be.memory(), static_cast<index_t>(values.size()));
    be.write(view_vector(values), out.view());
    return out;
}

/// A run with the smallest of encoders: v = (x + w) / ||x + w||, one learned w for each place in the batch.
class training {
public:
    explicit training(cudaStream_t stream)
        : stream_(stream), be_({.check_finite = false, .stream = stream}), // the check waits: a graph cannot
          run_(be_, {.num_samples = samples,
                     .num_cols = cols,
                     .num_clusters = {50, 200},
                     .warmup_epochs = 0,
                     .queue_size = 4096,
                     .momentum_steps = 1000,
                     .num_negatives = 100,
                     .seed = 1}) {
        be_.fill(weight_.view(), 0.1F);
        be_.fill(average_.view(), 0.1F);
        std::vector<index_t> ids(std::size_t{batch});
        for (std::size_t i = 0; i < ids.size(); ++i) {
            ids[i] = static_cast<index_t>(7 * i);
        }
        be_.write(view_vector(ids), sample_.view());
        buffer everyone = place(be_, gaussian(samples * cols, 3));
        normalize_rows(be_, everyone.rows(cols), everyone.rows(cols), {});
        run_.e_step(be_, everyone.rows(cols));
    }

    void step() {
        const protonce::ema_pair<backend> parameters{average_.view(), weight_.view()};
        run_.update_average(be_, {&parameters, 1});
        embed(first_, average_, key_);
        embed(second_, weight_, query_);
        run_.step(be_, {.query = query_.rows(cols), .positive = key_.rows(cols), .sample = sample_.view()},
                  {.loss = loss_.view(), .grad_query = gradient_.rows(cols)});
        normalize_rows_gradient(be_,
                                {.unit = query_.rows(cols), .norms = norm_.view(), .grad_unit = gradient_.rows(cols)},
                                gradient_.rows(cols));
        be_.axpby(-0.1, gradient_.view(), 1.0, weight_.view());
    }

    void run_ordinary(index_t count) {
        for (index_t i = 0; i < count; ++i) {
            step();
        }
        cudaStreamSynchronize(stream_);
    }
    /// Recording makes no step.
    cudaGraphExec_t record() {
        cudaGraph_t graph = nullptr;
        cudaGraphExec_t executable = nullptr;
        cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal);
        step();
        cudaStreamEndCapture(stream_, &graph);
        cudaGraphInstantiate(&executable, graph, 0);
        cudaGraphDestroy(graph);
        return executable;
    }
    void replay(cudaGraphExec_t executable, index_t count) {
        for (index_t i = 0; i < count; ++i) {
            cudaGraphLaunch(executable, stream_);
        }
        cudaStreamSynchronize(stream_);
    }
    /// The host learns what the replays did.
    void catch_up() { run_.catch_up(be_); }

    std::vector<float> numbers() {
        const index_t keys = run_.queue().size() * cols;
        std::vector<float> out(static_cast<std::size_t>(keys + weight_.size()));
        be_.read({run_.queue().rows().data(), keys}, view_vector(out).slice(0, keys));
        be_.read(weight_.view(), view_vector(out).slice(keys, weight_.size()));
        return out;
    }
    const protonce::memory_queue<backend>& queue() const { return run_.queue(); }

private:
    void embed(const buffer& x, const buffer& weight, buffer& unit) {
        be_.copy(x.view(), unit.view());
        be_.axpby(1.0, weight.view(), 1.0, unit.view());
        normalize_rows(be_, unit.rows(cols), unit.rows(cols), norm_.view());
    }
    buffer room(index_t size) { return buffer(be_.memory(), size); }

    cudaStream_t stream_;
    backend be_;
    protonce::objective<backend> run_;
    buffer first_ = place(be_, gaussian(batch*cols, 1)), second_ = place(be_, gaussian(batch*cols, 2));
    buffer weight_ = room(batch * cols), average_ = room(batch * cols), key_ = room(batch * cols),
           query_ = room(batch * cols), gradient_ = room(batch * cols), norm_ = room(batch), loss_ = room(1);
    protonce::buffer<index_t, device> sample_{be_.memory(), batch};
};

template <class F>
double microseconds_a_step(const F& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() / steps;
}

} // namespace

int main() {
    cudaStream_t stream = nullptr; // not the default one, which cannot be captured
    if (cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) != cudaSuccess) {
        std::puts("Skipped: no GPU");
        return 77; // CTest's code for that
    }
    training ordinary(stream), recorded(stream);
    ordinary.run_ordinary(2); // the first step takes the scratch memory, which recording could not
    recorded.run_ordinary(2);

    const double one = microseconds_a_step([&] { ordinary.run_ordinary(steps); });
    cudaGraphExec_t graph = recorded.record();
    const double other = microseconds_a_step([&] { recorded.replay(graph, steps); });
    cudaGraphExecDestroy(graph);
    recorded.catch_up();
    std::printf("ordinary step %.0f us, replayed %.0f us\n", one, other);

    const bool same = ordinary.numbers() == recorded.numbers() &&
                      ordinary.queue().num_pushed() == recorded.queue().num_pushed() &&
                      ordinary.queue().position() == recorded.queue().position();
    std::printf("after %d steps either way: %s %d keys, %d pushed, %s encoder\n", static_cast<int>(steps),
                same ? "the same" : "OTHER", static_cast<int>(recorded.queue().size()),
                static_cast<int>(recorded.queue().num_pushed()), same ? "the same" : "ANOTHER");
    return same ? EXIT_SUCCESS : EXIT_FAILURE;
}

// SPDX-License-Identifier: MIT
// K-means on a stream and with a memory pool of the caller's, as inside a program that has both already. Everything is queued on
// that stream; all memory comes from the pool, and a second call takes none.
//
// Prints, and checks, on any GPU:
//     100 clusters of 5000 rows: the labels of exact arithmetic, 20 iterations
//     the second call took 0 bytes
#include <protonce/backend/cuda.hpp>
#include <protonce/backend/reference.hpp>
#include <protonce/e_step/assign.hpp>
#include <protonce/e_step/kmeans.hpp>

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory_resource>
#include <new>
#include <random>
#include <utility>
#include <vector>

using protonce::device;
using protonce::index_t;
using protonce::label_t;
using protonce::view_rows;
using protonce::view_vector;

namespace {

/// CUDA's own pool of a device, in the order of a stream: memory that is handed back may be handed out again behind the work that
/// used it, without waiting.
class stream_pool : public std::pmr::memory_resource {
public:
    explicit stream_pool(cudaStream_t stream) : stream_(stream) {}
    std::size_t taken() const { return taken_; }

private:
    void* do_allocate(std::size_t bytes, std::size_t /*alignment*/) override {
        void* out = nullptr;
        if (cudaMallocAsync(&out, bytes, stream_) != cudaSuccess) {
            throw std::bad_alloc();
        }
        taken_ += bytes;
        return out;
    }
    void do_deallocate(void* memory, std::size_t /*bytes*/, std::size_t /*alignment*/) override {
        cudaFreeAsync(memory, stream_);
    }
    bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

    cudaStream_t stream_;
    std::size_t taken_ = 0;
};

} // namespace

int main() {
    cudaStream_t stream = nullptr;
    if (cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) != cudaSuccess) {
        std::puts("Skipped: no GPU");
        return 77; // CTest's code for that
    }
    bool passes = true;
    {
        stream_pool pool(stream);
        protonce::cuda_backend<float> be({.memory = &pool, .stream = stream});

        constexpr index_t rows = 5000, cols = 32, clusters = 100;
        std::mt19937 generator(1);
        std::normal_distribution<float> normal;
        std::vector<float> values(std::size_t{rows * cols});
        for (auto& value : values) {
            value = normal(generator);
        }
        protonce::buffer<float, device> features(be.memory(), rows * cols);
        be.write(view_vector(values), features.view()); // queued: `values` may change, the device's memory not yet

        protonce::clustering level(be, rows, cols, clusters);
        const auto report = kmeans(be, features.rows(cols), {.iterations = 20}, level);

        // The same labels from arithmetic without rounding, on the host.
        std::vector<float> centroids(std::size_t{clusters * cols});
        std::vector<label_t> labels(rows), exact(rows);
        be.read({std::as_const(level).centroids().data(), clusters * cols},
                view_vector(centroids)); // waits for the stream
        be.read(std::as_const(level).assignment(), view_vector(labels));
        protonce::reference_backend<float> reference;
        assign(reference, view_rows(std::as_const(values).data(), rows, cols),
               view_rows(std::as_const(centroids).data(), clusters, cols), view_vector(exact), {});
        passes = labels == exact;
        std::printf("%d clusters of %d rows: %s, %d iterations\n", static_cast<int>(clusters), static_cast<int>(rows),
                    passes ? "the labels of exact arithmetic" : "WRONG labels", static_cast<int>(report.iterations));

        const std::size_t before = pool.taken();
        kmeans(be, features.rows(cols), {.iterations = 20}, level);
        std::printf("the second call took %zu bytes\n", pool.taken() - before);
        passes = passes && pool.taken() == before;
    }
    cudaStreamDestroy(stream);
    return passes ? EXIT_SUCCESS : EXIT_FAILURE;
}

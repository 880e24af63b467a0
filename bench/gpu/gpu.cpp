// SPDX-License-Identifier: MIT
// cuda_backend, timed. Prints a table and, with --json FILE, one JSON object a line. The ceilings of the machine come from the same
// run: a copy within the device, and the tensor-core instruction that the kernels use, over and over.
#include "timing.hpp"

#include <protonce/backend/cuda.hpp>
#include <protonce/e_step/clustering.hpp>
#include <protonce/e_step/kmeans.hpp>
#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/m_step.hpp>
#include <protonce/m_step/nt_xent.hpp>
#include <protonce/m_step/proto_nce.hpp>
#include <protonce/momentum/memory_queue.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace protonce;
using namespace gpu_bench;
using backend_type = cuda_backend<float>;

namespace {

/// Uniform in [-1, 1), by the library's generator.
struct random_values {
    static constexpr int threads = 256;
    float* out;
    index_t size;
    std::uint64_t seed;

    PROTONCE_DEVICE void operator()() const {
        const index_t i = index_t{detail::cuda::block_index()} * threads + detail::cuda::thread_index();
        if (i < size) {
            const rng_key key{.seed = seed};
            out[i] = static_cast<float>(2 * random_uniform(key, static_cast<std::uint64_t>(i)) - 1);
        }
    }
};

/// Eight chains of 1024 tensor-core instructions a warp, on numbers around 1.
template <bool is_half>
struct product_peak {
    static constexpr int threads = 128;
    static constexpr int rounds = 1024;
    float* out;

    PROTONCE_DEVICE void operator()() const {
        float sum[8][4] = {};
        const auto value = [](int i) {
            const float one = 0.01F * static_cast<float>((detail::cuda::thread_index() * 7 + i) % 200 - 100);
            return is_half ? detail::cuda::to_f16_pair(one, -one) : detail::cuda::to_tf32(one);
        };
        const std::uint32_t a[4] = {value(0), value(31), value(57), value(92)};
        const std::uint32_t b[2] = {value(11), value(73)};
        for (int r = 0; r < rounds; ++r) {
            PROTONCE_UNROLL for (int n = 0; n < 8; ++n) {
                if constexpr (is_half) {
                    detail::cuda::multiply_add_f16(sum[n], a, b);
                } else {
                    detail::cuda::multiply_add_tf32(sum[n], a, b);
                }
            }
        }
        float all = 0;
        for (int n = 0; n < 8; ++n) {
            all += sum[n][0] + sum[n][1] + sum[n][2] + sum[n][3];
        }
        out[detail::cuda::block_index() * threads + detail::cuda::thread_index()] = all;
    }
};

/// Without a stride.
void fill_unit_rows(backend_type& be, detail::cuda::run& run, matrix_view<float, device> rows, std::uint64_t seed) {
    constexpr index_t threads = random_values::threads;
    const index_t size = rows.rows() * rows.cols();
    run.launch((size + threads - 1) / threads, 0, random_values{rows.data(), size, seed});
    be.normalize_rows(matrix_view<const float, device>(rows), rows, {});
}

class device_rows {
public:
    device_rows(backend_type& be, detail::cuda::run& run, index_t rows, index_t cols, std::uint64_t seed)
        : memory_(be.memory(), rows * cols), cols_(cols) {
        fill_unit_rows(be, run, view(), seed);
    }
    matrix_view<const float, device> view() const { return memory_.rows(cols_); }
    matrix_view<float, device> view() { return memory_.rows(cols_); }

private:
    buffer<float, device> memory_;
    index_t cols_;
};

void measure_ceilings(backend_type& be, detail::cuda::run& run, int processors) {
    constexpr index_t values = index_t{1} << 28;
    buffer<float, device> from(be.memory(), values), to(be.memory(), values);
    be.fill(from.view(), 1.0F);
    report("ceiling: copy of 1 GiB", measure(run.stream(), [&] { be.copy(from.view(), to.view()); }),
           2.0 * values * sizeof(float), "TB/s");
    const index_t blocks = index_t{processors} * 16;
    using tf32 = product_peak<false>;
    const double operations = 2.0 * 16 * 8 * 8 * 8 * tf32::rounds * (tf32::threads / 32) * static_cast<double>(blocks);
    report("ceiling: mma.sync TF32", measure(run.stream(), [&] { run.launch(blocks, 0, tf32{to.view().data()}); }),
           operations, "TFLOP/s");
    report("ceiling: mma.sync half precision",
           measure(run.stream(), [&] { run.launch(blocks, 0, product_peak<true>{to.view().data()}); }), 2 * operations,
           "TFLOP/s");
}

void measure_kmeans(backend_type& be, detail::cuda::run& run, index_t rows, index_t cols, index_t clusters) {
    const device_rows features(be, run, rows, cols, 1);
    const device_rows centroids(be, run, clusters, cols, 2);
    buffer<label_t, device> label(be.memory(), rows);
    buffer<double, device> sum(be.memory(), clusters * cols), count(be.memory(), clusters);
    buffer<float, device> mean(be.memory(), clusters * cols);
    auto index = be.index_rows(features.view(), true);
    const double operations =
        2.0 * static_cast<double>(rows) * static_cast<double>(cols) * static_cast<double>(clusters);
    const std::string sizes =
        " N=" + std::to_string(rows) + " C=" + std::to_string(cols) + " K=" + std::to_string(clusters);
    report("nearest_row" + sizes,
           measure(run.stream(), [&] { be.nearest_row(index, centroids.view(), label.view(), {}); }), operations,
           "TFLOP/s");
    backend_type fast({.check_finite = false, .stream = run.stream(), .search = nearest_search::fast});
    report("nearest_row, fast" + sizes,
           measure(run.stream(), [&] { fast.nearest_row(index, centroids.view(), label.view(), {}); }), operations,
           "TFLOP/s");
    report("Lloyd iteration" + sizes,
           measure(run.stream(),
                   [&] {
                       be.nearest_row(index, centroids.view(), label.view(), {});
                       be.segment_sum(features.view(), {}, label.view(), sum.rows(cols), count.view());
                       be.mean_rows(sum.rows(cols), count.view(), mean.rows(cols));
                   }),
           operations, "TFLOP/s");
}

/// Against rows as they are, which each call packs, and against a queue, which keeps them packed.
void measure_info_nce(backend_type& be, detail::cuda::run& run, const char* precision, index_t batch, index_t queue) {
    constexpr index_t cols = 128;
    const device_rows query(be, run, batch, cols, 3), positive(be, run, batch, cols, 4);
    const memory_queue<backend_type> keys(be, {.capacity = queue, .num_cols = cols});
    buffer<float, device> loss(be.memory(), 1), gradient(be.memory(), batch * cols);
    const double operations = 6.0 * static_cast<double>(batch) * static_cast<double>(queue) * cols;
    for (const bool is_kept : {false, true}) {
        if (is_kept && keys.packed().empty()) {
            continue;
        }
        const auto work = [&] {
            info_nce(be,
                     {.query = query.view(),
                      .positive = positive.view(),
                      .negatives = keys.rows(),
                      .packed_negatives = is_kept ? keys.packed() : vector_view<const float, device>{}},
                     {.temperature = 0.2}, {.loss = loss.view(), .grad_query = gradient.rows(cols)});
        };
        const std::string name = std::string("info_nce and its gradient, ") + precision +
                                 " B=" + std::to_string(batch) + " R=" + std::to_string(queue) + " C=128" +
                                 (is_kept ? ", kept" : "");
        report_loss(run, name, work, operations);
    }
}

void measure_nt_xent(backend_type& be, detail::cuda::run& run, const char* precision, index_t batch) {
    constexpr index_t cols = 128;
    const device_rows first(be, run, batch, cols, 8), second(be, run, batch, cols, 9);
    buffer<float, device> loss(be.memory(), 1), grad_first(be.memory(), batch * cols),
        grad_second(be.memory(), batch * cols);
    const double operations = 32.0 * static_cast<double>(batch) * static_cast<double>(batch) * cols;
    const auto work = [&] {
        nt_xent(be, {.first = first.view(), .second = second.view()}, {.temperature = 0.2},
                {.loss = loss.view(), .grad_first = grad_first.rows(cols), .grad_second = grad_second.rows(cols)});
    };
    const std::string name =
        std::string("nt_xent and its gradients, ") + precision + " B=" + std::to_string(batch) + " C=128";
    report_loss(run, name, work, operations);
}

struct label_samples {
    label_t* label;
    index_t clusters;
    PROTONCE_HOST_DEVICE void operator()(index_t i) const { label[i] = static_cast<label_t>(i * 7919 % clusters); }
};
struct number_samples {
    index_t* id;
    PROTONCE_HOST_DEVICE void operator()(index_t i) const { id[i] = 31 * i; }
};
struct add_one {
    index_t* number;
    PROTONCE_HOST_DEVICE void operator()(index_t) const { ++number[0]; }
};

/// Levels of prototypes, what a step of training needs of them, and the number of the step.
class device_levels {
public:
    static constexpr index_t cols = 128;
    static constexpr index_t samples = 1 << 20;
    using level = prototype_level<float, device>;

    device_levels(backend_type& be, detail::cuda::run& run, index_t batch, const std::vector<index_t>& clusters)
        : sample_(be.memory(), batch), step_(be.memory(), 1) {
        for (const index_t count : clusters) {
            clustering<backend_type>& of = levels_.emplace_back(be, samples, cols, count);
            fill_unit_rows(be, run, of.prototypes(), 7);
            be.fill(of.temperatures(), 0.2F);
            be.for_each(samples, label_samples{of.assignment().data(), count});
            of.pack(be);
        }
        be.for_each(batch, number_samples{sample_.view().data()});
        be.fill(step_.view(), index_t{0});
    }
    /// As an E-step leaves them, or as they are.
    std::vector<level> levels(bool is_kept) const {
        std::vector<level> out;
        for (const auto& of : levels_) {
            out.push_back(of.level());
            out.back().packed = is_kept ? out.back().packed : vector_view<const float, device>{};
        }
        return out;
    }
    bool has_kept() const { return !levels_.front().level().packed.empty(); }
    vector_view<const index_t, device> sample() const { return sample_.view(); }
    vector_view<const index_t, device> step() const { return step_.view(); }
    void advance(backend_type& be) { be.for_each(1, add_one{step_.view().data()}); }

private:
    std::vector<clustering<backend_type>> levels_;
    buffer<index_t, device> sample_, step_;
};

/// Three levels, their negatives drawn anew in each call.
void measure_proto_nce(backend_type& be, detail::cuda::run& run, const char* precision, index_t batch,
                       const std::vector<index_t>& clusters, index_t negatives) {
    constexpr index_t cols = device_levels::cols;
    const device_rows query(be, run, batch, cols, 6);
    device_levels all(be, run, batch, clusters);
    buffer<float, device> loss(be.memory(), 1), gradient(be.memory(), batch * cols);
    const double operations =
        6.0 * static_cast<double>(clusters.size()) * static_cast<double>(batch * (batch + negatives)) * cols;
    for (const bool is_kept : {false, true}) {
        if (is_kept && !all.has_kept()) {
            continue;
        }
        const auto levels = all.levels(is_kept);
        const auto work = [&] {
            proto_nce(be, {.query = query.view(), .sample = all.sample(), .levels = levels, .step = all.step()},
                      {.num_negatives = negatives}, {.loss = loss.view(), .grad_query = gradient.rows(cols)});
            all.advance(be);
        };
        const std::string name = std::string("proto_nce and its gradient, three levels, ") + precision +
                                 " B=" + std::to_string(batch) + " R=" + std::to_string(negatives) + " C=128" +
                                 (is_kept ? ", kept" : "");
        report_loss(run, name, work, operations);
    }
}

/// A queue and three levels with as many negatives each, and how often queries find their key and their prototype.
void measure_m_step(backend_type& be, detail::cuda::run& run, const char* precision, index_t batch,
                    const std::vector<index_t>& clusters, index_t negatives) {
    constexpr index_t cols = device_levels::cols;
    const device_rows query(be, run, batch, cols, 6), positive(be, run, batch, cols, 4);
    const memory_queue<backend_type> queue(be, {.capacity = negatives, .num_cols = cols});
    device_levels all(be, run, batch, clusters);
    const auto levels = all.levels(true);
    const auto num_levels = static_cast<index_t>(clusters.size());
    buffer<float, device> loss(be.memory(), 1), accuracy(be.memory(), 1), accuracies(be.memory(), num_levels),
        gradient(be.memory(), batch * cols);
    const auto work = [&] {
        m_step(be,
               {.query = query.view(),
                .positive = positive.view(),
                .negatives = queue.rows(),
                .packed_negatives = queue.packed(),
                .sample = all.sample(),
                .levels = levels,
                .step = all.step()},
               {.num_negatives = negatives},
               {.loss = loss.view(),
                .accuracy_instance = accuracy.view(),
                .accuracy_per_level = accuracies.view(),
                .grad_query = gradient.rows(cols)});
        all.advance(be);
    };
    const double columns =
        static_cast<double>(negatives) * static_cast<double>(1 + num_levels) + static_cast<double>(batch * num_levels);
    const double operations = 6.0 * static_cast<double>(batch) * columns * cols;
    const std::string name = std::string("m_step with a queue and three levels, ") + precision +
                             " B=" + std::to_string(batch) + " R=" + std::to_string(negatives) + " C=128";
    report_loss(run, name, work, operations);
}

} // namespace

int main(int argc, char** argv) {
    bool quick = false;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--quick") == 0) {
            quick = true;
            repeats = 3;
        } else if (std::strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            json = std::fopen(argv[++i], "w");
            if (json == nullptr) {
                std::perror(argv[i]);
                return EXIT_FAILURE;
            }
        } else {
            std::printf("usage: gpu [--quick] [--json FILE]\n");
            return std::strcmp(argv[i], "--help") == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        }
    }
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
        std::printf("Skipped: no GPU\n");
        return 77;
    }
    try {
        cudaDeviceProp device{};
        require(cudaGetDeviceProperties(&device, 0));
        std::printf("%s, compute capability %d.%d, medians of %d\n", device.name, device.major, device.minor, repeats);
        cudaStream_t stream{}; // the default one cannot be captured
        require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        detail::cuda::run run(stream);
        backend_type be({.check_finite = false, .stream = stream});
        measure_ceilings(be, run, device.multiProcessorCount);
        using sizes = std::vector<std::pair<index_t, index_t>>; // N and K; the last two have few blocks of rows
        const sizes all{{1281167, 1000},   {1281167, 25000}, {1281167, 50000},
                        {1281167, 100000}, {10000, 1000},    {256, 100000}};
        for (const auto& [rows, clusters] : quick ? sizes{{20000, 1000}} : all) {
            measure_kmeans(be, run, rows, 128, clusters);
            be.scratch().release();
        }
        const auto precisions = {std::pair{loss_precision::fast, "fast"},
                                 std::pair{loss_precision::standard, "standard"},
                                 std::pair{loss_precision::precise, "precise"}};
        for (const auto& [losses, name] : precisions) {
            backend_type of_precision({.check_finite = false, .stream = stream, .losses = losses});
            for (const index_t batch : quick ? std::vector<index_t>{256} : std::vector<index_t>{256, 1024, 4096}) {
                measure_info_nce(of_precision, run, name, batch, quick ? 4096 : 65536);
            }
            for (const index_t batch : quick ? std::vector<index_t>{256} : std::vector<index_t>{256, 4096}) {
                measure_nt_xent(of_precision, run, name, batch);
            }
            const auto clusters =
                quick ? std::vector<index_t>{500, 1000, 1500} : std::vector<index_t>{25000, 50000, 100000};
            measure_proto_nce(of_precision, run, name, 256, clusters, quick ? 1024 : 16384);
            measure_m_step(of_precision, run, name, 256, clusters, quick ? 1024 : 16384);
        }
    } catch (const std::exception& error) {
        std::printf("%s\n", error.what());
        return EXIT_FAILURE;
    }
    return json != nullptr && std::fclose(json) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

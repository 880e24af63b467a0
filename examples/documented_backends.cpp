// SPDX-License-Identifier: MIT
// The code of docs/backends.md and docs/numerics.md, built and run. Each part checks what it says.
#include <protonce/backend/cpu.hpp>
#include <protonce/backend/reference.hpp>
#include <protonce/core/contrast.hpp>
#include <protonce/e_step/assign.hpp>
#include <protonce/e_step/kmeans.hpp>
#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/symmetric_info_nce.hpp>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory_resource>
#include <random>
#include <span>
#include <thread>
#include <vector>

namespace {

using protonce::index_t;
using protonce::label_t;
using protonce::view_rows;
using protonce::view_vector;

int failures = 0;

void expect(bool holds, const char* sentence) {
    std::printf("%s  %s\n", holds ? "ok  " : "FAIL", sentence);
    failures += holds ? 0 : 1;
}

std::vector<float> normal_rows(index_t rows, index_t cols, unsigned seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<float> out(static_cast<std::size_t>(rows * cols));
    for (float& value : out) {
        value = normal(generator);
    }
    return out;
}

template <class Backend>
std::vector<float> centroids_of(Backend& be, const std::vector<float>& rows, index_t N, index_t C, index_t K) {
    protonce::clustering level(be, N, C, K);
    kmeans(be, view_rows(rows.data(), N, C), {.iterations = 10, .seed = 7}, level);
    const auto centroids = level.centroids();
    return {centroids.data(), centroids.data() + K * C};
}

/// Runs tasks on threads of its own, round robin.
// [snippet executor]
void run_on_own_threads(void* context, index_t tasks, void (*task)(void* data, index_t i), void* data) {
    const index_t count = *static_cast<const index_t*>(context);
    std::vector<std::thread> threads;
    for (index_t t = 0; t < count; ++t) {
        threads.emplace_back([=] {
            for (index_t i = t; i < tasks; i += count) {
                task(data, i);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
}
// [/snippet]

void threads() {
    constexpr index_t N = 3000, C = 24, K = 20;
    const auto rows = normal_rows(N, C, 1);
    // [snippet threads]
    protonce::cpu_backend<float> as_openmp_says;      // OMP_NUM_THREADS, omp_set_num_threads(); 1 without OpenMP
    protonce::cpu_backend<float> two({.threads = 2}); // two workers
    index_t count = 3;                                // three workers on threads of the caller's
    protonce::cpu_backend<float> own({.threads = 3, .own_threads = {.context = &count, .run = run_on_own_threads}});
    // [/snippet]
    const auto expected = centroids_of(as_openmp_says, rows, N, C, K);
    expect(centroids_of(two, rows, N, C, K) == expected && centroids_of(own, rows, N, C, K) == expected,
           "the same bits for any number and kind of threads");
}

void memory() {
    constexpr index_t N = 1000, C = 16, K = 8;
    const auto rows = normal_rows(N, C, 2);
    // [snippet memory]
    std::pmr::synchronized_pool_resource pool; // any memory resource; it must outlive backend, clusterings and queues
    protonce::cpu_backend<float> be({.memory = &pool});
    protonce::clustering level(be, N, C, K);
    kmeans(be, view_rows(rows.data(), N, C), {}, level);
    const index_t held = be.scratch().bytes(); // kept for the next call
    kmeans(be, view_rows(rows.data(), N, C), {}, level);
    const bool grew = be.scratch().bytes() != held; // false: an identical call allocates nothing
    be.scratch().release();                         // gives scratch back to the resource
    // [/snippet]
    expect(held > N * C * 4 && !grew && be.scratch().bytes() == 0, "scratch is kept until it is released");
}

void finite_check() {
    constexpr index_t B = 4, C = 3;
    auto query = normal_rows(B, C, 3);
    const auto key = normal_rows(B, C, 4);
    query[4] = std::numeric_limits<float>::quiet_NaN(); // row 1
    std::vector<float> loss(B);
    // [snippet check_finite]
    protonce::cpu_backend<float> trusting({.check_finite = false}); // saves one pass over the features
    info_nce(trusting, {.query = view_rows(query.data(), B, C), .positive = view_rows(key.data(), B, C)},
             {.pool = protonce::key_pool::batch, .reduction = protonce::reduction::none}, {.loss = view_vector(loss)});
    // loss[1] is NaN; the other rows are as they would be without it
    // [/snippet]
    expect(std::isnan(loss[1]) && std::isfinite(loss[0]) && std::isfinite(loss[3]), "NaN in gives NaN out");
    bool refused = false;
    try {
        protonce::cpu_backend<float> careful;
        info_nce(careful, {.query = view_rows(query.data(), B, C), .positive = view_rows(key.data(), B, C)},
                 {.pool = protonce::key_pool::batch}, {.loss = view_vector(loss).slice(0, 1)});
    } catch (const protonce::argument_error&) {
        refused = true;
    }
    expect(refused, "with the check on it is refused");
}

// [snippet own]
/// The reference with one operation replaced: counts how often it is called and on how many problems.
class counting_backend : public protonce::reference_backend<float> {
public:
    void softmax_contrast(std::span<const protonce::contrast<float, protonce::host>> problems) {
        ++calls;
        last_problems = problems.size();
        reference_backend::softmax_contrast(problems);
    }
    int calls = 0;
    std::size_t last_problems = 0;
};
static_assert(protonce::backend<counting_backend>);
// [/snippet]

void own_backend() {
    constexpr index_t B = 8, C = 4;
    const auto query = normal_rows(B, C, 6);
    const auto key = normal_rows(B, C, 7);
    std::vector<float> loss(1);
    counting_backend be;
    symmetric_info_nce(be, {.first = view_rows(query.data(), B, C), .second = view_rows(key.data(), B, C)}, {},
                       {.loss = view_vector(loss)});
    expect(be.calls == 1 && be.last_problems == 2, "both directions of the symmetric loss go in one call");
}

/// An operation of the seam, called directly: one query, three columns of two temperatures, the second its own.
void seam() {
    const std::vector<float> query{1, 0}, columns{0.8F, 0.6F, 1, 0, 0, 1}, temperature{0.2F, 0.1F, 0.2F};
    const std::vector<label_t> own{1};
    std::vector<float> loss(1), gradient(2);
    protonce::reference_backend<float> be;
    // [snippet contrast]
    const protonce::contrast<float, protonce::host> problem{.query = view_rows(query.data(), 1, 2),
                                                            .columns = view_rows(columns.data(), 3, 2),
                                                            .own = view_vector(own),
                                                            .temperature = view_vector(temperature),
                                                            .loss = view_vector(loss),
                                                            .grad_query = view_rows(gradient.data(), 1, 2)};
    be.softmax_contrast(std::span(&problem, 1));
    // [/snippet]
    // Logits 4, 10, 0. A temperature of 0.1F is off by half a unit of float, 6e-8, which moves the logit 10 by 6e-7;
    // a loss this small changes in proportion to e^(4 - 10).
    const double expected = std::log1p(std::exp(4.0 - 10.0) + std::exp(0.0 - 10.0));
    expect(std::abs(static_cast<double>(loss[0]) - expected) < 1e-6 * expected, "softmax_contrast: the loss by hand");
}

/// nearest_row on rows far from the origin, where a formula with squares would have nothing left.
void far_away() {
    constexpr index_t N = 400, C = 8, K = 4;
    auto rows = normal_rows(N, C, 5);
    for (float& value : rows) {
        value = value + 10000.0F;
    }
    protonce::cpu_backend<float> fast;
    protonce::reference_backend<float> exact;
    const auto features = view_rows(rows.data(), N, C);
    const auto centroids = features.slice(0, K);
    std::vector<label_t> fast_label(N), exact_label(N);
    std::vector<double> fast_distance(N), exact_distance(N);
    // [snippet far]
    assign(fast, features, centroids, view_vector(fast_label), view_vector(fast_distance));
    assign(exact, features, centroids, view_vector(exact_label), view_vector(exact_distance));
    // [/snippet]
    bool close = true;
    index_t same = 0;
    for (std::size_t i = 0; i < N; ++i) {
        // Where labels differ, rounding of centred values of size 4 decides between near-equal distances.
        close = close && std::abs(fast_distance[i] - exact_distance[i]) <= 1e-4 * exact_distance[i];
        same += fast_label[i] == exact_label[i] ? 1 : 0;
    }
    std::printf("      %d of %d labels are the same\n", static_cast<int>(same), static_cast<int>(N));
    expect(close && same >= N - 4, "an offset of 10000 does not spoil the nearest centroids in float");
}

} // namespace

int main() {
    threads();
    memory();
    finite_check();
    own_backend();
    seam();
    far_away();
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

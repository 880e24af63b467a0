// SPDX-License-Identifier: MIT
// The code of README.md and docs/getting_started.md, built and run. Each part checks what it says.
#include <protonce/backend/cpu.hpp>
#include <protonce/backend/reference.hpp>
#include <protonce/core/normalize.hpp>
#include <protonce/e_step/assign.hpp>
#include <protonce/e_step/concentration.hpp>
#include <protonce/e_step/e_step.hpp>
#include <protonce/e_step/kmeans.hpp>
#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/m_step.hpp>
#include <protonce/metrics/cluster_scores.hpp>
#include <protonce/metrics/effective_rank.hpp>
#include <protonce/metrics/knn.hpp>
#include <protonce/momentum/ema.hpp>
#include <protonce/momentum/memory_queue.hpp>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using protonce::index_t;
using protonce::label_t;

int failures = 0;

void expect(bool holds, const char* sentence) {
    std::printf("%s  %s\n", holds ? "ok  " : "FAIL", sentence);
    failures += holds ? 0 : 1;
}

/// Rows scattered around unit vectors, class of row i: i mod `classes`.
std::vector<float> scattered_rows(index_t rows, index_t cols, index_t classes, float spread, unsigned seed) {
    std::mt19937 generator(11); // the centres do not depend on the seed
    std::normal_distribution<float> normal;
    std::vector<float> centre(static_cast<std::size_t>(classes * cols));
    for (float& value : centre) {
        value = normal(generator);
    }
    generator.seed(seed);
    std::vector<float> out(static_cast<std::size_t>(rows * cols));
    for (index_t i = 0; i < rows * cols; ++i) {
        const index_t from = i / cols % classes * cols + i % cols;
        out[static_cast<std::size_t>(i)] = centre[static_cast<std::size_t>(from)] + spread * normal(generator);
    }
    return out;
}

std::vector<float> unit_rows(index_t rows, index_t cols, index_t classes, float spread, unsigned seed) {
    auto out = scattered_rows(rows, cols, classes, spread, seed);
    protonce::reference_backend<float> be;
    const auto view = protonce::view_rows(out.data(), rows, cols);
    protonce::normalize_rows(be, view, view);
    return out;
}

struct batch {
    static constexpr index_t N = 2000, C = 16, B = 32;

    std::vector<float> momentum_features = unit_rows(N, C, 40, 0.3F, 1);
    std::vector<float> query = unit_rows(B, C, 40, 0.3F, 2);
    std::vector<float> key = unit_rows(B, C, 40, 0.3F, 3);
    std::vector<index_t> ids = std::vector<index_t>(B);
    std::vector<float> loss = std::vector<float>(1);
    std::vector<float> gradient = std::vector<float>(B * C);

    batch() {
        for (index_t i = 0; i < B; ++i) {
            ids[static_cast<std::size_t>(i)] = i;
        }
    }
    double gradient_norm() const {
        double square = 0;
        for (const float g : gradient) {
            square += static_cast<double>(g) * static_cast<double>(g);
        }
        return std::sqrt(square);
    }
};

void readme(batch& data) {
    constexpr index_t N = batch::N, C = batch::C, B = batch::B;
    auto& [momentum_features, query, key, ids, loss, gradient] = data;
    // [snippet readme]
    using protonce::view_rows, protonce::view_vector;
    protonce::cpu_backend<float> be; // or protonce::reference_backend<float>: the lines below stay the same

    // E-step: K-means of the momentum encoder's embeddings at two granularities, prototypes and concentrations.
    std::vector<protonce::clustering<decltype(be)>> levels;
    levels.emplace_back(be, N, C, 50);
    levels.emplace_back(be, N, C, 100);
    e_step(be, view_rows(momentum_features.data(), N, C), {.temperature = 0.2, .seed = 7}, levels);
    const std::array prototypes{levels[0].level(), levels[1].level()};

    // M-step: InfoNCE against the queue and ProtoNCE against the prototypes; the gradient goes to the encoder.
    protonce::memory_queue queue(be, {.capacity = 4096, .num_cols = C});
    m_step(be,
           {.query = view_rows(query.data(), B, C),
            .positive = view_rows(key.data(), B, C),
            .negatives = queue.rows(),
            .sample = view_vector(ids),
            .levels = prototypes},
           {.temperature = 0.2, .num_negatives = 64, .seed = 7},
           {.loss = view_vector(loss), .grad_query = view_rows(gradient.data(), B, C)});
    queue.push(be, view_rows(key.data(), B, C), view_vector(ids));
    // [/snippet]
    expect(queue.is_full() && queue.num_pushed() == B, "the batch's keys are in the queue");
}

/// The same on the reference backend, to compare with.
void readme_on_reference(batch& data) {
    constexpr index_t N = batch::N, C = batch::C, B = batch::B;
    using protonce::view_rows, protonce::view_vector;
    using backend = protonce::reference_backend<float>;
    backend be;
    std::vector<protonce::clustering<backend>> levels;
    levels.emplace_back(be, N, C, 50);
    levels.emplace_back(be, N, C, 100);
    e_step(be, view_rows(data.momentum_features.data(), N, C), {.temperature = 0.2, .seed = 7}, levels);
    const std::array prototypes{levels[0].level(), levels[1].level()};
    protonce::memory_queue queue(be, {.capacity = 4096, .num_cols = C});
    m_step(be,
           {.query = view_rows(data.query.data(), B, C),
            .positive = view_rows(data.key.data(), B, C),
            .negatives = queue.rows(),
            .sample = view_vector(data.ids),
            .levels = prototypes},
           {.temperature = 0.2, .num_negatives = 64, .seed = 7},
           {.loss = view_vector(data.loss), .grad_query = view_rows(data.gradient.data(), B, C)});
}

void check_readme() {
    batch fast, plain;
    readme(fast);
    readme_on_reference(plain);
    const double losses[] = {static_cast<double>(fast.loss[0]), static_cast<double>(plain.loss[0])};
    std::printf("      loss %.6f, on the reference backend %.6f\n", losses[0], losses[1]);
    // Rounding may move a few rows to another cluster: the two agree to a percent, not to the bit.
    expect(std::abs(losses[0] - losses[1]) < 0.01 * losses[1], "cpu and reference agree on the loss");
    expect(std::abs(fast.gradient_norm() - plain.gradient_norm()) < 0.05 * plain.gradient_norm(),
           "cpu and reference agree on the gradient");
}

void clustering() {
    constexpr index_t N = 1000, C = 8, K = 10;
    auto rows = scattered_rows(N, C, K, 0.2F, 4);
    // [snippet views]
    protonce::matrix_view<float> features = protonce::view_rows(rows.data(), N, C); // N x C values, row after row
    protonce::matrix_view<float> first_half(rows.data(), N, C / 2, C);              // stride C: half of each row
    std::vector<label_t> truth(N);
    protonce::vector_view<label_t> classes = protonce::view_vector(truth);
    // [/snippet]
    for (index_t i = 0; i < N; ++i) {
        classes[i] = static_cast<label_t>(i % K);
    }
    expect(first_half.row(1).data() == features.row(1).data(), "a stride skips columns");

    // [snippet kmeans]
    protonce::cpu_backend<float> be;
    protonce::clustering level(be, N, C, K); // memory for N rows of C columns in K clusters
    const auto report = kmeans(be, features, {.iterations = 50, .restarts = 4, .seed = 7}, level);

    std::printf("      inertia %.2f after %d updates, converged: %s\n", report.inertia, report.iterations,
                report.converged ? "yes" : "no");
    const label_t cluster_of_first = level.assignment()[0];
    const auto its_centroid = level.centroids().row(cluster_of_first);
    // [/snippet]
    double distance = 0;
    for (index_t j = 0; j < C; ++j) {
        const double d = static_cast<double>(features(0, j)) - static_cast<double>(its_centroid[j]);
        distance += d * d;
    }
    expect(std::abs(distance - level.squared_distance()[0]) < 1e-12, "squared_distance belongs to the own centroid");

    // [snippet scores]
    const auto scores = protonce::cluster_scores(classes, level.assignment());
    std::printf("      AMI %.3f, ARI %.3f, purity %.3f\n", scores.ami, scores.ari, scores.purity);
    // [/snippet]
    expect(scores.ami > 0.99, "K-means finds well separated groups");

    auto fresh = scattered_rows(20, C, K, 0.2F, 5);
    const auto new_rows = protonce::view_rows(fresh.data(), 20, C);
    // [snippet assign]
    std::vector<label_t> nearest(20);
    assign(be, new_rows, level.centroids(), protonce::view_vector(nearest)); // rows that took no part
    // [/snippet]
    bool same = true;
    for (index_t i = 0; i < 20; ++i) {
        same = same && nearest[static_cast<std::size_t>(i)] == level.assignment()[i];
    }
    expect(same, "new rows of a group get the group's cluster");

    // [snippet concentration]
    const auto spread = concentration(be, level.spread(), {.temperature = 0.2}, level.temperatures());
    // level.prototypes(): unit centroids; level.temperatures(): phi, mean 0.2; spread.is_degenerate: nothing to tell
    // [/snippet]
    double mean = 0;
    for (const float phi : level.temperatures()) {
        mean += static_cast<double>(phi) / static_cast<double>(K);
    }
    expect(!spread.is_degenerate && std::abs(mean - 0.2) < 1e-6, "the mean of phi is the temperature");
}

void losses() {
    constexpr index_t B = 16, C = 8;
    const auto raw = scattered_rows(B, C, B, 0.1F, 6);
    const auto raw_keys = scattered_rows(B, C, B, 0.1F, 7);
    protonce::cpu_backend<float> be;
    // [snippet normalize]
    std::vector<float> query(B * C), norms(B), key(B * C);
    normalize_rows(be, protonce::view_rows(raw.data(), B, C), protonce::view_rows(query.data(), B, C),
                   protonce::view_vector(norms));
    normalize_rows(be, protonce::view_rows(raw_keys.data(), B, C), protonce::view_rows(key.data(), B, C));
    // [/snippet]

    const auto q = protonce::view_rows(query.data(), B, C);
    const auto k = protonce::view_rows(key.data(), B, C);
    // [snippet info_nce]
    protonce::memory_queue queue(be, {.capacity = 256, .num_cols = C, .seed = 7}); // starts with random unit rows
    std::vector<float> loss(1), accuracy(1), grad_query(B * C);
    const auto report = info_nce(be, {.query = q, .positive = k, .negatives = queue.rows()}, {.temperature = 0.2},
                                 {.loss = protonce::view_vector(loss),
                                  .accuracy = protonce::view_vector(accuracy),
                                  .grad_query = protonce::view_rows(grad_query.data(), B, C)});
    std::printf("      loss %.3f, chance level %.3f, accuracy %.2f\n", static_cast<double>(loss[0]),
                report.chance_level, static_cast<double>(accuracy[0]));
    queue.push(be, k); // only now: the loss is against the queue as it was before the batch
    // [/snippet]
    expect(static_cast<double>(loss[0]) < report.chance_level, "keys of the same group are found");

    // [snippet normalize_gradient]
    std::vector<float> grad_raw(B * C); // dL/d(embedding before normalisation): what the encoder's backward pass takes
    normalize_rows_gradient(
        be,
        {.unit = q, .norms = protonce::view_vector(norms), .grad_unit = protonce::view_rows(grad_query.data(), B, C)},
        protonce::view_rows(grad_raw.data(), B, C));
    // [/snippet]
    double along = 0;
    for (index_t j = 0; j < C; ++j) {
        along += static_cast<double>(grad_raw[static_cast<std::size_t>(j)]) * static_cast<double>(q(0, j));
    }
    expect(std::abs(along) < 1e-6, "the gradient before normalisation has no part along the row");
}

void average() {
    std::vector<float> kernel{1, 2, 3}, bias{4}, kernel_average{0, 0, 0}, bias_average{0};
    protonce::cpu_backend<float> be;
    // [snippet ema]
    using pair = protonce::ema_pair<protonce::cpu_backend<float>>;
    const std::array parameters{
        pair{.average = protonce::view_vector(kernel_average), .value = protonce::view_vector(kernel)},
        pair{.average = protonce::view_vector(bias_average), .value = protonce::view_vector(bias)}};
    ema(be, parameters, {.momentum = 0.75}); // average = 0.75 average + 0.25 value, before the keys are computed
    // [/snippet]
    expect(kernel_average[2] == 0.75F && bias_average[0] == 1.0F, "the average moves a quarter of the way");
}

void watch() {
    constexpr index_t N = 400, Q = 100, C = 8;
    constexpr label_t classes = 4;
    const auto bank_rows = unit_rows(N, C, classes, 0.3F, 8);
    const auto query_rows = unit_rows(Q, C, classes, 0.3F, 9);
    std::vector<label_t> labels(N);
    for (index_t i = 0; i < N; ++i) {
        labels[static_cast<std::size_t>(i)] = static_cast<label_t>(i % classes);
    }
    protonce::cpu_backend<float> be;
    const auto bank = protonce::view_rows(bank_rows.data(), N, C);
    const auto query = protonce::view_rows(query_rows.data(), Q, C);
    // [snippet metrics]
    std::vector<label_t> predicted(Q);
    knn_scores(be, {.bank = bank, .labels = protonce::view_vector(labels), .query = query},
               {.neighbours = 20, .num_classes = classes}, {.prediction = protonce::view_vector(predicted)});
    const double rank = effective_rank(be, bank); // falls towards 1 when the encoder collapses
    // [/snippet]
    index_t right = 0;
    for (index_t i = 0; i < Q; ++i) {
        right += predicted[static_cast<std::size_t>(i)] == static_cast<label_t>(i % classes) ? 1 : 0;
    }
    std::printf("      nearest neighbours right for %d of %d, effective rank %.2f\n", static_cast<int>(right),
                static_cast<int>(Q), rank);
    expect(right > 90 && rank > 2 && rank <= 8, "nearest neighbours tell the groups apart");
}

void errors() {
    std::vector<float> rows{0, 0, 1, 1, 2, 2};
    const auto features = protonce::view_rows(rows.data(), 3, 2);
    protonce::cpu_backend<float> be;
    std::string text;
    // [snippet errors]
    protonce::clustering level(be, 3, 2, 5); // five clusters of three rows
    try {
        kmeans(be, features, {}, level);
    } catch (const protonce::argument_error& error) { // derives from std::invalid_argument
        text = error.what();
    }
    // [/snippet]
    std::printf("      %s\n", text.c_str());
    expect(text == "kmeans: num_clusters: must be at most the number of rows; got 5 clusters, 3 rows",
           "the text names function, argument, what is needed and what was given");
    expect(level.assignment()[0] == -1, "the outputs are untouched");
}

} // namespace

int main() {
    check_readme();
    clustering();
    losses();
    average();
    watch();
    errors();
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

// SPDX-License-Identifier: MIT
// xtensor arrays in and out, without copies: K-means on one, InfoNCE with its gradient written into another.
//
// Prints:
//     300 rows in 3 clusters, agreement with their groups 1.000
//     loss of a batch of 64: 3.592061, in xtensor's own terms the same
//     gradient: a step along it lowers the loss
#include <protonce/adapt/xtensor.hpp>
#include <protonce/backend/cpu.hpp>
#include <protonce/core/normalize.hpp>
#include <protonce/e_step/kmeans.hpp>
#include <protonce/m_step/info_nce.hpp>
#include <protonce/metrics/cluster_scores.hpp>

// From 0.26 on the headers lie in folders.
#if __has_include(<xtensor/containers/xtensor.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/core/xmath.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>
#endif

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <random>

using protonce::view_rows;
using protonce::view_vector;

namespace {

constexpr std::size_t samples = 300;
constexpr std::size_t features = 8;
constexpr std::size_t batch = 64;
constexpr double temperature = 0.2;

using matrix = xt::xtensor<float, 2>;

/// Row i lies around axis i % 3.
matrix three_groups(float spread) {
    std::mt19937 generator(7);
    std::normal_distribution<float> normal;
    matrix out(std::array<std::size_t, 2>{samples, features});
    for (std::size_t i = 0; i < samples; ++i) {
        for (std::size_t j = 0; j < features; ++j) {
            out(i, j) = (j == i % 3 ? 1.0f : 0.0f) + spread * normal(generator);
        }
    }
    return out;
}

/// Mean of -log( e^{q.k/tau} / (e^{q.k/tau} + sum_n e^{q.n/tau}) ), as one writes it with xtensor: all logits at once,
/// in memory.
double plain_info_nce(const matrix& query, const matrix& positive, const matrix& negatives) {
    const xt::xtensor<double, 1> own = xt::sum(query * positive, {1}) / temperature;
    const auto rows = xt::view(query, xt::all(), xt::newaxis(), xt::all());
    const auto columns = xt::view(negatives, xt::newaxis(), xt::all(), xt::all());
    const xt::xtensor<double, 2> logits = xt::sum(rows * columns, {2}) / temperature;
    const xt::xtensor<double, 1> others = xt::sum(xt::exp(logits), {1});
    return xt::mean(xt::log(xt::exp(own) + others) - own)();
}

bool report(bool holds, const char* sentence) {
    std::printf("%s%s\n", sentence, holds ? "" : "   DOES NOT HOLD");
    return holds;
}

} // namespace

int main() {
    protonce::cpu_backend<float> be;
    matrix rows = three_groups(0.1f);
    protonce::normalize_rows(be, view_rows(rows), view_rows(rows));

    // [snippet xtensor]
    // K-means reads the array; its labels are read back through an xtensor adaptor of the clustering's own memory.
    protonce::clustering<decltype(be)> level(be, samples, features, 3);
    protonce::kmeans(be, view_rows(rows), {.restarts = 3, .seed = 1}, level);
    const auto labels = xt::adapt(level.assignment().data(), samples, xt::no_ownership(), std::array{samples});
    // [/snippet]
    const xt::xtensor<protonce::label_t, 1> group = xt::arange<protonce::label_t>(samples) % 3;
    const double agreement = protonce::cluster_scores(view_vector(group), view_vector(labels)).ari;
    std::printf("%zu rows in 3 clusters, agreement with their groups %.3f\n", samples, agreement);

    // InfoNCE: views of rows are arguments as good as arrays. The key of row i is row i + 3, of the same group.
    matrix query = xt::view(rows, xt::range(0, batch), xt::all());
    const matrix positive = xt::view(rows, xt::range(3, batch + 3), xt::all());
    const matrix negatives = xt::view(rows, xt::range(200, samples), xt::all());
    matrix gradient = xt::zeros_like(query);
    xt::xtensor<float, 1> loss{0.0f};
    const auto compute = [&] {
        const auto keys = view_rows(xt::view(rows, xt::range(3, batch + 3), xt::all()));
        protonce::info_nce(be, {.query = view_rows(query), .positive = keys, .negatives = view_rows(negatives)},
                           {.temperature = temperature},
                           {.loss = view_vector(loss), .grad_query = view_rows(gradient)});
        return static_cast<double>(loss(0));
    };
    const double before = compute();
    const double plain = plain_info_nce(query, positive, negatives);
    std::printf("loss of a batch of %zu: %.6f, ", batch, before);
    // Each of the two logits in a term is an inner product in float, over the temperature.
    const double rounding = 2.0 * (features + 2) * 6e-8 / temperature;
    const bool equal = report(std::abs(before - plain) <= rounding, "in xtensor's own terms the same");

    query -= 0.1f * gradient;
    const bool lower = report(compute() < before, "gradient: a step along it lowers the loss");
    return agreement == 1.0 && equal && lower ? 0 : 1;
}

// SPDX-License-Identifier: MIT
//
// InfoNCE and its gradient, compared with finite differences.
//
// A query should be more similar to its key than to any negative. The loss says how far it is from that, its gradient
// which way the query should move; any framework takes that gradient on through its encoder.
//
// Expected output:
//
//     loss 1.5045, at chance 2.1972 (8 negatives)
//     largest gradient 1.1229, off from finite differences by less than 1e-07
//     after 50 steps against the gradient: loss 0.2222
#include <protonce/backend/cpu.hpp>
#include <protonce/core/normalize.hpp>
#include <protonce/m_step/info_nce.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

using namespace protonce;

int main() {
    const index_t batch = 4, features = 6, num_negatives = 8;
    cpu_backend<double> be;

    // Embeddings are rows of norm 1. An encoder would make them; here they are random.
    std::vector<double> query_values(batch * features), key_values(batch * features), queue(num_negatives * features);
    const auto query = view_rows(query_values.data(), batch, features);
    const auto key = view_rows(key_values.data(), batch, features);
    const auto negatives = view_rows(queue.data(), num_negatives, features);
    std::mt19937_64 engine(1);
    for (const auto rows : {query, key, negatives}) {
        for (index_t i = 0; i < rows.rows(); ++i) {
            for (double& value : rows.row(i)) {
                value = static_cast<double>(engine() >> 11) * 0x1p-52 - 1; // uniform in [-1, 1)
            }
        }
        normalize_rows(be, rows, rows);
    }

    // [snippet info_nce]
    std::vector<double> loss(1), gradient_values(batch * features);
    const auto gradient = view_rows(gradient_values.data(), batch, features);
    const auto report = info_nce(be, {.query = query, .positive = key, .negatives = negatives}, {.temperature = 0.2},
                                 {.loss = view_vector(loss), .grad_query = gradient});
    // [/snippet]
    const double first_loss = loss[0];
    std::printf("loss %.4f, at chance %.4f (%d negatives)\n", first_loss, report.chance_level,
                static_cast<int>(report.num_negatives));

    // The slope of the loss along each coordinate of each query, by central differences.
    const auto loss_now = [&] {
        info_nce(be, {.query = query, .positive = key, .negatives = negatives}, {.temperature = 0.2},
                 {.loss = view_vector(loss)});
        return loss[0];
    };
    double largest = 0, worst = 0;
    for (index_t i = 0; i < batch; ++i) {
        for (index_t j = 0; j < features; ++j) {
            const double h = 1e-5, here = query(i, j);
            query(i, j) = here + h;
            const double above = loss_now();
            query(i, j) = here - h;
            const double below = loss_now();
            query(i, j) = here;
            largest = std::max(largest, std::abs(gradient(i, j)));
            worst = std::max(worst, std::abs(gradient(i, j) - (above - below) / (2 * h)));
        }
    }
    // Truncation: h^2 / 6 times a third derivative of the order 1 / temperature^3. Rounding: 2^-53 / h. Both < 1e-8.
    const double bound = 1e-7;
    std::printf("largest gradient %.4f, off from finite differences by less than %.0e\n", largest, bound);

    // Walk downhill: a step against the gradient, then back to norm 1.
    for (int step = 0; step < 50; ++step) {
        info_nce(be, {.query = query, .positive = key, .negatives = negatives}, {.temperature = 0.2},
                 {.grad_query = gradient});
        for (index_t i = 0; i < batch; ++i) {
            for (index_t j = 0; j < features; ++j) {
                query(i, j) -= gradient(i, j);
            }
        }
        normalize_rows(be, query, query);
    }
    const double last_loss = loss_now();
    std::printf("after 50 steps against the gradient: loss %.4f\n", last_loss);

    const bool as_stated = std::abs(first_loss - 1.5045) < 1e-4 && std::abs(largest - 1.1229) < 1e-4 &&
                           worst <= bound && std::abs(last_loss - 0.2222) < 1e-3;
    if (!as_stated) {
        std::printf("not as stated at the top of this file: gradient off by %.1e\n", worst);
    }
    return as_stated ? 0 : 1;
}

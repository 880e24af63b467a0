// SPDX-License-Identifier: MIT
// A backend of one's own: everything comes from reference_backend, two operations are replaced.
//
// A backend is any class that has the operations of the concept `backend` (core/backend.hpp). Algorithms take it as
// their first argument and use nothing else. So what a machine does well is written once, here, and every algorithm
// profits.
//
// Prints:
//     loss 0.451 in 1 pass over the columns
//     nearest centroids 0 0 1 1 found with 8 distances
#include <protonce/backend/reference.hpp>
#include <protonce/e_step/assign.hpp>
#include <protonce/m_step/info_nce.hpp>

#include <cmath>
#include <cstdio>
#include <span>
#include <vector>

using namespace protonce;

// [snippet own_backend]
class counting_backend : public reference_backend<float> {
public:
    // Replaced: the same result, and the caller learns how often it was asked for.
    void softmax_contrast(std::span<const contrast<float, host>> problems) {
        ++passes;
        reference_backend<float>::softmax_contrast(problems);
    }

    // Replaced by another computation. It must keep the operation's promise: nearest centroid, lowest number among
    // equals.
    void nearest_row(row_index& index, matrix_view<const float> centroids, vector_view<label_t> assignment,
                     vector_view<double> squared_distance) {
        for (index_t i = 0; i < index.features.rows(); ++i) {
            double least = 0;
            for (index_t k = 0; k < centroids.rows(); ++k) {
                double distance = 0;
                for (index_t j = 0; j < centroids.cols(); ++j) {
                    const double difference = index.features(i, j) - centroids(k, j);
                    distance += difference * difference;
                }
                ++distances;
                if (k == 0 || distance < least) {
                    least = distance;
                    assignment[i] = static_cast<label_t>(k);
                }
            }
            if (!squared_distance.empty()) {
                squared_distance[i] = least;
            }
        }
    }

    int passes = 0;
    int distances = 0;
};

// The compiler says which operation is missing or has another signature.
static_assert(backend<counting_backend>);
// [/snippet]

int main() {
    counting_backend be;

    // Two queries, their keys and a queue of two negatives: logits (2, 0, -2) and (2, 2, 0), the positive first.
    const std::vector<float> query{1, 0, 0, 1};
    const std::vector<float> queue{0, 1, -1, 0};
    std::vector<float> loss(1);
    info_nce(be,
             {.query = view_rows(query.data(), 2, 2),
              .positive = view_rows(query.data(), 2, 2),
              .negatives = view_rows(queue.data(), 2, 2)},
             {.temperature = 0.5}, {.loss = view_vector(loss)});
    std::printf("loss %.3f in %d pass over the columns\n", static_cast<double>(loss[0]), be.passes);

    const std::vector<float> features{0, 0, 1, 0, 9, 9, 8, 9};
    const std::vector<float> centroids{0, 1, 9, 8};
    std::vector<label_t> assignment(4);
    assign(be, view_rows(features.data(), 4, 2), view_rows(centroids.data(), 2, 2), view_vector(assignment), {});
    std::printf("nearest centroids");
    for (const label_t k : assignment) {
        std::printf(" %d", static_cast<int>(k));
    }
    std::printf(" found with %d distances\n", be.distances);

    const double expected = (std::log(1 + std::exp(-2.0) + std::exp(-4.0)) + std::log(2 + std::exp(-2.0))) / 2;
    const bool as_promised = std::abs(static_cast<double>(loss[0]) - expected) < 1e-6 && be.passes == 1 &&
                             assignment == std::vector<label_t>{0, 0, 1, 1} && be.distances == 8;
    return as_promised ? 0 : 1;
}

// SPDX-License-Identifier: MIT
// K-means on ten points of the plane: three groups, their means, and how tight they are.
//
// Prints:
//     cluster of each point: 0 0 0 1 1 1 1 2 2 2
//     centroid 0 (1, 1)
//     centroid 1 (5, 6)
//     centroid 2 (9, 1)
//     inertia 10
//     the new point (6, 5) belongs to cluster 1
#include <protonce/backend/cpu.hpp>
#include <protonce/e_step/assign.hpp>
#include <protonce/e_step/kmeans.hpp>

#include <array>
#include <cstddef>
#include <cstdio>

int main() {
    const std::array<float, 20> points = {0, 1, 2, 1, 1,  1,       // around (1, 1)
                                          5, 5, 5, 7, 4,  6, 6, 6, // around (5, 6)
                                          8, 0, 9, 2, 10, 1};      // around (9, 1)

    // A backend says where and in which type to compute. Views say where the numbers lie; nothing is copied.
    protonce::cpu_backend<float> be;
    const auto features = protonce::view_rows(points.data(), 10, 2);

    // Three first centroids, so that the clusters are numbered as the groups are; without them k-means++ chooses.
    const std::array<float, 6> first = {0, 0, 5, 5, 9, 0};

    // A clustering owns the results: 10 samples of 2 features in 3 clusters.
    protonce::clustering<protonce::cpu_backend<float>> level(be, 10, 2, 3);
    const auto report =
        protonce::kmeans(be, {.features = features, .initial_centroids = protonce::view_rows(first.data(), 3, 2)},
                         {.iterations = 20, .init = protonce::kmeans_init::given}, level);

    std::printf("cluster of each point:");
    for (const protonce::label_t cluster : level.assignment()) {
        std::printf(" %d", cluster);
    }
    std::printf("\n");
    for (protonce::index_t k = 0; k < 3; ++k) {
        std::printf("centroid %d (%g, %g)\n", static_cast<int>(k), static_cast<double>(level.centroids()(k, 0)),
                    static_cast<double>(level.centroids()(k, 1)));
    }
    std::printf("inertia %g\n", report.inertia);

    // A point that took no part goes to its nearest centroid.
    const std::array<float, 2> new_point = {6, 5};
    std::array<protonce::label_t, 1> nearest = {-1};
    protonce::assign(be, protonce::view_rows(new_point.data(), 1, 2), level.centroids(),
                     protonce::view_vector(nearest));
    std::printf("the new point (6, 5) belongs to cluster %d\n", nearest[0]);

    // The means of these points are whole numbers, so that even the last bits are known.
    const std::array<protonce::label_t, 10> expected = {0, 0, 0, 1, 1, 1, 1, 2, 2, 2};
    const std::array<float, 6> means = {1, 1, 5, 6, 9, 1};
    bool is_right = report.inertia == 10.0 && report.converged && nearest[0] == 1;
    for (protonce::index_t i = 0; i < 10; ++i) {
        is_right = is_right && level.assignment()[i] == expected[static_cast<std::size_t>(i)];
    }
    for (protonce::index_t i = 0; i < 6; ++i) {
        is_right = is_right && level.centroids()(i / 2, i % 2) == means[static_cast<std::size_t>(i)];
    }
    return is_right ? 0 : 1;
}

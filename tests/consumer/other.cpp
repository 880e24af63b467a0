// SPDX-License-Identifier: MIT
#include <protonce/protonce.hpp>

#include <vector>

std::vector<protonce::label_t> clusters_of_reference(protonce::matrix_view<const float> points);

std::vector<protonce::label_t> clusters_of_reference(protonce::matrix_view<const float> points) {
    protonce::reference_backend<float> be;
    protonce::clustering level(be, points.rows(), points.cols(), 3);
    protonce::kmeans(be, points, {.num_clusters = 3, .seed = 7}, level);
    return {level.assignment().begin(), level.assignment().end()};
}

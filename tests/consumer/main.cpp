// SPDX-License-Identifier: MIT
// A stranger's program in two units: each clusters the same points, one on the cpu backend, one on the reference.
#include <protonce/protonce.hpp>

#include <cstdio>
#include <vector>

std::vector<protonce::label_t> clusters_of_reference(protonce::matrix_view<const float> points);

int main() {
    const std::vector<float> values{0.0F, 0.1F, 0.2F, 0.0F, 5.0F, 5.1F, 5.2F, 4.9F, -4.0F, 4.0F, -4.1F, 4.2F};
    const auto points = protonce::view_rows(values.data(), 6, 2);

    protonce::cpu_backend<float> be({.threads = 2});
    protonce::clustering level(be, 6, 2, 3);
    protonce::kmeans(be, points, {.num_clusters = 3, .seed = 7}, level);

    const std::vector<protonce::label_t> reference = clusters_of_reference(points);
    const auto assignment = level.assignment();
    for (std::size_t i = 0; i < reference.size(); ++i) {
        const bool same = assignment[static_cast<protonce::index_t>(i)] == reference[i];
        const bool paired = reference[i] == reference[i ^ 1U];
        if (!same || !paired) {
            std::printf("point %zu: cpu %d, reference %d\n", i, assignment[static_cast<protonce::index_t>(i)], reference[i]);
            return 1;
        }
    }
    return 0;
}

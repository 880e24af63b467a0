// SPDX-License-Identifier: MIT
// What check_compile_time.py compiles: a user's program with the umbrella header, one clustering and one loss.
#include <protonce/protonce.hpp>

#include <cstdio>
#include <vector>

int main() {
    using namespace protonce;
    constexpr index_t N = 1000, B = 64, C = 32;
    const std::vector<float> rows(N * C, 1.0F), query(B * C, 1.0F), key(B * C, 1.0F);
    std::vector<float> loss(1), gradient(B * C);
    cpu_backend<float> be;

    clustering level(be, N, C, 10);
    const auto found = kmeans(be, view_rows(rows.data(), N, C), {.seed = 7}, level);

    memory_queue queue(be, {.capacity = 256, .num_cols = C});
    info_nce(
        be,
        {.query = view_rows(query.data(), B, C), .positive = view_rows(key.data(), B, C), .negatives = queue.rows()},
        {.temperature = 0.2}, {.loss = view_vector(loss), .grad_query = view_rows(gradient.data(), B, C)});
    std::printf("%f %f\n", found.inertia, static_cast<double>(loss[0]));
}

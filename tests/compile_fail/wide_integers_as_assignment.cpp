// SPDX-License-Identifier: MIT
// expect: (invalid initialization of reference of type .*info_nce_inputs|could not convert|no matching function for call to 'info_nce')
// Cluster numbers are label_t; an array of wider integers is not read as if it were.
#include <protonce/backend/reference.hpp>
#include <protonce/m_step/info_nce.hpp>

#include <cstdint>
#include <vector>

void use(protonce::matrix_view<const float> query, protonce::vector_view<float> loss);

void use(protonce::matrix_view<const float> query, protonce::vector_view<float> loss) {
#ifdef PROTONCE_MUST_FAIL
    const std::vector<std::int64_t> cluster(4);
#else
    const std::vector<protonce::label_t> cluster(4);
#endif
    protonce::reference_backend<float> be;
    protonce::info_nce(be,
                       {.query = query,
                        .positive = query,
                        .negatives = query,
                        .query_cluster = protonce::view_vector(cluster),
                        .negative_cluster = protonce::view_vector(cluster)},
                       {}, {.loss = loss});
}

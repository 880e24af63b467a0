// SPDX-License-Identifier: MIT
// expect: no matching function for call to .*info_nce
// The first argument of an algorithm is a backend.
#include <protonce/backend/reference.hpp>
#include <protonce/m_step/info_nce.hpp>

struct stopwatch {};

void use(protonce::matrix_view<const float> query, protonce::vector_view<float> loss);

void use(protonce::matrix_view<const float> query, protonce::vector_view<float> loss) {
#ifdef PROTONCE_MUST_FAIL
    stopwatch be;
#else
    protonce::reference_backend<float> be;
#endif
    protonce::info_nce(be, {.query = query, .positive = query}, {}, {.loss = loss});
}

// SPDX-License-Identifier: MIT
// expect: (invalid initialization of reference of type .*info_nce_inputs|could not convert|no matching function for call to 'info_nce')
// A backend computes in one type; features of another are not converted behind the caller's back.
#include <protonce/backend/reference.hpp>
#include <protonce/m_step/info_nce.hpp>

#ifdef PROTONCE_MUST_FAIL
using feature = double;
#else
using feature = float;
#endif

void use(protonce::matrix_view<const feature> query, protonce::vector_view<float> loss);

void use(protonce::matrix_view<const feature> query, protonce::vector_view<float> loss) {
    protonce::reference_backend<float> be;
    protonce::info_nce(be, {.query = query, .positive = query}, {}, {.loss = loss});
}

// SPDX-License-Identifier: MIT
// expect: (invalid initialization of reference of type .*info_nce_outputs|could not convert|no matching function for call to 'info_nce')
// A gradient is written; a view of values that may only be read is refused.
#include <protonce/backend/reference.hpp>
#include <protonce/m_step/info_nce.hpp>

#ifdef PROTONCE_MUST_FAIL
using gradient_value = const float;
#else
using gradient_value = float;
#endif

void use(protonce::matrix_view<const float> query, protonce::matrix_view<gradient_value> gradient);

void use(protonce::matrix_view<const float> query, protonce::matrix_view<gradient_value> gradient) {
    protonce::reference_backend<float> be;
    protonce::info_nce(be, {.query = query, .positive = query}, {}, {.grad_query = gradient});
}

// SPDX-License-Identifier: MIT
// expect: has_contrast
// Who writes a backend asks whether it is one; the answer names the group of operations that is missing.
#include <protonce/backend/reference.hpp>

class nearly_a_backend : public protonce::reference_backend<float> {
#ifdef PROTONCE_MUST_FAIL
private:
    using protonce::reference_backend<float>::softmax_contrast;
#endif
};

static_assert(protonce::backend<nearly_a_backend>);

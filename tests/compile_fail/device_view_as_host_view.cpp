// SPDX-License-Identifier: MIT
// expect: (could not convert|no viable conversion|no matching)
// A view of accelerator memory never becomes a view of host memory.
#include <protonce/core/view.hpp>

float first_value(protonce::matrix_view<const float, protonce::host> features);

float first_value(protonce::matrix_view<const float, protonce::host> features) {
    return features(0, 0);
}

float use(protonce::matrix_view<float, protonce::device> on_device, protonce::matrix_view<float> on_host);

float use(protonce::matrix_view<float, protonce::device> on_device, protonce::matrix_view<float> on_host) {
#ifdef PROTONCE_MUST_FAIL
    return first_value(on_device);
#else
    static_cast<void>(on_device);
    return first_value(on_host);
#endif
}

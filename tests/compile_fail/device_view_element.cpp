// SPDX-License-Identifier: MIT
// expect: (no match for call to|no matching function for call to object of type)
// The elements of a device view cannot be read on the host.
#include <protonce/core/view.hpp>

#ifdef PROTONCE_MUST_FAIL
using space = protonce::device;
#else
using space = protonce::host;
#endif

float corner(protonce::matrix_view<const float, space> features);

float corner(protonce::matrix_view<const float, space> features) {
    return features(0, 0);
}

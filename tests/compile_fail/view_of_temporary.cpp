// SPDX-License-Identifier: MIT
// expect: (no matching function|constraints not satisfied)
// A view of a temporary vector would dangle.
#include <protonce/core/view.hpp>

#include <vector>

protonce::index_t length();

protonce::index_t length() {
#ifdef PROTONCE_MUST_FAIL
    return protonce::view_vector(std::vector<float>(3)).size();
#else
    std::vector<float> values(3);
    return protonce::view_vector(values).size();
#endif
}

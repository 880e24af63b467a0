// SPDX-License-Identifier: MIT
// expect: (could not convert|no viable conversion|no matching)
// Values that may only be read are no output.
#include <protonce/core/view.hpp>

void fill_with_one(protonce::vector_view<double> out);

void fill_with_one(protonce::vector_view<double> out) {
    for (double& value : out) {
        value = 1;
    }
}

void use(protonce::vector_view<const double> to_read, protonce::vector_view<double> to_write);

void use(protonce::vector_view<const double> to_read, protonce::vector_view<double> to_write) {
#ifdef PROTONCE_MUST_FAIL
    static_cast<void>(to_write);
    fill_with_one(to_read);
#else
    static_cast<void>(to_read);
    fill_with_one(to_write);
#endif
}

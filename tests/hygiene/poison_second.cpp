// SPDX-License-Identifier: MIT
// The other unit; see poison_first.cpp.
#include "prelude.hpp"
//
#include "poison.hpp"
//
#include "everything.hpp"

protonce::index_t poison_second();

protonce::index_t poison_second() {
    return protonce::matrix_view<const float>{}.rows();
}

// SPDX-License-Identifier: MIT
// One of two units that include every header after hostile macros. That they link proves that nothing is defined twice.
#include "prelude.hpp"
//
#include "poison.hpp"
//
#include "everything.hpp"

protonce::index_t poison_second();

int main() {
    const protonce::matrix_view<const float> first{};
    return first.rows() == poison_second() ? 0 : 1;
}

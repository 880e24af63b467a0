// SPDX-License-Identifier: MIT
#include <protonce/core/view.hpp>

#include <array>

protonce::index_t rows_seen_by_the_other_unit(protonce::matrix_view<const float> features);

int main() {
    const std::array<float, 6> values{};
    return rows_seen_by_the_other_unit(protonce::view_rows(values.data(), 3, 2)) == 3 ? 0 : 1;
}

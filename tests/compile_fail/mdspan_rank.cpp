// SPDX-License-Identifier: MIT
// expect: the mdspan must have rank 2
// Rows are a matter of two dimensions. The type stands for std::mdspan, with the members that are asked for.
#include <protonce/adapt/mdspan.hpp>

#include <cstddef>

template <std::size_t Rank>
struct span {
    using element_type = float;
    using data_handle_type = float*;

    static constexpr std::size_t rank() { return Rank; }
    int extent(std::size_t) const { return 1; }
    int stride(std::size_t) const { return 1; }
    float* data_handle() const { return value; }

    float* value;
};


protonce::index_t rows();

protonce::index_t rows() {
    float value = 0.0f;
#ifdef PROTONCE_MUST_FAIL
    return protonce::view_rows(span<3>{&value}).rows();
#else
    return protonce::view_rows(span<2>{&value}).rows();
#endif
}

// SPDX-License-Identifier: MIT
// expect: a temporary xtensor container is gone before its view is used; give it a name first
// A view of a temporary container would dangle. The container stands for xt::xtensor, with the members that are asked for.
#include <protonce/adapt/xtensor.hpp>

#include <array>
#include <cstddef>
#include <vector>

struct container {
    std::vector<float> values = std::vector<float>(6);

    std::size_t dimension() const { return 2; }
    std::array<std::size_t, 2> shape() const { return {2, 3}; }
    std::array<std::ptrdiff_t, 2> strides() const { return {3, 1}; }
    int layout() const { return 0; }
    std::size_t data_offset() const { return 0; }
    const float* data() const { return values.data(); }
};


protonce::index_t rows();

protonce::index_t rows() {
#ifdef PROTONCE_MUST_FAIL
    return protonce::view_rows(container{}).rows();
#else
    const container array;
    return protonce::view_rows(array).rows();
#endif
}

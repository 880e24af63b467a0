// SPDX-License-Identifier: MIT
// expect: (conversion from|no viable conversion)
// Views of const matrices are no outputs.
#include <protonce/adapt/eigen.hpp>

#include <Eigen/Core>

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;


protonce::index_t rows();

protonce::index_t rows() {
#ifdef PROTONCE_MUST_FAIL
    const row_major matrix = row_major::Zero(2, 3);
#else
    row_major matrix = row_major::Zero(2, 3);
#endif
    const protonce::matrix_view<float> output = protonce::view_rows(matrix);
    return output.rows();
}

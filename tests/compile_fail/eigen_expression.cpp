// SPDX-License-Identifier: MIT
// expect: this Eigen expression does not lie in memory; evaluate it into a matrix first
// A sum that is not yet computed has no memory to view.
#include <protonce/adapt/eigen.hpp>

#include <Eigen/Core>

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;


protonce::index_t rows();

protonce::index_t rows() {
    const row_major matrix = row_major::Zero(2, 3);
#ifdef PROTONCE_MUST_FAIL
    return protonce::view_rows(matrix + matrix).rows();
#else
    const row_major sum = matrix + matrix;
    return protonce::view_rows(sum).rows();
#endif
}

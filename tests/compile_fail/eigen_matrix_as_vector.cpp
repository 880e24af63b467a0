// SPDX-License-Identifier: MIT
// expect: an Eigen vector has one row or one column at compile time; use view_rows for matrices
// A matrix is not taken for the vector of its values.
#include <protonce/adapt/eigen.hpp>

#include <Eigen/Core>

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;


protonce::index_t rows();

protonce::index_t rows() {
    const row_major matrix = row_major::Zero(2, 3);
#ifdef PROTONCE_MUST_FAIL
    return protonce::view_vector(matrix).size();
#else
    return protonce::view_vector(matrix.row(0)).size();
#endif
}

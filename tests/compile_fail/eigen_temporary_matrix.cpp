// SPDX-License-Identifier: MIT
// expect: a temporary Eigen matrix is gone before its view is used; give it a name first
// A view of a temporary matrix would dangle; one of a temporary block does not.
#include <protonce/adapt/eigen.hpp>

#include <Eigen/Core>

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;


protonce::index_t rows();

protonce::index_t rows() {
    row_major matrix = row_major::Zero(2, 3);
#ifdef PROTONCE_MUST_FAIL
    return protonce::view_rows(row_major(matrix.topRows(1))).rows();
#else
    return protonce::view_rows(matrix.topRows(1)).rows();
#endif
}

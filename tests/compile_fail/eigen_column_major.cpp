// SPDX-License-Identifier: MIT
// expect: the Eigen matrix must be row-major: Eigen::Matrix<T, Rows, Cols, Eigen::RowMajor>
// Eigen matrices are column-major unless told otherwise; their rows are no views.
#include <protonce/adapt/eigen.hpp>

#include <Eigen/Core>

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;


protonce::index_t rows();

protonce::index_t rows() {
#ifdef PROTONCE_MUST_FAIL
    Eigen::MatrixXf matrix(2, 3);
#else
    row_major matrix(2, 3);
#endif
    return protonce::view_rows(matrix).rows();
}

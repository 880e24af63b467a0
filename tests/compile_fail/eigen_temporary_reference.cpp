// SPDX-License-Identifier: MIT
// expect: a temporary Eigen matrix is gone before its view is used; give it a name first
// A Ref of const may hold a copy of its own.
#include <protonce/adapt/eigen.hpp>

#include <Eigen/Core>

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;


protonce::index_t rows();

protonce::index_t rows() {
    const row_major matrix = row_major::Zero(2, 3);
#ifdef PROTONCE_MUST_FAIL
    return protonce::view_rows(Eigen::Ref<const row_major>(matrix)).rows();
#else
    const Eigen::Ref<const row_major> reference(matrix);
    return protonce::view_rows(reference).rows();
#endif
}

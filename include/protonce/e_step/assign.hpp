// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>

#include <limits>
#include <type_traits>

namespace protonce::inline v0 {

/// Nearest centroid of each row, for rows that took no part in the clustering too: argmin_k ||x_i - m_k||^2, ties to
/// the lowest number. With unit rows and unit centroids this is the largest inner product.
///
/// \param features          (N, C)
/// \param centroids         (K, C)
/// \param assignment        (N,)  overwritten
/// \param squared_distance  (N,)  overwritten, in double from the values as given; may be left out
/// \throws shape_error      the views do not go together
/// \throws argument_error   NaN or infinity in features or centroids
/// Synchronises: for the checks.  Scratch: the backend's index of the rows.  Reproducible: bitwise, for any number of
/// threads.
template <backend B>
void assign(B& be, matrix_of<B, const value_of<B>> features, matrix_of<B, const value_of<B>> centroids,
            vector_of<B, label_t> assignment, std::type_identity_t<vector_of<B, double>> squared_distance = {}) {
    constexpr auto name = "assign";
    check::matrix(name, "features", features);
    check::matrix(name, "centroids", centroids);
    check::equal_cols(name, "features", features, "centroids", centroids);
    if (centroids.rows() > (std::numeric_limits<label_t>::max)()) {
        check::fail_shape(name, "centroids",
                          "must have at most " + check::text((std::numeric_limits<label_t>::max)()) + " rows",
                          check::text(centroids.rows()));
    }
    check::size(name, "assignment", assignment, features.rows());
    check::optional_size(name, "squared_distance", squared_distance, features.rows());
    check::finite_rows(be, name, "features", features);
    check::finite_rows(be, name, "centroids", centroids);

    auto index = be.index_rows(features, true);
    be.nearest_row(index, centroids, assignment, squared_distance);
}

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/view.hpp>

namespace protonce::inline v0 {

/// What the losses read of one clustering: the E-step's result for one granularity, or labels and prototypes of any other clusterer.
template <class T, memory_space S>
struct prototype_level {
    matrix_view<const T, S> prototypes{}; // (K, C) unit rows; an empty cluster's row may be 0
    vector_view<const label_t, S>
        assignment{}; // (N,) cluster of each sample in [0, K); -1: none, the sample has no term here
    vector_view<const T, S> temperatures{}; // (K,) concentration phi of each cluster, positive
    vector_view<const T, S>
        packed{}; // optional: these prototypes and temperatures once more, in a form of the backend's
                  // (clustering::pack); whoever exchanges either leaves it empty
};

} // namespace protonce::inline v0

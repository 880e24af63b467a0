// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>

namespace protonce::inline v0::detail::cuda {

/// Where a thread is in a ring of stages that are filled and emptied in turn.
template <int stages>
struct ring_place {
    int stage = 0;
    int parity = 0; // of how often the ring was left behind

    PROTONCE_DEVICE void advance() {
        if (++stage == stages) {
            stage = 0;
            parity ^= 1;
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

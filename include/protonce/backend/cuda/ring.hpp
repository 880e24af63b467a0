// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>

namespace protonce::inline v0::detail::cuda {

/// Where a thread is in a ring of stages that are filled and emptied in turn.
struct ring_place {
    int stages;
    int stage = 0;
    int parity = 0; // of how often the ring was left behind

    PROTONCE_DEVICE explicit ring_place(int stages_) : stages(stages_) {}

    PROTONCE_DEVICE void advance() {
        if (++stage == stages) {
            stage = 0;
            parity ^= 1;
        }
    }
};

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/host_device.hpp>

#include <limits>

namespace protonce::inline v0::detail::cuda {

/// The best three of the scores of one row, and the labels of two.
struct best_three {
    float first = -std::numeric_limits<float>::infinity();
    float second = -std::numeric_limits<float>::infinity();
    float third = -std::numeric_limits<float>::infinity();
    label_t label = 0;
    label_t second_label = 0;

    /// Without branches; NaN is never better.
    PROTONCE_HOST_DEVICE void take(float score, label_t k) {
        const bool is_first = score > first;
        const bool is_second = score > second;
        const float loser = is_second ? second : score;
        third = loser > third ? loser : third;
        second = is_first ? first : is_second ? score : second;
        second_label = is_first ? label : is_second ? k : second_label;
        first = is_first ? score : first;
        label = is_first ? k : label;
    }
    /// The best three of both.
    PROTONCE_HOST_DEVICE void merge(const best_three& other) {
        take(other.first, other.label);
        take(other.second, other.second_label);
        third = other.third > third ? other.third : third;
    }
};

/// What is known of the label of a row: it is one of two, the same if it is certain, or any if the other is -1.
struct choice {
    label_t label;
    label_t other;
};

/// From scores that err by up to margin / 2, all of them.
PROTONCE_HOST_DEVICE inline choice choose(const best_three& best, float margin) {
    if (!check::is_finite(margin)) {
        return {best.label, -1};
    }
    if (best.first - best.second > margin) {
        return {best.label, best.label};
    }
    return {best.label, best.first - best.third > margin ? best.second_label : label_t{-1}};
}

/// The best of the four neighbouring lanes that share a row of a fragment. All four know the scores; with equal ones they
/// may name different labels.
PROTONCE_DEVICE inline void merge_four_lanes(best_three& mine) {
    PROTONCE_UNROLL for (int mask = 1; mask < 4; mask *= 2) {
        mine.merge({shuffle_xor(mine.first, mask), shuffle_xor(mine.second, mask), shuffle_xor(mine.third, mask),
                    shuffle_xor(mine.label, mask), shuffle_xor(mine.second_label, mask)});
    }
}

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/host_device.hpp>

#include <cmath>
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

/// The best of each row in each slice of the centroids. With few rows several blocks share the centroids of a row, so
/// that all processors work: how many depends on sizes alone.
struct sliced_best {
    best_three* part; // (num_slices, num_rows)
    index_t num_rows;
    index_t num_slices;

    /// What a block works on: its rows, and tiles [first, last) of the centroids.
    struct share {
        index_t row_block;
        index_t slice;
        index_t first;
        index_t last;
    };

    /// So that about `enough` blocks have tiles to look at.
    static index_t slices(index_t row_blocks, index_t tiles, index_t enough) {
        const index_t wanted = enough / row_blocks;
        return wanted < 1 ? 1 : wanted < tiles ? wanted : tiles;
    }
    PROTONCE_HOST_DEVICE share share_of(index_t block, index_t row_blocks, index_t tiles) const {
        if (num_slices == 1) {
            return {block, 0, 0, tiles}; // without divisions, which many blocks would feel
        }
        const index_t slice = block / row_blocks;
        return {block % row_blocks, slice, tiles * slice / num_slices, tiles * (slice + 1) / num_slices};
    }
    PROTONCE_HOST_DEVICE best_three& of(index_t slice, index_t row) const { return part[slice * num_rows + row]; }
    PROTONCE_HOST_DEVICE best_three merged(index_t row) const {
        best_three out = of(0, row);
        for (index_t slice = 1; slice < num_slices; ++slice) {
            out.merge(of(slice, row));
        }
        return out;
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

/// Of the four neighbouring lanes that share a row of a fragment.
PROTONCE_DEVICE inline float largest_of_four_lanes(float value) {
    value = std::fmax(value, shuffle_xor(value, 1));
    return std::fmax(value, shuffle_xor(value, 2));
}

/// The third largest of the scores that the four neighbouring lanes of a row hold.
PROTONCE_DEVICE inline float third_of_four_lanes(float first, float second, float third) {
    PROTONCE_UNROLL for (int mask = 1; mask < 4; mask *= 2) {
        const float its_first = shuffle_xor(first, mask);
        const float its_second = shuffle_xor(second, mask);
        const float its_third = shuffle_xor(third, mask);
        third = std::fmax(std::fmax(third, its_third),
                          std::fmax(std::fmin(first, its_second), std::fmin(second, its_first)));
        second = std::fmax(std::fmin(first, its_first), std::fmax(second, its_second));
        first = std::fmax(first, its_first);
    }
    return third;
}

/// What one of the four lanes of a row has seen, and the third best of all four: what is not above it is none of the row's best three.
struct best_of_lane {
    best_three best;
    float bar = -std::numeric_limits<float>::infinity();
};

/// The scores of a row in a finished tile, `count` of this lane, into its best so far; score(i) is that of label(i). The usual cost is one
/// maximum a score. All lanes of the warp.
template <int count, class Score, class Label>
PROTONCE_DEVICE void take_scores(best_of_lane& mine, const Score& score, const Label& label) {
    constexpr int together = 8; // are looked at
    constexpr int parts = count / together;
    float largest[parts];
    float largest_of_all = mine.bar;
    PROTONCE_UNROLL for (int part = 0; part < parts; ++part) {
        largest[part] = score(part * together);
        PROTONCE_UNROLL for (int i = 1; i < together; ++i) {
            largest[part] = std::fmax(largest[part], score(part * together + i)); // the other one, if one is NaN
        }
        largest_of_all = std::fmax(largest_of_all, largest[part]);
    }
    if (!any_of_warp(largest_of_all > mine.bar)) {
        return;
    }
    PROTONCE_UNROLL for (int part = 0; part < parts; ++part) {
        if (largest[part] > mine.bar) {
            PROTONCE_UNROLL for (int i = part * together; i < (part + 1) * together; ++i) {
                mine.best.take(score(i), label(i));
            }
        }
    }
    sync_warp();
    mine.bar = third_of_four_lanes(mine.best.first, mine.best.second, mine.best.third);
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

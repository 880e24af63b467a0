// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/elementwise/table.hpp>
#include <protonce/core/contrast.hpp>
#include <protonce/core/workspace.hpp>

#include <cmath>

namespace protonce::inline v0::detail::elementwise {

/// Columns that a problem may use: J, or P.
template <class T, class S>
index_t used_columns(const contrast<T, S>& problem) {
    return problem.column_id.empty() ? problem.columns.rows() : problem.column_id.size();
}

/// A softmax problem (core/contrast.hpp) where the processor that runs an element reads it, and how its members are read when some
/// are empty.
template <class T>
struct contrast_reader {
    table<const T> query, columns, positive;
    const index_t* column_id;
    const index_t* column_count;
    index_t most_used; // used_columns()
    const label_t* own;
    const index_t* own_count;
    const label_t* self;
    const label_t* row_group;
    const label_t* pool_group;
    const T* temperatures; // or null: one_temperature
    T one_temperature;
    bool has_one_temperature;
    const T* log_weights;
    double row_factor;
    const T* row_scales; // or null: 1
    bool has_one_scale;

    template <class S>
    explicit contrast_reader(const contrast<T, S>& in)
        : query(in.query), columns(in.columns), positive(in.positive), column_id(data_of(in.column_id)),
          column_count(data_of(in.column_count)), most_used(used_columns(in)), own(data_of(in.own)),
          own_count(data_of(in.own_count)), self(data_of(in.self)), row_group(data_of(in.row_group)),
          pool_group(data_of(in.pool_group)), temperatures(data_of(in.temperature)),
          one_temperature(in.one_temperature), has_one_temperature(in.has_one_temperature()),
          log_weights(data_of(in.log_weight)), row_factor(in.row_factor), row_scales(data_of(in.row_scale)),
          has_one_scale(in.row_scale.size() == 1) {}

    PROTONCE_HOST_DEVICE bool positive_is_outside() const { return positive.rows > 0; }
    PROTONCE_HOST_DEVICE bool takes_part(index_t i) const { return positive_is_outside() || own[i] >= 0; }
    PROTONCE_HOST_DEVICE bool is_positive(index_t i, index_t p) const { return !positive_is_outside() && own[i] == p; }

    PROTONCE_HOST_DEVICE index_t num_used() const {
        return column_count == nullptr || column_count[0] > most_used ? most_used : column_count[0];
    }
    /// Of the columns used only the first so many may be left out for a row, or be its positive.
    PROTONCE_HOST_DEVICE index_t num_with_masks() const {
        if (self != nullptr || row_group != nullptr) {
            return most_used;
        }
        return own == nullptr ? 0 : own_count != nullptr ? own_count[0] : most_used;
    }
    PROTONCE_HOST_DEVICE index_t pool_row(index_t j) const { return column_id == nullptr ? j : column_id[j]; }
    /// Is column p in the sum of row i?
    PROTONCE_HOST_DEVICE bool is_in(index_t i, index_t p) const {
        if (self != nullptr && self[i] == p) {
            return false;
        }
        const bool same_group = row_group != nullptr && row_group[i] >= 0 && row_group[i] == pool_group[p];
        return !same_group || is_positive(i, p);
    }

    PROTONCE_HOST_DEVICE T temperature(index_t p) const {
        return temperatures == nullptr ? one_temperature : temperatures[has_one_temperature ? 0 : p];
    }
    PROTONCE_HOST_DEVICE T log_weight(index_t j) const { return log_weights == nullptr ? T(0) : log_weights[j]; }
    PROTONCE_HOST_DEVICE double row_scale(index_t i) const {
        return static_cast<double>(
            scaled(row_factor, row_scales == nullptr ? T(1) : row_scales[has_one_scale ? 0 : i]));
    }

    /// The positive of a row that takes part, and its temperature.
    PROTONCE_HOST_DEVICE const T* positive_row(index_t i) const {
        return positive_is_outside() ? positive.row(i) : columns.row(own[i]);
    }
    PROTONCE_HOST_DEVICE T positive_temperature(index_t i) const {
        return temperature(positive_is_outside() ? 0 : own[i]);
    }

    /// query_i . key / t: one chain of multiply-adds, the same bits wherever it is computed.
    PROTONCE_HOST_DEVICE T logit(index_t i, const T* key, T t) const {
        const T* q = query.row(i);
        T sum = 0;
        for (index_t c = 0; c < query.cols; ++c) {
            sum = multiply_add(q[c], key[c], sum);
        }
        return sum / t;
    }
};

/// The softmax of one row, its terms divided by e^largest. The positive stays apart from the others: so a loss near 0 and its
/// gradient keep their digits.
struct row_softmax {
    double positive_logit = 0;
    double positive_log_weight = 0;
    double largest = 0; // of s_ij + ln w_j
    double positive = 1;
    double others = 0;
    double top1 = 0;
    double scale = 0; // p_ij = scale * e^(s_ij + ln w_j - largest rounded to T)

    PROTONCE_HOST_DEVICE double sum() const { return positive + others; }
    /// With the sums there: the rank of the positive, from how many logits lie above it or equal it, itself among these; the scale.
    template <class T>
    PROTONCE_HOST_DEVICE void finish(index_t above, index_t equal) {
        const bool is_number = sum() == sum();
        top1 = !is_number ? sum() : above > 0 ? 0 : 1 / static_cast<double>(equal);
        scale = std::exp(static_cast<double>(static_cast<T>(largest)) - largest) / sum();
    }
    /// dl_i/ds_i+
    PROTONCE_HOST_DEVICE double positive_slope() const { return -others / sum(); }
    PROTONCE_HOST_DEVICE double log_sum() const { return largest + std::log(sum()); }
    PROTONCE_HOST_DEVICE double loss() const {
        const bool positive_is_largest = largest == positive_logit + positive_log_weight;
        return positive_is_largest ? positive_log_weight + std::log1p(others)
                                   : std::log(sum()) + (largest - positive_logit);
    }
};

/// What some columns add to the sum of a row: terms divided by e^largest, and how many logits lie above the positive's or equal it.
struct partial_softmax {
    double largest;
    double sum;
    index_t above;
    index_t equal;
};

/// What the passes over one problem share. Logits exist for a tile of the columns at a time, of about a million pairs.
template <class T>
struct softmax_state {
    static constexpr index_t part_columns = 128; // a thread sums the terms of one row over so many
    static constexpr index_t tile_pairs = index_t{1} << 20;

    template <class Scope, class S>
    softmax_state(Scope& scope, const contrast<T, S>& problem)
        : read(problem), rows(problem.query.rows()), cols(problem.query.cols()),
          parts(ceil_div(used_columns(problem), part_columns)), tile(tile_columns(rows, read.most_used)),
          softmax(scope.template vector<row_softmax>(rows).data()),
          logit(scope.template vector<T>(rows * tile).data()) {}

    static index_t tile_columns(index_t rows, index_t columns) {
        const index_t fitting = tile_pairs / rows / part_columns * part_columns;
        const index_t wanted = ceil_div(columns, part_columns) * part_columns;
        return fitting < part_columns ? part_columns : fitting < wanted ? fitting : wanted;
    }
    /// Columns of the tile that begins at j0.
    index_t tile_count(index_t j0) const { return j0 + tile < read.most_used ? tile : read.most_used - j0; }

    contrast_reader<T> read;
    index_t rows;         // B
    index_t cols;         // C
    index_t parts;        // of the columns, for sums of terms
    index_t tile;         // columns whose logits exist at a time
    row_softmax* softmax; // (B,)
    T* logit;             // (B, tile)
};

} // namespace protonce::inline v0::detail::elementwise

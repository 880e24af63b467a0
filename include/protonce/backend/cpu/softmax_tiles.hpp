// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/tiles.hpp>
#include <protonce/core/contrast.hpp>
#include <protonce/core/workspace.hpp>

#include <algorithm>
#include <limits>

/// Parts of softmax_contrast.hpp: the columns in use, one tile of logits, and what is summed over tiles.
namespace protonce::inline v0::detail::cpu {

/// Columns of one tile: the logits of a few rows and the packed columns stay in the second-level cache.
inline constexpr index_t tile_columns = 128;

/// A logit that counts for nothing. Finite, so that -ffast-math cannot take its comparisons away; far below any real one.
template <class T>
inline constexpr T left_out = std::numeric_limits<T>::lowest() / 4;

/// Which pool rows a problem uses, where each row's positive and its own left-out column lie among them.
template <class T>
class used_columns {
public:
    used_columns(workspace<host>::scope& scope, const contrast<T, host>& in) : in_(in), count_(in.columns.rows()) {
        if (in.column_id.empty()) {
            return;
        }
        count_ = in.column_count.empty() ? in.column_id.size() : in.column_count[0];
        if (in.own.empty() && in.self.empty()) {
            return;
        }
        place_ = scope.vector<index_t>(in.columns.rows());
        std::fill(place_.begin(), place_.end(), index_t{-1});
        for (index_t j = 0; j < count_; ++j) {
            place_[in.column_id[j]] = j;
        }
    }

    index_t count() const { return count_; }
    index_t id(index_t j) const { return in_.column_id.empty() ? j : in_.column_id[j]; }
    const T* values(index_t j) const { return in_.columns.row(id(j)).data(); }
    T temperature(index_t j) const { return in_.temperature[in_.temperature.size() == 1 ? 0 : id(j)]; }
    index_t own_at(index_t i) const { return place(in_.own[i]); }

    /// Takes the columns that row i leaves out from a tile's logits. Returns the place of the row's positive in the tile, or -1.
    template <class Tile>
    index_t mask(Tile& tile, int worker, index_t i, T* s) const {
        const index_t first = tile.first(worker);
        const index_t count = tile.columns(worker);
        if (!in_.row_group.empty() && in_.row_group[i] >= 0) {
            for (index_t j = 0; j < count; ++j) {
                const index_t column = id(first + j);
                const bool positive = !in_.own.empty() && column == in_.own[i];
                if (in_.pool_group[column] == in_.row_group[i] && !positive) {
                    s[j] = left_out<T>;
                }
            }
        }
        if (!in_.self.empty() && in_.self[i] >= 0) {
            const index_t at = place(in_.self[i]) - first;
            if (at >= 0 && at < count) {
                s[at] = left_out<T>;
            }
        }
        if (in_.own.empty()) {
            return -1;
        }
        const index_t own = own_at(i) - first;
        if (own < 0 || own >= count) {
            return -1;
        }
        tile.own_logit(worker) = s[own];
        s[own] = left_out<T>;
        return own;
    }

private:
    index_t place(label_t row) const {
        if (row < 0) {
            return -1;
        }
        return place_.empty() ? static_cast<index_t>(row) : place_[row];
    }

    const contrast<T, host>& in_;
    index_t count_;
    vector_view<index_t> place_{}; // (P,) where a pool row lies among the used ones; -1: not used
};

/// One tile of columns, packed for the kernels, and the logits of a few rows against it; one for each worker.
template <class T>
class softmax_tile {
public:
    softmax_tile(workspace<host>::scope& scope, int workers, index_t cols, bool with_gradient)
        : cols_(cols), padded_cols_(round_up(cols, panel_width<T>)),
          packed_(scope.template matrix<T>(workers, tile_columns * cols)),
          scaled_(scope.template matrix<T>(with_gradient ? workers : 0, tile_columns * padded_cols_)),
          inverse_(scope.template matrix<T>(workers, tile_columns)),
          logits_(scope.template matrix<T>(workers, most_tile_rows * tile_columns)),
          state_(scope.template vector<state>(workers)) {}

    /// Packs `tile_columns` columns from `first` on, or what is left of them.
    void load(int worker, const used_columns<T>& columns, index_t first, bool with_gradient) {
        constexpr int W = panel_width<T>;
        state& now = state_[worker];
        now = {first, (std::min)(tile_columns, columns.count() - first), T(0)};
        for (index_t j = 0; j < tile_columns; ++j) {
            inverse_(worker, j) = j < now.count ? T(1) / columns.temperature(first + j) : T(0);
        }
        for (index_t j0 = 0; j0 < padded(worker); j0 += W) {
            pack_panel<T>(
                cols_, [&](int w) -> const T* { return j0 + w < now.count ? columns.values(first + j0 + w) : nullptr; },
                packed_.row(worker).data() + j0 * cols_);
        }
        if (!with_gradient) {
            return;
        }
        for (index_t j = 0; j < padded(worker); ++j) {
            T* to = scaled_.row(worker).data() + j * padded_cols_;
            if (j < now.count) {
                const T* from = columns.values(first + j);
                const T factor = inverse_(worker, j);
                for (index_t c = 0; c < cols_; ++c) {
                    to[c] = from[c] * factor;
                }
                std::fill(to + cols_, to + padded_cols_, T(0));
            } else {
                std::fill(to, to + padded_cols_, T(0));
            }
        }
    }

    /// Logits of the rows of one kernel tile from `i` on; past the last column they are `left_out`.
    void logits(int worker, const kernel_table<T>& kernel, matrix_view<const T> query, index_t i) {
        constexpr int W = panel_width<T>;
        const tile_rows<T> rows(query, i, kernel.rows);
        T* out = logits_.row(worker).data();
        const index_t width = padded(worker);
        for (index_t j0 = 0; j0 < width; j0 += W) {
            kernel.tile_product(rows.at, packed_.row(worker).data() + j0 * cols_, W, cols_, out + j0, tile_columns,
                                false);
        }
        const T* factor = inverse_.row(worker).data();
        const index_t count = state_[worker].count;
        for (int r = 0; r < kernel.rows; ++r) {
            T* s = out + r * tile_columns;
            for (index_t j = 0; j < width; ++j) {
                s[j] *= factor[j];
            }
            std::fill(s + count, s + width, left_out<T>);
        }
    }

    /// Adds coefficients (the rows of logits, by now exponentials) times c_j / tau_j to the gradient rows from `i` on. What the kernel
    /// writes past the last row goes to the padding that partial_sums keeps.
    void add_gradient(int worker, const kernel_table<T>& kernel, matrix_view<T> gradient, index_t i) {
        constexpr int W = panel_width<T>;
        const T* coefficients[most_tile_rows];
        for (int r = 0; r < kernel.rows; ++r) {
            coefficients[r] = row(worker, r);
        }
        for (index_t c = 0; c < padded_cols_; c += W) {
            kernel.tile_product(coefficients, scaled_.row(worker).data() + c, padded_cols_, state_[worker].count,
                                gradient.row(i).data() + c, gradient.stride(), true);
        }
    }

    void add_log_weight(int worker, T* s, vector_view<const T> log_weight) const {
        const T* lw = log_weight.data() + state_[worker].first;
        for (index_t j = 0; j < state_[worker].count; ++j) {
            s[j] += lw[j];
        }
    }

    /// Coefficients of a row for which no column of the tile counts; NaN stays NaN.
    double nothing(T* s, index_t count) const {
        double sum = 0;
        for (index_t j = 0; j < count; ++j) {
            s[j] = s[j] != s[j] ? s[j] : T(0);
            sum += static_cast<double>(s[j]);
        }
        return sum;
    }

    T* row(int worker, index_t r) { return logits_.row(worker).data() + r * tile_columns; }
    index_t first(int worker) const { return state_[worker].first; }
    index_t columns(int worker) const { return state_[worker].count; }
    /// Columns rounded up to what exp_and_sum takes.
    index_t padded(int worker) const { return round_up(state_[worker].count, 2 * panel_width<T>); }
    T& own_logit(int worker) { return state_[worker].own; }
    T inverse_temperature(int worker, index_t j) const { return inverse_(worker, j); }

private:
    struct state {
        index_t first, count;
        T own; // logit of the positive that mask() took out last
    };

    index_t cols_, padded_cols_;
    matrix_view<T> packed_;  // panels of columns
    matrix_view<T> scaled_;  // (tile_columns, padded_cols_) columns / temperature
    matrix_view<T> inverse_; // 1 / temperature
    matrix_view<T> logits_;  // (most_tile_rows, tile_columns)
    vector_view<state> state_;
};

/// Running maximum, sum and gradient of every row, one set for each slice of the columns.
template <class T>
class partial_sums {
public:
    partial_sums(workspace<host>::scope& scope, index_t slices, index_t rows, index_t cols, bool ties)
        : rows_(rows), padded_rows_(rows + most_tile_rows), maximum_(scope.template matrix<T>(slices, rows)),
          sum_(scope.template matrix<double>(slices, rows)),
          gradient_(scope.template matrix<T>(slices * padded_rows_, cols)),
          largest_(scope.template matrix<T>(ties ? slices : 0, rows)),
          ties_(scope.template matrix<T>(ties ? slices : 0, rows)) {}

    void clear(index_t slice, index_t first, index_t last) {
        for (index_t i = first; i < last; ++i) {
            maximum_(slice, i) = left_out<T>;
            sum_(slice, i) = 0;
            auto row = gradient(slice).row(i);
            std::fill(row.begin(), row.end(), T(0));
            if (counts_ties()) {
                largest_(slice, i) = left_out<T>;
                ties_(slice, i) = T(0);
            }
        }
        if (last == rows_) {
            for (index_t i = rows_; i < padded_rows_; ++i) {
                auto row = gradient(slice).row(i);
                std::fill(row.begin(), row.end(), T(0));
            }
        }
    }

    T& maximum(index_t slice, index_t i) { return maximum_(slice, i); }
    double& sum(index_t slice, index_t i) { return sum_(slice, i); }
    double sum(index_t slice, index_t i) const { return sum_(slice, i); }
    matrix_view<T> gradient(index_t slice) const { return gradient_.slice(slice * padded_rows_, padded_rows_); }
    bool counts_ties() const { return !largest_.empty(); }

    void scale_gradient(index_t slice, index_t i, T factor) {
        for (T& g : gradient(slice).row(i)) {
            g *= factor;
        }
    }

    /// How many of the logits equal the largest so far, the positive not among them.
    void count_largest(index_t slice, index_t i, const T* s, index_t count) {
        T& largest = largest_(slice, i);
        T& ties = ties_(slice, i);
        for (index_t j = 0; j < count; ++j) {
            if (s[j] > largest) {
                largest = s[j];
                ties = T(1);
            } else if (s[j] == largest) {
                ties += T(1);
            }
        }
    }

    /// 1/t if `own` is one of the t largest, else 0.
    T top1(index_t slices, index_t i, T own) const {
        T ties = T(1);
        for (index_t s = 0; s < slices; ++s) {
            if (largest_(s, i) > own || own != own) {
                return T(0);
            }
            if (largest_(s, i) == own) {
                ties += ties_(s, i);
            }
        }
        return T(1) / ties;
    }

private:
    index_t rows_, padded_rows_;
    matrix_view<T> maximum_;
    matrix_view<double> sum_;
    matrix_view<T> gradient_;
    matrix_view<T> largest_, ties_;
};

/// Sums over rows for one tile of columns: gradient to the columns and to their temperatures.
template <class T>
class column_sums {
public:
    column_sums(workspace<host>::scope& scope, int workers, index_t padded_cols, index_t row_block)
        : padded_cols_(padded_cols), row_block_(row_block),
          coefficients_(scope.template matrix<T>(workers, (tile_columns + most_tile_rows) * row_block)),
          gradient_(scope.template matrix<T>(workers, (tile_columns + most_tile_rows) * padded_cols)),
          logit_sum_(scope.template matrix<double>(workers, tile_columns)),
          logits_(scope.template matrix<T>(workers, tile_columns)) {}

    void clear(int worker) {
        auto gradient = gradient_.row(worker);
        std::fill(gradient.begin(), gradient.end(), T(0));
        auto sums = logit_sum_.row(worker);
        std::fill(sums.begin(), sums.end(), 0.0);
    }

    T* logits(int worker) { return logits_.row(worker).data(); }

    /// Coefficients of one row, `at` in its block of rows, kept transposed; logits null: the row takes no part.
    void store(int worker, const T* coefficient, const T* logits, index_t count, index_t at, double scale) {
        T* to = coefficients_.row(worker).data() + at;
        double* sums = logit_sum_.row(worker).data();
        for (index_t j = 0; j < count; ++j) {
            to[j * row_block_] = logits == nullptr ? T(0) : coefficient[j];
            if (logits != nullptr && coefficient[j] != T(0)) {
                sums[j] += scale * static_cast<double>(coefficient[j]) * static_cast<double>(logits[j]);
            }
        }
    }

    /// gradient_j += sum over the block's rows of coefficient * query.
    void add_rows(int worker, const kernel_table<T>& kernel, matrix_view<const T> queries, index_t first, index_t count,
                  index_t columns) {
        constexpr int W = panel_width<T>;
        for (index_t j = 0; j < columns; j += kernel.rows) {
            const T* rows[most_tile_rows];
            for (int r = 0; r < kernel.rows; ++r) {
                rows[r] = coefficients_.row(worker).data() + (std::min)(j + r, columns - 1) * row_block_;
            }
            for (index_t c = 0; c < padded_cols_; c += W) {
                kernel.tile_product(rows, queries.row(first).data() + c, queries.stride(), count,
                                    gradient_.row(worker).data() + j * padded_cols_ + c, padded_cols_, true);
            }
        }
    }

    const T* gradient(int worker, index_t j) const { return gradient_.row(worker).data() + j * padded_cols_; }
    double logit_sum(int worker, index_t j) const { return logit_sum_(worker, j); }

private:
    index_t padded_cols_, row_block_;
    matrix_view<T> coefficients_; // (tile_columns, row_block) for each worker
    matrix_view<T> gradient_;     // (tile_columns, padded_cols)
    matrix_view<double> logit_sum_;
    matrix_view<T> logits_;
};

} // namespace protonce::inline v0::detail::cpu

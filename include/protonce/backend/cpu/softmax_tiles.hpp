// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/kernels_softmax.hpp>
#include <protonce/backend/cpu/tiles.hpp>
#include <protonce/core/contrast.hpp>
#include <protonce/core/workspace.hpp>

#include <algorithm>
#include <limits>

/// Parts of softmax_contrast.hpp: the columns in use, one tile of logits, and what is summed over tiles.
namespace protonce::inline v0::detail::cpu {

/// Columns of one tile, a multiple of every kernel's rows: a strip of logits stays in the first-level cache, the columns in the second.
inline constexpr index_t tile_columns = 264;

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
    T temperature(index_t j) const { return temperature_of(in_, id(j)); }
    index_t own_at(index_t i) const { return place(in_.own[i]); }

    /// Is there a row that leaves a column out, or whose positive is a column?
    bool masks() const { return !in_.own.empty() || !in_.self.empty() || !in_.row_group.empty(); }

    /// Takes what row i leaves out from its lane of a strip over columns [first, first + count), s[j * stride]. Returns the place of the
    /// row's positive in the strip, or -1; its logit goes to own_logit.
    index_t mask(index_t i, index_t first, index_t count, T* s, index_t stride, T& own_logit) const {
        if (!in_.row_group.empty() && in_.row_group[i] >= 0) {
            for (index_t j = 0; j < count; ++j) {
                const index_t column = id(first + j);
                const bool positive = !in_.own.empty() && column == in_.own[i];
                if (in_.pool_group[column] == in_.row_group[i] && !positive) {
                    s[j * stride] = left_out<T>;
                }
            }
        }
        if (!in_.self.empty() && in_.self[i] >= 0) {
            const index_t at = place(in_.self[i]) - first;
            if (at >= 0 && at < count) {
                s[at * stride] = left_out<T>;
            }
        }
        if (in_.own.empty()) {
            return -1;
        }
        const index_t own = own_at(i) - first;
        if (own < 0 || own >= count) {
            return -1;
        }
        own_logit = s[own * stride];
        s[own * stride] = left_out<T>;
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

/// Tiles of columns, one for each worker: their values close together, and 1 / temperature.
template <class T>
class column_tiles {
public:
    column_tiles(workspace<host>::scope& scope, int workers, index_t cols)
        : cols_(cols), stride_(padded_stride<T>(cols)), values_(scope.matrix<T>(workers, tile_columns * stride_)),
          inverse_(scope.matrix<T>(workers, tile_columns)) {}

    /// Takes in the columns from `first` on, as many as a tile has or as are left; returns how many.
    index_t load(int worker, const used_columns<T>& columns, index_t first) {
        const index_t count = (std::min)(tile_columns, columns.count() - first);
        for (index_t j = 0; j < count; ++j) {
            T* to = values_.row(worker).data() + j * stride_;
            const T* from = columns.values(first + j);
            std::copy(from, from + cols_, to);
            std::fill(to + cols_, to + round_up(cols_, panel_width<T>), T(0));
            inverse_(worker, j) = T(1) / columns.temperature(first + j);
        }
        return count;
    }

    /// Logits of one panel of queries with `count` columns, as a strip that has room for most_tile_rows more.
    void logits(int worker, const kernel_table<T>& kernel, const softmax_kernels<T>& softmax, const T* panel,
                index_t count, T* out, index_t stride) const {
        const matrix_view<const T> rows(values(worker), count, cols_, stride_);
        for (index_t j = 0; j < count; j += kernel.rows) {
            const tile_rows<T> tile(rows, j, kernel.rows);
            kernel.tile_product(tile.at, panel, panel_width<T>, cols_, out + j * stride, stride, false);
        }
        softmax.scale(out, stride, count, inverse_.row(worker).data());
    }

    const T* values(int worker) const { return values_.row(worker).data(); }
    index_t stride() const { return stride_; }
    const T* inverse(int worker) const { return inverse_.row(worker).data(); }

private:
    index_t cols_, stride_;
    matrix_view<T> values_;
    matrix_view<T> inverse_;
};

/// Running maximum, sum and gradient of every row, one set for each slice of the columns. Rows are padded to whole panels.
template <class T>
class partial_sums {
public:
    partial_sums(workspace<host>::scope& scope, index_t slices, index_t rows, index_t cols, bool ties)
        : rows_(round_up(rows, panel_width<T>)), maximum_(scope.matrix<T>(slices, rows_)),
          sum_(scope.matrix<double>(slices, rows_)), gradient_(scope.matrix<T>(slices * rows_, cols)),
          largest_(scope.matrix<T>(ties ? slices : 0, rows_)), ties_(scope.matrix<T>(ties ? slices : 0, rows_)) {}

    /// Rows [first, last), whole panels.
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
    }

    T& maximum(index_t slice, index_t i) { return maximum_(slice, i); }
    double& sum(index_t slice, index_t i) { return sum_(slice, i); }
    double sum(index_t slice, index_t i) const { return sum_(slice, i); }
    matrix_view<T> gradient(index_t slice) const { return gradient_.slice(slice * rows_, rows_); }
    bool counts_ties() const { return !largest_.empty(); }
    T* largest(index_t slice, index_t i) { return &largest_(slice, i); }
    T* ties(index_t slice, index_t i) { return &ties_(slice, i); }

    void scale_gradient(index_t slice, index_t i, T factor) {
        for (T& g : gradient(slice).row(i)) {
            g *= factor;
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
    index_t rows_;
    matrix_view<T> maximum_;
    matrix_view<double> sum_;
    matrix_view<T> gradient_;
    matrix_view<T> largest_, ties_;
};

} // namespace protonce::inline v0::detail::cpu

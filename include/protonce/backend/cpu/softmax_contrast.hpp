// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/softmax_tiles.hpp>
#include <protonce/core/parallel.hpp>
#include <protonce/core/workspace.hpp>

#include <cmath>
#include <limits>

/// Loss and gradients of one softmax problem; the logits exist one tile at a time.
///
/// Pass 1 walks over the columns once. Blocks of rows times slices of columns are the tasks; each keeps for its rows the running
/// maximum M, the sum l of w_j e^{s_j - M} and, for the gradient to the query, G = sum w_j e^{s_j - M} c_j / tau_j. Slices are then merged in
/// order. The positive stays outside the sums, so that a loss near 0 keeps its digits: with r the sum of the others and p the
/// positive's own term,  l = ln w_+ + ln(1 + r/p)  and  d l / d s_+ = -r / (r + p).
/// Pass 2, only for gradients to columns and temperatures, walks again with the sums known, each tile of columns owned by one task.
namespace protonce::inline v0::detail::cpu {

template <class T, class Threads>
class softmax_problem {
public:
    softmax_problem(workspace<host>& scratch, const thread_team<Threads>& team, const kernel_table<T>& kernel,
                    const contrast<T, host>& problem)
        : scope_(scratch), scratch_(scratch), team_(team), kernel_(kernel), in_(problem), columns_(scope_, problem),
          B_(problem.query.rows()), C_(problem.query.cols()), C_padded_(round_up(C_, panel_width<T>)),
          positive_logit_(scope_.template vector<T>(B_)), others_(scope_.template vector<double>(B_)),
          shift_(scope_.template vector<T>(B_)), share_(scope_.template vector<double>(B_)) {
        // A positive that is no column in use (the caller's mistake) must not look like a number.
        std::fill(positive_logit_.begin(), positive_logit_.end(), std::numeric_limits<T>::quiet_NaN());
    }

    void run() {
        if (!in_.positive.empty()) {
            outside_positives();
        }
        forward();
        if (!in_.grad_columns.empty() || !in_.grad_temperature.empty()) {
            backward_columns();
        }
    }

private:
    // Rows of one task of pass 1, and the most tasks that slices make of them: enough for any number of threads, few enough that
    // the partial gradients stay small.
    static constexpr index_t row_block = 252; // a multiple of every kernel's tile rows
    static constexpr index_t most_tasks = 32;
    static constexpr index_t least_slice = 1024;

    bool takes_part(index_t i) const { return in_.own.empty() || in_.own[i] >= 0; }
    double scale_of(index_t i) const {
        return in_.row_scale.empty() ? 1.0 : static_cast<double>(in_.row_scale[in_.row_scale.size() == 1 ? 0 : i]);
    }
    double log_weight_of_positive(index_t i) const {
        return in_.own.empty() || in_.log_weight.empty() ? 0.0
                                                         : static_cast<double>(in_.log_weight[columns_.own_at(i)]);
    }
    T inverse_temperature_of_positive(index_t i) const {
        return T(1) / in_.temperature[in_.temperature.size() == 1 ? 0 : static_cast<index_t>(in_.own[i])];
    }

    /// Logits of positives that are no column of the pool, by the same chain as every other logit, so that equal ones tie.
    void outside_positives() {
        constexpr int W = panel_width<T>;
        typename workspace<host>::scope scope(scratch_);
        const int workers = team_.workers();
        auto panels = scope.template matrix<T>(workers, W * C_ + most_tile_rows * W);
        const T inverse = T(1) / in_.temperature[0];
        team_.for_each(ceil_div(B_, kernel_.rows), workers, [&](index_t task, int worker) {
            const index_t first = task * kernel_.rows;
            T* panel = panels.row(worker).data();
            T* out = panel + W * C_;
            const tile_rows<T> rows(in_.query, first, kernel_.rows);
            for (index_t from = 0; from < kernel_.rows; from += W) {
                pack_panel<T>(
                    C_,
                    [&](int w) -> const T* {
                        const index_t i = first + from + w;
                        return from + w < kernel_.rows && i < B_ ? in_.positive.row(i).data() : nullptr;
                    },
                    panel);
                kernel_.tile_product(rows.at, panel, W, C_, out, W, false);
                for (index_t r = from; r < (std::min<index_t>)(kernel_.rows, from + W) && first + r < B_; ++r) {
                    positive_logit_[first + r] = out[r * W + (r - from)] * inverse;
                }
            }
        });
    }

    /// Pass 1 and the merge.
    void forward() {
        typename workspace<host>::scope scope(scratch_);
        const bool with_gradient = !in_.grad_query.empty() || !in_.grad_positive.empty();
        const index_t blocks = ceil_div(B_, row_block);
        const index_t J = columns_.count();
        const index_t tiles = ceil_div(J, tile_columns);
        const index_t slices =
            J == 0 ? 0 : std::clamp<index_t>(ceil_div(J, least_slice), 1, (std::max<index_t>)(1, most_tasks / blocks));
        const index_t slice_tiles = slices == 0 ? 0 : ceil_div(tiles, slices);
        partial_sums<T> partial(scope, slices, B_, with_gradient ? C_padded_ : 0, !in_.top1.empty());
        const int workers = team_.workers();
        softmax_tile<T> tile(scope, workers, C_, with_gradient);
        team_.for_each(blocks * slices, workers, [&](index_t task, int worker) {
            const index_t slice = task % slices;
            const index_t row0 = task / slices * row_block;
            const index_t row1 = (std::min)(B_, row0 + row_block);
            partial.clear(slice, row0, row1);
            for (index_t t = slice * slice_tiles; t < (std::min)(tiles, (slice + 1) * slice_tiles); ++t) {
                tile.load(worker, columns_, t * tile_columns, with_gradient);
                for (index_t i = row0; i < row1; i += kernel_.rows) {
                    tile.logits(worker, kernel_, in_.query, i);
                    for (index_t r = 0; r < kernel_.rows; ++r) {
                        absorb(tile, worker, partial, slice, i + r, r, row1);
                    }
                    if (with_gradient) {
                        tile.add_gradient(worker, kernel_, partial.gradient(slice), i);
                    }
                }
            }
        });
        team_.for_each(blocks, [&](index_t block) {
            const index_t last = (std::min)(B_, (block + 1) * row_block);
            for (index_t i = block * row_block; i < last; ++i) {
                merge(partial, slices, i);
            }
        });
    }

    /// One row of a tile: positives and left-out columns removed, maximum, exponentials, running sums.
    void absorb(softmax_tile<T>& tile, int worker, partial_sums<T>& partial, index_t slice, index_t i, index_t r,
                index_t row1) {
        T* s = tile.row(worker, r);
        const index_t padded = tile.padded(worker);
        if (i >= row1 || !takes_part(i)) {
            std::fill(s, s + padded, T(0)); // nothing is added to the gradient
            return;
        }
        const index_t own = columns_.mask(tile, worker, i, s);
        if (own >= 0) {
            positive_logit_[i] = tile.own_logit(worker);
        }
        if (partial.counts_ties()) {
            partial.count_largest(slice, i, s, tile.columns(worker));
        }
        if (!in_.log_weight.empty()) {
            tile.add_log_weight(worker, s, in_.log_weight);
        }
        T top = left_out<T>;
        for (index_t j = 0; j < padded; ++j) {
            top = s[j] > top ? s[j] : top;
        }
        T& M = partial.maximum(slice, i);
        double& l = partial.sum(slice, i);
        if (top > M) {
            const double factor = std::exp(static_cast<double>(M) - static_cast<double>(top));
            l *= factor;
            partial.scale_gradient(slice, i, static_cast<T>(factor));
            M = top;
        }
        // Before the first column that counts M is the number for "left out", and every difference would look like 0.
        l += M > left_out<T> / 2 ? kernel_.exp_and_sum(s, padded, M) : tile.nothing(s, padded);
    }

    void merge(partial_sums<T>& partial, index_t slices, index_t i) {
        if (!takes_part(i)) {
            others_[i] = 0;
            write_row(i, 0, 0, partial, slices, 0);
            return;
        }
        const double lw = log_weight_of_positive(i);
        const double own = static_cast<double>(positive_logit_[i]) + lw;
        double M = own;
        for (index_t s = 0; s < slices; ++s) {
            M = (std::max)(M, static_cast<double>(partial.maximum(s, i)));
        }
        double r = 0;
        for (index_t s = 0; s < slices; ++s) {
            const double factor = std::exp(static_cast<double>(partial.maximum(s, i)) - M);
            r += factor * partial.sum(s, i);
            partial.sum(s, i) = factor; // from here on: what the slice's gradient is multiplied by
        }
        const double p = std::exp(own - M);
        const double log_sum = M + std::log(r + p);
        // ln(1 + r/p) keeps the digits of a small loss; p may be 0 only where the loss is large.
        const double loss = p > 0.5 ? lw + std::log1p(r / p) : log_sum - static_cast<double>(positive_logit_[i]);
        others_[i] = r / (r + p);
        shift_[i] = static_cast<T>(M);
        share_[i] = std::exp(static_cast<double>(shift_[i]) - log_sum);
        write_row(i, loss, log_sum, partial, slices, 1 / (r + p));
    }

    void write_row(index_t i, double loss, double log_sum, const partial_sums<T>& partial, index_t slices,
                   double inverse_sum) {
        const bool part = takes_part(i);
        if (!in_.loss.empty()) {
            in_.loss[i] = static_cast<T>(loss);
        }
        if (!in_.log_sum.empty()) {
            in_.log_sum[i] = static_cast<T>(log_sum);
        }
        if (!in_.top1.empty()) {
            const T nan = static_cast<T>(loss); // a logit that is NaN has no rank
            in_.top1[i] = !part ? T(0) : loss != loss ? nan : partial.top1(slices, i, positive_logit_[i]);
        }
        // d l / d s_+ / tau_+, with the row's factor
        const double pull =
            part ? -scale_of(i) * others_[i] * static_cast<double>(inverse_temperature_of_positive(i)) : 0.0;
        if (!in_.grad_query.empty()) {
            write_query_gradient(i, part, pull, partial, slices, inverse_sum * scale_of(i));
        }
        if (!in_.grad_positive.empty()) {
            auto grad = in_.grad_positive.row(i);
            for (index_t c = 0; c < C_; ++c) {
                const double g = part ? pull * static_cast<double>(in_.query(i, c)) : 0.0;
                grad[c] = static_cast<T>(in_.accumulate ? static_cast<double>(grad[c]) + g : g);
            }
        }
    }

    /// G of all slices, added in slice order, and the pull of the positive.
    void write_query_gradient(index_t i, bool part, double pull, const partial_sums<T>& partial, index_t slices,
                              double factor) {
        auto grad = in_.grad_query.row(i);
        if (!part) {
            if (!in_.accumulate) {
                std::fill(grad.begin(), grad.end(), T(0));
            }
            return;
        }
        const T* positive = in_.own.empty() ? in_.positive.row(i).data() : in_.columns.row(in_.own[i]).data();
        constexpr index_t width = 64;
        for (index_t c0 = 0; c0 < C_; c0 += width) {
            double sum[width] = {};
            const index_t count = (std::min)(width, C_ - c0);
            for (index_t s = 0; s < slices; ++s) {
                const T* g = partial.gradient(s).row(i).data() + c0;
                for (index_t c = 0; c < count; ++c) {
                    sum[c] += partial.sum(s, i) * static_cast<double>(g[c]);
                }
            }
            for (index_t c = 0; c < count; ++c) {
                const double g = sum[c] * factor + pull * static_cast<double>(positive[c0 + c]);
                grad[c0 + c] = static_cast<T>(in_.accumulate ? static_cast<double>(grad[c0 + c]) + g : g);
            }
        }
    }

    /// Pass 2: d l_i / d s_ij = w_j e^{s_ij} / sum, minus 1 for the positive, times the row's factor; gathered by column.
    void backward_columns() {
        typename workspace<host>::scope scope(scratch_);
        const bool add = in_.accumulate || in_.grad_columns.data() == in_.grad_query.data();
        if (!in_.grad_columns.empty() && !add) {
            team_.for_each(in_.grad_columns.rows(), [&](index_t j) {
                auto row = in_.grad_columns.row(j);
                std::fill(row.begin(), row.end(), T(0));
            });
        }
        const bool shared = in_.temperature.size() == 1;
        if (!in_.grad_temperature.empty() && !in_.accumulate && !shared) {
            std::fill(in_.grad_temperature.begin(), in_.grad_temperature.end(), T(0));
        }
        const index_t tiles = ceil_div(columns_.count(), tile_columns);
        auto queries = scope.template matrix<T>(B_, C_padded_);
        team_.for_each(B_, [&](index_t i) {
            auto row = queries.row(i);
            const T scale = static_cast<T>(scale_of(i));
            for (index_t c = 0; c < C_; ++c) {
                row[c] = takes_part(i) ? scale * in_.query(i, c) : T(0);
            }
            std::fill(row.begin() + C_, row.end(), T(0));
        });
        const int workers = team_.workers();
        softmax_tile<T> tile(scope, workers, C_, false);
        column_sums<T> sums(scope, workers, C_padded_, row_block);
        auto shared_part = scope.template vector<double>((std::max<index_t>)(tiles, 1));
        team_.for_each(tiles, workers, [&](index_t t, int worker) {
            tile.load(worker, columns_, t * tile_columns, false);
            sums.clear(worker);
            for (index_t row0 = 0; row0 < B_; row0 += row_block) {
                const index_t row1 = (std::min)(B_, row0 + row_block);
                for (index_t i = row0; i < row1; i += kernel_.rows) {
                    tile.logits(worker, kernel_, in_.query, i);
                    for (index_t r = 0; r < kernel_.rows && i + r < row1; ++r) {
                        weigh(tile, sums, worker, i + r, r, i + r - row0);
                    }
                }
                if (!in_.grad_columns.empty()) {
                    sums.add_rows(worker, kernel_, queries, row0, row1 - row0, tile.columns(worker));
                }
            }
            double part = 0;
            for (index_t j = 0; j < tile.columns(worker); ++j) {
                const index_t id = columns_.id(t * tile_columns + j);
                const double inverse = static_cast<double>(tile.inverse_temperature(worker, j));
                if (!in_.grad_columns.empty()) {
                    auto grad = in_.grad_columns.row(id);
                    const T* g = sums.gradient(worker, j);
                    for (index_t c = 0; c < C_; ++c) {
                        grad[c] = static_cast<T>(static_cast<double>(grad[c]) + static_cast<double>(g[c]) * inverse);
                    }
                }
                const double d = -inverse * sums.logit_sum(worker, j);
                part += d;
                if (!in_.grad_temperature.empty() && !shared) {
                    in_.grad_temperature[id] = static_cast<T>(static_cast<double>(in_.grad_temperature[id]) + d);
                }
            }
            shared_part[t] = part;
        });
        if (!in_.grad_temperature.empty() && shared) {
            double sum = 0;
            for (index_t t = 0; t < tiles; ++t) {
                sum += shared_part[t];
            }
            if (in_.own.empty()) {
                for (index_t i = 0; i < B_; ++i) {
                    sum += scale_of(i) * others_[i] * static_cast<double>(positive_logit_[i]) /
                           static_cast<double>(in_.temperature[0]);
                }
            }
            in_.grad_temperature[0] =
                static_cast<T>(in_.accumulate ? static_cast<double>(in_.grad_temperature[0]) + sum : sum);
        }
    }

    /// Turns one row of logits into coefficients and hands them to the column sums.
    void weigh(softmax_tile<T>& tile, column_sums<T>& sums, int worker, index_t i, index_t r, index_t at) {
        T* s = tile.row(worker, r);
        const index_t count = tile.columns(worker);
        if (!takes_part(i)) {
            sums.store(worker, s, nullptr, count, at, 0);
            return;
        }
        T* logits = sums.logits(worker);
        const index_t own = columns_.mask(tile, worker, i, s);
        std::copy(s, s + count, logits);
        if (!in_.log_weight.empty()) {
            tile.add_log_weight(worker, s, in_.log_weight);
        }
        kernel_.exp_and_sum(s, tile.padded(worker), shift_[i]);
        const T share = static_cast<T>(share_[i]);
        for (index_t j = 0; j < count; ++j) {
            s[j] *= share;
        }
        if (own >= 0) {
            s[own] = static_cast<T>(-others_[i]);
            logits[own] = tile.own_logit(worker);
        }
        sums.store(worker, s, logits, count, at, scale_of(i));
    }

    typename workspace<host>::scope scope_;
    workspace<host>& scratch_;
    const thread_team<Threads>& team_;
    const kernel_table<T>& kernel_;
    const contrast<T, host>& in_;
    used_columns<T> columns_;
    index_t B_, C_, C_padded_;
    vector_view<T> positive_logit_; // s_i+
    vector_view<double> others_;    // share of the other columns in the sum, -d l / d s_+
    vector_view<T> shift_;          // largest term of the sum, and
    vector_view<double> share_;     // e^shift / sum
};

} // namespace protonce::inline v0::detail::cpu

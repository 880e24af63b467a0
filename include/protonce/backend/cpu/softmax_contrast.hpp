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
                    const softmax_kernels<T>& softmax, const contrast<T, host>& problem)
        : scope_(scratch), scratch_(scratch), team_(team), kernel_(kernel), softmax_(softmax), in_(problem),
          columns_(scope_, problem), B_(problem.query.rows()), C_(problem.query.cols()), C_padded_(round_up(C_, W)),
          is_shared_(problem.has_one_temperature()), panels_(scope_.template matrix<T>(ceil_div(B_, W), W * C_)),
          positive_logit_(scope_.template vector<T>(B_)), others_(scope_.template vector<double>(B_)),
          shift_(scope_.template vector<T>(B_)), share_(scope_.template vector<double>(B_)) {
        // A positive that is no column in use (the caller's mistake) must not look like a number.
        std::fill(positive_logit_.begin(), positive_logit_.end(), std::numeric_limits<T>::quiet_NaN());
        team_.for_each(panels_.rows(), [&](index_t panel) {
            pack_panel<T>(
                C_,
                [&](int w) -> const T* { return panel * W + w < B_ ? in_.query.row(panel * W + w).data() : nullptr; },
                panels_.row(panel).data());
        });
    }

    void run() {
        if (!in_.positive.empty()) {
            outside_positives();
        }
        const bool is_symmetric = sums_over_itself();
        with_gradient_ = !is_symmetric && (!in_.grad_query.empty() || !in_.grad_positive.empty());
        forward();
        if (is_symmetric) {
            backward_symmetric();
        }
        const bool with_columns = !is_symmetric && !in_.grad_columns.empty();
        if (with_columns || !in_.grad_temperature.empty()) {
            backward_columns(with_columns);
        }
    }

private:
    static constexpr int W = panel_width<T>;
    // Rows of one task of pass 1, and the most tasks that slices make of them: enough for any number of threads, few enough that
    // the partial gradients stay small.
    static constexpr index_t row_block = 256; // whole panels
    static constexpr index_t most_tasks = 28;
    static constexpr index_t least_slice = 1024;

    bool takes_part(index_t i) const { return in_.own.empty() || in_.own[i] >= 0; }
    double scale_of(index_t i) const { return static_cast<double>(row_scale_of(in_, i)); }
    double log_weight_of_positive(index_t i) const {
        return in_.own.empty() || in_.log_weight.empty() ? 0.0
                                                         : static_cast<double>(in_.log_weight[columns_.own_at(i)]);
    }
    T inverse_temperature_of_positive(index_t i) const {
        return T(1) / temperature_of(in_, is_shared_ ? 0 : static_cast<index_t>(in_.own[i]));
    }

    /// Are the columns the queries, each row leaving itself out, with one gradient for both (NT-Xent)? Then s_ij = s_ji, and pass 2 has all
    /// of the gradient; pass 1 needs none.
    bool sums_over_itself() const {
        const bool same = in_.query.data() == in_.columns.data() && in_.query.rows() == in_.columns.rows() &&
                          in_.query.stride() == in_.columns.stride() && in_.column_id.empty();
        const bool plain =
            is_shared_ && !in_.own.empty() && !in_.self.empty() && in_.row_group.empty() && in_.log_weight.empty();
        if (!same || !plain || in_.grad_columns.empty() || in_.grad_columns.data() != in_.grad_query.data()) {
            return false;
        }
        for (index_t i = 0; i < B_; ++i) {
            if (in_.self[i] != static_cast<label_t>(i) || in_.own[i] < 0) {
                return false;
            }
        }
        return true;
    }

    /// Logits of positives that are no column of the pool, by the same chain as every other logit, so that equal ones tie.
    void outside_positives() {
        typename workspace<host>::scope scope(scratch_);
        const int workers = team_.workers();
        auto panels = scope.template matrix<T>(workers, W * C_ + most_tile_rows * W);
        const T inverse = T(1) / temperature_of(in_, 0);
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
        const index_t blocks = ceil_div(B_, row_block);
        const index_t J = columns_.count();
        const index_t tiles = ceil_div(J, tile_columns);
        const index_t slices =
            J == 0 ? 0 : std::clamp<index_t>(ceil_div(J, least_slice), 1, (std::max<index_t>)(1, most_tasks / blocks));
        const index_t slice_tiles = slices == 0 ? 0 : ceil_div(tiles, slices);
        partial_sums<T> partial(scope, slices, B_, with_gradient_ ? C_padded_ : 0, !in_.top1.empty());
        const int workers = team_.workers();
        column_tiles<T> tile(scope, workers, C_);
        auto strips = scope.template matrix<T>(workers, (tile_columns + most_tile_rows) * W);
        team_.for_each(blocks * slices, workers, [&](index_t task, int worker) {
            const index_t slice = task % slices;
            const index_t row0 = task / slices * row_block;
            const index_t row1 = (std::min)(B_, row0 + row_block);
            T* s = strips.row(worker).data();
            partial.clear(slice, row0, round_up(row1, W));
            for (index_t t = slice * slice_tiles; t < (std::min)(tiles, (slice + 1) * slice_tiles); ++t) {
                const index_t first = t * tile_columns;
                const index_t count = tile.load(worker, columns_, first);
                for (index_t i = row0; i < row1; i += W) {
                    tile.logits(worker, kernel_, softmax_, panels_.row(i / W).data(), count, s, W);
                    absorb(partial, slice, i, first, count, s);
                    if (with_gradient_) {
                        if (!is_shared_) {
                            softmax_.scale(s, W, count, tile.inverse(worker));
                        }
                        for (index_t c = 0; c < C_padded_; c += W) {
                            softmax_.packed_product(s, W, tile.values(worker) + c, tile.stride(), count,
                                                    partial.gradient(slice).row(i).data() + c, C_padded_);
                        }
                    }
                }
            }
        });
        team_.for_each(panels_.rows(), [&](index_t panel) {
            for (index_t i = panel * W; i < (std::min)(B_, (panel + 1) * W); ++i) {
                merge(partial, slices, i);
            }
        });
    }

    /// The strip of one panel, rows from i0 on: positives and left-out columns removed, maximum, exponentials, running sums.
    void absorb(partial_sums<T>& partial, index_t slice, index_t i0, index_t first, index_t count, T* s) {
        mask_strip(i0, first, count, s, W, nullptr);
        if (partial.counts_ties()) {
            softmax_.count_largest(s, W, count, partial.largest(slice, i0), partial.ties(slice, i0));
        }
        if (!in_.log_weight.empty()) {
            softmax_.shift(s, W, count, in_.log_weight.data() + first);
        }
        T* const M = &partial.maximum(slice, i0);
        T top[W];
        T shift[W];
        T sum[W];
        std::copy(M, M + W, top);
        softmax_.largest(s, W, count, top);
        for (int l = 0; l < W; ++l) {
            if (top[l] > M[l]) {
                double& sum_so_far = partial.sum(slice, i0 + l);
                if (sum_so_far != 0) {
                    const double factor = std::exp(static_cast<double>(M[l]) - static_cast<double>(top[l]));
                    sum_so_far *= factor;
                    partial.scale_gradient(slice, i0 + l, static_cast<T>(factor));
                }
                M[l] = top[l];
            }
            // Before the first column that counts M is the number for "left out", and every difference would look like 0.
            shift[l] = M[l] > left_out<T> / 2 ? M[l] : T(0);
        }
        softmax_.exponentials(s, W, count, shift, sum);
        for (int l = 0; l < W; ++l) {
            partial.sum(slice, i0 + l) += static_cast<double>(sum[l]);
        }
    }

    /// Takes out what the rows of a strip leave out, and their positives; own[l]: place of the positive of lane l, or -1.
    void mask_strip(index_t i0, index_t first, index_t count, T* s, index_t stride, index_t* own) {
        for (index_t l = 0; l < W; ++l) {
            index_t at = -1;
            if (columns_.masks() && i0 + l < B_ && takes_part(i0 + l)) {
                at = columns_.mask(i0 + l, first, count, s + l, stride, positive_logit_[i0 + l]);
            }
            if (own != nullptr) {
                own[l] = at;
            }
        }
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
        // Where all temperatures are equal the gradient was summed without them.
        const double spread = is_shared_ ? 1 / static_cast<double>(temperature_of(in_, 0)) : 1.0;
        const double pull =
            part ? -scale_of(i) * others_[i] * static_cast<double>(inverse_temperature_of_positive(i)) : 0.0;
        if (with_gradient_ && !in_.grad_query.empty()) {
            write_query_gradient(i, part, pull, partial, slices, inverse_sum * scale_of(i) * spread);
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

#include <protonce/backend/cpu/softmax_backward.inl>

    typename workspace<host>::scope scope_;
    workspace<host>& scratch_;
    const thread_team<Threads>& team_;
    const kernel_table<T>& kernel_;
    const softmax_kernels<T>& softmax_;
    const contrast<T, host>& in_;
    used_columns<T> columns_;
    index_t B_, C_, C_padded_;
    bool with_gradient_ = false;    // in pass 1
    bool is_shared_;                // one temperature for all columns
    matrix_view<T> panels_;         // (panels, W * C) the queries, packed
    vector_view<T> positive_logit_; // s_i+
    vector_view<double> others_;    // share of the other columns in the sum, -d l / d s_+
    vector_view<T> shift_;          // largest term of the sum, and
    vector_view<double> share_;     // e^shift / sum
};

} // namespace protonce::inline v0::detail::cpu

// SPDX-License-Identifier: MIT
#pragma once
#include "network.hpp"

#include <protonce/core/parallel.hpp>

#include <algorithm>
#include <vector>

namespace fashion {

using team = protonce::thread_team<protonce::default_threads>;

/// Variance is never taken below this in a normalisation.
inline constexpr double normalization_epsilon = 1e-5;

/// Rows that one task takes through a convolution. Fixed, so that the order of every sum is, too.
inline constexpr index_t rows_per_block = 32;

/// Images that are unfolded together: 0.45 MB at the widest, within a level-2 cache.
inline constexpr index_t images_at_once = 8;

/// Values that linear() needs to unfold into, the most over all stages.
inline index_t unfolded_values(const encoder_layout& layout) {
    index_t most = 0;
    for (const stage& layer : layout.stages) {
        if (!layer.is_dense) {
            most = std::max(most, images_at_once * layer.out.positions() * layer.fan_in());
        }
    }
    return most;
}

/// The product of one stage, before normalisation.
///
/// \param in       (count, layer.in)
/// \param columns  scratch, unfolded_values()
/// \param out      (count, layer.out)  overwritten
template <class T>
void linear(const stage& layer, const T* weights, const T* in, index_t count, T* columns, T* out) {
    const const_map_of<T> matrix(weights, layer.fan_in(), layer.out.channels);
    if (layer.is_dense) {
        map_of<T>(out, count, layer.out.channels).noalias() = const_map_of<T>(in, count, layer.fan_in()) * matrix;
        return;
    }
    const index_t positions = layer.out.positions();
    for (index_t i = 0; i < count; i += images_at_once) {
        const index_t images = std::min(images_at_once, count - i);
        for (index_t k = 0; k < images; ++k) {
            unfold(in + (i + k) * layer.in.size(), layer.in, columns + k * positions * layer.fan_in());
        }
        T* target = out + i * layer.out.size();
        if (layer.in.channels == 1) {
            convolve_plane(columns, images * positions, weights, layer.out.channels, target);
        } else {
            map_of<T>(target, images * positions, layer.out.channels).noalias() =
                const_map_of<T>(columns, images * positions, layer.fan_in()) * matrix;
        }
    }
}

/// out = hidden * weights + bias, the last layer.
template <class T>
void project(const encoder_layout& layout, const encoder_model<T>& net, const T* hidden, index_t count, T* out) {
    const const_map_of<T> in(hidden, count, layout.hidden);
    const const_map_of<T> weights(net.parameters.data() + layout.projection, layout.hidden, layout.embedding);
    map_of<T> target(out, count, layout.embedding);
    target.noalias() = in * weights;
    target.rowwise() += const_map_of<T>(net.parameters.data() + layout.bias, 1, layout.embedding).row(0);
}

/// Forward and backward pass of the encoder over one batch, with batch statistics.
///
/// The batch is cut into blocks of `rows_per_block` rows; what blocks sum up is combined in block order. So the bits do not depend on the
/// number of threads. One pass object holds the values of one batch; models come and go.
template <class T>
class training_pass {
public:
    training_pass(const encoder_layout& layout, index_t max_rows, const team& threads)
        : layout_(layout), threads_(threads), max_blocks_((max_rows + rows_per_block - 1) / rows_per_block) {
        index_t widest = layout.hidden;
        for (std::size_t s = 0; s < layout.stages.size(); ++s) {
            const stage& layer = layout.stages[s];
            const auto values = static_cast<std::size_t>(max_rows * layer.out.size());
            raw_[s].resize(values);
            active_[s].resize(values);
            grad_[s].resize(values);
            widest = std::max(widest, layer.out.channels);
            if (!layer.is_dense) {
                block_grad_[s].resize(static_cast<std::size_t>(max_blocks_ * layer.fan_in() * layer.out.channels));
            }
        }
        widest_ = widest;
        unfolded_ = unfolded_values(layout);
        block_sums_.resize(static_cast<std::size_t>(max_blocks_ * 2 * widest));
        const auto workers = static_cast<std::size_t>(threads.workers());
        scratch_.resize(workers * static_cast<std::size_t>(2 * unfolded_ + 2 * widest));
    }

    /// Embeddings of a batch, not normalised, with statistics of `groups` equal parts of it; updates the model's running moments.
    ///
    /// \param images      (rows, 784), must live until backward() is done
    /// \param rows        a multiple of groups * rows_per_block
    /// \param embeddings  (rows, embedding)  overwritten
    void forward(encoder_model<T>& net, const T* images, index_t rows, index_t groups, T* embeddings) {
        images_ = images;
        rows_ = rows;
        groups_ = groups;
        for (std::size_t s = 0; s < layout_.stages.size(); ++s) {
            const index_t step = layout_.stages[s].is_dense ? 2 * rows_per_block : rows_per_block;
            threads_.for_each((rows + step - 1) / step, workers(), [&](index_t task, int worker) {
                const index_t first = task * step;
                const index_t count = std::min(step, rows - first);
                if (s > 0) {
                    activate(s - 1, first, count);
                }
                const stage& layer = layout_.stages[s];
                linear(layer, at(net, layer.weights), input_of(s) + first * layer.in.size(), count,
                       worker_scratch(worker), raw_[s].data() + first * layer.out.size());
                collect_moments(s, first, count, worker_scratch(worker));
            });
            finish_moments(net, s);
        }
        threads_.for_each((rows + rows_per_block - 1) / rows_per_block, [&](index_t task) {
            const index_t first = task * rows_per_block;
            const index_t count = std::min(rows_per_block, rows - first);
            activate(3, first, count);
            project(layout_, net, active_[3].data() + first * layout_.hidden, count,
                    embeddings + first * layout_.embedding);
        });
    }

    /// Gradient of all parameters for the batch of the last forward(), overwritten.
    ///
    /// \param grad_embeddings  (rows, embedding)
    void backward(const encoder_model<T>& net, const T* grad_embeddings, std::vector<T>& gradient) {
        const index_t step = 2 * rows_per_block;
        const_map_of<T> upstream(grad_embeddings, rows_, layout_.embedding);
        threads_.for_each((rows_ + step - 1) / step, workers(), [&](index_t task, int worker) {
            const index_t first = task * step;
            const index_t count = std::min(step, rows_ - first);
            const_map_of<T> weights(at(net, layout_.projection), layout_.hidden, layout_.embedding);
            map_of<T> below(grad_[3].data() + first * layout_.hidden, count, layout_.hidden);
            below.noalias() = upstream.middleRows(first, count) * weights.transpose();
            collect_gradient_sums(3, first, count, worker_scratch(worker));
        });
        map_of<T>(gradient.data() + layout_.projection, layout_.hidden, layout_.embedding).noalias() =
            const_map_of<T>(active_[3].data(), rows_, layout_.hidden).transpose() * upstream;
        T* bias = gradient.data() + layout_.bias;
        std::fill_n(bias, layout_.embedding, T{0});
        for (index_t r = 0; r < rows_; ++r) {
            for (index_t c = 0; c < layout_.embedding; ++c) {
                bias[c] += upstream(r, c);
            }
        }
        finish_gradient_sums(net, 3, gradient);
        dense_backward(net, gradient);
        for (std::size_t s = 3; s-- > 0;) {
            finish_gradient_sums(net, s, gradient);
            convolution_backward(net, s, gradient);
        }
    }

private:
    int workers() const { return threads_.workers(); }
    T* worker_scratch(int worker) { return scratch_.data() + worker * (2 * unfolded_ + 2 * widest_); }
    T* sums_scratch(T* scratch) const { return scratch + 2 * unfolded_; }
    static const T* at(const encoder_model<T>& net, index_t offset) { return net.parameters.data() + offset; }
    const T* input_of(std::size_t s) const { return s == 0 ? images_ : active_[s - 1].data(); }
    index_t group_of(index_t row) const { return row / (rows_ / groups_); }

    /// Channel coefficients of one group: of the normalisation, and the three of its gradient.
    enum coefficient : index_t {
        mean,
        inverse_deviation,
        scale,
        shift,
        factor_gradient,
        factor_values,
        constant,
        num_coefficients
    };
    T* coefficients(std::size_t s, index_t group, coefficient which) {
        return coefficients_[s].data() + (group * num_coefficients + which) * layout_.stages[s].out.channels;
    }

    void activate(std::size_t s, index_t first, index_t count) {
        const map_shape out = layout_.stages[s].out;
        for (index_t r = first; r < first + count; ++r) {
            const index_t group = group_of(r);
            scale_and_rectify(raw_[s].data() + r * out.size(), out.positions(), out.channels,
                              coefficients(s, group, scale), coefficients(s, group, shift),
                              active_[s].data() + r * out.size());
        }
    }

    /// Two sums a channel of each block of rows.
    double* block_sums(index_t row) { return block_sums_.data() + row / rows_per_block * 2 * widest_; }

    void clear_block_sums(index_t first, index_t count) {
        for (index_t r = first; r < first + count; r += rows_per_block) {
            std::fill_n(block_sums(r), 2 * widest_, 0.0);
        }
    }

    void collect_moments(std::size_t s, index_t first, index_t count, T* scratch) {
        const map_shape out = layout_.stages[s].out;
        clear_block_sums(first, count);
        for (index_t r = first; r < first + count; ++r) {
            add_moments(raw_[s].data() + r * out.size(), out.positions(), out.channels, sums_scratch(scratch),
                        block_sums(r), block_sums(r) + widest_);
        }
    }

    void collect_gradient_sums(std::size_t s, index_t first, index_t count, T* scratch) {
        const map_shape out = layout_.stages[s].out;
        clear_block_sums(first, count);
        for (index_t r = first; r < first + count; ++r) {
            rectify_gradient(active_[s].data() + r * out.size(), raw_[s].data() + r * out.size(),
                             coefficients(s, group_of(r), mean), out.positions(), out.channels,
                             grad_[s].data() + r * out.size(), sums_scratch(scratch), block_sums(r),
                             block_sums(r) + widest_);
        }
    }

    /// Sum over the blocks of a group, in block order; `which` is 0 or 1.
    double group_sum(index_t group, index_t which, index_t channel) {
        const index_t rows = rows_ / groups_;
        double sum = 0;
        for (index_t r = group * rows; r < (group + 1) * rows; r += rows_per_block) {
            sum += block_sums(r)[which * widest_ + channel];
        }
        return sum;
    }

    void finish_moments(encoder_model<T>& net, std::size_t s);
    void finish_gradient_sums(const encoder_model<T>& net, std::size_t s, std::vector<T>& gradient);
    void normalize_gradient(std::size_t s, index_t first, index_t count);
    void dense_backward(const encoder_model<T>& net, std::vector<T>& gradient);
    void convolution_backward(const encoder_model<T>& net, std::size_t s, std::vector<T>& gradient);

    using per_stage = std::array<std::vector<T>, encoder_layout::num_stages>;

    encoder_layout layout_;
    team threads_;
    index_t max_blocks_;
    index_t widest_ = 0;
    index_t unfolded_ = 0;
    const T* images_ = nullptr;
    index_t rows_ = 0;
    index_t groups_ = 1;
    per_stage raw_{};          // (rows, out) before normalisation
    per_stage active_{};       // (rows, out) after normalisation and ReLU
    per_stage grad_{};         // (rows, out) gradient, of active_ and then of raw_
    per_stage coefficients_{}; // (groups, 7, channels)
    per_stage block_grad_{};   // (blocks, fan-in, channels) shares of the convolutions' weight gradients
    std::vector<double> block_sums_{};
    std::vector<T> scratch_{}; // per worker: two unfolded tiles, two sums a channel
};

} // namespace fashion

#include "encoder_backward.hpp"

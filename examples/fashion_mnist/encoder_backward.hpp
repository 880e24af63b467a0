// SPDX-License-Identifier: MIT
#pragma once
#include "encoder.hpp"

namespace fashion {

/// Share of the newest batch in the running moments.
inline constexpr double running_share = 0.1;

// y = gain * (x - mean) / sqrt(var + eps) + shift = x * scale + (shift - mean * scale).
template <class T>
void training_pass<T>::finish_moments(encoder_model<T>& net, std::size_t s) {
    const stage& layer = layout_.stages[s];
    const index_t channels = layer.out.channels;
    const auto count = static_cast<double>(rows_ / groups_ * layer.out.positions());
    coefficients_[s].resize(static_cast<std::size_t>(groups_ * num_coefficients * channels));
    T* running = net.moments.data() + layer.moments;
    for (index_t c = 0; c < channels; ++c) {
        double mean_of_groups = 0;
        double variance_of_groups = 0;
        for (index_t g = 0; g < groups_; ++g) {
            const double average = group_sum(g, 0, c) / count;
            const double variance = std::max(group_sum(g, 1, c) / count - average * average, 0.0);
            const double inverse = 1.0 / std::sqrt(variance + normalization_epsilon);
            const double factor = static_cast<double>(at(net, layer.gain)[c]) * inverse;
            coefficients(s, g, mean)[c] = static_cast<T>(average);
            coefficients(s, g, inverse_deviation)[c] = static_cast<T>(inverse);
            coefficients(s, g, scale)[c] = static_cast<T>(factor);
            coefficients(s, g, shift)[c] =
                static_cast<T>(static_cast<double>(at(net, layer.gain)[channels + c]) - average * factor);
            mean_of_groups += average / static_cast<double>(groups_);
            variance_of_groups += variance * count / (count - 1.0) / static_cast<double>(groups_);
        }
        const auto blend = [](T old, double now) {
            return static_cast<T>((1.0 - running_share) * static_cast<double>(old) + running_share * now);
        };
        running[c] = blend(running[c], mean_of_groups);
        running[channels + c] = blend(running[channels + c], variance_of_groups);
    }
}

// With h = (x - mean) r, r = 1 / sqrt(var + eps), y = gain h + shift, n values a channel, g = dL/dy:
//     dL/dshift = sum g,   dL/dgain = sum g h,
//     dL/dx = gain r (g - (sum g) / n - h (sum g h) / n) = a g + b x + d,
//     a = gain r,   b = -a r (sum g h) / n,   d = -a (sum g) / n - b mean.
template <class T>
void training_pass<T>::finish_gradient_sums(const encoder_model<T>& net, std::size_t s, std::vector<T>& gradient) {
    const stage& layer = layout_.stages[s];
    const index_t channels = layer.out.channels;
    const auto count = static_cast<double>(rows_ / groups_ * layer.out.positions());
    for (index_t c = 0; c < channels; ++c) {
        double grad_gain = 0;
        double grad_shift = 0;
        for (index_t g = 0; g < groups_; ++g) {
            const auto r = static_cast<double>(coefficients(s, g, inverse_deviation)[c]);
            const double sum = group_sum(g, 0, c);
            const double product = group_sum(g, 1, c) * r;
            grad_shift += sum;
            grad_gain += product;
            const double a = static_cast<double>(at(net, layer.gain)[c]) * r;
            const double b = -a * r * product / count;
            const double d = -a * sum / count - b * static_cast<double>(coefficients(s, g, mean)[c]);
            coefficients(s, g, factor_gradient)[c] = static_cast<T>(a);
            coefficients(s, g, factor_values)[c] = static_cast<T>(b);
            coefficients(s, g, constant)[c] = static_cast<T>(d);
        }
        gradient[static_cast<std::size_t>(layer.gain + c)] = static_cast<T>(grad_gain);
        gradient[static_cast<std::size_t>(layer.gain + channels + c)] = static_cast<T>(grad_shift);
    }
}

template <class T>
void training_pass<T>::normalize_gradient(std::size_t s, index_t first, index_t count) {
    const map_shape out = layout_.stages[s].out;
    for (index_t r = first; r < first + count; ++r) {
        const index_t group = group_of(r);
        combine_gradient(raw_[s].data() + r * out.size(), out.positions(), out.channels,
                         coefficients(s, group, factor_gradient), coefficients(s, group, factor_values),
                         coefficients(s, group, constant), grad_[s].data() + r * out.size());
    }
}

template <class T>
void training_pass<T>::dense_backward(const encoder_model<T>& net, std::vector<T>& gradient) {
    const stage& layer = layout_.stages[3];
    const index_t step = 2 * rows_per_block;
    const_map_of<T> weights(at(net, layer.weights), layer.fan_in(), layer.out.channels);
    threads_.for_each((rows_ + step - 1) / step, workers(), [&](index_t task, int worker) {
        const index_t first = task * step;
        const index_t count = std::min(step, rows_ - first);
        normalize_gradient(3, first, count);
        const_map_of<T> grad(grad_[3].data() + first * layout_.hidden, count, layout_.hidden);
        map_of<T>(grad_[2].data() + first * layer.in.size(), count, layer.in.size()).noalias() =
            grad * weights.transpose();
        collect_gradient_sums(2, first, count, worker_scratch(worker));
    });
    // The weights' gradient is cut by input, not by row: no shares to add up.
    const index_t inputs = std::min<index_t>(256, layer.fan_in());
    const_map_of<T> grad(grad_[3].data(), rows_, layout_.hidden);
    const_map_of<T> below(active_[2].data(), rows_, layer.fan_in());
    threads_.for_each((layer.fan_in() + inputs - 1) / inputs, [&](index_t task) {
        const index_t first = task * inputs;
        const index_t count = std::min(inputs, layer.fan_in() - first);
        map_of<T>(gradient.data() + layer.weights + first * layout_.hidden, count, layout_.hidden).noalias() =
            below.middleCols(first, count).transpose() * grad;
    });
}

template <class T>
void training_pass<T>::convolution_backward(const encoder_model<T>& net, std::size_t s, std::vector<T>& gradient) {
    const stage& layer = layout_.stages[s];
    const index_t positions = layer.out.positions();
    const index_t fan_in = layer.fan_in();
    const index_t channels = layer.out.channels;
    const index_t blocks = (rows_ + rows_per_block - 1) / rows_per_block;
    const_map_of<T> weights(at(net, layer.weights), fan_in, channels);
    threads_.for_each(blocks, workers(), [&](index_t block, int worker) {
        const index_t first = block * rows_per_block;
        const index_t count = std::min(rows_per_block, rows_ - first);
        normalize_gradient(s, first, count);
        map_of<T> share(block_grad_[s].data() + block * fan_in * channels, fan_in, channels);
        share.setZero();
        T* columns = worker_scratch(worker);
        T* grad_columns = columns + unfolded_;
        for (index_t i = first; i < first + count; i += images_at_once) {
            const index_t images = std::min(images_at_once, first + count - i);
            for (index_t k = 0; k < images; ++k) {
                unfold(input_of(s) + (i + k) * layer.in.size(), layer.in, columns + k * positions * fan_in);
            }
            const_map_of<T> grad(grad_[s].data() + i * layer.out.size(), images * positions, channels);
            if (s == 0) {
                convolve_plane_gradient(columns, images * positions, grad.data(), channels, share.data());
                continue;
            }
            share.noalias() += const_map_of<T>(columns, images * positions, fan_in).transpose() * grad;
            map_of<T>(grad_columns, images * positions, fan_in).noalias() = grad * weights.transpose();
            for (index_t k = 0; k < images; ++k) {
                fold(grad_columns + k * positions * fan_in, layer.in, grad_[s - 1].data() + (i + k) * layer.in.size());
            }
        }
        if (s > 0) {
            collect_gradient_sums(s - 1, first, count, worker_scratch(worker));
        }
    });
    T* total = gradient.data() + layer.weights;
    std::copy_n(block_grad_[s].data(), fan_in * channels, total);
    for (index_t block = 1; block < blocks; ++block) {
        const T* share = block_grad_[s].data() + block * fan_in * channels;
        for (index_t i = 0; i < fan_in * channels; ++i) {
            total[i] += share[i];
        }
    }
}

} // namespace fashion

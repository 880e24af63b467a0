// SPDX-License-Identifier: MIT
#pragma once
// Every product of the network runs on one thread: Eigen's own threading would make the bits depend on the thread count.
#ifndef EIGEN_DONT_PARALLELIZE
#error "define EIGEN_DONT_PARALLELIZE before Eigen is included"
#endif
#include <protonce/core/types.hpp>

#include <Eigen/Core>

#include <algorithm>

/// What a convolutional network is made of, on some rows of a batch. Maps lie as (rows, height, width, channels).
namespace fashion {

using protonce::index_t;

template <class T>
using row_major = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using map_of = Eigen::Map<row_major<T>>;
template <class T>
using const_map_of = Eigen::Map<const row_major<T>>;

struct map_shape {
    index_t height = 0;
    index_t width = 0;
    index_t channels = 0;

    index_t positions() const { return height * width; }
    index_t size() const { return positions() * channels; }
};

/// Output of a 3 x 3 convolution of stride 2 with a border of one zero.
inline map_shape convolved(map_shape in, index_t channels) {
    return {(in.height + 1) / 2, (in.width + 1) / 2, channels};
}

namespace detail {

/// Calls visit(image offset, column offset, length) for each run of neighbours of one image that lie next to each other both in the
/// image and in its unfolded form (positions, 9 * channels): the up to three of one row of the 3 x 3 window. `blank` gets the runs
/// beyond the border.
template <class Visit, class Blank>
void for_each_run(map_shape in, const Visit& visit, const Blank& blank) {
    const map_shape out = convolved(in, in.channels);
    const index_t depth = in.channels;
    for (index_t oy = 0; oy < out.height; ++oy) {
        for (index_t ox = 0; ox < out.width; ++ox) {
            for (index_t ky = 0; ky < 3; ++ky) {
                const index_t column = ((oy * out.width + ox) * 9 + ky * 3) * depth;
                const index_t y = 2 * oy + ky - 1;
                if (y < 0 || y >= in.height) {
                    blank(column, 3 * depth);
                    continue;
                }
                const index_t left = 2 * ox - 1;
                const index_t first = std::max<index_t>(left, 0);
                const index_t last = std::min(left + 3, in.width);
                blank(column, (first - left) * depth);
                visit((y * in.width + first) * depth, column + (first - left) * depth, (last - first) * depth);
                blank(column + (last - left) * depth, (left + 3 - last) * depth);
            }
        }
    }
}

} // namespace detail

/// columns (positions of the output, 9 * channels) of one image (height, width, channels).
template <class T>
void unfold(const T* image, map_shape in, T* columns) {
    detail::for_each_run(
        in, [&](index_t from, index_t to, index_t length) { std::copy_n(image + from, length, columns + to); },
        [&](index_t to, index_t length) { std::fill_n(columns + to, length, T{0}); });
}

/// The transpose of unfold(): image = sum of the columns' shares.
template <class T>
void fold(const T* columns, map_shape in, T* image) {
    std::fill_n(image, in.size(), T{0});
    detail::for_each_run(
        in,
        [&](index_t to, index_t from, index_t length) {
            for (index_t i = 0; i < length; ++i) {
                image[to + i] += columns[from + i];
            }
        },
        [](index_t, index_t) {});
}

/// The first convolution has one input channel: nine multiply-adds a value, too few for a matrix product to pay.
template <class T>
void convolve_plane(const T* columns, index_t positions, const T* weights, index_t channels, T* out) {
    for (index_t p = 0; p < positions; ++p) {
        const T* x = columns + 9 * p;
        const T* w = weights;
        T* y = out + p * channels;
        for (index_t c = 0; c < channels; ++c) {
            T value = x[0] * w[c];
            value += x[1] * w[c + channels];
            value += x[2] * w[c + 2 * channels];
            value += x[3] * w[c + 3 * channels];
            value += x[4] * w[c + 4 * channels];
            value += x[5] * w[c + 5 * channels];
            value += x[6] * w[c + 6 * channels];
            value += x[7] * w[c + 7 * channels];
            value += x[8] * w[c + 8 * channels];
            y[c] = value;
        }
    }
}

/// grad_weights (9, channels) += columns^T grad_out.
template <class T>
void convolve_plane_gradient(const T* columns, index_t positions, const T* grad_out, index_t channels,
                             T* grad_weights) {
    for (index_t p = 0; p < positions; ++p) {
        const T* g = grad_out + p * channels;
        for (index_t k = 0; k < 9; ++k) {
            const T x = columns[9 * p + k];
            T* w = grad_weights + k * channels;
            for (index_t c = 0; c < channels; ++c) {
                w[c] += x * g[c];
            }
        }
    }
}

/// sum[c] += values[., c], squares[c] += values[., c]^2. `values` is (rows, channels); sums of one image are made in T, then added.
template <class T>
void add_moments(const T* values, index_t rows, index_t channels, T* scratch, double* sum, double* squares) {
    std::fill_n(scratch, 2 * channels, T{0});
    T* part = scratch;
    T* part_squares = scratch + channels;
    for (index_t r = 0; r < rows; ++r) {
        const T* x = values + r * channels;
        for (index_t c = 0; c < channels; ++c) {
            part[c] += x[c];
            part_squares[c] += x[c] * x[c];
        }
    }
    for (index_t c = 0; c < channels; ++c) {
        sum[c] += static_cast<double>(part[c]);
        squares[c] += static_cast<double>(part_squares[c]);
    }
}

/// out = max(0, values * scale + shift), channel by channel: batch normalisation and ReLU in one.
template <class T>
void scale_and_rectify(const T* values, index_t rows, index_t channels, const T* scale, const T* shift, T* out) {
    for (index_t r = 0; r < rows; ++r) {
        const T* x = values + r * channels;
        T* y = out + r * channels;
        for (index_t c = 0; c < channels; ++c) {
            const T value = x[c] * scale[c] + shift[c];
            y[c] = value > T{0} ? value : T{0};
        }
    }
}

/// Takes a gradient back through the ReLU, in place, and adds the two sums that the gradient of batch normalisation needs:
/// sum[c] += grad, products[c] += grad * (values - mean).
template <class T>
void rectify_gradient(const T* activation, const T* values, const T* mean, index_t rows, index_t channels, T* grad,
                      T* scratch, double* sum, double* products) {
    std::fill_n(scratch, 2 * channels, T{0});
    T* part = scratch;
    T* part_products = scratch + channels;
    for (index_t r = 0; r < rows; ++r) {
        const T* a = activation + r * channels;
        const T* x = values + r * channels;
        T* g = grad + r * channels;
        for (index_t c = 0; c < channels; ++c) {
            g[c] = a[c] > T{0} ? g[c] : T{0};
        }
        for (index_t c = 0; c < channels; ++c) { // apart from the above: both loops then run on whole vectors
            part[c] += g[c];
            part_products[c] += g[c] * (x[c] - mean[c]);
        }
    }
    for (index_t c = 0; c < channels; ++c) {
        sum[c] += static_cast<double>(part[c]);
        products[c] += static_cast<double>(part_products[c]);
    }
}

/// grad = a * grad + b * values + d, channel by channel: the gradient of batch normalisation once its sums are known.
template <class T>
void combine_gradient(const T* values, index_t rows, index_t channels, const T* a, const T* b, const T* d, T* grad) {
    for (index_t r = 0; r < rows; ++r) {
        const T* x = values + r * channels;
        T* g = grad + r * channels;
        for (index_t c = 0; c < channels; ++c) {
            g[c] = a[c] * g[c] + b[c] * x[c] + d[c];
        }
    }
}

} // namespace fashion

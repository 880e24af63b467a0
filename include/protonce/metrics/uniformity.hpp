// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/fill_cycle.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/on_host.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace protonce::inline v0 {

struct alignment_options {
    double exponent = 2; // alpha
};

struct uniformity_options {
    double scale = 2; // t
};

namespace detail {

/// to = first - second, rows of `to` one after the other.
template <backend B>
void subtract_rows(B& be, matrix_of<B, const value_of<B>> first, matrix_of<B, const value_of<B>> second,
                   matrix_of<B> to) {
    using T = value_of<B>;
    using values = vector_of<B, const T>;
    const index_t size = to.rows() * to.cols();
    if (first.stride() == first.cols() && second.stride() == second.cols()) {
        const vector_of<B> all(to.data(), size);
        be.copy(values(second.data(), size), all);
        be.axpby(1.0, values(first.data(), size), -1.0, all);
        return;
    }
    for (index_t i = 0; i < to.rows(); ++i) {
        be.copy(second.row(i), to.row(i));
        be.axpby(1.0, first.row(i), -1.0, to.row(i));
    }
}

/// -t ||x_i||^2 in place of the norm.
template <class T>
struct weight_of_norm {
    double t;
    T* value;
    PROTONCE_HOST_DEVICE void operator()(index_t i) const {
        value[i] = static_cast<T>(-t * static_cast<double>(value[i]) * static_cast<double>(value[i]));
    }
};
} // namespace detail

/// Mean distance of positive pairs, to a power (Wang and Isola 2020, equation for L_align); 0 when each pair coincides.
///
///     alignment = (1/B) sum_i ||x_i - y_i||^alpha
///
/// \param first, second   (B, C)  unit rows, row i of both the same sample
/// \throws shape_error     no rows, or the two differ in shape
/// \throws argument_error  exponent not positive and finite; NaN or infinity in first or second
/// Synchronises: yes.  Scratch: at most 1024 C values.  Reproducible: bitwise.
template <backend B>
double alignment(B& be, matrix_of<B, const value_of<B>> first, matrix_of<B, const value_of<B>> second,
                 const alignment_options& options = {}) {
    using T = value_of<B>;
    check::matrix("alignment", "first", first);
    check::matrix("alignment", "second", second);
    check::equal_shape("alignment", "first", first, "second", second);
    check::positive("alignment", "exponent", options.exponent);
    check::finite_rows(be, "alignment", "first", first);
    check::finite_rows(be, "alignment", "second", second);

    constexpr index_t block = 1024;
    const index_t rows = first.rows();
    typename workspace<typename B::space>::scope scratch(be.scratch());
    const auto difference = scratch.template matrix<T>((std::min<index_t>)(block, rows), first.cols());
    const auto norms = scratch.template vector<T>(difference.rows());
    double sum = 0.0;
    for (index_t begin = 0; begin < rows; begin += block) {
        const index_t count = (std::min<index_t>)(block, rows - begin);
        detail::subtract_rows(be, first.slice(begin, count), second.slice(begin, count), difference.slice(0, count));
        be.row_norms(difference.slice(0, count), norms.slice(0, count));
        workspace<host>::scope host_scratch(be.host_scratch());
        for (const T norm : detail::on_host<T, B>(be, host_scratch, norms.slice(0, count))) {
            sum += std::pow(static_cast<double>(norm), options.exponent);
        }
    }
    return sum / static_cast<double>(rows);
}

/// How evenly rows spread over the sphere (Wang and Isola 2020, equation for L_uniform); smaller is more even, 0 when
/// all coincide.
///
///     uniformity = ln( mean over pairs i < j of  e^{-t ||x_i - x_j||^2} )
///
/// One softmax over all rows but one's own gives it with no N x N matrix, since
///     ln sum_{j != i} e^{-t ||x_i - x_j||^2}  =  -t ||x_i||^2  +  ln sum_{j != i} e^{-t ||x_j||^2} e^{2t x_i.x_j}.
/// Rows need not be unit, but the terms on the right cancel: in float the error is about 4 t max ||x||^2 2^-24.
///
/// \param features         (N, C)  N of at least 2
/// \throws shape_error     fewer than two rows
/// \throws argument_error  scale not positive and finite; NaN or infinity in features
/// Synchronises: yes.  Cost: O(N^2 C).  Scratch: 5 N values.  Reproducible: bitwise.
template <backend B>
double uniformity(B& be, matrix_of<B, const value_of<B>> features, const uniformity_options& options = {}) {
    using T = value_of<B>;
    check::matrix("uniformity", "features", features);
    const index_t rows = features.rows();
    if (rows < 2 || rows > (std::numeric_limits<label_t>::max)()) {
        check::fail_shape("uniformity", "features", "must have at least two rows, and as many as label_t can number",
                          check::shape_text(rows, features.cols()));
    }
    // 2t is the inverse of a temperature of the backend's type.
    const T rounded = static_cast<T>(0.5 / options.scale);
    if (!check::is_positive(options.scale) || !check::is_positive(rounded)) {
        check::fail_argument("uniformity", "scale", "must be positive and finite, and so must be half its inverse",
                             check::text(options.scale));
    }
    check::finite_rows(be, "uniformity", "features", features);

    // The same t in every term, or they would not cancel.
    const double t = 0.5 / static_cast<double>(rounded);
    typename workspace<typename B::space>::scope scratch(be.scratch());
    workspace<host>::scope host_scratch(be.host_scratch());
    const auto temperature = scratch.template vector<T>(1);
    be.fill(temperature, rounded);
    const auto log_weight = scratch.template vector<T>(rows);
    be.row_norms(features, log_weight);
    be.for_each(rows, detail::weight_of_norm<T>{t, log_weight.data()});

    // The operation wants a positive among the columns. Any does, log_sum does not depend on it; the next row is not
    // one's own.
    const auto self = scratch.template vector<label_t>(rows);
    const auto own = scratch.template vector<label_t>(rows);
    detail::fill_cycle(be, 0, self);
    detail::fill_cycle(be, 1, own);
    const auto log_sum = scratch.template vector<T>(rows);
    const contrast<T, typename B::space> problem{.query = features,
                                                 .columns = features,
                                                 .own = own,
                                                 .self = self,
                                                 .temperature = temperature,
                                                 .log_weight = log_weight,
                                                 .log_sum = log_sum};
    be.softmax_contrast(std::span(&problem, 1));

    // Terms are at most ln(N - 1) up to rounding, and may lie far below: shifted by the largest.
    const auto sums = detail::on_host<T, B>(be, host_scratch, log_sum);
    const auto shift = detail::on_host<T, B>(be, host_scratch, log_weight);
    double largest = -std::numeric_limits<double>::infinity();
    for (index_t i = 0; i < rows; ++i) {
        largest = (std::max<double>)(largest, static_cast<double>(sums[i]) + static_cast<double>(shift[i]));
    }
    double sum = 0.0;
    for (index_t i = 0; i < rows; ++i) {
        sum += std::exp(static_cast<double>(sums[i]) + static_cast<double>(shift[i]) - largest);
    }
    const auto n = static_cast<double>(rows);
    return largest + std::log(sum / n) - std::log(n - 1.0);
}

} // namespace protonce::inline v0

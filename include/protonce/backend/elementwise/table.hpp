// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/host_device.hpp>
#include <protonce/core/workspace.hpp>

#include <cmath>
#include <type_traits>

/// Operations of the seam as functions of one element, for machines with thousands of threads: `run.for_each(n, f)` calls f(0) to
/// f(n - 1) in any order, and no two elements write the same place. Sums run in a fixed order, in double. `backend/thrust.hpp` and
/// `backend/cuda.hpp` bring the `run`.
namespace protonce::inline v0::detail::elementwise {

/// A matrix where the processor that runs the element finds it.
template <class T>
struct table {
    T* data = nullptr;
    index_t rows = 0;
    index_t cols = 0;
    index_t stride = 0;

    table() = default;
    template <class S>
    table(matrix_view<T, S> view) : data(view.data()), rows(view.rows()), cols(view.cols()), stride(view.stride()) {}
    template <class S, class U>
    requires std::is_same_v<const U, T> table(matrix_view<U, S> view)
        : data(view.data()), rows(view.rows()), cols(view.cols()), stride(view.stride()) {}

    PROTONCE_HOST_DEVICE T* row(index_t i) const { return data + i * stride; }
    PROTONCE_HOST_DEVICE T& operator()(index_t i, index_t j) const { return data[i * stride + j]; }
};

/// Scratch memory of a `Run`, and a part of it.
template <class Run>
using scratch_of = workspace<typename Run::space>;
template <class Run>
using scope_of = typename workspace<typename Run::space>::scope;

/// to_i = value
template <class Run, class U>
void fill(Run& run, U* to, index_t n, U value) {
    run.for_each(n, [=] PROTONCE_ON_DEVICE(index_t i) { to[i] = value; });
}

/// Weights may be left out: 1 a row.
template <class T>
PROTONCE_HOST_DEVICE double weight_of(const T* weight, index_t i) {
    return weight == nullptr ? 1.0 : static_cast<double>(weight[i]);
}

/// NaN if either is.
PROTONCE_HOST_DEVICE inline double smaller(double a, double b) {
    return b < a || b != b ? b : a;
}

/// In double, in order of the columns.
template <class T>
PROTONCE_HOST_DEVICE double inner_product(const T* x, const T* y, index_t cols) {
    double sum = 0;
    for (index_t j = 0; j < cols; ++j) {
        sum = add_product(sum, static_cast<double>(x[j]), static_cast<double>(y[j]));
    }
    return sum;
}

/// a b + c: one rounding on a device, always; elsewhere what the compiler makes of it.
template <class T>
PROTONCE_HOST_DEVICE T multiply_add(T a, T b, T c) {
#ifdef __CUDA_ARCH__
    return ::fma(a, b, c);
#else
    return a * b + c;
#endif
}

/// n elements in blocks of one after the other, about as many blocks as a block has elements, if it has more than the least; the same for
/// the same n everywhere.
struct blocks {
    index_t elements;
    index_t length;
    index_t count;

    explicit blocks(index_t n, index_t least = 256) : elements(n), length(least), count(0) {
        while (length * length < n) {
            length *= 2;
        }
        count = ceil_div(n, length);
    }
    PROTONCE_HOST_DEVICE index_t first(index_t b) const { return b * length; }
    PROTONCE_HOST_DEVICE index_t last(index_t b) const {
        const index_t end = (b + 1) * length;
        return end < elements ? end : elements;
    }
};

/// before_b = sum of term(i) over all blocks before b; the last, before[count], is the sum of all.
template <class R, class Run, class F>
void sums_before_blocks(Run& run, const blocks& cut, const F& term, R* before) {
    run.for_each(cut.count, [=] PROTONCE_ON_DEVICE(index_t b) {
        R sum{};
        for (index_t i = cut.first(b); i < cut.last(b); ++i) {
            sum += term(i);
        }
        before[b + 1] = sum;
    });
    run.for_each(1, [=] PROTONCE_ON_DEVICE(index_t) {
        before[0] = R{};
        for (index_t b = 0; b < cut.count; ++b) {
            before[b + 1] += before[b];
        }
    });
}

/// finish(j, sum over the rows i of what add(sum, i, j) adds) for each of `cols` columns, by blocks of rows.
template <class Run, class F, class G>
void sum_columns(Run& run, scratch_of<Run>& scratch, index_t rows, index_t cols, const F& add, const G& finish) {
    scope_of<Run> scope(scratch);
    const blocks cut(rows);
    const table<double> part = scope.template matrix<double>(cut.count, cols);
    run.for_each(cut.count * cols, [=] PROTONCE_ON_DEVICE(index_t at) {
        double sum = 0;
        for (index_t i = cut.first(at / cols); i < cut.last(at / cols); ++i) {
            sum = add(sum, i, at % cols);
        }
        part(at / cols, at % cols) = sum;
    });
    run.for_each(cols, [=] PROTONCE_ON_DEVICE(index_t j) {
        double sum = 0;
        for (index_t b = 0; b < cut.count; ++b) {
            sum += part(b, j);
        }
        finish(j, sum);
    });
}

} // namespace protonce::inline v0::detail::elementwise

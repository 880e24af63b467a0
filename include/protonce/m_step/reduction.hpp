// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/host_device.hpp>

#include <charconv>
#include <concepts>
#include <cstddef>
#include <limits>
#include <string_view>

namespace protonce::inline v0 {

/// How the losses of the rows of a batch become `loss`.
enum class reduction {
    mean, // (1,)
    sum,  // (1,)
    none, // (B,) every row's own
};

namespace detail {

/// How many values `loss` and `upstream` hold.
constexpr index_t reduced_size(reduction how, index_t rows) {
    return how == reduction::none ? rows : 1;
}

inline void check_reduction(std::string_view function, reduction how) {
    if (how != reduction::mean && how != reduction::sum && how != reduction::none) {
        check::fail_argument(function, "reduction", "must be mean, sum or none", check::text(static_cast<int>(how)));
    }
}

/// Rows are numbered by label_t where they are columns, too.
inline void check_numbered(std::string_view function, std::string_view argument, index_t rows) {
    constexpr index_t most = (std::numeric_limits<label_t>::max)();
    if (rows > most) {
        check::fail_shape(function, argument, "must have at most " + check::text(most) + " rows", check::text(rows));
    }
}

/// `name[i].member` without taking memory: arguments are named on every call, also on those that throw nothing.
class element_name {
public:
    element_name(std::string_view name, std::size_t i, std::string_view member = {}) {
        append(name);
        append("[");
        const auto end = std::to_chars(text_ + size_, text_ + capacity, i);
        size_ = static_cast<std::size_t>(end.ptr - text_);
        append("]");
        append(member);
    }
    operator std::string_view() const { return {text_, size_}; }

private:
    static constexpr std::size_t capacity = 64;
    void append(std::string_view part) {
        for (const char c : part) {
            if (size_ < capacity) {
                text_[size_++] = c;
            }
        }
    }

    char text_[capacity] = {};
    std::size_t size_ = 0;
};

template <backend B>
inline constexpr bool reads_directly = std::same_as<typename B::space, host>;

/// A step number in the backend's memory, instead of the option's.
template <backend B>
void check_step(std::string_view function, vector_of<B, const index_t> step) {
    check::optional_size(function, "step", step, 1);
    if constexpr (reads_directly<B>) {
        if (!step.empty()) {
            check::at_least(function, "step", step[0], index_t{0});
        }
    }
}

/// Every value must be positive and finite. Looked at where that needs no waiting, in host memory.
template <backend B>
void check_positive(std::string_view function, std::string_view argument, vector_of<B, const value_of<B>> values) {
    if constexpr (reads_directly<B>) {
        for (index_t i = 0; i < values.size(); ++i) {
            if (!check::is_positive(values[i])) {
                check::fail_argument(function, argument, "must be positive and finite everywhere",
                                     check::text(values[i]) + " at " + check::text(i));
            }
        }
    }
}

/// A temperature as option, overridden by a learned one in memory if that is given.
template <backend B>
void check_temperature(std::string_view function, double option, vector_of<B, const value_of<B>> learned) {
    check::optional_size(function, "temperature", learned, 1);
    if (learned.empty()) {
        check::positive(function, "temperature", option);
        // 1e-50 is positive in double and 0 in float.
        check::positive(function, "temperature", static_cast<value_of<B>>(option));
    } else {
        check_positive<B>(function, "temperature", learned);
    }
}

/// dL/dl_i of a problem of `rows` rows whose loss counts `weight` times.
constexpr double row_factor(reduction how, index_t rows, double weight) {
    return how == reduction::mean ? weight / static_cast<double>(rows) : weight;
}

/// Rounded once; 0 if there is nothing to divide by.
template <class T>
PROTONCE_HOST_DEVICE T quotient(double sum, double count) {
    return count == 0 ? T(0) : static_cast<T>(sum / count);
}

/// For sum_rows of one row: f(sum).
template <class F>
struct of_one_row {
    F f;

    PROTONCE_HOST_DEVICE void operator()(index_t, double sum) const { f(sum); }
};
/// f(sum of the values)
template <backend B, class U, class F>
void sum_one_row(B& be, vector_of<B, U> values, const F& f) {
    sum_rows(be, matrix_of<B, U>(values.data(), 1, values.size()), of_one_row<F>{f});
}

/// Of a sum: out = sum / count, or out + that.
template <class T>
struct mean_to {
    double count;
    bool accumulate;
    T* out;

    PROTONCE_HOST_DEVICE void operator()(double sum) const {
        out[0] = weighted_sum(1.0, quotient<T>(sum, count), accumulate ? 1.0 : 0.0, out[0]);
    }
};

/// The losses of the rows as `loss`; sums in double. With `accumulate` they are added to it.
template <backend B>
void reduce(B& be, reduction how, vector_of<B, const value_of<B>> rows, vector_of<B> loss, bool accumulate) {
    if (how == reduction::none) {
        be.axpby(1.0, rows, accumulate ? 1.0 : 0.0, loss);
        return;
    }
    const double count = how == reduction::mean ? static_cast<double>(rows.size()) : 1.0;
    sum_one_row(be, rows, mean_to<value_of<B>>{count, accumulate, loss.data()});
}

/// `given`, or as many values of scratch if it is not but `needed`; empty if neither.
template <class U, memory_space S>
vector_view<U, S> given_or_scratch(typename workspace<S>::scope& scratch, vector_view<U, S> given, bool needed,
                                   index_t size) {
    return !given.empty() || !needed ? given : scratch.template vector<U>(size);
}

/// The same for a matrix.
template <class U, memory_space S>
matrix_view<U, S> given_or_scratch(typename workspace<S>::scope& scratch, matrix_view<U, S> given, bool needed,
                                   index_t rows, index_t cols) {
    return !given.empty() || !needed ? given : scratch.template matrix<U>(rows, cols);
}

/// An element a value of a matrix: out = value.
template <class T>
struct fill_element {
    T value;
    T* out;
    index_t stride;
    index_t cols;

    PROTONCE_HOST_DEVICE void operator()(index_t at) const { out[at / cols * stride + at % cols] = value; }
};

/// An element a value of a matrix: out = in + old out.
template <class T>
struct add_element {
    const T* in;
    index_t in_stride;
    double old;
    T* out;
    index_t out_stride;
    index_t cols;

    PROTONCE_HOST_DEVICE void operator()(index_t at) const {
        T& to = out[at / cols * out_stride + at % cols];
        to = weighted_sum(1.0, in[at / cols * in_stride + at % cols], old, to);
    }
};

/// One value everywhere in a matrix.
template <backend B>
void fill_rows(B& be, matrix_of<B> out, value_of<B> value) {
    const index_t size = out.rows() * out.cols();
    if (out.stride() == out.cols()) {
        be.fill(vector_of<B>(out.data(), size), value);
    } else {
        be.for_each(size, fill_element<value_of<B>>{value, out.data(), out.stride(), out.cols()});
    }
}

/// out = in, or out + in, of one shape.
template <backend B>
void add_rows(B& be, matrix_of<B, const value_of<B>> in, bool accumulate, matrix_of<B> out) {
    const double old = accumulate ? 1.0 : 0.0;
    const index_t size = in.rows() * in.cols();
    if (in.stride() == in.cols() && out.stride() == out.cols()) {
        be.axpby(1.0, vector_of<B, const value_of<B>>(in.data(), size), old, vector_of<B>(out.data(), size));
    } else {
        be.for_each(size, add_element<value_of<B>>{in.data(), in.stride(), old, out.data(), out.stride(), in.cols()});
    }
}

} // namespace detail
} // namespace protonce::inline v0

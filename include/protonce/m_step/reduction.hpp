// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/fill_cycle.hpp>
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

/// The (1,) temperature of a problem.
template <backend B>
vector_of<B, const value_of<B>> temperature_view(B& be, typename workspace<typename B::space>::scope& scratch,
                                                 double option, vector_of<B, const value_of<B>> learned) {
    if (!learned.empty()) {
        return learned;
    }
    const auto out = scratch.template vector<value_of<B>>(1);
    be.fill(out, static_cast<value_of<B>>(option));
    return out;
}

template <class T>
struct quotient_to {
    const double* sum;
    const double* divisor; // nullptr: `constant`
    double constant;
    T* out;
    bool accumulate;

    PROTONCE_HOST_DEVICE void operator()(index_t) const {
        const double by = divisor == nullptr ? constant : divisor[0];
        const T quotient = by == 0 ? T(0) : static_cast<T>(sum[0] / by);
        out[0] = accumulate ? static_cast<T>(static_cast<double>(quotient) + static_cast<double>(out[0])) : quotient;
    }
};

/// out (1,) = sum / divisor, both (1,), rounded once; 0 if the divisor is 0. With `accumulate` that is added to out.
template <backend B>
void divide(B& be, vector_of<B, const double> sum, vector_of<B, const double> divisor, vector_of<B> out,
            bool accumulate = false) {
    be.for_each(1, quotient_to<value_of<B>>{sum.data(), divisor.data(), 0.0, out.data(), accumulate});
}

template <backend B>
void divide(B& be, vector_of<B, const double> sum, double divisor, vector_of<B> out, bool accumulate = false) {
    be.for_each(1, quotient_to<value_of<B>>{sum.data(), nullptr, divisor, out.data(), accumulate});
}

/// dL/dl_i of a problem of `rows` rows, (1,) or (rows,): the upstream gradient times `factor`, / rows for a mean.
template <backend B>
vector_of<B, const value_of<B>> row_scale(B& be, typename workspace<typename B::space>::scope& scratch, reduction how,
                                          index_t rows, double factor, vector_of<B, const value_of<B>> upstream) {
    using T = value_of<B>;
    if (how == reduction::mean) {
        factor /= static_cast<double>(rows);
    }
    const auto out = scratch.template vector<T>(upstream.empty() ? 1 : upstream.size());
    if (upstream.empty()) {
        be.fill(out, static_cast<T>(factor));
    } else {
        be.axpby(factor, upstream, 0.0, out);
    }
    return out;
}

/// The losses of the rows as `loss`; sums in double. With `accumulate` they are added to it.
template <backend B>
void reduce(B& be, reduction how, vector_of<B, const value_of<B>> rows, vector_of<B> loss, bool accumulate) {
    if (how == reduction::none) {
        be.axpby(1.0, rows, accumulate ? 1.0 : 0.0, loss);
        return;
    }
    typename workspace<typename B::space>::scope scratch(be.scratch());
    const auto sum = scratch.template vector<double>(1);
    be.total(rows, sum);
    divide(be, vector_of<B, const double>(sum), how == reduction::mean ? static_cast<double>(rows.size()) : 1.0, loss,
           accumulate);
}

/// `given`, or as many values of scratch if it is not but `needed`; empty if neither.
template <class U, memory_space S>
vector_view<U, S> given_or_scratch(typename workspace<S>::scope& scratch, vector_view<U, S> given, bool needed,
                                   index_t size) {
    return !given.empty() || !needed ? given : scratch.template vector<U>(size);
}

/// One value everywhere in a matrix: at once if its rows follow each other, else row by row.
template <backend B>
void fill_rows(B& be, matrix_of<B> out, value_of<B> value) {
    if (out.stride() == out.cols()) {
        be.fill(vector_of<B>(out.data(), out.rows() * out.cols()), value);
        return;
    }
    for (index_t i = 0; i < out.rows(); ++i) {
        be.fill(out.row(i), value);
    }
}

/// out = in, or out + in, of one shape: at once if the rows of both follow each other, else row by row.
template <backend B>
void add_rows(B& be, matrix_of<B, const value_of<B>> in, bool accumulate, matrix_of<B> out) {
    const double old = accumulate ? 1.0 : 0.0;
    if (in.stride() == in.cols() && out.stride() == out.cols()) {
        const index_t size = in.rows() * in.cols();
        be.axpby(1.0, vector_of<B, const value_of<B>>(in.data(), size), old, vector_of<B>(out.data(), size));
        return;
    }
    for (index_t i = 0; i < in.rows(); ++i) {
        be.axpby(1.0, in.row(i), old, out.row(i));
    }
}

} // namespace detail
} // namespace protonce::inline v0

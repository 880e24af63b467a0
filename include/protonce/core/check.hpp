// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/error.hpp>
#include <protonce/core/view.hpp>

#include <bit>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

/// Checks of arguments. Every public function runs its checks before it writes anything, so that outputs are untouched when one throws.
/// One format: `function: argument: needed; got given`.
namespace protonce::inline v0::check {

/// Found by the bits of the exponent: with -ffast-math the compiler takes std::isfinite for true.
template <real T>
constexpr bool is_finite(T x) {
    if constexpr (sizeof(T) == 4) {
        return (std::bit_cast<std::uint32_t>(x) & 0x7f800000u) != 0x7f800000u;
    } else {
        return (std::bit_cast<std::uint64_t>(x) & 0x7ff0000000000000ull) != 0x7ff0000000000000ull;
    }
}

/// True for a number above zero, subnormal ones included; by bits, for the same reason.
template <real T>
constexpr bool is_positive(T x) {
    if constexpr (sizeof(T) == 4) {
        const auto bits = std::bit_cast<std::uint32_t>(x);
        return bits != 0 && bits < 0x7f800000u;
    } else {
        const auto bits = std::bit_cast<std::uint64_t>(x);
        return bits != 0 && bits < 0x7ff0000000000000ull;
    }
}

/// The text of a number: the shortest that reads back as the same value.
template <class T>
[[gnu::cold]] std::string text(T x) {
    if constexpr (std::is_floating_point_v<T>) {
        if (!is_finite(x)) {
            // The mantissa tells infinity from NaN; comparisons cannot be trusted with -ffast-math.
            if constexpr (sizeof(T) == 4) {
                const auto bits = std::bit_cast<std::uint32_t>(x);
                return (bits & 0x007fffffu) != 0 ? "nan" : (bits >> 31) != 0 ? "-inf" : "inf";
            } else {
                const auto bits = std::bit_cast<std::uint64_t>(x);
                return (bits & 0x000fffffffffffffull) != 0 ? "nan" : (bits >> 63) != 0 ? "-inf" : "inf";
            }
        }
    }
    char buffer[64];
    const auto end = std::to_chars(buffer, buffer + sizeof(buffer), x);
    return {buffer, end.ptr};
}

[[gnu::cold]] inline std::string shape_text(index_t rows, index_t cols) {
    std::string out = "(";
    out += text(rows);
    out += ", ";
    out += text(cols);
    out += ")";
    return out;
}

/// `function: argument: needed; got given`
[[gnu::cold]] inline std::string message(std::string_view function, std::string_view argument, std::string_view needed,
                           std::string_view given) {
    std::string out;
    out.reserve(function.size() + argument.size() + needed.size() + given.size() + 12);
    out.append(function).append(": ").append(argument).append(": ").append(needed);
    out.append("; got ").append(given);
    return out;
}

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_shape(std::string_view function, std::string_view argument, std::string_view needed,
                                    std::string_view given) {
    throw shape_error(message(function, argument, needed, given));
}

[[noreturn, gnu::cold, gnu::noinline]] inline void fail_argument(std::string_view function, std::string_view argument, std::string_view needed,
                                       std::string_view given) {
    throw argument_error(message(function, argument, needed, given));
}

template <class T, class S>
void given(std::string_view function, std::string_view argument, matrix_view<T, S> view) {
    if (view.rows() <= 0 || view.cols() <= 0 || view.data() == nullptr) {
        fail_shape(function, argument, "must be given and hold at least one row and one column",
                   view.data() == nullptr && view.rows() > 0 ? "a null pointer" : shape_text(view.rows(), view.cols()));
    }
}

template <class T, class S>
void given(std::string_view function, std::string_view argument, vector_view<T, S> view) {
    if (view.size() <= 0 || view.data() == nullptr) {
        fail_shape(function, argument, "must be given and hold at least one value",
                   view.data() == nullptr && view.size() > 0 ? "a null pointer" : text(view.size()) + " values");
    }
}

/// Shape, stride and pointer of a view that may be empty (not given) but must make sense if it is not.
template <class T, class S>
void well_formed(std::string_view function, std::string_view argument, matrix_view<T, S> view) {
    if (view.rows() < 0 || view.cols() < 0) {
        fail_shape(function, argument, "must not have a negative size", shape_text(view.rows(), view.cols()));
    }
    if (view.rows() > 0 && view.data() == nullptr) {
        fail_shape(function, argument, "must point to its values", "a null pointer");
    }
    if (view.rows() > 0 && view.cols() <= 0) {
        fail_shape(function, argument, "must have at least one column", shape_text(view.rows(), view.cols()));
    }
    if (view.rows() > 1 && view.stride() < view.cols()) {
        fail_shape(function, argument, "must have a row stride of at least its columns, " + text(view.cols()),
                   "stride " + text(view.stride()));
    }
}

template <class T, class S>
void well_formed(std::string_view function, std::string_view argument, vector_view<T, S> view) {
    if (view.size() < 0) {
        fail_shape(function, argument, "must not have a negative size", text(view.size()));
    }
    if (view.size() > 0 && view.data() == nullptr) {
        fail_shape(function, argument, "must point to its values", "a null pointer");
    }
}

/// A required matrix: given, with a stride that holds its columns.
template <class T, class S>
void matrix(std::string_view function, std::string_view argument, matrix_view<T, S> view) {
    given(function, argument, view);
    well_formed(function, argument, view);
}

template <class T, class S, class U>
void equal_cols(std::string_view function, std::string_view first_name, matrix_view<T, S> first,
                std::string_view second_name, matrix_view<U, S> second) {
    if (second.cols() != first.cols()) {
        fail_shape(function, second_name,
                   "must have the columns of " + std::string(first_name) + ", " + text(first.cols()),
                   shape_text(second.rows(), second.cols()));
    }
}

template <class T, class S, class U>
void equal_shape(std::string_view function, std::string_view first_name, matrix_view<T, S> first,
                 std::string_view second_name, matrix_view<U, S> second) {
    well_formed(function, second_name, second);
    if (second.rows() != first.rows() || second.cols() != first.cols()) {
        fail_shape(function, second_name,
                   "must have the shape of " + std::string(first_name) + ", " + shape_text(first.rows(), first.cols()),
                   shape_text(second.rows(), second.cols()));
    }
}

/// The matrix must be rows x cols.
template <class T, class S>
void shape(std::string_view function, std::string_view argument, matrix_view<T, S> view, index_t rows, index_t cols) {
    well_formed(function, argument, view);
    if (view.rows() != rows || view.cols() != cols) {
        fail_shape(function, argument, "must be " + shape_text(rows, cols), shape_text(view.rows(), view.cols()));
    }
}

/// The vector must hold `size` values.
template <class T, class S>
void size(std::string_view function, std::string_view argument, vector_view<T, S> view, index_t size) {
    well_formed(function, argument, view);
    if (view.size() != size) {
        fail_shape(function, argument, "must hold " + text(size) + " values", text(view.size()));
    }
}

/// As size(), for a view that may be left out.
template <class T, class S>
void optional_size(std::string_view function, std::string_view argument, vector_view<T, S> view, index_t needed) {
    if (view.size() != 0 || view.data() != nullptr) {
        size(function, argument, view, needed);
    }
}

/// As shape(), for a view that may be left out.
template <class T, class S>
void optional_shape(std::string_view function, std::string_view argument, matrix_view<T, S> view, index_t rows,
                    index_t cols) {
    if (view.rows() != 0 || view.data() != nullptr) {
        shape(function, argument, view, rows, cols);
    }
}

template <class T>
void at_least(std::string_view function, std::string_view argument, T value, T least) {
    if (!(value >= least)) {
        fail_argument(function, argument, "must be at least " + text(least), text(value));
    }
}

template <real T>
void positive(std::string_view function, std::string_view argument, T value) {
    if (!is_positive(value)) {
        fail_argument(function, argument, "must be positive and finite", text(value));
    }
}

template <real T>
void finite(std::string_view function, std::string_view argument, T value) {
    if (!is_finite(value)) {
        fail_argument(function, argument, "must be finite", text(value));
    }
}

template <real T>
void in_range(std::string_view function, std::string_view argument, T value, T low, T high) {
    if (!is_finite(value) || !(value >= low && value <= high)) {
        fail_argument(function, argument, "must lie in [" + text(low) + ", " + text(high) + "]", text(value));
    }
}

} // namespace protonce::inline v0::check

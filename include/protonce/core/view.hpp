// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/space.hpp>
#include <protonce/core/types.hpp>

#include <concepts>
#include <ranges>
#include <type_traits>

namespace protonce::inline v0 {

/// `size` values, one after the other, that somebody else owns. Passed by value. A default-constructed view means "not given".
template <class T, memory_space S = host>
class vector_view {
public:
    using value_type = T;
    using space = S;

    constexpr vector_view() = default;
    constexpr vector_view(T* data, index_t size) : data_(data), size_(size) {}

    /// A view of values becomes a view of const values; a device view never becomes a host view.
    template <class U>
    requires std::same_as<const U, T> &&(!std::same_as<U, T>)constexpr vector_view(vector_view<U, S> other)
        : data_(other.data()), size_(other.size()) {}

    constexpr T* data() const { return data_; }
    constexpr index_t size() const { return size_; }
    constexpr bool empty() const { return size_ == 0; }

    constexpr T& operator[](index_t i) const requires std::same_as<S, host> { return data_[i]; }
    constexpr T* begin() const requires std::same_as<S, host> { return data_; }
    constexpr T* end() const requires std::same_as<S, host> { return data_ + size_; }

    /// `count` values from `first` on.
    constexpr vector_view slice(index_t first, index_t count) const { return {data_ + first, count}; }

private:
    T* data_ = nullptr;
    index_t size_ = 0;
};

/// `rows` x `cols` values in row-major order, `stride` values from one row to the next, that somebody else owns. Passed by value.
/// A default-constructed view means "not given".
template <class T, memory_space S = host>
class matrix_view {
public:
    using value_type = T;
    using space = S;

    constexpr matrix_view() = default;
    constexpr matrix_view(T* data, index_t rows, index_t cols) : matrix_view(data, rows, cols, cols) {}
    constexpr matrix_view(T* data, index_t rows, index_t cols, index_t stride)
        : data_(data), rows_(rows), cols_(cols), stride_(stride) {}

    /// A view of values becomes a view of const values; a device view never becomes a host view.
    template <class U>
    requires std::same_as<const U, T> &&(!std::same_as<U, T>)constexpr matrix_view(matrix_view<U, S> other)
        : data_(other.data()), rows_(other.rows()), cols_(other.cols()), stride_(other.stride()) {}

    constexpr T* data() const { return data_; }
    constexpr index_t rows() const { return rows_; }
    constexpr index_t cols() const { return cols_; }
    constexpr index_t stride() const { return stride_; }
    constexpr bool empty() const { return rows_ == 0; }

    /// Row i as `cols` values.
    constexpr vector_view<T, S> row(index_t i) const { return {data_ + i * stride_, cols_}; }
    /// `count` rows from `first` on.
    constexpr matrix_view slice(index_t first, index_t count) const {
        return {data_ + first * stride_, count, cols_, stride_};
    }

    constexpr T& operator()(index_t i, index_t j) const requires std::same_as<S, host> {
        return data_[i * stride_ + j];
    }

private:
    T* data_ = nullptr;
    index_t rows_ = 0;
    index_t cols_ = 0;
    index_t stride_ = 0;
};

namespace detail {
// Arrays that know their dimensions are viewed through `adapt/`, where a matrix is not taken for a vector.
template <class R>
concept knows_dimension = requires(const R& array) {
    array.dimension();
};
template <class R>
concept knows_outer_stride = requires(const R& array) {
    array.outerStride();
};

template <class R>
inline constexpr bool outlives_call = std::is_lvalue_reference_v<R> || std::ranges::borrowed_range<R>;

template <class R>
concept viewable_range =
    std::ranges::contiguous_range<R> && outlives_call<R> && !knows_dimension<R> && !knows_outer_stride<R>;

/// Where a view's values are; null for one that is not given, whatever it points to.
template <class T, memory_space S>
constexpr T* data_of(vector_view<T, S> view) {
    return view.empty() ? nullptr : view.data();
}
} // namespace detail

/// A host view of a contiguous range (std::vector, std::array, std::span, C array).
template <detail::viewable_range R>
constexpr auto view_vector(R&& values) {
    using T = std::remove_reference_t<std::ranges::range_reference_t<R>>;
    return vector_view<T, host>{std::ranges::data(values), static_cast<index_t>(std::ranges::size(values))};
}

/// A host view of `rows` x `cols` contiguous row-major values at `data`.
template <class T>
constexpr matrix_view<T, host> view_rows(T* data, index_t rows, index_t cols) {
    return {data, rows, cols};
}

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
// Included by kernels_rows.hpp once for each instruction set; see kernels.inl for the rules of such a file.

/// to_j = (from_j - mean_j) * scale, computed in double and rounded once.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void centre_row(const T* from, const double* mean, double scale,
                                                                 index_t cols, T* to) {
    constexpr int lanes = pack<double>::lanes;
    typedef T narrow __attribute__((vector_size(lanes * sizeof(T))));
    typedef double wide __attribute__((vector_size(lanes * sizeof(double))));
    index_t j = 0;
    for (; j + lanes <= cols; j += lanes) {
        narrow x;
        wide m;
        __builtin_memcpy(&x, from + j, sizeof(x));
        __builtin_memcpy(&m, mean + j, sizeof(m));
        x = __builtin_convertvector((__builtin_convertvector(x, wide) - m) * scale, narrow);
        __builtin_memcpy(to + j, &x, sizeof(x));
    }
    for (; j < cols; ++j) {
        to[j] = static_cast<T>((static_cast<double>(from[j]) - mean[j]) * scale);
    }
}

/// sum_j += x_j in double.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void add_row(const T* x, index_t cols, double* sum) {
    constexpr int lanes = pack<double>::lanes;
    typedef T narrow __attribute__((vector_size(lanes * sizeof(T))));
    typedef double wide __attribute__((vector_size(lanes * sizeof(double))));
    index_t j = 0;
    for (; j + lanes <= cols; j += lanes) {
        narrow value;
        wide total;
        __builtin_memcpy(&value, x + j, sizeof(value));
        __builtin_memcpy(&total, sum + j, sizeof(total));
        total += __builtin_convertvector(value, wide);
        __builtin_memcpy(sum + j, &total, sizeof(total));
    }
    for (; j < cols; ++j) {
        sum[j] += static_cast<double>(x[j]);
    }
}

/// Sum, least and largest value of each column so far, one row more. NaN enters the sum alone.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void add_to_range(const T* x, index_t cols, double* sum, T* least,
                                                                   T* most) {
    constexpr int lanes = pack<double>::lanes;
    typedef T narrow __attribute__((vector_size(lanes * sizeof(T))));
    typedef double wide __attribute__((vector_size(lanes * sizeof(double))));
    index_t j = 0;
    for (; j + lanes <= cols; j += lanes) {
        narrow value;
        narrow low;
        narrow high;
        wide total;
        __builtin_memcpy(&value, x + j, sizeof(value));
        __builtin_memcpy(&low, least + j, sizeof(low));
        __builtin_memcpy(&high, most + j, sizeof(high));
        __builtin_memcpy(&total, sum + j, sizeof(total));
        low = value < low ? value : low;
        high = value > high ? value : high;
        total += __builtin_convertvector(value, wide);
        __builtin_memcpy(least + j, &low, sizeof(low));
        __builtin_memcpy(most + j, &high, sizeof(high));
        __builtin_memcpy(sum + j, &total, sizeof(total));
    }
    for (; j < cols; ++j) {
        least[j] = x[j] < least[j] ? x[j] : least[j];
        most[j] = x[j] > most[j] ? x[j] : most[j];
        sum[j] += static_cast<double>(x[j]);
    }
}

/// Is there no NaN and no infinity? Tests exponent bits, which no compiler flag takes away.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) bool all_finite(const T* x, index_t count) {
    using P = pack<T>;
    using I = typename P::integer;
    constexpr lane_int<T> exponent = sizeof(T) == 4 ? static_cast<lane_int<T>>(0x7f800000)
                                                    : static_cast<lane_int<T>>(0x7ff0000000000000);
    I bad = {};
    index_t j = 0;
    for (; j + P::lanes <= count; j += P::lanes) {
        const I bits = *reinterpret_cast<const typename P::integer_memory*>(x + j) & exponent;
        bad |= bits == exponent;
    }
    bool finite = true;
    for (int l = 0; l < P::lanes; ++l) {
        finite = finite && bad[l] == 0;
    }
    for (; j < count; ++j) {
        lane_int<T> bits;
        __builtin_memcpy(&bits, x + j, sizeof(T));
        finite = finite && (bits & exponent) != exponent;
    }
    return finite;
}

template <class T>
row_kernels<T> row_table() {
    return {&centre_row<T>, &add_row<T>, &add_to_range<T>, &all_finite<T>};
}

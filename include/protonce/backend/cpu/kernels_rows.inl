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

/// to_j = (from_j - mean_j) * scale, for a mean that T holds and a power of two: rounded once too.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void centre_row_narrow(const T* from, const T* mean, T scale,
                                                                        index_t cols, T* to) {
    using P = pack<T>;
    using V = typename P::type;
    index_t j = 0;
    for (; j + P::lanes <= cols; j += P::lanes) {
        const V x = *reinterpret_cast<const typename P::memory*>(from + j);
        const V m = *reinterpret_cast<const typename P::memory*>(mean + j);
        *reinterpret_cast<typename P::memory*>(to + j) = (x - m) * scale;
    }
    for (; j < cols; ++j) {
        to[j] = (from[j] - mean[j]) * scale;
    }
}

/// sum_j = sum of x_ij over listed rows i, in that order, in double; `cols` is at most row_sum_columns. Sums stay in registers. reads
/// count * cols values, bound by memory
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void add_rows(const T* x, index_t stride, const index_t* list,
                                                               index_t count, index_t cols, double* sum) {
    constexpr int lanes = pack<double>::lanes;
    constexpr int n = row_sum_columns / lanes < 8 ? row_sum_columns / lanes : 8; // vectors side by side
    typedef T narrow __attribute__((vector_size(lanes * sizeof(T))));
    typedef double wide __attribute__((vector_size(lanes * sizeof(double))));
    constexpr index_t ahead = 8;
    index_t j = 0;
    for (; j + n * lanes <= cols; j += n * lanes) {
        wide total[n] = {};
        for (index_t i = 0; i < count; ++i) {
            const T* row = x + list[i] * stride + j;
            if (i + ahead < count) {
                const char* next = reinterpret_cast<const char*>(x + list[i + ahead] * stride + j);
#pragma GCC unroll 4
                for (index_t c = 0; c < static_cast<index_t>(n * lanes * sizeof(T)); c += 64) {
                    __builtin_prefetch(next + c);
                }
            }
#pragma GCC unroll 8
            for (int v = 0; v < n; ++v) {
                narrow value;
                __builtin_memcpy(&value, row + v * lanes, sizeof(value));
                total[v] += __builtin_convertvector(value, wide);
            }
        }
        __builtin_memcpy(sum + j, total, sizeof(total));
    }
    for (; j < cols; ++j) {
        double total = 0;
        for (index_t i = 0; i < count; ++i) {
            total += static_cast<double>(x[list[i] * stride + j]);
        }
        sum[j] = total;
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
    constexpr lane_int<T> exponent =
        sizeof(T) == 4 ? static_cast<lane_int<T>>(0x7f800000) : static_cast<lane_int<T>>(0x7ff0000000000000);
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

/// Is every value a multiple of the spacing that doubles near `top` have?
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) bool on_grid(const T* x, index_t count, double top) {
    constexpr int lanes = pack<double>::lanes;
    typedef T narrow __attribute__((vector_size(lanes * sizeof(T))));
    typedef double wide __attribute__((vector_size(lanes * sizeof(double))));
    typename pack<double>::integer off = {};
    index_t j = 0;
    for (; j + lanes <= count; j += lanes) {
        narrow value;
        __builtin_memcpy(&value, x + j, sizeof(value));
        const wide v = __builtin_convertvector(value, wide);
        off |= reinterpret_cast<typename pack<double>::integer>((v + top) - top != v);
    }
    bool all = true;
    for (int l = 0; l < lanes; ++l) {
        all = all && off[l] == 0;
    }
    for (; j < count; ++j) {
        const double v = static_cast<double>(x[j]);
        all = all && (v + top) - top == v;
    }
    return all;
}

template <class T>
row_kernels<T> row_table() {
    return {&centre_row<T>, &centre_row_narrow<T>, &add_rows<T>, &on_grid<T>, &add_to_range<T>, &all_finite<T>};
}

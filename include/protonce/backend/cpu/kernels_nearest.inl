// SPDX-License-Identifier: MIT
// Included by kernels_nearest.hpp once for each instruction set; see kernels.inl for the rules of such a file.

/// Bit l is set where lane l of a comparison holds.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((always_inline)) inline unsigned lane_mask(const typename pack<T>::integer& holds) {
#if defined(__x86_64__) && PROTONCE_KERNEL_BYTES == 16
    if constexpr (sizeof(T) == 4) {
        return static_cast<unsigned>(__builtin_ia32_movmskps(reinterpret_cast<const typename pack<float>::type&>(holds)));
    } else {
        return static_cast<unsigned>(
            __builtin_ia32_movmskpd(reinterpret_cast<const typename pack<double>::type&>(holds)));
    }
#elif defined(__x86_64__) && PROTONCE_KERNEL_BYTES == 32
    if constexpr (sizeof(T) == 4) {
        return static_cast<unsigned>(
            __builtin_ia32_movmskps256(reinterpret_cast<const typename pack<float>::type&>(holds)));
    } else {
        return static_cast<unsigned>(
            __builtin_ia32_movmskpd256(reinterpret_cast<const typename pack<double>::type&>(holds)));
    }
#else
    unsigned mask = 0;
    for (int l = 0; l < pack<T>::lanes; ++l) {
        mask |= static_cast<unsigned>(holds[l] & 1) << l;
    }
    return mask;
#endif
}

/// Every lane of v becomes the largest of them.
template <class T, int... L>
PROTONCE_KERNEL_TARGET __attribute__((always_inline)) inline void spread_largest(typename pack<T>::type& v,
                                                                                 std::integer_sequence<int, L...>) {
    using V = typename pack<T>::type;
#pragma GCC unroll 4
    for (int width = pack<T>::lanes / 2; width > 0; width /= 2) {
#if defined(__clang__)
        const V other = width == 8   ? V(__builtin_shufflevector(v, v, (L ^ 8) % pack<T>::lanes...))
                        : width == 4 ? V(__builtin_shufflevector(v, v, (L ^ 4) % pack<T>::lanes...))
                        : width == 2 ? V(__builtin_shufflevector(v, v, (L ^ 2) % pack<T>::lanes...))
                                     : V(__builtin_shufflevector(v, v, (L ^ 1)...));
#else
        using I = typename pack<T>::integer;
        const V other = width == 8   ? __builtin_shuffle(v, I{(L ^ 8)...})
                        : width == 4 ? __builtin_shuffle(v, I{(L ^ 4)...})
                        : width == 2 ? __builtin_shuffle(v, I{(L ^ 2)...})
                                     : __builtin_shuffle(v, I{(L ^ 1)...});
#endif
        v = v > other ? v : other;
    }
}

/// Upper bounds of the scores of listed rows with the centroids of a few panels, their largest by row, and which of them reach the
/// row's threshold. Compute-bound for depth >= 16; below, the search for the largest takes as long.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) index_t scan_panels(const panel_scan<T>& job) {
    using P = pack<T>;
    using V = typename P::type;
    constexpr int R = rows_of_tile<T>;
    constexpr int W = panel_width<T>;
    constexpr int n = W / P::lanes;
    const index_t width = job.num_panels * W;
    T* const score = job.score;
    index_t found = 0;
    for (index_t first = 0; first < job.count; first += R) {
        const T* rows[R];
        for (int r = 0; r < R; ++r) {
            rows[r] = job.rows + job.list[first + r < job.count ? first + r : job.count - 1] * job.stride;
        }
        const T* b = job.panels;
        for (index_t panel = 0; panel < job.num_panels; ++panel) {
            V sum[R][n];
#pragma GCC unroll 4
            for (int v = 0; v < n; ++v) {
                const V start = -V(*reinterpret_cast<const typename P::memory*>(job.half_norm + panel * W + v * P::lanes));
#pragma GCC unroll 12
                for (int r = 0; r < R; ++r) {
                    sum[r][v] = start;
                }
            }
            for (index_t k = 0; k < job.depth; ++k) {
                V bk[n];
#pragma GCC unroll 4
                for (int v = 0; v < n; ++v) {
                    bk[v] = *reinterpret_cast<const typename P::memory*>(b + v * P::lanes);
                }
                b += W;
#pragma GCC unroll 12
                for (int r = 0; r < R; ++r) {
                    const V x = rows[r][k] - V{};
#pragma GCC unroll 4
                    for (int v = 0; v < n; ++v) {
                        sum[r][v] += x * bk[v];
                    }
                }
            }
            T* out = score + panel * W;
#pragma GCC unroll 12
            for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
                for (int v = 0; v < n; ++v) {
                    *reinterpret_cast<typename P::memory*>(out + r * width + v * P::lanes) = sum[r][v];
                }
            }
        }
        const index_t last = job.count - first < R ? job.count - first : R;
        for (index_t r = 0; r < last; ++r) {
            const T* at = score + r * width;
            V most = *reinterpret_cast<const typename P::memory*>(at);
            for (index_t j = P::lanes; j < width; j += P::lanes) {
                const V next = *reinterpret_cast<const typename P::memory*>(at + j);
                most = most > next ? most : next;
            }
            spread_largest<T>(most, std::make_integer_sequence<int, P::lanes>{});
            const T top = most[0];
            job.top[first + r] = top;
            const std::int32_t row = job.list[first + r];
            const T threshold = job.threshold[row];
            if (top >= threshold) {
                for (index_t j = 0; j < width; ++j) {
                    if (at[j] >= threshold) {
                        job.found[found++] = {row, static_cast<std::int32_t>(j), at[j]};
                    }
                }
            }
        }
    }
    return found;
}

/// score[n] = x_n.c_n - half_norm_n for pair_batch pairs: the same chain as in nearest_in_panels, to the last bit.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void pair_scores(const T* const* x, const T* const* c,
                                                                  const T* half_norm, index_t depth, T* score) {
    T sum[pair_batch];
    const T* a[pair_batch];
    const T* b[pair_batch];
#pragma GCC unroll 8
    for (int n = 0; n < pair_batch; ++n) {
        sum[n] = -half_norm[n];
        a[n] = x[n];
        b[n] = c[n];
    }
    for (index_t k = 0; k < depth; ++k) {
#pragma GCC unroll 8
        for (int n = 0; n < pair_batch; ++n) {
            sum[n] += a[n][k] * b[n][k];
        }
    }
#pragma GCC unroll 8
    for (int n = 0; n < pair_batch; ++n) {
        score[n] = sum[n];
    }
}

/// Numbers of the groups whose bound, less what the group has moved since, is at most `limit`. `count` is a multiple of panel_width.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) index_t groups_within(const T* bound, const T* moved, index_t count,
                                                                       T limit, std::int32_t* group) {
    using P = pack<T>;
    using V = typename P::type;
    index_t found = 0;
    for (index_t g = 0; g < count; g += P::lanes) {
        const V distance = V(*reinterpret_cast<const typename P::memory*>(bound + g)) -
                           V(*reinterpret_cast<const typename P::memory*>(moved + g));
        unsigned mask = lane_mask<T>(distance <= limit - V{});
        while (mask != 0) {
            group[found++] = static_cast<std::int32_t>(g + __builtin_ctz(mask));
            mask &= mask - 1;
        }
    }
    return found;
}

/// Least of the bounds, less what the groups have moved since.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) T least_bound(const T* bound, const T* moved, index_t count) {
    using P = pack<T>;
    using V = typename P::type;
    V most = -(V(*reinterpret_cast<const typename P::memory*>(bound)) -
               V(*reinterpret_cast<const typename P::memory*>(moved)));
    for (index_t g = P::lanes; g < count; g += P::lanes) {
        const V next = -(V(*reinterpret_cast<const typename P::memory*>(bound + g)) -
                         V(*reinterpret_cast<const typename P::memory*>(moved + g)));
        most = most > next ? most : next;
    }
    spread_largest<T>(most, std::make_integer_sequence<int, P::lanes>{});
    return -most[0];
}

/// values_j <- sqrt(max(0, values_j)) * (1 - 4 epsilon): distances from their squares, never above them. `count` is a multiple of
/// panel_width.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void lower_roots(T* values, index_t count) {
    using P = pack<T>;
    using V = typename P::type;
    for (index_t j = 0; j < count; j += P::lanes) {
        auto* at = reinterpret_cast<typename P::memory*>(values + j);
        V v = *at;
        v = v > V{} ? v : V{};
#if defined(__x86_64__) && PROTONCE_KERNEL_BYTES == 32
        if constexpr (sizeof(T) == 4) {
            v = __builtin_ia32_sqrtps256(v);
        } else {
            v = __builtin_ia32_sqrtpd256(v);
        }
#elif defined(__x86_64__) && PROTONCE_KERNEL_BYTES == 16
        if constexpr (sizeof(T) == 4) {
            v = __builtin_ia32_sqrtps(v);
        } else {
            v = __builtin_ia32_sqrtpd(v);
        }
#else
        for (int l = 0; l < P::lanes; ++l) {
            v[l] = std::sqrt(v[l]);
        }
#endif
        *at = v * (1 - 4 * std::numeric_limits<T>::epsilon());
    }
}

/// ||x||^2 in double, in a fixed order.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) double squared_norm(const T* x, index_t cols) {
    constexpr int lanes = pack<double>::lanes;
    constexpr int n = 8 / lanes;
    typedef T narrow __attribute__((vector_size(lanes * sizeof(T))));
    typedef double wide __attribute__((vector_size(lanes * sizeof(double))));
    wide sum[n] = {};
    index_t j = 0;
    for (; j + 8 <= cols; j += 8) {
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            narrow part;
            __builtin_memcpy(&part, x + j + v * lanes, sizeof(part));
            const wide value = __builtin_convertvector(part, wide);
            sum[v] += value * value;
        }
    }
    double lane[8];
    for (int l = 0; l < 8; ++l) {
        lane[l] = sum[l / lanes][l % lanes];
    }
    double out = ((lane[0] + lane[4]) + (lane[1] + lane[5])) + ((lane[2] + lane[6]) + (lane[3] + lane[7]));
    for (; j < cols; ++j) {
        out += static_cast<double>(x[j]) * static_cast<double>(x[j]);
    }
    return out;
}

template <class T>
nearest_kernels<T> nearest_table() {
    return {&scan_panels<T>, &pair_scores<T>, &groups_within<T>, &least_bound<T>, &lower_roots<T>, &squared_norm<T>};
}

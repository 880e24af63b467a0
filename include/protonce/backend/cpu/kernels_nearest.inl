// SPDX-License-Identifier: MIT
// Included by kernels_nearest.hpp once for each instruction set; see kernels.inl for the rules of such a file.

/// Bit l is set where lane l of a comparison holds.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((always_inline)) inline unsigned
lane_mask(const typename pack<T>::integer& holds) {
#if defined(__x86_64__) && PROTONCE_KERNEL_BYTES == 16
    if constexpr (sizeof(T) == 4) {
        return static_cast<unsigned>(
            __builtin_ia32_movmskps(reinterpret_cast<const typename pack<float>::type&>(holds)));
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
#elif defined(__x86_64__)
    if constexpr (sizeof(T) == 4) {
        return __builtin_ia32_cmpd512_mask(holds, typename pack<T>::integer{}, 4, 0xffff); // 4: not equal
    } else {
        typedef long long wide __attribute__((vector_size(64)));
        return __builtin_ia32_cmpq512_mask(reinterpret_cast<const wide&>(holds), wide{}, 4, 0xff);
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
        const V other = width == 8   ? V(shuffle<(L ^ 8) % pack<T>::lanes...>(v, v))
                        : width == 4 ? V(shuffle<(L ^ 4) % pack<T>::lanes...>(v, v))
                        : width == 2 ? V(shuffle<(L ^ 2) % pack<T>::lanes...>(v, v))
                                     : V(shuffle<(L ^ 1)...>(v, v));
        v = v > other ? v : other;
    }
}

/// Every lane of v becomes the sum of them.
template <class T, int... L>
PROTONCE_KERNEL_TARGET __attribute__((always_inline)) inline void add_lanes(typename pack<T>::type& v,
                                                                            std::integer_sequence<int, L...>) {
    constexpr int n = pack<T>::lanes;
    if constexpr (n > 8) {
        v += shuffle<(L ^ 8) % n...>(v, v);
    }
    if constexpr (n > 4) {
        v += shuffle<(L ^ 4) % n...>(v, v);
    }
    if constexpr (n > 2) {
        v += shuffle<(L ^ 2) % n...>(v, v);
    }
    v += shuffle<(L ^ 1)...>(v, v);
}

/// Labels from what nearest_in_panels() found in each lane of a row: the lowest centroid of the largest score.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void best_of_lanes(const T* best, const lane_int<T>* where,
                                                                    index_t count, label_t* label) {
    using P = pack<T>;
    using V = typename P::type;
    constexpr int W = panel_width<T>;
    for (index_t r = 0; r < count; ++r, best += W, where += W) {
        V most = *reinterpret_cast<const typename P::memory*>(best);
#pragma GCC unroll 4
        for (int v = P::lanes; v < W; v += P::lanes) {
            const V next = *reinterpret_cast<const typename P::memory*>(best + v);
            most = next > most ? next : most;
        }
        spread_largest<T>(most, std::make_integer_sequence<int, P::lanes>{});
        unsigned equal = 0;
#pragma GCC unroll 4
        for (int v = 0; v < W; v += P::lanes) {
            equal |= lane_mask<T>(V(*reinterpret_cast<const typename P::memory*>(best + v)) == most) << v;
        }
        index_t lowest = (std::numeric_limits<index_t>::max)();
        for (; equal != 0; equal &= equal - 1) {
            const int l = __builtin_ctz(equal);
            const index_t k = static_cast<index_t>(where[l]) * W + l;
            lowest = k < lowest ? k : lowest;
        }
        label[r] = static_cast<label_t>(lowest);
    }
}

/// out_n = x_n.c_n for a few pairs, in any order of summation.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void dots(const T* const* x, const T* const* c, index_t count,
                                                           index_t cols, T* out) {
    using P = pack<T>;
    using V = typename P::type;
    for (index_t n = 0; n < count; ++n) {
        const T* a = x[n];
        const T* b = c[n];
        V sum[4] = {};
        index_t j = 0;
        for (; j + 4 * P::lanes <= cols; j += 4 * P::lanes) {
#pragma GCC unroll 4
            for (int v = 0; v < 4; ++v) {
                sum[v] += V(*reinterpret_cast<const typename P::memory*>(a + j + v * P::lanes)) *
                          V(*reinterpret_cast<const typename P::memory*>(b + j + v * P::lanes));
            }
        }
        for (; j + P::lanes <= cols; j += P::lanes) {
            sum[0] += V(*reinterpret_cast<const typename P::memory*>(a + j)) *
                      V(*reinterpret_cast<const typename P::memory*>(b + j));
        }
        V all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        add_lanes<T>(all, std::make_integer_sequence<int, P::lanes>{});
        T total = all[0];
        for (; j < cols; ++j) {
            total += a[j] * b[j];
        }
        out[n] = total;
    }
}

/// x.c - half_norm by the chain of nearest_in_panels, to the last bit.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) T chain(const T* x, const T* c, T half_norm, index_t cols) {
    T sum = -half_norm;
    for (index_t k = 0; k < cols; ++k) {
        sum += x[k] * c[k];
    }
    return sum;
}

/// Bounds of a block lie by group: bound[g * stride + r] for row r. The next three take panel_width rows at once.

/// Least over the groups of a row's bound, less what the group has moved since.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void least_bounds(const T* bound, index_t stride, const T* moved,
                                                                   index_t groups, T* least) {
    using P = pack<T>;
    using V = typename P::type;
    constexpr int n = panel_width<T> / P::lanes;
    V low[n];
#pragma GCC unroll 4
    for (int v = 0; v < n; ++v) {
        low[v] = (std::numeric_limits<T>::max)() - V{};
    }
    for (index_t g = 0; g < groups; ++g) {
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            const V next =
                V(*reinterpret_cast<const typename P::memory*>(bound + g * stride + v * P::lanes)) - moved[g];
            low[v] = low[v] < next ? low[v] : next;
        }
    }
#pragma GCC unroll 4
    for (int v = 0; v < n; ++v) {
        *reinterpret_cast<typename P::memory*>(least + v * P::lanes) = low[v];
    }
}

/// The largest of a row's values over the groups, and the first group that has it.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void best_groups(const T* value, index_t stride, index_t groups,
                                                                  T* best, lane_int<T>* group) {
    using P = pack<T>;
    using V = typename P::type;
    using I = typename P::integer;
    for (int v = 0; v < panel_width<T>; v += P::lanes) {
        V most = *reinterpret_cast<const typename P::memory*>(value + v);
        I at = {};
        for (index_t g = 1; g < groups; ++g) {
            const V next = *reinterpret_cast<const typename P::memory*>(value + g * stride + v);
            const I larger = next > most;
            most = larger ? next : most;
            at = larger ? static_cast<lane_int<T>>(g) - I{} : at;
        }
        *reinterpret_cast<typename P::memory*>(best + v) = most;
        *reinterpret_cast<typename P::integer_memory*>(group + v) = at;
    }
}

/// Rows of the listed chunks (of panel_width rows each) whose bound, less `moved`, is at most their radius. Returns how many.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) index_t
rows_within(const T* bound, const T* radius, T moved, const std::int32_t* chunk, index_t chunks, std::int32_t* list) {
    using P = pack<T>;
    using V = typename P::type;
    index_t found = 0;
    for (index_t n = 0; n < chunks; ++n) {
        for (int v = 0; v < panel_width<T>; v += P::lanes) {
            const index_t r = chunk[n] * panel_width<T> + v;
            const V distance = V(*reinterpret_cast<const typename P::memory*>(bound + r)) - moved;
            unsigned mask = lane_mask<T>(distance <= V(*reinterpret_cast<const typename P::memory*>(radius + r)));
            for (; mask != 0; mask &= mask - 1) {
                list[found++] = static_cast<std::int32_t>(r + __builtin_ctz(mask));
            }
        }
    }
    return found;
}

/// out_j = sqrt(max(0, base_j - 2 score_j)) * (1 - 4 epsilon): distances from scores, never above them. `count` is a multiple of
/// panel_width; out may be score.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void lower_distances(const T* base, const T* score, index_t count,
                                                                      T* out) {
    using P = pack<T>;
    using V = typename P::type;
    for (index_t j = 0; j < count; j += P::lanes) {
        V v = V(*reinterpret_cast<const typename P::memory*>(base + j)) -
              T(2) * V(*reinterpret_cast<const typename P::memory*>(score + j));
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
#elif defined(__x86_64__) && defined(__clang__)
        if constexpr (sizeof(T) == 4) {
            v = __builtin_ia32_sqrtps512(v, 4);
        } else {
            v = __builtin_ia32_sqrtpd512(v, 4);
        }
#elif defined(__x86_64__)
        if constexpr (sizeof(T) == 4) {
            v = __builtin_ia32_sqrtps512_mask(v, v, -1, 4); // 4: the rounding that is set
        } else {
            v = __builtin_ia32_sqrtpd512_mask(v, v, -1, 4);
        }
#else
        for (int l = 0; l < P::lanes; ++l) {
            v[l] = std::sqrt(v[l]);
        }
#endif
        *reinterpret_cast<typename P::memory*>(out + j) = v * (1 - 4 * std::numeric_limits<T>::epsilon());
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

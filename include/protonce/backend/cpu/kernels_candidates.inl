// SPDX-License-Identifier: MIT
// Included by kernels_nearest.hpp once for each instruction set, behind kernels_nearest.inl; see kernels.inl for the rules of such a
// file.

/// Numbers in double, as wide as a register, and as many values of T.
template <class T>
struct widened {
    static constexpr int lanes = pack<double>::lanes;
    typedef T narrow __attribute__((vector_size(lanes * sizeof(T))));

    PROTONCE_KERNEL_TARGET __attribute__((always_inline)) static inline typename pack<double>::type
    load(const T* from) {
        narrow value;
        __builtin_memcpy(&value, from, sizeof(value));
        return __builtin_convertvector(value, typename pack<double>::type);
    }
};

/// threshold_i such that a candidate below it, by codes, is no nearer to row i than least_i: others have
/// ||x||^2 - 2 (x.c - ||c||^2 / 2) >= least_i, roundings and the errors of both codes included. The lowest number where least_i or the row is none. Other arrays than `least` are read and written
/// in whole registers.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void thresholds(const threshold_terms& with, const T* norm,
                                                                 const float* error, const double* least, index_t count,
                                                                 T* threshold) {
    using V = typename pack<double>::type;
    constexpr int lanes = pack<double>::lanes;
    constexpr double eps = static_cast<double>(std::numeric_limits<T>::epsilon());
    const V lowest = static_cast<double>(std::numeric_limits<T>::lowest()) - V{};
    for (index_t r = 0; r < count; r += lanes) {
        const V size = widened<T>::load(norm + r);
        const V off = widened<float>::load(error + r);
        V below = {};
        if (count - r >= lanes) {
            below = *reinterpret_cast<const typename pack<double>::memory*>(least + r);
        } else {
            for (int l = 0; l < count - r; ++l) {
                below[l] = least[r + l];
            }
        }
        const V low = size * with.low;
        const V loose = (off * with.largest_norm + (size + off) * with.largest_error) +
                        (size * size + size * with.largest_norm + with.largest_norm * with.largest_norm) * with.loose +
                        1e-30;
        const V reach = (low * low - below * with.rounding) * 0.5 - loose;
        const V rounded = reach - (reach < V{} ? -reach : reach) * (2 * eps);
        const V kept = reach > lowest ? rounded : lowest;
        const auto values = __builtin_convertvector(kept, typename widened<T>::narrow);
        __builtin_memcpy(threshold + r, &values, sizeof(values));
    }
}

/// Squared distances of one row, from a tile to units of the data, or `least` where that is smaller; NaN stays.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void smaller_distances(const T* tile, double unscale, double least,
                                                                        index_t lanes, double* out) {
    using V = typename pack<double>::type;
    for (index_t l = 0; l < lanes; l += pack<double>::lanes) {
        const V distance = widened<T>::load(tile + l) * unscale;
        *reinterpret_cast<typename pack<double>::memory*>(out + l) = distance >= least ? least - V{} : distance;
    }
}

/// sum_l += the distance of row i to candidate l, for rows [first, last) in order: rows first_ + close_n have them in row n of
/// `distance`, the others are as far as least_i from every candidate. Bound by the latency of an addition a row.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void
add_distances(const double* least, index_t first, index_t last, const std::int32_t* close, index_t count,
              const double* distance, index_t stride, index_t lanes, double* sum) {
    using P = pack<double>;
    using V = typename P::type;
    constexpr int n = candidate_lanes / P::lanes;
    for (index_t l = 0; l < lanes; l += candidate_lanes) {
        V total[n];
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            total[v] = *reinterpret_cast<const typename P::memory*>(sum + l + v * P::lanes);
        }
        index_t i = first;
        for (index_t r = 0; r <= count; ++r) {
            const index_t next = r < count ? close[r] : last;
            for (; i < next; ++i) {
#pragma GCC unroll 4
                for (int v = 0; v < n; ++v) {
                    total[v] += least[i];
                }
            }
            if (r < count) {
#pragma GCC unroll 4
                for (int v = 0; v < n; ++v) {
                    total[v] +=
                        *reinterpret_cast<const typename P::memory*>(distance + r * stride + l + v * P::lanes);
                }
                ++i;
            }
        }
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            *reinterpret_cast<typename P::memory*>(sum + l + v * P::lanes) = total[v];
        }
    }
}

#if PROTONCE_KERNEL_BYTES == 64
/// Rows with a candidate whose score by codes, factor * (row.candidate) - half_norm, reaches the row's threshold, in order. The product is
/// exact, in whole numbers. Four multiply-adds a lane and instruction; with `split` = 2 at most eight candidates fill a register.
template <int split>
__attribute__((target("avx512f,avx512vnni,avx2,fma"), noinline)) index_t rows_reaching(const code_search& job,
                                                                                        std::int32_t* close) {
    using P = pack<float>;
    using V = typename P::type;
    using I = typename P::integer;
    using group = std::conditional_t<split == 2, long long, std::int32_t>;
    typedef group groups __attribute__((vector_size(64)));
    // What lies there into every lane, or two neighbours into even and odd lanes.
    const auto spread = [](const auto* at) __attribute__((target("avx512f,avx512vnni,avx2,fma"), always_inline)) {
        group value;
        __builtin_memcpy(&value, at, sizeof(value));
        return groups(value - groups{});
    };
    constexpr int R = rows_of_tile<float>;
    constexpr int W = panel_width<float>;
    index_t found = 0;
    for (index_t first = 0; first < job.count; first += R) {
        const std::int8_t* rows = job.codes + first * job.stride;
        const std::uint8_t* b = job.panels;
        unsigned hits = 0;
        for (index_t panel = 0; panel < job.num_panels; ++panel) {
            I sum[R] = {};
            for (index_t k = 0; k < job.steps; ++k) {
                const I bk = *reinterpret_cast<const typename P::integer_memory*>(b);
                b += 4 * W;
#pragma GCC unroll 12
                for (int r = 0; r < R; ++r) {
                    const I x = reinterpret_cast<I>(
                        spread(rows + r * job.stride + k * static_cast<index_t>(sizeof(group))));
#if defined(__clang__)
                    sum[r] = __builtin_ia32_vpdpbusd512(sum[r], bk, x);
#else
                    sum[r] = __builtin_ia32_vpdpbusd_v16si(sum[r], bk, x);
#endif
                }
            }
            const V half = *reinterpret_cast<const typename P::memory*>(job.half_norm + panel * W);
#pragma GCC unroll 12
            for (int r = 0; r < R; r += split) {
                I whole = sum[r];
                if constexpr (split == 2) {
                    // Sums of neighbouring lanes: of this row to even lanes, of the next one to odd lanes.
                    whole = shuffle<0, 17, 2, 19, 4, 21, 6, 23, 8, 25, 10, 27, 12, 29, 14, 31>(sum[r], sum[r + 1]) +
                            shuffle<1, 16, 3, 18, 5, 20, 7, 22, 9, 24, 11, 26, 13, 28, 15, 30>(sum[r], sum[r + 1]);
                }
                whole += reinterpret_cast<I>(spread(job.offset + first + r));
                const V score =
                    __builtin_convertvector(whole, V) * reinterpret_cast<V>(spread(job.factor + first + r)) - half;
                const unsigned mask =
                    lane_mask<float>(score >= reinterpret_cast<V>(spread(job.threshold + first + r)));
                if constexpr (split == 2) {
                    hits |= static_cast<unsigned>((mask & 0x5555) != 0) << r;
                    hits |= static_cast<unsigned>((mask & 0xaaaa) != 0) << (r + 1);
                } else {
                    hits |= static_cast<unsigned>(mask != 0) << r;
                }
            }
        }
        if (job.count - first < R) {
            hits &= (1U << (job.count - first)) - 1;
        }
        for (; hits != 0; hits &= hits - 1) {
            close[found++] = static_cast<std::int32_t>(first + __builtin_ctz(hits));
        }
    }
    return found;
}
#endif

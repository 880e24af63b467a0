// SPDX-License-Identifier: MIT
// Included by kernels_nearest.hpp once for each instruction set, behind the other two; see kernels.inl for the rules of such a
// file.

/// Lanes with bit `S` clear: the larger of a's lanes j and j ^ S; with the bit set: of b's.
template <class T, int S, int... L>
PROTONCE_KERNEL_TARGET __attribute__((always_inline)) inline void
fold_two(typename pack<T>::type& a, const typename pack<T>::type& b, std::integer_sequence<int, L...>) {
    using V = typename pack<T>::type;
    constexpr int n = pack<T>::lanes;
    const V same = shuffle<((L & S) != 0 ? n + L : L)...>(a, b);
    const V other = shuffle<((L & S) != 0 ? n + (L ^ S) : (L ^ S))...>(a, b);
    a = same > other ? same : other;
}

/// v[0] becomes the largest lane of each of the `lanes` vectors, in order.
template <class T, int S>
PROTONCE_KERNEL_TARGET __attribute__((always_inline)) inline void fold_all(typename pack<T>::type* v) {
    if constexpr (S > 0) {
#pragma GCC unroll 8
        for (int i = 0; i < S; ++i) {
            fold_two<T, S>(v[i], v[i + S], std::make_integer_sequence<int, pack<T>::lanes>{});
        }
        fold_all<T, S / 2>(v);
    }
}

/// What a scan does with the scores of a tile, rows `width` apart: those that reach the row's threshold, and the largest of the others.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((always_inline)) inline index_t pick(const panel_scan<T>& job, index_t first,
                                                                          index_t width, index_t found) {
    using P = pack<T>;
    using V = typename P::type;
    constexpr int R = rows_of_tile<T>;
    const index_t last = job.count - first < R ? job.count - first : R;
#pragma GCC unroll 8
    for (int r0 = 0; r0 < R; r0 += P::lanes) {
        V most[P::lanes];
#pragma GCC unroll 16
        for (int r = 0; r < P::lanes; ++r) {
            const T* at = job.score + (r0 + r < R ? r0 + r : r0) * width;
            most[r] = *reinterpret_cast<const typename P::memory*>(at);
            for (index_t j = P::lanes; j < width; j += P::lanes) {
                const V next = *reinterpret_cast<const typename P::memory*>(at + j);
                most[r] = most[r] > next ? most[r] : next;
            }
        }
        fold_all<T, P::lanes / 2>(most);
        *reinterpret_cast<typename P::memory*>(job.top + first + r0) = most[0];
    }
    unsigned hits = 0;
    for (index_t r = 0; r < last; ++r) {
        hits |= static_cast<unsigned>(job.top[first + r] >= job.threshold[job.list[first + r]]) << r;
    }
    for (; hits != 0; hits &= hits - 1) {
        const int r = __builtin_ctz(hits);
        const std::int32_t row = job.list[first + r];
        const T* at = job.score + r * width;
        const V threshold = job.threshold[row] - V{};
        V rest = std::numeric_limits<T>::lowest() - V{};
        for (index_t j = 0; j < width; j += P::lanes) {
            const V next = *reinterpret_cast<const typename P::memory*>(at + j);
            const typename P::integer reaches = next >= threshold;
            unsigned mask = lane_mask<T>(reaches);
            for (; mask != 0; mask &= mask - 1) {
                const index_t place = j + __builtin_ctz(mask);
                job.found[found++] = {row, static_cast<std::int32_t>(place), at[place]};
            }
            const V below = reaches ? rest : next;
            rest = rest > below ? rest : below;
        }
        spread_largest<T>(rest, std::make_integer_sequence<int, P::lanes>{});
        job.top[first + r] = rest[0];
    }
    return found;
}

/// x.c - ||c||^2 / 2 of listed rows with the centroids of a few panels, by the chain of nearest_in_panels. Returns how many were found.
/// Compute-bound for depth >= 16; below, the search for the largest takes as long.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) index_t scan_panels(const panel_scan<T>& job) {
    using P = pack<T>;
    using V = typename P::type;
    constexpr int R = rows_of_tile<T>;
    constexpr int W = panel_width<T>;
    constexpr int n = W / P::lanes;
    const index_t width = job.num_panels * W;
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
                const V start =
                    -V(*reinterpret_cast<const typename P::memory*>(job.half_norm + panel * W + v * P::lanes));
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
            T* out = job.score + panel * W;
#pragma GCC unroll 12
            for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
                for (int v = 0; v < n; ++v) {
                    *reinterpret_cast<typename P::memory*>(out + r * width + v * P::lanes) = sum[r][v];
                }
            }
        }
        found = pick<T>(job, first, width, found);
    }
    return found;
}

#if PROTONCE_KERNEL_BYTES == 64
/// Every lane of v becomes the sum of them.
PROTONCE_KERNEL_TARGET __attribute__((always_inline)) inline void add_integer_lanes(pack<float>::integer& v) {
    v += shuffle<8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7>(v, v);
    v += shuffle<4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11>(v, v);
    v += shuffle<2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13>(v, v);
    v += shuffle<1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14>(v, v);
}

/// As scan_panels() for codes: factor * (row.centroid) - half_norm, the product in whole numbers, exact. Four multiply-adds a lane and
/// instruction. Bytes of centroids are taken without sign, hence plus 128, which `offset` takes back.
__attribute__((target("avx512f,avx512vnni,avx2,fma"), noinline)) inline index_t
scan_codes(const panel_scan<float>& job) {
    using P = pack<float>;
    using V = typename P::type;
    using I = typename P::integer;
    constexpr int R = rows_of_tile<float>;
    constexpr int W = panel_width<float>;
    const index_t width = job.num_panels * W;
    index_t found = 0;
    for (index_t first = 0; first < job.count; first += R) {
        const std::int8_t* rows[R];
        float factor[R];
        std::int32_t offset[R];
        for (int r = 0; r < R; ++r) {
            const std::int32_t row = job.list[first + r < job.count ? first + r : job.count - 1];
            rows[r] = job.codes + row * job.code_stride;
            factor[r] = job.factor[row];
            offset[r] = job.offset[row];
        }
        const std::uint8_t* b = job.code_panels;
        for (index_t panel = 0; panel < job.num_panels; ++panel) {
            I sum[R];
#pragma GCC unroll 12
            for (int r = 0; r < R; ++r) {
                sum[r] = offset[r] - I{};
            }
            for (index_t k = 0; k < job.depth; ++k) {
                const I bk = *reinterpret_cast<const typename P::integer_memory*>(b);
                b += 4 * W;
#pragma GCC unroll 12
                for (int r = 0; r < R; ++r) {
                    std::int32_t four;
                    __builtin_memcpy(&four, rows[r] + 4 * k, sizeof(four));
#if defined(__clang__)
                    sum[r] = __builtin_ia32_vpdpbusd512(sum[r], bk, four - I{});
#else
                    sum[r] = __builtin_ia32_vpdpbusd_v16si(sum[r], bk, four - I{});
#endif
                }
            }
            const V half = *reinterpret_cast<const typename P::memory*>(job.half_norm + panel * W);
#pragma GCC unroll 12
            for (int r = 0; r < R; ++r) {
                *reinterpret_cast<typename P::memory*>(job.score + r * width + panel * W) =
                    __builtin_convertvector(sum[r], V) * factor[r] - half;
            }
        }
        found = pick<float>(job, first, width, found);
    }
    return found;
}

/// Sum of x_j (c_j + 128) over `bytes` codes, a multiple of 64.
__attribute__((target("avx512f,avx512vnni,avx2,fma"), noinline)) inline std::int32_t
code_dot(const std::int8_t* x, const std::uint8_t* c, index_t bytes) {
    using P = pack<float>;
    using I = typename P::integer;
    const auto add = [](I & sum, const std::uint8_t* a, const std::int8_t* b)
        __attribute__((target("avx512f,avx512vnni,avx2,fma"), always_inline)) {
        const I u = *reinterpret_cast<const typename P::integer_memory*>(a);
        const I s = *reinterpret_cast<const typename P::integer_memory*>(b);
#if defined(__clang__)
        sum = __builtin_ia32_vpdpbusd512(sum, u, s);
#else
        sum = __builtin_ia32_vpdpbusd_v16si(sum, u, s);
#endif
    };
    I part[4] = {};
    index_t j = 0;
    for (; j + 256 <= bytes; j += 256) {
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) {
            add(part[v], c + j + v * 64, x + j + v * 64);
        }
    }
    for (; j < bytes; j += 64) {
        add(part[0], c + j, x + j);
    }
    I sum = (part[0] + part[1]) + (part[2] + part[3]);
    add_integer_lanes(sum);
    return sum[0];
}
#endif

/// Codes of a row: code_j = x_j / scale, rounded; with scale = 0 the scale that makes the largest 127.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) code_facts encode(const float* x, index_t cols, float scale,
                                                                   std::int8_t* code) {
    using P = pack<float>;
    using V = typename P::type;
    using I = typename P::integer;
    if (scale == 0) {
        V most = {};
        index_t j = 0;
        for (; j + P::lanes <= cols; j += P::lanes) {
            const V v = *reinterpret_cast<const typename P::memory*>(x + j);
            const V size = v < V{} ? -v : v;
            most = most > size ? most : size;
        }
        for (int l = 0; l < P::lanes; ++l) {
            scale = scale > most[l] ? scale : most[l];
        }
        for (; j < cols; ++j) {
            const float size = x[j] < 0 ? -x[j] : x[j];
            scale = scale > size ? scale : size;
        }
        scale /= 127;
    }
    const float inverse = scale > 0 ? 1 / scale : 0.0f;
    V square = {};
    I total = {};
    float rest_square = 0;
    std::int32_t sum = 0;
    index_t j = 0;
    for (; j + P::lanes <= cols; j += P::lanes) {
        const V v = *reinterpret_cast<const typename P::memory*>(x + j);
        const V t = v * inverse;
        const I whole = __builtin_convertvector(t + (t < V{} ? -0.5f - V{} : 0.5f - V{}), I);
        const V off = v - __builtin_convertvector(whole, V) * scale;
        square += off * off;
        total += whole;
        typedef std::int8_t narrow __attribute__((vector_size(P::lanes)));
        const narrow bytes = __builtin_convertvector(whole, narrow);
        __builtin_memcpy(code + j, &bytes, sizeof(bytes));
    }
    for (; j < cols; ++j) {
        const float t = x[j] * inverse;
        const std::int32_t whole = static_cast<std::int32_t>(t + (t < 0 ? -0.5f : 0.5f));
        const float off = x[j] - static_cast<float>(whole) * scale;
        rest_square += off * off;
        sum += whole;
        code[j] = static_cast<std::int8_t>(whole);
    }
    for (int l = 0; l < P::lanes; ++l) {
        rest_square += square[l];
        sum += total[l];
    }
    // Rounding of the differences (half a spacing of the largest value each) and of their sum of squares.
    const double eps = static_cast<double>(std::numeric_limits<float>::epsilon());
    const double count = static_cast<double>(cols);
    const double error = std::sqrt(static_cast<double>(rest_square)) * (1 + eps * (count + 4)) +
                         eps * 128 * static_cast<double>(scale) * std::sqrt(count);
    return {scale, static_cast<float>(error * (1 + eps)), sum};
}

template <class T>
nearest_kernels<T> nearest_table() {
    return {&best_of_lanes<T>, &scan_panels<T>,     nullptr,
            nullptr,           &encode<T>,          &dots<T>,
            &chain<T>,         &least_bounds<T>,    &best_groups<T>,
            &rows_within<T>,   &lower_distances<T>, &squared_norm<T>,
            {nullptr, nullptr}, &thresholds<T>,     &smaller_distances<T>,
            &add_distances<T>};
}

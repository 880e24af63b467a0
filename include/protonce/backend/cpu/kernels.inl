// SPDX-License-Identifier: MIT
// Included by each_instruction_set.inl once for each instruction set, inside a namespace of its own, with two macros that end there:
//   PROTONCE_KERNEL_TARGET  the attribute that lets the compiler use the instruction set in this function
//   PROTONCE_KERNEL_BYTES   width of a vector register
// Templates and lambdas do not inherit such an attribute, so every function here carries it. Vectors stay inside a function.

/// `lanes` values of T in one register, and how they lie in memory (any alignment).
template <class T>
struct pack {
    static constexpr int lanes = PROTONCE_KERNEL_BYTES / static_cast<int>(sizeof(T));
    typedef T type __attribute__((vector_size(PROTONCE_KERNEL_BYTES)));
    typedef T memory __attribute__((vector_size(PROTONCE_KERNEL_BYTES), aligned(sizeof(T)), may_alias));
    typedef lane_int<T> integer __attribute__((vector_size(PROTONCE_KERNEL_BYTES)));
    typedef lane_int<T> integer_memory
        __attribute__((vector_size(PROTONCE_KERNEL_BYTES), aligned(sizeof(T)), may_alias));
};

/// The named lanes of a and b, those of b counted on from the last of a.
template <int... lane, class V>
PROTONCE_KERNEL_TARGET __attribute__((always_inline)) inline V shuffle(const V& a, const V& b) {
#if defined(__clang__)
    return __builtin_shufflevector(a, b, lane...);
#else
    using places = decltype(a == b); // whole numbers as wide as the values
    return __builtin_shuffle(a, b, places{lane...});
#endif
}

// Rows of a tile: as many as leave registers for one row of b and a broadcast value.
template <class T>
inline constexpr int rows_of_tile = PROTONCE_KERNEL_BYTES == 16   ? 3
                                    : PROTONCE_KERNEL_BYTES == 32 ? 6
                                                                  : 12;

/// out[r][w] = init + sum_k a[r][k] * b[k * stride_b + w] for `rows_of_tile` rows and panel_width columns: one chain of fused
/// multiply-adds over k per value, whatever the instruction set. init is out itself if `accumulate`, else 0.
/// Compute-bound: reads one panel row and broadcasts rows_of_tile values for rows_of_tile * panel_width multiply-adds.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void tile_product(const T* const* a, const T* b, index_t stride_b,
                                                                   index_t depth, T* out, index_t stride_out,
                                                                   bool accumulate) {
    using P = pack<T>;
    using V = typename P::type;
    constexpr int R = rows_of_tile<T>;
    constexpr int n = panel_width<T> / P::lanes;
    V sum[R][n];
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            sum[r][v] =
                accumulate ? V(*reinterpret_cast<const typename P::memory*>(out + r * stride_out + v * P::lanes)) : V{};
        }
    }
    for (index_t k = 0; k < depth; ++k) {
        V bk[n];
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            bk[v] = *reinterpret_cast<const typename P::memory*>(b + v * P::lanes);
        }
        b += stride_b;
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
            const V x = a[r][k] - V{};
#pragma GCC unroll 4
            for (int v = 0; v < n; ++v) {
                sum[r][v] += x * bk[v];
            }
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            *reinterpret_cast<typename P::memory*>(out + r * stride_out + v * P::lanes) = sum[r][v];
        }
    }
}

/// `rows_of_tile` rows as nearest_in_panels() reads them: tile[k * rows_of_tile + r].
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void pack_tile(const T* rows, index_t stride, index_t cols, T* tile) {
    constexpr int R = rows_of_tile<T>;
    index_t k = 0;
    if constexpr (R % 4 == 0) {
        typedef T four __attribute__((vector_size(4 * sizeof(T))));
        typedef T four_in_memory __attribute__((vector_size(4 * sizeof(T)), aligned(sizeof(T)), may_alias));
        for (; k + 4 <= cols; k += 4) {
#pragma GCC unroll 3
            for (int r = 0; r < R; r += 4) {
                const T* from = rows + r * stride + k;
                const four a = *reinterpret_cast<const four_in_memory*>(from);
                const four b = *reinterpret_cast<const four_in_memory*>(from + stride);
                const four c = *reinterpret_cast<const four_in_memory*>(from + 2 * stride);
                const four d = *reinterpret_cast<const four_in_memory*>(from + 3 * stride);
                const four ab = shuffle<0, 4, 1, 5>(a, b);
                const four cd = shuffle<0, 4, 1, 5>(c, d);
                const four ab_high = shuffle<2, 6, 3, 7>(a, b);
                const four cd_high = shuffle<2, 6, 3, 7>(c, d);
                const four out[4] = {shuffle<0, 1, 4, 5>(ab, cd),
                                     shuffle<2, 3, 6, 7>(ab, cd),
                                     shuffle<0, 1, 4, 5>(ab_high, cd_high),
                                     shuffle<2, 3, 6, 7>(ab_high, cd_high)};
#pragma GCC unroll 4
                for (int j = 0; j < 4; ++j) {
                    *reinterpret_cast<four_in_memory*>(tile + (k + j) * R + r) = out[j];
                }
            }
        }
    }
    for (; k < cols; ++k) {
        for (int r = 0; r < R; ++r) {
            tile[k * R + r] = rows[r * stride + k];
        }
    }
}

/// For `rows_of_tile` rows, packed as rows[k * rows_of_tile + r], and the centroids of `panels`: score = x.c - ||c||^2 / 2,
/// whose largest belongs to the nearest centroid.
/// best[r][w], where[r][w]: largest score so far in lane w and the panel that has it; earlier panels win among equals.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void
nearest_in_panels(const T* rows, const T* panels, const T* half_norm, index_t depth, index_t first, index_t last,
                  T* best, lane_int<T>* where) {
    using P = pack<T>;
    using V = typename P::type;
    using I = typename P::integer;
    constexpr int R = rows_of_tile<T>;
    constexpr int W = panel_width<T>;
    constexpr int n = W / P::lanes;
    for (index_t panel = first; panel < last; ++panel) {
        const T* a = rows;
        const T* b = panels + panel * depth * W;
        V sum[R][n];
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
            for (int v = 0; v < n; ++v) {
                sum[r][v] = -V(*reinterpret_cast<const typename P::memory*>(half_norm + panel * W + v * P::lanes));
            }
        }
        for (index_t k = 0; k < depth; ++k) {
            V bk[n];
#pragma GCC unroll 4
            for (int v = 0; v < n; ++v) {
                bk[v] = *reinterpret_cast<const typename P::memory*>(b + v * P::lanes);
            }
            b += W;
#pragma GCC unroll 12
            for (int r = 0; r < R; ++r) {
                const V x = a[r] - V{};
#pragma GCC unroll 4
                for (int v = 0; v < n; ++v) {
                    sum[r][v] += x * bk[v];
                }
            }
            a += R;
        }
        const I number = static_cast<lane_int<T>>(panel) - I{};
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
            for (int v = 0; v < n; ++v) {
                auto* top = reinterpret_cast<typename P::memory*>(best + r * W + v * P::lanes);
                auto* at = reinterpret_cast<typename P::integer_memory*>(where + r * W + v * P::lanes);
                const V old = *top;
                const I old_at = *at;
                const I larger = sum[r][v] > old;
                *top = larger ? sum[r][v] : old;
                *at = larger ? number : old_at;
            }
        }
    }
}

/// out[r][w] = sum_k (a[r][k] - b[k][w])^2 for `rows_of_tile` rows and one panel, computed from the differences: 0 for equal rows.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void tile_squared_distance(const T* const* a, const T* b,
                                                                            index_t depth, T* out) {
    using P = pack<T>;
    using V = typename P::type;
    constexpr int R = rows_of_tile<T>;
    constexpr int W = panel_width<T>;
    constexpr int n = W / P::lanes;
    V sum[R][n] = {};
    for (index_t k = 0; k < depth; ++k) {
        V bk[n];
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            bk[v] = *reinterpret_cast<const typename P::memory*>(b + v * P::lanes);
        }
        b += W;
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
            const V x = a[r][k] - V{};
#pragma GCC unroll 4
            for (int v = 0; v < n; ++v) {
                const V d = x - bk[v];
                sum[r][v] += d * d;
            }
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            *reinterpret_cast<typename P::memory*>(out + r * W + v * P::lanes) = sum[r][v];
        }
    }
}

/// ||x - c||^2 in double: panel_width running sums, then their sum in order. reads 2C; bound by conversion
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) double squared_distance(const T* x, const T* c, index_t cols) {
    constexpr int n = 8;
    double sum[n] = {};
    index_t j = 0;
    for (; j + n <= cols; j += n) {
#pragma GCC unroll 8
        for (int v = 0; v < n; ++v) {
            const double d = static_cast<double>(x[j + v]) - static_cast<double>(c[j + v]);
            sum[v] += d * d;
        }
    }
    double out = ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
    for (; j < cols; ++j) {
        const double d = static_cast<double>(x[j]) - static_cast<double>(c[j]);
        out += d * d;
    }
    return out;
}

/// The functions above, behind pointers.
template <class T>
kernel_table<T> table() {
    return {rows_of_tile<T>,       &tile_product<T>,          &pack_tile<T>,
            &nearest_in_panels<T>, &tile_squared_distance<T>, &squared_distance<T>};
}

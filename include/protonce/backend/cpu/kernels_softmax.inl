// SPDX-License-Identifier: MIT
// Included by kernels_softmax.hpp once for each instruction set; see kernels.inl for the rules of such a file.

/// Rows of a packed tile that are computed side by side; they divide panel_width or leave a remainder that is computed by itself.
template <class T>
inline constexpr int packed_rows = PROTONCE_KERNEL_BYTES == 64   ? panel_width<T>
                                   : PROTONCE_KERNEL_BYTES == 32 ? 6
                                                                 : 2;

template <class T, int R>
PROTONCE_KERNEL_TARGET __attribute__((always_inline)) inline void
packed_tile(const T* a, index_t stride_a, const T* b, index_t stride_b, index_t depth, T* out, index_t stride_out) {
    using P = pack<T>;
    using V = typename P::type;
    constexpr int n = panel_width<T> / P::lanes;
    V sum[R][n];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            sum[r][v] = *reinterpret_cast<const typename P::memory*>(out + r * stride_out + v * P::lanes);
        }
    }
    for (index_t k = 0; k < depth; ++k) {
        V bk[n];
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            bk[v] = *reinterpret_cast<const typename P::memory*>(b + v * P::lanes);
        }
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const V x = a[r] - V{};
#pragma GCC unroll 4
            for (int v = 0; v < n; ++v) {
                sum[r][v] += x * bk[v];
            }
        }
        a += stride_a;
        b += stride_b;
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < n; ++v) {
            *reinterpret_cast<typename P::memory*>(out + r * stride_out + v * P::lanes) = sum[r][v];
        }
    }
}

/// out[r][w] += sum_k a[k * stride_a + r] * b[k * stride_b + w] for panel_width rows and columns.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void
packed_product(const T* a, index_t stride_a, const T* b, index_t stride_b, index_t depth, T* out, index_t stride_out) {
    constexpr int R = packed_rows<T>;
    constexpr int W = panel_width<T>;
    for (int r = 0; r + R <= W; r += R) {
        packed_tile<T, R>(a + r, stride_a, b, stride_b, depth, out + r * stride_out, stride_out);
    }
    if constexpr (W % R != 0) {
        constexpr int r = W / R * R;
        packed_tile<T, W % R>(a + r, stride_a, b, stride_b, depth, out + r * stride_out, stride_out);
    }
}

/// s_j *= factor_j
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void scale_strip(T* s, index_t stride, index_t count,
                                                                  const T* factor) {
    using P = pack<T>;
    for (index_t j = 0; j < count; ++j) {
#pragma GCC unroll 4
        for (int v = 0; v < panel_width<T>; v += P::lanes) {
            auto* at = reinterpret_cast<typename P::memory*>(s + j * stride + v);
            *at = *at * factor[j];
        }
    }
}

/// s_j += summand_j
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void shift_strip(T* s, index_t stride, index_t count,
                                                                  const T* summand) {
    using P = pack<T>;
    for (index_t j = 0; j < count; ++j) {
#pragma GCC unroll 4
        for (int v = 0; v < panel_width<T>; v += P::lanes) {
            auto* at = reinterpret_cast<typename P::memory*>(s + j * stride + v);
            *at = *at + summand[j];
        }
    }
}

/// s_jl *= factor_l
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void scale_lanes(T* s, index_t stride, index_t count,
                                                                  const T* factor) {
    using P = pack<T>;
    using V = typename P::type;
    for (int v = 0; v < panel_width<T>; v += P::lanes) {
        const V by = *reinterpret_cast<const typename P::memory*>(factor + v);
        for (index_t j = 0; j < count; ++j) {
            auto* at = reinterpret_cast<typename P::memory*>(s + j * stride + v);
            *at = *at * by;
        }
    }
}

/// s += other, `count` values, whole panels
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void add_strips(T* s, const T* other, index_t count) {
    using P = pack<T>;
    for (index_t j = 0; j < count; j += P::lanes) {
        auto* at = reinterpret_cast<typename P::memory*>(s + j);
        *at = *at + *reinterpret_cast<const typename P::memory*>(other + j);
    }
}

/// most_l = the largest of most_l and all s_jl
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void largest_in_lanes(const T* s, index_t stride, index_t count,
                                                                       T* most) {
    using P = pack<T>;
    using V = typename P::type;
    for (int v = 0; v < panel_width<T>; v += P::lanes) {
        V top = *reinterpret_cast<const typename P::memory*>(most + v);
        V other = top;
        index_t j = 0;
        for (; j + 2 <= count; j += 2) {
            const V one = *reinterpret_cast<const typename P::memory*>(s + j * stride + v);
            const V two = *reinterpret_cast<const typename P::memory*>(s + (j + 1) * stride + v);
            top = one > top ? one : top;
            other = two > other ? two : other;
        }
        if (j < count) {
            const V one = *reinterpret_cast<const typename P::memory*>(s + j * stride + v);
            top = one > top ? one : top;
        }
        *reinterpret_cast<typename P::memory*>(most + v) = other > top ? other : top;
    }
}

/// The largest s_jl so far, and how many equal it.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void count_largest(const T* s, index_t stride, index_t count, T* most,
                                                                    T* ties) {
    using P = pack<T>;
    using V = typename P::type;
    for (int v = 0; v < panel_width<T>; v += P::lanes) {
        V top = *reinterpret_cast<const typename P::memory*>(most + v);
        V number = *reinterpret_cast<const typename P::memory*>(ties + v);
        for (index_t j = 0; j < count; ++j) {
            const V next = *reinterpret_cast<const typename P::memory*>(s + j * stride + v);
            number = next > top ? V{} : number;
            top = next > top ? next : top;
            number += next == top ? V{} + T(1) : V{};
        }
        *reinterpret_cast<typename P::memory*>(most + v) = top;
        *reinterpret_cast<typename P::memory*>(ties + v) = number;
    }
}

/// s_jl <- e^(s_jl - shift_l); sum_l = their sum over j. `shift` is not below any value of its lane. Differences below -87 (double:
/// -708) give 0, NaN gives NaN.
///
/// float: e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln(2)/2, e^r by its Taylor polynomial of degree 7 (relative error under 1e-8, below
/// the rounding of its evaluation), ln 2 in two parts so that r keeps its bits.
template <class T>
PROTONCE_KERNEL_TARGET __attribute__((noinline)) void exponentials(T* s, index_t stride, index_t count, const T* shift,
                                                                   T* sum) {
    using P = pack<T>;
    using V = typename P::type;
    using I = typename P::integer;
    for (int v = 0; v < panel_width<T>; v += P::lanes) {
        const V by = *reinterpret_cast<const typename P::memory*>(shift + v);
        V total = {};
        for (index_t j = 0; j < count; ++j) {
            auto* at = reinterpret_cast<typename P::memory*>(s + j * stride + v);
            const V x = V(*at) - by;
            V kept = {};
            if constexpr (sizeof(T) == 8) {
                for (int l = 0; l < P::lanes; ++l) {
                    kept[l] = x[l] < T(-708) ? T(0) : std::exp(x[l]);
                }
            } else {
                // Truncation of something <= -0.5 rounds x / ln 2 to the nearest integer; no trick that -ffast-math undoes.
                const I whole = __builtin_convertvector(x * 1.44269504088896341f - 0.5f, I);
                const V n = __builtin_convertvector(whole, V);
                const V r = (x - n * 0.693145751953125f) - n * 1.42860682030941723212e-6f;
                V y = 1.98412698e-4f - V{};
                y = y * r + 1.38888889e-3f;
                y = y * r + 8.33333333e-3f;
                y = y * r + 4.16666667e-2f;
                y = y * r + 1.66666667e-1f;
                y = y * r + 0.5f;
                y = y * r + 1.0f;
                y = y * r + 1.0f;
                const I bits = (whole + 127) << 23;
                const V e = y * reinterpret_cast<V>(bits);
                kept = x < -87.0f ? V{} : e;
            }
            *at = kept;
            total += kept;
        }
        *reinterpret_cast<typename P::memory*>(sum + v) = total;
    }
}

template <class T>
softmax_kernels<T> softmax_table() {
    return {&packed_product<T>, &scale_strip<T>,      &shift_strip<T>,   &scale_lanes<T>,
            &add_strips<T>,     &largest_in_lanes<T>, &count_largest<T>, &exponentials<T>};
}

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/core/host_device.hpp>

#include <cstdint>

namespace protonce::inline v0::detail::cuda {

/// How rows are held for the tensor cores: in words of 32 bits, divided by a power of two of the row's own where the form needs it.
/// A form says what a word is and how fragments of words are multiplied:
///
///     parts                      words of a fragment's place
///     scale_of(largest)          the power of two by which a row with this largest magnitude is divided
///     words(cols), word(value, w)    words of a row, and one of them; value(c) is in [0, cols)
///     has_pairs                  rows are also needed in pairs, pair(value(even row), value(odd row)) for each column
///     split(word)                into parts
///     multiply_add(c, a, b)      c += a b, of fragments
///     add_weighted(...)          out += weights times rows, for the 32 rows of a tile
///
/// Columns are padded with zeros to a multiple of 16.
template <int size, int parts>
struct fragment {
    std::uint32_t part[parts][size];
};

/// Where a thread stands in the fragments of its warp.
struct lane_place {
    int group;
    int member;

    PROTONCE_DEVICE static lane_place here() {
        const int lane = thread_index() % 32;
        return {lane / 4, lane % 4};
    }
};

/// The columns that are summed, of a tile of 32 rows in shared memory.
struct shared_rows {
    const std::uint32_t* rows; // not in half precision, where words hold two columns
    int stride;
    const std::uint32_t* pairs; // (16, pair_stride) if the form has pairs
    int pair_stride;
};

/// TF32: 10 bits of mantissa, the range of float. `count` 1: rounded; 2: split into two, v = high + low + rest with
/// |rest| <= 2^-22 |v|, and three of the four products taken, the smallest first.
template <int count>
struct tf32_form {
    static constexpr int parts = count;
    static constexpr bool has_pairs = false;

    PROTONCE_HOST_DEVICE static constexpr int words(index_t cols) { return static_cast<int>(cols); }
    PROTONCE_DEVICE static float scale_of(float) { return 1; }
    template <class Value>
    PROTONCE_DEVICE static std::uint32_t word(const Value& value, index_t w) {
        return count == 1 ? to_tf32(value(w)) : __builtin_bit_cast(std::uint32_t, value(w));
    }
    template <class Value>
    PROTONCE_DEVICE static std::uint32_t pair(const Value&, const Value&, index_t) {
        return 0;
    }

    template <int size>
    PROTONCE_DEVICE static void split(std::uint32_t word, fragment<size, parts>& to, int i) {
        if constexpr (count == 1) {
            to.part[0][i] = word;
        } else {
            const float value = __builtin_bit_cast(float, word);
            to.part[0][i] = to_tf32(value);
            to.part[1][i] = to_tf32(value - __builtin_bit_cast(float, to.part[0][i]));
        }
    }
    PROTONCE_DEVICE static void multiply_add(float (&c)[4], const fragment<4, parts>& a, const fragment<2, parts>& b) {
        if constexpr (count == 2) {
            multiply_add_tf32(c, a.part[1], b.part[0]);
            multiply_add_tf32(c, a.part[0], b.part[1]);
        }
        multiply_add_tf32(c, a.part[0], b.part[0]);
    }

    /// Weights stay where the product before left them: place t of k is column 2t of them, place t + 4 column 2t + 1, and rows are
    /// read in that order.
    template <int tiles>
    PROTONCE_DEVICE static void add_weighted(float (&out)[tiles][4], int used, const float (&weight)[4][4],
                                             const shared_rows& tile, const lane_place& at) {
        PROTONCE_UNROLL for (int k = 0; k < 4; ++k) {
            fragment<4, parts> a;
            take(weight[k][0], a, 0);
            take(weight[k][2], a, 1);
            take(weight[k][1], a, 2);
            take(weight[k][3], a, 3);
            const std::uint32_t* from = tile.rows + (k * 8 + 2 * at.member) * tile.stride + at.group;
            PROTONCE_UNROLL for (int n = 0; n < tiles; ++n) {
                if (n < used) {
                    fragment<2, parts> b;
                    split(from[n * 8], b, 0);
                    split(from[n * 8 + tile.stride], b, 1);
                    multiply_add(out[n], a, b);
                }
            }
        }
    }

private:
    PROTONCE_DEVICE static void take(float value, fragment<4, parts>& to, int i) {
        split(count == 1 ? to_tf32(value) : __builtin_bit_cast(std::uint32_t, value), to, i);
    }
};

/// Half precision: 10 bits of mantissa too, at twice the rate, but values from 2^-14 to 2^16. Rows are divided by a power of two so
/// that their largest magnitude is in [1, 2); what is smaller than 2^-14 of it is rounded to multiples of 2^-24.
struct half_form {
    static constexpr int parts = 1;
    static constexpr bool has_pairs = true;

    PROTONCE_HOST_DEVICE static constexpr int words(index_t cols) { return static_cast<int>(cols / 2); }
    PROTONCE_DEVICE static float scale_of(float largest) {
        const std::uint32_t exponent = __builtin_bit_cast(std::uint32_t, largest) & 0x7f800000u;
        const bool is_normal = exponent != 0 && exponent != 0x7f800000u;
        return is_normal ? __builtin_bit_cast(float, exponent) : 1.0F;
    }
    template <class Value>
    PROTONCE_DEVICE static std::uint32_t word(const Value& value, index_t w) {
        return to_f16_pair(value(2 * w), value(2 * w + 1));
    }
    template <class Value>
    PROTONCE_DEVICE static std::uint32_t pair(const Value& even, const Value& odd, index_t c) {
        return to_f16_pair(even(c), odd(c));
    }

    template <int size>
    PROTONCE_DEVICE static void split(std::uint32_t word, fragment<size, parts>& to, int i) {
        to.part[0][i] = word;
    }
    PROTONCE_DEVICE static void multiply_add(float (&c)[4], const fragment<4, parts>& a, const fragment<2, parts>& b) {
        multiply_add_f16(c, a.part[0], b.part[0]);
    }

    /// Two neighbouring results of the product before are one register of this one.
    template <int tiles>
    PROTONCE_DEVICE static void add_weighted(float (&out)[tiles][4], int used, const float (&weight)[4][4],
                                             const shared_rows& tile, const lane_place& at) {
        PROTONCE_UNROLL for (int k = 0; k < 2; ++k) {
            const float(&left)[4] = weight[2 * k];
            const float(&right)[4] = weight[2 * k + 1];
            const fragment<4, parts> a{{{to_f16_pair(left[0], left[1]), to_f16_pair(left[2], left[3]),
                                         to_f16_pair(right[0], right[1]), to_f16_pair(right[2], right[3])}}};
            const std::uint32_t* from = tile.pairs + (k * 8 + at.member) * tile.pair_stride + at.group;
            PROTONCE_UNROLL for (int n = 0; n < tiles; ++n) {
                if (n < used) {
                    const fragment<2, parts> b{{{from[n * 8], from[n * 8 + 4 * tile.pair_stride]}}};
                    multiply_add(out[n], a, b);
                }
            }
        }
    }
};

/// sum[n] += 16 rows of the left times 8 of the right, for n in [0, tiles): one chain over the words, the same bits for rows of the
/// same words wherever they lie.
template <class Form, int tiles>
PROTONCE_DEVICE void multiply_rows(float (&sum)[tiles][4], const std::uint32_t* left, int left_stride,
                                   const std::uint32_t* right, int right_stride, int words, const lane_place& at) {
    left += at.group * left_stride + at.member;
    right += at.group * right_stride + at.member;
    PROTONCE_UNROLL_TWO for (int k = 0; k < words; k += 8) {
        fragment<4, Form::parts> a;
        Form::split(left[k], a, 0);
        Form::split(left[8 * left_stride + k], a, 1);
        Form::split(left[k + 4], a, 2);
        Form::split(left[8 * left_stride + k + 4], a, 3);
        PROTONCE_UNROLL for (int n = 0; n < tiles; ++n) {
            fragment<2, Form::parts> b;
            Form::split(right[n * 8 * right_stride + k], b, 0);
            Form::split(right[n * 8 * right_stride + k + 4], b, 1);
            Form::multiply_add(sum[n], a, b);
        }
    }
}

} // namespace protonce::inline v0::detail::cuda

// SPDX-License-Identifier: MIT
#include <device/emulator/products.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace emulator::detail {
namespace {

float from_tf32(std::uint32_t bits) {
    return std::bit_cast<float>(bits & 0xffffe000u);
}

struct tf32_operands {
    static constexpr int depth = 8;

    static void read(const visit& in, int g, int t, float (&a)[16][depth], float (&b)[depth][8]) {
        for (int i = 0; i < 4; ++i) {
            a[g + i % 2 * 8][t + i / 2 * 4] = from_tf32(in.a[i]);
        }
        b[t][g] = from_tf32(in.b[0]);
        b[t + 4][g] = from_tf32(in.b[1]);
    }
};

/// Pairs.
struct f16_operands {
    static constexpr int depth = 16;

    static void read(const visit& in, int g, int t, float (&a)[16][depth], float (&b)[depth][8]) {
        for (int half = 0; half < 2; ++half) {
            for (int i = 0; i < 4; ++i) {
                a[g + i % 2 * 8][2 * t + i / 2 * 8 + half] = from_f16(in.a[i] >> 16 * half);
            }
            b[2 * t + half][g] = from_f16(in.b[0] >> 16 * half);
            b[2 * t + 8 + half][g] = from_f16(in.b[1] >> 16 * half);
        }
    }
};

/// sum[col] += left[k] * right[k][col] by rising k, each product exact; the sums stay in registers. Arithmetic on arrays of the emulator's
/// own, half of the time of some tests: sanitizers look at what goes in and comes out.
template <int cols, std::size_t depth>
__attribute__((no_sanitize("address", "undefined"))) void add_row(const float (&left)[depth], const float* right,
                                                                  std::size_t stride, float* sum) {
    float local[cols];
    for (int col = 0; col < cols; ++col) {
        local[col] = sum[col];
    }
    for (std::size_t k = 0; k < depth; ++k) {
        for (int col = 0; col < cols; ++col) {
            local[col] += left[k] * right[k * stride + static_cast<std::size_t>(col)];
        }
    }
    for (int col = 0; col < cols; ++col) {
        sum[col] = local[col];
    }
}

template <class Operands>
void multiply(thread* lanes) {
    float a[16][Operands::depth];
    float b[Operands::depth][8];
    float c[16][8];
    for (int lane = 0; lane < warp_size; ++lane) {
        const visit& in = lanes[lane].now;
        Operands::read(in, lane / 4, lane % 4, a, b);
        for (int i = 0; i < 4; ++i) {
            c[lane / 4 + i / 2 * 8][2 * (lane % 4) + i % 2] = in.c[i];
        }
    }
    for (int row = 0; row < 16; ++row) {
        add_row<8>(a[row], b[0], 8, c[row]);
    }
    for (int lane = 0; lane < warp_size; ++lane) {
        for (int i = 0; i < 4; ++i) {
            lanes[lane].now.c[i] = c[lane / 4 + i / 2 * 8][2 * (lane % 4) + i % 2];
        }
    }
}

} // namespace

std::uint32_t to_f16(float value) {
    const std::uint32_t sign = std::bit_cast<std::uint32_t>(value) >> 16 & 0x8000u;
    const float size = std::abs(value);
    if (value != value) {
        return 0x7fffu;
    }
    if (size >= 65520.0F) { // half a unit above the largest
        return sign | 0x7c00u;
    }
    if (size < 0x1p-14F) {
        return sign | static_cast<std::uint32_t>(std::nearbyint(size * 0x1p24F)); // 1024 is the least normal one
    }
    const auto bits = std::bit_cast<std::uint32_t>(size) - (112u << 23);
    return sign | (bits + 0xfffu + (bits >> 13 & 1u)) >> 13;
}

void multiply_tf32(thread* lanes) {
    multiply<tf32_operands>(lanes);
}
void multiply_f16(thread* lanes) {
    multiply<f16_operands>(lanes);
}

void product_queue::begin(const thread* lanes, bool early, const read_operands& read) {
    const visit& first = lanes[0].now;
    history_ = (history_ ^ first.left) * 0x9e3779b97f4a7c15u + first.right;
    const auto is_known = [&](const sums& one) { return one.at[0] == first.c; };
    if (std::none_of(sums_.begin(), sums_.end(), is_known)) {
        sums& kept = sums_.emplace_back();
        for (int lane = 0; lane < warp_size; ++lane) {
            kept.at[lane] = lanes[lane].now.c;
            for (int i = 0; i < lane_sums; ++i) {
                sum_of_lane(kept.value, lane, i) =
                    std::exchange(kept.at[lane][i], std::numeric_limits<float>::quiet_NaN());
            }
        }
    }
    products_.push_back({first.c, first.left, first.right, first.a != nullptr, early, std::make_shared<operands>()});
    if (first.a != nullptr) {
        read_registers(lanes, products_.back().values->left);
    }
    if (early) {
        read(products_.back());
    }
}

void product_queue::wait(std::size_t left, const read_operands& read) {
    if (ends_.size() <= left) {
        return;
    }
    const std::size_t groups = ends_.size() - left;
    const std::size_t done = ends_[groups - 1];
    for (std::size_t i = 0; i < done; ++i) {
        product& one = products_[i];
        if (!one.is_read) {
            read(one);
        }
        multiply(*one.values,
                 *std::find_if(sums_.begin(), sums_.end(), [&](const sums& of) { return of.at[0] == one.sums; }));
    }
    products_.erase(products_.begin(), products_.begin() + static_cast<std::ptrdiff_t>(done));
    ends_.erase(ends_.begin(), ends_.begin() + static_cast<std::ptrdiff_t>(groups));
    for (std::size_t& end : ends_) {
        end -= done;
    }
    std::erase_if(sums_, [&](sums& of) {
        if (std::any_of(products_.begin(), products_.end(), [&](const product& p) { return p.sums == of.at[0]; })) {
            return false;
        }
        for (int lane = 0; lane < warp_size; ++lane) {
            for (int i = 0; i < lane_sums; ++i) {
                of.at[lane][i] = sum_of_lane(of.value, lane, i);
            }
        }
        return true;
    });
}

/// Registers hold what multiply_f16() takes of the left.
void product_queue::read_registers(const thread* lanes, matrix& left) {
    for (int lane = 0; lane < warp_size; ++lane) {
        for (int i = 0; i < 4; ++i) {
            for (int half = 0; half < 2; ++half) {
                left[2 * (lane % 4) + i / 2 * 8 + half][lane / 4 + i % 2 * 8] =
                    from_f16(lanes[lane].now.a[i] >> 16 * half);
            }
        }
    }
}

float& product_queue::sum_of_lane(float (&sums)[rows][cols], int lane, int i) {
    return sums[lane / 4 + i / 2 % 2 * 8][i / 4 * 8 + lane % 4 * 2 + i % 2];
}

void product_queue::multiply(const operands& in, sums& to) {
    for (int row = 0; row < rows; ++row) {
        float left[depth];
        for (int k = 0; k < depth; ++k) {
            left[k] = in.left[k][row];
        }
        for (int first = 0; first < cols; first += 16) {
            add_row<16>(left, in.right[0] + first, cols, to.value[row] + first);
        }
    }
}

void product_queue::restart() {
    products_.clear();
    ends_.clear();
    sums_.clear();
    history_ = 0;
}

} // namespace emulator::detail

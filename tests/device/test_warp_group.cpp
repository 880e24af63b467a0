// SPDX-License-Identifier: MIT
// Each function of backend/cuda/warp_group.hpp by itself: under the emulator, and on a GPU of compute capability 9.0,
// where this is the test of the wrappers around instructions.
#include <device/device_run.hpp>
#include <support/placed.hpp>

#include <protonce/backend/cuda/nearest_wgmma.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

using namespace protonce;
using namespace protonce::detail::cuda;
using test::device_backend;
using test::device_run;
using test::placed;

namespace {

bool is_skipped() {
    if (!test::has_body<nearest_wgmma<1>>()) {
        MESSAGE("skipped: not compiled for this device");
        return true;
    }
    return false;
}

/// Sums rows of 128 values by column. One thread sends them through two stages, the others wait for them.
struct ring_kernel {
    static constexpr int threads = 160;
    static constexpr int row_bytes = 128 * sizeof(float);
    static constexpr std::size_t shared_bytes = 2 * row_bytes + 4 * sizeof(std::uint64_t);
    const float* in; // (rows, 128)
    float* out;      // (128,)
    int rows;

    PROTONCE_DEVICE void operator()() const {
        if constexpr (has_warp_groups) {
            auto* full = reinterpret_cast<std::uint64_t*>(shared_memory() + 2 * row_bytes);
            std::uint64_t* empty = full + 2;
            if (thread_index() == 0) {
                for (int stage = 0; stage < 2; ++stage) {
                    init_barrier(full + stage, 1);
                    init_barrier(empty + stage, 128);
                }
                publish_shared();
            }
            sync_block();
            if (thread_index() < 128) {
                float sum = 0;
                for (int row = 0; row < rows; ++row) {
                    wait_barrier(full + row % 2, row / 2 % 2);
                    sum += reinterpret_cast<const float*>(shared_memory())[row % 2 * 128 + thread_index()];
                    arrive(empty + row % 2);
                }
                out[thread_index()] = sum;
            } else if (thread_index() == 128) {
                for (int row = 0; row < rows; ++row) {
                    wait_barrier(empty + row % 2, row / 2 % 2 ^ 1);
                    arrive_expecting(full + row % 2, row_bytes);
                    unsigned char* to = shared_memory() + row % 2 * row_bytes;
                    copy_bulk(to, in + row * 128, row_bytes / 2, full + row % 2);
                    copy_bulk(to + row_bytes / 2, in + row * 128 + 64, row_bytes / 2, full + row % 2);
                }
            }
        }
    }
};

/// Where matrices lie in shared memory: distances of cores, in bytes.
struct layout {
    int leading, stride, bytes;
};

/// out = c + a b^T + a b^T, in two groups of products.
struct group_product_kernel {
    static constexpr int threads = 128;
    const unsigned char* a; // 64 x 16 in half precision, as they lie in shared memory
    const unsigned char* b; // 128 x 16
    const float* c;         // (64, 128)
    float* out;             // (64, 128)
    layout of_a, of_b;

    PROTONCE_DEVICE void operator()() const {
        if constexpr (has_warp_groups) {
            auto* barrier = reinterpret_cast<std::uint64_t*>(shared_memory());
            unsigned char* left = shared_memory() + 128;
            unsigned char* right = left + of_a.bytes;
            if (thread_index() == 0) {
                init_barrier(barrier, 1);
                publish_shared();
                arrive_expecting(barrier, of_a.bytes + of_b.bytes);
                copy_bulk(left, a, of_a.bytes, barrier);
                copy_bulk(right, b, of_b.bytes, barrier);
            }
            sync_block();
            wait_barrier(barrier, 0);
            float sum[64];
            for (int i = 0; i < 64; ++i) {
                sum[i] = c[at(i)];
            }
            pin_sums(sum);
            fence_products();
            for (int turn = 0; turn < 2; ++turn) {
                begin_product(sum, matrix_descriptor(left, of_a.leading, of_a.stride),
                              matrix_descriptor(right, of_b.leading, of_b.stride));
                commit_products();
            }
            wait_products<1>();
            wait_products<0>();
            pin_sums(sum);
            for (int i = 0; i < 64; ++i) {
                out[at(i)] = sum[i];
            }
        }
    }

    PROTONCE_DEVICE static int at(int i) {
        const int thread = thread_index();
        return (thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8) * 128 + i / 4 * 8 + thread % 4 * 2 + i % 2;
    }
};

/// out = c + a b^T with a in registers and b by columns.
struct product_of_registers {
    static constexpr int threads = 128;
    const float* a;         // (64, 16)
    const unsigned char* b; // 128 x 16
    const float* c;         // (64, 128)
    float* out;             // (64, 128)
    layout of_b;

    PROTONCE_DEVICE void operator()() const {
        if constexpr (has_warp_groups) {
            auto* barrier = reinterpret_cast<std::uint64_t*>(shared_memory());
            unsigned char* right = shared_memory() + 128;
            if (thread_index() == 0) {
                init_barrier(barrier, 1);
                publish_shared();
                arrive_expecting(barrier, of_b.bytes);
                copy_bulk(right, b, of_b.bytes, barrier);
            }
            sync_block();
            wait_barrier(barrier, 0);
            float sum[64];
            for (int i = 0; i < 64; ++i) {
                sum[i] = c[group_product_kernel::at(i)];
            }
            std::uint32_t left[4];
            for (int i = 0; i < 4; ++i) {
                const int row = thread_index() / 32 * 16 + thread_index() % 32 / 4 + i % 2 * 8;
                const float* from = a + row * 16 + thread_index() % 4 * 2 + i / 2 * 8;
                left[i] = to_f16_pair(from[0], from[1]);
            }
            pin_sums(sum);
            fence_products();
            begin_product(sum, left, matrix_descriptor(right, of_b.leading, of_b.stride));
            commit_products();
            wait_products<0>();
            pin_sums(sum);
            for (int i = 0; i < 64; ++i) {
                out[group_product_kernel::at(i)] = sum[i];
            }
        }
    }
};

std::vector<unsigned char> laid_out(const std::vector<float>& values, const layout& where) {
    std::vector<unsigned char> out(static_cast<std::size_t>(where.bytes));
    for (std::size_t i = 0; i < values.size(); ++i) {
        const int row = static_cast<int>(i) / 16;
        const int k = static_cast<int>(i) % 16;
        const int to = row / 8 * where.stride + k / 8 * where.leading + row % 8 * 16 + k % 8 * 2;
        const std::uint16_t bits = to_half(values[i]);
        out[static_cast<std::size_t>(to)] = static_cast<unsigned char>(bits & 0xff);
        out[static_cast<std::size_t>(to) + 1] = static_cast<unsigned char>(bits >> 8);
    }
    return out;
}

/// compare(actual, expected, sum of magnitudes) for each element.
template <class Value, class F>
void for_each_product(const Value& value, double scale_of_c, const layout& of_a, const layout& of_b, const F& compare) {
    const auto values = [&](std::size_t count, double scale) {
        std::vector<float> out(count);
        std::generate(out.begin(), out.end(), [&] { return static_cast<float>(scale) * from_half(to_half(value())); });
        return out;
    };
    const auto a = values(64 * 16, 1), b = values(128 * 16, 1), c = values(64 * 128, scale_of_c);
    device_backend be;
    placed<device_backend, unsigned char> left(be, laid_out(a, of_a)), right(be, laid_out(b, of_b));
    placed<device_backend, float> before(be, c);
    auto out = placed<device_backend, float>::unwritten(be, 64 * 128);
    device_run().launch(1, static_cast<std::size_t>(128 + of_a.bytes + of_b.bytes),
                        group_product_kernel{left.vector().data(), right.vector().data(), before.vector().data(),
                                             out.vector().data(), of_a, of_b});
    const auto actual = out.values();
    for (std::size_t i = 0; i < 64 * 128; ++i) {
        double expected = static_cast<double>(c[i]);
        double magnitude = std::abs(expected);
        for (std::size_t k = 0; k < 16; ++k) {
            const double term = 2 * static_cast<double>(a[i / 128 * 16 + k]) * static_cast<double>(b[i % 128 * 16 + k]);
            expected += term;
            magnitude += std::abs(term);
        }
        compare(static_cast<double>(actual[i]), expected, magnitude);
    }
}

// The second pair is that of nearest_wgmma.
constexpr layout close_together{128, 256, 64 * 32};
constexpr layout close_together_b{128, 256, 128 * 32};
constexpr layout by_columns{2048, 128, 2048 + 8 * 128};
constexpr layout by_columns_b{2048, 128, 2 * 2048};

} // namespace

TEST_CASE("warp group: copies arrive with their barrier, round after round") {
    if (is_skipped()) {
        return;
    }
    std::vector<float> values;
    for (int i = 0; i < 7 * 128; ++i) {
        values.push_back(static_cast<float>(i));
    }
    device_backend be;
    placed<device_backend, float> in(be, values);
    auto out = placed<device_backend, float>::unwritten(be, 128);

    device_run().launch(1, ring_kernel::shared_bytes, ring_kernel{in.vector().data(), out.vector().data(), 7});

    const auto actual = out.values();
    for (int column = 0; column < 128; ++column) {
        CHECK(actual[static_cast<std::size_t>(column)] == static_cast<float>(7 * column + 21 * 128));
    }
}

TEST_CASE("warp group: a product, exact for whole numbers, wherever its matrices lie") {
    if (is_skipped()) {
        return;
    }
    TEST_RANDOM(random, 711);
    const auto whole = [&] { return static_cast<float>(random.integer(9) - 4); };
    const auto compare = [](double actual, double expected, double) { CHECK(actual == expected); };
    for_each_product(whole, 5, close_together, close_together_b, compare);
    for_each_product(whole, 5, by_columns, by_columns_b, compare);
    for_each_product(whole, 5, close_together, by_columns_b, compare);
}

TEST_CASE("warp group: a product of registers with a matrix by columns, exact for whole numbers") {
    if (is_skipped()) {
        return;
    }
    TEST_RANDOM(random, 713);
    for (const layout& of_b : {layout{128, 256, 16 * 256}, layout{128, 2048, 16 * 2048}, layout{2048, 128, 2 * 2048}}) {
        std::vector<float> a(64 * 16), b(128 * 16), c(64 * 128);
        for (auto* values : {&a, &b, &c}) {
            std::generate(values->begin(), values->end(), [&] { return static_cast<float>(random.integer(9) - 4); });
        }
        std::vector<unsigned char> right(static_cast<std::size_t>(of_b.bytes));
        for (std::size_t i = 0; i < b.size(); ++i) {
            const auto row = static_cast<int>(i) / 16;
            const auto k = static_cast<int>(i) % 16;
            const auto to =
                static_cast<std::size_t>(row / 8 * of_b.stride + k / 8 * of_b.leading + k % 8 * 16 + row % 8 * 2);
            const std::uint16_t bits = to_half(b[i]);
            right[to] = static_cast<unsigned char>(bits & 0xff);
            right[to + 1] = static_cast<unsigned char>(bits >> 8);
        }
        device_backend be;
        placed<device_backend, unsigned char> of_right(be, right);
        placed<device_backend, float> of_left(be, a), before(be, c);
        auto out = placed<device_backend, float>::unwritten(be, 64 * 128);
        device_run().launch(1, static_cast<std::size_t>(128 + of_b.bytes),
                            product_of_registers{of_left.vector().data(), of_right.vector().data(),
                                                 before.vector().data(), out.vector().data(), of_b});
        const auto actual = out.values();
        for (std::size_t i = 0; i < 64 * 128; ++i) {
            float expected = c[i];
            for (std::size_t k = 0; k < 16; ++k) {
                expected += a[i / 128 * 16 + k] * b[i % 128 * 16 + k];
            }
            CHECK(actual[i] == expected);
        }
    }
}

TEST_CASE("warp group: a product adds within what margins assume") {
    if (is_skipped()) {
        return;
    }
    TEST_RANDOM(random, 712);
    double worst = 0; // in units of the sum of magnitudes
    for (const double scale : {0.0, 0.1, 1.0, 30.0, 1000.0}) {
        for_each_product([&] { return static_cast<float>(random.normal()); }, scale, by_columns, by_columns_b,
                         [&](double actual, double expected, double magnitude) {
                             worst = std::max(worst, std::abs(actual - expected) / magnitude);
                         });
    }
    MESSAGE("largest error of two instructions: 2^", std::log2(worst), " of the magnitudes");
    CHECK(worst <= 2 * 18 * 0x1p-23);
    CHECK(worst > 0);
}

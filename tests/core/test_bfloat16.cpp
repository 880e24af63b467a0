// SPDX-License-Identifier: MIT
#include <support/backends.hpp>
#include <support/random.hpp>
#include <support/thrown.hpp>

#include <protonce/core/bfloat16.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

using namespace protonce;

namespace {

bfloat16 of_bits(std::uint32_t bits) {
    bfloat16 out;
    out.bits = static_cast<std::uint16_t>(bits);
    return out;
}

} // namespace

TEST_CASE("bfloat16: each of its numbers is a float and comes back from it") {
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
        const auto value = static_cast<float>(of_bits(bits));
        const bool is_nan = (bits & 0x7fffu) > 0x7f80u;
        CHECK(std::isnan(value) == is_nan);
        CHECK((bfloat16(value).bits == bits || (is_nan && std::isnan(static_cast<float>(bfloat16(value))))));
    }
    CHECK(static_cast<float>(of_bits(0x3f80)) == 1.0F);
    CHECK(static_cast<float>(of_bits(0xc0a0)) == -5.0F);
    CHECK(static_cast<float>(of_bits(0x0001)) == 0x1p-133F);
    CHECK(static_cast<float>(bfloat16()) == 0.0F);
}

TEST_CASE("bfloat16: rounding to nearest, ties to even") {
    const auto rounded = [](float value) { return static_cast<float>(bfloat16(value)); };
    CHECK(rounded(1.0F + 0x1p-8F) == 1.0F);
    CHECK(rounded(1.0F + 0x1.0002p-8F) == 1.0F + 0x1p-7F);
    CHECK(rounded(1.0F + 0x3p-8F) == 1.0F + 0x1p-6F);
    CHECK(rounded(-1.0F - 0x3p-8F) == -1.0F - 0x1p-6F);
    CHECK(rounded(0x1p-134F) == 0.0F);
    CHECK(rounded(0x1.8p-134F) == 0x1p-133F);
    CHECK(rounded(0x1.fefffep127F) == 0x1.fep127F);
    CHECK(rounded(0x1.ffp127F) == std::numeric_limits<float>::infinity());
    CHECK(rounded(-std::numeric_limits<float>::infinity()) == -std::numeric_limits<float>::infinity());

    TEST_RANDOM(random, 901);
    for (int i = 0; i < 10000; ++i) {
        const auto value = static_cast<float>(random.normal() * std::exp2(random.uniform(-120, 120)));
        const auto down = static_cast<float>(of_bits(bfloat16(value).bits - 1U));
        const auto up = static_cast<float>(of_bits(bfloat16(value).bits + 1U));
        CHECK(std::abs(rounded(value) - value) <= std::abs(down - value));
        CHECK(std::abs(rounded(value) - value) <= std::abs(up - value));
    }
}

TEST_CASE_TEMPLATE("bfloat16: rows become float and come back, gaps are left alone", B, reference_backend<float>,
                   cpu_backend<float>) {
    TEST_RANDOM(random, 902);
    B be;
    constexpr index_t rows = 300, cols = 70;
    std::vector<bfloat16> narrow_values(rows * (cols + 3));
    for (bfloat16& value : narrow_values) {
        value = bfloat16(static_cast<float>(random.normal()));
    }
    const matrix_view<const bfloat16> from(narrow_values.data(), rows, cols, cols + 3);
    test::matrix<float> wide(rows, cols, 2);

    widen(be, from, wide.view());

    for (index_t i = 0; i < rows; ++i) {
        for (index_t j = 0; j < cols; ++j) {
            CHECK(wide(i, j) == static_cast<float>(from(i, j)));
        }
        CHECK(std::isnan(wide.storage()[static_cast<std::size_t>((i + 1) * (cols + 2) - 1)]));
    }

    std::vector<bfloat16> back(rows * (cols + 1), of_bits(0x1234));
    narrow(be, std::as_const(wide).view(), matrix_view<bfloat16>(back.data(), rows, cols, cols + 1));

    for (index_t i = 0; i < rows; ++i) {
        for (index_t j = 0; j < cols; ++j) {
            CHECK(back[static_cast<std::size_t>(i * (cols + 1) + j)].bits == from(i, j).bits);
        }
        CHECK(back[static_cast<std::size_t>(i * (cols + 1) + cols)].bits == 0x1234);
    }
}

TEST_CASE("bfloat16: shapes that do not go together are refused by name") {
    cpu_backend<float> be;
    std::vector<bfloat16> values(12);
    std::vector<float> wide(12, 7.0F);
    const auto refused = [](auto&& call) { return test::message_of<shape_error>(call); };
    const auto rows = view_rows(values.data(), 3, 4);
    const auto floats = view_rows(wide.data(), 3, 4);

    CHECK(refused([&] { widen(be, rows, view_rows(wide.data(), 4, 3)); }) ==
          "widen: to: must have the shape of from, (3, 4); got (4, 3)");
    CHECK(refused([&] { narrow(be, floats, view_rows(values.data(), 3, 3)); }) ==
          "narrow: to: must have the shape of from, (3, 4); got (3, 3)");
    CHECK(refused([&] { widen(be, matrix_view<const bfloat16>{}, floats); }).starts_with("widen: from: must be given"));
    CHECK(refused([&] {
              narrow(be, floats, matrix_view<bfloat16>(values.data(), 3, 4, 2));
          }).starts_with("narrow: to: must have a row stride"));
    CHECK(wide == std::vector<float>(12, 7.0F));
}

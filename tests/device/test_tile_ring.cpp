// SPDX-License-Identifier: MIT
// Blocks of the losses with more tiles than their ring has stages: as many blocks as a device has processors leave small problems one
// tile each. Tiles of memory, and tiles whose rows are picked from a pool.
#include <device/device_run.hpp>
#include <device/loss_errors.hpp>
#include <device/loss_ways.hpp>
#include <support/contrast_run.hpp>
#include <support/placed.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <span>
#include <vector>

using namespace protonce;

namespace tile_ring {
using test::placed;
namespace kernels = protonce::detail::cuda;

namespace {

constexpr index_t rows = 20;

/// The kernels by groups of warps, in so many slices.
template <int cols, index_t blocks>
struct few_blocks : kernels::by_groups<cols> {
    static constexpr kernels::cut_shape shape = [] {
        auto of = kernels::tiled_shape;
        of.wanted_blocks = blocks;
        return of;
    }();
};

class B : public test::device_backend {
public:
    B() : test::device_backend(test::standard_options()) {}
    template <class Method>
    void solve(const contrast<float, device>& problem) {
        kernels::fused_contrast<Method>(run(), scratch(), std::span<const contrast<float, device>>(&problem, 1));
    }
};

template <int cols, index_t blocks>
test::contrast_results<float> solved(B& be, const test::contrast_problem<float>& in, bool picks) {
    test::placed_contrast<B> given(be, in);
    auto asked = given.problem();
    asked.grad_columns = {};
    asked.grad_temperature = {};
    auto packed = placed<B, float>::unwritten(be, be.packed_pool_size(in.columns.rows(), in.columns.cols()));
    if (picks) {
        be.pack_pool(asked.columns, asked.temperature, packed.vector());
        asked.packed_pool = packed.vector();
    }
    be.solve<few_blocks<cols, blocks>>(asked);
    auto out = given.results();
    out.grad_columns.clear(); // nobody wrote them
    out.grad_temperature.clear();
    return out;
}

struct wanted {
    index_t pool;
    bool selected = false;
    bool ranks = false; // and weights
};

/// By slices of any number of tiles and on every schedule: the same bits, or as exact.
template <int width>
void check_ring(const wanted& how, index_t cols) {
    TEST_RANDOM(random, 661);
    CAPTURE(how.pool);
    CAPTURE(how.ranks);
    auto problem = test::unit_problem(random, {.rows = rows,
                                               .pool = how.pool,
                                               .cols = cols,
                                               .selected = how.selected,
                                               .column_temperatures = true,
                                               .weights = how.ranks,
                                               .noise = true});
    problem.only_sums = !how.ranks;
    auto expected = test::exact(problem);
    expected.grad_columns.clear();
    expected.grad_temperature.clear();
    B be;
    const auto check_cut = [&](const auto& run_it) {
        const auto actual = run_it(false);
        CHECK(run_it(true) == actual);
        CHECK(test::largest_error(actual, expected) <= 1e-2);
    };
    const auto in_one_slice = [&] { check_cut([&](bool picks) { return solved<width, 1>(be, problem, picks); }); };
    check_cut([&](bool picks) { return solved<width, 2>(be, problem, picks); });
#ifdef PROTONCE_TEST_EMULATED_CUDA
    for (const auto& schedule : emulator::schedules()) {
        emulator::active_schedule = schedule;
        in_one_slice();
    }
    emulator::active_schedule = {};
#else
    in_one_slice();
#endif
}

bool has_kernels() {
    const bool has = test::has_group_losses();
    if (!has) {
        MESSAGE("the device has no kernels of groups of warps");
    }
    return has;
}

} // namespace

TEST_CASE("tile ring: any number of tiles, less than there are stages and more") {
    if (!has_kernels()) {
        return;
    }
    for (const index_t pool : {100, 400, 640, 1100}) { // 1 to 9 tiles
        check_ring<64>({.pool = pool}, 40);
    }
}

TEST_CASE("tile ring: the wider tiles, and those of two stages") {
    if (!has_kernels()) {
        return;
    }
    check_ring<128>({.pool = 700}, 100);
    check_ring<256>({.pool = 400}, 200);
}

TEST_CASE("tile ring: columns that are chosen, with ranks and weights") {
    if (!has_kernels()) {
        return;
    }
    check_ring<64>({.pool = 1300, .selected = true}, 30);
    check_ring<64>({.pool = 1300, .selected = true, .ranks = true}, 30);
    check_ring<256>({.pool = 500, .selected = true, .ranks = true}, 130);
}

} // namespace tile_ring

// SPDX-License-Identifier: MIT
#include <device/emulator/kernels.hpp>
#include <device/emulator/memory.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

using emulator::fault_kind;
using test::launch_calling;
namespace cuda = test::cuda;

namespace {

/// A fault of this kind on every schedule, whose text has all of `parts`; and right after it a kernel runs as ever.
template <class F>
void check_fault(fault_kind kind, std::initializer_list<const char*> parts, const F& run) {
    for (const emulator::schedule& one : emulator::schedules()) {
        CAPTURE(static_cast<int>(one.warps));
        CAPTURE(one.seed);
        emulator::active_schedule = one;
        bool is_thrown = false;
        try {
            run();
        } catch (const emulator::fault& fault) {
            is_thrown = true;
            const std::string text = fault.what();
            CAPTURE(text);
            CHECK(fault.kind() == kind);
            for (const char* part : parts) {
                CHECK(text.find(part) != std::string::npos);
            }
        }
        CHECK(is_thrown);

        int sum = 0;
        launch_calling<256>(0, [&] {
            cuda::sync_block();
            sum += cuda::shuffle_xor(1, 1);
        });
        CHECK(sum == 256);
    }
    emulator::active_schedule = {};
}

} // namespace

TEST_CASE("emulator: a barrier that some threads of the block never reach is a fault") {
    check_fault(
        fault_kind::divergent_barrier,
        {"divergent barrier: block (0, 0), thread ", "waits at sync_block(), test_emulator_faults.cpp:", "has ended"},
        [] {
            launch_calling<128>(0, [] {
                if (cuda::thread_index() < 70) {
                    cuda::sync_block();
                }
            });
        });
}

TEST_CASE("emulator: barriers in different branches are a fault") {
    check_fault(fault_kind::divergent_barrier, {"thread 0: waits at sync_block()", "thread 33 waits at sync_block()"},
                [] {
                    launch_calling<64>(0, [] {
                        if (cuda::thread_index() != 33) {
                            cuda::sync_block();
                        } else {
                            cuda::sync_block();
                        }
                    });
                });
}

TEST_CASE("emulator: a barrier of the block that meets one of the warp is a fault") {
    check_fault(fault_kind::divergent_warp, {"waits at sync_warp()", "waits at sync_block()"}, [] {
        launch_calling<64>(0, [] {
            if (cuda::thread_index() == 7) {
                cuda::sync_warp();
            } else {
                cuda::sync_block();
            }
        });
    });
}

TEST_CASE("emulator: a shuffle, tile product or barrier of part of a warp is a fault") {
    check_fault(fault_kind::divergent_warp, {"thread 32: waits at shuffle_xor()", "thread 48 has ended"}, [] {
        launch_calling<64>(0, [] {
            if (cuda::thread_index() < 48) {
                cuda::shuffle_xor(1.0f, 1);
            }
        });
    });
    check_fault(fault_kind::divergent_warp, {"thread 1: waits at sync_warp()", "thread 0 has ended"}, [] {
        launch_calling<32>(0, [] {
            if (cuda::thread_index() != 0) {
                cuda::sync_warp();
            }
        });
    });
    check_fault(fault_kind::divergent_warp, {"waits at multiply_add_tf32()", "waits at shuffle_xor()"}, [] {
        launch_calling<32>(0, [] {
            float c[4] = {};
            const std::uint32_t a[4] = {}, b[2] = {};
            if (cuda::thread_index() != 3) {
                cuda::multiply_add_tf32(c, a, b);
            } else {
                cuda::shuffle_xor(1, 1);
            }
        });
    });
}

TEST_CASE("emulator: a shuffle across warps is a fault") {
    check_fault(fault_kind::shuffle, {"thread ", "a mask that leaves the warp"},
                [] { launch_calling<64>(0, [] { cuda::shuffle_xor(1, 32); }); });
}

TEST_CASE("emulator: a thread that ends while its copies are under way is a fault") {
    alignas(16) static constexpr float in[4] = {};
    check_fault(fault_kind::unwaited_copies, {"block (1, 2), thread 9: "}, [] {
        launch_calling<32>(
            16,
            [] {
                if (cuda::block_index() == 1 && cuda::block_index_y() == 2 && cuda::thread_index() == 9) {
                    cuda::copy_async_16(cuda::shared_memory(), in, true);
                    cuda::commit_copies();
                    cuda::wait_copies<1>();
                }
            },
            2, 3);
    });
    check_fault(fault_kind::unwaited_copies, {}, [] {
        launch_calling<32>(16, [] {
            cuda::copy_async_16(cuda::shared_memory(), in, true);
            cuda::wait_copies<0>(); // waits for closed groups only
        });
    });
}

TEST_CASE("emulator: a copy that is not aligned, or goes elsewhere, is a fault") {
    alignas(16) static float in[8] = {};
    const auto copy = [](std::ptrdiff_t to, const float* from, bool valid) {
        launch_calling<32>(40, [=] {
            cuda::copy_async_16(cuda::shared_memory() + to, from, valid);
            cuda::commit_copies();
            cuda::wait_copies<0>();
        });
    };
    CHECK_NOTHROW(copy(16, in, true));
    CHECK_NOTHROW(copy(16, in + 1, false)); // not read

    check_fault(fault_kind::copy, {"to an address that is not aligned"}, [&] { copy(4, in, true); });
    check_fault(fault_kind::copy, {"from an address that is not aligned"}, [&] { copy(0, in + 1, true); });
    check_fault(fault_kind::copy, {"no shared memory"}, [&] { copy(-16, in, true); });
    check_fault(fault_kind::copy, {"no shared memory"}, [&] { copy(32, in, true); });
    check_fault(fault_kind::copy, {"no shared memory"}, [&] { copy(48, in, false); });
    check_fault(fault_kind::copy, {"no shared memory"},
                [] { launch_calling<32>(16, [] { cuda::copy_async_16(in + 4, in, true); }); });
}

TEST_CASE("emulator: a barrier that nobody completes, or nobody made, is a fault") {
    check_fault(fault_kind::stuck, {"stuck: block (0, 0), thread 0", "wait_barrier()", "nobody comes"}, [] {
        launch_calling<32>(64, [] {
            auto* barrier = reinterpret_cast<std::uint64_t*>(cuda::shared_memory());
            if (cuda::thread_index() == 0) {
                cuda::init_barrier(barrier, 2);
                cuda::arrive(barrier);
                cuda::wait_barrier(barrier, 0);
            }
        });
    });
    check_fault(fault_kind::barrier, {"was not made"}, [] {
        launch_calling<32>(64, [] { cuda::arrive(reinterpret_cast<std::uint64_t*>(cuda::shared_memory())); });
    });
    check_fault(fault_kind::barrier, {"not in shared memory"}, [] {
        launch_calling<32>(64, [] {
            std::uint64_t local = 0;
            cuda::init_barrier(&local, 1);
        });
    });
}

TEST_CASE("emulator: a copy of the block that nobody waits for is a fault") {
    alignas(16) static const float from[4] = {1, 2, 3, 4};
    check_fault(fault_kind::unwaited_copies, {"of the block"}, [] {
        launch_calling<32>(64, [] {
            if (cuda::thread_index() == 0) {
                auto* barrier = reinterpret_cast<std::uint64_t*>(cuda::shared_memory());
                cuda::init_barrier(barrier, 1);
                cuda::arrive_expecting(barrier, 16);
                cuda::copy_bulk(cuda::shared_memory() + 16, from, 16, barrier);
            }
        });
    });
}

TEST_CASE("emulator: products of warps that differ, that nobody waits for, or of matrices elsewhere, are faults") {
    const auto multiply = [](int leading, int warps, bool waits) {
        launch_calling<128>(8192, [=] {
            float sum[64] = {};
            if (cuda::thread_index() < warps * 32) {
                const auto matrix = cuda::matrix_descriptor(cuda::shared_memory(), leading, 128);
                cuda::begin_product(sum, matrix, matrix);
                cuda::commit_products();
                CHECK(std::isnan(sum[0])); // not yet
                if (waits) {
                    cuda::wait_products<0>();
                }
            }
        });
    };
    CHECK_NOTHROW(multiply(2048, 4, true));

    check_fault(fault_kind::product, {"do not begin the same"}, [&] { multiply(2048, 3, true); });
    check_fault(fault_kind::product, {"not waited for"}, [&] { multiply(2048, 4, false); });
    check_fault(fault_kind::product, {"leaves the shared memory"}, [&] { multiply(8192, 4, true); });
    check_fault(fault_kind::product, {"multiples of 16 bytes"}, [&] { multiply(2040, 4, true); });
}

TEST_CASE("emulator: a product of what a thread copied and did not publish is a fault") {
    alignas(16) static const std::uint16_t one[8] = {0x3c00};
    const auto multiply = [](bool waits, bool publishes) {
        launch_calling<128>(4096, [=] {
            for (int i = cuda::thread_index(); i < 256; i += 128) {
                cuda::copy_async_16(cuda::shared_memory() + i * 16, one, true);
            }
            cuda::commit_copies();
            if (waits) {
                cuda::wait_copies<0>();
            }
            if (publishes) {
                cuda::publish_shared();
            }
            cuda::sync_block();
            float sum[64] = {};
            const auto matrix = cuda::matrix_descriptor(cuda::shared_memory(), 2048, 128);
            cuda::begin_product(sum, matrix, matrix);
            cuda::commit_products();
            cuda::wait_products<0>();
            cuda::wait_copies<0>();
            CHECK(sum[0] == 2);
        });
    };
    CHECK_NOTHROW(multiply(true, true));
    check_fault(fault_kind::product, {"not been published"}, [&] { multiply(true, false); });
    check_fault(fault_kind::product, {"not been published"}, [&] { multiply(false, true); });
}

TEST_CASE("emulator: a grid that a device does not start is a fault") {
    const std::size_t most = 227 * 1024;
    CHECK_NOTHROW(
        launch_calling<32>(most, [] { cuda::shared_memory()[0] = cuda::shared_memory()[227 * 1024 - 1] = 0; }));

    check_fault(fault_kind::launch, {"at most 232448 bytes; got 232449"}, [] { launch_calling<32>(most + 1, [] {}); });
    check_fault(fault_kind::launch, {"got 0 times 1"}, [] {
        launch_calling<32>(
            0, [] {}, 0, 1);
    });
    check_fault(fault_kind::launch, {"got 1 times 65536"}, [] {
        launch_calling<32>(
            0, [] {}, 1, 65536);
    });
}

TEST_CASE("emulator: what a kernel throws comes out of launch, and a kernel launches none") {
    const auto body = [] {
        cuda::sync_block();
        if (cuda::thread_index() == 40) {
            throw std::out_of_range("thrown by a thread");
        }
        cuda::sync_block();
    };
    CHECK_THROWS_WITH_AS(launch_calling<64>(0, body), "thrown by a thread", std::out_of_range);
    CHECK_NOTHROW(launch_calling<64>(0, [] { cuda::sync_block(); }));
    CHECK_THROWS_AS(launch_calling<32>(0, [] { launch_calling<32>(0, [] {}); }), std::logic_error);
}

// AddressSanitizer ends the program at such an access.
#if !defined(EMULATOR_ASAN)
TEST_CASE("emulator: a write just beside the shared memory is a fault") {
    const auto write = [](std::ptrdiff_t at) {
        launch_calling<32>(
            100, [=] { cuda::shared_memory()[at] = 0; }, 1);
    };
    CHECK_NOTHROW(write(99));

    check_fault(fault_kind::out_of_bounds, {"out of bounds: block (0, 0)"}, [&] { write(100); });
    check_fault(fault_kind::out_of_bounds, {"out of bounds: block (0, 0)"}, [&] { write(-1); });
}
#endif

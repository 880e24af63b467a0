// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/thread.hpp>
#include <protonce/core/types.hpp>

#include <algorithm>
#include <cstddef>

namespace protonce::inline v0::detail::cuda {

constexpr std::size_t most_side_by_side = 4;      // a queue and three levels
constexpr std::size_t most_argument_bytes = 4000; // a launch hands over 4 KiB

/// Kernels of one type in one launch, each with blocks of its own: a launch costs as much as a small kernel does.
///
/// A kernel has blocks(), how many it wants, shared_bytes(), and work(block) for one of them in place of operator().
template <class Kernel>
struct side_by_side {
    static constexpr int threads = Kernel::threads;
    static_assert(most_side_by_side * sizeof(Kernel) <= most_argument_bytes);

    Kernel kernel[most_side_by_side];
    index_t end[most_side_by_side]; // of its blocks

    PROTONCE_DEVICE void operator()() const {
        int which = 0;
        while (block_index() >= end[which]) {
            ++which;
        }
        kernel[which].work(static_cast<int>(block_index() - (which > 0 ? end[which - 1] : 0)));
    }
};

/// Launches make(0) to make(count - 1), at most most_side_by_side of them.
template <class Run, class Make>
void launch_side_by_side(Run& run, std::size_t count, const Make& make) {
    using kernel = decltype(make(0));
    const auto of = [&](std::size_t i) { return make(i < count ? i : 0); };
    side_by_side<kernel> all{{of(0), of(1), of(2), of(3)}, {}};
    index_t blocks = 0;
    std::size_t shared_bytes = 0;
    for (std::size_t i = 0; i < count; ++i) {
        blocks += all.kernel[i].blocks();
        all.end[i] = blocks;
        shared_bytes = (std::max)(shared_bytes, static_cast<std::size_t>(all.kernel[i].shared_bytes()));
    }
    run.launch(blocks, shared_bytes, all);
}

} // namespace protonce::inline v0::detail::cuda

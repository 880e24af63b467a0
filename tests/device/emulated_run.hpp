// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda.hpp>

#include <device/emulator/emulator.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <numeric>
#include <utility>
#include <vector>

namespace test {

/// A CUDA device in host memory: kernels run thread by thread under the block emulator, elements in a loop.
class emulated_run {
public:
    using space = protonce::device;

    template <class F>
    void for_each(protonce::index_t n, const F& f) {
        for (protonce::index_t i = 0; i < n; ++i) {
            f(i);
        }
    }
    template <class Kernel>
    void launch(protonce::index_t blocks, std::size_t shared_bytes, const Kernel& kernel) {
        if (blocks > 0) {
            emulator::launch(static_cast<int>(blocks), 1, shared_bytes, kernel);
        }
    }
    void stable_sort(protonce::workspace<space>&, std::uint32_t* key, protonce::index_t* row, protonce::index_t n) {
        std::vector<std::pair<std::uint32_t, protonce::index_t>> pairs;
        for (protonce::index_t i = 0; i < n; ++i) {
            pairs.emplace_back(key[i], row[i]);
        }
        std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
        for (const auto& [k, r] : pairs) {
            *key++ = k;
            *row++ = r;
        }
    }
    template <class U>
    void copy(const U* from, U* to, protonce::index_t n) {
        std::copy(from, from + n, to);
    }
    template <class U>
    void read(const U* from, U* to, protonce::index_t n) {
        copy(from, to, n);
    }
    template <class U>
    void write(const U* from, U* to, protonce::index_t n) {
        copy(from, to, n);
    }
};

struct emulated_options {
    std::pmr::memory_resource* memory = nullptr;
    bool check_finite = true;
    protonce::loss_precision losses = protonce::loss_precision::precise;
};

/// cuda_backend without a GPU.
template <class T>
class emulated_cuda : public protonce::basic_cuda_backend<T, emulated_run> {
public:
    explicit emulated_cuda(emulated_options options = {})
        : protonce::basic_cuda_backend<T, emulated_run>(options.memory != nullptr ? options.memory
                                                                                  : std::pmr::get_default_resource(),
                                                        options.check_finite, emulated_run(), options.losses) {}
};

} // namespace test

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda.hpp>

#include <device/emulator/emulator.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// What a CUDA graph makes of a stream: while it records, work is kept with its arguments as they are, and not done. What a
/// graph cannot hold throws.
class tape {
public:
    void record() {
        work_.clear();
        is_recording_ = true;
    }
    void stop() { is_recording_ = false; }
    void replay() const {
        for (const auto& work : work_) {
            work();
        }
    }

    std::size_t size() const { return work_.size(); } // kernels, copies and sorts
    bool is_recording() const { return is_recording_; }
    void keep(std::function<void()> work) { work_.push_back(std::move(work)); }

private:
    std::vector<std::function<void()>> work_;
    bool is_recording_ = false;
};

/// A CUDA device in host memory: kernels run thread by thread under the block emulator, elements in a loop.
class emulated_run {
public:
    using space = protonce::device;

    emulated_run() = default;
    explicit emulated_run(tape* recorder, bool has_warp_groups = false)
        : recorder_(recorder), has_warp_groups_(has_warp_groups) {}

    template <class F>
    void for_each(protonce::index_t n, const F& f) {
        if (n > 0) {
            queue([=] {
                for (protonce::index_t i = 0; i < n; ++i) {
                    f(i);
                }
            });
        }
    }
    template <class Kernel>
    void launch(protonce::index_t blocks, std::size_t shared_bytes, const Kernel& kernel) {
        if (blocks > 0) {
            queue([=] { emulator::launch(static_cast<int>(blocks), 1, shared_bytes, kernel); });
        }
    }
    /// Kernels of warp groups run in any case; are they wanted?
    template <class Kernel>
    bool has_body() const {
        return has_warp_groups_;
    }
    void stable_sort(protonce::workspace<space>&, std::uint32_t* key, protonce::index_t* row, protonce::index_t n) {
        queue([=] { sort(key, row, n); });
    }
    template <class U>
    void copy(const U* from, U* to, protonce::index_t n) {
        queue([=] { std::copy(from, from + n, to); });
    }
    template <class U>
    void read(const U* from, U* to, protonce::index_t n) {
        refuse_while_recording("read");
        std::copy(from, from + n, to);
    }
    template <class U>
    void write(const U* from, U* to, protonce::index_t n) {
        refuse_while_recording("write");
        std::copy(from, from + n, to);
    }

private:
    template <class Work>
    void queue(const Work& work) {
        if (recorder_ != nullptr && recorder_->is_recording()) {
            recorder_->keep(work);
        } else {
            work();
        }
    }
    void refuse_while_recording(const char* operation) const {
        if (recorder_ != nullptr && recorder_->is_recording()) {
            throw std::logic_error(std::string(operation) + " of host memory in a recording");
        }
    }
    static void sort(std::uint32_t* key, protonce::index_t* row, protonce::index_t n) {
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

    tape* recorder_ = nullptr;
    bool has_warp_groups_ = false;
};

struct emulated_options {
    std::pmr::memory_resource* memory = nullptr;
    bool check_finite = true;
    protonce::loss_precision losses = protonce::loss_precision::precise;
    protonce::nearest_search search = protonce::nearest_search::exact;
    tape* recorder = nullptr;
    bool has_warp_groups = false; // as architecture 90a, or as the others
};

/// cuda_backend without a GPU.
template <class T>
class emulated_cuda : public protonce::basic_cuda_backend<T, emulated_run> {
public:
    explicit emulated_cuda(emulated_options options = {})
        : protonce::basic_cuda_backend<T, emulated_run>(
              options.memory != nullptr ? options.memory : std::pmr::get_default_resource(), options.check_finite,
              emulated_run(options.recorder, options.has_warp_groups), options.losses, options.search) {}
};

} // namespace test

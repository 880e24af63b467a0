// SPDX-License-Identifier: MIT
// AVX2, AVX-512 and AVX-512 with VNNI compute the same bits: one chain of fused multiply-adds a value, and nothing summed across lanes.
#include <protonce/backend/cpu.hpp>
#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/nt_xent.hpp>

#include <support/random.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace protonce;

namespace {

using detail::cpu::instruction_set;

// What `compute(backend)` returns, on each instruction set with fused multiply-add that the processor has.
template <class T, class Compute>
void expect_same_bits(const Compute& compute) {
    std::vector<std::vector<T>> found;
    for (int set = static_cast<int>(instruction_set::avx2);
         set <= static_cast<int>(detail::cpu::widest_instruction_set()); ++set) {
        CAPTURE(set);
        cpu_backend<T> be({.threads = 2});
        be.use(static_cast<instruction_set>(set));
        found.push_back(compute(be));
        CHECK(found.back() == found.front());
    }
}

} // namespace

TEST_CASE_TEMPLATE("instruction sets: InfoNCE and its gradients have the same bits", T, float, double) {
    TEST_RANDOM(random, 91);
    const index_t rows = 37, cols = 50, columns = 700;
    const auto query = random.unit_rows<T>(rows, cols), positive = random.unit_rows<T>(rows, cols),
               negatives = random.unit_rows<T>(columns, cols);

    expect_same_bits<T>([&](cpu_backend<T>& be) {
        std::vector<T> out(static_cast<std::size_t>(rows * cols + columns * cols + 1));
        T* const data = out.data();
        info_nce(be, {.query = query.view(), .positive = positive.view(), .negatives = negatives.view()},
                 {.temperature = 0.1},
                 {.loss = {data, 1},
                  .grad_query = view_rows(data + 1, rows, cols),
                  .grad_negatives = view_rows(data + 1 + rows * cols, columns, cols)});
        return out;
    });
}

TEST_CASE_TEMPLATE("instruction sets: NT-Xent and its gradients have the same bits", T, float, double) {
    TEST_RANDOM(random, 92);
    const index_t rows = 300, cols = 33;
    const auto first = random.unit_rows<T>(rows, cols), second = random.unit_rows<T>(rows, cols);

    expect_same_bits<T>([&](cpu_backend<T>& be) {
        std::vector<T> out(static_cast<std::size_t>(2 * rows * cols + 1));
        T* const data = out.data();
        nt_xent(be, {.first = first.view(), .second = second.view()}, {.temperature = 0.3},
                {.loss = {data, 1},
                 .grad_first = view_rows(data + 1, rows, cols),
                 .grad_second = view_rows(data + 1 + rows * cols, rows, cols)});
        return out;
    });
}

// SPDX-License-Identifier: MIT
// The inner loops that check_spills.py looks at: compiled and disassembled, never run.
#include <protonce/backend/cpu/kernels.hpp>
#include <protonce/backend/cpu/kernels_nearest.hpp>

namespace protonce::detail::cpu {

template kernel_table<float> kernels<float>(instruction_set);
template kernel_table<double> kernels<double>(instruction_set);
template nearest_kernels<float> kernels_for_nearest<float>(instruction_set);

} // namespace protonce::detail::cpu

namespace {

using namespace protonce::detail::cpu;

template <class T, template <class> class Pack>
constexpr int vectors = panel_width<T> / Pack<T>::lanes;

} // namespace

/// Rows times vectors of a tile are its multiply-adds for one value of k. The script reads them from this function's name.
template <int Avx2Float, int Avx2Double, int Avx512Float, int Avx512Double>
void multiply_adds() {}
template void multiply_adds<avx2::rows_of_tile<float> * vectors<float, avx2::pack>,
                            avx2::rows_of_tile<double> * vectors<double, avx2::pack>,
                            avx512::rows_of_tile<float> * vectors<float, avx512::pack>,
                            avx512::rows_of_tile<double> * vectors<double, avx512::pack>>();

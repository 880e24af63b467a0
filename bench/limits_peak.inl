// SPDX-License-Identifier: MIT
// Included by limits.cpp once for each instruction set, inside a namespace of its own, with two macros that end there:
//   BENCH_TARGET  the attribute that lets the compiler use the instruction set in this function
//   BENCH_BYTES   width of a vector register

/// Floating-point operations of multiply_adds(steps).
inline double operations(index_t steps) {
    return 2.0 * static_cast<double>(steps) * peak_chains * (BENCH_BYTES / sizeof(float));
}

/// Independent chains of multiply-adds, all in registers; returns a sum that needs them all.
BENCH_TARGET __attribute__((noinline)) inline float multiply_adds(index_t steps, float factor, float term) {
    constexpr int lanes = BENCH_BYTES / static_cast<int>(sizeof(float));
    typedef float V __attribute__((vector_size(BENCH_BYTES)));
    const V x = factor - V{};
    const V y = term - V{};
    // Chains that start from one value are one chain to the compiler.
    V chain[peak_chains];
#pragma GCC unroll 24
    for (int i = 0; i < peak_chains; ++i) {
        chain[i] = static_cast<float>(i) - V{};
    }
    for (index_t k = 0; k < steps; ++k) {
#pragma GCC unroll 24
        for (int i = 0; i < peak_chains; ++i) {
            chain[i] = chain[i] * x + y;
        }
    }
    float sum = 0;
#pragma GCC unroll 24
    for (int i = 0; i < peak_chains; ++i) {
        for (int l = 0; l < lanes; ++l) {
            sum += chain[i][l];
        }
    }
    return sum;
}

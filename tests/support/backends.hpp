// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/reference.hpp>
#ifndef __CUDACC__
#include <protonce/backend/cpu.hpp>
#endif

#include <doctest/doctest.h>

#include <memory_resource>
#include <type_traits>

/// Every backend that the tests of algorithms run on:  TEST_CASE_TEMPLATE("name", B, TEST_BACKENDS) { B be; ... }
/// A new backend joins them all by one line here. Thrust's systems exclude each other, so each has a program of its own.
#ifdef PROTONCE_TEST_THRUST
#include <protonce/backend/thrust.hpp>
TYPE_TO_STRING_AS("thrust<float>", protonce::thrust_backend<float>);
TYPE_TO_STRING_AS("thrust<double>", protonce::thrust_backend<double>);
#endif

#ifdef PROTONCE_TEST_EMULATED_CUDA
#include <device/emulated_run.hpp>
TYPE_TO_STRING_AS("emulated cuda<float>", test::emulated_cuda<float>);
TYPE_TO_STRING_AS("emulated cuda<double>", test::emulated_cuda<double>);
#endif

#ifdef PROTONCE_TEST_CUDA
#include <protonce/backend/cuda.hpp>
TYPE_TO_STRING_AS("cuda<float>", protonce::cuda_backend<float>);
TYPE_TO_STRING_AS("cuda<double>", protonce::cuda_backend<double>);
#endif

#if defined(PROTONCE_TEST_THRUST) && !defined(__CUDACC__)
#define TEST_BACKENDS protonce::thrust_backend<float, protonce::host>, protonce::thrust_backend<double, protonce::host>
using thrust_on_host_float = protonce::thrust_backend<float, protonce::host>; // a macro takes no comma
using thrust_on_host_double = protonce::thrust_backend<double, protonce::host>;
TYPE_TO_STRING_AS("thrust<float, host>", thrust_on_host_float);
TYPE_TO_STRING_AS("thrust<double, host>", thrust_on_host_double);
#else
#define TEST_BACKENDS                                                                                                  \
    protonce::reference_backend<float>, protonce::reference_backend<double>, protonce::cpu_backend<float>,             \
        protonce::cpu_backend<double>
#endif

/// The backends that take a number of threads.
#define TEST_THREADED_BACKENDS protonce::cpu_backend<float>, protonce::cpu_backend<double>
TYPE_TO_STRING_AS("reference<float>", protonce::reference_backend<float>);
TYPE_TO_STRING_AS("reference<double>", protonce::reference_backend<double>);
#ifndef __CUDACC__
TYPE_TO_STRING_AS("cpu<float>", protonce::cpu_backend<float>);
TYPE_TO_STRING_AS("cpu<double>", protonce::cpu_backend<double>);
#endif

namespace test {

/// What a backend is constructed from.
template <class B>
constexpr auto options_of() {
#ifndef __CUDACC__
    if constexpr (std::is_constructible_v<B, protonce::cpu_options>) {
        return protonce::cpu_options{};
    } else
#endif
#ifdef PROTONCE_TEST_THRUST
        if constexpr (std::is_constructible_v<B, protonce::thrust_options>) {
        return protonce::thrust_options{};
    } else
#endif
#ifdef PROTONCE_TEST_CUDA
        if constexpr (std::is_constructible_v<B, protonce::cuda_options>) {
        return protonce::cuda_options{.losses = protonce::loss_precision::precise};
    } else
#endif
#ifdef PROTONCE_TEST_EMULATED_CUDA
        if constexpr (std::is_constructible_v<B, test::emulated_options>) {
        return test::emulated_options{};
    } else
#endif
    {
        return protonce::reference_options{};
    }
}

/// A backend that takes its memory from `memory`.
template <class B>
B backend_on(std::pmr::memory_resource* memory) {
    auto options = options_of<B>();
    options.memory = memory;
    return B(options);
}

/// A backend that looks for NaN and infinity, or does not.
template <class B>
B backend_checking(bool check_finite) {
    auto options = options_of<B>();
    options.check_finite = check_finite;
    return B(options);
}

} // namespace test

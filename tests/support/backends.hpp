// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu.hpp>
#include <protonce/backend/reference.hpp>

#include <doctest/doctest.h>

#include <memory_resource>

/// Every backend that the tests of algorithms run on:  TEST_CASE_TEMPLATE("name", B, TEST_BACKENDS) { B be; ... }
/// A new backend joins them all by one line here.
#define TEST_BACKENDS                                                                                                  \
    protonce::reference_backend<float>, protonce::reference_backend<double>, protonce::cpu_backend<float>,             \
        protonce::cpu_backend<double>

/// The backends that use threads.
#define TEST_THREADED_BACKENDS protonce::cpu_backend<float>, protonce::cpu_backend<double>

TYPE_TO_STRING_AS("reference<float>", protonce::reference_backend<float>);
TYPE_TO_STRING_AS("reference<double>", protonce::reference_backend<double>);
TYPE_TO_STRING_AS("cpu<float>", protonce::cpu_backend<float>);
TYPE_TO_STRING_AS("cpu<double>", protonce::cpu_backend<double>);

namespace test {

/// A backend that takes its memory from `memory`.
template <class B>
B backend_on(std::pmr::memory_resource* memory) {
    if constexpr (requires { B(protonce::cpu_options{}); }) {
        return B(protonce::cpu_options{.memory = memory});
    } else {
        return B(protonce::reference_options{.memory = memory});
    }
}

/// A backend that looks for NaN and infinity, or does not.
template <class B>
B backend_checking(bool check_finite) {
    if constexpr (requires { B(protonce::cpu_options{}); }) {
        return B(protonce::cpu_options{.check_finite = check_finite});
    } else {
        return B(protonce::reference_options{.check_finite = check_finite});
    }
}

} // namespace test

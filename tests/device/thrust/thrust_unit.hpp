// SPDX-License-Identifier: MIT
#pragma once
#include <vector>

/// The bits of every operation of thrust_backend, in float then double: one unit of the program has Thrust's sequential system, one its
/// OpenMP system.
std::vector<unsigned char> run_thrust_cpp();
std::vector<unsigned char> run_thrust_openmp();

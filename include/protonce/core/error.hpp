// SPDX-License-Identifier: MIT
#pragma once
#include <stdexcept>
#include <string>

namespace protonce::inline v0 {

/// Two arguments whose shapes do not go together. The text names function, argument, what is needed and what was given.
class shape_error : public std::invalid_argument {
public:
    using std::invalid_argument::invalid_argument;
};

/// An argument whose value cannot be used. The text names function, argument, what is needed and what was given.
class argument_error : public std::invalid_argument {
public:
    using std::invalid_argument::invalid_argument;
};

/// The machine failed: a file, a driver, a device. The text names the call and what it answered.
class backend_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

} // namespace protonce::inline v0

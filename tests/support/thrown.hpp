// SPDX-License-Identifier: MIT
#pragma once
#include <exception>
#include <string>

namespace test {

/// The message of the exception of type E that `call` throws; what else happened if it does not.
template <class E, class F>
std::string message_of(const F& call) {
    try {
        call();
    } catch (const E& error) {
        return error.what();
    } catch (const std::exception& error) {
        return std::string("another exception: ") + error.what();
    }
    return "no exception";
}

} // namespace test

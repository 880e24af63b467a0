// SPDX-License-Identifier: MIT
#include <protonce/version.hpp>

#include <doctest/doctest.h>

#include <string>

TEST_CASE("version: the header's numbers are the ones the build system works with") {
    const auto text = std::to_string(protonce::version.major_part) + "." + std::to_string(protonce::version.minor_part) +
                      "." + std::to_string(protonce::version.patch_part);

    CHECK(text == PROTONCE_PROJECT_VERSION);
}

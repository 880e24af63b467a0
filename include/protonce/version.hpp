// SPDX-License-Identifier: MIT
#pragma once

/// Version of the library, for `#if`. The build system reads these three numbers; they are stated nowhere else.
#define PROTONCE_VERSION_MAJOR 0
#define PROTONCE_VERSION_MINOR 1
#define PROTONCE_VERSION_PATCH 0

namespace protonce::inline v0 {

/// The same three numbers as a value.
struct version_number {
    int major_part = PROTONCE_VERSION_MAJOR;
    int minor_part = PROTONCE_VERSION_MINOR;
    int patch_part = PROTONCE_VERSION_PATCH;
};

inline constexpr version_number version{};

} // namespace protonce::inline v0

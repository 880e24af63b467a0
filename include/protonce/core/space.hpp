// SPDX-License-Identifier: MIT
#pragma once
#include <concepts>

namespace protonce::inline v0 {

/// Memory that the processor running the program reads and writes.
struct host {};

/// Memory of an accelerator. A device view has no element access and never becomes a host view.
struct device {};

template <class S>
concept memory_space = std::same_as<S, host> || std::same_as<S, device>;

} // namespace protonce::inline v0

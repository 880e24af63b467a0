// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/host_device.hpp>

namespace protonce::inline v0::detail {

/// out_i = (first + i) mod n, for its n values.
template <backend B>
void fill_cycle(B& be, index_t first, vector_of<B, label_t> out) {
    label_t* to = out.data();
    const index_t n = out.size();
    be.for_each(n, [=] PROTONCE_HOST_DEVICE(index_t i) { to[i] = static_cast<label_t>((first + i) % n); });
}

} // namespace protonce::inline v0::detail

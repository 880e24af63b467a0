// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/host_device.hpp>

namespace protonce::inline v0::detail {

struct cycle_element {
    index_t first;
    index_t size;
    label_t* to;
    PROTONCE_HOST_DEVICE void operator()(index_t i) const { to[i] = static_cast<label_t>((first + i) % size); }
};

/// out_i = (first + i) mod n, for its n values.
template <backend B>
void fill_cycle(B& be, index_t first, vector_of<B, label_t> out) {
    be.for_each(out.size(), cycle_element{first, out.size(), out.data()});
}

} // namespace protonce::inline v0::detail

// SPDX-License-Identifier: MIT
// expect: (deleted function|deleted constructor|call to deleted)
// Owned memory moves and is never copied in silence.
#include <protonce/core/buffer.hpp>

protonce::buffer<float> take(protonce::buffer<float>& from);

protonce::buffer<float> take(protonce::buffer<float>& from) {
#ifdef PROTONCE_MUST_FAIL
    return protonce::buffer<float>(from);
#else
    return protonce::buffer<float>(std::move(from));
#endif
}

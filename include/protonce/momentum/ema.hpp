// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>

#include <cmath>
#include <cstddef>
#include <numbers>
#include <span>
#include <string>
#include <type_traits>

namespace protonce::inline v0 {

struct ema_options {
    double momentum = 0.999; // share of the old average that stays, in [0, 1]
};

/// One parameter of the encoder beside its moving average. Any array is a vector here: kernels, biases, a whole flat
/// model.
template <backend B>
struct ema_pair {
    vector_of<B> average{};                  // theta', of the momentum encoder; overwritten
    vector_of<B, const value_of<B>> value{}; // theta, of the encoder
};

namespace detail {
template <backend B>
void check_ema_pair(B& be, std::size_t number, const ema_pair<B>& pair) {
    const auto name = [number](const char* member) { return "parameters[" + std::to_string(number) + "]." + member; };
    const bool is_given = pair.average.size() > 0 && pair.average.data() != nullptr && pair.value.data() != nullptr;
    if (!is_given || pair.value.size() != pair.average.size()) {
        check::given("ema", name("average"), pair.average);
        check::size("ema", name("value"), pair.value, pair.average.size());
    }
    if (be.check_finite() && be.first_nonfinite_row({pair.value.data(), 1, pair.value.size()}) >= 0) {
        check::fail_argument("ema", name("value"), "must be finite everywhere", "NaN or infinity");
    }
}
} // namespace detail

/// Moves the momentum encoder towards the encoder (He et al. 2020, equation 2).
///
///     theta' <- momentum * theta' + (1 - momentum) * theta
///
/// Call it before the keys of a step are computed. It covers parameters only: the momentum encoder keeps its own
/// running statistics.
///
/// \param parameters  any number of pairs; `average` and `value` of a pair have the same size and do not overlap
/// \throws argument_error  momentum outside [0, 1]; NaN or infinity in a value
/// \throws shape_error     a pair without an average, or of different sizes
/// On an error no average is changed, not even those of other pairs.
/// Synchronises: only for the check of finite values.  Scratch: none.  Reproducible: bitwise.
template <backend B>
void ema(B& be, std::type_identity_t<std::span<const ema_pair<B>>> parameters, const ema_options& options = {}) {
    check::in_range("ema", "momentum", options.momentum, 0.0, 1.0);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        detail::check_ema_pair(be, i, parameters[i]);
    }

    for (const ema_pair<B>& pair : parameters) {
        be.axpby(1.0 - options.momentum, pair.value, options.momentum, pair.average);
    }
}

/// Momentum of a step on the cosine schedule (Grill et al. 2020, section 3.2): from `base` at step 0 to 1 at step
/// `total`.
///
///     1 - (1 - base) (cos(pi step / total) + 1) / 2
///
/// Towards the end the average moves less and less, so that it settles while the learning rate still makes the encoder
/// move.
///
/// \throws argument_error  total below 1; step outside [0, total]; base outside [0, 1]
inline double momentum_at(index_t step, index_t total, double base = 0.996) {
    check::at_least("momentum_at", "total", total, index_t{1});
    check::at_least("momentum_at", "step", step, index_t{0});
    if (step > total) {
        check::fail_argument("momentum_at", "step", "must be at most total, " + check::text(total), check::text(step));
    }
    check::in_range("momentum_at", "base", base, 0.0, 1.0);
    const double progress = static_cast<double>(step) / static_cast<double>(total);
    return 1.0 - (1.0 - base) * (std::cos(std::numbers::pi * progress) + 1.0) / 2.0;
}

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/host_device.hpp>

#include <cmath>
#include <concepts>
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
/// Element i of ema(), the momentum read where it is.
template <class T>
struct ema_element {
    const double* momentum;
    const T* value;
    T* average;

    PROTONCE_HOST_DEVICE void operator()(index_t i) const {
        average[i] = weighted_sum(1.0 - momentum[0], value[i], momentum[0], average[i]);
    }
};

/// momentum_at() without its checks; steps beyond `total` count as `total`.
PROTONCE_HOST_DEVICE inline double cosine_momentum(index_t step, index_t total, double base) {
    const double progress = static_cast<double>(step < total ? step : total) / static_cast<double>(total);
    return 1.0 - (1.0 - base) * (std::cos(std::numbers::pi * progress) + 1.0) / 2.0;
}

/// out = momentum of the step, of one element.
struct momentum_of_step {
    const index_t* step;
    index_t total;
    double base;
    double* out;
    PROTONCE_HOST_DEVICE void operator()(index_t) const { out[0] = cosine_momentum(step[0], total, base); }
};

inline void check_schedule(index_t total, double base) {
    check::at_least("momentum_at", "total", total, index_t{1});
    check::in_range("momentum_at", "base", base, 0.0, 1.0);
}

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

/// The same with a momentum in the backend's memory, a view (1,) of double: one that changes from step to step in a recorded
/// CUDA graph.
/// A momentum outside [0, 1] is refused where that needs no waiting, in host memory.
template <backend B, std::convertible_to<vector_of<B, const double>> View>
void ema(B& be, std::type_identity_t<std::span<const ema_pair<B>>> parameters, const View& momentum_in_memory) {
    const vector_of<B, const double> momentum = momentum_in_memory;
    check::size("ema", "momentum", momentum, 1);
    if constexpr (std::is_same_v<typename B::space, host>) {
        check::in_range("ema", "momentum", momentum[0], 0.0, 1.0);
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        detail::check_ema_pair(be, i, parameters[i]);
    }

    for (const ema_pair<B>& pair : parameters) {
        be.for_each(pair.average.size(),
                    detail::ema_element<value_of<B>>{momentum.data(), pair.value.data(), pair.average.data()});
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
    detail::check_schedule(total, base);
    check::at_least("momentum_at", "step", step, index_t{0});
    if (step > total) {
        check::fail_argument("momentum_at", "step", "must be at most total, " + check::text(total), check::text(step));
    }
    return detail::cosine_momentum(step, total, base);
}

/// The same for a step number (1,) in the backend's memory, into `momentum` (1,) there; a step beyond `total` counts as
/// `total`. Cosines of a GPU may differ from the host's by a rounding.
///
/// \throws argument_error  total below 1; base outside [0, 1]
/// \throws shape_error     step or momentum is not one number
/// Synchronises: no.
template <backend B>
void momentum_at(B& be, std::type_identity_t<vector_of<B, const index_t>> step, index_t total, double base,
                 std::type_identity_t<vector_of<B, double>> momentum) {
    detail::check_schedule(total, base);
    check::size("momentum_at", "step", step, 1);
    check::size("momentum_at", "momentum", momentum, 1);
    be.for_each(1, detail::momentum_of_step{step.data(), total, base, momentum.data()});
}

} // namespace protonce::inline v0

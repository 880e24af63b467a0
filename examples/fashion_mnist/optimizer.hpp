// SPDX-License-Identifier: MIT
#pragma once
#include "encoder.hpp"

#include <cmath>
#include <numbers>
#include <vector>

namespace fashion {

/// Learning rate of a step: `start` at the first, falling to 0 on half a cosine (Loshchilov and Hutter 2017).
inline double cosine_rate(double start, index_t step, index_t total) {
    const double progress = static_cast<double>(step) / static_cast<double>(total);
    return start * (1.0 + std::cos(std::numbers::pi * progress)) / 2.0;
}

/// Stochastic gradient descent with momentum:  v <- momentum v + g + decay p,   p <- p - rate v.
class gradient_descent {
public:
    gradient_descent(index_t num_parameters, double momentum, double decay)
        : momentum_(static_cast<float>(momentum)), decay_(static_cast<float>(decay)),
          velocity_(static_cast<std::size_t>(num_parameters), 0.0F) {}

    void step(const team& threads, const std::vector<float>& gradient, double rate, std::vector<float>& parameters) {
        constexpr index_t block = 1 << 15;
        const auto count = static_cast<index_t>(parameters.size());
        const auto step_size = static_cast<float>(rate);
        threads.for_each((count + block - 1) / block, [&](index_t task) {
            const index_t last = std::min(count, (task + 1) * block);
            for (index_t i = task * block; i < last; ++i) {
                const auto at = static_cast<std::size_t>(i);
                velocity_[at] = momentum_ * velocity_[at] + gradient[at] + decay_ * parameters[at];
                parameters[at] -= step_size * velocity_[at];
            }
        });
    }

private:
    float momentum_;
    float decay_;
    std::vector<float> velocity_;
};

} // namespace fashion

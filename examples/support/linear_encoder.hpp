// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu.hpp>
#include <protonce/core/normalize.hpp>

#include <cstddef>
#include <random>
#include <span>
#include <vector>

/// Data and a linear encoder for documented_training.cpp: what stands for your own data and network.
namespace documented {

using protonce::index_t;
using protonce::view_rows;
using protonce::view_vector;
using backend = protonce::cpu_backend<float>;

constexpr index_t N = 480, D = 12, C = 8, B = 48, classes = 6;

/// Samples in groups; class of sample i: i mod `classes`. A view of a sample is the sample with noise.
class dataset {
public:
    dataset() : samples_(N * D) {
        std::mt19937 generator(1);
        std::normal_distribution<float> normal;
        std::vector<float> centre(classes * D);
        for (float& value : centre) {
            value = normal(generator);
        }
        for (index_t i = 0; i < N * D; ++i) {
            samples_[at(i)] = centre[at(i / D % classes * D + i % D)] + 0.4F * normal(generator);
        }
    }
    protonce::matrix_view<const float> samples() const { return view_rows(samples_.data(), N, D); }
    /// Sample numbers of a batch; every seventh sample after the first, so that classes mix.
    std::vector<index_t> batch(index_t first) const {
        std::vector<index_t> ids(B);
        for (index_t i = 0; i < B; ++i) {
            ids[at(i)] = (first + i) * 7 % N;
        }
        return ids;
    }
    std::vector<float> view(std::span<const index_t> ids, index_t number) const {
        std::mt19937 generator(static_cast<unsigned>(100 + number));
        std::normal_distribution<float> normal;
        std::vector<float> out;
        for (const index_t id : ids) {
            for (index_t j = 0; j < D; ++j) {
                out.push_back(samples_[at(id * D + j)] + 0.3F * normal(generator));
            }
        }
        return out;
    }

private:
    static std::size_t at(index_t i) { return static_cast<std::size_t>(i); }
    std::vector<float> samples_;
};

/// Linear, then normalised: what stands here for a network of any framework.
class encoder {
public:
    explicit encoder(unsigned seed) : weight(C * D) {
        std::mt19937 generator(seed);
        std::normal_distribution<float> normal(0.0F, 0.3F);
        for (float& value : weight) {
            value = normal(generator);
        }
    }
    /// Unit rows; valid until the next call.
    protonce::matrix_view<float> forward(backend& be, protonce::matrix_view<const float> x) {
        input_.assign(x.data(), x.data() + x.rows() * D);
        unit_.resize(static_cast<std::size_t>(x.rows() * C));
        norms_.resize(static_cast<std::size_t>(x.rows()));
        const auto out = view_rows(unit_.data(), x.rows(), C);
        for (index_t i = 0; i < x.rows(); ++i) {
            for (index_t c = 0; c < C; ++c) {
                out(i, c) = 0;
                for (index_t j = 0; j < D; ++j) {
                    out(i, c) += x(i, j) * weight[static_cast<std::size_t>(c * D + j)];
                }
            }
        }
        normalize_rows(be, out, out, view_vector(norms_));
        return out;
    }
    protonce::matrix_view<float> forward(backend& be, const std::vector<float>& x) {
        return forward(be, view_rows(x.data(), static_cast<index_t>(x.size()) / D, D));
    }
    /// From the gradient to the unit rows of the last forward() to a step of the weights.
    void backward(backend& be, std::vector<float>& grad_unit, float rate = 0.5F) {
        const auto rows = static_cast<index_t>(norms_.size());
        const auto gradient = view_rows(grad_unit.data(), rows, C);
        normalize_rows_gradient(
            be, {.unit = view_rows(unit_.data(), rows, C), .norms = view_vector(norms_), .grad_unit = gradient},
            gradient);
        for (index_t i = 0; i < rows; ++i) {
            for (index_t c = 0; c < C; ++c) {
                for (index_t j = 0; j < D; ++j) {
                    weight[static_cast<std::size_t>(c * D + j)] -=
                        rate * gradient(i, c) * input_[static_cast<std::size_t>(i * D + j)];
                }
            }
        }
    }
    std::vector<float> weight; // (C, D)

private:
    std::vector<float> input_, unit_, norms_;
};

} // namespace documented

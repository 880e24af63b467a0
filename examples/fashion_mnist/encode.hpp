// SPDX-License-Identifier: MIT
#pragma once
#include "encoder.hpp"

#include <vector>

namespace fashion {

/// The encoder in evaluation mode: running moments, each row independent of the others.
///
/// \param prepare     prepare(row, T* image) writes the 784 values of one image
/// \param features    (rows, layout.features())  overwritten; null: not wanted
/// \param embeddings  (rows, layout.embedding)  overwritten, not normalised; null: not wanted
template <class T, class Prepare>
void encode(const encoder_layout& layout, const encoder_model<T>& net, const team& threads, index_t rows,
            const Prepare& prepare, T* features, T* embeddings) {
    constexpr index_t step = 2 * rows_per_block;
    std::array<std::vector<T>, encoder_layout::num_stages> scale{};
    std::array<std::vector<T>, encoder_layout::num_stages> shift{};
    index_t widest = layout.image_values();
    for (std::size_t s = 0; s < layout.stages.size(); ++s) {
        const stage& layer = layout.stages[s];
        widest = std::max(widest, layer.out.size());
        const T* gain = net.parameters.data() + layer.gain;
        const T* running = net.moments.data() + layer.moments;
        for (index_t c = 0; c < layer.out.channels; ++c) {
            const double variance = static_cast<double>(running[layer.out.channels + c]) + normalization_epsilon;
            const double factor = static_cast<double>(gain[c]) / std::sqrt(variance);
            scale[s].push_back(static_cast<T>(factor));
            shift[s].push_back(static_cast<T>(static_cast<double>(gain[layer.out.channels + c]) -
                                              static_cast<double>(running[c]) * factor));
        }
    }
    const index_t unfolded = unfolded_values(layout);
    const index_t per_worker = unfolded + 2 * step * widest;
    const int workers = threads.workers();
    std::vector<T> scratch(static_cast<std::size_t>(workers * per_worker));
    threads.for_each((rows + step - 1) / step, workers, [&](index_t task, int worker) {
        const index_t first = task * step;
        const index_t count = std::min(step, rows - first);
        T* columns = scratch.data() + worker * per_worker;
        T* in = columns + unfolded;
        T* out = in + step * widest;
        for (index_t r = 0; r < count; ++r) {
            prepare(first + r, in + r * layout.image_values());
        }
        for (std::size_t s = 0; s < layout.stages.size(); ++s) {
            const stage& layer = layout.stages[s];
            linear(layer, net.parameters.data() + layer.weights, in, count, columns, out);
            scale_and_rectify(out, count * layer.out.positions(), layer.out.channels, scale[s].data(), shift[s].data(),
                              out);
            std::swap(in, out);
            if (s == 2 && features != nullptr) {
                std::copy_n(in, count * layout.features(), features + first * layout.features());
            }
            if (s == 2 && embeddings == nullptr) {
                return;
            }
        }
        project(layout, net, in, count, embeddings + first * layout.embedding);
    });
}

} // namespace fashion

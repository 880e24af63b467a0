// SPDX-License-Identifier: MIT
// The training of pcl_linear.cpp in the memory of a device: data, encoder, queue, prototypes and gradients stay there; the host
// sees the loss of an epoch's last batch, and labels once, to measure.
//
// The backend is Thrust's: compiled by nvcc this runs on the GPU, by another compiler on the processor, with the same text and the
// same views of device memory. The encoder is one matrix, its forward and backward pass a function of one element each.
//
// Prints a line an epoch, then a sentence that it checks:
//     epoch  1  warm-up     loss 7.188
//     ...
//     epoch 10  prototypes  loss 4.365
//     the clusters agree with the classes: 0.986
#include <protonce/backend/thrust.hpp>
#include <protonce/core/normalize.hpp>
#include <protonce/em/objective.hpp>
#include <protonce/metrics/cluster_scores.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <span>
#include <utility>
#include <vector>

using protonce::device;
using protonce::index_t;
using protonce::label_t;
using protonce::view_vector;
using backend = protonce::thrust_backend<float>;
using matrix = protonce::matrix_view<float, device>;
using buffer = protonce::buffer<float, device>;

namespace {

constexpr index_t samples = 960, columns = 24, telling = 6, classes = 6, features = 8, batch = 64;

/// out = x W, one element.
struct forward_pass {
    const float* x;
    const float* weight;
    float* out;

    PROTONCE_HOST_DEVICE void operator()(index_t at) const {
        float sum = 0;
        for (index_t j = 0; j < columns; ++j) {
            sum += x[at / features * columns + j] * weight[j * features + at % features];
        }
        out[at] = sum;
    }
};

/// W -= rate x^T gradient, one element.
struct backward_pass {
    const float* x;
    const float* gradient;
    float* weight;
    float rate;

    PROTONCE_HOST_DEVICE void operator()(index_t at) const {
        float sum = 0;
        for (index_t i = 0; i < batch; ++i) {
            sum += x[i * columns + at / features] * gradient[i * features + at % features];
        }
        weight[at] -= rate * sum;
    }
};

/// v = x W / ||x W||
struct encoder {
    encoder(backend& be, const std::vector<float>& start)
        : weight(be.memory(), columns * features), unit(be.memory(), samples * features), norms(be.memory(), samples) {
        be.write(view_vector(start), weight.view());
    }

    matrix forward(backend& be, const buffer& x, index_t count) {
        const matrix out = unit.rows(features).slice(0, count);
        be.for_each(count * features, forward_pass{x.view().data(), weight.view().data(), out.data()});
        normalize_rows(be, out, out, norms.view().slice(0, count));
        return out;
    }

    /// One step of gradient descent; `gradient` is dL/dv of the last forward().
    void backward(backend& be, const buffer& x, matrix gradient, float rate) {
        const auto count = gradient.rows();
        normalize_rows_gradient(
            be,
            {.unit = unit.rows(features).slice(0, count), .norms = norms.view().slice(0, count), .grad_unit = gradient},
            gradient);
        be.for_each(columns * features, backward_pass{x.view().data(), gradient.data(), weight.view().data(), rate});
    }

    buffer weight, unit, norms;
};

/// Samples and their views, made on the host as a data loader would. Class of sample i: i % classes.
class loader {
public:
    loader() {
        for (index_t i = 0; i < samples * telling; ++i) {
            data_.push_back((i / telling % classes == i % telling ? 2.0F : 0.0F) + 0.4F * normal());
        }
    }
    float normal() { return std::normal_distribution<float>()(generator); }

    /// A view of each sample of `ids`: its own columns, and fresh noise in all the others.
    void load(backend& be, std::span<const index_t> ids, buffer& to) {
        std::vector<float> view;
        for (const index_t id : ids) {
            for (index_t j = 0; j < columns; ++j) {
                view.push_back(j < telling ? data_[static_cast<std::size_t>(id * telling + j)] : 2.0F * normal());
            }
        }
        be.write(view_vector(view), to.view().slice(0, static_cast<index_t>(view.size())));
    }

    std::mt19937 generator{3};

private:
    std::vector<float> data_;
};

} // namespace

int main() {
    backend be;
    loader data;
    std::vector<index_t> order(static_cast<std::size_t>(samples));
    std::iota(order.begin(), order.end(), 0);
    const std::vector<index_t> everyone = order;

    std::vector<float> start(static_cast<std::size_t>(columns * features));
    std::generate(start.begin(), start.end(), [&] { return 0.2F * data.normal(); });
    encoder query_encoder(be, start), key_encoder(be, start);
    const protonce::ema_pair<backend> parameters{.average = key_encoder.weight.view(),
                                                 .value = query_encoder.weight.view()};
    protonce::objective run(be, {.num_samples = samples,
                                 .num_cols = features,
                                 .num_clusters = {classes, 4 * classes},
                                 .warmup_epochs = 2,
                                 .queue_size = 512,
                                 .momentum = 0.9,
                                 .seed = 1});

    buffer all(be.memory(), samples * columns), first_view(be.memory(), batch * columns),
        second_view(be.memory(), batch * columns), gradient(be.memory(), batch * features), loss(be.memory(), 1);
    protonce::buffer<index_t, device> ids(be.memory(), batch);
    for (; run.epoch() < 10; run.end_epoch()) {
        if (run.needs_e_step()) {
            data.load(be, everyone, all);
            run.e_step(be, key_encoder.forward(be, all, samples));
        }
        std::shuffle(order.begin(), order.end(), data.generator);
        for (index_t first = 0; first < samples; first += batch) {
            const auto chosen =
                std::span<const index_t>(order).subspan(static_cast<std::size_t>(first), std::size_t{batch});
            be.write(view_vector(chosen), ids.view());
            data.load(be, chosen, first_view);
            data.load(be, chosen, second_view);
            run.update_average(be, {&parameters, 1});
            const matrix keys = key_encoder.forward(be, first_view, batch);
            const matrix queries = query_encoder.forward(be, second_view, batch);
            run.step(be, {.query = queries, .positive = keys, .sample = ids.view()},
                     {.loss = loss.view(), .grad_query = gradient.rows(features)});
            query_encoder.backward(be, second_view, gradient.rows(features), 0.2F);
        }
        std::vector<float> last_loss(1);
        be.read(loss.view(), view_vector(last_loss));
        std::printf("epoch %2d  %s  loss %.3f\n", static_cast<int>(run.epoch() + 1),
                    run.uses_prototypes() ? "prototypes" : "warm-up   ", static_cast<double>(last_loss[0]));
    }

    // How well six clusters of all embeddings agree with the classes. The labels are used here and nowhere else.
    data.load(be, everyone, all);
    protonce::clustering level(be, samples, features, classes);
    kmeans(be, key_encoder.forward(be, all, samples), {.restarts = 5}, level);
    std::vector<label_t> assignment(order.size()), truth(order.size());
    be.read(std::as_const(level).assignment(), view_vector(assignment));
    for (std::size_t i = 0; i < truth.size(); ++i) {
        truth[i] = static_cast<label_t>(i % classes);
    }
    const double agreement =
        protonce::cluster_scores(view_vector(std::as_const(truth)), view_vector(std::as_const(assignment))).ami;
    std::printf("the clusters agree with the classes: %.3f\n", agreement);
    return agreement > 0.9 ? EXIT_SUCCESS : EXIT_FAILURE;
}

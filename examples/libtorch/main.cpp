// SPDX-License-Identifier: MIT
// Prototypical Contrastive Learning of an encoder made with LibTorch, PyTorch's C++ library. LibTorch has the network, the
// backward pass and the optimiser; protonce has the loss and its gradient, prototypes, queue and moving average. They share
// the tensors' memory (protonce/adapt/torch.hpp).
//
// A small convolutional network sees 4000 images of Fashion-MNIST, without labels. Nearest neighbours among the 4000 then
// name the classes of 1000 test images.
//
//     libtorch_encoder [--data DIR]
//
// Prints a line an epoch, then a sentence that it checks (LibTorch may draw other numbers, depending on its version):
//     epoch  1  warm-up     loss 6.548  nearest neighbours 0.601
//     ...
//     epoch  8  prototypes  loss 8.875  nearest neighbours 0.700
//     nearest neighbours name 0.612 of the classes before training, 0.700 after
#include "../fashion_mnist/augment.hpp"
#include "../support/named_neighbours.hpp"

#include <protonce/adapt/torch.hpp>
#include <protonce/backend/cpu.hpp>
#include <protonce/em/objective.hpp>

#include <torch/torch.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

namespace {

using protonce::index_t;
using protonce::view_rows;
using protonce::view_vector;
using backend = protonce::cpu_backend<float>;

constexpr index_t num_samples = 4000, num_tests = 1000, features = 32, batch = 125, epochs = 8;

/// Three convolutions, a mean over places, a projection to unit rows. Groups are normalised, not batches: see "What the host
/// must get right" in docs/training_loops.md.
struct encoder_net : torch::nn::Module {
    encoder_net() {
        const auto convolution = [this](std::int64_t in, std::int64_t out, std::int64_t stride) {
            layers->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).stride(stride).padding(1)));
            layers->push_back(torch::nn::GroupNorm(4, out));
            layers->push_back(torch::nn::ReLU());
        };
        convolution(1, 16, 2);
        convolution(16, 32, 2);
        convolution(32, 64, 2);
        layers->push_back(torch::nn::AdaptiveAvgPool2d(1));
        layers->push_back(torch::nn::Flatten());
        layers->push_back(torch::nn::Linear(64, features));
        register_module("layers", layers);
    }
    torch::Tensor forward(const torch::Tensor& images) {
        return torch::nn::functional::normalize(layers->forward(images));
    }
    torch::nn::Sequential layers;
};

/// Every image unchanged, (N, 1, 28, 28).
torch::Tensor plain_images(const fashion::image_set& set) {
    auto out = torch::empty({set.size(), 1, fashion::image_side, fashion::image_side});
    for (index_t i = 0; i < set.size(); ++i) {
        fashion::plain_view(set.image(i), out[i].data_ptr<float>());
    }
    return out;
}

/// A random view of each image named.
torch::Tensor random_views(const fashion::image_set& set, const torch::Tensor& ids, const fashion::augmenter& augment,
                           std::uint64_t step, std::uint64_t which) {
    auto out = torch::empty({ids.size(0), 1, fashion::image_side, fashion::image_side});
    for (index_t i = 0; i < ids.size(0); ++i) {
        augment.view(set.image(ids[i].item<index_t>()), step, static_cast<std::uint64_t>(2 * i) + which,
                     out[i].data_ptr<float>());
    }
    return out;
}

/// The parameters of both encoders, one after the other, as the moving average takes them.
class parameter_pairs {
public:
    parameter_pairs(encoder_net& average, encoder_net& encoder) {
        const auto to = average.parameters(), from = encoder.parameters();
        flat_.reserve(2 * to.size()); // views must not move
        for (std::size_t i = 0; i < to.size(); ++i) {
            auto& a = flat_.emplace_back(to[i].detach().view(-1));
            auto& b = flat_.emplace_back(from[i].detach().view(-1));
            pairs_.push_back({.average = view_vector<float>(a), .value = view_vector<const float>(b)});
        }
    }
    const std::vector<protonce::ema_pair<backend>>& all() const { return pairs_; }

private:
    std::vector<torch::Tensor> flat_;
    std::vector<protonce::ema_pair<backend>> pairs_;
};

bool train(const std::filesystem::path& folder) {
    torch::manual_seed(1);
    const auto images = fashion::first_images(fashion::load_images(folder, "train"), num_samples);
    const auto test_images = fashion::first_images(fashion::load_images(folder, "t10k"), num_tests);
    const torch::Tensor plain = plain_images(images), plain_tests = plain_images(test_images);
    const fashion::augmenter augment({}, 1);

    backend be;
    encoder_net encoder, slow;
    const parameter_pairs parameters(slow, encoder);
    ema(be, parameters.all(), {.momentum = 0}); // both begin alike
    torch::optim::Adam optimizer(encoder.parameters(), torch::optim::AdamOptions(1e-3));
    protonce::objective run(be, {.num_samples = num_samples,
                                 .num_cols = features,
                                 .num_clusters = {50, 100, 200},
                                 .warmup_epochs = 2,
                                 .queue_size = 2000,
                                 .momentum = 0.99,
                                 .seed = 1});
    const auto measure = [&] {
        const torch::NoGradGuard no_grad;
        const torch::Tensor known = slow.forward(plain), asked = slow.forward(plain_tests);
        return fashion::named_by_neighbours(be, view_rows<const float>(known), images, view_rows<const float>(asked),
                                            test_images);
    };
    const double before = measure();

    for (; run.epoch() < epochs; run.end_epoch()) {
        if (run.needs_e_step()) {
            const torch::NoGradGuard no_grad;
            const torch::Tensor embeddings = slow.forward(plain);
            run.e_step(be, view_rows<const float>(embeddings));
        }
        double sum = 0;
        const torch::Tensor order = torch::randperm(num_samples);
        for (index_t first = 0; first < num_samples; first += batch) {
            const torch::Tensor ids = order.slice(0, first, first + batch);
            run.update_average(be, parameters.all());
            // [snippet step]
            torch::Tensor key;
            {
                const torch::NoGradGuard no_grad;
                key = slow.forward(random_views(images, ids, augment, run.num_steps(), 0));
            }
            const torch::Tensor query = encoder.forward(random_views(images, ids, augment, run.num_steps(), 1));
            const torch::Tensor loss = torch::empty({1}), gradient = torch::empty_like(query);
            run.step(be,
                     {.query = view_rows<const float>(query),
                      .positive = view_rows<const float>(key),
                      .sample = view_vector<const index_t>(ids)},
                     {.loss = view_vector<float>(loss), .grad_query = view_rows<float>(gradient)});
            optimizer.zero_grad();
            query.backward(gradient); // LibTorch goes on from dL/dquery
            optimizer.step();
            // [/snippet]
            sum += loss.item<double>();
        }
        fashion::print_epoch(run, sum / (num_samples / batch), measure());
    }
    return fashion::print_gain(before, measure());
}

} // namespace

int main(int argc, char** argv) {
    return fashion::train_on_folder("libtorch_encoder", argc, argv, &train);
}

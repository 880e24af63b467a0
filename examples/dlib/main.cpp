// SPDX-License-Identifier: MIT
// Prototypical Contrastive Learning of an encoder made with dlib. dlib has the network, the backward pass and the optimiser;
// protonce has the loss and its gradient, prototypes, queue and moving average. No adapter is needed: a tensor of dlib's is
// a pointer and its sizes, and the gradient is written where dlib's backward pass reads it.
//
// A small convolutional network sees 4000 images of Fashion-MNIST, without labels. Nearest neighbours among the 4000 then
// name the classes of 1000 test images.
//
//     dlib_encoder [--data DIR]
//
// Prints a line an epoch, then a sentence that it checks (the BLAS that dlib multiplies with may round otherwise):
//     epoch  1  warm-up     loss 6.680  nearest neighbours 0.625
//     ...
//     epoch  8  prototypes  loss 8.988  nearest neighbours 0.710
//     nearest neighbours name 0.637 of the classes before training, 0.710 after
#include "../fashion_mnist/augment.hpp"
#include "../support/named_neighbours.hpp"

#include <protonce/backend/cpu.hpp>
#include <protonce/core/rng.hpp>
#include <protonce/em/objective.hpp>

#include <dlib/dnn.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace {

using protonce::index_t;
using protonce::view_vector;
using backend = protonce::cpu_backend<float>;
using image = dlib::matrix<float>;

constexpr index_t num_samples = 4000, num_tests = 1000, features = 32, batch = 125, epochs = 8;

/// Three convolutions, a mean over places, a projection to unit rows. Samples are normalised, not batches: see "What the host
/// must get right" in docs/training_loops.md.
template <int filters, class Below>
using convolution = dlib::relu<dlib::layer_norm<dlib::add_layer<dlib::con_<filters, 3, 3, 2, 2, 1, 1>, Below>>>;
using encoder_net = dlib::l2normalize<dlib::fc<
    features, dlib::avg_pool_everything<convolution<64, convolution<32, convolution<16, dlib::input<image>>>>>>>;

/// Rows of dlib's memory: a sample each.
protonce::matrix_view<const float> rows_of(const dlib::tensor& values) {
    return protonce::view_rows(values.host(), static_cast<index_t>(values.num_samples()),
                               static_cast<index_t>(values.size() / static_cast<std::size_t>(values.num_samples())));
}
protonce::matrix_view<float> rows_of(dlib::tensor& values) {
    const auto rows = rows_of(static_cast<const dlib::tensor&>(values));
    return protonce::view_rows(values.host(), rows.rows(), rows.cols());
}

/// As the network's input, images that draw(i, its pixels) makes.
template <class Draw>
dlib::resizable_tensor make_input(const encoder_net& net, index_t count, const Draw& draw) {
    std::vector<image> images(static_cast<std::size_t>(count), image(fashion::image_side, fashion::image_side));
    for (index_t i = 0; i < count; ++i) {
        draw(i, &images[static_cast<std::size_t>(i)](0, 0));
    }
    dlib::resizable_tensor out;
    net.to_tensor(images.begin(), images.end(), out);
    return out;
}

/// Every image unchanged.
dlib::resizable_tensor plain_images(const encoder_net& net, const fashion::image_set& set) {
    return make_input(net, set.size(), [&](index_t i, float* out) { fashion::plain_view(set.image(i), out); });
}

/// The parameters of both encoders, layer by layer, as the moving average takes them.
std::vector<protonce::ema_pair<backend>> parameter_pairs(encoder_net& average, encoder_net& encoder) {
    std::vector<protonce::ema_pair<backend>> pairs;
    dlib::visit_layer_parameters(average, [&](dlib::tensor& to) {
        if (to.size() > 0) {
            pairs.push_back({.average = {to.host(), static_cast<index_t>(to.size())}, .value = {}});
        }
    });
    std::size_t next = 0;
    dlib::visit_layer_parameters(encoder, [&](dlib::tensor& from) {
        if (from.size() > 0) {
            pairs[next++].value = {from.host(), static_cast<index_t>(from.size())};
        }
    });
    return pairs;
}

bool train(const std::filesystem::path& folder) {
    const auto images = fashion::first_images(fashion::load_images(folder, "train"), num_samples);
    const auto test_images = fashion::first_images(fashion::load_images(folder, "t10k"), num_tests);
    const fashion::augmenter augment({}, 1);

    backend be;
    encoder_net encoder;
    const dlib::resizable_tensor plain = plain_images(encoder, images),
                                 plain_tests = plain_images(encoder, test_images);
    encoder.forward(plain_tests); // dlib makes the parameters when it sees the first input
    encoder_net slow = encoder;
    std::vector<dlib::adam> solvers(encoder_net::num_computational_layers, dlib::adam(0.0F, 0.9F, 0.999F));
    protonce::objective run(be, {.num_samples = num_samples,
                                 .num_cols = features,
                                 .num_clusters = {50, 100, 200},
                                 .warmup_epochs = 2,
                                 .queue_size = 2000,
                                 .momentum = 0.99,
                                 .seed = 1});
    const auto measure = [&] {
        const dlib::resizable_tensor known = slow.forward(plain); // the next call writes where this one did
        return fashion::named_by_neighbours(be, rows_of(known), images, rows_of(slow.forward(plain_tests)),
                                            test_images);
    };
    const double before = measure();

    std::vector<index_t> ids(batch);
    for (; run.epoch() < epochs; run.end_epoch()) {
        if (run.needs_e_step()) {
            run.e_step(be, rows_of(slow.forward(plain)));
        }
        double sum = 0;
        const protonce::random_permutation order({.seed = 1, .step = static_cast<std::uint64_t>(run.epoch())},
                                                 num_samples);
        for (index_t first = 0; first < num_samples; first += batch) {
            for (index_t i = 0; i < batch; ++i) {
                ids[static_cast<std::size_t>(i)] = static_cast<index_t>(order(static_cast<std::uint64_t>(first + i)));
            }
            const auto random_views = [&](std::uint64_t which) {
                return make_input(encoder, batch, [&](index_t i, float* out) {
                    augment.view(images.image(ids[static_cast<std::size_t>(i)]),
                                 static_cast<std::uint64_t>(run.num_steps()), static_cast<std::uint64_t>(2 * i) + which,
                                 out);
                });
            };
            run.update_average(be, parameter_pairs(slow, encoder));
            // [snippet step]
            const dlib::tensor& key = slow.forward(random_views(0));
            const dlib::resizable_tensor input = random_views(1);
            const dlib::tensor& query = encoder.forward(input);
            dlib::resizable_tensor gradient;
            gradient.copy_size(query);
            float loss = 0;
            run.step(be, {.query = rows_of(query), .positive = rows_of(key), .sample = view_vector(ids)},
                     {.loss = {&loss, 1}, .grad_query = rows_of(gradient)});
            encoder.back_propagate_error(input, gradient); // dlib goes on from dL/dquery
            encoder.update_parameters(solvers, 1e-3);
            // [/snippet]
            sum += static_cast<double>(loss);
        }
        fashion::print_epoch(run, sum / (num_samples / batch), measure());
    }
    return fashion::print_gain(before, measure());
}

} // namespace

int main(int argc, char** argv) {
    return fashion::train_on_folder("dlib_encoder", argc, argv, &train);
}

// SPDX-License-Identifier: MIT
#include <support/conformance.hpp>

#include <protonce/core/normalize.hpp>
#include <protonce/em/checkpoint.hpp>
#include <protonce/em/objective.hpp>
#include <protonce/metrics/effective_rank.hpp>
#include <protonce/metrics/knn.hpp>
#include <protonce/metrics/uniformity.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

using namespace protonce;
using test::placed;

namespace device_training {
namespace {

constexpr index_t samples = 200, cols = 9, batch = 12, epochs = 3, steps = 4;

objective_options options() {
    return {.num_samples = samples,
            .num_cols = cols,
            .num_clusters = {5, 11},
            .warmup_epochs = 1,
            .queue_size = 40,
            .momentum = 0.9,
            .num_negatives = 4,
            .mask_level = 0,
            .seed = 5};
}

/// What a training run leaves behind, on the host.
template <class T>
struct trace {
    std::vector<label_t> assignment;
    std::vector<T> centroids, prototypes, temperatures, queue, average;
    std::vector<T> loss, gradient, accuracy;
    std::vector<double> inertia;
};

/// A training run without an encoder, all of it in the memory of the backend. Embeddings are random, the same on every backend.
template <class B>
class training {
    using T = typename B::value_type;

public:
    explicit training(B& be) : be_(be), run_(be, options()) {
        average_ = std::vector<T>(30, T(1));
        parameters_ = std::vector<T>(30, T(2));
    }
    objective<B>& run() { return run_; }

    /// The steps from where the run stands to the end of the given epoch.
    void advance(index_t last_epoch) {
        for (; run_.epoch() < last_epoch; run_.end_epoch()) {
            if (run_.needs_e_step()) {
                test::random_source random(static_cast<std::uint64_t>(900 + run_.epoch()));
                placed<B, T> features(be_, random.unit_rows<T>(samples, cols));
                for (const auto& report : run_.e_step(be_, features.rows())) {
                    out_.inertia.push_back(report.clusters.inertia);
                }
            }
            for (index_t step = 0; step < steps; ++step) {
                make_step();
            }
        }
    }

    trace<T> result() {
        const auto keep = [&](auto view, auto& to) {
            const auto old = to.size();
            to.resize(old + static_cast<std::size_t>(view.size()));
            be_.read(view, view_vector(to).slice(static_cast<index_t>(old), view.size()));
        };
        trace<T> out = out_;
        for (const auto& level : run_.levels()) {
            keep(level.assignment(), out.assignment);
            keep(detail::flat(level.centroids()), out.centroids);
            keep(detail::flat(level.prototypes()), out.prototypes);
            keep(level.temperatures(), out.temperatures);
        }
        keep(detail::flat(run_.queue().rows()), out.queue);
        out.average = average_;
        return out;
    }

private:
    void make_step() {
        test::random_source random(static_cast<std::uint64_t>(100 + run_.num_steps()));
        placed<B, T> query(be_, random.unit_rows<T>(batch, cols));
        placed<B, T> positive(be_, random.unit_rows<T>(batch, cols));
        std::vector<index_t> ids;
        for (index_t i = 0; i < batch; ++i) {
            ids.push_back((run_.num_steps() * batch + 7 * i) % samples);
        }
        placed<B, index_t> sample(be_, ids);
        placed<B, T> average(be_, average_), value(be_, parameters_);
        const ema_pair<B> pair{average.vector(), value.vector()};
        run_.update_average(be_, {&pair, 1});
        average_ = average.values();

        auto loss = placed<B, T>::unwritten(be_, 1);
        auto accuracy = placed<B, T>::unwritten(be_, 2);
        auto gradient = placed<B, T>::unwritten(be_, batch, cols);
        run_.step(be_, {.query = query.rows(), .positive = positive.rows(), .sample = sample.vector()},
                  {.loss = loss.vector(), .accuracy_per_level = accuracy.vector(), .grad_query = gradient.rows()});
        append(out_.loss, loss.values());
        append(out_.accuracy, accuracy.values());
        append(out_.gradient, gradient.values());
    }
    static void append(std::vector<T>& to, const std::vector<T>& values) {
        to.insert(to.end(), values.begin(), values.end());
    }

    B& be_;
    objective<B> run_;
    std::vector<T> average_, parameters_;
    trace<T> out_;
};

template <class B>
trace<typename B::value_type> train(B& be) {
    training<B> all(be);
    all.advance(epochs);
    return all.result();
}

} // namespace

TEST_CASE_TEMPLATE("device: a training run equals reference's", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    test::reference_of<B> reference;
    const auto expected = train(reference);
    B be = test::make<B>({});

    const auto actual = train(be);

    // Labels are exact, sums and means in double in row order: E-steps leave the same bits.
    CHECK(actual.assignment == expected.assignment);
    CHECK(actual.centroids == expected.centroids);
    CHECK(actual.prototypes == expected.prototypes);
    CHECK(actual.inertia == expected.inertia);
    CHECK(test::relative_excess(actual.temperatures, expected.temperatures, 4) <= 0);
    CHECK(actual.queue == expected.queue);
    CHECK(actual.average == expected.average);
    // Logits of unit rows at temperatures down to about 0.1, in T.
    CHECK(test::absolute_excess(actual.loss, expected.loss, 500 * test::unit<T>) <= 0);
    CHECK(test::absolute_excess(actual.gradient, expected.gradient, 500 * test::unit<T>) <= 0);
    CHECK(actual.accuracy == expected.accuracy);
}

TEST_CASE_TEMPLATE("device: a run resumed from a checkpoint goes on bit for bit", B, CONFORMING_BACKENDS) {
    const auto path =
        std::filesystem::temp_directory_path() / ("protonce_device_" + std::to_string(sizeof(typename B::value_type)) +
                                                  "_" + std::string(PROTONCE_TEST_NAME) + ".checkpoint");
    B be = test::make<B>({});
    training<B> first(be);
    first.advance(2);
    save_checkpoint(be, first.run(), path);
    first.advance(epochs);
    const auto expected = first.result();

    B other = test::make<B>({});
    training<B> second(other);
    load_checkpoint(other, path, second.run());
    std::filesystem::remove(path);
    second.advance(epochs);
    const auto actual = second.result();

    CHECK(actual.assignment == expected.assignment);
    CHECK(actual.centroids == expected.centroids);
    CHECK(actual.temperatures == expected.temperatures);
    CHECK(actual.queue == expected.queue);
    REQUIRE(!actual.loss.empty());
    CHECK(std::vector(expected.loss.end() - static_cast<std::ptrdiff_t>(actual.loss.size()), expected.loss.end()) ==
          actual.loss);
}

TEST_CASE_TEMPLATE("device: metrics equal reference's", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    TEST_RANDOM(random, 501);
    const auto rows = random.unit_rows<T>(150, cols);
    const auto others = random.unit_rows<T>(150, cols);
    const auto labels = random.labels(150, 4);
    const auto measure = [&](auto& be) {
        using any = std::remove_reference_t<decltype(be)>;
        placed<any, T> x(be, rows), y(be, others);
        placed<any, label_t> classes(be, labels);
        auto prediction = placed<any, label_t>::unwritten(be, 150);
        auto scores = placed<any, T>::unwritten(be, 150, 4);
        knn_scores(be, {.bank = x.rows(), .labels = classes.vector(), .query = y.rows()},
                   {.neighbours = 7, .num_classes = 4}, {.scores = scores.rows(), .prediction = prediction.vector()});
        std::vector<double> out{alignment(be, x.rows(), y.rows()), uniformity(be, x.rows()),
                                effective_rank(be, x.rows())};
        for (const label_t p : prediction.values()) {
            out.push_back(static_cast<double>(p));
        }
        for (const T s : scores.values()) {
            out.push_back(static_cast<double>(s));
        }
        return out;
    };
    test::reference_of<B> reference;
    B be = test::make<B>({});

    // Scores of k-NN are sums of exponentials of up to 1 / 0.07.
    CHECK(test::absolute_excess(measure(be), measure(reference), 1000 * test::unit<T>) <= 0);
}

TEST_CASE_TEMPLATE("device: normalising counts no zero rows, the norms tell", B, CONFORMING_BACKENDS) {
    using T = typename B::value_type;
    B be = test::make<B>({});
    test::matrix<T> rows(3, 2);
    rows(0, 0) = 3;
    rows(0, 1) = 4;
    placed<B, T> x(be, rows);
    auto unit = placed<B, T>::unwritten(be, 3, 2);
    auto norms = placed<B, T>::unwritten(be, 3);

    const auto report = normalize_rows(be, x.rows(), unit.rows(), norms.vector());

    CHECK(report.zero_rows == -1);
    CHECK(norms.values() == std::vector<T>{5, 0, 0});
    CHECK(unit.values() == std::vector<T>{T(0.6), T(0.8), 0, 0, 0, 0});
}

} // namespace device_training

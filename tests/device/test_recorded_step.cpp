// SPDX-License-Identifier: MIT
#include <device/recording.hpp>
#include <support/placed.hpp>
#include <support/random.hpp>

#include <protonce/core/normalize.hpp>
#include <protonce/em/objective.hpp>
#include <protonce/m_step/nt_xent.hpp>
#include <protonce/m_step/symmetric_info_nce.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <exception>
#include <vector>

using namespace protonce;
using test::placed;

namespace recorded_step {
namespace {

constexpr index_t samples = 200, cols = 9, batch = 12, replays = 5;

/// A training run in device memory, a step of it apart: embeddings are rows given anew for each step plus a parameter, learned by
/// gradient descent as the temperature is.
template <class T>
class training {
public:
    using B = typename test::recording<T>::backend;

    training(B& be, queue_start start)
        : be_(be), run_(be, {.num_samples = samples,
                             .num_cols = cols,
                             .num_clusters = {5, 60}, // more than a batch has: other negatives in each step
                             .warmup_epochs = 0,
                             .queue_size = 30, // 12 rows a step wrap in different places
                             .queue_start = start,
                             .momentum = 0.9,
                             .momentum_steps = 7,
                             .num_negatives = 4,
                             .mask_level = 0,
                             .seed = 5}),
          first_(be, rows(0)), second_(be, rows(0)), sample_(be, std::vector<index_t>(batch)), parameter_(be, rows(1)),
          average_(be, rows(1)), temperature_(be, std::vector<T>{T(0.3)}), slope_(placed<B, T>::unwritten(be, 1)),
          query_(be, rows(0)), key_(be, rows(0)), gradient_(be, rows(0)), norm_(placed<B, T>::unwritten(be, batch)),
          key_norm_(placed<B, T>::unwritten(be, batch)), loss_(placed<B, T>::unwritten(be, 3)),
          accuracy_(placed<B, T>::unwritten(be, 2)) {
        test::random_source random(77);
        placed<B, T> features(be, random.unit_rows<T>(samples, cols));
        run_.e_step(be, features.rows());
        REQUIRE(run_.uses_prototypes());
    }
    objective<B>& run() { return run_; }

    /// What a data loader does between two steps.
    void load(index_t step) {
        const auto write = [&](const test::matrix<T>& values, placed<B, T>& to) {
            be_.write(view_vector(values.storage()), to.vector());
        };
        write(rows(static_cast<std::uint64_t>(100 + step)), first_);
        write(rows(static_cast<std::uint64_t>(200 + step)), second_);
        std::vector<index_t> ids;
        for (index_t i = 0; i < batch; ++i) {
            ids.push_back((step * batch + 7 * i) % samples);
        }
        be_.write(view_vector(ids), sample_.vector());
    }

    /// The step: nothing of it depends on values of the host that change.
    void step() {
        const ema_pair<B> pair{average_.vector(), parameter_.vector()};
        run_.update_average(be_, {&pair, 1});
        embed(first_, average_, key_, key_norm_);
        embed(second_, parameter_, query_, norm_);
        run_.step(be_,
                  {.query = query_.rows(),
                   .positive = key_.rows(),
                   .sample = sample_.vector(),
                   .temperature = temperature_.vector()},
                  {.loss = loss_.vector().slice(0, 1),
                   .loss_instance = loss_.vector().slice(1, 1),
                   .loss_prototypes = loss_.vector().slice(2, 1),
                   .accuracy_per_level = accuracy_.vector(),
                   .grad_query = gradient_.rows(),
                   .grad_temperature = slope_.vector()});
        normalize_rows_gradient(be_, {.unit = query_.rows(), .norms = norm_.vector(), .grad_unit = gradient_.rows()},
                                gradient_.rows());
        be_.axpby(-0.5, gradient_.vector(), 1.0, parameter_.vector());
        be_.axpby(-0.01, slope_.vector(), 1.0, temperature_.vector());
    }

    /// Every number that a step leaves behind.
    std::vector<T> state() {
        std::vector<T> out;
        for (auto* values : {&loss_, &accuracy_, &gradient_, &parameter_, &average_, &temperature_}) {
            const auto some = values->values();
            out.insert(out.end(), some.begin(), some.end());
        }
        std::vector<T> queue(static_cast<std::size_t>(run_.queue().size() * cols));
        be_.read({run_.queue().rows().data(), run_.queue().size() * cols}, view_vector(queue));
        std::vector<index_t> ids(static_cast<std::size_t>(run_.queue().size()));
        be_.read(run_.queue().ids(), view_vector(ids));
        out.insert(out.end(), queue.begin(), queue.end());
        out.insert(out.end(), ids.begin(), ids.end());
        return out;
    }

private:
    static test::matrix<T> rows(std::uint64_t seed) {
        test::random_source random(seed);
        return random.template unit_rows<T>(batch, cols);
    }
    void embed(placed<B, T>& x, placed<B, T>& parameter, placed<B, T>& unit, placed<B, T>& norm) {
        be_.copy(x.vector(), unit.vector());
        be_.axpby(1.0, parameter.vector(), 1.0, unit.vector());
        normalize_rows(be_, unit.rows(), unit.rows(), norm.vector());
    }

    B& be_;
    objective<B> run_;
    placed<B, T> first_, second_;
    placed<B, index_t> sample_;
    placed<B, T> parameter_, average_, temperature_, slope_, query_, key_, gradient_, norm_, key_norm_, loss_,
        accuracy_;
};

} // namespace

TEST_CASE_TEMPLATE("recorded step: replayed five times it equals five steps bit for bit", T, float, double) {
    test::recording<T> ordinary;
    training<T> expected(ordinary.be, queue_start::random_rows);
    test::recording<T> recorded;
    training<T> actual(recorded.be, queue_start::random_rows);
    for (auto* run : {&expected, &actual}) { // one step takes the scratch memory
        run->load(0);
        run->step();
    }
    const index_t held = recorded.be.scratch().bytes();
    recorded.record([&] { actual.step(); });
    CHECK(recorded.be.scratch().bytes() == held);
    CHECK(actual.run().num_steps() == 2); // the host saw the step; it was not made

    for (index_t step = 1; step <= replays; ++step) {
        expected.load(step);
        expected.step();
        actual.load(step);
        recorded.replay();
        INFO("step ", step);
        CHECK(actual.state() == expected.state());
    }

    actual.run().catch_up(recorded.be);
    CHECK(actual.run().num_steps() == replays + 1);
    CHECK(actual.run().num_steps_of_epoch() == replays + 1);
    CHECK(actual.run().queue().position() == (replays + 1) * batch % 30);
    CHECK(actual.run().queue().num_pushed() == std::uint64_t{(replays + 1) * batch});
    CHECK(actual.run().current_momentum() == expected.run().current_momentum());

    // The host goes on where the replays ended.
    expected.load(9);
    expected.step();
    actual.load(9);
    actual.step();
    CHECK(actual.state() == expected.state());
}

TEST_CASE_TEMPLATE("recorded step: a queue that started empty is recorded once it is full", T, float, double) {
    test::recording<T> recorded;
    training<T> run(recorded.be, queue_start::empty);
    for (index_t step = 0; step < 3; ++step) {
        run.load(step);
        run.step();
    }
    REQUIRE(run.run().queue().is_full());
    recorded.record([&] { run.step(); });
    recorded.replay();
    recorded.replay();
    run.run().catch_up(recorded.be);
    CHECK(run.run().queue().size() == 30);
    CHECK(run.run().queue().num_pushed() == std::uint64_t{5 * batch});
}

TEST_CASE_TEMPLATE("recorded step: the losses of two views can be recorded", T, float, double) {
    using B = typename test::recording<T>::backend;
    test::recording<T> device;
    B& be = device.be;
    test::random_source random(31);
    placed<B, T> first(be, random.unit_rows<T>(batch, cols)), second(be, random.unit_rows<T>(batch, cols));
    placed<B, T> scale(be, std::vector<T>{T(5)});
    auto loss = placed<B, T>::unwritten(be, 3), gradient = placed<B, T>::unwritten(be, batch, cols);
    const auto work = [&] {
        nt_xent(be, {.first = first.rows(), .second = second.rows()}, {.temperature = 0.2},
                {.loss = loss.vector().slice(0, 1), .grad_first = gradient.rows()});
        symmetric_info_nce(be, {.first = first.rows(), .second = second.rows(), .scale = scale.vector()}, {},
                           {.loss = loss.vector().slice(1, 1)});
        info_nce(be, {.query = first.rows(), .positive = second.rows()}, {.pool = key_pool::batch},
                 {.loss = loss.vector().slice(2, 1)});
    };
    work();
    const auto expected = loss.values();
    const auto expected_gradient = gradient.row_values();
    device.record(work);
    be.fill(loss.vector(), T(-1));
    be.fill(gradient.vector(), T(-1));
    device.replay();

    CHECK(loss.values() == expected);
    CHECK(gradient.row_values() == expected_gradient);
}

TEST_CASE("recorded step: what would read host memory at each replay is refused") {
    test::recording<float> device;
    placed<test::recording<float>::backend, float> values(device.be, std::vector<float>{1, 2});
    const std::vector<float> others{3, 4};
    CHECK_THROWS_AS(device.record([&] { device.be.write(view_vector(others), values.vector()); }), std::exception);
    device.abandon();
    CHECK(values.values() == std::vector<float>{1, 2});
}

} // namespace recorded_step

// SPDX-License-Identifier: MIT
// Prototypes that stay packed from one E-step to the next: what picks from them has the bits of what packs them in each call.
#include <device/device_run.hpp>
#include <em/checkpoint_file.hpp>
#include <support/placed.hpp>

#include <protonce/em/checkpoint.hpp>
#include <protonce/em/objective.hpp>
#include <protonce/m_step/m_step.hpp>
#include <protonce/m_step/proto_nce.hpp>
#include <protonce/momentum/memory_queue.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

using namespace protonce;

namespace kept_levels {
using B = test::device_backend;
using test::placed;

namespace {

constexpr index_t samples = 400, num_levels = 2;
using level_views = std::array<prototype_level<float, device>, num_levels>;

/// A level of unit rows, but for one that is longer by far, with some samples in no cluster.
clustering<B> level_of(B& be, test::random_source& random, index_t clusters, index_t cols) {
    clustering<B> out(be, samples, cols, clusters);
    auto prototypes = random.unit_rows<float>(clusters, cols);
    for (index_t c = 0; c < cols; ++c) {
        prototypes(clusters / 2, c) *= 30000;
    }
    const auto temperatures = random.uniform_values<float>(clusters, 0.05, 0.9);
    const auto labels = random.labels_with_noise(samples, clusters);
    be.write(view_vector(prototypes.storage()), vector_view<float, device>(out.prototypes().data(), clusters * cols));
    be.write(view_vector(temperatures), out.temperatures());
    be.write(view_vector(labels), out.assignment());
    return out;
}

std::vector<clustering<B>> packed_levels(B& be, test::random_source& random, std::array<index_t, num_levels> clusters,
                                         index_t cols) {
    std::vector<clustering<B>> out;
    for (const index_t count : clusters) {
        out.push_back(level_of(be, random, count, cols));
        out.back().pack(be);
    }
    return out;
}
level_views views_of(const std::vector<clustering<B>>& levels, bool packed) {
    level_views out{levels[0].level(), levels[1].level()};
    for (auto& view : out) {
        view.packed = packed ? view.packed : vector_view<const float, device>{};
    }
    return out;
}

struct level_outputs {
    std::vector<float> loss, per_level, per_row, top1, grad_query, grad_prototypes;
    bool operator==(const level_outputs&) const = default;
};
struct wanted {
    index_t batch = 33;
    proto_nce_options options{.num_negatives = 500, .seed = 5};
    bool ranks = false;
    bool prototypes = false;
    bool given = false; // negatives
};

std::vector<index_t> sample_numbers(index_t batch) {
    test::random_source random(18);
    std::vector<index_t> out;
    for (index_t i = 0; i < batch; ++i) {
        out.push_back(random.integer(samples));
    }
    return out;
}
/// The same batch in each call.
level_outputs losses_of(B& be, const level_views& levels, const wanted& how) {
    test::random_source random(17);
    const index_t cols = levels[0].prototypes.cols();
    const index_t clusters = levels[0].prototypes.rows();
    placed<B, float> query(be, random.unit_rows<float>(how.batch, cols));
    placed<B, index_t> sample(be, sample_numbers(how.batch)), negatives(be, std::vector<index_t>{0, 1});
    const std::array<vector_view<const index_t, device>, num_levels> negative_id{negatives.vector(),
                                                                                 negatives.vector()};
    auto loss = placed<B, float>::unwritten(be, 1), per_level = placed<B, float>::unwritten(be, num_levels);
    auto per_row = placed<B, float>::unwritten(be, num_levels, how.batch);
    auto top1 = placed<B, float>::unwritten(be, how.ranks ? num_levels : 0, how.batch);
    auto grad_query = placed<B, float>::unwritten(be, how.batch, cols);
    auto grad_prototypes = placed<B, float>::unwritten(be, how.prototypes ? clusters : 0, cols);
    const std::array<matrix_view<float, device>, num_levels> of_prototypes{grad_prototypes.rows(), {}};
    proto_nce_inputs<B> in{.query = query.rows(), .sample = sample.vector(), .levels = levels};
    if (how.given) {
        in.negative_id = negative_id;
    }
    proto_nce_outputs<B> out{.loss = loss.vector(),
                             .loss_per_level = per_level.vector(),
                             .loss_per_row = per_row.rows(),
                             .top1 = top1.rows(),
                             .grad_query = grad_query.rows()};
    if (how.prototypes) {
        out.grad_prototypes = of_prototypes;
    }
    proto_nce(be, in, how.options, out);
    return {loss.values(),     per_level.values(),      per_row.row_values(),
            top1.row_values(), grad_query.row_values(), grad_prototypes.row_values()};
}

void check_same(B& be, const std::vector<clustering<B>>& levels, const wanted& how) {
    CHECK(losses_of(be, views_of(levels, true), how) == losses_of(be, views_of(levels, false), how));
}

bool has_form(B& be) {
    const bool has = be.packed_pool_size(1, 1) > 0;
    if (!has) {
        MESSAGE("the device has no form of its own for prototypes");
    }
    return has;
}

/// Overwrites the prototypes of a level but for that of one sample, which is read for its logit in double.
void spoil(B& be, const clustering<B>& level, index_t kept_sample) {
    std::vector<label_t> labels(samples);
    be.read(level.assignment(), view_vector(labels));
    const index_t kept = labels[static_cast<std::size_t>(kept_sample)];
    const auto rows = level.prototypes();
    for (index_t k = 0; k < rows.rows(); ++k) {
        if (k != kept) {
            be.fill(vector_view<float, device>(const_cast<float*>(rows.row(k).data()), rows.cols()), 0.25F);
        }
    }
}

} // namespace

TEST_CASE("kept levels: packed prototypes give the bits of the prototypes, for any columns and negatives") {
    TEST_RANDOM(random, 881);
    B be(test::standard_options());
    for (const index_t cols : {1, 100, 200}) {
        CAPTURE(cols);
        const auto levels = packed_levels(be, random, {900, 130}, cols);
        CHECK(levels[0].level().packed.size() == be.packed_pool_size(900, cols));
        check_same(be, levels, {});
        check_same(be, levels, {.options = {.num_negatives = 90, .seed = 6}});
        check_same(be, levels, {.options = {.negatives = negatives::all}});
        check_same(be, levels, {.ranks = true});
        check_same(be, levels,
                   {.options = {.negatives = negatives::reference_compatible, .num_negatives = 300}, .ranks = true});
    }
}

TEST_CASE("kept levels: several blocks of queries, given negatives, other reductions") {
    TEST_RANDOM(random, 882);
    B be(test::standard_options());
    const auto levels = packed_levels(be, random, {700, 20}, 40);
    check_same(be, levels, {.batch = 300});
    check_same(be, levels, {.options = {.num_negatives = 0}});
    check_same(be, levels, {.options = {.num_negatives = 200, .reduction = reduction::sum}});
    const auto few = packed_levels(be, random, {40, 30}, 16);
    check_same(be, few, {.batch = 2, .given = true});
}

TEST_CASE("kept levels: gradients of prototypes are computed from these") {
    TEST_RANDOM(random, 883);
    B be(test::standard_options());
    const auto levels = packed_levels(be, random, {300, 20}, 24);
    check_same(be, levels, {.prototypes = true});
    check_same(be, levels, {.ranks = true, .prototypes = true});
}

TEST_CASE("kept levels: a level of one prototype") {
    TEST_RANDOM(random, 884);
    B be(test::standard_options());
    const auto levels = packed_levels(be, random, {1, 1}, 24);
    check_same(be, levels, {.options = {.num_negatives = 4}});
    check_same(be, levels, {.options = {.negatives = negatives::all}, .ranks = true});
}

TEST_CASE("kept levels: they are read, and the prototypes are not") {
    TEST_RANDOM(random, 885);
    B be(test::standard_options());
    if (!has_form(be)) {
        return;
    }
    const auto levels = packed_levels(be, random, {300, 200}, 30);
    const level_outputs before = losses_of(be, views_of(levels, true), {.batch = 1});
    for (const auto& level : levels) {
        spoil(be, level, sample_numbers(1)[0]);
    }
    CHECK(losses_of(be, views_of(levels, true), {.batch = 1}) == before);
    CHECK(losses_of(be, views_of(levels, false), {.batch = 1}) != before);
}

TEST_CASE("kept levels: whoever may write prototypes or temperatures ends them") {
    TEST_RANDOM(random, 886);
    B be(test::standard_options());
    auto level = level_of(be, random, 30, 8);
    CHECK(level.level().packed.empty());
    const auto is_packed = [&] {
        level.pack(be);
        return !level.level().packed.empty();
    };
    CHECK(is_packed() == (be.packed_pool_size(1, 1) > 0));
    level.prototypes();
    CHECK(level.level().packed.empty());
    CHECK(is_packed() == (be.packed_pool_size(1, 1) > 0));
    level.temperatures();
    CHECK(level.level().packed.empty());
}

TEST_CASE("kept levels: a backend that has no form of its own has none, and passes them over") {
    TEST_RANDOM(random, 887);
    B standard(test::standard_options()), precise(test::device_options{.losses = loss_precision::precise});
    CHECK(precise.packed_pool_size(100, 64) == 0);
    CHECK(standard.packed_pool_size(100, 257) == 0);
    const auto levels = packed_levels(standard, random, {300, 20}, 16);
    check_same(precise, levels, {.ranks = true});
}

TEST_CASE("kept levels: other ones than those of the prototypes are refused by name") {
    TEST_RANDOM(random, 888);
    B be(test::standard_options());
    if (!has_form(be)) {
        return;
    }
    const auto levels = packed_levels(be, random, {30, 20}, 16);
    auto views = views_of(levels, true);
    views[1].packed = views[1].packed.slice(0, views[1].packed.size() - 1);
    CHECK_THROWS_WITH_AS(losses_of(be, views, {}), "proto_nce: levels[1].packed: must hold 660 values; got 659",
                         shape_error);
    views[1] = levels[1].level(); // scales lie behind the last prototype
    views[1].prototypes = views[1].prototypes.slice(0, 19);
    views[1].temperatures = views[1].temperatures.slice(0, 19);
    CHECK_THROWS_WITH_AS(losses_of(be, views, {}), "proto_nce: levels[1].packed: must hold 627 values; got 660",
                         shape_error);
    views[1] = levels[1].level();
    views[1].packed = {nullptr, 660};
    CHECK_THROWS_AS(losses_of(be, views, {}), shape_error);
}

TEST_CASE("kept levels: some levels packed and others not, beside a queue") {
    TEST_RANDOM(random, 890);
    B be(test::standard_options());
    constexpr index_t cols = 20, batch = 40;
    const auto levels = packed_levels(be, random, {300, 150}, cols);
    memory_queue<B> queue(be, {.capacity = 200, .num_cols = cols});
    placed<B, float> query(be, random.unit_rows<float>(batch, cols)),
        positive(be, random.unit_rows<float>(batch, cols));
    placed<B, index_t> sample(be, sample_numbers(batch));
    const auto step = [&](bool first, bool second, bool ranks) {
        level_views views = views_of(levels, first);
        views[1] = views_of(levels, second)[1];
        auto loss = placed<B, float>::unwritten(be, 1), of_queue = placed<B, float>::unwritten(be, ranks ? 1 : 0),
             of_levels = placed<B, float>::unwritten(be, ranks ? num_levels : 0);
        auto grad_query = placed<B, float>::unwritten(be, batch, cols);
        m_step(be,
               {.query = query.rows(),
                .positive = positive.rows(),
                .negatives = queue.rows(),
                .packed_negatives = queue.packed(),
                .sample = sample.vector(),
                .levels = views},
               {.num_negatives = 200, .seed = 4},
               {.loss = loss.vector(),
                .accuracy_instance = of_queue.vector(),
                .accuracy_per_level = of_levels.vector(),
                .grad_query = grad_query.rows()});
        return std::array{loss.values(), of_queue.values(), of_levels.values(), grad_query.row_values()};
    };
    for (const bool ranks : {false, true}) { // few columns: as many slices in any case
        const auto expected = step(false, false, ranks);
        CHECK(step(true, true, ranks) == expected);
        CHECK(step(true, false, ranks) == expected);
        CHECK(step(false, true, ranks) == expected);
    }
}

TEST_CASE("kept levels: an objective's E-step and a loaded checkpoint pack them, a step reads them") {
    TEST_RANDOM(random, 889);
    B be(test::standard_options());
    if (!has_form(be)) {
        return;
    }
    constexpr index_t cols = 12, batch = 20;
    const objective_options options{.num_samples = samples,
                                    .num_cols = cols,
                                    .num_clusters = {150, 20},
                                    .warmup_epochs = 0,
                                    .queue_size = 64,
                                    .num_negatives = 100};
    placed<B, float> features(be, random.unit_rows<float>(samples, cols)),
        query(be, random.unit_rows<float>(batch, cols)), positive(be, random.unit_rows<float>(batch, cols));
    placed<B, index_t> sample(be, std::vector<index_t>(batch, 3));
    objective<B> one(be, options), other(be, options);
    one.e_step(be, features.rows());
    const test::checkpoint_folder folder;
    save_checkpoint(be, one, folder.path("run"));
    load_checkpoint(be, folder.path("run"), other);
    const auto step = [&](objective<B>& run) {
        auto loss = placed<B, float>::unwritten(be, 1), accuracy = placed<B, float>::unwritten(be, num_levels);
        auto grad_query = placed<B, float>::unwritten(be, batch, cols);
        run.step(be, {.query = query.rows(), .positive = positive.rows(), .sample = sample.vector()},
                 {.loss = loss.vector(), .accuracy_per_level = accuracy.vector(), .grad_query = grad_query.rows()});
        auto out = grad_query.row_values();
        out.push_back(loss.values()[0]);
        for (const float of_level : accuracy.values()) {
            out.push_back(of_level);
        }
        return out;
    };
    for (const auto& level : other.levels()) {
        CHECK(!level.level().packed.empty());
        spoil(be, level, 3);
    }
    CHECK(one.uses_prototypes());
    CHECK(step(one) == step(other));
}

} // namespace kept_levels

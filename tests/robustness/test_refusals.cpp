// SPDX-License-Identifier: MIT
#include "check_refusals.hpp"

#include <set>
#include <string>

using namespace protonce;

// test_fast_math.cpp runs them on a second backend, with the other value type.
TEST_CASE("bad input: every case throws what it should, says why, and changes nothing") {
    robustness::check_all_refusals<cpu_backend<float>>();
}

TEST_CASE("bad input: there are at least 100 different cases, over every public function") {
    std::set<std::string> functions;
    std::set<std::string> different;
    for (const auto& one : robustness::all_refusals<cpu_backend<float>>()) {
        functions.emplace(one.function);
        different.insert(std::string(one.function) + ": " + std::string(one.argument) + ": " + std::string(one.given));
    }
    CHECK(different.size() >= 100);
    for (const char* function : {"normalize_rows",
                                 "normalize_rows_gradient",
                                 "kmeans",
                                 "clustering",
                                 "assign",
                                 "fill_clustering",
                                 "concentration",
                                 "e_step",
                                 "info_nce",
                                 "nt_xent",
                                 "symmetric_info_nce",
                                 "proto_nce",
                                 "draw_negative_prototypes",
                                 "m_step",
                                 "ema",
                                 "momentum_at",
                                 "memory_queue",
                                 "memory_queue.push",
                                 "memory_queue.load",
                                 "objective",
                                 "objective.e_step",
                                 "objective.step",
                                 "load_checkpoint",
                                 "save_checkpoint",
                                 "cluster_scores",
                                 "knn_scores",
                                 "alignment",
                                 "uniformity",
                                 "effective_rank"}) {
        CAPTURE(function);
        CHECK(functions.count(function) == 1);
    }
}

TEST_CASE("bad input: the world's own arguments are good, so each refusal is due to the one thing that is wrong") {
    robustness::world<cpu_backend<float>> w;
    std::vector<float> loss(1);
    CHECK_NOTHROW(kmeans(w.be, w.features.view(), {.num_clusters = 3}, w.level));
    CHECK_NOTHROW(m_step(w.be,
                         {.query = w.query.view(),
                          .positive = w.positive.view(),
                          .negatives = w.negatives.view(),
                          .sample = view_vector(w.sample),
                          .levels = w.one_level()},
                         {}, {.loss = view_vector(loss)}));
    CHECK_NOTHROW(w.queue.push(w.be, w.query.view(), view_vector(w.sample)));
    CHECK_NOTHROW(w.run.step(w.be,
                             {.query = w.query.view(), .positive = w.positive.view(), .sample = view_vector(w.sample)},
                             {.loss = view_vector(loss)}));
    CHECK(loss[0] > 0);
}

// SPDX-License-Identifier: MIT
#include <protonce/backend/reference.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

using namespace protonce;

namespace {

// Ids that draw_columns wrote, with the other outputs beside them.
template <class T>
struct drawn_columns {
    std::vector<index_t> id;
    std::vector<T> log_count;
    index_t batch_count = 0;
};

template <class T>
drawn_columns<T> draw(std::vector<label_t> own, index_t num_columns, index_t num_negatives, rng_key key) {
    reference_backend<T> be;
    const auto room = static_cast<std::size_t>(num_columns + 2);
    std::vector<index_t> id(room, -7), count(1, -7), batch_count(1, -7);
    std::vector<T> log_count(room, T{-7});
    const column_request<T, host> request{
        .own = view_vector(own),
        .num_columns = num_columns,
        .num_negatives = num_negatives,
        .key = key,
        .out = {view_vector(id), view_vector(log_count), view_vector(count), view_vector(batch_count)}};
    be.draw_columns({&request, 1});
    // Nothing is written past the columns drawn.
    for (auto i = static_cast<std::size_t>(count[0]); i < room; ++i) {
        CHECK(id[i] == -7);
        CHECK(log_count[i] == T{-7});
    }
    id.resize(static_cast<std::size_t>(count[0]));
    log_count.resize(id.size());
    return {id, log_count, batch_count[0]};
}

} // namespace

TEST_CASE_TEMPLATE("reference: segment_sum adds rows by cluster and passes over label -1", T, float, double) {
    reference_backend<T> be;
    const std::vector<T> x{1, 2, 10, 20, 3, 4, 100, 200};
    const std::vector<label_t> assignment{2, 0, 2, -1};
    std::vector<double> sum(8, 9), count(4, 9);

    be.segment_sum(view_rows(x.data(), 4, 2), {}, view_vector(assignment), view_rows(sum.data(), 4, 2),
                   view_vector(count));

    CHECK(sum == std::vector<double>{10, 20, 0, 0, 4, 6, 0, 0});
    CHECK(count == std::vector<double>{1, 0, 2, 0});
}

TEST_CASE_TEMPLATE("reference: segment_sum with weights counts the weight", T, float, double) {
    reference_backend<T> be;
    const std::vector<T> x{1, 2, 10, 20, 3, 4};
    const std::vector<T> weight{2, T(0.5), 0};
    const std::vector<label_t> assignment{1, 1, 0};
    std::vector<double> sum(4, 9), count(2, 9);

    be.segment_sum(view_rows(x.data(), 3, 2), view_vector(weight), view_vector(assignment), view_rows(sum.data(), 2, 2),
                   view_vector(count));

    CHECK(sum == std::vector<double>{0, 0, 7, 14});
    CHECK(count == std::vector<double>{0, 2.5});
}

TEST_CASE_TEMPLATE("reference: segment_scalar_sum adds values or their roots", T, float, double) {
    reference_backend<T> be;
    const std::vector<double> values{4, 9, 16, 25};
    const std::vector<T> weight{1, 2, 3, 4};
    const std::vector<label_t> assignment{0, 1, 0, -1};
    std::vector<double> plain(2, 9), plain_count(2, 9), roots(2, 9), roots_count(2, 9);

    be.segment_scalar_sum(view_vector(values), scalar_map::identity, {}, view_vector(assignment), view_vector(plain),
                          view_vector(plain_count));
    be.segment_scalar_sum(view_vector(values), scalar_map::square_root, view_vector(weight), view_vector(assignment),
                          view_vector(roots), view_vector(roots_count));

    CHECK(plain == std::vector<double>{20, 9});
    CHECK(plain_count == std::vector<double>{2, 1});
    CHECK(roots == std::vector<double>{14, 6});
    CHECK(roots_count == std::vector<double>{4, 2});
}

TEST_CASE_TEMPLATE("reference: farthest_in_segment is the lowest of the farthest rows that weigh something", T, float,
                   double) {
    reference_backend<T> be;
    const std::vector<double> values{1, 5, 7, 5, 99};
    const std::vector<label_t> assignment{0, 0, 0, 0, 1};
    const std::vector<T> weight{1, 1, 0, 1, 0};

    CHECK(be.farthest_in_segment(view_vector(values), {}, view_vector(assignment), 0) == 2);
    CHECK(be.farthest_in_segment(view_vector(values), view_vector(weight), view_vector(assignment), 0) == 1);
    CHECK(be.farthest_in_segment(view_vector(values), view_vector(weight), view_vector(assignment), 1) == -1);
    CHECK(be.farthest_in_segment(view_vector(values), {}, view_vector(assignment), 2) == -1);
}

TEST_CASE("reference: farthest_in_segment passes over NaN") {
    reference_backend<float> be;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const std::vector<double> values{nan, 0, nan, 2};
    const std::vector<label_t> assignment{0, 0, 0, 0};

    CHECK(be.farthest_in_segment(view_vector(values), {}, view_vector(assignment), 0) == 3);
}

TEST_CASE_TEMPLATE("reference: draw_weighted takes the first row whose running sum exceeds the threshold", T, float,
                   double) {
    reference_backend<T> be;
    const std::vector<double> values{0, 1, 2, 0, 1};
    const std::vector<T> weight{5, 1, T(0.5), 1, 2};
    const std::vector<double> uniform{0, 0.2, 0.25, 0.49, 0.5, 0.75, 0.999};
    std::vector<index_t> plain(7), weighted(7);

    be.draw_weighted(view_vector(values), {}, view_vector(uniform), view_vector(plain)); // running 0 1 3 3 4
    be.draw_weighted(view_vector(values), view_vector(weight), view_vector(uniform),
                     view_vector(weighted)); // running 0 1 2 2 4

    CHECK(plain == std::vector<index_t>{1, 1, 2, 2, 2, 4, 4});
    CHECK(weighted == std::vector<index_t>{1, 1, 2, 2, 4, 4, 4});
}

TEST_CASE(
    "reference: draw_weighted never takes a row without weight, not even when the product rounds up to the total") {
    reference_backend<double> be;
    const double least = std::numeric_limits<double>::denorm_min();
    const std::vector<double> values{least, 0}; // 0.9 * least rounds to least
    const std::vector<double> uniform{0.9};
    std::vector<index_t> rows(1);

    be.draw_weighted(view_vector(values), {}, view_vector(uniform), view_vector(rows));

    CHECK(rows[0] == 0);
}

TEST_CASE("reference: draw_weighted gives -1 if the total is 0 or not finite") {
    reference_backend<double> be;
    const std::vector<double> zero{0, 0};
    const std::vector<double> nan{1, std::numeric_limits<double>::quiet_NaN()};
    const std::vector<double> infinite{1, std::numeric_limits<double>::infinity()};
    const std::vector<double> uniform{0.0, 0.5};

    for (const auto& values : {zero, nan, infinite}) {
        std::vector<index_t> rows(2, 9);
        be.draw_weighted(view_vector(values), {}, view_vector(uniform), view_vector(rows));
        CHECK(rows == std::vector<index_t>{-1, -1});
    }
}

TEST_CASE_TEMPLATE("reference: draw_columns lists the batch's clusters ascending with the logarithm of their counts", T,
                   float, double) {
    const auto drawn = draw<T>({7, 2, -1, 7, 7, 4, 2}, 10, 0, {.seed = 1});

    CHECK(drawn.id == std::vector<index_t>{2, 4, 7});
    CHECK(drawn.batch_count == 3);
    CHECK(drawn.log_count == std::vector<T>{T(std::log(2.0)), 0, T(std::log(3.0))});
}

TEST_CASE_TEMPLATE("reference: draw_columns takes negatives from the other clusters by the documented permutation", T,
                   float, double) {
    const rng_key key{.seed = 11, .step = 5, .level = 2, .purpose = draw_purpose::negative_prototypes};
    // Others of P = 9 when the batch holds 0, 3 and 8, in ascending order.
    const std::vector<index_t> others{1, 2, 4, 5, 6, 7};
    const random_permutation permutation(key, 6);

    const auto drawn = draw<T>({3, 8, 0, 3}, 9, 4, key);

    REQUIRE(drawn.id.size() == 7);
    CHECK(std::vector<index_t>(drawn.id.begin(), drawn.id.begin() + 3) == std::vector<index_t>{0, 3, 8});
    for (std::size_t r = 0; r < 4; ++r) {
        CHECK(drawn.id[3 + r] == others[static_cast<std::size_t>(permutation(r))]);
        CHECK(drawn.log_count[3 + r] == 0);
    }
}

TEST_CASE("reference: draw_columns draws distinct columns and at most all that are left") {
    for (const index_t wanted : {1, 5, 6, 7, 1000}) {
        const auto drawn = draw<double>({3, 8, 0, 3}, 9, wanted, {.seed = 4});
        const std::set<index_t> distinct(drawn.id.begin(), drawn.id.end());

        CAPTURE(wanted);
        CHECK(drawn.id.size() == 3 + std::min<std::size_t>(static_cast<std::size_t>(wanted), 6));
        CHECK(distinct.size() == drawn.id.size());
        CHECK(*distinct.begin() == 0);
        CHECK(*distinct.rbegin() == 8);
    }
}

TEST_CASE("reference: draw_columns without any label draws from all clusters, with all of them nothing") {
    const auto nobody = draw<float>({-1, -1}, 4, 3, {.seed = 4});
    const auto everybody = draw<float>({0, 1, 2}, 3, 5, {.seed = 4});

    CHECK(nobody.batch_count == 0);
    CHECK(nobody.id.size() == 3);
    CHECK(everybody.batch_count == 3);
    CHECK(everybody.id == std::vector<index_t>{0, 1, 2});
}

TEST_CASE("reference: draw_columns works without the logarithms") {
    reference_backend<float> be;
    const std::vector<label_t> own{1, 1};
    std::vector<index_t> id(3), count(1), batch_count(1);

    const column_request<float, host> request{.own = view_vector(own),
                                              .num_columns = 3,
                                              .num_negatives = 2,
                                              .key = {.seed = 4},
                                              .out = {.column_id = view_vector(id),
                                                      .column_count = view_vector(count),
                                                      .batch_count = view_vector(batch_count)}};
    be.draw_columns({&request, 1});

    CHECK(count[0] == 3);
    CHECK(batch_count[0] == 1);
    CHECK(id[0] == 1);
    CHECK(id[1] + id[2] == 2);
}

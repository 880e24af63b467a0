// SPDX-License-Identifier: MIT
// Which softmax problems may share launches.
#include <protonce/backend/cuda/together.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <span>
#include <vector>

using namespace protonce;
using detail::cuda::count_together;

namespace {

/// Places in memory that nobody reads or writes.
class places {
public:
    matrix_view<float> rows(index_t first, index_t count, index_t cols, index_t stride) {
        return {memory_.data() + first, count, cols, stride};
    }
    vector_view<float> values(index_t first, index_t count) { return {memory_.data() + first, count}; }

private:
    std::vector<float> memory_ = std::vector<float>(1000);
};

using problem = contrast<float, host>;

std::size_t together(const std::vector<problem>& problems, std::size_t most = 4) {
    return count_together(std::span<const problem>(problems), most);
}

} // namespace

TEST_CASE("together: as many as there may be") {
    places at;
    const problem one{.query = at.rows(0, 3, 4, 4)};
    CHECK(together({one}) == 1);
    CHECK(together({one, one, one}) == 3);
    CHECK(together({one, one, one, one, one}) == 4);
    CHECK(together({one, one, one}, 2) == 2);
}

TEST_CASE("together: rows must be as many and as wide") {
    places at;
    const problem one{.query = at.rows(0, 3, 4, 4)};
    CHECK(together({one, one, {.query = at.rows(0, 2, 4, 4)}, one}) == 2);
    CHECK(together({one, {.query = at.rows(0, 3, 3, 4)}}) == 1);
    CHECK(together({one, {.query = at.rows(500, 3, 4, 9)}}) == 2); // strides are free
}

TEST_CASE("together: the gradient of the queries may be one, and nothing else") {
    places at;
    const auto query = at.rows(0, 3, 4, 4);
    const auto gradient = at.rows(100, 3, 4, 5); // up to 114
    const problem one{.query = query, .grad_query = gradient};
    CHECK(together({one, {.query = query, .accumulate = true, .grad_query = gradient}, one}) == 3);
    CHECK(together({one, {.query = query, .grad_query = at.rows(100, 3, 4, 6)}}) == 1); // other rows of the same memory
    CHECK(together({one, {.query = query, .grad_query = at.rows(105, 3, 4, 5)}}) == 1);
    CHECK(together({one, {.query = query, .grad_query = at.rows(114, 3, 4, 5)}}) == 2);
    CHECK(together({one, {.query = query, .grad_columns = gradient}}) == 1); // symmetric losses
    CHECK(together({{.query = query, .grad_columns = gradient}, one}) == 1);
    CHECK(together({{.query = query, .grad_query = gradient, .grad_columns = gradient}, one}) == 1); // NT-Xent
    CHECK(together({one, {.query = query, .grad_positive = gradient}}) == 1);
}

TEST_CASE("together: no output may be written twice") {
    places at;
    const auto query = at.rows(0, 3, 4, 4);
    const auto values = at.values(200, 3);
    const std::vector<problem> all{{.query = query, .loss = values},
                                   {.query = query, .log_sum = values},
                                   {.query = query, .top1 = values},
                                   {.query = query, .grad_temperature = values},
                                   {.query = query, .grad_positive = at.rows(200, 3, 4, 4)},
                                   {.query = query, .grad_columns = at.rows(190, 5, 4, 4)}};
    for (const problem& one : all) {
        for (const problem& other : all) {
            CHECK(together({one, other}) == 1);
        }
        CHECK(together({one, {.query = query, .loss = at.values(197, 3)}}) == (one.grad_columns.empty() ? 2 : 1));
        CHECK(together({one, {.query = query, .loss = at.values(220, 3)}}) == 2);
    }
    // The third one must fit to the first, not only to the second.
    CHECK(together({all[0], {.query = query}, all[1]}) == 2);
}

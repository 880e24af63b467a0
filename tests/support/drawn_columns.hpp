// SPDX-License-Identifier: MIT
#pragma once
#include <support/placed.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace test {

/// What one request of draw_columns() asks for.
struct columns_wanted {
    std::vector<label_t> own;
    index_t num_columns = 1;
    index_t num_negatives = 0;
    protonce::rng_key key{.seed = 9, .purpose = protonce::draw_purpose::negative_prototypes};
    bool step_in_memory = false; // the key has another one then
    bool wants_log_count = true;
};

/// What it writes; places that are not written hold what nobody writes.
template <class T>
struct drawn_columns {
    std::vector<index_t> id, column_count, batch_count;
    std::vector<T> log_count;

    friend bool operator==(const drawn_columns&, const drawn_columns&) = default;
};

/// Memory of a backend for one request.
template <class B>
class placed_request {
    using T = typename B::value_type;

public:
    placed_request(B& be, const columns_wanted& wanted)
        : wanted_(wanted), own_(be, wanted.own),
          step_(be, wanted.step_in_memory ? std::vector<index_t>{static_cast<index_t>(wanted.key.step)}
                                          : std::vector<index_t>{}),
          id_(placed<B, index_t>::unwritten(be, room(wanted) + 3)),
          log_count_(be, std::vector<T>(static_cast<std::size_t>(room(wanted) + 3), T(-7))),
          column_count_(placed<B, index_t>::unwritten(be, 1)), batch_count_(placed<B, index_t>::unwritten(be, 1)) {}

    protonce::column_request<T, typename B::space> request() {
        auto key = wanted_.key;
        key.step = wanted_.step_in_memory ? 12345 : key.step;
        const auto log_count = log_count_.vector();
        return {.own = own_.vector(),
                .num_columns = wanted_.num_columns,
                .num_negatives = wanted_.num_negatives,
                .key = key,
                .step = step_.vector(),
                .out = {.column_id = id_.vector(),
                        .log_count = wanted_.wants_log_count ? log_count : log_count.slice(0, 0),
                        .column_count = column_count_.vector(),
                        .batch_count = batch_count_.vector()}};
    }
    drawn_columns<T> drawn() {
        return {id_.values(), column_count_.values(), batch_count_.values(), log_count_.values()};
    }

private:
    static index_t room(const columns_wanted& wanted) {
        return std::min(wanted.num_columns, static_cast<index_t>(wanted.own.size()) + wanted.num_negatives);
    }

    columns_wanted wanted_;
    placed<B, label_t> own_;
    placed<B, index_t> step_, id_;
    placed<B, T> log_count_;
    placed<B, index_t> column_count_, batch_count_;
};

/// All that are wanted by draw(requests), which is one call of draw_columns() or what shall equal it.
template <class B, class F>
std::vector<drawn_columns<typename B::value_type>> draw_by(B& be, const std::vector<columns_wanted>& wanted,
                                                           const F& draw) {
    std::vector<placed_request<B>> places;
    std::vector<protonce::column_request<typename B::value_type, typename B::space>> requests;
    for (const auto& one : wanted) {
        places.emplace_back(be, one);
    }
    for (auto& place : places) {
        requests.push_back(place.request());
    }
    draw(requests);
    std::vector<drawn_columns<typename B::value_type>> out;
    for (auto& place : places) {
        out.push_back(place.drawn());
    }
    return out;
}

template <class B>
std::vector<drawn_columns<typename B::value_type>> draw_columns(B& be, const std::vector<columns_wanted>& wanted) {
    return draw_by(be, wanted, [&](const auto& requests) { be.draw_columns(requests); });
}

} // namespace test

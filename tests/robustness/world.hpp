// SPDX-License-Identifier: MIT
#pragma once
#include "support/backends.hpp"
#include "support/random.hpp"

#include <protonce/em/checkpoint.hpp>
#include <protonce/em/objective.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

/// What the cases of bad input share: good arguments, poisoned outputs, and objects that must stay as they are.
namespace robustness {

using namespace protonce;

constexpr index_t rows = 12;
constexpr index_t cols = 4;
constexpr index_t batch = 5;
constexpr index_t slots = 6;
constexpr index_t clusters = 3;

// By bits: with -ffast-math the compiler may assume that no such value exists.
template <class T>
T not_a_number() {
    if constexpr (sizeof(T) == 4) {
        return std::bit_cast<T>(0x7fc00000u);
    } else {
        return std::bit_cast<T>(0x7ff8000000000000ull);
    }
}
template <class T>
T infinity() {
    if constexpr (sizeof(T) == 4) {
        return std::bit_cast<T>(0x7f800000u);
    } else {
        return std::bit_cast<T>(0x7ff0000000000000ull);
    }
}

/// Memory that cases take from; it lives as long as the world. Every value of what out() gives is poison.
template <class U>
class arena {
public:
    vector_view<U> out(index_t size) {
        outputs_.emplace_back(static_cast<std::size_t>(size), poison);
        return view_vector(outputs_.back());
    }
    vector_view<U> in(std::vector<U> values) {
        inputs_.push_back(std::move(values));
        return view_vector(inputs_.back());
    }
    bool untouched() const {
        for (const auto& output : outputs_) {
            for (const U value : output) {
                if (value != poison) {
                    return false;
                }
            }
        }
        return true;
    }
    index_t num_outputs() const { return static_cast<index_t>(outputs_.size()); }

private:
    static constexpr U poison = U(77);
    std::deque<std::vector<U>> outputs_;
    std::deque<std::vector<U>> inputs_;
};

template <class B>
class world {
public:
    using T = value_of<B>;

    B be{};
    test::matrix<T> features;
    test::matrix<T> query;
    test::matrix<T> positive;
    test::matrix<T> negatives;
    std::vector<index_t> sample{0, 3, 5, 7, 11};
    clustering<B> level{be, rows, cols, clusters}; // good, and an output
    std::vector<clustering<B>> levels;             // two like it
    memory_queue<B> queue{be, {.capacity = slots, .num_cols = cols}};
    objective<B> run{be, run_options()};
    arena<T> values;
    arena<double> doubles;
    arena<label_t> labels;
    arena<index_t> indices;

    world() {
        test::random_source random(41);
        features = random.unit_rows<T>(rows, cols);
        query = random.unit_rows<T>(batch, cols);
        positive = random.unit_rows<T>(batch, cols);
        negatives = random.unit_rows<T>(slots, cols);
        kmeans(be, features.view(), {.seed = 1}, level);
        concentration(be, level.spread(), {}, level.temperatures());
        for (const index_t count : {clusters, index_t{2}}) {
            levels.emplace_back(be, rows, cols, count);
        }
        e_step(be, features.view(), {.seed = 1}, levels);
        run.end_epoch();
        run.e_step(be, features.view());
        run.step(be, {.query = query.view(), .positive = positive.view(), .sample = view_vector(sample)}, {});
    }

    static objective_options run_options() {
        return {
            .num_samples = rows, .num_cols = cols, .num_clusters = {clusters}, .warmup_epochs = 1, .queue_size = slots};
    }

    /// A copy of a matrix with one value changed.
    matrix_view<const T> changed(const test::matrix<T>& from, index_t i, index_t j, T value) {
        copies_.push_back(from);
        copies_.back()(i, j) = value;
        return std::as_const(copies_.back()).view();
    }
    matrix_view<const T> with_nan(const test::matrix<T>& from, index_t i) {
        return changed(from, i, 1, not_a_number<T>());
    }
    matrix_view<const T> with_infinity(const test::matrix<T>& from, index_t i) {
        return changed(from, i, 2, -infinity<T>());
    }
    /// Zeros of another shape.
    matrix_view<const T> zeros(index_t r, index_t c) {
        copies_.emplace_back(r, c);
        return std::as_const(copies_.back()).view();
    }

    vector_view<T> out(index_t size) { return values.out(size); }
    matrix_view<T> out(index_t r, index_t c) { return {values.out(r * c).data(), r, c}; }
    /// The one level of most cases.
    std::span<const prototype_level<T, host>> one_level() {
        views_.push_back({level.level()});
        return views_.back();
    }
    std::span<const prototype_level<T, host>> one_level(const prototype_level<T, host>& changed_level) {
        views_.push_back({changed_level});
        return views_.back();
    }

    /// Every bit that a refused call must leave alone, poisoned outputs excepted.
    std::string state() const {
        std::string out;
        const auto add = [&out](const auto& view) {
            out.append(reinterpret_cast<const char*>(view.data()),
                       static_cast<std::size_t>(view.size()) * sizeof(view[0]));
        };
        const auto add_level = [&](const clustering<B>& one) {
            for (index_t k = 0; k < one.num_clusters(); ++k) {
                add(one.centroids().row(k));
                add(one.prototypes().row(k));
            }
            add(one.assignment());
            add(one.squared_distance());
            add(one.temperatures());
        };
        const auto add_queue = [&](const memory_queue<B>& one) {
            for (index_t i = 0; i < one.size(); ++i) {
                add(one.rows().row(i));
            }
            add(one.ids());
            out += std::to_string(one.position()) + "," + std::to_string(one.size()) + "," +
                   std::to_string(one.num_pushed());
        };
        add_level(level);
        for (const auto& one : levels) {
            add_level(one);
        }
        add_queue(queue);
        add_queue(run.queue());
        for (const auto& one : run.levels()) {
            add_level(one);
        }
        out += std::to_string(run.num_steps()) + "," + std::to_string(run.epoch());
        return out;
    }
    bool outputs_untouched() const {
        return values.untouched() && doubles.untouched() && labels.untouched() && indices.untouched();
    }

private:
    std::deque<test::matrix<T>> copies_;
    std::deque<std::vector<prototype_level<T, host>>> views_;
};

enum class kind { shape, argument, backend };

/// One bad call: what must be thrown and what its text must say: `function: argument: needed; got given`.
template <class B>
struct refusal {
    std::string_view function;
    std::string_view argument;
    std::string_view given;
    kind exception;
    void (*call)(world<B>&);
};

template <class B>
using refusals = std::vector<refusal<B>>;

} // namespace robustness

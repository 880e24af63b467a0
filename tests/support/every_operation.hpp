// SPDX-License-Identifier: MIT
#pragma once
#include <support/contrast_run.hpp>
#include <support/placed.hpp>
#include <support/random.hpp>
#include <support/store_sum.hpp>

#include <cstddef>
#include <cstring>
#include <vector>

namespace test {

using protonce::scalar_map;

/// Inputs of every operation, large enough for several tasks and slices.
template <class T>
struct workload {
    index_t rows = 1100;
    index_t cols = 19;
    index_t clusters = 37;
    matrix<T> x, centroids;
    std::vector<T> weight;
    std::vector<label_t> assignment;
    std::vector<double> values, uniform;
    std::vector<contrast_problem<T>> problems;

    explicit workload(random_source& random)
        : x(random.uniform_matrix<T>(rows, cols, 1, 3, 2)), centroids(random.uniform_matrix<T>(clusters, cols, 1, 3)),
          weight(random.uniform_values<T>(rows)), assignment(random.labels(rows, static_cast<label_t>(clusters))),
          values(random.uniform_values<double>(rows)), uniform(random.uniform_values<double>(20)) {
        problems.push_back(random_problem<T>(random, {.rows = 300, .pool = 2500, .cols = 7, .outside = true}));
        problems.push_back(random_problem<T>(random, {.rows = 40,
                                                      .pool = 3000,
                                                      .cols = 9,
                                                      .selected = true,
                                                      .groups = true,
                                                      .column_temperatures = true,
                                                      .weights = true,
                                                      .scales = true,
                                                      .noise = true}));
    }
};

/// The bits of every result of every operation, one after the other.
class results {
public:
    template <class U>
    void add(const std::vector<U>& values) {
        const std::size_t old = bytes_.size();
        bytes_.resize(old + values.size() * sizeof(U));
        if (!values.empty()) {
            std::memcpy(bytes_.data() + old, values.data(), values.size() * sizeof(U));
        }
    }
    const std::vector<unsigned char>& bytes() const { return bytes_; }
    bool operator==(const results&) const = default;

private:
    std::vector<unsigned char> bytes_;
};

/// out_i = 2 x_i
template <class T>
struct twice {
    const T* x;
    T* out;

    PROTONCE_HOST_DEVICE void operator()(index_t i) const { out[i] = 2 * x[i]; }
};

template <class B>
results run_every_operation(B& be, const workload<typename B::value_type>& in) {
    using T = typename B::value_type;
    results out;
    placed<B, T> x(be, in.x), centroids(be, in.centroids), weight(be, in.weight), y(be, in.weight);
    placed<B, label_t> assignment(be, in.assignment);
    placed<B, double> values(be, in.values), uniform(be, in.uniform), relaxed(be, in.values);
    const auto add = [&](auto&& memory) { out.add(memory.values()); };

    auto unit = placed<B, T>::unwritten(be, in.rows, in.cols);
    auto gradient = placed<B, T>::unwritten(be, in.rows, in.cols);
    auto norms = placed<B, T>::unwritten(be, in.rows);
    be.normalize_rows(x.rows(), unit.rows(), norms.vector());
    be.normalize_rows_gradient(unit.rows(), norms.vector(), x.rows(), gradient.rows());
    be.axpby(0.9, weight.vector(), 0.1, y.vector());
    auto doubled = placed<B, T>::unwritten(be, in.rows);
    be.for_each(in.rows, twice<T>{weight.vector().data(), doubled.vector().data()});
    add(doubled);
    add(unit);
    add(gradient);
    add(norms);
    add(y);

    auto sum = placed<B, double>::unwritten(be, in.clusters, in.cols);
    auto count = placed<B, double>::unwritten(be, in.clusters);
    auto scalars = placed<B, double>::unwritten(be, in.clusters);
    auto mean = placed<B, T>::unwritten(be, in.clusters, in.cols);
    auto total = placed<B, double>::unwritten(be, 1);
    auto row_sum = placed<B, double>::unwritten(be, in.rows);
    auto drawn = placed<B, index_t>::unwritten(be, 20);
    be.segment_sum(x.rows(), weight.vector(), assignment.vector(), sum.rows(), count.vector());
    be.mean_rows(sum.rows(), count.vector(), mean.rows());
    be.segment_scalar_sum(values.vector(), scalar_map::square_root, {}, assignment.vector(), scalars.vector(),
                          count.vector());
    protonce::detail::sum_rows(be, protonce::matrix_of<B, const double>(values.vector().data(), 1, in.rows),
                               store_sum{total.vector().data()});
    protonce::detail::sum_rows(be, protonce::matrix_of<B, const T>(x.rows()), store_sum{row_sum.vector().data()});
    be.draw_weighted(values.vector(), weight.vector(), uniform.vector(), drawn.vector());
    add(sum);
    add(count);
    add(scalars);
    add(mean);
    add(total);
    add(row_sum);
    add(drawn);
    out.add(std::vector<index_t>{be.farthest_in_segment(values.vector(), weight.vector(), assignment.vector(), 3),
                                 be.first_nonfinite_row(x.rows())});

    auto label = placed<B, label_t>::unwritten(be, in.rows);
    auto distance = placed<B, double>::unwritten(be, in.rows);
    auto potential = placed<B, double>::unwritten(be, in.clusters);
    {
        auto index = be.index_rows(x.rows(), true);
        be.nearest_row(index, centroids.rows(), label.vector(), distance.vector());
        be.candidate_potential(index, centroids.rows(), weight.vector(), values.vector(), potential.vector());
        be.relax_nearest(index, centroids.rows().slice(2, 1), relaxed.vector());
    }
    auto top = placed<B, label_t>::unwritten(be, in.clusters, 20);
    auto similarity = placed<B, T>::unwritten(be, in.clusters, 20);
    be.top_rows(centroids.rows(), x.rows(), top.rows(), similarity.rows());
    add(label);
    add(distance);
    add(potential);
    add(relaxed);
    add(top);
    add(similarity);

    auto id = placed<B, index_t>::unwritten(be, in.clusters);
    auto log_count = placed<B, T>::unwritten(be, in.clusters);
    auto column_count = placed<B, index_t>::unwritten(be, 1);
    auto batch_count = placed<B, index_t>::unwritten(be, 1);
    const protonce::column_request<T, typename B::space> request{
        .own = assignment.vector().slice(0, 9),
        .num_columns = in.clusters,
        .num_negatives = 10,
        .key = {.seed = 4},
        .out = {id.vector(), log_count.vector(), column_count.vector(), batch_count.vector()}};
    be.draw_columns({&request, 1});
    add(id);
    add(log_count);
    add(column_count);
    add(batch_count);

    for (const auto& problem : in.problems) {
        const auto r = run_contrast(be, problem);
        for (const auto* part :
             {&r.loss, &r.log_sum, &r.top1, &r.grad_query, &r.grad_positive, &r.grad_columns, &r.grad_temperature}) {
            out.add(*part);
        }
    }
    return out;
}

} // namespace test

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/elementwise/draws.hpp>
#include <protonce/backend/elementwise/nearest.hpp>
#include <protonce/backend/elementwise/rows.hpp>
#include <protonce/backend/elementwise/segments.hpp>
#include <protonce/backend/elementwise/softmax_contrast.hpp>
#include <protonce/core/backend.hpp>

#include <memory_resource>
#include <span>
#include <type_traits>

namespace protonce::inline v0::detail::elementwise {

/// Every operation of the seam on top of a `Run`, which has
///
///     for_each(n, f)               f(i) for i in [0, n), in any order
///     stable_sort(scratch, key, row, n)   by key; rows are ascending
///     copy, read, write(from, to, n)   within the device, to the host, from it (both wait)
template <real T, class Run>
class operations {
public:
    using value_type = T;
    using space = typename Run::space;
    using row_index = elementwise::row_index<T, Run>;

    operations(std::pmr::memory_resource* memory, bool check_finite, Run run)
        : memory_(memory), scratch_(memory), host_scratch_(std::pmr::get_default_resource()), run_(run),
          check_finite_(check_finite) {}

    std::pmr::memory_resource* memory() const { return memory_; }
    workspace<space>& scratch() { return scratch_; }
    workspace<host>& host_scratch() { return host_scratch_; }
    bool check_finite() const { return check_finite_; }

    template <class U>
    void copy(vector_view<const std::type_identity_t<U>, space> from, vector_view<U, space> to) {
        run().copy(from.data(), to.data(), to.size());
    }
    template <class U>
    void fill(vector_view<U, space> to, std::type_identity_t<U> value) {
        elementwise::fill(run(), to.data(), to.size(), value);
    }
    template <class U>
    void read(vector_view<const std::type_identity_t<U>, space> from, vector_view<U> to) {
        run().read(from.data(), to.data(), to.size());
    }
    template <class U>
    void write(vector_view<const std::type_identity_t<U>> from, vector_view<U, space> to) {
        run().write(from.data(), to.data(), to.size());
    }

    template <class F>
    void for_each(index_t n, const F& f) {
        run().for_each(n, f);
    }

    void row_norms(matrix_view<const T, space> x, vector_view<T, space> norms) {
        elementwise::row_norms<Run, T>(run(), x, norms.data());
    }
    void normalize_rows(matrix_view<const T, space> x, matrix_view<T, space> unit, vector_view<T, space> norms) {
        elementwise::normalize_rows<Run, T>(run(), x, unit, data_of(norms));
    }
    void normalize_rows_gradient(matrix_view<const T, space> unit, vector_view<const T, space> norms,
                                 matrix_view<const T, space> gradient, matrix_view<T, space> out) {
        elementwise::normalize_rows_gradient<Run, T>(run(), unit, norms.data(), gradient, out);
    }
    void gather_rows(matrix_view<const T, space> from, vector_view<const index_t, space> ids,
                     matrix_view<T, space> to) {
        elementwise::gather_rows<Run, T>(run(), from, ids.data(), to);
    }
    void scatter_rows(matrix_view<const T, space> from, vector_view<const index_t, space> ids,
                      matrix_view<T, space> to) {
        elementwise::scatter_rows<Run, T>(run(), from, ids.data(), to);
    }
    void gather_labels(vector_view<const label_t, space> from, vector_view<const index_t, space> ids,
                       vector_view<label_t, space> to) {
        const label_t* labels = from.data();
        const index_t* id = ids.data();
        label_t* out = to.data();
        run().for_each(ids.size(),
                       [=] PROTONCE_ON_DEVICE(index_t i) { out[i] = id[i] < 0 ? label_t{-1} : labels[id[i]]; });
    }
    void axpby(double a, vector_view<const T, space> x, double b, vector_view<T, space> y) {
        const T* from = x.data();
        T* to = y.data();
        run().for_each(x.size(), [=] PROTONCE_ON_DEVICE(index_t i) { to[i] = weighted_sum(a, from[i], b, to[i]); });
    }
    void mean_rows(matrix_view<const double, space> sum, vector_view<const double, space> count,
                   matrix_view<T, space> mean) {
        elementwise::mean_rows<Run, T>(run(), sum, count.data(), mean);
    }
    index_t first_nonfinite_row(matrix_view<const T, space> rows) {
        return elementwise::first_nonfinite_row<Run, T>(run(), scratch_, rows);
    }
    template <class Value, class F, class Last>
    void sum_rows(index_t rows, index_t cols, const Value& value, const F& f, const Last& last) {
        elementwise::sum_rows(run(), scratch_, rows, cols, value, f);
        elementwise::at_the_end(run(), last);
    }

    void segment_sum(matrix_view<const T, space> rows, vector_view<const T, space> weight,
                     vector_view<const label_t, space> assignment, matrix_view<double, space> sum,
                     vector_view<double, space> count) {
        elementwise::segment_sum<Run, T>(run(), scratch_, rows, data_of(weight), assignment, sum, count.data());
    }
    void segment_scalar_sum(vector_view<const double, space> values, scalar_map map, vector_view<const T, space> weight,
                            vector_view<const label_t, space> assignment, vector_view<double, space> sum,
                            vector_view<double, space> count) {
        elementwise::segment_scalar_sum(run(), scratch_, values.data(), map, data_of(weight), assignment, sum,
                                        count.data());
    }
    index_t farthest_in_segment(vector_view<const double, space> values, vector_view<const T, space> weight,
                                vector_view<const label_t, space> assignment, label_t k) {
        const double* value = values.data();
        const T* w = data_of(weight);
        const label_t* label = assignment.data();
        return first_best(run(), scratch_, values.size(), [=] PROTONCE_ON_DEVICE(index_t i, index_t winner) {
            const bool counts = label[i] == k && weight_of(w, i) > 0 && value[i] == value[i];
            return counts && (winner < 0 || value[i] > value[winner]);
        });
    }
    void draw_weighted(vector_view<const double, space> values, vector_view<const T, space> weight,
                       vector_view<const double, space> uniform, vector_view<index_t, space> rows) {
        elementwise::draw_weighted(run(), scratch_, values, data_of(weight), uniform.data(), rows);
    }

    row_index index_rows(matrix_view<const T, space> features, bool may_centre) {
        return row_index(run(), scratch_, features, may_centre);
    }
    void nearest_row(row_index& index, matrix_view<const T, space> centroids, vector_view<label_t, space> assignment,
                     vector_view<double, space> squared_distance) {
        elementwise::nearest_row<Run, T>(run(), scratch_, index, centroids, assignment.data(),
                                         data_of(squared_distance));
    }
    void candidate_potential(row_index& index, matrix_view<const T, space> candidates,
                             vector_view<const T, space> weight, vector_view<const double, space> least,
                             vector_view<double, space> potential) {
        elementwise::candidate_potential<Run, T>(run(), scratch_, index.features(), candidates, data_of(weight),
                                                 least.data(), potential.data());
    }
    void relax_nearest(row_index& index, matrix_view<const T, space> candidate, vector_view<double, space> least) {
        elementwise::relax_nearest<Run, T>(run(), index.features(), candidate.data(), least.data());
    }
    void top_rows(matrix_view<const T, space> queries, matrix_view<const T, space> bank,
                  matrix_view<label_t, space> rows, matrix_view<T, space> similarity) {
        elementwise::top_rows<Run, T>(run(), scratch_, queries, bank, rows, similarity);
    }

    void softmax_contrast(std::span<const contrast<T, space>> problems) {
        for (const auto& problem : problems) {
            elementwise::softmax_contrast(run(), scratch_, problem, plain_products{});
        }
    }
    void draw_columns(std::span<const column_request<T, space>> requests) {
        for (const auto& request : requests) {
            elementwise::draw_columns(run(), scratch_, request);
        }
    }

protected:
    Run& run() { return run_; }

private:
    std::pmr::memory_resource* memory_;
    workspace<space> scratch_;
    workspace<host> host_scratch_;
    Run run_;
    bool check_finite_;
};

} // namespace protonce::inline v0::detail::elementwise

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/reference/distance.hpp>
#include <protonce/backend/reference/draws.hpp>
#include <protonce/backend/reference/softmax_contrast.hpp>
#include <protonce/core/backend.hpp>

#include <algorithm>
#include <cmath>
#include <memory_resource>
#include <span>
#include <type_traits>

namespace protonce::inline v0 {

struct reference_options {
    std::pmr::memory_resource* memory = nullptr; // of scratch and memory(); nullptr: the default resource
    bool check_finite = true;                    // algorithms refuse NaN and infinity in features
};

/// The specification of every operation, in plain loops: one thread, sums in double in row order, each result rounded
/// to T once. Slow, and what every other backend is compared with.
///
/// nearest_row() compares distances in exact arithmetic. With NaN in, NaN comes out; NaN is never nearest, farthest or
/// most similar while there is a number. Squares of double values must fit into double: |x| below 1e150, and rows
/// shorter than 1e-150 count as zero.
template <real T>
class reference_backend {
public:
    using value_type = T;
    using space = host;
    /// Nothing is worth keeping here: the features themselves.
    struct row_index {
        matrix_view<const T> features;
    };

    explicit reference_backend(reference_options options = {})
        : memory_(options.memory != nullptr ? options.memory : std::pmr::get_default_resource()), scratch_(memory_),
          check_finite_(options.check_finite) {}

    std::pmr::memory_resource* memory() const { return memory_; }
    workspace<host>& scratch() { return scratch_; }
    workspace<host>& host_scratch() { return scratch_; }
    bool check_finite() const { return check_finite_; }

    template <class U>
    void copy(vector_view<const std::type_identity_t<U>> from, vector_view<U> to) {
        std::copy(from.begin(), from.end(), to.begin());
    }
    template <class U>
    void fill(vector_view<U> to, std::type_identity_t<U> value) {
        std::fill(to.begin(), to.end(), value);
    }
    template <class U>
    void read(vector_view<const std::type_identity_t<U>> from, vector_view<U> to) {
        copy(from, to);
    }
    template <class U>
    void write(vector_view<const std::type_identity_t<U>> from, vector_view<U> to) {
        copy(from, to);
    }

    /// f(i) for every i in [0, n)
    template <class F>
    void for_each(index_t n, const F& f) {
        for (index_t i = 0; i < n; ++i) {
            f(i);
        }
    }

    /// norms_i = ||rows_i||
    void row_norms(matrix_view<const T> rows, vector_view<T> norms) {
        for (index_t i = 0; i < rows.rows(); ++i) {
            norms[i] = static_cast<T>(norm(rows.row(i)));
        }
    }

    /// unit_i = rows_i / ||rows_i||, a zero row stays zero. `norms` may be empty, `unit` may be the view `rows`.
    void normalize_rows(matrix_view<const T> rows, matrix_view<T> unit, vector_view<T> norms) {
        for (index_t i = 0; i < rows.rows(); ++i) {
            const double length = norm(rows.row(i));
            for (index_t j = 0; j < rows.cols(); ++j) {
                unit(i, j) = length == 0 ? T{} : static_cast<T>(static_cast<double>(rows(i, j)) / length);
            }
            if (!norms.empty()) {
                norms[i] = static_cast<T>(length);
            }
        }
    }

    /// With u = x / ||x||:  dL/dx = (g - (g.u) u) / ||x||,  g = dL/du; 0 where the norm is 0. `out` may be `gradient`.
    void normalize_rows_gradient(matrix_view<const T> unit, vector_view<const T> norms, matrix_view<const T> gradient,
                                 matrix_view<T> out) {
        for (index_t i = 0; i < unit.rows(); ++i) {
            const double along = reference_detail::inner_product(gradient.row(i), unit.row(i));
            const double length = norms[i];
            for (index_t j = 0; j < unit.cols(); ++j) {
                const double across = static_cast<double>(gradient(i, j)) - along * static_cast<double>(unit(i, j));
                out(i, j) = length == 0 ? T{} : static_cast<T>(across / length);
            }
        }
    }

    /// to_i = from_{ids_i}
    void gather_rows(matrix_view<const T> from, vector_view<const index_t> ids, matrix_view<T> to) {
        for (index_t i = 0; i < ids.size(); ++i) {
            copy(from.row(ids[i]), to.row(i));
        }
    }

    /// to_{ids_i} = from_i, ids distinct
    void scatter_rows(matrix_view<const T> from, vector_view<const index_t> ids, matrix_view<T> to) {
        for (index_t i = 0; i < ids.size(); ++i) {
            copy(from.row(i), to.row(ids[i]));
        }
    }

    /// to_i = from_{ids_i}, -1 for an id of -1
    void gather_labels(vector_view<const label_t> from, vector_view<const index_t> ids, vector_view<label_t> to) {
        for (index_t i = 0; i < ids.size(); ++i) {
            to[i] = ids[i] < 0 ? label_t{-1} : from[ids[i]];
        }
    }

    /// y = a x + b y. With b = 0 the old y is not read.
    void axpby(double a, vector_view<const T> x, double b, vector_view<T> y) {
        for (index_t i = 0; i < x.size(); ++i) {
            const double scaled = a * static_cast<double>(x[i]);
            y[i] = static_cast<T>(b == 0 ? scaled : scaled + b * static_cast<double>(y[i]));
        }
    }

    /// mean_k = sum_k / count_k; rows with count_k = 0 stay as they are.
    void mean_rows(matrix_view<const double> sum, vector_view<const double> count, matrix_view<T> mean) {
        for (index_t k = 0; k < sum.rows(); ++k) {
            for (index_t j = 0; j < sum.cols() && count[k] != 0; ++j) {
                mean(k, j) = static_cast<T>(sum(k, j) / count[k]);
            }
        }
    }

    /// Lowest row that holds NaN or infinity, -1 if there is none.
    index_t first_nonfinite_row(matrix_view<const T> rows) {
        for (index_t i = 0; i < rows.rows(); ++i) {
            if (!reference_detail::all_finite(rows.row(i))) {
                return i;
            }
        }
        return -1;
    }

    /// f(m, sum_j value(m, j)) for every row, then last().
    template <class Value, class F, class Last>
    void sum_rows(index_t rows, index_t cols, const Value& value, const F& f, const Last& last) {
        for (index_t m = 0; m < rows; ++m) {
            double sum = 0;
            for (index_t j = 0; j < cols; ++j) {
                sum += value(m, j);
            }
            f(m, sum);
        }
        last();
    }

    /// sum_k = sum of weight_i rows_i and count_k = sum of weight_i, over the rows i with label k; no weight: all 1.
    void segment_sum(matrix_view<const T> rows, vector_view<const T> weight, vector_view<const label_t> assignment,
                     matrix_view<double> sum, vector_view<double> count) {
        for (index_t k = 0; k < sum.rows(); ++k) {
            fill(sum.row(k), 0.0);
        }
        fill(count, 0.0);
        for (index_t i = 0; i < rows.rows(); ++i) {
            const index_t k = assignment[i];
            if (k < 0) {
                continue;
            }
            const double w = weight_of(weight, i);
            for (index_t j = 0; j < rows.cols(); ++j) {
                sum(k, j) += w * static_cast<double>(rows(i, j));
            }
            count[k] += w;
        }
    }

    /// sum_k = sum of weight_i map(values_i) and count_k = sum of weight_i, over the rows i with label k; no weight: 1.
    void segment_scalar_sum(vector_view<const double> values, scalar_map map, vector_view<const T> weight,
                            vector_view<const label_t> assignment, vector_view<double> sum, vector_view<double> count) {
        fill(sum, 0.0);
        fill(count, 0.0);
        for (index_t i = 0; i < values.size(); ++i) {
            const index_t k = assignment[i];
            if (k < 0) {
                continue;
            }
            const double w = weight_of(weight, i);
            sum[k] += w * (map == scalar_map::square_root ? std::sqrt(values[i]) : values[i]);
            count[k] += w;
        }
    }

    /// Lowest row of the largest value with label k and positive weight, NaN passed over; -1 if there is none.
    index_t farthest_in_segment(vector_view<const double> values, vector_view<const T> weight,
                                vector_view<const label_t> assignment, label_t k) {
        index_t best = -1;
        for (index_t i = 0; i < values.size(); ++i) {
            const bool counts = assignment[i] == k && weight_of(weight, i) > 0 && values[i] == values[i];
            if (counts && (best < 0 || values[i] > values[best])) {
                best = i;
            }
        }
        return best;
    }

    /// rows_l: first row whose running sum of values_i weight_i exceeds uniform_l * total; total 0 or not finite: -1.
    void draw_weighted(vector_view<const double> values, vector_view<const T> weight, vector_view<const double> uniform,
                       vector_view<index_t> rows) {
        reference_detail::draw_weighted(values, weight, uniform, rows);
    }

    row_index index_rows(matrix_view<const T> features, bool /*may_centre*/) { return {features}; }

    /// Nearest centroid in exact arithmetic, lowest number among equals, and the squared distance to it. A row that
    /// holds NaN or infinity: label 0, distance NaN. `squared_distance` may be empty.
    void nearest_row(row_index& index, matrix_view<const T> centroids, vector_view<label_t> assignment,
                     vector_view<double> squared_distance) {
        for (index_t i = 0; i < index.features.rows(); ++i) {
            const auto x = index.features.row(i);
            const index_t best = reference_detail::nearest_centroid(x, centroids);
            assignment[i] = static_cast<label_t>(best);
            if (!squared_distance.empty()) {
                squared_distance[i] = reference_detail::squared_distance(x, centroids.row(best));
            }
        }
    }

    /// potential_l = sum of weight_i min(least_i, ||x_i - candidate_l||^2). Empty weight: 1 a row.
    void candidate_potential(row_index& index, matrix_view<const T> candidates, vector_view<const T> weight,
                             vector_view<const double> least, vector_view<double> potential) {
        for (index_t l = 0; l < candidates.rows(); ++l) {
            double sum = 0;
            for (index_t i = 0; i < least.size(); ++i) {
                const double distance = reference_detail::squared_distance(index.features.row(i), candidates.row(l));
                sum += weight_of(weight, i) * reference_detail::smaller(least[i], distance);
            }
            potential[l] = sum;
        }
    }

    /// least_i = min(least_i, ||x_i - candidate||^2), one candidate row.
    void relax_nearest(row_index& index, matrix_view<const T> candidate, vector_view<double> least) {
        for (index_t i = 0; i < least.size(); ++i) {
            const double distance = reference_detail::squared_distance(index.features.row(i), candidate.row(0));
            least[i] = reference_detail::smaller(least[i], distance);
        }
    }

    /// The k = rows.cols() <= bank.rows() rows of the bank with the largest inner products, compared in double:
    /// descending, lowest row first among equals, NaN last.
    void top_rows(matrix_view<const T> queries, matrix_view<const T> bank, matrix_view<label_t> rows,
                  matrix_view<T> similarity) {
        workspace<host>::scope scope(scratch_);
        auto product = scope.vector<double>(bank.rows());
        auto order = scope.vector<label_t>(bank.rows());
        const auto first = [&](label_t a, label_t b) {
            const double x = product[a];
            const double y = product[b];
            const bool equal = x == y || (x != x && y != y);
            return equal ? a < b : x > y || y != y;
        };
        for (index_t i = 0; i < queries.rows(); ++i) {
            for (index_t j = 0; j < bank.rows(); ++j) {
                product[j] = reference_detail::inner_product(queries.row(i), bank.row(j));
                order[j] = static_cast<label_t>(j);
            }
            std::partial_sort(order.begin(), order.begin() + rows.cols(), order.end(), first);
            for (index_t l = 0; l < rows.cols(); ++l) {
                rows(i, l) = order[l];
                similarity(i, l) = static_cast<T>(product[order[l]]);
            }
        }
    }

    /// The problems one after the other: a later one may add to gradients of an earlier one.
    void softmax_contrast(std::span<const contrast<T, host>> problems) {
        for (const auto& problem : problems) {
            reference_detail::softmax_contrast(scratch_, problem);
        }
    }

    /// The batch's distinct clusters and negatives drawn without replacement from the others.
    void draw_columns(std::span<const column_request<T, host>> requests) {
        for (const auto& request : requests) {
            reference_detail::draw_columns(scratch_, request.own, request.num_columns, request.num_negatives,
                                           detail::at_step(request.key, detail::data_of(request.step)), request.out);
        }
    }

private:
    static double norm(vector_view<const T> x) { return std::sqrt(reference_detail::inner_product(x, x)); }
    static double weight_of(vector_view<const T> weight, index_t i) {
        return weight.empty() ? 1.0 : static_cast<double>(weight[i]);
    }

    std::pmr::memory_resource* memory_;
    workspace<host> scratch_;
    bool check_finite_;
};

static_assert(backend<reference_backend<float>> && backend<reference_backend<double>>);

} // namespace protonce::inline v0

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/elementwise/table.hpp>
#include <protonce/core/exact_distance.hpp>
#include <protonce/core/workspace.hpp>

#include <limits>
#include <type_traits>

namespace protonce::inline v0::detail::elementwise {

/// Rounded to T, so that taking it off rounds each value once more.
template <class Run, class T>
void find_mean(Run& run, scratch_of<Run>& scratch, table<const T> x, T* mean) {
    sum_columns(
        run, scratch, x.rows, x.cols,
        [=] PROTONCE_ON_DEVICE(double sum, index_t i, index_t j) { return sum + static_cast<double>(x(i, j)); },
        [=] PROTONCE_ON_DEVICE(index_t j, double sum) { mean[j] = static_cast<T>(sum / static_cast<double>(x.rows)); });
}

/// What is kept of rows that are assigned many times: their mean, so that scores of points far from the origin keep their digits.
template <class T, class Run>
class row_index {
public:
    /// \param may_centre  false: the rows are taken as they are
    row_index(Run& run, scratch_of<Run>& scratch, matrix_view<const T, typename Run::space> features, bool may_centre)
        : scope_(scratch), features_(features), mean_(scope_.template vector<T>(features.cols()).data()) {
        if (may_centre) {
            find_mean<Run, T>(run, scratch, features, mean_);
        } else {
            fill(run, mean_, features.cols(), T(0));
        }
    }

    matrix_view<const T, typename Run::space> features() const { return features_; }
    const T* mean() const { return mean_; }

private:
    scope_of<Run> scope_;
    matrix_view<const T, typename Run::space> features_;
    T* mean_;
};

/// The best of the scores x.c - ||c||^2 / 2 of one row, and the runner-up.
template <class T>
struct best_two {
    T first = -std::numeric_limits<T>::infinity();
    T second = -std::numeric_limits<T>::infinity();
    label_t label = 0;

    /// Without branches; NaN is never better.
    PROTONCE_HOST_DEVICE void take(T score, index_t k) {
        const bool is_best = score > first;
        const T loser = is_best ? first : score;
        second = loser > second ? loser : second;
        first = is_best ? score : first;
        label = is_best ? static_cast<label_t>(k) : label;
    }
    /// Is the best one the nearest for sure, if scores are within margin / 2 of the exact ones?
    PROTONCE_HOST_DEVICE bool is_certain(T margin) const { return first - second > margin && check::is_finite(margin); }
};

/// Twice what a score may err by, which is `roundings` units of ||x|| ||c|| + ||c||^2 / 2, and more, for the roundings of the bound
/// itself. Infinity where a score may have overflowed: the product of norms comes first.
template <class T>
PROTONCE_HOST_DEVICE T score_margin(T longest, T norm, T roundings) {
    constexpr T unit = std::numeric_limits<T>::epsilon() / 2;
    const T tiny = (std::numeric_limits<T>::min)() * roundings; // products that underflow
    return 4 * longest * (norm + longest) * (roundings * unit) + tiny;
}

/// Writes the label of row i, the exact one, and its squared distance, from the differences, in double. A row whose best score is not
/// certain is looked at again: distances in double, and exact arithmetic where even those cannot tell.
template <class T>
PROTONCE_HOST_DEVICE void settle_row(index_t i, const best_two<T>& best, T margin, table<const T> x,
                                     table<const T> centroids, label_t* assignment, double* squared_distances) {
    const index_t label = best.is_certain(margin) ? best.label
                                                  : nearest_centroid(x.row(i), centroids.data, centroids.rows,
                                                                     centroids.cols, centroids.stride);
    assignment[i] = static_cast<label_t>(label);
    if (squared_distances != nullptr) {
        squared_distances[i] = squared_distance(x.row(i), centroids.row(label), x.cols);
    }
}

/// Centroids less the mean, in rows of `moved`; half their squared norms, and the largest norm:
/// infinity where squares of norms underflow, so that no score of such centroids is taken for certain.
template <class Run, class T>
void centre_centroids(Run& run, scratch_of<Run>& scratch, table<const T> centroids, const T* mean, table<T> moved,
                      T* half_square, T* longest) {
    scope_of<Run> scope(scratch);
    double* norm = scope.template vector<double>(centroids.rows).data();
    const index_t cols = centroids.cols;
    run.for_each(centroids.rows, [=] PROTONCE_ON_DEVICE(index_t k) {
        double sum = 0;
        for (index_t j = 0; j < cols; ++j) {
            moved(k, j) = centroids(k, j) - mean[j];
            sum += static_cast<double>(moved(k, j)) * static_cast<double>(moved(k, j));
        }
        half_square[k] = static_cast<T>(sum / 2);
        norm[k] = std::sqrt(sum);
    });
    run.for_each(1, [=] PROTONCE_ON_DEVICE(index_t) {
        constexpr double smallest =
            std::is_same_v<T, float> ? 0x1p-60 : 0x1p-508; // above the root of the smallest number
        double largest = 0;
        for (index_t k = 0; k < centroids.rows; ++k) {
            largest = norm[k] > largest || norm[k] != norm[k] ? norm[k] : largest;
        }
        const bool underflows = largest > 0 && largest < smallest;
        longest[0] = underflows ? std::numeric_limits<T>::infinity() : static_cast<T>(largest);
    });
}

/// Scores of one row with all centroids, both centred, eight at a time: eight chains hide each other's latency.
///
/// \param squared  overwritten: ||x||^2 of the centred row
template <class T>
PROTONCE_HOST_DEVICE best_two<T> score_row(const T* x, const T* mean, table<const T> centred, const T* half_square,
                                           T& squared) {
    constexpr int width = 8;
    best_two<T> best;
    for (index_t k0 = 0; k0 < centred.rows; k0 += width) {
        const T* c[width];
        T score[width];
        for (int w = 0; w < width; ++w) {
            const index_t k = k0 + w < centred.rows ? k0 + w : centred.rows - 1;
            c[w] = centred.row(k);
            score[w] = -half_square[k];
        }
        squared = T(0);
        for (index_t j = 0; j < centred.cols; ++j) {
            const T value = x[j] - mean[j];
            squared = multiply_add(value, value, squared);
            for (int w = 0; w < width; ++w) {
                score[w] = multiply_add(value, c[w][j], score[w]);
            }
        }
        for (int w = 0; w < width && k0 + w < centred.rows; ++w) {
            best.take(score[w], k0 + w);
        }
    }
    return best;
}

/// Label of the nearest centroid in exact arithmetic, the lowest among equals, and the squared distance to it.
///
/// Scores in T name the best of each row; settle_row() looks again where the runner-up lies within what rounding may hide, or
/// anything overflowed. With u the unit of T, x and c centred (one rounding each), a score is one chain of C products from
/// -||c||^2 / 2 on: it is within (C + 5) u (||x|| ||c|| + ||c||^2 / 2) of the exact one, and products may underflow.
template <class Run, class T>
void nearest_row(Run& run, scratch_of<Run>& scratch, const row_index<T, Run>& index, table<const T> centroids,
                 label_t* assignment, double* squared_distances) {
    scope_of<Run> scope(scratch);
    const table<const T> x(index.features());
    const T* mean = index.mean();
    const index_t cols = x.cols;
    const auto moved = scope.template matrix<T>(centroids.rows, cols);
    T* half_square = scope.template vector<T>(centroids.rows).data();
    T* longest = scope.template vector<T>(1).data();
    centre_centroids<Run, T>(run, scratch, centroids, mean, moved, half_square, longest);
    const table<const T> centred = moved;
    run.for_each(x.rows, [=] PROTONCE_ON_DEVICE(index_t i) {
        T squared = 0;
        const best_two<T> best = score_row(x.row(i), mean, centred, half_square, squared);
        const T margin = score_margin<T>(longest[0], std::sqrt(squared), static_cast<T>(cols + 8));
        settle_row(i, best, margin, x, centroids, assignment, squared_distances);
    });
}

/// potential_l = sum of weight_i min(least_i, ||x_i - candidate_l||^2)
template <class Run, class T>
void candidate_potential(Run& run, scratch_of<Run>& scratch, table<const T> x, table<const T> candidates,
                         const T* weight, const double* least, double* potential) {
    sum_columns(
        run, scratch, x.rows, candidates.rows,
        [=] PROTONCE_ON_DEVICE(double sum, index_t i, index_t l) {
            const double distance = squared_distance(x.row(i), candidates.row(l), x.cols);
            return add_product(sum, weight_of(weight, i), smaller(least[i], distance));
        },
        [=] PROTONCE_ON_DEVICE(index_t l, double sum) { potential[l] = sum; });
}

/// least_i = min(least_i, ||x_i - candidate||^2)
template <class Run, class T>
void relax_nearest(Run& run, table<const T> x, const T* candidate, double* least) {
    run.for_each(x.rows, [=] PROTONCE_ON_DEVICE(index_t i) {
        least[i] = smaller(least[i], squared_distance(x.row(i), candidate, x.cols));
    });
}

} // namespace protonce::inline v0::detail::elementwise

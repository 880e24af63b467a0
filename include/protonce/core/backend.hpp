// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/check.hpp>
#include <protonce/core/contrast.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/rng.hpp>
#include <protonce/core/view.hpp>
#include <protonce/core/workspace.hpp>

#include <concepts>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <type_traits>

/// The seam between algorithms and machines. A backend is an object, the first argument of every algorithm. It knows few, coarse, fused
/// operations; `docs/backends.md` states each in full, `backend/reference.hpp` is their specification in plain loops.
///
/// Operations trust their arguments (algorithms check them), write only their outputs, and take scratch from scratch(). The result of
/// an operation depends on its arguments alone, never on thread count or history. Sums are accumulated in double.
namespace protonce::inline v0 {

/// Function that segment_scalar_sum applies to each value.
enum class scalar_map { identity, square_root };

/// What draw_columns() writes.
template <class T, memory_space S>
struct column_draw {
    vector_view<index_t, S>
        column_id{}; // (min(P, B + R_p),) or more: the batch's distinct ids, ascending, then the negatives
    vector_view<T, S> log_count{};          // same size, or empty: ln of how many rows share the id; 0 for negatives
    vector_view<index_t, S> column_count{}; // (1,) how many of column_id were written
    vector_view<index_t, S> batch_count{};  // (1,) how many of them belong to the batch
};

/// The columns of one batch at one level: what draw_columns() reads, and where it writes them.
template <class T, memory_space S>
struct column_request {
    vector_view<const label_t, S> own{};  // (B,) prototype of each row, in [0, num_columns); negative: none
    index_t num_columns = 0;              // P, of the pool
    index_t num_negatives = 0;            // R_p, at most; fewer if the batch leaves fewer
    rng_key key{};                        // of the draw
    vector_view<const index_t, S> step{}; // (1,) instead of the key's step, in the backend's memory; or empty
    column_draw<T, S> out{};              // overwritten; every member is given, but perhaps log_count
};

namespace detail {
/// Any function of a number, for has_elements.
struct any_function {
    PROTONCE_HOST_DEVICE void operator()(index_t /*i*/) const {}
};
/// Any value of a row and column, and any function of a row and its sum, for has_rows.
struct any_value {
    PROTONCE_HOST_DEVICE double operator()(index_t /*m*/, index_t /*j*/) const { return 0; }
};
struct any_row_function {
    PROTONCE_HOST_DEVICE void operator()(index_t /*m*/, double /*sum*/) const {}
};
/// For sum_rows: there is nothing to do at the end. A backend need not call it.
struct nothing_more {
    PROTONCE_HOST_DEVICE void operator()() const {}
};
/// For sum_rows: the values of a matrix.
template <class U>
struct value_in_rows {
    const U* values;
    index_t stride;

    PROTONCE_HOST_DEVICE double operator()(index_t m, index_t j) const {
        return static_cast<double>(values[m * stride + j]);
    }
};

template <class B, class U>
using seam_vector = vector_view<U, typename B::space>;
template <class B, class U>
using seam_matrix = matrix_view<U, typename B::space>;

/// Parts of the concept `backend`, apart so that an error names the group that is missing.
template <class B>
concept has_memory = requires(B& be) {
    { be.memory() } -> std::same_as<std::pmr::memory_resource*>;     // of the backend's space
    { be.scratch() } -> std::same_as<workspace<typename B::space>&>; // of the backend's space
    { be.host_scratch() } -> std::same_as<workspace<host>&>;
    { be.check_finite() } -> std::same_as<bool>; // should algorithms look for NaN and infinity in features?
};

template <class B, class T = typename B::value_type>
concept has_transfers = requires(B& be, seam_vector<B, T> v, seam_vector<B, const T> cv, seam_vector<B, double> d,
                                 seam_vector<B, const double> cd, vector_view<T> hv, vector_view<const T> chv,
                                 vector_view<double> hd, vector_view<const double> chd, seam_vector<B, label_t> l,
                                 seam_vector<B, const label_t> cl, vector_view<label_t> hl,
                                 vector_view<const label_t> chl, seam_vector<B, index_t> n,
                                 seam_vector<B, const index_t> cn, vector_view<index_t> hn,
                                 vector_view<const index_t> chn) {
    be.copy(cv, v); // within the space
    be.copy(cd, d);
    be.copy(cl, l);
    be.copy(cn, n);
    be.fill(v, T{}); // every value the same
    be.fill(d, double{});
    be.fill(l, label_t{});
    be.fill(n, index_t{});
    be.read(cv, hv); // to host memory; waits
    be.read(cd, hd);
    be.read(cl, hl);
    be.read(cn, hn);
    be.write(chv, v); // from host memory
    be.write(chd, d);
    be.write(chl, l);
    be.write(chn, n);
};

template <class B>
concept has_elements = requires(B& be, any_function f) {
    // f(i) for every i in [0, n), in any order, where the memory is. f is copied, throws nothing, and is PROTONCE_HOST_DEVICE.
    be.for_each(index_t{}, f);
};

template <class B, class T = typename B::value_type>
concept has_rows = requires(B& be, seam_matrix<B, const T> x, seam_matrix<B, T> y, seam_vector<B, const T> u,
                            seam_vector<B, T> v, seam_vector<B, const index_t> id, seam_vector<B, const label_t> cl,
                            seam_vector<B, label_t> l, seam_vector<B, double> d, seam_vector<B, const double> cd,
                            seam_matrix<B, const double> sum, double a, any_value g, any_row_function f) {
    be.row_norms(x, v);                     // v_i = ||x_i||
    be.normalize_rows(x, y, v);             // y_i = x_i / ||x_i||, 0 for a zero row; v: the norms, or empty
    be.normalize_rows_gradient(y, u, x, y); // (unit rows, norms, gradient to them, gradient to x), 0 for a zero row
    be.gather_rows(x, id, y);               // y_i = x_{id_i}
    be.scatter_rows(x, id, y);              // y_{id_i} = x_i, ids distinct
    be.gather_labels(cl, id, l);            // l_i = cl_{id_i}, -1 for an id of -1
    // v = a u + b v, both products rounded as in double; with b = 0 the old v is not read.
    be.axpby(a, u, a, v);
    be.mean_rows(sum, cd, y);                               // y_k = sum_k / cd_k; rows with cd_k = 0 stay as they are
    { be.first_nonfinite_row(x) } -> std::same_as<index_t>; // -1: none; waits
    // f(m, sum_j g(m, j)) for every row m of so many rows and columns, then h() once, which sees what they left behind. All are as for_each
    // wants them, g is called once for each (m, j). Sums in an order that the number of columns decides.
    be.sum_rows(index_t{}, index_t{}, g, f, nothing_more{});
};

template <class B, class T = typename B::value_type>
concept has_segments = requires(B& be, seam_matrix<B, const T> x, seam_vector<B, const T> w,
                                seam_vector<B, const label_t> a, seam_matrix<B, double> sum,
                                seam_vector<B, double> count, seam_vector<B, const double> v, label_t k,
                                seam_vector<B, const double> uniform, seam_vector<B, index_t> rows) {
    // Sums by cluster: w empty means 1 a row; rows with label -1 are passed over.
    be.segment_sum(x, w, a, sum, count); // sum_k = sum w_i x_i, count_k = sum w_i
    // (values, map, weight, labels, sums, sums of weight)
    be.segment_scalar_sum(v, scalar_map::square_root, w, a, count, count);
    // Row of the largest v with label k and weight > 0, the lowest among equals; -1: none. Waits.
    { be.farthest_in_segment(v, w, a, k) } -> std::same_as<index_t>;
    // rows_l: the first row where the running sum of v_i w_i exceeds uniform_l * total; -1 if the total is 0 or not finite.
    be.draw_weighted(v, w, uniform, rows);
};

template <class B, class T = typename B::value_type>
concept has_assignment = requires(B& be, seam_matrix<B, const T> x, typename B::row_index& index,
                                  seam_vector<B, label_t> a, seam_vector<B, double> d, seam_vector<B, const double> cd,
                                  seam_vector<B, const T> w, seam_matrix<B, label_t> rows,
                                  seam_matrix<B, T> similarity) {
    // index_rows borrows the features and keeps what it computes in scratch() until it is destroyed. Its second argument
    // says whether it may subtract the mean (not for spherical K-means).
    { be.index_rows(x, true) } -> std::same_as<typename B::row_index>;
    // Label and squared distance (d may be empty) of the nearest centroid, the lowest among equals.
    be.nearest_row(index, x, a, d);
    be.candidate_potential(index, x, w, cd, d); // d_l = sum_i w_i min(cd_i, ||x_i - candidate_l||^2)
    be.relax_nearest(index, x, d);              // one candidate row: d_i = min(d_i, ||x_i - candidate||^2)
    // (queries, bank): the largest inner products, descending, the lowest row first among equals.
    be.top_rows(x, x, rows, similarity);
};

template <class B, class T = typename B::value_type>
concept has_contrast = requires(B& be, std::span<const contrast<T, typename B::space>> problems,
                                std::span<const column_request<T, typename B::space>> requests) {
    // As if one after the other: a later problem may add to what an earlier one wrote. None reads what another writes.
    be.softmax_contrast(problems);
    // Each by itself: what one writes is neither read nor written by another.
    be.draw_columns(requests);
};

/// A backend that can keep rows in the form in which softmax_contrast() wants its columns, in memory of the caller's.
template <class B, class T = typename B::value_type>
concept packs_rows = requires(B& be, seam_matrix<B, const T> x, seam_vector<B, const index_t> places,
                              seam_vector<B, T> packed) {
    // Values that it takes to keep so many rows of so many columns; 0: there is no such form.
    { be.packed_size(index_t{}, index_t{}) } -> std::same_as<index_t>;
    be.pack_rows(x, places, packed); // row i at places_i, all distinct, or at i without places
};

/// A backend that can keep columns with temperatures of their own, of which each call of softmax_contrast() picks some.
template <class B, class T = typename B::value_type>
concept packs_pools = requires(B& be, seam_matrix<B, const T> x, seam_vector<B, const T> temperature,
                               seam_vector<B, T> packed) {
    { be.packed_pool_size(index_t{}, index_t{}) } -> std::same_as<index_t>; // as packed_size()
    be.pack_pool(x, temperature, packed);                                   // all rows
};

/// f(m, sum of row m) for every row of a matrix.
template <class B, class U, class F>
void sum_rows(B& be, seam_matrix<B, U> x, const F& f) {
    be.sum_rows(x.rows(), x.cols(), value_in_rows<std::remove_const_t<U>>{x.data(), x.stride()}, f, nothing_more{});
}

/// The rank-th column, in ascending order, of those that are not among the `batch` ascending ones, id[b]: as many of these are passed as
/// have at most `rank` others below, which for the b-th are id[b] - b.
template <class Ids>
PROTONCE_HOST_DEVICE index_t column_of_rank(index_t rank, index_t batch, const Ids& id) {
    return rank + count_before(batch, [&](index_t b) { return id[b] - b <= rank; });
}

/// The key of a draw whose step number may lie in the backend's memory; nullptr: it does not.
PROTONCE_HOST_DEVICE constexpr rng_key at_step(rng_key key, const index_t* step) {
    if (step != nullptr) {
        key.step = static_cast<std::uint64_t>(step[0]);
    }
    return key;
}
} // namespace detail

/// Anything that computes: `reference_backend<T>`, `cpu_backend<T>`, or one's own (`examples/own_backend.cpp`).
template <class B>
concept backend = real<typename B::value_type> && memory_space<typename B::space> && detail::has_memory<B> &&
    detail::has_transfers<B> && detail::has_elements<B> && detail::has_rows<B> && detail::has_segments<B> &&
    detail::has_assignment<B> && detail::has_contrast<B>;

/// What features, gradients and losses of a backend are made of.
template <backend B>
using value_of = typename B::value_type;
/// Views of a backend's memory: `vector_of<B>` of its value type, `vector_of<B, const label_t>` of another.
template <backend B, class U = value_of<B>>
using vector_of = vector_view<U, typename B::space>;
template <backend B, class U = value_of<B>>
using matrix_of = matrix_view<U, typename B::space>;

namespace check {
/// Refuses NaN and infinity by name, where the backend has that check on.
template <backend B>
void finite_rows(B& be, std::string_view function, std::string_view argument, matrix_of<B, const value_of<B>> view) {
    if (!be.check_finite() || view.rows() == 0) {
        return;
    }
    const index_t row = be.first_nonfinite_row(view);
    if (row >= 0) {
        fail_argument(function, argument, "must be finite everywhere", "NaN or infinity in row " + text(row));
    }
}
} // namespace check

} // namespace protonce::inline v0

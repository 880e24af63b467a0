// SPDX-License-Identifier: MIT
#pragma once
#ifdef __CUDACC__
#error "protonce: nvcc ignores what cpu_backend chooses instruction sets with: include it in units of the host compiler"
#endif

#include <protonce/backend/cpu/draws.hpp>
#include <protonce/backend/cpu/kernels.hpp>
#include <protonce/backend/cpu/kernels_rows.hpp>
#include <protonce/backend/cpu/row_index.hpp>
#include <protonce/backend/cpu/segments.hpp>
#include <protonce/backend/cpu/softmax_contrast.hpp>
#include <protonce/backend/cpu/top_rows.hpp>
#include <protonce/core/backend.hpp>
#include <protonce/core/parallel.hpp>

#include <cmath>
#include <memory_resource>
#include <span>
#include <type_traits>

namespace protonce::inline v0 {

struct cpu_options {
    int threads = 0;        // workers; 0: as many as OpenMP says at each call (1 where OpenMP is off)
    executor own_threads{}; // the caller's own threads instead of OpenMP's
    std::pmr::memory_resource* memory =
        nullptr;              // of scratch, and what memory() hands out; nullptr: the default resource
    bool check_finite = true; // algorithms refuse NaN and infinity in features
    bool prune = true; // K-means leaves out distances that cannot be the least; results are the same to the last bit
    index_t prune_bytes = index_t{1} << 29; // most memory that K-means may take to that end, beyond its other scratch
};

/// The processor, for speed. Every operation is specified by reference_backend; this one differs by rounding only:
/// nearest_row() compares x.c - ||c||^2/2 of centred values, one chain of multiply-adds a pair in T, and losses keep tiles of logits in T.
/// Kernels for AVX2 and AVX-512 are chosen at run time; other processors get the portable ones.
///
/// Results are bitwise the same for any number of threads. One object serves one thread at a time.
/// Scratch: N x C values for K-means, and what `docs/backends.md` states for the losses; kept for the next call.
template <real T, class Threads>
class basic_cpu_backend {
public:
    using value_type = T;
    using space = host;
    using row_index = detail::cpu::row_index<T, Threads>;

    /// \throws argument_error  threads is negative
    explicit basic_cpu_backend(cpu_options options = {})
        : memory_(options.memory != nullptr ? options.memory : std::pmr::get_default_resource()), scratch_(memory_),
          search_memory_(memory_),
          team_((check::at_least("cpu_backend", "threads", options.threads, 0), options.threads), options.own_threads),
          check_finite_(options.check_finite), prune_(options.prune), prune_bytes_(options.prune_bytes) {
        use(detail::cpu::widest_instruction_set());
    }

    std::pmr::memory_resource* memory() const { return memory_; }
    workspace<host>& scratch() { return scratch_; }
    workspace<host>& host_scratch() { return scratch_; }
    bool check_finite() const { return check_finite_; }
    const thread_team<Threads>& team() const { return team_; }

    /// For tests and measurements: kernels of a narrower instruction set than the processor's.
    void use(detail::cpu::instruction_set set) {
        kernel_ = detail::cpu::kernels<T>(set);
        row_kernel_ = detail::cpu::kernels_for_rows<T>(set);
        softmax_kernel_ = detail::cpu::kernels_for_softmax<T>(set);
        nearest_kernel_ = detail::cpu::kernels_for_nearest<T>(set);
    }

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

    template <class F>
    void for_each(index_t n, const F& f) {
        constexpr index_t block = 1 << 14;
        team_.for_each(detail::ceil_div(n, block), [&](index_t task) {
            const index_t last = (std::min)(n, (task + 1) * block);
            for (index_t i = task * block; i < last; ++i) {
                f(i);
            }
        });
    }

    void row_norms(matrix_view<const T> rows, vector_view<T> norms) {
        each_row(rows.rows(), [&](index_t i) { norms[i] = static_cast<T>(norm(rows.row(i))); });
    }

    void normalize_rows(matrix_view<const T> rows, matrix_view<T> unit, vector_view<T> norms) {
        each_row(rows.rows(), [&](index_t i) {
            const double length = norm(rows.row(i));
            for (index_t j = 0; j < rows.cols(); ++j) {
                unit(i, j) = length == 0 ? T(0) : static_cast<T>(static_cast<double>(rows(i, j)) / length);
            }
            if (!norms.empty()) {
                norms[i] = static_cast<T>(length);
            }
        });
    }

    // d/dx of u = x / ||x||:  (g - (g.u) u) / ||x||
    void normalize_rows_gradient(matrix_view<const T> unit, vector_view<const T> norms, matrix_view<const T> gradient,
                                 matrix_view<T> out) {
        each_row(unit.rows(), [&](index_t i) {
            const double along = dot(gradient.row(i), unit.row(i));
            const double length = static_cast<double>(norms[i]);
            for (index_t j = 0; j < unit.cols(); ++j) {
                const double across = static_cast<double>(gradient(i, j)) - along * static_cast<double>(unit(i, j));
                out(i, j) = length == 0 ? T(0) : static_cast<T>(across / length);
            }
        });
    }

    void gather_rows(matrix_view<const T> from, vector_view<const index_t> ids, matrix_view<T> to) {
        each_row(ids.size(), [&](index_t i) { copy(from.row(ids[i]), to.row(i)); });
    }

    void scatter_rows(matrix_view<const T> from, vector_view<const index_t> ids, matrix_view<T> to) {
        each_row(ids.size(), [&](index_t i) { copy(from.row(i), to.row(ids[i])); });
    }

    void gather_labels(vector_view<const label_t> from, vector_view<const index_t> ids, vector_view<label_t> to) {
        for (index_t i = 0; i < ids.size(); ++i) {
            to[i] = ids[i] < 0 ? label_t{-1} : from[ids[i]];
        }
    }

    void axpby(double a, vector_view<const T> x, double b, vector_view<T> y) {
        for_each(x.size(), [&](index_t i) {
            y[i] = detail::weighted_sum(a, x[i], b, y[i]);
        });
    }

    void mean_rows(matrix_view<const double> sum, vector_view<const double> count, matrix_view<T> mean) {
        each_row(sum.rows(), [&](index_t k) {
            for (index_t j = 0; j < sum.cols() && count[k] != 0; ++j) {
                mean(k, j) = static_cast<T>(sum(k, j) / count[k]);
            }
        });
    }

    index_t first_nonfinite_row(matrix_view<const T> rows) {
        using detail::cpu::task_rows;
        const index_t tasks = detail::ceil_div(rows.rows(), task_rows);
        workspace<host>::scope scope(scratch_);
        auto found = scope.vector<index_t>(tasks);
        team_.for_each(tasks, [&](index_t task) {
            found[task] = -1;
            const index_t last = (std::min)(rows.rows(), (task + 1) * task_rows);
            for (index_t i = task * task_rows; i < last && found[task] < 0; ++i) {
                if (!row_kernel_.all_finite(rows.row(i).data(), rows.cols())) {
                    found[task] = i;
                }
            }
        });
        for (const index_t i : found) {
            if (i >= 0) {
                return i;
            }
        }
        return -1;
    }

    template <class Value, class F, class Last>
    void sum_rows(index_t rows, index_t cols, const Value& value, const F& f, const Last& last) {
        each_row(rows, [&](index_t m) {
            double sum = 0;
            for (index_t j = 0; j < cols; ++j) {
                sum += value(m, j);
            }
            f(m, sum);
        });
        last();
    }

    void segment_sum(matrix_view<const T> rows, vector_view<const T> weight, vector_view<const label_t> assignment,
                     matrix_view<double> sum, vector_view<double> count) {
        detail::cpu::segment_sum(scratch_, team_, row_kernel_, rows, weight, assignment, sum, count);
    }

    /// Brings sum and count, which are those of the labels `before`, up to date: the same bits as segment_sum() of the indexed rows, without
    /// a pass over those that stay where they are.
    void update_segment_sum(row_index& index, vector_view<const T> weight, vector_view<const label_t> before,
                            vector_view<const label_t> assignment, matrix_view<double> sum, vector_view<double> count) {
        detail::cpu::update_segment_sum(scratch_, team_, row_kernel_, index.features(), index.has_exact_sums(), weight,
                                        before, assignment, sum, count);
    }

    void segment_scalar_sum(vector_view<const double> values, scalar_map map, vector_view<const T> weight,
                            vector_view<const label_t> assignment, vector_view<double> sum, vector_view<double> count) {
        detail::cpu::segment_scalar_sum(values, map, weight, assignment, sum, count);
    }

    index_t farthest_in_segment(vector_view<const double> values, vector_view<const T> weight,
                                vector_view<const label_t> assignment, label_t k) {
        index_t best = -1;
        for (index_t i = 0; i < values.size(); ++i) {
            const bool counts = assignment[i] == k && (weight.empty() || weight[i] > 0) && values[i] == values[i];
            if (counts && (best < 0 || values[i] > values[best])) {
                best = i;
            }
        }
        return best;
    }

    void draw_weighted(vector_view<const double> values, vector_view<const T> weight, vector_view<const double> uniform,
                       vector_view<index_t> rows) {
        detail::cpu::draw_weighted(scratch_, team_, values, weight, uniform, rows);
    }

    row_index index_rows(matrix_view<const T> features, bool may_centre) {
        return row_index(scratch_, team_, kernel_, row_kernel_, nearest_kernel_, search_memory_, features, may_centre,
                         prune_, prune_bytes_);
    }

    void nearest_row(row_index& index, matrix_view<const T> centroids, vector_view<label_t> assignment,
                     vector_view<double> squared_distance) {
        index.nearest(centroids, assignment, squared_distance);
    }

    void candidate_potential(row_index& index, matrix_view<const T> candidates, vector_view<const T> weight,
                             vector_view<const double> least, vector_view<double> potential) {
        workspace<host>::scope scope(scratch_);
        const index_t lanes = detail::cpu::round_up(candidates.rows(), detail::cpu::candidate_lanes);
        auto part = scope.matrix<double>(index.tasks(), lanes);
        for (index_t task = 0; task < part.rows(); ++task) {
            fill(part.row(task), 0.0);
        }
        using run = typename detail::cpu::candidate_distances<T, Threads>::run;
        index.squared_distances(candidates, least, [&](const run& rows) {
            const double* value = least.data() + rows.origin;
            double weighted[detail::cpu::task_rows];
            if (!weight.empty()) {
                for (index_t i = rows.first; i < rows.last; ++i) {
                    weighted[i - rows.origin] = static_cast<double>(weight[i]) * least[i];
                }
                for (index_t n = 0; n < rows.count; ++n) {
                    for (index_t l = 0; l < candidates.rows(); ++l) {
                        rows.distance(n, l) *= static_cast<double>(weight[rows.origin + rows.close[n]]);
                    }
                }
                value = weighted;
            }
            nearest_kernel_.add_distances(value, rows.first - rows.origin, rows.last - rows.origin, rows.close,
                                          rows.count, rows.distance.data(), rows.distance.stride(), lanes,
                                          part.row(rows.task).data());
        });
        fill(potential, 0.0);
        for (index_t task = 0; task < part.rows(); ++task) {
            for (index_t l = 0; l < candidates.rows(); ++l) {
                potential[l] += part(task, l);
            }
        }
    }

    void relax_nearest(row_index& index, matrix_view<const T> candidate, vector_view<double> least) {
        index.relax(candidate, least);
    }

    void top_rows(matrix_view<const T> queries, matrix_view<const T> bank, matrix_view<label_t> rows,
                  matrix_view<T> similarity) {
        detail::cpu::top_rows(scratch_, team_, kernel_, queries, bank, rows, similarity);
    }

    void softmax_contrast(std::span<const contrast<T, host>> problems) {
        for (const auto& problem : problems) {
            detail::cpu::softmax_problem<T, Threads>(scratch_, team_, kernel_, softmax_kernel_, problem).run();
        }
    }

    void draw_columns(std::span<const column_request<T, host>> requests) {
        for (const auto& request : requests) {
            detail::cpu::draw_columns(scratch_, request.own, request.num_columns, request.num_negatives,
                                      detail::at_step(request.key, detail::data_of(request.step)), request.out);
        }
    }

private:
    template <class F>
    void each_row(index_t rows, const F& body) {
        using detail::cpu::task_rows;
        team_.for_each(detail::ceil_div(rows, task_rows), [&](index_t task) {
            const index_t last = (std::min)(rows, (task + 1) * task_rows);
            for (index_t i = task * task_rows; i < last; ++i) {
                body(i);
            }
        });
    }
    static double dot(vector_view<const T> a, vector_view<const T> b) {
        double sum = 0;
        for (index_t j = 0; j < a.size(); ++j) {
            sum += static_cast<double>(a[j]) * static_cast<double>(b[j]);
        }
        return sum;
    }
    /// NaN wins: what came in as NaN goes out as NaN.
    static double norm(vector_view<const T> a) { return std::sqrt(dot(a, a)); }

    std::pmr::memory_resource* memory_;
    workspace<host> scratch_;
    detail::cpu::search_memory<T, Threads> search_memory_; // of the row index in use
    thread_team<Threads> team_;
    detail::cpu::kernel_table<T> kernel_{};
    detail::cpu::row_kernels<T> row_kernel_{};
    detail::cpu::softmax_kernels<T> softmax_kernel_{};
    detail::cpu::nearest_kernels<T> nearest_kernel_{};
    bool check_finite_;
    bool prune_;
    index_t prune_bytes_;
};

// The threading mode is in the name, so that units compiled with and without OpenMP link into one program.
#ifdef _OPENMP
inline namespace openmp_mode {
template <real T>
using cpu_backend = basic_cpu_backend<T, default_threads>;
}
#else
inline namespace serial_mode {
template <real T>
using cpu_backend = basic_cpu_backend<T, default_threads>;
}
#endif

static_assert(backend<basic_cpu_backend<float, serial_threads>> && backend<basic_cpu_backend<double, serial_threads>>);

} // namespace protonce::inline v0

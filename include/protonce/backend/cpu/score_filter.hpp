// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/projection.hpp>
#include <protonce/backend/cpu/row_codes.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

namespace protonce::inline v0::detail::cpu {

/// How upper bounds of scores are computed.
enum class filter_kind {
    full,      // the score itself, in T
    projected, // leading principal coordinates and the norm of the rest: x'.c' >= x.c (projection.hpp)
    coded,     // the product of codes (row_codes.hpp)
};

/// Upper bounds of the scores x.c - ||c||^2 / 2 of all rows with all centroids, for less than the scores cost. What they may be short of
/// is known by row: rounding() and code_slack().
template <class T, class Threads>
class score_filter {
    static constexpr int W = panel_width<T>;

public:
    score_filter(workspace<host>& scratch, const thread_team<Threads>& team, const kernel_table<T>& kernel,
                 const nearest_kernels<T>& nearest, const row_codes<T, Threads>& codes)
        : scratch_(scratch), team_(team), kernel_(kernel), nearest_(nearest), codes_(codes) {}

    filter_kind kind() const { return kind_; }
    /// Columns that a scan multiplies.
    index_t columns() const { return kind_ == filter_kind::projected ? columns_ : cols_; }
    /// Expected cycles for one row and the centroids of one panel.
    double panel_cost() const { return cost(kind_, columns_); }
    double full_cost() const { return static_cast<double>(cols_) + 4; }
    double dot_cost() const { return static_cast<double>(cols_) / 8 + 25; }

    /// Looks at some rows and all centroids and picks the kind with the least expected work, of those that take at most `budget` bytes;
    /// then prepares the rows.
    void choose(workspace<host>::scope& scope, const centred_rows<T, Threads>& rows, matrix_view<const T> centroids,
                vector_view<const T> half_norm, index_t budget) {
        cols_ = rows.cols();
        const index_t N = rows.rows();
        const index_t S = (std::min<index_t>)(N, 1024);
        {
            workspace<host>::scope inner(scratch_);
            auto sample = inner.matrix<T>(S, cols_);
            for (index_t i = 0; i < S; ++i) {
                rows.get(i * N / S, sample.row(i).data());
                // A row that is no number must not reach the axes.
                if (!check::is_finite(codes_.norm(i * N / S))) {
                    std::fill(sample.row(i).begin(), sample.row(i).end(), T(0));
                }
            }
            const index_t b = cols_ <= 24 ? 0 : (std::min)(most_columns, cols_ / 2 / W * W);
            axes_ = scope.matrix<T>(b == 0 ? 0 : cols_, b);
            if (b > 0) {
                principal_axes<T>(scratch_, team_, kernel_, sample, axes_);
            }
            probe(sample, centroids, half_norm, budget / N);
        }
        if (kind_ == filter_kind::projected) {
            projected_ = scope.matrix<T>(N, columns_ + 1);
            project_all(rows);
        }
    }
    /// What is kept for the rows.
    index_t bytes() const { return projected_.rows() * projected_.cols() * static_cast<index_t>(sizeof(T)); }

    /// Centroids of one search, packed in the order of their places.
    struct packed {
        vector_view<T> half_norm{}; // by place; the largest number where there is no centroid
        vector_view<T> panels{};
        index_t depth = 0;
        typename row_codes<T, Threads>::packed codes{};
    };
    packed pack(workspace<host>::scope& scope, matrix_view<const T> centroids, vector_view<const T> half_norm,
                vector_view<const std::int32_t> order, double largest_norm) {
        packed out{.half_norm = scope.vector<T>(order.size())};
        for (index_t n = 0; n < order.size(); ++n) {
            out.half_norm[n] = order[n] < 0 ? (std::numeric_limits<T>::max)() : half_norm[order[n]];
        }
        if (codes_.is_coded()) {
            out.codes = codes_.pack(scope, team_, centroids, order, largest_norm);
        }
        if (kind_ == filter_kind::coded) {
            return out;
        }
        matrix_view<const T> from = centroids;
        if (kind_ == filter_kind::projected) {
            auto projected = scope.matrix<T>(centroids.rows(), columns_ + 1);
            const int workers = team_.workers();
            auto y = scope.matrix<T>(workers, most_tile_rows * most_columns);
            team_.for_each(ceil_div(centroids.rows(), 48), workers, [&](index_t task, int worker) {
                const index_t first = task * 48;
                const index_t count = (std::min<index_t>)(48, centroids.rows() - first);
                project(centroids.slice(first, count), y.row(worker).data(), [&](index_t r, const T* coordinates) {
                    store_projection(coordinates, nearest_.squared_norm(centroids.row(first + r).data(), cols_),
                                     projected.row(first + r).data());
                });
            });
            from = projected;
        }
        out.depth = from.cols();
        out.panels = scope.vector<T>(order.size() * out.depth);
        team_.for_each(order.size() / W, [&](index_t panel) {
            pack_panel<T>(
                out.depth,
                [&](int w) -> const T* {
                    const std::int32_t k = order[panel * W + w];
                    return k < 0 ? nullptr : from.row(k).data();
                },
                out.panels.data() + panel * W * out.depth);
        });
        return out;
    }

    /// What a bound may be short of the score, for a row of that norm, apart from the part of codes.
    double rounding(double size) const {
        const double p = static_cast<double>(columns_);
        const double steps = kind_ == filter_kind::full ? chain_rounding<T>(cols_ + 16)
                             : kind_ == filter_kind::projected
                                 ? chain_rounding<T>(columns_ + 17) + 3 * chain_rounding<T>(cols_) * std::sqrt(p)
                                 : chain_rounding<T>(32);
        return steps * size + 1e-30;
    }
    /// The part of codes.
    double code_slack(index_t i, const packed& centroids) const {
        return kind_ == filter_kind::coded ? codes_.slack(i, centroids.codes) : 0;
    }

    /// Can a bound be made tighter by codes, before the score is computed?
    /// With fewer columns the score itself costs as little.
    bool can_refine() const { return kind_ == filter_kind::projected && codes_.is_coded() && cols_ > 256; }
    /// Upper bound of the score of row i with centroid k, all included.
    double refine(index_t i, index_t k, double half_norm, const packed& centroids) const {
        return (codes_.product(i, k, centroids.codes) - half_norm) + codes_.slack(i, centroids.codes) +
               1e-12 * static_cast<double>(codes_.norm(i)) * centroids.codes.largest_norm;
    }

    /// Scans rows counted from `first`, whose block the job knows; factor and offset: scratch for the rows of a block.
    void prepare(panel_scan<T>& job, index_t first, index_t count, const packed& centroids, T* factor,
                 std::int32_t* offset) const {
        job.depth = centroids.depth;
        if (kind_ == filter_kind::coded) {
            codes_.prepare(job, first, count, centroids.codes, factor, offset);
        } else if (kind_ == filter_kind::projected) {
            job.rows = projected_.row(first).data();
            job.stride = projected_.stride();
        }
    }
    index_t scan(panel_scan<T> job, index_t place, const packed& centroids) const {
        job.half_norm = centroids.half_norm.data() + place;
        if (kind_ == filter_kind::coded) {
            job.code_panels = centroids.codes.panels.data() + place * job.depth * 4;
            return nearest_.scan_codes(job);
        }
        job.panels = centroids.panels.data() + place * job.depth;
        return nearest_.scan_panels(job);
    }

    // Directions that are looked for.
    static constexpr index_t most_columns = 64;

private:
    double cost(filter_kind kind, index_t columns) const {
        return kind == filter_kind::full        ? static_cast<double>(cols_) + 10
               : kind == filter_kind::projected ? static_cast<double>(columns) + 10
                                                : static_cast<double>(ceil_div(cols_, 4)) + 12;
    }

    static T round_up_value(double v) {
        return static_cast<T>(v + std::abs(v) * static_cast<double>(std::numeric_limits<T>::epsilon()));
    }

    // y holds a row's coordinates in the axes.
    void store_projection(const T* y, double norm2, T* out) const {
        double kept = 0;
        for (index_t j = 0; j < columns_; ++j) {
            out[j] = y[j];
            kept += static_cast<double>(y[j]) * static_cast<double>(y[j]);
        }
        const double inflate = 3 * chain_rounding<T>(cols_) * std::sqrt(static_cast<double>(columns_)) * norm2;
        out[columns_] = round_up_value(std::sqrt((std::max)(0.0, norm2 - kept) + inflate));
    }

    // visit(r, coordinates of row r in the axes).
    template <class Visit>
    void project(matrix_view<const T> rows, T* y, const Visit& visit, index_t columns = 0) const {
        const index_t b = round_up(columns > 0 ? columns : columns_, W);
        for (index_t i = 0; i < rows.rows(); i += kernel_.rows) {
            const tile_rows<T> tile(rows, i, kernel_.rows);
            for (index_t j = 0; j < b; j += W) {
                kernel_.tile_product(tile.at, axes_.data() + j, axes_.cols(), rows.cols(), y + j, b, false);
            }
            for (index_t r = 0; r < kernel_.rows && i + r < rows.rows(); ++r) {
                visit(i + r, y + r * b);
            }
        }
    }

    void project_all(const centred_rows<T, Threads>& rows) {
        workspace<host>::scope scope(scratch_);
        const index_t N = rows.rows();
        const int workers = team_.workers();
        constexpr index_t block = 48;
        auto centred = scope.matrix<T>(workers * block, rows.block_stride());
        auto y = scope.matrix<T>(workers, most_tile_rows * most_columns);
        team_.for_each(ceil_div(N, block), workers, [&](index_t task, int w) {
            const index_t first = task * block;
            const index_t count = (std::min)(block, N - first);
            const matrix_view<T> own(centred.row(w * block).data(), count, cols_, centred.stride());
            for (index_t r = 0; r < count; ++r) {
                rows.get(first + r, own.row(r).data());
            }
            project(own, y.row(w).data(), [&](index_t r, const T* coordinates) {
                const double n = static_cast<double>(codes_.norm(first + r));
                store_projection(coordinates, n * n, projected_.row(first + r).data());
            });
        });
    }

    void probe(matrix_view<const T> sample, matrix_view<const T> centroids, vector_view<const T> half_norm,
               index_t most_bytes);

    index_t cols_ = 0;
    filter_kind kind_ = filter_kind::full;
    index_t columns_ = 0;
    workspace<host>& scratch_;
    const thread_team<Threads>& team_;
    const kernel_table<T>& kernel_;
    const nearest_kernels<T>& nearest_;
    const row_codes<T, Threads>& codes_;
    matrix_view<T> axes_{};      // (C, b)
    matrix_view<T> projected_{}; // (N, columns + 1)
};

/// Counts, for some rows, how many centroids each kind of bound would leave, and picks the kind of least work.
template <class T, class Threads>
void score_filter<T, Threads>::probe(matrix_view<const T> sample, matrix_view<const T> centroids,
                                     vector_view<const T> half_norm, index_t most_bytes) {
    const index_t K = centroids.rows();
    const index_t b = axes_.cols();
    constexpr index_t probes = 48;
    constexpr index_t batch = 64;
    workspace<host>::scope scope(scratch_);
    auto score = scope.matrix<T>(probes, K);
    auto best = scope.vector<double>(probes);
    auto y = scope.vector<T>(most_tile_rows * most_columns);
    auto probe_y = scope.matrix<T>(probes, b);
    auto centroid_y = scope.matrix<T>(b > 0 ? K : 0, b);
    auto probe_norm2 = scope.vector<double>(probes);
    auto centroid_norm2 = scope.vector<double>(K);
    auto rows = scope.matrix<T>(probes, cols_);
    for (index_t i = 0; i < probes; ++i) {
        const auto row = sample.row(i * sample.rows() / probes);
        std::copy(row.begin(), row.end(), rows.row(i).begin());
        probe_norm2[i] = nearest_.squared_norm(row.data(), cols_);
    }
    double largest2 = 0;
    for (index_t k = 0; k < K; ++k) {
        centroid_norm2[k] = nearest_.squared_norm(centroids.row(k).data(), cols_);
        largest2 = (std::max)(largest2, centroid_norm2[k]);
    }
    team_.for_each(probes, [&](index_t i) {
        const T* x[batch];
        const T* c[batch];
        std::fill(x, x + batch, rows.row(i).data());
        for (index_t k = 0; k < K; k += batch) {
            const index_t count = (std::min)(batch, K - k);
            for (index_t n = 0; n < count; ++n) {
                c[n] = centroids.row(k + n).data();
            }
            nearest_.dots(x, c, count, cols_, score.row(i).data() + k);
        }
        double most = -1e300;
        for (index_t k = 0; k < K; ++k) {
            score(i, k) -= half_norm[k];
            most = (std::max)(most, static_cast<double>(score(i, k)));
        }
        best[i] = most;
    });
    const double panels = static_cast<double>(ceil_div(K, W));
    kind_ = filter_kind::full;
    double least = panels * cost(kind_, 0);
    // A candidate costs more than its product: what is bounded so loosely is bounded again in each search that follows.
    constexpr double looseness = 275;
    const auto consider = [&](filter_kind kind, index_t columns, index_t reached) {
        const double work =
            panels * cost(kind, columns) + static_cast<double>(reached) / probes * (dot_cost() + looseness);
        if (work < least) {
            least = work;
            kind_ = kind;
            columns_ = columns;
        }
    };
    if constexpr (sizeof(T) == 4) {
        if (codes_.is_coded()) {
            auto code = scope.vector<std::int8_t>(codes_.stride());
            double centroid_error = 0;
            const float centroid_scale = codes_.common_scale(centroids);
            for (index_t k = 0; k < K; k += 1 + K / 256) {
                const code_facts facts = codes_.encode(centroids.row(k).data(), centroid_scale, code);
                centroid_error = (std::max)(centroid_error, static_cast<double>(facts.error));
            }
            index_t reached = 0;
            for (index_t i = 0; i < probes; ++i) {
                const code_facts facts = codes_.encode(rows.row(i).data(), 0, code);
                const double slack = 2 * (static_cast<double>(facts.error) * std::sqrt(largest2) +
                                          std::sqrt(probe_norm2[i]) * centroid_error);
                for (index_t k = 0; k < K; ++k) {
                    reached += static_cast<double>(score(i, k)) + slack >= best[i] ? 1 : 0;
                }
            }
            consider(filter_kind::coded, cols_, reached);
        }
    }
    if (b == 0) {
        return;
    }
    const auto copy_to = [&](matrix_view<T> to) {
        return [&, to](index_t r, const T* coordinates) { std::copy(coordinates, coordinates + b, to.row(r).begin()); };
    };
    project(rows, y.data(), copy_to(probe_y), b);
    project(centroids, y.data(), copy_to(centroid_y), b);
    auto rest = scope.vector<double>(K);
    const index_t step = 1 + K / 512;
    for (const index_t p : {4, 8, 12, 16, 24, 32, 48, 64}) {
        if (p > b || (p + 1) * static_cast<index_t>(sizeof(T)) > most_bytes) {
            break;
        }
        const auto rest_of = [&](double norm2, const T* coordinates) {
            for (index_t j = 0; j < p; ++j) {
                norm2 -= static_cast<double>(coordinates[j]) * static_cast<double>(coordinates[j]);
            }
            return std::sqrt((std::max)(0.0, norm2));
        };
        for (index_t k = 0; k < K; k += step) {
            rest[k] = rest_of(centroid_norm2[k], centroid_y.row(k).data());
        }
        index_t reached = 0;
        for (index_t i = 0; i < probes; ++i) {
            const double own = rest_of(probe_norm2[i], probe_y.row(i).data());
            for (index_t k = 0; k < K; k += step) {
                double bound = own * rest[k] - static_cast<double>(half_norm[k]);
                for (index_t j = 0; j < p; ++j) {
                    bound += static_cast<double>(probe_y(i, j)) * static_cast<double>(centroid_y(k, j));
                }
                reached += bound >= best[i] ? step : 0;
            }
        }
        consider(filter_kind::projected, p, reached);
    }
}

} // namespace protonce::inline v0::detail::cpu

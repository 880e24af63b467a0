// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/contrast.hpp>

#include <support/placed.hpp>
#include <support/random.hpp>

#include <cstddef>
#include <limits>
#include <list>
#include <vector>

namespace test {

/// A softmax problem in host memory. Empty members are not given.
template <class T>
struct contrast_problem {
    matrix<T> query{}, columns{}, positive{};
    std::vector<index_t> column_id{}, column_count{}, own_count{};
    std::vector<label_t> own{}, self{}, row_group{}, pool_group{};
    std::vector<T> temperature{}, log_weight{}, row_scale{};
    bool accumulate = false;
    bool same_gradient = false; // grad_columns is the view grad_query
    bool gradients = true;
    bool only_sums = false; // neither ranks nor the gradient of a temperature
};

template <class T>
struct contrast_results {
    std::vector<T> loss, log_sum, top1, grad_query, grad_positive, grad_columns, grad_temperature;

    bool operator==(const contrast_results&) const = default;
};

inline matrix<double> in_double(const matrix<float>& from) {
    matrix<double> out(from.rows(), from.cols());
    for (index_t i = 0; i < from.rows(); ++i) {
        for (index_t j = 0; j < from.cols(); ++j) {
            out(i, j) = static_cast<double>(from(i, j));
        }
    }
    return out;
}
inline std::vector<double> in_double(const std::vector<float>& from) {
    return {from.begin(), from.end()};
}

/// The same problem.
inline contrast_problem<double> in_double(const contrast_problem<float>& in) {
    return {.query = in_double(in.query),
            .columns = in_double(in.columns),
            .positive = in_double(in.positive),
            .column_id = in.column_id,
            .column_count = in.column_count,
            .own_count = in.own_count,
            .own = in.own,
            .self = in.self,
            .row_group = in.row_group,
            .pool_group = in.pool_group,
            .temperature = in_double(in.temperature),
            .log_weight = in_double(in.log_weight),
            .row_scale = in_double(in.row_scale),
            .accumulate = in.accumulate};
}

/// A problem in the memory of a backend, with every output. With `accumulate` each gradient is added to 0.5.
template <protonce::backend B, class T = typename B::value_type>
class placed_contrast {
public:
    placed_contrast(B& be, const contrast_problem<T>& in)
        : query_(be, in.query), columns_(be, in.columns), positive_(be, in.positive), temperature_(be, in.temperature),
          log_weight_(be, in.log_weight), row_scale_(be, in.row_scale), column_id_(be, in.column_id),
          column_count_(be, in.column_count), own_count_(be, in.own_count), own_(be, in.own), self_(be, in.self),
          row_group_(be, in.row_group), pool_group_(be, in.pool_group),
          loss_(placed<B, T>::unwritten(be, in.query.rows())), log_sum_(placed<B, T>::unwritten(be, in.query.rows())),
          top1_(placed<B, T>::unwritten(be, in.only_sums ? 0 : in.query.rows())),
          grad_query_(gradient(be, in, in.query.rows())), grad_positive_(gradient(be, in, in.positive.rows())),
          grad_columns_(gradient(be, in, in.same_gradient ? 0 : in.columns.rows())),
          grad_temperature_(
              be, std::vector<T>(in.gradients && !in.only_sums ? in.temperature.size() : 0, static_cast<T>(0.5))),
          accumulate_(in.accumulate), same_gradient_(in.same_gradient) {}

    protonce::contrast<T, typename B::space> problem() {
        return {.query = query_.rows(),
                .columns = columns_.rows(),
                .column_id = column_id_.vector(),
                .column_count = column_count_.vector(),
                .positive = positive_.rows(),
                .own = own_.vector(),
                .own_count = own_count_.vector(),
                .self = self_.vector(),
                .row_group = row_group_.vector(),
                .pool_group = pool_group_.vector(),
                .temperature = temperature_.vector(),
                .log_weight = log_weight_.vector(),
                .row_scale = row_scale_.vector(),
                .accumulate = accumulate_,
                .loss = loss_.vector(),
                .log_sum = log_sum_.vector(),
                .top1 = top1_.vector(),
                .grad_query = grad_query_.rows(),
                .grad_positive = grad_positive_.rows(),
                .grad_columns = same_gradient_ ? grad_query_.rows() : grad_columns_.rows(),
                .grad_temperature = grad_temperature_.vector()};
    }
    contrast_results<T> results() {
        return {loss_.values(),
                log_sum_.values(),
                top1_.values(),
                grad_query_.row_values(),
                grad_positive_.row_values(),
                grad_columns_.row_values(),
                grad_temperature_.values()};
    }

private:
    static placed<B, T> gradient(B& be, const contrast_problem<T>& in, index_t count) {
        matrix<T> start(in.gradients ? count : 0, in.query.cols(), 2);
        for (index_t i = 0; i < start.rows(); ++i) {
            for (index_t j = 0; j < start.cols(); ++j) {
                start(i, j) = in.accumulate ? T(0.5) : std::numeric_limits<T>::quiet_NaN();
            }
        }
        return placed<B, T>(be, start);
    }

    placed<B, T> query_, columns_, positive_, temperature_, log_weight_, row_scale_;
    placed<B, index_t> column_id_, column_count_, own_count_;
    placed<B, label_t> own_, self_, row_group_, pool_group_;
    placed<B, T> loss_, log_sum_, top1_, grad_query_, grad_positive_, grad_columns_, grad_temperature_;
    bool accumulate_;
    bool same_gradient_;
};

template <protonce::backend B, class T = typename B::value_type>
contrast_results<T> run_contrast(B& be, const contrast_problem<T>& in) {
    placed_contrast<B, T> placed(be, in);
    const auto problem = placed.problem();
    be.softmax_contrast({&problem, 1});
    return placed.results();
}

/// Several problems in one call. connect(problems) may let some write where others do.
template <protonce::backend B, class T, class Connect>
std::vector<contrast_results<T>> run_contrasts(B& be, const std::vector<contrast_problem<T>>& in,
                                               const Connect& connect) {
    std::list<placed_contrast<B, T>> placed;
    std::vector<protonce::contrast<T, typename B::space>> problems;
    for (const auto& problem : in) {
        problems.push_back(placed.emplace_back(be, problem).problem());
    }
    connect(problems);
    be.softmax_contrast(problems);
    std::vector<contrast_results<T>> out;
    for (auto& problem : placed) {
        out.push_back(problem.results());
    }
    return out;
}

/// Which parts of a problem random_problem() fills.
struct contrast_options {
    index_t rows = 1;
    index_t pool = 1;
    index_t cols = 1;
    bool outside = false;  // the positive is no column of the pool
    bool selected = false; // column_id, with column_count below its size
    bool self = false;
    bool groups = false;
    bool column_temperatures = false; // (P,) instead of (1,)
    bool weights = false;
    bool scales = false;
    bool noise = false; // some rows take no part
    bool accumulate = false;
    bool duplicates = false; // some columns twice
};

/// Options by the bits of a number below 512, so that a loop takes every combination; `duplicates` is left out.
inline contrast_options combined_options(unsigned bits, index_t rows, index_t pool, index_t cols) {
    const auto bit = [&](unsigned i) { return ((bits >> i) & 1u) != 0; };
    const bool outside = bit(0);
    return {.rows = rows,
            .pool = pool,
            .cols = cols,
            .outside = outside,
            .selected = bit(1),
            .self = bit(2),
            .groups = bit(3),
            .column_temperatures = bit(4) && !outside,
            .weights = bit(5),
            .scales = bit(6),
            .noise = bit(7) && !outside,
            .accumulate = bit(8)};
}

/// A problem with features in [-1, 1] and temperatures in [0.1, 1].
template <class T>
contrast_problem<T> random_problem(random_source& random, const contrast_options& with) {
    contrast_problem<T> out{.query = random.uniform_matrix<T>(with.rows, with.cols, -1, 1, with.cols % 3),
                            .columns = random.uniform_matrix<T>(with.pool, with.cols, -1, 1, with.cols % 4)};
    if (with.duplicates) {
        for (index_t p = 1; p < with.pool; p += 2) {
            for (index_t c = 0; c < with.cols; ++c) {
                out.columns(p, c) = out.columns(p - 1, c);
            }
        }
    }
    std::vector<index_t> used;
    for (index_t p = 0; p < with.pool; ++p) {
        used.push_back(p);
    }
    if (with.selected) {
        out.column_id = random.permutation(with.pool);
        used.assign(out.column_id.begin(), out.column_id.begin() + (with.pool + 1) / 2);
        out.column_count = {static_cast<index_t>(used.size())};
    }
    if (with.outside) {
        out.positive = random.uniform_matrix<T>(with.rows, with.cols, -1, 1, 1);
    }
    for (index_t i = 0; i < with.rows; ++i) {
        const auto some = [&] {
            return used.empty() ? -1
                                : used[static_cast<std::size_t>(random.integer(static_cast<index_t>(used.size())))];
        };
        const index_t own = some();
        if (!with.outside) {
            out.own.push_back(with.noise && i % 3 == 1 ? -1 : static_cast<label_t>(own));
        }
        if (with.self) {
            const index_t left_out = some();
            out.self.push_back(left_out == own || i % 4 == 3 ? -1 : static_cast<label_t>(left_out));
        }
    }
    if (with.groups) {
        out.row_group = random.labels(with.rows, 4);
        out.pool_group = random.labels(with.pool, 4);
        for (std::size_t i = 0; i < out.row_group.size(); i += 5) {
            out.row_group[i] = i % 2 == 0 ? -1 : -2; // negative ones are no group, not one of their own
        }
        for (std::size_t p = 0; p < out.pool_group.size(); p += 5) {
            out.pool_group[p] = p % 2 == 0 ? -1 : -2;
        }
    }
    out.temperature = random.uniform_values<T>(with.column_temperatures ? with.pool : 1, 0.1, 1);
    if (with.weights) {
        out.log_weight = random.uniform_values<T>(with.selected ? with.pool : static_cast<index_t>(used.size()), 0, 3);
    }
    if (with.scales) {
        out.row_scale = random.uniform_values<T>(with.rows, -2, 2);
    }
    out.accumulate = with.accumulate;
    return out;
}

} // namespace test

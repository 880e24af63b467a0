// SPDX-License-Identifier: MIT
#pragma once
#include <device/device_run.hpp>
#include <support/assignment_run.hpp>
#include <support/placed.hpp>
#include <support/random.hpp>

#include <protonce/backend/cuda/nearest.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <type_traits>
#include <vector>

namespace test {

namespace cuda = protonce::detail::cuda;
using run_type = decltype(device_run());

/// The best scores of a row, and the labels of the first of them.
struct ranked {
    std::vector<float> score;
    std::vector<label_t> label;
};

/// What the passes leave in memory, not centred.
struct trace {
    double unit;                            // one of scores and margins is so much of the data's
    std::vector<ranked> in_half, in_tf32;   // (N,); in TF32 of listed rows
    std::vector<float> margin;              // (N,) of in_half
    std::vector<float> margin_again;        // (N,) of in_tf32
    std::vector<cuda::choice> known, again; // (N,) after the first pass, where not listed; after the second one
    std::vector<cuda::choice> at_last;      // (N,) after all of them
    std::vector<index_t> list, undecided;   // rows with more than two labels after the first pass; after the second one
};

inline std::vector<ranked> ranks(const std::vector<cuda::best_three>& rows) {
    std::vector<ranked> out;
    for (const auto& best : rows) {
        out.push_back({{best.first, best.second, best.third}, {best.label, best.second_label}});
    }
    return out;
}

/// \param parts  on the host
inline std::vector<cuda::best_three> merged_slices(cuda::sliced_best best, std::vector<cuda::best_three> parts) {
    best.part = parts.data();
    std::vector<cuda::best_three> out;
    for (index_t row = 0; row < best.num_rows; ++row) {
        out.push_back(best.merged(row));
    }
    return out;
}

template <class Kernel = cuda::nearest_half>
trace trace_passes(const test::matrix<float>& x, const test::matrix<float>& centroids) {
    device_backend be;
    auto run = device_run();
    placed<device_backend, float> features(be, x), c(be, centroids);
    cuda::row_index<run_type> index(run, be.scratch(), features.rows(), false);
    protonce::detail::elementwise::scope_of<run_type> scope(be.scratch());
    const cuda::nearest_passes passes(scope, index, c.rows(), std::is_same_v<Kernel, cuda::nearest_wgmma<1>>);
    const auto read = [&](const auto* from, index_t n) {
        std::vector<std::remove_cvref_t<decltype(*from)>> out(static_cast<std::size_t>(n));
        run.read(from, out.data(), n);
        return out;
    };

    trace out;
    const auto scale = static_cast<double>(read(index.scale(), 1)[0]);
    out.unit = 1 / (scale * scale);
    passes.pack(run, index);
    passes.score(run);
    out.in_half = ranks(merged_slices(passes.best, read(passes.best.part, passes.best.num_slices * x.rows())));
    passes.decide(run, true);
    out.list = read(passes.list.row, read(passes.list.count, 1)[0]);
    out.known = read(passes.known, x.rows());
    passes.decide_again(run);
    out.again = read(passes.known, x.rows());
    out.undecided = read(passes.undecided.row, read(passes.undecided.count, 1)[0]);
    passes.scan(run);
    out.at_last = read(passes.known, x.rows());

    cuda::best_three* merged = scope.vector<cuda::best_three>(x.rows()).data();
    const auto kernel = passes.scores_in_tf32();
    run.for_each(static_cast<index_t>(out.list.size()),
                 [=] PROTONCE_HOST_DEVICE(index_t entry) { merged[kernel.list.row[entry]] = kernel.merged(entry); });
    out.in_tf32 = ranks(read(merged, x.rows()));

    const auto norm = read(passes.rows.norm, x.rows());
    const auto rest = read(passes.rows.rest, x.rows());
    const auto longest = read(passes.longest, 1)[0];
    for (std::size_t i = 0; i < norm.size(); ++i) {
        out.margin.push_back(cuda::half_margin(norm[i], rest[i], longest, passes.rows.stride));
        out.margin_again.push_back(cuda::tf32_margin(norm[i], longest, passes.rows.stride));
    }
    std::sort(out.list.begin(), out.list.end());
    std::sort(out.undecided.begin(), out.undecided.end());
    return out;
}

/// Exact to double's rounding, which is nothing beside a margin.
inline double score(const test::matrix<float>& x, index_t i, const test::matrix<float>& centroids, index_t k) {
    double sum = 0;
    for (index_t j = 0; j < x.cols(); ++j) {
        const auto c = static_cast<double>(centroids(k, j));
        sum += c * (static_cast<double>(x(i, j)) - c / 2);
    }
    return sum;
}

/// The largest error of the best scores of the rows, in units of what the margin allows; above 1 is too much.
/// \param unit  of scores and margins
inline double worst_score(const test::matrix<float>& x, const test::matrix<float>& centroids,
                          const std::vector<ranked>& best, const std::vector<float>& margin, double unit) {
    double worst = 0;
    for (index_t i = 0; i < x.rows(); ++i) {
        const ranked& found = best[static_cast<std::size_t>(i)];
        const double allowed = unit * static_cast<double>(margin[static_cast<std::size_t>(i)]) / 2;
        const auto compare = [&](float actual, double expected) {
            worst = std::max(worst, std::abs(unit * static_cast<double>(actual) - expected) / allowed);
        };
        std::vector<double> exact;
        for (index_t k = 0; k < centroids.rows(); ++k) {
            exact.push_back(score(x, i, centroids, k));
        }
        for (std::size_t rank = 0; rank < found.label.size() && rank < exact.size(); ++rank) {
            const label_t label = found.label[rank];
            REQUIRE(label >= 0);
            REQUIRE(label < centroids.rows());
            CHECK((rank == 0 || label != found.label[0]));
            compare(found.score[rank], exact[static_cast<std::size_t>(label)]);
        }
        std::sort(exact.begin(), exact.end(), std::greater<>());
        for (std::size_t rank = 0; rank < found.score.size(); ++rank) {
            if (rank < exact.size()) {
                compare(found.score[rank], exact[rank]);
            } else {
                CHECK(found.score[rank] == -std::numeric_limits<float>::infinity());
            }
        }
    }
    return worst;
}

template <class F>
void for_each_value(test::matrix<float>& values, const F& f) {
    for (index_t i = 0; i < values.rows(); ++i) {
        for (index_t j = 0; j < values.cols(); ++j) {
            values(i, j) = f(values(i, j));
        }
    }
}

/// The labels of exact arithmetic, and distances to the last bit.
inline void check_labels(const test::matrix<float>& x, const test::matrix<float>& centroids) {
    device_backend be;
    protonce::reference_backend<float> reference;
    CHECK(assign_rows(be, x, centroids, false) == assign_rows(reference, x, centroids, false));
}

} // namespace test

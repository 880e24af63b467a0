// SPDX-License-Identifier: MIT
// Passing over rows in greedy k-means++ changes nothing: potentials and distances equal those of all rows to the last bit.
#include <protonce/backend/cpu.hpp>

#include <support/random.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

using namespace protonce;

namespace {

using detail::cpu::instruction_set;

template <class T>
struct rows_and_more {
    test::matrix<T> features;
    std::vector<T> weight{};

    index_t rows() const { return features.rows(); }
    index_t cols() const { return features.cols(); }
};

// Rows around 40 centres, a few of them twice.
template <class T>
rows_and_more<T> around_centres(index_t rows, index_t cols) {
    test::random_source random(static_cast<std::uint64_t>(rows * 1000 + cols));
    rows_and_more<T> out{random.clustered<T>(rows, cols, 40, 0.3).features};
    for (index_t i = 96; i < rows; i += 97) {
        for (index_t j = 0; j < cols; ++j) {
            out.features(i, j) = out.features(i - 1, j);
        }
    }
    return out;
}

// Potentials and distances of some rounds, with `count` candidates each, one of them chosen.
template <class T>
std::vector<double> rounds(cpu_backend<T>& be, const rows_and_more<T>& data, index_t count) {
    std::vector<double> least(static_cast<std::size_t>(data.rows()), (std::numeric_limits<double>::max)());
    std::vector<double> potential(static_cast<std::size_t>(count));
    std::vector<double> out;
    auto index = be.index_rows(data.features.view(), true);
    std::vector<T> candidates(static_cast<std::size_t>(count * data.cols()));
    const auto view = view_rows(candidates.data(), count, data.cols());
    for (index_t round = 0; round < 6; ++round) {
        for (index_t l = 0; l < count; ++l) {
            const auto row = data.features.view().row((round * 31 + l * l * 7) % data.rows());
            std::copy(row.begin(), row.end(), view.row(l).begin());
        }
        if (round > 0) {
            be.candidate_potential(index, view, view_vector(data.weight), view_vector(std::as_const(least)),
                                   view_vector(potential));
            out.insert(out.end(), potential.begin(), potential.end());
        }
        if (round % 2 == 1) { // what was found for the candidates does not hold any more
            least[0] = least.back() = (std::numeric_limits<double>::max)();
        }
        be.relax_nearest(index, view.slice(round % count, 1), view_vector(least));
        out.insert(out.end(), least.begin(), least.end());
    }
    return out;
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double x, double y) {
        return x == y || (std::isnan(x) && std::isnan(y));
    });
}

template <class T>
void expect_same(const rows_and_more<T>& data, index_t count) {
    CAPTURE(data.rows());
    CAPTURE(data.cols());
    CAPTURE(count);
    for (int set = 0; set <= static_cast<int>(detail::cpu::widest_instruction_set()); ++set) {
        CAPTURE(set);
        cpu_backend<T> plain(cpu_options{.threads = 1, .check_finite = false, .prune = false});
        cpu_backend<T> pruned(cpu_options{.threads = 1 + set % 3, .check_finite = false});
        plain.use(static_cast<instruction_set>(set));
        pruned.use(static_cast<instruction_set>(set));
        CHECK(same_bits(rounds(pruned, data, count), rounds(plain, data, count)));
    }
}

} // namespace

TEST_CASE_TEMPLATE("candidate distances: any number of candidates", T, float, double) {
    const auto data = around_centres<T>(600, 21);
    for (const index_t count : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 24, 25, 33}) {
        expect_same(data, count);
    }
}

TEST_CASE_TEMPLATE("candidate distances: any number of rows and columns", T, float, double) {
    for (const index_t rows : {1, 2, 7, 11, 13, 479, 480, 481, 492}) {
        expect_same(around_centres<T>(rows, 20), 5);
    }
    for (const index_t cols : {1, 2, 3, 4, 5, 8, 9, 31, 32, 33, 65, 130, 260}) {
        for (const index_t count : {8, 9}) {
            expect_same(around_centres<T>(490, cols), count);
        }
    }
}

TEST_CASE_TEMPLATE("candidate distances: weights, also of 0", T, float, double) {
    auto data = around_centres<T>(700, 24);
    for (index_t i = 0; i < data.rows(); ++i) {
        data.weight.push_back(static_cast<T>(i % 5) * T(0.37));
    }
    for (const index_t count : {2, 8, 11, 17}) {
        expect_same(data, count);
    }
}

TEST_CASE("candidate distances: shifted, tiny, huge") {
    for (const double scale : {1e-18, 1e-4, 1.0, 1e18}) {
        for (const double shift : {0.0, 1e3}) {
            auto data = around_centres<float>(600, 40);
            for (index_t i = 0; i < data.rows(); ++i) {
                for (index_t j = 0; j < data.cols(); ++j) {
                    float& x = data.features(i, j);
                    x = static_cast<float>((static_cast<double>(x) + shift) * scale);
                }
            }
            CAPTURE(scale);
            CAPTURE(shift);
            expect_same(data, 8);
        }
    }
}

TEST_CASE("candidate distances: a row that is no number is so in every potential") {
    auto data = around_centres<float>(1000, 20);
    data.features(499, 3) = std::numeric_limits<float>::quiet_NaN();
    expect_same(data, 4);
    cpu_backend<float> be(cpu_options{.check_finite = false});
    const auto found = rounds(be, data, 4);
    CHECK(std::isnan(found[499]));
    CHECK(std::isnan(found[1000]));
    CHECK(found[500] < 1e30);
}

TEST_CASE("candidate distances: the potential of a candidate that is no number is none") {
    const auto data = around_centres<float>(1000, 20);
    for (const bool prune : {false, true}) {
        cpu_backend<float> be(cpu_options{.check_finite = false, .prune = prune});
        auto index = be.index_rows(data.features.view(), true);
        const std::vector<double> least(1000, 1e-3);
        for (const index_t which : {0, 1, 2}) {
            auto candidates = around_centres<float>(3, 20).features;
            candidates(which, 3) = std::numeric_limits<float>::quiet_NaN();
            std::vector<double> potential(3);
            be.candidate_potential(index, std::as_const(candidates).view(), {}, view_vector(least),
                                   view_vector(potential));
            for (index_t l = 0; l < 3; ++l) {
                CHECK(std::isnan(potential[static_cast<std::size_t>(l)]) == (l == which));
            }
        }
    }
}

TEST_CASE("candidate distances: where codes are multiplied, rows are passed over") {
    if (detail::cpu::widest_instruction_set() < instruction_set::avx512_vnni) {
        MESSAGE("skipped: this processor has no AVX-512 VNNI");
        return;
    }
    const auto data = around_centres<float>(4800, 32);
    cpu_backend<float> be({.threads = 1});
    auto index = be.index_rows(data.features.view(), true);
    std::vector<double> least(4800, (std::numeric_limits<double>::max)());
    for (index_t k = 0; k < 40; ++k) {
        be.relax_nearest(index, data.features.view().slice(k, 1), view_vector(least));
    }
    index_t passed_on = 0;
    index.squared_distances(data.features.view().slice(80, 8), view_vector(std::as_const(least)), [&](const auto& rows) {
        passed_on += rows.count;
        for (index_t n = 0; n < rows.count; ++n) {
            for (index_t l = 0; l < 8; ++l) {
                CHECK(rows.distance(n, l) <= least[static_cast<std::size_t>(rows.origin + rows.close[n])]);
            }
        }
    });
    CHECK(passed_on >= 8); // the candidates themselves
    CHECK(passed_on < 2000);
}

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/check.hpp>
#include <protonce/metrics/contingency.hpp>
#include <protonce/metrics/matching.hpp>
#include <protonce/metrics/mutual_information.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory_resource>
#include <string_view>
#include <vector>

namespace protonce::inline v0 {

/// How well a clustering agrees with classes. All but the two informations, in nats, are 1 for the same partition.
struct cluster_scores_report {
    double ami = 0;                         // adjusted mutual information: 0 expected for independent labels
    double nmi = 0;                         // mutual information over the mean of both entropies
    double ari = 0;                         // adjusted Rand index: 0 expected for independent labels
    double homogeneity = 0;                 // each cluster holds one class
    double completeness = 0;                // each class lies in one cluster
    double v_measure = 0;                   // harmonic mean of the two
    double purity = 0;                      // share of samples in the largest class of their cluster
    double matching_accuracy = 0;           // share of samples in the best one-to-one matching of clusters with classes
    double mutual_information = 0;          // of classes and clusters
    double expected_mutual_information = 0; // its mean over random labelings with the same group sizes
};

namespace detail {

inline void check_scored_labels(std::string_view argument, vector_view<const label_t> labels) {
    for (index_t i = 0; i < labels.size(); ++i) {
        if (labels[i] < 0) {
            check::fail_argument("cluster_scores", argument,
                                 "must not be negative; leave samples without a label out, or give them their own",
                                 check::text(labels[i]) + " in row " + check::text(i));
        }
    }
}

/// Every row meets one column and every column one row.
inline bool same_partition(const contingency& table) {
    return table.cells.size() == table.row_sum.size() && table.cells.size() == table.col_sum.size();
}

/// With pairs of samples counted as together in both (tp), in neither (tn), in one only (fp, fn):
///     ARI = 2 (tp tn - fn fp) / ((tp + fn)(fn + tn) + (tp + fp)(fp + tn))      (Hubert and Arabie 1985)
inline double adjusted_rand(const contingency& table) {
    if (same_partition(table)) {
        return 1.0; // also where no pair is together, or none apart: 0 / 0
    }
    // All as shares of the N^2 ordered pairs: products of counts would leave the range of integers.
    const auto n = static_cast<double>(table.samples);
    const auto square = [&](index_t count) { return static_cast<double>(count) * static_cast<double>(count); };
    double cells = 0.0;
    double rows = 0.0;
    double cols = 0.0;
    for (const auto& cell : table.cells) {
        cells += square(cell.count);
    }
    for (const index_t sum : table.row_sum) {
        rows += square(sum);
    }
    for (const index_t sum : table.col_sum) {
        cols += square(sum);
    }
    const double total = n * n;
    const double tp = (cells - n) / total;
    const double fp = (cols - cells) / total;
    const double fn = (rows - cells) / total;
    const double tn = (total - cols - rows + cells) / total;
    return 2.0 * (tp * tn - fn * fp) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn));
}

/// Share of samples in the largest cell of their column.
inline double purity(const contingency& table, std::pmr::memory_resource* memory) {
    std::pmr::vector<index_t> largest(table.col_sum.size(), 0, memory);
    for (const auto& cell : table.cells) {
        index_t& most = largest[static_cast<std::size_t>(cell.col)];
        most = cell.count > most ? cell.count : most;
    }
    index_t sum = 0;
    for (const index_t count : largest) {
        sum += count;
    }
    return static_cast<double>(sum) / static_cast<double>(table.samples);
}

inline void score_information(const contingency& table, std::pmr::memory_resource* memory, cluster_scores_report& out) {
    const double classes = label_entropy(table.row_sum, table.samples);
    const double clusters = label_entropy(table.col_sum, table.samples);
    const double mean = (classes + clusters) / 2.0;
    const double information = mutual_information(table);
    const double expected = expected_mutual_information(table, memory);
    out.mutual_information = information;
    out.expected_mutual_information = expected;
    if (same_partition(table)) {
        // One group, or only groups of one, leave 0 / 0 here: what agrees fully scores 1.
        out.ami = out.nmi = out.homogeneity = out.completeness = out.v_measure = 1.0;
        return;
    }
    out.nmi = information > 0.0 ? information / mean : 0.0;
    out.homogeneity = classes > 0.0 ? information / classes : 1.0;
    out.completeness = clusters > 0.0 ? information / clusters : 1.0;
    const double sum = out.homogeneity + out.completeness;
    out.v_measure = sum > 0.0 ? 2.0 * out.homogeneity * out.completeness / sum : 0.0;
    // Information never exceeds the mean entropy, so neither does its expectation; rounding may bring them together.
    constexpr double least = std::numeric_limits<double>::epsilon();
    out.ami = (information - expected) / (mean - expected > least ? mean - expected : least);
}

} // namespace detail

/// Agreement of a clustering with classes, every usual score at once. Logarithms are natural, means of entropies
/// arithmetic; definitions and limit cases are those of scikit-learn.
///
///     H = -sum (a_i/N) ln(a_i/N),  I = sum (n_ij/N) ln(N n_ij / (a_i b_j)),  M = (H_truth + H_predicted) / 2
///     NMI = I / M,  AMI = (I - E[I]) / (M - E[I]),  homogeneity = I / H_truth,  completeness = I / H_predicted
///
/// n_ij samples of class i lie in cluster j, a_i and b_j are the sizes; E[I] is over labelings drawn with the same
/// sizes (Vinh, Epps, Bailey 2010). The same partition under other names scores 1 everywhere, one group or only groups
/// of one included. One cluster for several classes scores 0 in AMI, NMI, ARI and homogeneity, and completeness is 1. A
/// score that adjusts for chance may be negative.
///
/// \param truth            (N,) classes, any numbers from 0 on
/// \param predicted        (N,) clusters, any numbers from 0 on
/// \param memory           where temporaries come from
/// \throws shape_error     no samples, or the two differ in length
/// \throws argument_error  a negative label
/// Cost: O(N log N) and a shortest path for each group of the labeling that has fewer.  Scratch: O(N).
inline cluster_scores_report cluster_scores(vector_view<const label_t> truth, vector_view<const label_t> predicted,
                                            std::pmr::memory_resource* memory = std::pmr::get_default_resource()) {
    check::given("cluster_scores", "truth", truth);
    check::size("cluster_scores", "predicted", predicted, truth.size());
    detail::check_scored_labels("truth", truth);
    detail::check_scored_labels("predicted", predicted);

    const detail::contingency table = detail::count_pairs(truth, predicted, memory);
    cluster_scores_report out;
    detail::score_information(table, memory, out);
    out.ari = detail::adjusted_rand(table);
    out.purity = detail::purity(table, memory);
    const bool fewer_rows = table.row_sum.size() <= table.col_sum.size();
    const detail::contingency turned =
        fewer_rows ? detail::contingency(memory) : detail::count_pairs(predicted, truth, memory);
    const index_t matched = detail::best_matching(fewer_rows ? table : turned, memory).samples();
    out.matching_accuracy = static_cast<double>(matched) / static_cast<double>(truth.size());
    return out;
}

} // namespace protonce::inline v0

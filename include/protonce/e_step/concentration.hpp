// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/check.hpp>
#include <protonce/e_step/clustering.hpp>
#include <protonce/e_step/support.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <type_traits>

namespace protonce::inline v0 {

struct concentration_options {
    double temperature = 0.2; // tau, the mean of all phi
    double smoothing = 10;    // alpha: small clusters are not taken for tight ones
};

struct concentration_report {
    bool is_degenerate = false;  // no cluster of two members with spread: every phi is the temperature
    index_t num_filled = 0;      // clusters of fewer than two members, which took the largest phi of the others
    double lower = 0, upper = 0; // bounds that phi was clamped to, before scaling; 0 if degenerate
};

namespace detail {

template <real T>
void check_concentration_options(std::string_view function, const concentration_options& options) {
    check::positive(function, "temperature", options.temperature);
    check::in_range(function, "temperature", options.temperature, static_cast<double>((std::numeric_limits<T>::min)()),
                    static_cast<double>((std::numeric_limits<T>::max)()));
    check::in_range(function, "smoothing", options.smoothing, 0.0, (std::numeric_limits<double>::max)());
}

/// The value below which a fraction of the values lies, interpolated linearly between neighbours. Reorders `values`.
inline double quantile(vector_view<double> values, double fraction) {
    const double position = fraction * static_cast<double>(values.size() - 1);
    const index_t below = (std::min)(static_cast<index_t>(position), values.size() - 1);
    const auto at = values.begin() + below;
    std::nth_element(values.begin(), at, values.end());
    if (below + 1 == values.size()) {
        return *at;
    }
    const double next = *std::min_element(at + 1, values.end());
    return *at + (next - *at) * (position - static_cast<double>(below));
}

/// Raw phi of each cluster in place of its sum of distances; -1 where fewer than two members leave it open. Returns the
/// largest.
inline double raw_concentration(vector_view<double> sum, vector_view<const double> members, double smoothing) {
    double largest = -1;
    for (index_t k = 0; k < sum.size(); ++k) {
        if (!check::is_finite(sum[k])) {
            check::fail_argument("concentration", "squared_distance", "must be finite and not negative",
                                 "NaN, infinity or a negative value in cluster " + check::text(k));
        }
        sum[k] = members[k] < 2 ? -1.0 : sum[k] / (members[k] * std::log(members[k] + smoothing));
        largest = (std::max)(largest, sum[k]);
    }
    return largest;
}

/// Fill, clamp, scale: from raw phi to the temperatures of the losses.
inline void finish_concentration(vector_view<double> phi, vector_view<double> sorted, double largest,
                                 double temperature, concentration_report& report) {
    for (double& value : phi) {
        report.num_filled += value < 0 ? 1 : 0;
        value = value < 0 ? largest : value;
    }
    // No cluster of two members, or none with spread: nothing to tell the clusters apart by.
    report.is_degenerate = !(largest > 0);
    if (report.is_degenerate) {
        std::fill(phi.begin(), phi.end(), temperature);
        return;
    }
    std::copy(phi.begin(), phi.end(), sorted.begin());
    report.lower = quantile(sorted, 0.1);
    report.upper = quantile(sorted, 0.9);
    if (!(report.lower > 0)) {
        // The authors' program divides by 0 here. The smallest positive phi is the tightest cluster that has any
        // spread.
        report.lower = largest;
        for (const double value : phi) {
            report.lower = value > 0 ? (std::min)(report.lower, value) : report.lower;
        }
        report.upper = (std::max)(report.upper, report.lower);
    }
    double mean = 0;
    for (double& value : phi) {
        value = std::clamp(value, report.lower, report.upper);
        mean += value / static_cast<double>(phi.size());
    }
    for (double& value : phi) {
        value *= temperature / mean;
    }
}

} // namespace detail

/// Concentration of each cluster; small means tight (Li et al. 2021, section 3.4, phi).
///
///     phi_k = sum_i ||v_i - m_k|| / (Z_k ln(Z_k + smoothing)),   i over the Z_k members of cluster k, m_k the raw
///     centroid
///
/// A cluster with fewer than two members takes the largest phi of the others. All values are then clamped to their 10th
/// and 90th percentile over all K (linear interpolation) and scaled so that their mean over all K, empty clusters
/// included, is `options.temperature`. Where the 10th percentile is 0, the smallest positive phi is the lower bound,
/// and the upper one is at least that. If no cluster has two members, or none has spread, every phi is the temperature
/// and `is_degenerate` is set.
///
/// \param spread            squared_distance (N,) ||v_i - m||^2 to the sample's own centroid, as kmeans() returns it,
///                          and assignment (N,) in [-1, K); samples with label -1 are passed over
/// \param out               (K,)  overwritten, positive
/// \throws shape_error      squared_distance and assignment differ in length, or out is empty
/// \throws argument_error   temperature not positive and finite, or outside the normal numbers of T; smoothing
///                          negative; a label outside [-1, K); a squared distance negative or not finite. The output is
///                          untouched.
/// Synchronises: yes.  Scratch: 2K doubles here, 4K on the host.  Reproducible: bitwise, for any number of threads.
template <backend B>
concentration_report concentration(B& be, const std::type_identity_t<cluster_spread<typename B::space>>& spread,
                                   const concentration_options& options, vector_of<B> out) {
    using T = value_of<B>;
    constexpr std::string_view name = "concentration";
    check::given(name, "squared_distance", spread.squared_distance);
    check::size(name, "assignment", spread.assignment, spread.squared_distance.size());
    check::given(name, "out", out);
    detail::check_concentration_options<T>(name, options);
    const index_t clusters = out.size();
    detail::check_labels(be, name, "assignment", spread.assignment, clusters);

    typename workspace<typename B::space>::scope scope(be.scratch());
    workspace<host>::scope host_scope(be.host_scratch());
    auto sum = scope.template vector<double>(clusters);
    auto count = scope.template vector<double>(clusters);
    auto phi = host_scope.template vector<double>(clusters);
    auto members = host_scope.template vector<double>(clusters);
    auto rounded = host_scope.template vector<T>(clusters);
    be.segment_scalar_sum(spread.squared_distance, scalar_map::square_root, vector_of<B, const T>{}, spread.assignment,
                          sum, count);
    be.read(detail::constant(sum), phi);
    be.read(detail::constant(count), members);

    concentration_report report;
    const double largest = detail::raw_concentration(phi, members, options.smoothing);
    detail::finish_concentration(phi, members, largest, options.temperature, report);
    for (index_t k = 0; k < clusters; ++k) {
        // A temperature of 0 would divide by it: the least normal number stands for anything below.
        rounded[k] = (std::max)(static_cast<T>(phi[k]), (std::numeric_limits<T>::min)());
    }
    be.write(detail::constant(rounded), out);
    return report;
}

} // namespace protonce::inline v0

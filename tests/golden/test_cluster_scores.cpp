// SPDX-License-Identifier: MIT
#include <protonce/metrics/cluster_scores.hpp>

#include "support/golden.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

TEST_CASE("golden: cluster_scores") {
    using report = protonce::cluster_scores_report;
    const std::vector<std::pair<std::string, double report::*>> names{
        {"ami_arithmetic", &report::ami},
        {"nmi_arithmetic", &report::nmi},
        {"ari", &report::ari},
        {"homogeneity", &report::homogeneity},
        {"completeness", &report::completeness},
        {"v_measure", &report::v_measure},
        {"purity", &report::purity},
        {"hungarian_accuracy", &report::matching_accuracy},
        {"mutual_information_nats", &report::mutual_information},
        {"expected_mutual_information_nats", &report::expected_mutual_information}};
    for (const auto& c : golden::cases("cluster_scores")) {
        INFO(c.name());
        const auto truth = c["truth"].as<protonce::label_t>();
        const auto predicted = c["predicted"].as<protonce::label_t>();

        const auto scores = protonce::cluster_scores(protonce::view_vector(truth), protonce::view_vector(predicted));

        for (const auto& entry : names) {
            const std::string& name = entry.first;
            const auto member = entry.second;
            INFO(name);
            CHECK(golden::difference({c.expected(name)}, {scores.*member}) <= c.tolerance("rtol_f64"));
        }
    }
}

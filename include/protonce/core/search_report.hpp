// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/types.hpp>

#include <string_view>

namespace protonce::inline v0 {

/// How the nearest centroids of N rows among K were found; filled in by backends that leave work out. Labels never depend on it.
struct search_report {
    /// What bounded the scores of pairs before any was computed: "exhaustive" (nothing, all were computed), "bounds" (distances from
    /// earlier searches alone), "projected" (leading principal coordinates), "coded" (whole numbers of 8 bits).
    std::string_view method = "exhaustive";
    index_t columns = 0;      // multiplied for the bound of one pair
    index_t groups = 0;       // groups of centroids for which each row keeps a bound from search to search
    double bounded_share = 0; // of the N K pairs: those bounded that way
    double full_share = 1;    // of the N K pairs: those whose distance was computed in full
    index_t bytes = 0;        // kept for it
};

} // namespace protonce::inline v0

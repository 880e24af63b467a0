// SPDX-License-Identifier: MIT
#pragma once
#include "progress.hpp"
#include "recipe.hpp"

#include "../support/json.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace fashion {

/// What one epoch was like: means over its batches.
struct epoch_record {
    double learning_rate = 0;     // of its last step
    double loss_instance = 0;     // InfoNCE or NT-Xent
    double chance_level = 0;      // of that loss, for embeddings that tell nothing
    double accuracy_instance = 0; // share of queries that find their key among the negatives
    bool has_prototypes = false;
    double loss_prototypes = 0;
    std::vector<double> accuracy_prototypes{}; // of each level: share of queries that find their prototype
    double dead_prototypes = 0;                // share of clusters with fewer than two members
    double effective_rank = 0;                 // of the embeddings of the first images, without augmentation
    double seconds = 0;
    double seconds_e_step = 0;
};

/// The line of an epoch.
inline std::string describe(const recipe& r, index_t epoch, const epoch_record& e) {
    char text[256];
    std::snprintf(text, sizeof text, "epoch %2d/%d  instance %.3f (chance %.3f, top-1 %4.1f %%)",
                  static_cast<int>(epoch + 1), static_cast<int>(r.epochs), e.loss_instance, e.chance_level,
                  100 * e.accuracy_instance);
    std::string line = text;
    if (e.has_prototypes) {
        std::snprintf(text, sizeof text, "  prototypes %.3f (top-1", e.loss_prototypes);
        line += text;
        for (const double accuracy : e.accuracy_prototypes) {
            std::snprintf(text, sizeof text, " %.1f", 100 * accuracy);
            line += text;
        }
        std::snprintf(text, sizeof text, " %%)  E-step %.1f s, dead %.1f %%", e.seconds_e_step,
                      100 * e.dead_prototypes);
        line += text;
    }
    std::snprintf(text, sizeof text, "  rank %.1f  %.1f s", e.effective_rank, e.seconds);
    return line + text;
}

/// `history.csv`: one row an epoch. No times, so that two runs of one seed write the same file.
///
/// \throws std::runtime_error  the file cannot be written
inline void write_history(const std::filesystem::path& path, const recipe& r,
                          const std::vector<epoch_record>& history) {
    std::ofstream file(path, std::ios::trunc);
    file << "epoch,learning_rate,loss_instance,chance_level,accuracy_instance,effective_rank";
    if (r.has_prototypes()) {
        file << ",loss_prototypes";
        for (const index_t clusters : r.clusters) {
            file << ",accuracy_prototypes_" << clusters;
        }
        file << ",dead_prototypes";
    }
    file << '\n';
    for (std::size_t i = 0; i < history.size(); ++i) {
        const epoch_record& e = history[i];
        file << i + 1;
        for (const double value :
             {e.learning_rate, e.loss_instance, e.chance_level, e.accuracy_instance, e.effective_rank}) {
            file << ',' << support::json_number(value);
        }
        if (r.has_prototypes()) { // empty cells during the warm-up
            file << ',' << (e.has_prototypes ? support::json_number(e.loss_prototypes) : "");
            for (std::size_t m = 0; m < r.clusters.size(); ++m) {
                file << ',' << (e.has_prototypes ? support::json_number(e.accuracy_prototypes[m]) : "");
            }
            file << ',' << (e.has_prototypes ? support::json_number(e.dead_prototypes) : "");
        }
        file << '\n';
    }
    file.close();
    if (!file) {
        throw std::runtime_error("cannot write " + path.string());
    }
}

} // namespace fashion

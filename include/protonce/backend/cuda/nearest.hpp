// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/doubtful.hpp>
#include <protonce/backend/cuda/nearest_half.hpp>
#include <protonce/backend/cuda/nearest_tf32.hpp>
#include <protonce/backend/cuda/nearest_wgmma.hpp>
#include <protonce/backend/cuda/packed_rows.hpp>
#include <protonce/backend/cuda/scan_rows.hpp>
#include <protonce/backend/cuda/settle_kernel.hpp>
#include <protonce/backend/elementwise/nearest.hpp>

namespace protonce::inline v0::detail::cuda {

/// What is kept of rows that are assigned many times: centred and scaled copies, as the kernels read them, their norms, and
/// the scale.
template <class Run>
class row_index {
public:
    row_index(Run& run, elementwise::scratch_of<Run>& scratch, matrix_view<const float, typename Run::space> features,
              bool may_centre)
        : plain_(run, scratch, features, may_centre), scope_(scratch),
          packed_(scope_, features.rows(), features.cols()), scale_(scope_.template vector<float>(1).data()) {
        find_scale_of(run, scratch, features);
        const pack_rows kernel{
            .x = features, .mean = plain_.mean(), .scale = scale_, .out = packed_, .first_score = nullptr};
        run.launch(kernel.blocks(), 0, kernel);
    }

    elementwise::row_index<float, Run>& plain() { return plain_; }
    const elementwise::row_index<float, Run>& plain() const { return plain_; }
    const packed_rows& packed() const { return packed_; }
    const float* scale() const { return scale_; } // (1,)

private:
    void find_scale_of(Run& run, elementwise::scratch_of<Run>& scratch, elementwise::table<const float> features) {
        elementwise::scope_of<Run> scope(scratch);
        find_largest_values values{.x = features, .mean = plain_.mean(), .largest = nullptr};
        values.largest = scope.template vector<float>(values.blocks()).data();
        run.launch(values.blocks(), find_largest_values::shared_bytes, values);
        run.launch(1, find_scale::shared_bytes,
                   find_scale{.largest = values.largest, .count = values.blocks(), .scale = scale_});
    }

    elementwise::row_index<float, Run> plain_;
    elementwise::scope_of<Run> scope_;
    packed_rows packed_;
    float* scale_;
};

/// Both lists empty: one element.
struct start_lists {
    index_t* first;
    index_t* second;

    PROTONCE_HOST_DEVICE void operator()(index_t) const { *first = *second = 0; }
};

/// elementwise::nearest_row() on the tensor cores, in three passes: scores in half precision (nearest_wgmma.hpp,
/// nearest_half.hpp) leave one label of a row, or two, or more (doubtful.hpp); where more, so do scores in TF32 with values
/// split in two (nearest_tf32.hpp). Exact arithmetic decides between two (settle_kernel.hpp), or looks at all (scan_rows.hpp).
struct nearest_passes {
    elementwise::table<const float> x;
    elementwise::table<const float> centroids;
    packed_rows rows;
    packed_rows moved;      // the centroids
    float* first_score;     // of the centroids, as pack_rows writes it
    largest_norms* longest; // (1,)
    bool by_groups;         // nearest_wgmma, or else nearest_half
    sliced_best best;       // of its scores
    choice* known;          // (N,)
    row_list list;          // for scores in TF32
    row_list undecided;     // by them
    index_t again_blocks;
    best_three* part;           // (again_blocks, 64)
    found_centroid* part_found; // as scan_rows wants it

    /// \param by_groups_  the groups of warps of 90a shall compute the first scores
    template <class Scope, class Run>
    nearest_passes(Scope& scope, const row_index<Run>& index, elementwise::table<const float> centroids_,
                   bool by_groups_)
        : x(index.plain().features()), centroids(centroids_), rows(index.packed()),
          moved(scope, centroids.rows, centroids.cols),
          first_score(scope.template vector<float>(moved.padded_rows).data()),
          longest(scope.template vector<largest_norms>(1).data()), by_groups(by_groups_), best(best_of_rows(scope)),
          known(scope.template vector<choice>(x.rows).data()), list(list_of_rows(scope)),
          undecided(list_of_rows(scope)), again_blocks(nearest_tf32::blocks(x.rows)),
          part(scope.template matrix<best_three>(again_blocks, nearest_tf32::block_rows).data()),
          part_found(scope.template vector<found_centroid>(scan_rows::parts(x.rows, centroids.rows)).data()) {}

    template <class Run>
    void pack(Run& run, const row_index<Run>& index) const {
        const pack_rows kernel{.x = centroids,
                               .mean = index.plain().mean(),
                               .scale = index.scale(),
                               .out = moved,
                               .first_score = first_score};
        run.launch(kernel.blocks(), 0, kernel);
        run.launch(1, find_largest_norms::shared_bytes, find_largest_norms{.in = moved, .out = longest});
    }
    template <class Run>
    void score(Run& run) const {
        if (!by_groups) {
            score_by<nearest_half>(run);
        } else if (rows.chunks() % 4 == 0) {
            score_by<nearest_wgmma<4>>(run);
        } else if (rows.chunks() % 2 == 0) {
            score_by<nearest_wgmma<2>>(run);
        } else {
            score_by<nearest_wgmma<1>>(run);
        }
    }
    template <class Run>
    void decide(Run& run, bool is_exact) const {
        const decide_rows kernel{
            .rows = rows, .longest = longest, .is_exact = is_exact, .best = best, .known = known, .list = list};
        run.for_each(1, start_lists{list.count, undecided.count});
        run.launch(kernel.blocks(), 0, kernel);
    }
    nearest_tf32 scores_in_tf32() const {
        return {.rows = rows.values,
                .centroids = moved.values,
                .first_score = first_score,
                .list = list,
                .num_centroids = centroids.rows,
                .stride = rows.stride,
                .num_blocks = again_blocks,
                .part = part};
    }
    template <class Run>
    void decide_again(Run& run) const {
        const nearest_tf32 kernel = scores_in_tf32();
        run.launch(again_blocks, nearest_tf32::shared_bytes, kernel);
        run.launch(
            ceil_div(x.rows, choice_by_tf32::threads), 0,
            choice_by_tf32{
                .scores = kernel, .norm = rows.norm, .longest = longest, .known = known, .undecided = undecided});
    }
    template <class Run>
    void scan(Run& run) const {
        const scan_rows kernel{.x = x, .centroids = centroids, .list = undecided, .part = part_found, .known = known};
        run.launch(kernel.blocks(), scan_rows::shared_bytes, kernel);
        const merge_slices merge{.scan = kernel};
        run.launch(merge.blocks(), 0, merge);
    }
    template <class Run>
    void settle(Run& run, label_t* assignment, double* squared_distances) const {
        run.for_each(x.rows, settle_rows{.x = x,
                                         .centroids = centroids,
                                         .known = known,
                                         .assignment = assignment,
                                         .squared_distances = squared_distances});
    }

private:
    template <class Kernel, class Run>
    void score_by(Run& run) const {
        const Kernel kernel{.rows = rows, .centroids = moved, .first_score = first_score, .best = best};
        run.launch(kernel.blocks(), Kernel::shared_bytes, kernel);
    }
    template <class Scope>
    sliced_best best_of_rows(Scope& scope) const {
        const index_t tiles = moved.padded_rows / half_tiles::rows;
        const index_t slices =
            by_groups ? nearest_wgmma<1>::slices(x.rows, tiles) : nearest_half::slices(x.rows, tiles);
        return {scope.template matrix<best_three>(slices, x.rows).data(), x.rows, slices};
    }
    template <class Scope>
    row_list list_of_rows(Scope& scope) const {
        return {scope.template vector<index_t>(x.rows).data(), scope.template vector<index_t>(1).data()};
    }
};

/// \param is_exact  false: the best score in half precision names the label
template <class Run>
void nearest_row(Run& run, elementwise::scratch_of<Run>& scratch, const row_index<Run>& index,
                 elementwise::table<const float> centroids, bool is_exact, label_t* assignment,
                 double* squared_distances) {
    elementwise::scope_of<Run> scope(scratch);
    const nearest_passes passes(scope, index, centroids, run.template has_body<nearest_wgmma<1>>());
    passes.pack(run, index);
    passes.score(run);
    passes.decide(run, is_exact);
    passes.decide_again(run);
    passes.scan(run);
    passes.settle(run, assignment, squared_distances);
}

} // namespace protonce::inline v0::detail::cuda

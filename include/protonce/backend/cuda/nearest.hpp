// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/nearest_kernel.hpp>
#include <protonce/backend/cuda/settle_kernel.hpp>
#include <protonce/backend/elementwise/nearest.hpp>

#include <cmath>

namespace protonce::inline v0::detail::cuda {

/// packed_i = x_i - mean, zeros after the last column; norm_i = ||x_i - mean||
template <class Run>
void pack(Run& run, elementwise::table<const float> x, const float* mean, float* packed, index_t stride, float* norm) {
    run.for_each(x.rows * stride, [=] PROTONCE_HOST_DEVICE(index_t at) {
        const index_t j = at % stride;
        packed[at] = j < x.cols ? x(at / stride, j) - mean[j] : 0.0F;
    });
    run.for_each(x.rows, [=] PROTONCE_HOST_DEVICE(index_t i) {
        const float* row = packed + i * stride;
        norm[i] = static_cast<float>(std::sqrt(elementwise::inner_product(row, row, x.cols)));
    });
}

/// What is kept of rows that are assigned many times: a centred copy, as the kernel reads it, and their norms.
template <class Run>
class row_index {
public:
    row_index(Run& run, elementwise::scratch_of<Run>& scratch, matrix_view<const float, typename Run::space> features,
              bool may_centre)
        : plain_(run, scratch, features, may_centre), scope_(scratch),
          stride_(ceil_div(features.cols(), nearest_scores::chunk) * nearest_scores::chunk),
          packed_(scope_.template matrix<float>(features.rows(), stride_).data()),
          norm_(scope_.template vector<float>(features.rows()).data()) {
        pack<Run>(run, features, plain_.mean(), packed_, stride_, norm_);
    }

    elementwise::row_index<float, Run>& plain() { return plain_; }
    const elementwise::row_index<float, Run>& plain() const { return plain_; }
    index_t stride() const { return stride_; } // of packed rows, those of centroids too
    const float* packed() const { return packed_; }
    const float* norm() const { return norm_; }

private:
    elementwise::row_index<float, Run> plain_;
    elementwise::scope_of<Run> scope_;
    index_t stride_;
    float* packed_;
    float* norm_;
};

/// elementwise::nearest_row() with the scores from tensor cores (nearest_kernel.hpp says how exact they are).
template <class Run>
void nearest_row(Run& run, elementwise::scratch_of<Run>& scratch, const row_index<Run>& index,
                 elementwise::table<const float> centroids, label_t* assignment, double* squared_distances) {
    elementwise::scope_of<Run> scope(scratch);
    const elementwise::table<const float> x(index.plain().features());
    const index_t stride = index.stride();
    const auto moved = scope.template matrix<float>(centroids.rows, stride);
    float* half_square = scope.template vector<float>(centroids.rows).data();
    float* longest = scope.template vector<float>(1).data();
    auto* best = scope.template vector<elementwise::best_two<float>>(x.rows).data();
    elementwise::centre_centroids<Run, float>(run, scratch, centroids, index.plain().mean(), moved, half_square,
                                              longest);
    run.launch(ceil_div(x.rows, nearest_scores::block_rows), nearest_scores::shared_bytes,
               nearest_scores{.rows = index.packed(),
                              .centroids = moved.data(),
                              .half_square = half_square,
                              .num_rows = x.rows,
                              .num_centroids = centroids.rows,
                              .stride = stride,
                              .best = best});
    run.launch(ceil_div(x.rows, settle_rows::threads), 0,
               settle_rows{.x = x,
                           .centroids = centroids,
                           .best = best,
                           .norm = index.norm(),
                           .longest = longest,
                           .roundings = static_cast<float>(7 * stride + 64),
                           .assignment = assignment,
                           .squared_distances = squared_distances});
}

} // namespace protonce::inline v0::detail::cuda

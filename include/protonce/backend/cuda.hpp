// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cuda/draw_columns.hpp>
#include <protonce/backend/cuda/fused_contrast.hpp>
#include <protonce/backend/cuda/nearest.hpp>
#include <protonce/backend/cuda/softmax_products.hpp>
#include <protonce/backend/cuda/sum_rows.hpp>
#include <protonce/backend/cuda/together.hpp>
#include <protonce/backend/elementwise/operations.hpp>

#include <concepts>
#include <memory_resource>
#include <optional>
#include <span>
#include <type_traits>

#ifdef __CUDACC__
#include <protonce/backend/cuda/run.hpp>
#endif

namespace protonce::inline v0 {

/// How exact the products of the losses are, with float. A logit errs by up to 2^-10 or 2^-20 of ||q|| ||k|| / temperature, and gradients
/// with it; in brackets the relative error of gradients that the tests hold, of 1300 unit rows of 128 columns at temperature 0.1.
///
/// `fast` rounds as `standard` does, at twice the rate: rows are divided by a power of two of their own, so that their largest value is at
/// least 1, and what is smaller than 2^-14 of that is rounded to multiples of 2^-24. (bf16 at the same rate rounds slopes and rows
/// by up to 2^-9 of each.) On a device for which the kernels of groups of warps were compiled (architecture 90a), which take half precision
/// as fast as they can, `standard` is computed so too: the error is the same. Rows of more than 256 columns are multiplied in TF32.
enum class loss_precision {
    fast,     // values in half precision (5e-4)
    standard, // values rounded to TF32 (5e-4)
    precise,  // values split into two of TF32 (1e-5)
};

/// How exact the labels of nearest_row() are, with float. Distances are those to the centroid that the label names, in
/// either case, in double.
enum class nearest_search {
    exact, // those of exact arithmetic: half precision decides most rows, those in doubt are looked at again
    /// Those that half precision names. The squared distance may be above the least one by up to
    /// (||x|| / 256 + (C + 64) 2^-19 (||x|| + ||c||)) ||c|| + sqrt(C) 2^-20 L (||x|| + ||c||), with c the longest centroid and
    /// L the largest magnitude of a value of any row (at least 2^-117; 1024 where all are 0), all less the mean of the
    /// rows. Rows with NaN or infinity are searched exactly; all rows are where a centroid has a value above 64 L, and
    /// where the longest one is below 2^-71 L.
    fast,
};

/// The operations of a CUDA device on a `Run`: cuda_backend on a stream, or the block emulator of the tests on the processor.
template <real T, class Run>
class basic_cuda_backend : public detail::elementwise::operations<T, Run> {
    using base = detail::elementwise::operations<T, Run>;
    static constexpr bool has_tensor_cores = std::same_as<T, float>; // of the kernels here

public:
    using space = typename Run::space;
    using row_index = std::conditional_t<has_tensor_cores, detail::cuda::row_index<Run>, typename base::row_index>;

    basic_cuda_backend(std::pmr::memory_resource* memory, bool check_finite, Run run, loss_precision losses,
                       nearest_search search)
        : base(memory, check_finite, run), losses_(losses), search_(search) {}

    row_index index_rows(matrix_view<const T, space> features, bool may_centre) {
        return row_index(this->run(), this->scratch(), features, may_centre);
    }
    void nearest_row(row_index& index, matrix_view<const T, space> centroids, vector_view<label_t, space> assignment,
                     vector_view<double, space> squared_distance) {
        if constexpr (has_tensor_cores) {
            detail::cuda::nearest_row<Run>(this->run(), this->scratch(), index, centroids,
                                           search_ == nearest_search::exact, assignment.data(),
                                           detail::data_of(squared_distance));
        } else {
            base::nearest_row(index, centroids, assignment, squared_distance);
        }
    }
    void candidate_potential(row_index& index, matrix_view<const T, space> candidates,
                             vector_view<const T, space> weight, vector_view<const double, space> least,
                             vector_view<double, space> potential) {
        base::candidate_potential(plain(index), candidates, weight, least, potential);
    }
    void relax_nearest(row_index& index, matrix_view<const T, space> candidate, vector_view<double, space> least) {
        base::relax_nearest(plain(index), candidate, least);
    }
    template <class Value, class F, class Last>
    void sum_rows(index_t rows, index_t cols, const Value& value, const F& f, const Last& last) {
        detail::cuda::sum_rows(this->run(), rows, cols, value, f, last);
    }
    void draw_columns(std::span<const column_request<T, space>> requests) {
        detail::cuda::draw_columns<T>(this->run(), this->scratch(), requests);
    }
    void softmax_contrast(std::span<const contrast<T, space>> problems) {
        if constexpr (has_tensor_cores) {
            while (!problems.empty()) {
                const auto count = detail::cuda::count_together(problems, detail::cuda::most_side_by_side);
                if (problems.front().query.cols() <= detail::cuda::most_fused_cols) {
                    contrast_fused(problems.first(count));
                } else {
                    contrast_wide(problems.first(count));
                }
                problems = problems.subspan(count);
            }
        } else {
            base::softmax_contrast(problems);
        }
    }

    /// Columns of the losses stay packed by queues, where groups of warps multiply them.
    index_t packed_size(index_t rows, index_t cols) {
        if constexpr (has_tensor_cores) {
            const bool has_form =
                losses_ != loss_precision::precise && cols <= detail::cuda::most_fused_cols && has_groups();
            return has_form ? packing::kept_size(rows, cols) : 0;
        } else {
            return 0;
        }
    }
    void pack_rows(matrix_view<const T, space> x, vector_view<const index_t, space> places,
                   vector_view<T, space> packed) {
        if constexpr (has_tensor_cores) {
            keep(x, detail::data_of(places), nullptr, packing::kept(packed.data(), 0, x.cols()));
        }
    }
    /// And prototypes with their temperatures by levels.
    index_t packed_pool_size(index_t rows, index_t cols) {
        if constexpr (has_tensor_cores) {
            return packed_size(rows, cols) > 0 ? packing::pool_size(rows, cols) : 0;
        } else {
            return 0;
        }
    }
    void pack_pool(matrix_view<const T, space> x, vector_view<const T, space> temperature,
                   vector_view<T, space> packed) {
        if constexpr (has_tensor_cores) {
            keep(x, nullptr, temperature.data(), packing::pool(packed.data(), x.rows(), 0, x.cols()));
        }
    }

private:
    using packing = detail::cuda::pack_tiles<detail::cuda::most_tiled_cols>; // of rows that stay packed

    template <class To>
    void keep(matrix_view<const T, space> x, const index_t* places, const T* temperature, const To& to) {
        const detail::cuda::keep_rows<To> kernel{x, places, temperature, to};
        this->run().launch(kernel.blocks(), 0, kernel);
    }
    void contrast_fused(std::span<const contrast<T, space>> problems) {
        using detail::cuda::by_warps, detail::cuda::fused_contrast, detail::cuda::half_form, detail::cuda::tf32_form;
        if (losses_ == loss_precision::precise) {
            fused_contrast<by_warps<tf32_form<2>>>(this->run(), this->scratch(), problems);
        } else if (has_groups()) {
            detail::cuda::contrast_by_groups(this->run(), this->scratch(), problems);
        } else if (losses_ == loss_precision::fast) {
            fused_contrast<by_warps<half_form>>(this->run(), this->scratch(), problems);
        } else {
            fused_contrast<by_warps<tf32_form<1>>>(this->run(), this->scratch(), problems);
        }
    }
    /// Rows too wide for the fused kernels: logits of a tile of columns at a time, in memory.
    void contrast_wide(std::span<const contrast<T, space>> problems) {
        for (const auto& problem : problems) {
            losses_ == loss_precision::precise ? contrast_tiled<2>(problem) : contrast_tiled<1>(problem);
        }
    }
    template <int parts>
    void contrast_tiled(const contrast<T, space>& problem) {
        const detail::cuda::tensor_products<parts, Run> products{this->scratch()};
        detail::elementwise::softmax_contrast(this->run(), this->scratch(), problem, products);
    }
    static typename base::row_index& plain(row_index& index) {
        if constexpr (has_tensor_cores) {
            return index.plain();
        } else {
            return index;
        }
    }

    /// Asked once, not in every call.
    bool has_groups() {
        if (!has_groups_) {
            has_groups_ = detail::cuda::has_group_kernels(this->run());
        }
        return *has_groups_;
    }

    loss_precision losses_;
    nearest_search search_;
    std::optional<bool> has_groups_;
};

#ifdef __CUDACC__
struct cuda_options {
    std::pmr::memory_resource* memory = nullptr; // of the device, for scratch and memory(); nullptr: cudaMalloc
    bool check_finite = true;                    // algorithms refuse NaN and infinity in features
    cudaStream_t stream = nullptr;               // where everything is queued
    loss_precision losses = loss_precision::standard;
    nearest_search search = nearest_search::exact;
};

/// An NVIDIA GPU of compute capability 8.0 or more; units are compiled by nvcc (`protonce::cuda` in CMake has the flags). Every
/// operation is specified by reference_backend; nearest_row() gives its labels, those of exact arithmetic, and its distances to the
/// last bit, unless `search` is fast.
///
/// Everything is queued on the caller's stream; only what says that it waits does. Results are bitwise the same from run to run.
/// One object serves one thread at a time.
/// Scratch: for K-means with float two copies of the rows and of the centroids in multiples of 32 columns, 6 bytes a value,
/// 72 bytes a row (up to 700 kB more below 17000 rows), 160 kB at least, and up to 64 kB more; for sums by cluster two labels and two numbers a row.
/// For the losses with float, C rounded up to a multiple of 16 (to 64, 128 or 256 on architecture 90a), for each of up to four problems
/// at once: a copy of the B queries, of their positives where ranks or the gradient of a common temperature are wanted or columns are weighted, and of the J columns
/// (16 bytes a column where they are kept packed); B C floats and 40 bytes a row for each slice of the columns. Problems of one kind (columns
/// left out for a row or not, ranks, gradient of a common temperature, packed prototypes) have as many slices in all as make 256 blocks of 64 rows (132 blocks
/// of 128 rows on 90a), (16896 + 4 B) C floats at most; where gradients of columns are wanted, as much for slices of the queries, 16896 C floats
/// and 16896 doubles at most; no logits.
/// With double, or more than 256 columns: 2^20 logits and as many slopes (128 B of each if that is more), B J / 4 bytes, B C doubles, and
/// B C floats for each 512 columns of a tile.
template <real T>
class cuda_backend : public basic_cuda_backend<T, detail::cuda::run> {
public:
    explicit cuda_backend(cuda_options options = {})
        : basic_cuda_backend<T, detail::cuda::run>(
              options.memory != nullptr ? options.memory : detail::cuda::default_memory(), options.check_finite,
              detail::cuda::run(options.stream), options.losses, options.search) {}
};

static_assert(backend<cuda_backend<float>> && backend<cuda_backend<double>>);
#endif

} // namespace protonce::inline v0

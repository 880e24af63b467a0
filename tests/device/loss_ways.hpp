// SPDX-License-Identifier: MIT
#pragma once
#include <device/device_run.hpp>
#include <support/contrast_run.hpp>

#include <span>
#include <vector>

/// The losses of cuda_backend<float> in each of the ways that it has.
namespace test {

/// A way to products: by the instructions of a warp in a precision, or by those of a group of warps, which serve `fast` and `standard`
/// on architecture 90a.
enum class way { fast, standard, precise, groups };

/// Does the device have kernels of groups of warps?
inline bool has_group_losses() {
    using namespace protonce::detail::cuda;
    return has_body<side_by_side<tiled_sums<query_weights<false, false, false>, 128>>>();
}

inline std::vector<way> ways() {
    std::vector<way> out{way::fast, way::standard, way::precise};
    if (has_group_losses()) {
        out.push_back(way::groups);
    }
    return out;
}

class backend_by : public device_backend {
public:
    explicit backend_by(way how) : device_backend(device_options{.losses = precision_of(how)}), how_(how) {}

    void softmax_contrast(std::span<const protonce::contrast<float, protonce::device>> problems) {
        using namespace protonce::detail::cuda;
        if (problems.front().query.cols() > most_fused_cols) {
            device_backend::softmax_contrast(problems);
        } else if (how_ == way::fast) {
            fused_contrast<by_warps<half_form>>(run(), scratch(), problems);
        } else if (how_ == way::standard) {
            fused_contrast<by_warps<tf32_form<1>>>(run(), scratch(), problems);
        } else if (how_ == way::precise) {
            fused_contrast<by_warps<tf32_form<2>>>(run(), scratch(), problems);
        } else {
            contrast_by_groups(run(), scratch(), problems);
        }
    }

private:
    static protonce::loss_precision precision_of(way how) {
        return how == way::fast      ? protonce::loss_precision::fast
               : how == way::precise ? protonce::loss_precision::precise
                                     : protonce::loss_precision::standard;
    }
    way how_;
};
inline contrast_results<float> run_by(way how, const contrast_problem<float>& problem) {
    backend_by be(how);
    return run_contrast(be, problem);
}

} // namespace test

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/core/backend.hpp>
#include <protonce/core/buffer.hpp>

#include <support/random.hpp>

#include <cstddef>
#include <vector>

namespace test {

/// Values in the memory of a backend, whatever its space: written there when made, read back on request.
template <protonce::backend B, class U>
class placed {
public:
    using space = typename B::space;

    placed(B& be, const std::vector<U>& values) : placed(be, values, 1, static_cast<index_t>(values.size()), 0) {}
    /// The rows with their gaps, so that the view has the matrix's stride.
    placed(B& be, const matrix<U>& values)
        : placed(be, values.storage(), values.rows(), values.cols(), values.stride() - values.cols()) {}
    /// `size` values, or rows, that nobody has written yet: NaN, or the lowest whole number.
    static placed unwritten(B& be, index_t size) {
        return placed(be, std::vector<U>(static_cast<std::size_t>(size), nothing()));
    }
    static placed unwritten(B& be, index_t rows, index_t cols, index_t gap = 0) {
        matrix<U> values(rows, cols, gap);
        for (index_t i = 0; i < rows; ++i) {
            for (index_t j = 0; j < cols; ++j) {
                values(i, j) = nothing();
            }
        }
        return placed(be, values);
    }

    protonce::vector_view<U, space> vector() { return memory_.view(); }
    protonce::matrix_view<U, space> rows() { return {memory_.view().data(), rows_, cols_, cols_ + gap_}; }

    /// Every stored value, gaps included.
    std::vector<U> values() {
        std::vector<U> out(static_cast<std::size_t>(memory_.size()));
        if (!out.empty()) {
            be_.read(memory_.view(), protonce::view_vector(out));
        }
        return out;
    }
    /// The values of the rows, one row after the other, without the gaps. Fails the test if something was written into
    /// a gap.
    std::vector<U> row_values() {
        const std::vector<U> all = values();
        std::vector<U> out;
        bool gaps_untouched = true;
        for (std::size_t at = 0; at < all.size(); ++at) {
            if (static_cast<index_t>(at) % (cols_ + gap_) < cols_) {
                out.push_back(all[at]);
            } else {
                gaps_untouched = gaps_untouched && all[at] != all[at]; // the NaN that matrix puts there
            }
        }
        CHECK(gaps_untouched);
        return out;
    }

private:
    placed(B& be, const std::vector<U>& values, index_t rows, index_t cols, index_t gap)
        : be_(be), memory_(be.memory(), static_cast<index_t>(values.size())), rows_(rows), cols_(cols), gap_(gap) {
        if (!values.empty()) {
            be.write(protonce::view_vector(values), memory_.view());
        }
    }
    static U nothing() {
        using limits = std::numeric_limits<U>;
        return limits::has_quiet_NaN ? limits::quiet_NaN() : limits::lowest();
    }

    B& be_;
    protonce::buffer<U, space> memory_;
    index_t rows_;
    index_t cols_;
    index_t gap_;
};

} // namespace test

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/tiles.hpp>
#include <protonce/core/workspace.hpp>

#include <algorithm>
#include <cstdint>

namespace protonce::inline v0::detail::cpu {

/// Distances of rows to a few candidates, from one call to the next: in greedy k-means++ the candidate that is chosen needs them once more.
template <class T>
class kept_distances {
public:
    /// Room for `most` candidates.
    kept_distances(workspace<host>& memory, index_t rows, index_t cols, index_t most)
        : scope_(memory), candidates_(scope_.template matrix<T>(most, cols)),
          least_(scope_.template vector<double>(rows)),
          counts_(scope_.template vector<index_t>(ceil_div(rows, task_rows))),
          row_(scope_.template vector<std::int32_t>(rows)), distance_(scope_.template matrix<T>(rows, most)) {}
    kept_distances(const kept_distances&) = delete;
    kept_distances& operator=(const kept_distances&) = delete;

    static index_t bytes(index_t rows, index_t most) {
        return rows * (most * static_cast<index_t>(sizeof(T)) + static_cast<index_t>(sizeof(double) + 4));
    }

    /// Begins anew.
    void begin(matrix_view<const T> candidates) {
        count_ = candidates.rows() <= candidates_.rows() ? candidates.rows() : 0;
        for (index_t l = 0; l < count_; ++l) {
            std::copy(candidates.row(l).begin(), candidates.row(l).end(), candidates_.row(l).begin());
        }
    }
    bool keeps_nothing() const { return count_ == 0; }
    /// The task keeps distances of that many of its rows; the others are no nearer to any candidate than `least`.
    void begin_task(index_t task, index_t kept, const double* least, index_t rows) {
        counts_[task] = kept;
        std::copy(least, least + rows, least_.begin() + task * task_rows);
    }
    /// The n-th row of a task, counted within it, and its distances.
    T* put(index_t task, index_t n, std::int32_t row) {
        row_[task * task_rows + n] = row;
        return distance_.row(task * task_rows + n).data();
    }

    /// Which of the candidates that is, to the last bit; -1 for none.
    index_t find(matrix_view<const T> candidate) const {
        for (index_t l = 0; l < count_; ++l) {
            if (std::equal(candidate.row(0).begin(), candidate.row(0).end(), candidates_.row(l).begin())) {
                return l;
            }
        }
        return -1;
    }
    /// Are the task's distances still good for rows whose `least` this is?
    bool holds(index_t task, const double* least) const {
        const index_t first = task * task_rows;
        return std::equal(least, least + (std::min)(task_rows, least_.size() - first), least_.begin() + first);
    }
    /// visit(row within the task, distance) for candidate l.
    template <class Visit>
    void each(index_t task, index_t l, const Visit& visit) const {
        for (index_t n = task * task_rows; n < task * task_rows + counts_[task]; ++n) {
            visit(row_[n], distance_(n, l));
        }
    }

private:
    workspace<host>::scope scope_;
    matrix_view<T> candidates_;
    vector_view<double> least_;
    index_t count_ = 0; // of candidates; 0: nothing is kept
    vector_view<index_t> counts_;
    vector_view<std::int32_t> row_;
    matrix_view<T> distance_;
};

} // namespace protonce::inline v0::detail::cpu

// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/metrics/contingency.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory_resource>
#include <utility>
#include <vector>

namespace protonce::inline v0::detail {

/// The one-to-one matching of rows with columns whose cells hold the most samples (the Hungarian method; Kuhn 1955), on
/// a sparse table.
///
/// The cost of a cell is `largest count - count`. Each row has one column more, of its own and of count 0, so that
/// every row can be matched; a row matched to it is left alone. Rows are added one by one, each along the shortest
/// augmenting path by reduced costs cost - u_row - v_col, which stay at least 0, and 0 on matched cells. All numbers
/// are integers: the result is exact.
class best_matching {
public:
    /// \param table  its rows should be the smaller side: the work is a shortest path a row
    best_matching(const contingency& table, std::pmr::memory_resource* memory)
        : table_(table), first_cell_(table.row_sum.size() + 1, 0, memory), row_price_(table.row_sum.size(), 0, memory),
          col_price_(table.row_sum.size() + table.col_sum.size(), 0, memory), row_of_(col_price_.size(), none, memory),
          distance_(col_price_.size(), unreached, memory), previous_row_(col_price_.size(), none, memory),
          is_final_(col_price_.size(), 0, memory), reached_(memory), heap_(memory),
          matched_col_(table.row_sum.size(), none, memory) {
        for (const auto& cell : table.cells) {
            ++first_cell_[at(cell.row + 1)];
            largest_ = (std::max<index_t>)(largest_, cell.count);
        }
        for (std::size_t r = 1; r < first_cell_.size(); ++r) {
            first_cell_[r] += first_cell_[r - 1];
        }
    }

    /// How many samples the matched cells hold.
    index_t samples() {
        const auto rows = static_cast<index_t>(table_.row_sum.size());
        for (index_t r = 0; r < rows; ++r) {
            add(r);
        }
        index_t sum = 0;
        for (const auto& cell : table_.cells) {
            if (matched_col_[at(cell.row)] == cell.col) {
                sum += cell.count;
            }
        }
        return sum;
    }

private:
    static constexpr index_t none = -1;
    static constexpr index_t unreached = (std::numeric_limits<index_t>::max)();
    static constexpr std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

    void add(index_t start) {
        for (const index_t col : reached_) {
            distance_[at(col)] = unreached;
            is_final_[at(col)] = 0;
        }
        reached_.clear();
        heap_.clear();

        index_t row = start;
        index_t base = 0;
        index_t end = none;
        while (end == none) {
            reach_from(row, base);
            const index_t col = nearest();
            is_final_[at(col)] = 1;
            base = distance_[at(col)];
            row = row_of_[at(col)];
            if (row == none) {
                end = col;
            }
        }

        row_price_[at(start)] += base;
        for (const index_t col : reached_) {
            if (is_final_[at(col)] == 0 || col == end) {
                continue;
            }
            col_price_[at(col)] -= base - distance_[at(col)];
            row_price_[at(row_of_[at(col)])] += base - distance_[at(col)];
        }
        for (index_t col = end; col != none;) {
            const index_t taker = previous_row_[at(col)];
            row_of_[at(col)] = taker;
            col = std::exchange(matched_col_[at(taker)], col); // none for the row that starts the path
        }
    }

    void reach_from(index_t row, index_t base) {
        for (index_t e = first_cell_[at(row)]; e < first_cell_[at(row + 1)]; ++e) {
            reach(row, table_.cells[at(e)].col, base + largest_ - table_.cells[at(e)].count);
        }
        reach(row, static_cast<index_t>(table_.col_sum.size()) + row, base + largest_);
    }

    void reach(index_t row, index_t col, index_t path) {
        path -= row_price_[at(row)] + col_price_[at(col)];
        if (path >= distance_[at(col)]) {
            return;
        }
        if (distance_[at(col)] == unreached) {
            reached_.push_back(col);
        }
        distance_[at(col)] = path;
        previous_row_[at(col)] = row;
        heap_.push_back({path, col});
        std::push_heap(heap_.begin(), heap_.end(), is_farther);
    }

    /// The order of a heap whose front is the smallest.
    static bool is_farther(const std::pair<index_t, index_t>& a, const std::pair<index_t, index_t>& b) { return a > b; }

    /// The nearest column that is not final. There is one: the own column of the row that starts the path is reached
    /// and free.
    index_t nearest() {
        for (;;) {
            std::pop_heap(heap_.begin(), heap_.end(), is_farther);
            const auto [path, col] = heap_.back();
            heap_.pop_back();
            if (is_final_[at(col)] == 0) {
                return col;
            }
        }
    }

    const contingency& table_;
    index_t largest_ = 0;
    std::pmr::vector<index_t> first_cell_;   // (rows + 1,)
    std::pmr::vector<index_t> row_price_;    // (rows,) u
    std::pmr::vector<index_t> col_price_;    // (cols + rows,) v
    std::pmr::vector<index_t> row_of_;       // (cols + rows,) matched row
    std::pmr::vector<index_t> distance_;     // (cols + rows,)
    std::pmr::vector<index_t> previous_row_; // (cols + rows,)
    std::pmr::vector<char> is_final_;        // (cols + rows,)
    std::pmr::vector<index_t> reached_;
    std::pmr::vector<std::pair<index_t, index_t>> heap_; // (distance, column), smallest first
    std::pmr::vector<index_t> matched_col_;              // (rows,)
};

} // namespace protonce::inline v0::detail

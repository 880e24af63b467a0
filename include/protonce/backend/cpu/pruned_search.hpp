// SPDX-License-Identifier: MIT
#pragma once
#include <protonce/backend/cpu/centroid_groups.hpp>
#include <protonce/backend/cpu/kept_distances.hpp>
#include <protonce/backend/cpu/score_filter.hpp>
#include <protonce/core/search_report.hpp>

#include <optional>
#include <utility>

namespace protonce::inline v0::detail::cpu {

template <class T, class Threads>
class pruned_search;

/// Memory of the search in use. A backend has one; an index that takes it over makes the one before forget, which costs that one time.
template <class T, class Threads>
struct search_memory {
    explicit search_memory(std::pmr::memory_resource* resource) : memory(resource) {}
    workspace<host> memory;
    pruned_search<T, Threads>* holder = nullptr;
};

/// Nearest centroids without most of the distances, with the labels of the full computation to the last bit.
///
/// chain(i, k) = x.c - ||c||^2 / 2 is computed by one chain of multiply-adds, as everywhere in this backend; the largest wins, the
/// lowest number among equals. Bounds say which chains need not be computed, each widened by what rounding can do:
///  - a cheap upper bound of each score (score_filter.hpp), then the score itself in any order of summation; the chain only where two
///    scores are closer than rounding;
///  - each row keeps a lower bound of its distance to every group of centroids but its own one's, less what the group has moved since
///    (Yinyang K-means; Ding et al., ICML 2015);
///  - and one to all centroids but its own (Hamerly, SDM 2010).
template <class T, class Threads>
class pruned_search {
    static constexpr int W = panel_width<T>;
    static constexpr T none = (std::numeric_limits<T>::max)();
    static constexpr T eps = std::numeric_limits<T>::epsilon();
    // Larger norms would overflow in squares.
    static constexpr double most_norm = 1e15;
    // Upper and lower bound, label.
    static constexpr index_t row_bytes = 2 * sizeof(T) + sizeof(label_t);
    // Candidates that are collected before their scores are computed.
    static constexpr index_t candidate_batch = 1024;

    struct state {
        state(search_memory<T, Threads>& owner, workspace<host>& scratch, const thread_team<Threads>& team,
              const kernel_table<T>& kernel, const nearest_kernels<T>& nearest, const row_codes<T, Threads>& codes)
            : scope(owner.memory), filter(scratch, team, kernel, nearest, codes) {}

        workspace<host>::scope scope;
        score_filter<T, Threads> filter;
        centroid_groups<T, Threads> groups{};
        index_t clusters = 0;
        bool has_labels = false;
        bool keeps_groups = false;
        int in_vain = 0;              // searches that took about as long as computing every score
        vector_view<T> upper{};       // (N,) of the distance to the own centroid
        vector_view<T> lower{};       // (N,) of the distance to any other, plus moved_most then
        vector_view<label_t> label{}; // (N,)
        vector_view<T> bound{};       // (blocks, groups, rows of a block) of distances, plus moved then
    };

    // Scratch of one worker: of the rows of a block, but for what says otherwise.
    struct worker {
        vector_view<T> threshold, base, best, first_best, radius, least, factor;
        vector_view<T> top, root, listed_base; // by place in `list`
        vector_view<T> tops;                   // (groups, rows)
        vector_view<T> score;
        vector_view<double> exact, loose; // what a score, and a bound of one, may be off by
        vector_view<label_t> label, first_label;
        vector_view<lane_int<T>> group;
        vector_view<std::int32_t> offset, active, chunk, list;
        matrix_view<T> rows; // centred
        panel_scan<T> job;
        vector_view<candidate<T>> found, waiting;
        index_t chunks = 0;
        index_t waits = 0;
        double scanned = 0;
        double full = 0;
    };

public:
    pruned_search(search_memory<T, Threads>& memory, workspace<host>& scratch, const thread_team<Threads>& team,
                  const kernel_table<T>& kernel, const nearest_kernels<T>& nearest, index_t budget)
        : memory_(memory), scratch_(scratch), team_(team), kernel_(kernel), nearest_(nearest), budget_(budget) {}
    pruned_search(const pruned_search&) = delete;
    pruned_search& operator=(const pruned_search&) = delete;
    ~pruned_search() { drop(); }

    /// Labels and bounds of earlier searches; what belongs to the rows alone stays.
    void forget() {
        if (state_) {
            state_->has_labels = false;
        }
        refused_ = 0;
    }
    /// For what no search does without?
    bool has_room(index_t rows) const { return budget_ >= rows * (row_bytes + static_cast<index_t>(sizeof(T))); }
    /// Norms and codes of the rows, computed when first asked for.
    const row_codes<T, Threads>& codes(const centred_rows<T, Threads>& rows) {
        if (!codes_) {
            if (memory_.holder != nullptr) {
                memory_.holder->drop();
            }
            memory_.holder = this;
            codes_.emplace(memory_.memory, scratch_, team_, nearest_, rows, budget_ / 2);
        }
        return *codes_;
    }
    /// Where distances to that many candidates can be kept; null if that takes too much.
    kept_distances<T>* keep(const centred_rows<T, Threads>& rows, index_t candidates) {
        codes(rows);
        if (!kept_ && kept_distances<T>::bytes(rows.rows(), candidates) <= budget_ / 2) {
            state_.reset();
            kept_.emplace(memory_.memory, rows.rows(), rows.cols(), candidates);
        }
        return kept();
    }
    kept_distances<T>* kept() { return kept_ ? &*kept_ : nullptr; }
    /// Are more searches to come, so that bounds pay?
    void expect_more(bool more) { expects_more_ = more; }

    /// Labels of all rows, or false if computing every score is expected to take less time.
    bool assign(const centred_rows<T, Threads>& rows, matrix_view<const T> centroids, vector_view<const T> half_norm,
                vector_view<label_t> assignment) {
        report_ = {};
        const bool is_worth_trying = centroids.rows() >= 4 * W && rows.rows() >= 4 * centroids.rows() &&
                                     rows.cols() >= 2 && has_room(rows.rows());
        if (!is_worth_trying || refused_ == centroids.rows()) {
            return false;
        }
        double largest = 0;
        for (index_t k = 0; k < centroids.rows(); ++k) {
            const double norm = nearest_.squared_norm(centroids.row(k).data(), centroids.cols());
            if (!(norm < most_norm * most_norm)) {
                forget();
                return false;
            }
            largest = (std::max)(largest, norm);
        }
        largest_norm_ = std::sqrt(largest) * (1 + 1e-12);
        if (!prepare(rows, centroids, half_norm)) {
            refused_ = centroids.rows();
            return false;
        }
        run(rows, half_norm, assignment);
        return true;
    }

    /// Of the last search.
    const search_report& report() const { return report_; }

private:
    static T round_up_value(double v) { return static_cast<T>(v + std::abs(v) * static_cast<double>(eps)); }
    static T round_down_value(double v) { return static_cast<T>(v - std::abs(v) * static_cast<double>(eps)); }

    void drop() {
        if (memory_.holder == this) {
            memory_.holder = nullptr;
        }
        state_.reset();
        kept_.reset();
        codes_.reset();
    }

    /// Everything that a search needs; false if there is not enough memory or nothing to gain.
    bool prepare(const centred_rows<T, Threads>& rows, matrix_view<const T> centroids, vector_view<const T> half_norm) {
        if (state_ && state_->clusters == centroids.rows() && state_->has_labels) {
            state_->groups.move(team_, kernel_, centroids);
            return true;
        }
        if (!state_ || state_->clusters != centroids.rows()) {
            const index_t N = rows.rows();
            state_.reset();
            kept_.reset();
            const auto& coded = codes(rows);
            state_.emplace(memory_, scratch_, team_, kernel_, nearest_, coded);
            state_->clusters = centroids.rows();
            const index_t rest = budget_ - coded.bytes() - N * row_bytes;
            if (rest > 0) {
                state_->filter.choose(state_->scope, rows, centroids, half_norm, rest);
            }
            // The bounds of a single search are not worth their price where they cost as much as the scores.
            if (rest <= 0 || (state_->filter.kind() == filter_kind::full && !expects_more_)) {
                state_.reset();
                return false;
            }
            state_->upper = state_->scope.template vector<T>(N);
            state_->lower = state_->scope.template vector<T>(N);
            state_->label = state_->scope.template vector<label_t>(N);
        }
        state& s = *state_;
        s.in_vain = 0;
        s.groups.form(s.scope, scratch_, kernel_, centroids, most_groups(rows.rows()));
        const index_t bounds = ceil_div(rows.rows(), rows.block_rows()) * rows.block_rows() * s.groups.count();
        s.keeps_groups = expects_more_ && bounds * static_cast<index_t>(sizeof(T)) <= left(rows.rows());
        if (s.keeps_groups && s.bound.empty()) {
            s.bound = s.scope.template vector<T>(bounds);
        }
        return true;
    }

    // Bytes that the budget leaves for bounds by group.
    index_t left(index_t rows) const { return budget_ - codes_->bytes() - state_->filter.bytes() - rows * row_bytes; }
    index_t most_groups(index_t rows) const {
        const index_t affordable = left(rows) / (rows * static_cast<index_t>(sizeof(T)));
        return affordable >= 8 ? (std::min<index_t>)(affordable, 1024) : 1024;
    }

    /// Did the last search take less than computing every score would have?
    void judge(index_t rows, index_t clusters, double scanned, double full) {
        state& s = *state_;
        const double n = static_cast<double>(rows);
        const double brute = n * static_cast<double>(ceil_div(clusters, W)) * s.filter.full_cost();
        const double spent = scanned / W * s.filter.panel_cost() + full * s.filter.dot_cost() +
                             n * (40 + static_cast<double>(report_.groups));
        s.in_vain = spent > 0.97 * brute ? s.in_vain + 1 : 0;
        if (s.in_vain > 2) {
            state_.reset();
            refused_ = clusters;
        }
    }

#include <protonce/backend/cpu/pruned_search_run.inl>
#include <protonce/backend/cpu/pruned_search_settle.inl>

    search_memory<T, Threads>& memory_;
    workspace<host>& scratch_;
    const thread_team<Threads>& team_;
    const kernel_table<T>& kernel_;
    const nearest_kernels<T>& nearest_;
    index_t budget_;
    bool expects_more_ = false;
    double largest_norm_ = 0;
    index_t refused_ = 0;
    std::optional<row_codes<T, Threads>> codes_;
    // One above the other in memory.
    std::optional<kept_distances<T>> kept_;
    std::optional<state> state_;
    search_report report_;
};

} // namespace protonce::inline v0::detail::cpu

// SPDX-License-Identifier: MIT
// Part of the class pruned_search: one search.

    using packed_centroids = typename score_filter<T, Threads>::packed;

    void run(const centred_rows<T, Threads>& rows, vector_view<const T> half_norm, vector_view<label_t> assignment) {
        state& s = *state_;
        const index_t N = rows.rows();
        const index_t block = rows.block_rows();
        const index_t width = s.groups.width();
        workspace<host>::scope scope(scratch_);
        const auto packed = s.filter.pack(scope, s.groups.centroids(), half_norm, s.groups.order(), largest_norm_);
        const int workers = team_.workers();
        auto bench = scope.template vector<worker>(workers);
        for (worker& w : bench) {
            w = worker{};
            for (auto* v : {&w.threshold, &w.base, &w.best, &w.first_best, &w.radius, &w.least, &w.factor, &w.top, &w.root,
                            &w.listed_base}) {
                *v = scope.template vector<T>(block + 2 * W);
                std::fill(v->begin(), v->end(), T(0));
            }
            w.tops = scope.template vector<T>(s.has_labels ? 0 : block * s.groups.count());
            w.score = scope.template vector<T>(most_tile_rows * width);
            w.exact = scope.template vector<double>(block);
            w.loose = scope.template vector<double>(block);
            w.label = scope.template vector<label_t>(block);
            w.first_label = scope.template vector<label_t>(block);
            w.group = scope.template vector<lane_int<T>>(block);
            w.offset = scope.template vector<std::int32_t>(block);
            w.active = scope.template vector<std::int32_t>(block);
            w.chunk = scope.template vector<std::int32_t>(block / W);
            w.list = scope.template vector<std::int32_t>(block);
            w.rows = matrix_view<T>(scope.template vector<T>(block * rows.block_stride()).data(), block, rows.cols(),
                                    rows.block_stride());
            w.found = scope.template vector<candidate<T>>(block * width);
            w.waiting = scope.template vector<candidate<T>>(block * width + candidate_batch);
        }
        team_.for_each(ceil_div(N, block), workers, [&](index_t task, int w) {
            search(rows, half_norm, packed, task * block, (std::min)(N - task * block, block), bench[w]);
        });
        s.has_labels = true;
        std::copy(s.label.begin(), s.label.end(), assignment.begin());
        double scanned = 0;
        double full = 0;
        for (const worker& w : bench) {
            scanned += w.scanned;
            full += w.full;
        }
        constexpr std::string_view names[] = {"bounds", "projected", "coded"};
        const double pairs = static_cast<double>(N) * static_cast<double>(s.clusters);
        report_.method = names[static_cast<int>(s.filter.kind())];
        report_.columns = s.filter.columns();
        report_.groups = s.keeps_groups ? s.groups.count() : 0;
        report_.bounded_share = s.filter.kind() == filter_kind::full ? 0 : scanned / pairs;
        report_.full_share = (full + (s.filter.kind() == filter_kind::full ? scanned : 0)) / pairs;
        report_.bytes = codes_->bytes() + s.filter.bytes() + N * row_bytes +
                        s.bound.size() * static_cast<index_t>(sizeof(T));
        judge(N, s.clusters, scanned, full);
    }

    // Rows [first, first + count), one block.
    void search(const centred_rows<T, Threads>& rows, vector_view<const T> half_norm, const packed_centroids& packed,
                index_t first, index_t count, worker& w) {
        state& s = *state_;
        T* const bound = s.keeps_groups ? s.bound.data() + first * s.groups.count() : nullptr;
        index_t active = s.has_labels ? rows_in_doubt(rows, half_norm, bound, first, count, w)
                                      : all_rows(rows, half_norm, first, count, w);
        for (index_t n = 0; n < active; ++n) {
            const std::int32_t r = w.active[n];
            const double norm = static_cast<double>(codes_->norm(first + r));
            const double size = norm * norm + norm * largest_norm_ + largest_norm_ * largest_norm_;
            w.exact[r] = chain_rounding<T>(rows.cols() + 8) * size + 1e-30;
            w.loose[r] = s.filter.rounding(size) + s.filter.code_slack(first + r, packed);
            w.base[r] = round_down_value(codes_->low_norm2(first + r) - 2 * w.loose[r] - 8 * static_cast<double>(eps) * size);
            rows.get(first + r, w.rows.row(r).data());
        }
        w.job = {};
        w.job.list = w.list.data();
        w.job.num_panels = s.groups.panels_per_group();
        w.job.threshold = w.threshold.data();
        w.job.top = w.top.data();
        w.job.found = w.found.data();
        w.job.score = w.score.data();
        w.job.rows = w.rows.data();
        w.job.stride = w.rows.stride();
        s.filter.prepare(w.job, first, count, packed, w.factor.data(), w.offset.data());
        if (!s.has_labels) {
            guess(packed, count, active, w);
        }
        score_own(half_norm, active, w);
        active = keep_open(rows, half_norm, first, active, w);
        list_chunks(active, w);
        if (!s.has_labels) {
            start_bounds(bound, count, active, w);
        }
        w.waits = 0;
        for (index_t g = 0; g < s.groups.count(); ++g) {
            const index_t listed = list_rows(bound, g, active, w);
            if (listed > 0) {
                scan(half_norm, packed, bound, first, g, listed, w);
            }
        }
        settle(half_norm, packed, bound, first, w);
        for (index_t n = 0; n < active; ++n) {
            // No scan sees the centroid that a row began with.
            const std::int32_t r = w.active[n];
            if (w.label[r] != w.first_label[r]) {
                const double score = static_cast<double>(w.first_best[r]) + w.exact[r];
                lower_bound(bound, r, w.first_label[r], distance(first + r, score), w);
            }
        }
        if (s.keeps_groups) {
            refresh_least(bound, w);
        }
        for (index_t n = 0; n < active; ++n) {
            const std::int32_t r = w.active[n];
            const index_t i = first + r;
            s.label[i] = w.label[r];
            s.upper[i] = radius(i, r, w);
            s.lower[i] = w.least[r] < none / 4 ? (w.least[r] + s.groups.moved_most()) * (1 - 2 * eps) : w.least[r];
        }
    }

    // Every row of a first search, but those that are not numbers.
    index_t all_rows(const centred_rows<T, Threads>& rows, vector_view<const T> half_norm, index_t first, index_t count,
                     worker& w) {
        index_t active = 0;
        for (index_t r = 0; r < count; ++r) {
            w.least[r] = -none;
            if (static_cast<double>(codes_->norm(first + r)) < most_norm) {
                w.active[active++] = static_cast<std::int32_t>(r);
            } else {
                search_all(rows, half_norm, first + r, w);
            }
        }
        return active;
    }

    // Rows whose own centroid may not be the nearest any more, by what centroids have moved.
    index_t rows_in_doubt(const centred_rows<T, Threads>& rows, vector_view<const T> half_norm, const T* bound,
                          index_t first, index_t count, worker& w) {
        state& s = *state_;
        const T moved = s.groups.moved_most();
        const auto drift = s.groups.drift();
        index_t doubtful = 0;
        for (index_t r = 0; r < count; ++r) {
            const index_t i = first + r;
            const T up = (s.upper[i] + drift[s.label[i]]) * (1 + 2 * eps);
            w.radius[r] = up;
            w.least[r] = s.lower[i] - moved;
            if (up < w.least[r]) {
                s.upper[i] = up;
            } else {
                w.active[doubtful++] = static_cast<std::int32_t>(r);
            }
        }
        if (s.keeps_groups) {
            list_chunks(doubtful, w);
            refresh_least(bound, w);
        }
        index_t active = 0;
        for (index_t n = 0; n < doubtful; ++n) {
            const std::int32_t r = w.active[n];
            const index_t i = first + r;
            if (s.lower[i] == -none) {
                search_all(rows, half_norm, i, w);
                continue;
            }
            if (w.radius[r] < w.least[r]) {
                s.upper[i] = w.radius[r];
                s.lower[i] = (w.least[r] + moved) * (1 - 2 * eps);
                continue;
            }
            w.label[r] = s.label[i];
            w.active[active++] = r;
        }
        return active;
    }

    // Chunks of panel_width rows that have an active one.
    void list_chunks(index_t active, worker& w) {
        index_t chunks = 0;
        for (index_t n = 0; n < active; ++n) {
            const std::int32_t chunk = w.active[n] / W;
            if (chunks == 0 || w.chunk[chunks - 1] != chunk) {
                w.chunk[chunks++] = chunk;
            }
        }
        w.chunks = chunks;
    }
    void refresh_least(const T* bound, worker& w) const {
        const index_t block = w.rows.rows();
        for (index_t n = 0; n < w.chunks; ++n) {
            const index_t r = w.chunk[n] * W;
            nearest_.least_bounds(bound + r, block, state_->groups.moved().data(), state_->groups.count(),
                                  w.least.data() + r);
        }
    }

    // Row i is at most that far from its own centroid.
    T radius(index_t i, std::int32_t r, const worker& w) const {
        const double norm = static_cast<double>(codes_->norm(i));
        return round_up_value(
            std::sqrt((std::max)(0.0, norm * norm - 2 * static_cast<double>(w.best[r]) + 2 * w.exact[r])));
    }
    // Row i is at least that far from a centroid of at most that score.
    T distance(index_t i, double score) const {
        return round_down_value(std::sqrt((std::max)(0.0, codes_->low_norm2(i) - 2 * score)));
    }

    index_t run_scan(const packed_centroids& packed, index_t g, index_t listed, worker& w) const {
        w.job.count = listed;
        w.scanned += static_cast<double>(listed * state_->groups.width());
        return state_->filter.scan(w.job, g * state_->groups.width(), packed);
    }

    // Without labels from before: the centroid of the best bound.
    void guess(const packed_centroids& packed, index_t count, index_t active, worker& w) {
        const state& s = *state_;
        const index_t groups = s.groups.count();
        const index_t block = w.rows.rows();
        std::fill(w.threshold.begin(), w.threshold.end(), none);
        std::fill(w.label.begin(), w.label.end(), 0);
        std::fill(w.tops.begin(), w.tops.end(), T(0));
        std::copy(w.active.begin(), w.active.begin() + active, w.list.begin());
        for (index_t g = 0; g < groups; ++g) {
            run_scan(packed, g, active, w);
            for (index_t n = 0; n < active; ++n) {
                w.tops[g * block + w.active[n]] = w.top[n];
            }
        }
        for (index_t r = 0; r < count; r += W) {
            nearest_.best_groups(w.tops.data() + r, block, groups, w.threshold.data() + r, w.group.data() + r);
        }
        for (index_t g = 0; g < groups; ++g) {
            index_t listed = 0;
            for (index_t n = 0; n < active; ++n) {
                w.list[listed] = w.active[n];
                listed += w.group[w.active[n]] == static_cast<lane_int<T>>(g) ? 1 : 0;
            }
            const index_t found = listed > 0 ? run_scan(packed, g, listed, w) : 0;
            for (index_t n = 0; n < found; ++n) {
                const std::int32_t k = s.groups.order()[g * s.groups.width() + w.found[n].place];
                w.label[w.found[n].row] = (std::max)(k, 0);
            }
        }
    }

    // Score of each active row with the centroid it has.
    void score_own(vector_view<const T> half_norm, index_t active, worker& w) {
        constexpr index_t batch = 16;
        for (index_t n = 0; n < active; n += batch) {
            const T* x[batch];
            const T* c[batch];
            T dot[batch];
            const index_t pairs = (std::min)(batch, active - n);
            for (index_t m = 0; m < pairs; ++m) {
                const std::int32_t r = w.active[n + m];
                x[m] = w.rows.row(r).data();
                c[m] = state_->groups.centroids().row(w.label[r]).data();
            }
            nearest_.dots(x, c, pairs, w.rows.cols(), dot);
            for (index_t m = 0; m < pairs; ++m) {
                const std::int32_t r = w.active[n + m];
                w.best[r] = dot[m] - half_norm[w.label[r]];
            }
        }
        w.full += static_cast<double>(active);
    }

    // Rows that are still in doubt with the true distance to their centroid; the others get it. Only theirs is a radius above 0.
    index_t keep_open(const centred_rows<T, Threads>& rows, vector_view<const T> half_norm, index_t first, index_t active,
                      worker& w) {
        state& s = *state_;
        std::fill(w.radius.begin(), w.radius.end(), -none);
        index_t open = 0;
        for (index_t n = 0; n < active; ++n) {
            const std::int32_t r = w.active[n];
            const index_t i = first + r;
            if (!check::is_finite(w.best[r])) {
                search_all(rows, half_norm, i, w);
                continue;
            }
            const T own = radius(i, r, w);
            if (own < w.least[r]) {
                s.upper[i] = own;
                s.lower[i] = (w.least[r] + s.groups.moved_most()) * (1 - 2 * eps);
                continue;
            }
            w.radius[r] = own;
            // Whoever may win has a chain not below that of the own centroid, each within `exact` of the true score.
            w.threshold[r] = round_down_value(static_cast<double>(w.best[r]) - 3 * w.exact[r] - w.loose[r]);
            w.least[r] = none;
            w.first_label[r] = w.label[r];
            w.first_best[r] = w.best[r];
            w.active[open++] = r;
        }
        return open;
    }

    // Bounds of a first search, from the largest score in each group; groups that reach the threshold are scanned again.
    void start_bounds(T* bound, index_t count, index_t active, worker& w) {
        const index_t block = w.rows.rows();
        const index_t used = round_up(count, W);
        for (index_t g = 0; g < state_->groups.count(); ++g) {
            T* top = w.tops.data() + g * block;
            T* out = bound != nullptr ? bound + g * block : w.root.data();
            nearest_.lower_distances(w.base.data(), top, used, out);
            for (index_t n = 0; n < active && bound == nullptr; ++n) {
                const std::int32_t r = w.active[n];
                w.least[r] = (std::min)(w.least[r], out[r]);
            }
        }
    }

    // Rows that have to look at group g.
    index_t list_rows(const T* bound, index_t g, index_t active, worker& w) const {
        const state& s = *state_;
        const index_t block = w.rows.rows();
        if (!s.has_labels) {
            const T* top = w.tops.data() + g * block;
            index_t listed = 0;
            for (index_t n = 0; n < active; ++n) {
                const std::int32_t r = w.active[n];
                w.list[listed] = r;
                listed += top[r] >= w.threshold[r] ? 1 : 0;
            }
            return listed;
        }
        if (bound != nullptr) {
            return nearest_.rows_within(bound + g * block, w.radius.data(), s.groups.moved()[g], w.chunk.data(), w.chunks,
                                        w.list.data());
        }
        std::copy(w.active.begin(), w.active.begin() + active, w.list.begin());
        return active;
    }

    // The rows listed for a group: bounds of their distance to it, and centroids that may be nearer than their own.
    void scan(vector_view<const T> half_norm, const packed_centroids& packed, T* bound, index_t first, index_t g,
              index_t listed, worker& w) {
        const state& s = *state_;
        const index_t found = run_scan(packed, g, listed, w);
        for (index_t n = 0; n < listed; ++n) {
            w.listed_base[n] = w.base[w.list[n]];
        }
        nearest_.lower_distances(w.listed_base.data(), w.top.data(), round_up(listed, W), w.root.data());
        if (bound != nullptr) {
            const T moved = s.groups.moved()[g];
            T* const at = bound + g * w.rows.rows();
            for (index_t n = 0; n < listed; ++n) {
                at[w.list[n]] = (w.root[n] + moved) * (1 - 2 * eps);
            }
        } else {
            for (index_t n = 0; n < listed; ++n) {
                const std::int32_t r = w.list[n];
                w.least[r] = (std::min)(w.least[r], w.root[n]);
            }
        }
        for (index_t n = 0; n < found; ++n) {
            candidate<T> next = w.found[n];
            next.place = s.groups.order()[g * s.groups.width() + next.place];
            if (next.place >= 0 && next.place != w.first_label[next.row]) {
                w.waiting[w.waits++] = next;
            }
        }
        if (w.waits >= candidate_batch) {
            settle(half_norm, packed, bound, first, w);
        }
    }

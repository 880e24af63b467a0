// SPDX-License-Identifier: MIT
// Part of the class pruned_search: one assignment.

    // Scratch of one worker.
    struct bench {
        vector_view<T> threshold, base, best, first_best, radius, least, top, root, score, tops;
        vector_view<label_t> label, first_label;
        matrix_view<std::int32_t> list; // (groups, search_rows)
        vector_view<std::int32_t> length, active, hits;
        vector_view<candidate<T>> found, waiting;
        index_t waits = 0;
        double scanned = 0;
        double full = 0;
    };

    void run(matrix_view<const T> rows, vector_view<const T> half_norm) {
        state& s = *state_;
        const index_t C = rows.cols();
        const index_t N = rows.rows();
        const index_t slots = s.order.size();
        const index_t unit = W * s.panels_per_group;
        typename workspace<host>::scope scope(scratch_);
        auto projected = scope.template matrix<T>(s.depth == C ? 0 : s.centroids.rows(), s.depth);
        auto packed = scope.template vector<T>(slots * s.depth);
        auto half = scope.template vector<T>(slots);
        if (s.depth != C) {
            project(s.centroids, s.columns, [&](index_t k, const T* y) {
                store_projection(y, nearest_.squared_norm(s.centroids.row(k).data(), C), C, projected.row(k).data());
            });
        }
        const matrix_view<const T> short_rows = s.depth == C ? s.centroids : projected;
        team_.for_each(slots / W, [&](index_t panel) {
            pack_panel<T>(
                s.depth,
                [&](int w) -> const T* {
                    const std::int32_t k = s.order[panel * W + w];
                    half[panel * W + w] = k < 0 ? none : half_norm[k];
                    return k < 0 ? nullptr : short_rows.row(k).data();
                },
                packed.data() + panel * W * s.depth);
        });
        const int workers = team_.workers();
        std::vector<bench> benches(static_cast<std::size_t>(workers));
        for (bench& w : benches) {
            for (auto* v : {&w.threshold, &w.base, &w.best, &w.first_best, &w.radius, &w.least, &w.top, &w.root}) {
                *v = scope.template vector<T>(search_rows + W);
            }
            w.score = scope.template vector<T>(most_tile_rows * unit);
            w.tops = scope.template vector<T>(s.has_labels ? 0 : search_rows * s.padded_groups);
            w.label = scope.template vector<label_t>(search_rows);
            w.first_label = scope.template vector<label_t>(search_rows);
            w.list = scope.template matrix<std::int32_t>(s.groups, search_rows);
            w.length = scope.template vector<std::int32_t>(s.groups);
            w.active = scope.template vector<std::int32_t>(search_rows);
            w.hits = scope.template vector<std::int32_t>(s.padded_groups);
            w.found = scope.template vector<candidate<T>>(search_rows * unit);
            w.waiting = scope.template vector<candidate<T>>(search_rows * unit + candidate_batch);
        }
        team_.for_each(ceil_div(N, search_rows), workers, [&](index_t task, int worker) {
            const index_t first = task * search_rows;
            search(rows, half_norm, packed, half, first, (std::min)(N - first, search_rows),
                   benches[static_cast<std::size_t>(worker)]);
        });
        s.has_labels = true;
        last_ = {s.depth == C ? C : s.columns, s.keeps_groups ? s.groups : 0, 0, 0};
        for (const bench& w : benches) {
            last_.scanned += w.scanned;
            last_.full += w.full;
        }
    }

    // Rows [first, first + count).
    void search(matrix_view<const T> rows, vector_view<const T> half_norm, vector_view<const T> packed,
                vector_view<const T> half, index_t first, index_t count, bench& w) {
        state& s = *state_;
        const bool is_first = !s.has_labels;
        const auto norm_of = [&](index_t r) { return std::sqrt(static_cast<double>(s.norm2[first + r])); };
        const auto exact = [&](index_t r) { return exact_slack(rows.cols(), norm_of(r)); };
        const auto projected = [&](index_t r) { return projected_slack(rows.cols(), norm_of(r)); };
        const auto radius = [&](index_t r) {
            return round_up_value(std::sqrt((std::max)(0.0, static_cast<double>(s.norm2[first + r]) -
                                                                2 * static_cast<double>(w.best[r]) + 2 * exact(r))));
        };
        std::fill(w.length.begin(), w.length.end(), 0);
        index_t active = 0;
        for (index_t r = 0; r < count; ++r) {
            const index_t i = first + r;
            if (!(s.norm2[i] < T(1e30))) {
                search_all(rows, half_norm, i);
                continue;
            }
            w.least[r] = -none;
            if (!is_first) {
                const T up = (s.upper[i] + s.drift[s.label[i]]) * (1 + 2 * eps);
                w.least[r] = s.lower[i] - s.moved_most;
                if (up < w.least[r]) {
                    s.upper[i] = up;
                    continue;
                }
                w.label[r] = s.label[i];
            }
            w.active[active++] = static_cast<std::int32_t>(r);
        }
        if (is_first) {
            guess(rows, packed, half, first, active, w);
        }
        score_own(rows, half_norm, first, active, w);
        index_t left = 0;
        for (index_t n = 0; n < active; ++n) {
            const std::int32_t r = w.active[n];
            const index_t i = first + r;
            if (!check::is_finite(w.best[r])) {
                search_all(rows, half_norm, i);
                continue;
            }
            w.radius[r] = radius(r);
            if (w.radius[r] < w.least[r]) {
                s.upper[i] = w.radius[r];
                continue;
            }
            const double norm = norm_of(r);
            const double size = norm * norm + norm * largest_norm_ + largest_norm_ * largest_norm_;
            w.threshold[r] = round_down_value(static_cast<double>(w.best[r]) - exact(r) - projected(r));
            w.base[r] = round_down_value(norm * norm - 2 * projected(r) - 8 * static_cast<double>(eps) * size);
            w.least[r] = none;
            w.first_label[r] = w.label[r];
            w.first_best[r] = w.best[r];
            w.active[left++] = r;
        }
        active = left;
        list_groups(first, active, w);
        w.waits = 0;
        for (index_t g = 0; g < s.groups; ++g) {
            if (w.length[g] > 0) {
                scan(rows, half_norm, packed, half, first, g, w);
            }
        }
        settle(rows, half_norm, first, w);
        for (index_t n = 0; n < active; ++n) {
            const std::int32_t r = w.active[n];
            const index_t i = first + r;
            s.label[i] = w.label[r];
            s.upper[i] = radius(r);
            const T least = s.keeps_groups
                                ? nearest_.least_bound(s.bound.row(i).data(), s.moved.data(), s.padded_groups)
                                : w.least[r];
            s.lower[i] = least < none / 4 ? (least + s.moved_most) * (1 - 2 * eps) : least;
        }
    }

    panel_scan<T> scan_job(vector_view<const T> packed, vector_view<const T> half, index_t first, index_t g,
                           bench& w) const {
        const state& s = *state_;
        const index_t unit = W * s.panels_per_group;
        return {s.projected.row(first).data(),
                s.projected.stride(),
                w.list.row(g).data(),
                w.length[g],
                packed.data() + g * unit * s.depth,
                half.data() + g * unit,
                s.depth,
                s.panels_per_group,
                w.threshold.data(),
                w.top.data(),
                w.found.data(),
                w.score.data()};
    }

    // Without labels from before: the centroid of the best projected score.
    void guess(matrix_view<const T> rows, vector_view<const T> packed, vector_view<const T> half, index_t first,
               index_t active, bench& w) {
        const state& s = *state_;
        static_cast<void>(rows);
        std::fill(w.threshold.begin(), w.threshold.end(), none);
        for (index_t g = 0; g < s.groups; ++g) {
            std::copy(w.active.begin(), w.active.begin() + active, w.list.row(g).begin());
            w.length[g] = static_cast<std::int32_t>(active);
            nearest_.scan_panels(scan_job(packed, half, first, g, w));
            for (index_t n = 0; n < active; ++n) {
                w.tops[w.active[n] * s.padded_groups + g] = w.top[n];
            }
            w.length[g] = 0;
        }
        w.scanned += static_cast<double>(active * s.order.size());
        for (index_t n = 0; n < active; ++n) {
            const std::int32_t r = w.active[n];
            const T* tops = w.tops.data() + r * s.padded_groups;
            const index_t g = std::max_element(tops, tops + s.groups) - tops;
            w.threshold[r] = tops[g];
            w.label[r] = 0;
            w.list(g, w.length[g]++) = r;
        }
        const index_t unit = W * s.panels_per_group;
        for (index_t g = 0; g < s.groups; ++g) {
            if (w.length[g] > 0) {
                const index_t found = nearest_.scan_panels(scan_job(packed, half, first, g, w));
                for (index_t n = 0; n < found; ++n) {
                    w.label[w.found[n].row] = s.order[g * unit + w.found[n].slot];
                }
                w.length[g] = 0;
            }
        }
    }

    // Score of each active row with the centroid it has.
    void score_own(matrix_view<const T> rows, vector_view<const T> half_norm, index_t first, index_t active, bench& w) {
        for (index_t n = 0; n < active; n += pair_batch) {
            const T* x[pair_batch];
            const T* c[pair_batch];
            T h[pair_batch];
            T score[pair_batch];
            for (index_t m = 0; m < pair_batch; ++m) {
                const std::int32_t r = w.active[(std::min)(n + m, active - 1)];
                x[m] = rows.row(first + r).data();
                c[m] = state_->centroids.row(w.label[r]).data();
                h[m] = half_norm[w.label[r]];
            }
            nearest_.pair_scores(x, c, h, rows.cols(), score);
            for (index_t m = 0; m < pair_batch && n + m < active; ++m) {
                w.best[w.active[n + m]] = score[m];
            }
        }
        w.full += static_cast<double>(active);
    }

    // Which groups each active row has to look at.
    void list_groups(index_t first, index_t active, bench& w) {
        state& s = *state_;
        for (index_t n = 0; n < active; ++n) {
            const std::int32_t r = w.active[n];
            const index_t i = first + r;
            if (s.has_labels && s.keeps_groups && s.lower[i] != -none) {
                const index_t hits = nearest_.groups_within(s.bound.row(i).data(), s.moved.data(), s.padded_groups,
                                                            w.radius[r], w.hits.data());
                for (index_t m = 0; m < hits; ++m) {
                    const std::int32_t g = w.hits[m];
                    w.list(g, w.length[g]++) = r;
                }
                continue;
            }
            for (index_t g = 0; g < s.groups; ++g) {
                if (s.has_labels) {
                    w.list(g, w.length[g]++) = r;
                    continue;
                }
                const T top = w.tops[r * s.padded_groups + g];
                if (top >= w.threshold[r]) {
                    w.list(g, w.length[g]++) = r;
                }
                w.tops[r * s.padded_groups + g] = w.base[r] - 2 * top;
            }
            if (!s.has_labels) {
                T* tops = w.tops.data() + r * s.padded_groups;
                std::fill(tops + s.groups, tops + s.padded_groups, none);
                nearest_.lower_roots(tops, s.padded_groups);
                for (index_t g = 0; g < s.groups; ++g) {
                    if (s.keeps_groups) {
                        s.bound(i, g) = tops[g];
                    } else {
                        w.least[r] = (std::min)(w.least[r], tops[g]);
                    }
                }
            }
        }
    }

    // The rows listed for a group: bounds of their distance to it, and centroids that may be nearer than their own.
    void scan(matrix_view<const T> rows, vector_view<const T> half_norm, vector_view<const T> packed,
              vector_view<const T> half, index_t first, index_t g, bench& w) {
        state& s = *state_;
        const index_t unit = W * s.panels_per_group;
        const index_t found = nearest_.scan_panels(scan_job(packed, half, first, g, w));
        const index_t listed = w.length[g];
        w.scanned += static_cast<double>(listed * unit);
        for (index_t n = 0; n < listed; ++n) {
            const std::int32_t r = w.list(g, n);
            w.root[n] = w.base[r] - 2 * (std::min)(w.top[n], w.threshold[r]);
        }
        nearest_.lower_roots(w.root.data(), round_up(listed, W));
        for (index_t n = 0; n < listed; ++n) {
            const std::int32_t r = w.list(g, n);
            lower_bound(first, r, g, w.root[n], w, true);
            if (w.label[r] != w.first_label[r] && s.group[w.first_label[r]] == g) {
                lower_bound(first, r, g, distance(rows.cols(), first + r, static_cast<double>(w.first_best[r])), w,
                            false);
            }
        }
        for (index_t n = 0; n < found; ++n) {
            candidate<T> next = w.found[n];
            next.slot = s.order[g * unit + next.slot];
            if (next.slot >= 0 && next.slot != w.first_label[next.row]) {
                w.waiting[w.waits++] = next;
            }
        }
        if (w.waits >= candidate_batch) {
            settle(rows, half_norm, first, w);
        }
    }

    // Row r is at least `distance` from the centroids of group g that are not its own; or from one more of them.
    void lower_bound(index_t first, std::int32_t r, index_t g, T distance, bench& w, bool is_fresh) {
        state& s = *state_;
        if (s.keeps_groups) {
            T& bound = s.bound(first + r, g);
            const T now = (distance + s.moved[g]) * (1 - 2 * eps);
            bound = is_fresh ? now : (std::min)(bound, now);
        } else {
            w.least[r] = (std::min)(w.least[r], distance);
        }
    }

    // Row i is at least that far from a centroid of that score.
    T distance(index_t cols, index_t i, double score) const {
        const double norm2 = static_cast<double>(state_->norm2[i]) * (1 - 4 * static_cast<double>(eps));
        const double slack = exact_slack(cols, std::sqrt(norm2));
        return round_down_value(std::sqrt((std::max)(0.0, norm2 - 2 * score - 2 * slack)));
    }

    // Scores of the candidates that were collected; the best of them become labels.
    void settle(matrix_view<const T> rows, vector_view<const T> half_norm, index_t first, bench& w) {
        state& s = *state_;
        index_t n = 0;
        while (n < w.waits) {
            const T* x[pair_batch];
            const T* c[pair_batch];
            T h[pair_batch];
            T score[pair_batch];
            candidate<T> pair[pair_batch];
            index_t pairs = 0;
            for (; n < w.waits && pairs < pair_batch; ++n) {
                const candidate<T> next = w.waiting[n];
                const double norm = std::sqrt(static_cast<double>(s.norm2[first + next.row]));
                const double slack = exact_slack(rows.cols(), norm) + projected_slack(rows.cols(), norm);
                if (static_cast<double>(next.score) + slack < static_cast<double>(w.best[next.row])) {
                    const double bound = static_cast<double>(next.score) + projected_slack(rows.cols(), norm);
                    lower_bound(first, next.row, s.group[next.slot], distance(rows.cols(), first + next.row, bound), w,
                                false);
                    continue;
                }
                pair[pairs++] = next;
            }
            if (pairs == 0) {
                break;
            }
            for (index_t m = 0; m < pair_batch; ++m) {
                const candidate<T>& next = pair[(std::min)(m, pairs - 1)];
                x[m] = rows.row(first + next.row).data();
                c[m] = s.centroids.row(next.slot).data();
                h[m] = half_norm[next.slot];
            }
            nearest_.pair_scores(x, c, h, rows.cols(), score);
            w.full += static_cast<double>(pairs);
            for (index_t m = 0; m < pairs; ++m) {
                const std::int32_t r = pair[m].row;
                label_t loser = pair[m].slot;
                T lost = score[m];
                if (score[m] > w.best[r] || (score[m] == w.best[r] && loser < w.label[r])) {
                    std::swap(loser, w.label[r]);
                    std::swap(lost, w.best[r]);
                }
                lower_bound(first, r, s.group[loser], distance(rows.cols(), first + r, static_cast<double>(lost)), w,
                            false);
            }
        }
        w.waits = 0;
    }

    // A row with NaN or infinity in it, where nobody checks: every score, as without bounds.
    void search_all(matrix_view<const T> rows, vector_view<const T> half_norm, index_t i) {
        state& s = *state_;
        const index_t K = s.centroids.rows();
        T most = std::numeric_limits<T>::lowest();
        label_t label = 0;
        for (index_t k = 0; k < K; k += pair_batch) {
            const T* x[pair_batch];
            const T* c[pair_batch];
            T h[pair_batch];
            T score[pair_batch];
            for (index_t m = 0; m < pair_batch; ++m) {
                const index_t at = (std::min)(k + m, K - 1);
                x[m] = rows.row(i).data();
                c[m] = s.centroids.row(at).data();
                h[m] = half_norm[at];
            }
            nearest_.pair_scores(x, c, h, rows.cols(), score);
            for (index_t m = 0; m < pair_batch && k + m < K; ++m) {
                if (score[m] > most) {
                    most = score[m];
                    label = static_cast<label_t>(k + m);
                }
            }
        }
        s.label[i] = label;
        s.upper[i] = none / 4;
        s.lower[i] = -none;
    }

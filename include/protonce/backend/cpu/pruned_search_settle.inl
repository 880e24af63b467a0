// SPDX-License-Identifier: MIT
// Part of the class pruned_search: candidates that a scan has found.

    // Row r is at least `distance` from one more centroid, whose group has been scanned.
    void lower_bound(T* bound, std::int32_t r, label_t k, T distance, worker& w) {
        const state& s = *state_;
        if (bound == nullptr) {
            w.least[r] = (std::min)(w.least[r], distance);
            return;
        }
        const index_t g = s.groups.group_of(k);
        T& at = bound[g * w.rows.rows() + r];
        at = (std::min)(at, (distance + s.groups.moved()[g]) * (1 - 2 * eps));
    }

    // Scores of the candidates that were collected, each `place` by now a centroid; the best of them become labels.
    void settle(vector_view<const T> half_norm, const packed_centroids& packed, T* bound, index_t first, worker& w) {
        const state& s = *state_;
        constexpr index_t batch = 16;
        for (index_t n = 0; n < w.waits;) {
            const T* x[batch];
            const T* c[batch];
            T dot[batch];
            candidate<T> pair[batch];
            index_t pairs = 0;
            for (; n < w.waits && pairs < batch; ++n) {
                const candidate<T> next = w.waiting[n];
                double most = static_cast<double>(next.score) + w.loose[next.row];
                if (s.filter.can_refine()) {
                    most = (std::min)(most, s.filter.refine(first + next.row, next.place,
                                                            static_cast<double>(half_norm[next.place]), packed));
                }
                if (most + 3 * w.exact[next.row] < static_cast<double>(w.best[next.row])) {
                    lower_bound(bound, next.row, next.place, distance(first + next.row, most), w);
                    continue;
                }
                x[pairs] = w.rows.row(next.row).data();
                c[pairs] = s.groups.centroids().row(next.place).data();
                pair[pairs++] = next;
            }
            nearest_.dots(x, c, pairs, w.rows.cols(), dot);
            w.full += static_cast<double>(pairs);
            for (index_t m = 0; m < pairs; ++m) {
                const std::int32_t r = pair[m].row;
                label_t loser = pair[m].place;
                T lost = dot[m] - half_norm[loser];
                if (wins(half_norm, loser, lost, r, w)) {
                    std::swap(loser, w.label[r]);
                    std::swap(lost, w.best[r]);
                }
                if (loser != w.first_label[r]) {
                    lower_bound(bound, r, loser, distance(first + r, static_cast<double>(lost) + w.exact[r]), w);
                }
            }
        }
        w.waits = 0;
    }

    // Is the chain of centroid k larger than that of row r's own, or equal and k lower? Its score by another order of summation is known.
    bool wins(vector_view<const T> half_norm, label_t k, T score, std::int32_t r, const worker& w) const {
        const double ahead = static_cast<double>(score) - static_cast<double>(w.best[r]);
        if (std::abs(ahead) > 4 * w.exact[r]) {
            return ahead > 0;
        }
        const T* x = w.rows.row(r).data();
        const label_t own = w.label[r];
        const auto centroids = state_->groups.centroids();
        const T mine = nearest_.chain(x, centroids.row(own).data(), half_norm[own], w.rows.cols());
        const T other = nearest_.chain(x, centroids.row(k).data(), half_norm[k], w.rows.cols());
        return other > mine || (other == mine && k < own);
    }

    // A row with NaN or infinity in it, where nobody checks: every score, as without bounds.
    void search_all(const centred_rows<T, Threads>& rows, vector_view<const T> half_norm, index_t i, worker& w) {
        state& s = *state_;
        T* x = w.rows.row(i % rows.block_rows()).data();
        rows.get(i, x);
        T most = std::numeric_limits<T>::lowest();
        label_t label = 0;
        for (index_t k = 0; k < s.groups.centroids().rows(); ++k) {
            const T score = nearest_.chain(x, s.groups.centroids().row(k).data(), half_norm[k], rows.cols());
            if (score > most) {
                most = score;
                label = static_cast<label_t>(k);
            }
        }
        s.label[i] = label;
        s.upper[i] = none / 4;
        s.lower[i] = -none;
    }

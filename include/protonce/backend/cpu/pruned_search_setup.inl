// SPDX-License-Identifier: MIT
// Part of the class pruned_search: what is prepared once, and how far centroids move.

    // Groups of centroids that lie close together: halves, halves of halves, along the line between two far ones.
    void group_centroids(matrix_view<const T> centroids, index_t rows) {
        state& s = *state_;
        const index_t K = centroids.rows();
        const index_t panels = ceil_div(K, W);
        const index_t most_groups = (std::max<index_t>)(1, budget_ / (rows * static_cast<index_t>(sizeof(T))) / W * W);
        s.panels_per_group = (std::max<index_t>)(1, ceil_div(panels, (std::min<index_t>)(most_groups, 1024)));
        s.keeps_groups = most_groups >= 8;
        s.groups = ceil_div(panels, s.panels_per_group);
        s.padded_groups = round_up(s.groups, W);
        s.order = s.scope.template vector<std::int32_t>(s.groups * s.panels_per_group * W);
        s.group = s.scope.template vector<std::int32_t>(K);
        s.moved = s.scope.template vector<T>(s.padded_groups);
        std::fill(s.moved.begin(), s.moved.end(), T(0));
        s.moved_most = T(0);
        for (index_t n = 0; n < s.order.size(); ++n) {
            s.order[n] = n < K ? static_cast<std::int32_t>(n) : -1;
        }
        typename workspace<host>::scope scope(scratch_);
        auto along = scope.template vector<std::pair<double, std::int32_t>>(K);
        split(centroids, along, 0, K);
        for (index_t n = 0; n < K; ++n) {
            s.group[s.order[n]] = static_cast<std::int32_t>(n / (W * s.panels_per_group));
        }
        if (s.keeps_groups) {
            s.bound = s.scope.template matrix<T>(rows, s.padded_groups);
            team_.for_each(ceil_div(rows, search_rows), [&](index_t task) {
                for (index_t i = task * search_rows; i < (std::min)(rows, (task + 1) * search_rows); ++i) {
                    std::fill(s.bound.row(i).begin(), s.bound.row(i).end(), none);
                }
            });
        }
    }

    void split(matrix_view<const T> centroids, vector_view<std::pair<double, std::int32_t>> along, index_t first,
               index_t last) {
        state& s = *state_;
        const index_t unit = W * s.panels_per_group;
        if (last - first <= unit) {
            return;
        }
        const index_t C = centroids.cols();
        const auto farthest_from = [&](const T* x) {
            double most = -1;
            index_t at = first;
            for (index_t n = first; n < last; ++n) {
                const double d = kernel_.squared_distance(x, centroids.row(s.order[n]).data(), C);
                if (d > most) {
                    most = d;
                    at = n;
                }
            }
            return centroids.row(s.order[at]).data();
        };
        const T* one = farthest_from(centroids.row(s.order[first]).data());
        const T* other = farthest_from(one);
        for (index_t n = first; n < last; ++n) {
            const T* x = centroids.row(s.order[n]).data();
            along[n] = {kernel_.squared_distance(x, one, C) - kernel_.squared_distance(x, other, C), s.order[n]};
        }
        std::sort(along.begin() + first, along.begin() + last);
        for (index_t n = first; n < last; ++n) {
            s.order[n] = along[n].second;
        }
        const index_t middle = first + round_up((last - first) / 2, unit);
        split(centroids, along, first, (std::min)(middle, last));
        split(centroids, along, (std::min)(middle, last), last);
    }

    // How many coordinates to keep: the number with the least expected work, from some rows and all centroids; 0 where computing
    // every score is expected to be as fast.
    index_t choose_columns(matrix_view<const T> rows, matrix_view<const T> centroids, vector_view<const T> half_norm) {
        const index_t N = rows.rows();
        const index_t C = rows.cols();
        const index_t K = centroids.rows();
        const index_t b = state_->axes.cols();
        constexpr index_t probes = 48;
        const index_t step = (std::max<index_t>)(1, K / 384);
        const index_t tried = ceil_div(K, step);
        typename workspace<host>::scope scope(scratch_);
        auto probe = scope.template matrix<T>(probes, C);
        auto some = scope.template matrix<T>(tried, C);
        auto best = scope.template vector<double>(probes);
        auto probe_y = scope.template matrix<T>(probes, b);
        auto some_y = scope.template matrix<T>(tried, b);
        for (index_t i = 0; i < probes; ++i) {
            const auto row = rows.row(i * N / probes);
            std::copy(row.begin(), row.end(), probe.row(i).begin());
        }
        for (index_t k = 0; k < tried; ++k) {
            const auto row = centroids.row(k * step);
            std::copy(row.begin(), row.end(), some.row(k).begin());
        }
        team_.for_each(probes, [&](index_t i) {
            double most = -1e300;
            for (index_t k = 0; k < K; k += pair_batch) {
                const T* x[pair_batch];
                const T* c[pair_batch];
                T half[pair_batch];
                T score[pair_batch];
                for (index_t n = 0; n < pair_batch; ++n) {
                    const index_t at = (std::min)(k + n, K - 1);
                    x[n] = probe.row(i).data();
                    c[n] = centroids.row(at).data();
                    half[n] = half_norm[at];
                }
                nearest_.pair_scores(x, c, half, C, score);
                for (const T v : score) {
                    most = (std::max)(most, static_cast<double>(v));
                }
            }
            best[i] = most;
        });
        project(probe, b, [&](index_t i, const T* y) { std::copy(y, y + b, probe_y.row(i).begin()); });
        project(some, b, [&](index_t k, const T* y) { std::copy(y, y + b, some_y.row(k).begin()); });
        const double brute = static_cast<double>(ceil_div(K, W)) * static_cast<double>(C + 4);
        double least_work = 0.8 * brute;
        index_t chosen = 0;
        for (const index_t p : {4, 8, 12, 16, 24, 32, 48, 64}) {
            if (p > b) {
                break;
            }
            const auto rest = [&](const T* x, const T* y) {
                double kept = 0;
                for (index_t j = 0; j < p; ++j) {
                    kept += static_cast<double>(y[j]) * static_cast<double>(y[j]);
                }
                return std::sqrt((std::max)(0.0, nearest_.squared_norm(x, C) - kept));
            };
            auto rests = scope.template vector<double>(tried);
            for (index_t k = 0; k < tried; ++k) {
                rests[k] = rest(some.row(k).data(), some_y.row(k).data());
            }
            index_t reached = 0;
            for (index_t i = 0; i < probes; ++i) {
                const double own = rest(probe.row(i).data(), probe_y.row(i).data());
                for (index_t k = 0; k < tried; ++k) {
                    double bound = own * rests[k] - static_cast<double>(half_norm[k * step]);
                    for (index_t j = 0; j < p; ++j) {
                        bound += static_cast<double>(probe_y(i, j)) * static_cast<double>(some_y(k, j));
                    }
                    reached += bound >= best[i] ? 1 : 0;
                }
            }
            const double survivors = static_cast<double>(reached) * static_cast<double>(K) /
                                     (static_cast<double>(tried) * static_cast<double>(probes));
            const double work = static_cast<double>(ceil_div(K, W)) * static_cast<double>(p + 9) +
                                survivors * (0.55 * static_cast<double>(C) + 30);
            if (work < least_work) {
                least_work = work;
                chosen = p;
            }
        }
        return chosen;
    }

    // What the centroids have moved by since the last call.
    void move(matrix_view<const T> centroids) {
        state& s = *state_;
        team_.for_each(ceil_div(centroids.rows(), 64), [&](index_t task) {
            for (index_t k = task * 64; k < (std::min)(centroids.rows(), (task + 1) * 64); ++k) {
                s.drift[k] = round_up_value(std::sqrt(kernel_.squared_distance(
                                                centroids.row(k).data(), s.centroids.row(k).data(), centroids.cols())) *
                                            (1 + 1e-10));
            }
        });
        T most{};
        for (index_t g = 0; g < s.groups; ++g) {
            T within{};
            const index_t unit = W * s.panels_per_group;
            for (index_t n = g * unit; n < (g + 1) * unit; ++n) {
                if (s.order[n] >= 0) {
                    within = (std::max)(within, s.drift[s.order[n]]);
                }
            }
            s.moved[g] = (s.moved[g] + within) * (1 + 2 * eps);
            most = (std::max)(most, within);
        }
        s.moved_most = (s.moved_most + most) * (1 + 2 * eps);
    }

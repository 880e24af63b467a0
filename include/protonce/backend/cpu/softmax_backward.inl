// SPDX-License-Identifier: MIT
// Part of the class softmax_problem: pass 2.

    /// Pass 2 of a problem over itself: with q_ij = scale_i d l_i / d s_ij, the gradient of row i is sum_j (q_ij + q_ji) c_j / tau.
    void backward_symmetric() {
        typename workspace<host>::scope scope(scratch_);
        const int workers = team_.workers();
        column_tiles<T> tile(scope, workers, C_);
        constexpr index_t strip = (tile_columns + most_tile_rows) * W;
        auto strips = scope.template matrix<T>(workers, 2 * strip);
        auto sums = scope.template matrix<T>(workers, row_block * C_padded_);
        auto factor = scope.template vector<T>(round_up(B_, W)); // scale_i e^shift_i / sum_i
        auto back = scope.template vector<T>(round_up(B_, W));   // -shift_i
        for (index_t i = 0; i < factor.size(); ++i) {
            factor[i] = i < B_ ? static_cast<T>(scale_of(i) * share_[i]) : T(0);
            back[i] = i < B_ ? -shift_[i] : T(0);
        }
        team_.for_each(ceil_div(B_, row_block), workers, [&](index_t task, int worker) {
            const index_t row0 = task * row_block;
            const index_t row1 = (std::min)(B_, row0 + row_block);
            T* s = strips.row(worker).data();
            T* sum = sums.row(worker).data();
            std::fill(sum, sum + row_block * C_padded_, T(0));
            for (index_t first = 0; first < B_; first += tile_columns) {
                const index_t count = tile.load(worker, columns_, first);
                for (index_t i = row0; i < row1; i += W) {
                    tile.logits(worker, kernel_, softmax_, panels_.row(i / W).data(), count, s, W);
                    weigh_both(i, first, count, s, s + strip, factor, back);
                    for (index_t c = 0; c < C_padded_; c += W) {
                        softmax_.packed_product(s, W, tile.values(worker) + c, tile.stride(), count,
                                                sum + (i - row0) * C_padded_ + c, C_padded_);
                    }
                }
            }
            const double inverse = 1 / static_cast<double>(temperature_of(in_, 0));
            for (index_t i = row0; i < row1; ++i) {
                auto grad = in_.grad_query.row(i);
                const T* g = sum + (i - row0) * C_padded_;
                for (index_t c = 0; c < C_; ++c) {
                    const double value = static_cast<double>(g[c]) * inverse;
                    grad[c] = static_cast<T>(in_.accumulate ? static_cast<double>(grad[c]) + value : value);
                }
            }
        });
    }

    /// Turns the logits of a panel, rows from i0 on, into q_ij + q_ji. `other`: room for as many.
    void weigh_both(index_t i0, index_t first, index_t count, T* s, T* other, vector_view<const T> factor,
                    vector_view<const T> back) {
        T shift[W];
        T unused[W];
        constexpr T zero[W] = {};
        for (index_t l = 0; l < W; ++l) {
            shift[l] = -back[i0 + l];
        }
        std::copy(s, s + count * W, other);
        softmax_.shift(other, W, count, back.data() + first);
        softmax_.exponentials(other, W, count, zero, unused);
        softmax_.scale(other, W, count, factor.data() + first);
        softmax_.exponentials(s, W, count, shift, unused);
        softmax_.scale_lanes(s, W, count, factor.data() + i0);
        for (index_t l = 0; l < W && i0 + l < B_; ++l) {
            const index_t i = i0 + l;
            if (in_.own[i] >= first && in_.own[i] < first + count) {
                s[(in_.own[i] - first) * W + l] = static_cast<T>(-scale_of(i) * others_[i]);
            }
        }
        for (index_t j = 0; j < count; ++j) {
            const index_t l = in_.own[first + j] - i0;
            if (l >= 0 && l < W) {
                other[j * W + l] = static_cast<T>(-scale_of(first + j) * others_[first + j]);
            }
        }
        softmax_.add(s, other, count * W);
        for (index_t l = 0; l < W; ++l) {
            const index_t at = i0 + l - first;
            if (at >= 0 && at < count) {
                s[at * W + l] = T(0);
            }
        }
    }

    /// Pass 2: d l_i / d s_ij = w_j e^{s_ij} / sum, minus 1 for the positive, times the row's factor; gathered by column.
    void backward_columns(bool with_columns) {
        typename workspace<host>::scope scope(scratch_);
        const bool add = in_.accumulate || in_.grad_columns.data() == in_.grad_query.data();
        if (with_columns && !add) {
            team_.for_each(in_.grad_columns.rows(), [&](index_t j) {
                auto row = in_.grad_columns.row(j);
                std::fill(row.begin(), row.end(), T(0));
            });
        }
        const bool shared = in_.has_one_temperature();
        if (!in_.grad_temperature.empty() && !in_.accumulate && !shared) {
            std::fill(in_.grad_temperature.begin(), in_.grad_temperature.end(), T(0));
        }
        const index_t tiles = ceil_div(columns_.count(), tile_columns);
        auto queries = scope.template matrix<T>(B_, C_padded_);
        team_.for_each(B_, [&](index_t i) {
            auto row = queries.row(i);
            const T scale = static_cast<T>(scale_of(i));
            for (index_t c = 0; c < C_; ++c) {
                row[c] = takes_part(i) ? scale * in_.query(i, c) : T(0);
            }
            std::fill(row.begin() + C_, row.end(), T(0));
        });
        const int workers = team_.workers();
        const index_t stride = padded_stride<T>(row_block);
        column_tiles<T> tile(scope, workers, C_);
        auto strips = scope.template matrix<T>(workers, (tile_columns + most_tile_rows) * stride);
        auto sums = scope.template matrix<T>(workers, (tile_columns + most_tile_rows) * C_padded_);
        auto logit_sums = scope.template matrix<double>(workers, tile_columns);
        auto shared_part = scope.template vector<double>((std::max<index_t>)(tiles, 1));
        team_.for_each(tiles, workers, [&](index_t t, int worker) {
            const index_t first = t * tile_columns;
            const index_t count = tile.load(worker, columns_, first);
            T* s = strips.row(worker).data();
            T* sum = sums.row(worker).data();
            double* logit_sum = logit_sums.row(worker).data();
            std::fill(sum, sum + count * C_padded_, T(0));
            std::fill(logit_sum, logit_sum + count, 0.0);
            for (index_t row0 = 0; row0 < B_; row0 += row_block) {
                const index_t row1 = (std::min)(B_, row0 + row_block);
                for (index_t i = row0; i < row1; i += W) {
                    tile.logits(worker, kernel_, softmax_, panels_.row(i / W).data(), count, s + (i - row0), stride);
                    weigh(i, first, count, s + (i - row0), stride, logit_sum);
                }
                if (with_columns) {
                    add_to_columns(s, stride, count, queries.slice(row0, row1 - row0), sum);
                }
            }
            double part = 0;
            for (index_t j = 0; j < count; ++j) {
                const index_t id = columns_.id(first + j);
                const double inverse = static_cast<double>(tile.inverse(worker)[j]);
                if (with_columns) {
                    auto grad = in_.grad_columns.row(id);
                    const T* g = sum + j * C_padded_;
                    for (index_t c = 0; c < C_; ++c) {
                        grad[c] = static_cast<T>(static_cast<double>(grad[c]) + static_cast<double>(g[c]) * inverse);
                    }
                }
                const double d = -inverse * logit_sum[j];
                part += d;
                if (!in_.grad_temperature.empty() && !shared) {
                    in_.grad_temperature[id] = static_cast<T>(static_cast<double>(in_.grad_temperature[id]) + d);
                }
            }
            shared_part[t] = part;
        });
        if (!in_.grad_temperature.empty() && shared) {
            double sum = 0;
            for (const double part : shared_part.slice(0, tiles)) {
                sum += part;
            }
            if (in_.own.empty()) {
                for (index_t i = 0; i < B_; ++i) {
                    sum += scale_of(i) * others_[i] * static_cast<double>(positive_logit_[i]) /
                           static_cast<double>(temperature_of(in_, 0));
                }
            }
            in_.grad_temperature[0] =
                static_cast<T>(in_.accumulate ? static_cast<double>(in_.grad_temperature[0]) + sum : sum);
        }
    }

    /// Turns the strip of one panel, rows from i0 on, into d l_i / d s_ij. With gradients to temperatures also adds up these times s_ij.
    void weigh(index_t i0, index_t first, index_t count, T* s, index_t stride, double* logit_sum) {
        index_t own[W];
        T shift[W];
        T share[W];
        T unused[W];
        mask_strip(i0, first, count, s, stride, own);
        T logits[tile_columns * W];
        const bool with_temperature = !in_.grad_temperature.empty();
        for (index_t j = 0; j < count && with_temperature; ++j) {
            std::copy(s + j * stride, s + j * stride + W, logits + j * W);
        }
        if (!in_.log_weight.empty()) {
            softmax_.shift(s, stride, count, in_.log_weight.data() + first);
        }
        for (index_t l = 0; l < W; ++l) {
            const bool counts = i0 + l < B_ && takes_part(i0 + l);
            shift[l] = counts ? shift_[i0 + l] : T(0);
            share[l] = counts ? static_cast<T>(share_[i0 + l]) : T(0);
        }
        softmax_.exponentials(s, stride, count, shift, unused);
        softmax_.scale_lanes(s, stride, count, share);
        for (index_t l = 0; l < W; ++l) {
            if (i0 + l >= B_ || !takes_part(i0 + l)) {
                for (index_t j = 0; j < count; ++j) {
                    s[j * stride + l] = T(0); // also where the logit is NaN
                }
                continue;
            }
            if (own[l] >= 0) {
                s[own[l] * stride + l] = static_cast<T>(-others_[i0 + l]);
                logits[own[l] * W + l] = positive_logit_[i0 + l];
            }
        }
        for (index_t j = 0; j < count && with_temperature; ++j) {
            for (index_t l = 0; l < W; ++l) {
                const T coefficient = s[j * stride + l];
                if (coefficient != T(0)) {
                    logit_sum[j] +=
                        scale_of(i0 + l) * static_cast<double>(coefficient) * static_cast<double>(logits[j * W + l]);
                }
            }
        }
    }

    /// sum_j += coefficients of column j times the rows.
    void add_to_columns(const T* s, index_t stride, index_t count, matrix_view<const T> rows, T* sum) const {
        const matrix_view<const T> coefficients(s, count, rows.rows(), stride);
        for (index_t j = 0; j < count; j += kernel_.rows) {
            const tile_rows<T> tile(coefficients, j, kernel_.rows);
            for (index_t c = 0; c < C_padded_; c += W) {
                kernel_.tile_product(tile.at, rows.data() + c, rows.stride(), rows.rows(), sum + j * C_padded_ + c,
                                     C_padded_, true);
            }
        }
    }

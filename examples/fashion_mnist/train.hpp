// SPDX-License-Identifier: MIT
#pragma once
#include "dataset.hpp"
#include "encode.hpp"
#include "history.hpp"
#include "optimizer.hpp"
#include "progress.hpp"
#include "recipe.hpp"

#include <protonce/backend/cpu.hpp>
#include <protonce/core/normalize.hpp>
#include <protonce/em/objective.hpp>
#include <protonce/m_step/nt_xent.hpp>
#include <protonce/metrics/effective_rank.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <optional>
#include <vector>

namespace fashion {

using cpu = protonce::cpu_backend<float>;

inline constexpr auto epoch_order_stream = static_cast<protonce::draw_purpose>(67);
inline constexpr auto key_order_stream = static_cast<protonce::draw_purpose>(68);

/// Unit embeddings (rows, embedding) of images without augmentation, encoder in evaluation mode.
inline std::vector<float> unit_embeddings(cpu& be, const encoder_layout& layout, const encoder_model<float>& net,
                                          const team& threads, const image_set& images, index_t rows) {
    std::vector<float> embeddings(static_cast<std::size_t>(rows * layout.embedding));
    const auto prepare = [&](index_t row, float* out) { plain_view(images.image(row), out); };
    encode(layout, net, threads, rows, prepare, static_cast<float*>(nullptr), embeddings.data());
    const auto view = protonce::view_rows(embeddings.data(), rows, layout.embedding);
    protonce::normalize_rows(be, view, view);
    return embeddings;
}

/// One training run: the host's half of the method. The library's half is `run_` (PCL and MoCo) or nt_xent() (SimCLR).
class trainer {
public:
    trainer(cpu& be, const team& threads, const image_set& images, const recipe& chosen, std::uint64_t seed)
        : be_(be), threads_(threads), images_(images), recipe_(chosen), seed_(seed),
          layout_({image_side, image_side, 1}, chosen.widths), views_(chosen.views, seed),
          query_net_(initial_model<float>(layout_, seed)), key_net_(query_net_),
          pass_(layout_, 2 * chosen.batch, threads),
          descent_(layout_.num_parameters, chosen.momentum, chosen.weight_decay),
          gradient_(static_cast<std::size_t>(layout_.num_parameters)) {
        if (chosen.has_queue()) {
            run_.emplace(be, protonce::objective_options{
                                 .num_samples = chosen.images,
                                 .num_cols = layout_.embedding,
                                 .num_clusters = chosen.has_prototypes() ? chosen.clusters : std::vector<index_t>{},
                                 .warmup_epochs = chosen.warmup_epochs,
                                 .temperature = chosen.temperature,
                                 .queue_size = chosen.queue,
                                 .momentum = chosen.average_momentum,
                                 .iterations = chosen.kmeans_iterations,
                                 .restarts = chosen.kmeans_restarts,
                                 .seed = seed});
        }
        const index_t rows = 2 * chosen.batch;
        for (auto* values : {&embeddings_, &unit_, &grad_}) {
            values->resize(static_cast<std::size_t>(rows * layout_.embedding));
        }
        norms_.resize(static_cast<std::size_t>(rows));
        pixels_.resize(static_cast<std::size_t>(rows * image_size));
        accuracy_per_level_.resize(chosen.has_prototypes() ? chosen.clusters.size() : 0);
        sample_.resize(static_cast<std::size_t>(chosen.batch));
        key_order_.resize(static_cast<std::size_t>(chosen.batch));
    }

    void train(progress& shown) {
        const index_t steps = recipe_.images / recipe_.batch; // the incomplete last batch is left out
        const index_t total = steps * recipe_.epochs;
        shown.begin("training", total);
        for (index_t epoch = 0; epoch < recipe_.epochs; ++epoch) {
            const stopwatch watch;
            epoch_record record;
            cluster(record);
            const protonce::random_permutation order(
                {.seed = seed_, .step = static_cast<std::uint64_t>(epoch), .purpose = epoch_order_stream},
                static_cast<std::uint64_t>(recipe_.images));
            for (index_t batch = 0; batch < steps; ++batch, ++step_) {
                for (index_t i = 0; i < recipe_.batch; ++i) {
                    sample_[static_cast<std::size_t>(i)] =
                        static_cast<index_t>(order(static_cast<std::uint64_t>(batch * recipe_.batch + i)));
                }
                if (run_) {
                    step_with_queue(record, static_cast<double>(steps));
                } else {
                    step_in_batch(record, static_cast<double>(steps));
                }
                record.learning_rate = cosine_rate(recipe_.learning_rate, step_, total);
                descent_.step(threads_, gradient_, record.learning_rate, query_net_.parameters);
                shown.update(step_ + 1);
            }
            if (run_) {
                run_->end_epoch();
            }
            record.effective_rank = rank_of_embeddings();
            record.seconds = watch.seconds();
            shown.line(describe(recipe_, epoch, record));
            history_.push_back(record);
        }
        shown.clear();
    }

    const encoder_layout& layout() const { return layout_; }
    /// The encoder that is evaluated and whose embeddings are written: the momentum encoder, with SimCLR the only one.
    const encoder_model<float>& result() const { return run_ ? key_net_ : query_net_; }
    const std::vector<epoch_record>& history() const { return history_; }
    /// Levels of the last E-step; none without prototypes.
    std::span<const protonce::clustering<cpu>> levels() const {
        return run_ ? run_->levels() : std::span<const protonce::clustering<cpu>>{};
    }

private:
    using matrix = protonce::matrix_view<float>;
    using vector = protonce::vector_view<float>;

    matrix rows_of(std::vector<float>& values, index_t first, index_t count) {
        return protonce::view_rows(values.data(), 2 * recipe_.batch, layout_.embedding).slice(first, count);
    }

    /// E-step of an epoch, where there is one.
    void cluster(epoch_record& record) {
        if (!run_ || !run_->needs_e_step()) {
            return;
        }
        const stopwatch watch;
        const std::vector<float> features = unit_embeddings(be_, layout_, key_net_, threads_, images_, recipe_.images);
        index_t dead = 0;
        for (const auto& report :
             run_->e_step(be_, protonce::view_rows(features.data(), recipe_.images, layout_.embedding))) {
            dead += report.concentration.is_degenerate ? 0 : report.concentration.num_filled;
        }
        const index_t clusters = std::accumulate(recipe_.clusters.begin(), recipe_.clusters.end(), index_t{0});
        record.dead_prototypes = static_cast<double>(dead) / static_cast<double>(clusters);
        record.seconds_e_step = watch.seconds();
    }

    /// Views of the batch: rows [0, B) the first view of each sample, rows [B, 2B) the second, in the order of key_order_.
    void draw_views() {
        constexpr index_t rows_at_once = 16;
        const index_t batch = recipe_.batch;
        const auto step = static_cast<std::uint64_t>(step_);
        threads_.for_each((2 * batch + rows_at_once - 1) / rows_at_once, [&](index_t task) {
            const index_t last = std::min(2 * batch, (task + 1) * rows_at_once);
            for (index_t row = task * rows_at_once; row < last; ++row) {
                const bool is_second = row >= batch;
                const index_t i = is_second ? key_order_[static_cast<std::size_t>(row - batch)] : row;
                views_.view(images_.image(sample_[static_cast<std::size_t>(i)]), step,
                            static_cast<std::uint64_t>(2 * i + (is_second ? 1 : 0)), pixels_.data() + row * image_size);
            }
        });
    }

    /// PCL and MoCo: queries of the first view, keys of the second from the momentum encoder.
    void step_with_queue(epoch_record& record, double steps) {
        const index_t batch = recipe_.batch;
        const protonce::ema_pair<cpu> parameters{.average = protonce::view_vector(key_net_.parameters),
                                                 .value = protonce::view_vector(query_net_.parameters)};
        run_->update_average(be_, std::span(&parameters, 1));

        // Batch statistics would leak which key belongs to which query (He et al. 2020, section 3.3): the keys are computed in another
        // order, in separate groups, so that query and key of a sample have no statistics in common.
        const protonce::random_permutation shuffled(
            {.seed = seed_, .step = static_cast<std::uint64_t>(step_), .purpose = key_order_stream},
            static_cast<std::uint64_t>(batch));
        for (index_t i = 0; i < batch; ++i) {
            key_order_[static_cast<std::size_t>(i)] = static_cast<index_t>(shuffled(static_cast<std::uint64_t>(i)));
        }
        draw_views();

        const matrix shuffled_keys = rows_of(embeddings_, batch, batch);
        pass_.forward(key_net_, pixels_.data() + batch * image_size, batch, recipe_.key_groups, shuffled_keys.data());
        protonce::normalize_rows(be_, shuffled_keys, shuffled_keys);
        const matrix keys = rows_of(unit_, batch, batch);
        be_.scatter_rows(shuffled_keys, protonce::view_vector(key_order_), keys);

        const matrix embeddings = rows_of(embeddings_, 0, batch);
        const matrix queries = rows_of(unit_, 0, batch);
        pass_.forward(query_net_, pixels_.data(), batch, 1, embeddings.data());
        protonce::normalize_rows(be_, embeddings, queries, norms(batch));

        std::array<float, 3> scalars{};
        const matrix grad = rows_of(grad_, 0, batch);
        const auto report =
            run_->step(be_, {.query = queries, .positive = keys, .sample = protonce::view_vector(sample_)},
                       {.loss_instance = vector(&scalars[0], 1),
                        .loss_prototypes = vector(&scalars[1], 1),
                        .accuracy_instance = vector(&scalars[2], 1),
                        .accuracy_per_level = protonce::view_vector(accuracy_per_level_),
                        .grad_query = grad});
        backward(queries, grad);

        record.chance_level = report.instance.chance_level;
        record.loss_instance += static_cast<double>(scalars[0]) / steps;
        record.accuracy_instance += static_cast<double>(scalars[2]) / steps;
        if (report.used_prototypes) {
            record.has_prototypes = true;
            record.loss_prototypes += static_cast<double>(scalars[1]) / steps;
            record.accuracy_prototypes.resize(accuracy_per_level_.size(), 0.0);
            for (std::size_t m = 0; m < accuracy_per_level_.size(); ++m) {
                record.accuracy_prototypes[m] += static_cast<double>(accuracy_per_level_[m]) / steps;
            }
        }
    }

    /// SimCLR: both views through the encoder, each with statistics of its own.
    void step_in_batch(epoch_record& record, double steps) {
        const index_t batch = recipe_.batch;
        std::iota(key_order_.begin(), key_order_.end(), index_t{0});
        draw_views();
        pass_.forward(query_net_, pixels_.data(), 2 * batch, 2, embeddings_.data());
        const matrix unit = rows_of(unit_, 0, 2 * batch);
        protonce::normalize_rows(be_, rows_of(embeddings_, 0, 2 * batch), unit, norms(2 * batch));
        float loss = 0;
        float accuracy = 0;
        const matrix grad = rows_of(grad_, 0, 2 * batch);
        protonce::nt_xent(be_, {.first = unit.slice(0, batch), .second = unit.slice(batch, batch)},
                          {.temperature = recipe_.temperature},
                          {.loss = vector(&loss, 1),
                           .accuracy = vector(&accuracy, 1),
                           .grad_first = grad.slice(0, batch),
                           .grad_second = grad.slice(batch, batch)});
        backward(unit, grad);
        record.chance_level = std::log(static_cast<double>(2 * batch - 1));
        record.loss_instance += static_cast<double>(loss) / steps;
        record.accuracy_instance += static_cast<double>(accuracy) / steps;
    }

    vector norms(index_t rows) { return protonce::view_vector(norms_).slice(0, rows); }

    /// From dL/d(unit embeddings), in `grad`, to dL/d(parameters).
    void backward(matrix unit, matrix grad) {
        protonce::normalize_rows_gradient(be_, {.unit = unit, .norms = norms(unit.rows()), .grad_unit = grad}, grad);
        pass_.backward(query_net_, grad.data(), gradient_);
    }

    double rank_of_embeddings() {
        const index_t rows = std::min<index_t>(4096, recipe_.images);
        const std::vector<float> embeddings = unit_embeddings(be_, layout_, result(), threads_, images_, rows);
        return protonce::effective_rank(be_, protonce::view_rows(embeddings.data(), rows, layout_.embedding));
    }

    cpu& be_;
    team threads_;
    const image_set& images_;
    recipe recipe_;
    std::uint64_t seed_;
    encoder_layout layout_;
    augmenter views_;
    encoder_model<float> query_net_;
    encoder_model<float> key_net_;
    training_pass<float> pass_;
    gradient_descent descent_;
    std::vector<float> gradient_;
    std::optional<protonce::objective<cpu>> run_{};
    index_t step_ = 0;
    std::vector<epoch_record> history_{};

    std::vector<index_t> sample_{};    // (B,) image numbers of the batch
    std::vector<index_t> key_order_{}; // (B,) which sample each row of the second view is of
    std::vector<float> pixels_{};      // (2B, 784)
    std::vector<float> embeddings_{};  // (2B, C)
    std::vector<float> unit_{};        // (2B, C) normalised, in the order of sample_
    std::vector<float> grad_{};        // (2B, C)
    std::vector<float> norms_{};       // (2B,)
    std::vector<float> accuracy_per_level_{};
};

} // namespace fashion

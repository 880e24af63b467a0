// SPDX-License-Identifier: MIT
#pragma once
#include "world.hpp"

#include <protonce/m_step/m_step.hpp>
#include <protonce/m_step/nt_xent.hpp>
#include <protonce/m_step/symmetric_info_nce.hpp>

namespace robustness {

template <class B>
refusals<B> info_nce_refusals() {
    using T = value_of<B>;
    using W = world<B>;
    return {
        {"info_nce", "query", "(0, 0)", kind::shape,
         [](W& w) { info_nce(w.be, {.positive = w.positive.view()}, {}, {.loss = w.out(1)}); }},
        {"info_nce", "positive", "(0, 0)", kind::shape,
         [](W& w) { info_nce(w.be, {.query = w.query.view()}, {}, {.loss = w.out(1)}); }},
        {"info_nce", "positive", "(6, 4)", kind::shape,
         [](W& w) {
             info_nce(w.be, {.query = w.query.view(), .positive = w.negatives.view()}, {},
                      {.loss = w.out(1), .grad_query = w.out(batch, cols)});
         }},
        {"info_nce", "negatives", "(6, 3)", kind::shape,
         [](W& w) {
             info_nce(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.zeros(slots, 3)},
                      {}, {.loss = w.out(1)});
         }},
        {"info_nce", "negatives", "(6, 4)", kind::argument,
         [](W& w) {
             info_nce(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.negatives.view()},
                      {.pool = key_pool::batch}, {.loss = w.out(1)});
         }},
        {"info_nce", "pool", "9", kind::argument,
         [](W& w) {
             info_nce(w.be, {.query = w.query.view(), .positive = w.positive.view()},
                      {.pool = static_cast<key_pool>(9)}, {.loss = w.out(1)});
         }},
        {"info_nce", "reduction", "7", kind::argument,
         [](W& w) {
             info_nce(w.be, {.query = w.query.view(), .positive = w.positive.view()},
                      {.reduction = static_cast<reduction>(7)}, {.loss = w.out(1)});
         }},
        {"info_nce", "temperature", "0", kind::argument,
         [](W& w) {
             info_nce(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.negatives.view()},
                      {.temperature = 0}, {.loss = w.out(1)});
         }},
        {"info_nce", "temperature", "inf", kind::argument,
         [](W& w) {
             info_nce(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.negatives.view()},
                      {.temperature = infinity<double>()}, {.loss = w.out(1), .grad_query = w.out(batch, cols)});
         }},
        {"info_nce", "temperature", "-0.1", kind::argument,
         [](W& w) {
             info_nce(w.be,
                      {.query = w.query.view(),
                       .positive = w.positive.view(),
                       .negatives = w.negatives.view(),
                       .temperature = w.values.in({T(-0.1)})},
                      {}, {.loss = w.out(1)});
         }},
        {"info_nce", "temperature", "2", kind::shape,
         [](W& w) {
             info_nce(w.be,
                      {.query = w.query.view(),
                       .positive = w.positive.view(),
                       .negatives = w.negatives.view(),
                       .temperature = w.values.in({T(1), T(1)})},
                      {}, {.loss = w.out(1)});
         }},
        {"info_nce", "query_cluster", "4", kind::shape,
         [](W& w) {
             info_nce(w.be,
                      {.query = w.query.view(),
                       .positive = w.positive.view(),
                       .negatives = w.negatives.view(),
                       .query_cluster = w.labels.in({0, 0, 0, 0})},
                      {}, {.loss = w.out(1)});
         }},
        {"info_nce", "negative_cluster", "0", kind::shape,
         [](W& w) {
             info_nce(w.be,
                      {.query = w.query.view(),
                       .positive = w.positive.view(),
                       .negatives = w.negatives.view(),
                       .query_cluster = w.labels.in({0, 0, 0, 0, 0})},
                      {}, {.loss = w.out(1)});
         }},
        {"info_nce", "upstream", "5", kind::shape,
         [](W& w) {
             info_nce(w.be,
                      {.query = w.query.view(),
                       .positive = w.positive.view(),
                       .negatives = w.negatives.view(),
                       .upstream = w.values.in(std::vector<T>(5, T(1)))},
                      {}, {.grad_query = w.out(batch, cols)});
         }},
        {"info_nce", "loss", "5", kind::shape,
         [](W& w) {
             info_nce(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.negatives.view()},
                      {}, {.loss = w.out(batch)});
         }},
        {"info_nce", "loss", "1", kind::shape,
         [](W& w) {
             info_nce(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.negatives.view()},
                      {.reduction = reduction::none}, {.loss = w.out(1)});
         }},
        {"info_nce", "grad_query", "(5, 3)", kind::shape,
         [](W& w) {
             info_nce(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.negatives.view()},
                      {}, {.loss = w.out(1), .grad_query = w.out(batch, 3)});
         }},
        {"info_nce", "grad_negatives", "(5, 4)", kind::shape,
         [](W& w) {
             info_nce(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.negatives.view()},
                      {}, {.loss = w.out(1), .grad_negatives = w.out(batch, cols)});
         }},
        {"info_nce", "query", "NaN or infinity in row 4", kind::argument,
         [](W& w) {
             info_nce(w.be,
                      {.query = w.with_nan(w.query, 4), .positive = w.positive.view(), .negatives = w.negatives.view()},
                      {}, {.loss = w.out(1), .grad_query = w.out(batch, cols)});
         }},
        {"info_nce", "negatives", "NaN or infinity in row 3", kind::argument,
         [](W& w) {
             info_nce(
                 w.be,
                 {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.with_infinity(w.negatives, 3)},
                 {}, {.loss = w.out(1), .grad_negatives = w.out(slots, cols)});
         }},
    };
}

template <class B>
refusals<B> two_view_refusals() {
    using T = value_of<B>;
    using W = world<B>;
    return {
        {"nt_xent", "first", "(0, 0)", kind::shape,
         [](W& w) { nt_xent(w.be, {.second = w.query.view()}, {}, {.loss = w.out(1)}); }},
        {"nt_xent", "second", "(6, 4)", kind::shape,
         [](W& w) { nt_xent(w.be, {.first = w.query.view(), .second = w.negatives.view()}, {}, {.loss = w.out(1)}); }},
        {"nt_xent", "temperature", "-1", kind::argument,
         [](W& w) {
             nt_xent(w.be, {.first = w.query.view(), .second = w.positive.view()}, {.temperature = -1},
                     {.loss = w.out(1)});
         }},
        {"nt_xent", "loss_per_row", "5", kind::shape,
         [](W& w) {
             nt_xent(w.be, {.first = w.query.view(), .second = w.positive.view()}, {}, {.loss_per_row = w.out(batch)});
         }},
        {"nt_xent", "grad_second", "(6, 4)", kind::shape,
         [](W& w) {
             nt_xent(w.be, {.first = w.query.view(), .second = w.positive.view()}, {},
                     {.grad_first = w.out(batch, cols), .grad_second = w.out(slots, cols)});
         }},
        {"nt_xent", "second", "NaN or infinity in row 1", kind::argument,
         [](W& w) {
             nt_xent(w.be, {.first = w.query.view(), .second = w.with_nan(w.positive, 1)}, {},
                     {.loss = w.out(1), .grad_first = w.out(batch, cols)});
         }},
        {"symmetric_info_nce", "second", "(6, 4)", kind::shape,
         [](W& w) {
             symmetric_info_nce(w.be, {.first = w.query.view(), .second = w.negatives.view()}, {}, {.loss = w.out(1)});
         }},
        {"symmetric_info_nce", "scale", "0", kind::argument,
         [](W& w) {
             symmetric_info_nce(w.be,
                                {.first = w.query.view(), .second = w.positive.view(), .scale = w.values.in({T(0)})},
                                {}, {.loss = w.out(1), .grad_scale = w.out(1)});
         }},
        {"symmetric_info_nce", "temperature", "nan", kind::argument,
         [](W& w) {
             symmetric_info_nce(w.be, {.first = w.query.view(), .second = w.positive.view()},
                                {.temperature = not_a_number<double>()}, {.loss = w.out(1)});
         }},
        {"symmetric_info_nce", "grad_scale", "2", kind::shape,
         [](W& w) {
             symmetric_info_nce(w.be, {.first = w.query.view(), .second = w.positive.view()}, {},
                                {.loss = w.out(1), .grad_scale = w.out(2)});
         }},
        {"symmetric_info_nce", "first", "NaN or infinity in row 0", kind::argument,
         [](W& w) {
             symmetric_info_nce(w.be, {.first = w.with_infinity(w.query, 0), .second = w.positive.view()}, {},
                                {.loss = w.out(1), .accuracy_first = w.out(1)});
         }},
    };
}

template <class B>
refusals<B> proto_nce_refusals() {
    using T = value_of<B>;
    using W = world<B>;
    return {
        {"proto_nce", "query", "(0, 0)", kind::shape,
         [](W& w) {
             proto_nce(w.be, {.sample = view_vector(w.sample), .levels = w.one_level()}, {}, {.loss = w.out(1)});
         }},
        {"proto_nce", "levels", "none", kind::shape,
         [](W& w) {
             proto_nce(w.be, {.query = w.query.view(), .sample = view_vector(w.sample)}, {}, {.loss = w.out(1)});
         }},
        {"proto_nce", "sample", "0", kind::shape,
         [](W& w) { proto_nce(w.be, {.query = w.query.view(), .levels = w.one_level()}, {}, {.loss = w.out(1)}); }},
        {"proto_nce", "sample", "12 for row 2", kind::argument,
         [](W& w) {
             proto_nce(w.be,
                       {.query = w.query.view(), .sample = w.indices.in({0, 1, 12, 3, 4}), .levels = w.one_level()}, {},
                       {.loss = w.out(1), .grad_query = w.out(batch, cols)});
         }},
        {"proto_nce", "sample", "-1 for row 4", kind::argument,
         [](W& w) {
             proto_nce(w.be,
                       {.query = w.query.view(), .sample = w.indices.in({0, 1, 2, 3, -1}), .levels = w.one_level()}, {},
                       {.loss = w.out(1)});
         }},
        {"proto_nce", "negatives", "5", kind::argument,
         [](W& w) {
             proto_nce(w.be, {.query = w.query.view(), .sample = view_vector(w.sample), .levels = w.one_level()},
                       {.negatives = static_cast<negatives>(5)}, {.loss = w.out(1)});
         }},
        {"proto_nce", "num_negatives", "-3", kind::argument,
         [](W& w) {
             proto_nce(w.be, {.query = w.query.view(), .sample = view_vector(w.sample), .levels = w.one_level()},
                       {.num_negatives = -3}, {.loss = w.out(1)});
         }},
        {"proto_nce", "levels[0].prototypes", "(3, 5)", kind::shape,
         [](W& w) {
             auto level = w.level.level();
             level.prototypes = w.zeros(clusters, 5);
             proto_nce(w.be, {.query = w.query.view(), .sample = view_vector(w.sample), .levels = w.one_level(level)},
                       {}, {.loss = w.out(1)});
         }},
        {"proto_nce", "levels[0].temperatures", "2", kind::shape,
         [](W& w) {
             auto level = w.level.level();
             level.temperatures = level.temperatures.slice(0, 2);
             proto_nce(w.be, {.query = w.query.view(), .sample = view_vector(w.sample), .levels = w.one_level(level)},
                       {}, {.loss = w.out(1)});
         }},
        {"proto_nce", "levels[0].temperatures", "nan at 1", kind::argument,
         [](W& w) {
             auto level = w.level.level();
             level.temperatures = w.values.in({T(1), not_a_number<T>(), T(1)});
             proto_nce(w.be, {.query = w.query.view(), .sample = view_vector(w.sample), .levels = w.one_level(level)},
                       {}, {.loss = w.out(1), .grad_query = w.out(batch, cols)});
         }},
        {"proto_nce", "levels[0].assignment", "3 for row 0", kind::argument,
         [](W& w) {
             auto level = w.level.level();
             level.assignment = w.labels.in(std::vector<label_t>(rows, 3));
             proto_nce(w.be, {.query = w.query.view(), .sample = view_vector(w.sample), .levels = w.one_level(level)},
                       {}, {.loss = w.out(1)});
         }},
        {"proto_nce", "levels[0].prototypes", "NaN or infinity in row 2", kind::argument,
         [](W& w) {
             test::matrix<T> prototypes(clusters, cols);
             auto level = w.level.level();
             level.prototypes = w.with_nan(prototypes, 2);
             proto_nce(w.be, {.query = w.query.view(), .sample = view_vector(w.sample), .levels = w.one_level(level)},
                       {}, {.loss = w.out(1)});
         }},
        {"proto_nce", "negative_id[0]", "3", kind::argument,
         [](W& w) {
             const vector_view<const index_t> ids = w.indices.in({3});
             proto_nce(w.be,
                       {.query = w.query.view(),
                        .sample = view_vector(w.sample),
                        .levels = w.one_level(),
                        .negative_id = std::span(&ids, 1)},
                       {}, {.loss = w.out(1)});
         }},
        {"proto_nce", "grad_prototypes", "2", kind::shape,
         [](W& w) {
             const std::vector<matrix_view<T>> gradients{w.out(clusters, cols), w.out(clusters, cols)};
             proto_nce(w.be, {.query = w.query.view(), .sample = view_vector(w.sample), .levels = w.one_level()}, {},
                       {.grad_prototypes = gradients});
         }},
        {"proto_nce", "loss_per_level", "3", kind::shape,
         [](W& w) {
             proto_nce(w.be, {.query = w.query.view(), .sample = view_vector(w.sample), .levels = w.one_level()}, {},
                       {.loss_per_level = w.out(3)});
         }},
        {"draw_negative_prototypes", "own", "0 values", kind::shape,
         [](W& w) {
             draw_negative_prototypes(w.be, vector_view<const label_t>{}, clusters, {},
                                      {w.indices.out(3), {}, w.indices.out(1), w.indices.out(1)});
         }},
        {"draw_negative_prototypes", "num_prototypes", "0", kind::argument,
         [](W& w) {
             draw_negative_prototypes(w.be, vector_view<const label_t>(w.labels.in({0, 1})), 0, {},
                                      {w.indices.out(3), {}, w.indices.out(1), w.indices.out(1)});
         }},
        {"draw_negative_prototypes", "own", "3 for row 1", kind::argument,
         [](W& w) {
             draw_negative_prototypes(w.be, vector_view<const label_t>(w.labels.in({0, 3})), clusters, {},
                                      {w.indices.out(3), {}, w.indices.out(1), w.indices.out(1)});
         }},
        {"draw_negative_prototypes", "num_negatives", "-1", kind::argument,
         [](W& w) {
             draw_negative_prototypes(w.be, vector_view<const label_t>(w.labels.in({0, 1})), clusters,
                                      {.num_negatives = -1},
                                      {w.indices.out(3), {}, w.indices.out(1), w.indices.out(1)});
         }},
        {"draw_negative_prototypes", "step", "-1", kind::argument,
         [](W& w) {
             draw_negative_prototypes(w.be, vector_view<const label_t>(w.labels.in({0, 1})), clusters, {},
                                      {w.indices.out(3), {}, w.indices.out(1), w.indices.out(1)}, w.indices.in({-1}));
         }},
        {"draw_negative_prototypes", "column_id", "2", kind::shape,
         [](W& w) {
             draw_negative_prototypes(w.be, vector_view<const label_t>(w.labels.in({0, 1})), clusters, {},
                                      {w.indices.out(2), {}, w.indices.out(1), w.indices.out(1)});
         }},
    };
}

template <class B>
refusals<B> m_step_refusals() {
    using T = value_of<B>;
    using W = world<B>;
    return {
        {"m_step", "query", "(0, 0)", kind::shape, [](W& w) { m_step(w.be, {}, {}, {.loss = w.out(1)}); }},
        {"m_step", "instance_weight", "-1", kind::argument,
         [](W& w) {
             m_step(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.negatives.view()},
                    {.instance_weight = -1}, {.loss = w.out(1)});
         }},
        {"m_step", "prototype_weight", "nan", kind::argument,
         [](W& w) {
             m_step(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.negatives.view()},
                    {.prototype_weight = not_a_number<double>()}, {.loss = w.out(1)});
         }},
        {"m_step", "loss", "2", kind::shape,
         [](W& w) {
             m_step(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.negatives.view()}, {},
                    {.loss = w.out(2)});
         }},
        {"m_step", "loss_per_level", "1", kind::shape,
         [](W& w) {
             m_step(w.be, {.query = w.query.view(), .positive = w.positive.view(), .negatives = w.negatives.view()}, {},
                    {.loss_per_level = w.out(1)});
         }},
        {"m_step", "sample", "12 for row 0", kind::argument,
         [](W& w) {
             m_step(w.be,
                    {.query = w.query.view(),
                     .positive = w.positive.view(),
                     .negatives = w.negatives.view(),
                     .sample = w.indices.in(std::vector<index_t>(5, 12)),
                     .levels = w.one_level()},
                    {}, {.loss = w.out(1), .grad_query = w.out(batch, cols)});
         }},
        {"m_step", "step", "2", kind::shape,
         [](W& w) {
             m_step(w.be,
                    {.query = w.query.view(),
                     .positive = w.positive.view(),
                     .negatives = w.negatives.view(),
                     .sample = view_vector(w.sample),
                     .levels = w.one_level(),
                     .step = w.indices.in({1, 2})},
                    {}, {.loss = w.out(1), .grad_query = w.out(batch, cols)});
         }},
        {"m_step", "temperature", "inf at 0", kind::argument,
         [](W& w) {
             m_step(w.be,
                    {.query = w.query.view(),
                     .positive = w.positive.view(),
                     .negatives = w.negatives.view(),
                     .temperature = w.values.in({infinity<T>()})},
                    {}, {.loss = w.out(1)});
         }},
        {"m_step", "positive", "NaN or infinity in row 3", kind::argument,
         [](W& w) {
             m_step(w.be,
                    {.query = w.query.view(),
                     .positive = w.with_nan(w.positive, 3),
                     .negatives = w.negatives.view(),
                     .sample = view_vector(w.sample),
                     .levels = w.one_level()},
                    {},
                    {.loss = w.out(1),
                     .loss_per_level = w.out(1),
                     .grad_query = w.out(batch, cols),
                     .grad_negatives = w.out(slots, cols)});
         }},
    };
}

} // namespace robustness

// SPDX-License-Identifier: MIT
#pragma once
// The whole library. Single headers compile faster; each stands alone.
#include <protonce/version.hpp>

#include <protonce/core/backend.hpp>
#include <protonce/core/bfloat16.hpp>
#include <protonce/core/buffer.hpp>
#include <protonce/core/check.hpp>
#include <protonce/core/contrast.hpp>
#include <protonce/core/error.hpp>
#include <protonce/core/exact_distance.hpp>
#include <protonce/core/fill_cycle.hpp>
#include <protonce/core/host_device.hpp>
#include <protonce/core/normalize.hpp>
#include <protonce/core/on_host.hpp>
#include <protonce/core/parallel.hpp>
#include <protonce/core/prototype_level.hpp>
#include <protonce/core/rng.hpp>
#include <protonce/core/search_report.hpp>
#include <protonce/core/space.hpp>
#include <protonce/core/types.hpp>
#include <protonce/core/view.hpp>
#include <protonce/core/workspace.hpp>

#include <protonce/e_step/assign.hpp>
#include <protonce/e_step/clustering.hpp>
#include <protonce/e_step/concentration.hpp>
#include <protonce/e_step/e_step.hpp>
#include <protonce/e_step/kmeans.hpp>
#include <protonce/e_step/kmeans_init.hpp>
#include <protonce/e_step/kmeans_options.hpp>

#include <protonce/m_step/info_nce.hpp>
#include <protonce/m_step/m_step.hpp>
#include <protonce/m_step/negative_prototypes.hpp>
#include <protonce/m_step/nt_xent.hpp>
#include <protonce/m_step/proto_nce.hpp>
#include <protonce/m_step/reduction.hpp>
#include <protonce/m_step/symmetric_info_nce.hpp>

#include <protonce/momentum/ema.hpp>
#include <protonce/momentum/memory_queue.hpp>

#include <protonce/metrics/cluster_scores.hpp>
#include <protonce/metrics/effective_rank.hpp>
#include <protonce/metrics/knn.hpp>
#include <protonce/metrics/uniformity.hpp>

#include <protonce/em/checkpoint.hpp>
#include <protonce/em/objective.hpp>

#ifndef __CUDACC__ // units of nvcc have the backends of devices, which are included one by one
#include <protonce/backend/cpu.hpp>
#endif
#include <protonce/backend/reference.hpp>

#include <protonce/adapt/eigen.hpp>
#include <protonce/adapt/mdspan.hpp>
#include <protonce/adapt/torch.hpp>
#include <protonce/adapt/xtensor.hpp>

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One run of one peer's K-means in a process of its own; prints one line of JSON.

    kmeans_peer.py PEER ROWS.npy FIRST_CENTROIDS.npy ITERATIONS THREADS [CENTROIDS.npy]

Every peer does the same work: all rows, `ITERATIONS` assignments and updates, no stop unless nothing changes any more.
Reading the files and importing the peer are not in the time. THREADS must also be what OMP_NUM_THREADS says.
"""
import json
import sys
import time

import numpy as np

from memory import PeakGrowth

SUPERKMEANS_SEED = 42  # draws its first centroids itself: bench/peers/first_rows.cpp draws the same


def faiss(rows, first, iterations, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    clustering = faiss.Kmeans(rows.shape[1], len(first), niter=iterations, nredo=1, spherical=False,
                              min_points_per_centroid=1, max_points_per_centroid=len(rows))

    def run():
        clustering.train(rows, init_centroids=first)
        made = clustering.iteration_stats
        return clustering.centroids, made, sum(one["nsplit"] for one in made)

    return run


def scikit_learn(rows, first, iterations, algorithm):
    from sklearn.cluster import KMeans

    clustering = KMeans(len(first), init=first, n_init=1, max_iter=iterations, tol=0, algorithm=algorithm)

    def run():
        clustering.fit(rows)
        return clustering.cluster_centers_, range(clustering.n_iter_), None

    return run


def superkmeans(rows, first, iterations, threads):
    from superkmeans import SuperKMeans

    clustering = SuperKMeans(len(first), rows.shape[1], hierarchical=False, iters=iterations, sampling_fraction=1.0,
                             max_points_per_cluster=len(rows), n_threads=threads, seed=SUPERKMEANS_SEED, tol=0.0,
                             recall_tol=0.0, early_termination=False, sample_queries=False)

    def run():
        centroids, made = clustering.train(rows), clustering.iteration_stats
        return centroids, made, sum(one.split for one in made)

    return run


def scikit_learn_seeds(rows, first):
    from sklearn.cluster import kmeans_plusplus

    return lambda: (kmeans_plusplus(rows, len(first), random_state=0)[0], (), None)  # 2 + floor(ln K) trials, as ours


PEERS = {
    "faiss": faiss,
    "scikit-learn lloyd": lambda rows, first, iterations, _: scikit_learn(rows, first, iterations, "lloyd"),
    "scikit-learn elkan": lambda rows, first, iterations, _: scikit_learn(rows, first, iterations, "elkan"),
    "superkmeans": superkmeans,
    "scikit-learn k-means++": lambda rows, first, *_: scikit_learn_seeds(rows, first),
}


def main(peer, rows, first, iterations, threads, out=None):
    rows, first = np.load(rows), np.load(first)
    run = PEERS[peer](rows, first, int(iterations), int(threads))
    growth = PeakGrowth()
    start = time.perf_counter()
    centroids, iterations_made, splits = run()
    seconds = time.perf_counter() - start
    grown = growth.bytes()
    if out:
        np.save(out, np.ascontiguousarray(centroids, dtype=np.float32))
    print(json.dumps({"seconds": seconds, "peak_growth_bytes": grown, "iterations": len(iterations_made),
                      "empty_reseeded": splits}))


if __name__ == "__main__":
    main(*sys.argv[1:])

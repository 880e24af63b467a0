# SPDX-License-Identifier: MIT
"""What is measured of our program alone, or against one peer: first centroids, warm start, limits, the large case."""
import json
import statistics

import process
from kmeans import ITERATIONS, OURS, Data, Peer, has_option, ours
from cases import quick_clusters

SEEDING = "scikit-learn k-means++"
# Units of bench/: multiply-adds in registers and nothing else, and every row to its nearest of K centroids without pruning.
PEAK_UNIT = ("limits", "limits/peak/cpu/threads:1")
BRUTE_FORCE_UNIT = ("kmeans", "kmeans/assign_all/cpu/N:60000/K:1000/C:128")
# Greedy seeding, and what e_step() does in its first epoch.
COLD_STARTS = {"k-means++": (), "random rows, best of 5": ("--init", "random", "--restarts", 5)}
WARM_UPDATES = (5, 10, ITERATIONS)
EPOCHS_BEFORE = 3
# Options of cluster_npy that need not be there.
WITHOUT_PRUNING = ("--pruning", "off")
MEMORY_CAP = "--memory-cap"
CAP_MEBIBYTES = 256


def plus_plus(setup):
    """Greedy k-means++ against scikit-learn's, as many trials: 2 + floor(ln K) a centroid."""
    data = Data(setup)
    rows = data.rows("clustered")
    clusters = quick_clusters(1000) if setup.quick else 1000
    first = data.first_centroids(rows, clusters)  # scikit-learn's entry reads K from it
    centroids = setup.work / "centroids_plus_plus.npy"
    result = {"rows": data.shape(rows)[0], "cols": data.shape(rows)[1], "clusters": clusters, "entries": {}}
    runs = {OURS: []}
    package = SEEDING.split(" ")[0]
    if setup.interpreters.of(package):
        runs[SEEDING] = []
    else:
        result["entries"][SEEDING] = {"skipped": setup.interpreters.missing[package]}
        setup.say(f"  {SEEDING:24} skipped: {setup.interpreters.missing[package]}")
    peer = Peer(setup, SEEDING, rows, first, clusters)
    for number in range(min(setup.repeats, 3)):
        for name in runs:
            if name == OURS:
                run = ours(setup, rows, clusters, "--iterations", 0, "--centroids", centroids)
                runs[name].append({**run, "seconds": run["seconds_init"]})
                continue
            if number == 0 and setup.cores > 1:  # no shorter trial of it: one run each
                trial = {count: peer.once(threads=count) for count in (1, setup.cores)}
                peer.threads = min(trial, key=lambda count: trial[count]["seconds"])
                runs[name].append(trial[peer.threads])
            else:
                runs[name].append(peer.once())
    for name, of_peer in runs.items():
        path = centroids if name == OURS else peer.centroids
        result["entries"][name] = {
            "threads": setup.cores if name == OURS else peer.threads,
            "seconds": [run["seconds"] for run in of_peer],
            "peak_growth_bytes": [run["peak_growth_bytes"] for run in of_peer],
            "inertia": data.inertia(rows, path),
        }
        setup.say(f"  {name:24} {statistics.median(run['seconds'] for run in of_peer):9.3f} s, "
                  f"inertia of the first centroids {result['entries'][name]['inertia']:.7g}")
    return result


def warm_start(setup):
    """Cold: 20 updates from nothing, another seed each time. Warm: from the clustering of the epoch before.

    The epochs before were warm themselves, but for the first.
    """
    data = Data(setup)
    rows = data.rows("embeddings")
    clusters = quick_clusters(1000) if setup.quick else 1000
    result = {"rows": data.shape(rows)[0], "cols": data.shape(rows)[1], "clusters": clusters, "cold": {}, "warm": {}}
    previous = setup.work / "centroids_previous.npy"
    if setup.previous_embeddings:
        result["previous"] = "one, given"
        epochs = [setup.previous_embeddings]
    else:
        result["previous"] = f"{EPOCHS_BEFORE}, generated"
        epochs = [rows]
        for number in range(EPOCHS_BEFORE):
            epochs.append(setup.work / f"{rows.stem}_before{number}.npy")
            data.arrays("moved", epochs[-1], epochs[-2], number)
        epochs = epochs[:0:-1]
    start = ()
    for epoch in epochs:
        ours(setup, epoch, clusters, "--iterations", ITERATIONS, *start, "--centroids", previous)
        start = ("--init", previous)
    for seed in range(setup.repeats):
        for name, options in COLD_STARTS.items():
            run = ours(setup, rows, clusters, "--iterations", ITERATIONS, "--seed", seed, *options)
            result["cold"].setdefault(name, []).append(run)
        for count in WARM_UPDATES:
            run = ours(setup, rows, clusters, "--init", previous, "--iterations", count)
            result["warm"].setdefault(str(count), []).append(run)
    for how in ("cold", "warm"):
        for name, runs in result[how].items():
            seconds = statistics.median(run["seconds"] + run["seconds_init"] for run in runs)
            inertia = statistics.median(run["inertia"] for run in runs)
            setup.say(f"  {how}, {name}: {seconds:.3f} s, inertia {inertia:.7g}")
    return result


def _flops(setup, unit):
    program, name = unit
    said = process.output([setup.program(f"bench/{program}"), f"--benchmark_filter=^{name}(/|$)",
                           "--benchmark_format=json", f"--benchmark_min_time={0.01 if setup.quick else 0.5}"])
    units = json.loads(said)["benchmarks"]
    if len(units) != 1:
        raise process.Failed(f"bench/{program} has {len(units)} units named {name}")
    return units[0]["FLOPS"] / 1e9


def brute_force(setup):
    """One thread, peak and brute force by turns."""
    result = {"peak_unit": PEAK_UNIT[1], "unit": BRUTE_FORCE_UNIT[1], "peak_gflops": [], "gflops": []}
    for _ in range(setup.repeats):
        result["peak_gflops"].append(_flops(setup, PEAK_UNIT))
        result["gflops"].append(_flops(setup, BRUTE_FORCE_UNIT))
    setup.say(f"  {statistics.median(result['gflops']):.1f} of {statistics.median(result['peak_gflops']):.1f} GFLOPS")
    return result


def pruning_cost(setup):
    """On data without structure: as it comes against brute force."""
    if not has_option(setup, WITHOUT_PRUNING[0]):
        raise process.Failed(f"cluster_npy has no option {WITHOUT_PRUNING[0]}")
    data = Data(setup)
    rows = data.rows("gaussian")
    clusters = quick_clusters(256) if setup.quick else 256
    first = data.first_centroids(rows, clusters)
    result = {"with": [], "without": []}
    for _ in range(setup.repeats):
        for name, options in (("with", ()), ("without", WITHOUT_PRUNING)):
            result[name].append(ours(setup, rows, clusters, "--init", first, "--iterations", ITERATIONS, *options))
    setup.say("  " + ", ".join(f"{name} {statistics.median(run['seconds'] for run in runs):.3f} s"
                               for name, runs in result.items()))
    return result


def large(setup):
    """The time of an iteration: what two more cost, halved, so that set-up and last assignment fall out."""
    data = Data(setup)
    rows = data.rows("low_rank")
    clusters = quick_clusters(25000) if setup.quick else 25000
    first = data.first_centroids(rows, clusters)
    result = {"rows": data.shape(rows)[0], "cols": data.shape(rows)[1], "clusters": clusters}
    options = {"free": ()}
    if has_option(setup, MEMORY_CAP):
        options["capped"] = (MEMORY_CAP, CAP_MEBIBYTES)
        result["cap_mebibytes"] = CAP_MEBIBYTES
    else:
        setup.say(f"  a cap of the memory is not measured: cluster_npy has no option {MEMORY_CAP}")
    for name, more in options.items():
        one, three = (ours(setup, rows, clusters, "--init", first, "--iterations", count, *more) for count in (1, 3))
        result[name] = {"one": one, "three": three, "iteration_seconds": (three["seconds"] - one["seconds"]) / 2}
        setup.say(f"  {name}: an iteration {result[name]['iteration_seconds']:.3f} s, "
                  f"extra memory {three['peak_growth_bytes'] / 2**20:.0f} MiB")
    return result

# SPDX-License-Identifier: MIT
"""K-means cases: every program from the same first centroids, runs interleaved, final inertia judged in double."""
import re
import statistics
from pathlib import Path

import process
from cases import KMEANS_PEERS, DATA_SETS, QUICK_DATA_SETS, package_of, quick_clusters

HERE = Path(__file__).parent
OURS = "protonce"
ITERATIONS = 20
TRIAL_ITERATIONS = 3  # tell which number of threads suits a peer
SLOW_SECONDS = 8  # a run that takes longer is repeated SLOW_REPEATS times at most
SLOW_REPEATS = 3
ELKAN_BYTES = 400e6  # one bound for each row and centroid: scikit-learn's elkan is not tried beyond


class Data:
    """Data sets and first centroids, made once and kept in the work folder."""

    def __init__(self, setup):
        self._setup = setup
        self._sets = QUICK_DATA_SETS if setup.quick else DATA_SETS

    def arrays(self, *arguments, threads=None):
        return process.run([self._setup.numpy, HERE / "arrays.py", *arguments], threads or self._setup.cores)[0]

    def rows(self, name):
        """Path of the data set. Raises Failed, with a hint, where it cannot be had."""
        if name == "embeddings":
            if not self._setup.embeddings.exists():
                raise process.Failed("the file of the embeddings is not there: examples/run.sh writes it")
            return self._setup.embeddings
        size = self._sets[name]
        path = self._setup.work / f"{name}_{size[0]}x{size[1]}.npy"
        if not path.exists():
            if name == "pixels":
                self.arrays("pixels", path, self._setup.images, size[0])
            else:
                self.arrays(name, path, *size)
        return path

    def head(self, rows, count):
        path = self._setup.work / f"{rows.stem}_head{count}.npy"
        self.arrays("head", path, rows, count)
        return path

    def shape(self, rows):
        return self.arrays("shape", rows)["shape"]

    def first_centroids(self, rows, clusters):
        path = self._setup.work / f"{rows.stem}_first{clusters}.npy"
        numbers = self._setup.work / "numbers.npy"
        process.output([self._setup.program("bench/first_rows"), self.shape(rows)[0], clusters, numbers])
        self.arrays("take", path, rows, numbers)
        return path

    def inertia(self, rows, centroids):
        return self.arrays("inertia", rows, centroids)["inertia"]


def ours(setup, rows, clusters, *options, threads=None):
    """One run of cluster_npy: its line of JSON and `peak_growth_bytes`."""
    threads = threads or setup.cores
    command = [setup.program("bin/cluster_npy"), "--input", rows, "--clusters", clusters, "--tolerance", 0,
               "--threads", threads, "--json", *options]
    said, peak = process.run(command, threads, watch_memory=True)
    inputs = Path(rows).stat().st_size
    if "--init" in options and str(options[options.index("--init") + 1]).endswith(".npy"):
        inputs += Path(options[options.index("--init") + 1]).stat().st_size
    said["peak_growth_bytes"] = max(0, peak - setup.bare_bytes - inputs)
    return said


def bare_bytes(setup):
    """Peak of cluster_npy on next to nothing: program, libraries, threads. Restarts give the time to see it."""
    tiny = setup.work / "tiny.npy"
    Data(setup).arrays("gaussian", tiny, 16, 16)
    command = [setup.program("bin/cluster_npy"), "--input", tiny, "--clusters", 2, "--threads", setup.cores, "--json",
               "--restarts", 3000]
    return process.run(command, setup.cores, watch_memory=True)[1]


def has_option(setup, option):
    help_text = process.output([setup.program("bin/cluster_npy"), "--help"])
    return re.search(rf"^\s*{re.escape(option)}\b", help_text, re.MULTILINE) is not None


class Peer:
    """One program in one case."""

    def __init__(self, setup, name, rows, first, clusters):
        self.name, self._setup, self._rows, self._first, self._clusters = name, setup, rows, first, clusters
        self.centroids = setup.work / f"centroids_{name.replace(' ', '_')}.npy"
        self.threads = setup.cores
        self.trial = {}
        self.runs = []

    def once(self, iterations=ITERATIONS, threads=None):
        threads = threads or self.threads
        if self.name == OURS:
            return ours(self._setup, self._rows, self._clusters, "--init", self._first, "--iterations", iterations,
                        "--centroids", self.centroids, threads=threads)
        python = self._setup.interpreters.of(package_of(self.name))
        command = [python, HERE / "kmeans_peer.py", self.name, self._rows, self._first, iterations, threads]
        return process.run([*command, self.centroids], threads)[0]

    def choose_threads(self):
        """Tries one thread and all, twice each, and keeps what was fastest: a disturbed trial alone decides nothing.
        Short runs are tried whole."""
        if self.name != OURS and self._setup.cores > 1:
            is_short = self.once(TRIAL_ITERATIONS, 1)["seconds"] < 1
            for threads in (1, self._setup.cores) * 2:
                seconds = self.once(ITERATIONS if is_short else TRIAL_ITERATIONS, threads)["seconds"]
                self.trial[str(threads)] = min(seconds, self.trial.get(str(threads), seconds))
            self.threads = int(min(self.trial, key=self.trial.get))


def absent(setup, name, rows_count, clusters):
    """Why this peer has no figure here, or None."""
    package = package_of(name)
    if setup.interpreters.of(package) is None:
        return setup.interpreters.missing[package]
    if name.endswith("elkan") and 4 * rows_count * clusters > ELKAN_BYTES:
        return "a bound for each row and centroid: too much memory"
    return None


def measure(setup, case, rows=None, repeats=None):
    """All programs on one case; the entries by name."""
    data = Data(setup)
    rows = rows or data.rows(case.rows)
    clusters = quick_clusters(case.clusters) if setup.quick else case.clusters
    count, cols = data.shape(rows)
    first = data.first_centroids(rows, clusters)
    repeats = repeats or setup.repeats
    result = {"rows": count, "cols": cols, "clusters": clusters, "iterations": ITERATIONS, "entries": {}}
    setup.say(f"  N={count}, C={cols}, K={clusters}")
    peers = [Peer(setup, OURS, rows, first, clusters)]
    for name in KMEANS_PEERS:
        reason = absent(setup, name, count, clusters)
        if reason:
            setup.say(f"  {name:24} skipped: {reason}")
            result["entries"][name] = {"skipped": reason}
        else:
            peers.append(Peer(setup, name, rows, first, clusters))

    for number in range(repeats):
        for peer in list(peers):
            is_slow = peer.runs and peer.runs[0]["seconds"] > SLOW_SECONDS
            if is_slow and number >= SLOW_REPEATS:
                continue
            try:
                if number == 0:
                    peer.choose_threads()
                peer.runs.append(peer.once())
                if number == 0:
                    peer.inertia = data.inertia(rows, peer.centroids)
            except process.Failed as failure:
                if peer.name == OURS:
                    raise
                setup.say(f"  {peer.name:24} skipped: {failure}")
                result["entries"][peer.name] = {"skipped": str(failure)}
                peers.remove(peer)
    for peer in peers:
        result["entries"][peer.name] = {
            "threads": peer.threads,
            "thread_trial_seconds": peer.trial,
            "seconds": [run["seconds"] for run in peer.runs],
            "peak_growth_bytes": [run["peak_growth_bytes"] for run in peer.runs],
            "inertia": peer.inertia,
            "iterations": peer.runs[-1]["iterations"],
            "empty_reseeded": peer.runs[-1]["empty_reseeded"],
        }
        if peer.name == OURS:
            result["entries"][OURS]["report"] = peer.runs[-1]
        setup.say(f"  {peer.name:24} {statistics.median(run['seconds'] for run in peer.runs):9.3f} s, "
                  f"{peer.threads} threads, {len(peer.runs)} runs, inertia {peer.inertia:.9g}")
    return result

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs protonce beside other programs on the same data and writes benchmarks.md, plots and all raw results.

Called by run.sh, which builds first. The driver needs Python alone; numpy and the peers live in processes of their own.
"""
import argparse
import json
import re
import shlex
import sys
from pathlib import Path

import kmeans
import losses
import machine
import process
import report
import singles
from cases import CURVE_CLUSTERS, CURVE_ROWS, KMEANS, LOSSES, PACKAGES, KmeansCase

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77  # as CTest's SKIP_RETURN_CODE


class Setup:
    """What every measurement needs to know."""

    def __init__(self, options):
        self.quick, self.repeats = options.quick, 1 if options.quick else options.repeats
        self.build, self.embeddings, self.images = options.build, options.embeddings, options.data
        self.previous_embeddings = options.previous_embeddings
        self.work = options.work
        self.work.mkdir(parents=True, exist_ok=True)
        self.cores = machine.cores()
        self.interpreters = machine.Interpreters(options.venv, options.peers)
        self.numpy = self.interpreters.of("numpy")

    def program(self, name):
        path = self.build / name
        if not path.exists():
            raise process.Failed(f"there is no program {name} in the build")
        return path

    @staticmethod
    def say(text):
        print(text, flush=True)


def arguments(given):
    parser = argparse.ArgumentParser(prog="bench/peers/run.sh", description=__doc__.split("\n")[0])
    option = parser.add_argument
    option("--quick", action="store_true", help="tiny sizes, one run each: does it work?")
    option("--large", action="store_true", help="also N=1281167, K=25000 (minutes)")
    option("--only", metavar="REGEX", default="", help="cases whose name matches; the others keep their results")
    option("--repeats", type=int, default=5, help="runs of each program; of slow ones 3 at most (default 5)")
    option("--peers", metavar="NAMES", default=",".join(PACKAGES), help="commas between, or none (default %(default)s)")
    option("--embeddings", type=Path, default=ROOT / "out/fashion_mnist/embeddings.npy",
           help="learned embeddings (default out/fashion_mnist/embeddings.npy, of examples/run.sh)")
    option("--previous-embeddings", type=Path, help="those of the epoch before (default: generated)")
    option("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"),
           help="folder of the idx files (default %(default)s)")
    option("--out", type=Path, help="where benchmarks.md goes (default docs; with --quick build/peers/quick)")
    option("--build", type=Path, default=ROOT / "build/release", help="folder of the programs (default build/release)")
    option("--venv", type=Path, default=ROOT / "build/peers-venv", help="of the peers (default build/peers-venv)")
    option("--work", type=Path, default=ROOT / "build/peers", help="of the data made here (default build/peers)")
    option("--list", action="store_true", help="print the names of the cases")
    options = parser.parse_args(given)
    options.peers = options.peers.split(",")
    if options.repeats < 1:
        parser.error("--repeats: must be at least 1")
    unknown = set(options.peers) - set(PACKAGES) - {"none"}
    if unknown:
        parser.error(f"--peers: unknown: {', '.join(sorted(unknown))}")
    options.out = options.out or (options.work / "quick" if options.quick else ROOT / "docs")
    return options


def all_cases(options):
    """(name, what is printed, how it is measured) in the order of the page."""
    for case in KMEANS:
        yield case.name, case.title, lambda setup, case=case: kmeans.measure(setup, case)
    yield "pruning_cost", "Gaussian without structure, pruning on and off", singles.pruning_cost
    yield "brute_force", "fused brute force against the peak of the machine, one thread", singles.brute_force
    yield "plus_plus", "greedy k-means++, clustered, K=1000", singles.plus_plus
    yield "warm_start", "warm and cold start, learned embeddings, K=1000", singles.warm_start
    for case in LOSSES:
        yield case.name, case.title, lambda setup, case=case: losses.measure(setup, case)
    for clusters in CURVE_CLUSTERS:
        case = KmeansCase(f"over_k_{clusters}", "", "embeddings", clusters)
        yield (case.name, f"time against K: learned embeddings, K={clusters}",
               lambda setup, case=case: kmeans.measure(setup, case, repeats=1))
    for count in CURVE_ROWS:
        yield (f"over_n_{count}", f"time against N: clustered, the first {count} rows, K=1000",
               lambda setup, count=count: over_rows(setup, count))
    if options.large:
        yield "large", "low-rank clustered, N=1281167, K=25000", singles.large


def over_rows(setup, count):
    data = kmeans.Data(setup)
    rows = data.head(data.rows("clustered"), count // 50 if setup.quick else count)
    return kmeans.measure(setup, KmeansCase(f"over_n_{count}", "", "clustered", 1000), rows, repeats=1)


def earlier(path, results, say):
    """Results that --only leaves alone, if they are of this machine and these versions."""
    if not path.exists():
        return {}
    old = json.loads(path.read_text())
    for part in ("machine", "versions"):
        if old[part] != results[part]:
            say(f"The results in {path.name} are of another {part[:-1] if part == 'versions' else part}: left out")
            return {}
    return old["cases"]


def main(given):
    options = arguments(given)
    cases = list(all_cases(options))
    if options.list:
        print("\n".join(f"{name:16} {title}" for name, title, _ in cases))
        return 0
    setup = Setup(options)
    if setup.numpy is None:
        print("SKIPPED: no Python with numpy was found (bench/peers/run.sh --install makes one)")
        return SKIPPED
    try:
        setup.bare_bytes = kmeans.bare_bytes(setup)
    except process.Failed as failure:
        print(f"bench/peers: {failure}", file=sys.stderr)
        return 1
    command = " ".join(["bench/peers/run.sh", *(shlex.quote(word) for word in given)])
    results = {
        "machine": machine.describe(setup.build),
        "versions": setup.interpreters.versions,
        "missing": setup.interpreters.missing,
        "quick": setup.quick,
        "repeats": setup.repeats,
    }
    for peer, version in setup.interpreters.versions.items():
        setup.say(f"{peer} {version}")
    for peer, reason in setup.interpreters.missing.items():
        setup.say(f"{peer}: SKIPPED, {reason}")
    raw = options.out / "benchmarks" / "results.json"
    raw.parent.mkdir(parents=True, exist_ok=True)
    results["cases"] = earlier(raw, results, setup.say) if options.only else {}

    failures = 0
    for name, title, measure in cases:
        if not re.search(options.only, name):
            continue
        setup.say(f"\n{name}: {title}")
        before = machine.load()
        try:
            results["cases"][name] = {"title": title, "command": command, **before, **measure(setup)}
        except process.Failed as failure:
            failures += "ended with" in str(failure)
            results["cases"][name] = {"title": title, "command": command, "skipped": str(failure)}
            setup.say(f"  SKIPPED: {failure}")
        raw.write_text(json.dumps(results, indent=1) + "\n")
    for written in report.write(options.out, results, setup):
        setup.say(f"wrote {written}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

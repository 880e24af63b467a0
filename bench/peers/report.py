# SPDX-License-Identifier: MIT
"""The page, made from the results alone."""
from pathlib import Path

import process
import tables

HERE = Path(__file__).parent
PLOTS = {
    "time_over_k": "Time against K, learned embeddings",
    "time_over_n": "Time against N, clustered rows",
    "share_of_distances": "Share of the distances that were computed, by iteration",
    "memory": "Memory beyond the inputs",
}

HEAD = """# Benchmarks

`bench/peers/run.sh` wrote this page: every figure is from its runs, and nothing here is edited by hand. All single runs
are in [results.json](benchmarks/results.json), with the command of each case. It was called as

```sh
{commands}
```

"""

METHOD = """## How it is measured

- K-means: 20 iterations from the same first centroids, random rows that `bench/peers/first_rows.cpp` draws; tolerance
  0, no sampling, no stop unless nothing changes any more. SuperKMeans takes no first centroids; it draws the same rows
  from seed 42, and runs its 20 iterations in any case.
- Each program runs in a process of its own, one after the other, and the programs take turns. Times are medians.
  Reading the data and loading the program are not in them; our time is `seconds` of `cluster_npy --json`, with the
  input checks on and the set-up of the backend in it.
- A peer is tried with one thread and with one a core, twice, and keeps the faster setting: by 3 iterations, or by whole
  runs where these take less than a second (scikit-learn's k-means++ and PyTorch: one whole run each). Runs above 8 s
  are repeated 3 times at most.
- The final inertia of all is computed from their centroids by one function in double: `bench/peers/arrays.py`. The
  column says by how much a peer's differs from ours; **other** marks what is beyond the tolerance, 1e-5 (2e-4 on
  pixels). Reasons for it: faiss, SuperKMeans, scikit-learn and protonce each do something else with an empty cluster
  ("refilled" counts them); SuperKMeans prunes by an estimate; and where rows lie between centroids, rounding decides,
  and the paths part.
- Memory: how far the peak of the resident memory rises above what is resident once the inputs are read. For
  `cluster_npy`, read from outside: peak of the process, less that of a run on 16 rows, less the files read.
- Losses: value and gradients, 3 runs a process after a first one that is not counted. PyTorch runs the published
  formulas of MoCo, SimCLR and PCL; ProtoNCE's negatives are drawn beforehand for it, and within the time for us. Values
  and gradients are compared.
- Warm start: from the clustering of the epoch before, which began from the one before it; the first began from nothing.
  Cold starts take another seed in each run, and the medians of time and inertia are compared.
- Brute force and peak: Google Benchmark units of `bench/`, one thread, by turns.

## The data

| name | how it is made |
|---|---|
| learned embeddings | `out/fashion_mnist/embeddings.npy`, which `examples/run.sh` writes |
| clustered | 5000 centres of independent normal values, rows uniformly at one of them plus independent normal values of the same variance, scaled to length 1: full rank, and 20 iterations do not reach the end |
| Fashion-MNIST pixels | the training images, in [0, 1] |
| Gaussian | independent normal values: no structure |
| low-rank clustered | 25000 normal centres in 16 dimensions, rows at one of them plus 0.3 times normal values, taken by a normal matrix into 128 dimensions, plus 0.3 times normal values there, scaled to length 1 |
| the epochs before | each embedding moved by a tenth of its length in a random direction, length kept, once an epoch; or a file of the user's |
| losses | random unit rows; the positive is its query moved by half a length; concentrations uniform in [0.1, 0.3] |

Seeds are fixed (`bench/peers/arrays.py`).
"""


def machine_section(results):
    lines = ["## Machine and versions", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in results["machine"].items()]
    loads = [case["load"] for case in results["cases"].values() if "load" in case]
    times = sorted(case["at"] for case in results["cases"].values() if "at" in case)
    if times:
        lines.append(f"| measured | {times[0]} to {times[-1]} |")
        lines.append(f"| load average when a case began | {min(loads)} to {max(loads)} |")
    lines += [f"| {peer} | {version} |" for peer, version in results["versions"].items()]
    lines += [f"| {peer} | not measured: {reason} |" for peer, reason in results["missing"].items()]
    return lines + [""]


def plots_section(out, raw, setup):
    """Draws what can be drawn; says what cannot."""
    python = setup.interpreters.of("matplotlib")
    if python is None:
        left_out = {name: "matplotlib is not installed" for name in PLOTS}
        drawn = []
    else:
        said = process.run([python, HERE / "plots.py", raw, raw.parent])[0]
        drawn, left_out = said["drawn"], said["left_out"]
    lines = ["## Plots", ""]
    for name, title in PLOTS.items():
        if name in drawn:
            lines += [f"![{title}](benchmarks/{name}.svg)", ""]
        else:
            lines += [f"{title}: not drawn, {left_out[name]}.", ""]
            setup.say(f"plot {name}: SKIPPED, {left_out[name]}")
    return lines, [out / "benchmarks" / f"{name}.svg" for name in drawn]


def write(out, results, setup):
    """benchmarks.md under `out`; returns the paths written."""
    raw = out / "benchmarks" / "results.json"
    commands = dict.fromkeys(case["command"] for case in results["cases"].values())
    lines = HEAD.format(commands="\n".join(commands)).split("\n")[:-1]
    if results["quick"]:
        lines += ["**A quick run on tiny sizes: it shows that everything works, its figures mean nothing.**", ""]
    lines += machine_section(results)
    lines += tables.summary(results["cases"])
    lines += tables.details(results["cases"])
    plot_lines, plots = plots_section(out, raw, setup)
    page = out / "benchmarks.md"
    page.write_text("\n".join(lines + plot_lines) + "\n" + METHOD)
    return [page, raw, *plots]

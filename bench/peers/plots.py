#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""plots.py RESULTS.json FOLDER: the plots of the page as SVG; prints which were drawn, and why others were not."""
import json
import statistics
import sys
from pathlib import Path

import matplotlib
import matplotlib.ticker

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "protonce", "svg.fonttype": "none", "font.size": 10, "axes.grid": True,
                            "grid.color": "0.88", "axes.axisbelow": True, "axes.spines.top": False,
                            "axes.spines.right": False, "legend.frameon": False,
                            "figure.figsize": (6.4, 3.8), "savefig.bbox": "tight"})
import matplotlib.pyplot as plt

NAMES = {"superkmeans": "SuperKMeans", "torch": "PyTorch"}
PLAIN = matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}")
COLOURS = {"protonce": "#c1272d", "faiss": "#0072b2", "scikit-learn lloyd": "#009e73", "scikit-learn elkan": "#8fc9a9",
           "superkmeans": "#e69f00", "torch": "#7a5195", "scikit-learn k-means++": "#009e73"}


def measured(cases, names):
    return [cases[name] for name in names if "entries" in cases.get(name, {})]


def time_plot(cases, names, axis, label, title):
    """Medians of every program over `axis`, a size of the case; both axes logarithmic."""
    curves = {}
    for case in measured(cases, names):
        for peer, entry in case["entries"].items():
            if "seconds" in entry:
                curves.setdefault(peer, []).append((case[axis], statistics.median(entry["seconds"])))
    if max((len(points) for points in curves.values()), default=0) < 2:
        return "fewer than two sizes were measured"
    _, axes = plt.subplots()
    for peer, points in curves.items():
        points.sort()
        is_ours = peer == "protonce"
        axes.plot(*zip(*points), "o-", color=COLOURS.get(peer), label=NAMES.get(peer, peer),
                  lw=2.5 if is_ours else 1.5, ms=5 if is_ours else 4)
    sizes = sorted({x for points in curves.values() for x, _ in points})
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="seconds", title=title)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(PLAIN)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return None


def over_k(cases):
    names = [name for name in cases if name.startswith(("over_k_", "embeddings_"))]
    return time_plot(cases, names, "clusters", "K", "20 iterations on the learned embeddings")


def over_n(cases):
    names = [name for name in cases if name.startswith("over_n_")] + ["clustered_1000"]
    return time_plot(cases, names, "rows", "N", "20 iterations on the clustered rows, K the same")


def share(cases):
    """Distances computed, of all N K, by iteration."""
    _, axes = plt.subplots()
    for name, case in cases.items():
        shares = case.get("entries", {}).get("protonce", {}).get("report", {}).get("share_of_distances")
        if shares and not name.startswith("over_"):
            axes.plot(range(1, len(shares) + 1), [100 * part for part in shares], "o-", ms=3, label=case["title"])
    if not axes.lines:
        return "cluster_npy does not report share_of_distances"
    axes.set(yscale="log", xlabel="iteration", ylabel="distances computed, %", title="Share of full distances")
    axes.yaxis.set_major_formatter(PLAIN)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return None


def memory(cases):
    """Growth of the peak of the resident memory, largest run."""
    bars = [(case["title"], {peer: max(entry["peak_growth_bytes"]) / 2**20 for peer, entry in case["entries"].items()
                             if "peak_growth_bytes" in entry})
            for name, case in cases.items() if "entries" in case and not name.startswith("over_")]
    if not bars:
        return "nothing was measured"
    peers = [peer for peer in COLOURS if any(peer in values for _, values in bars)]
    rows = sum(len(values) + 1 for _, values in bars)
    _, axes = plt.subplots(figsize=(6.4, 0.5 + 0.16 * rows))
    place, ticks = 0, []
    for title, values in bars:
        start = place
        for peer in peers:
            if peer in values:
                axes.barh(place, max(values[peer], 0.1), color=COLOURS[peer])
                axes.text(max(values[peer], 0.1) * 1.1, place, f"{values[peer]:.1f}", va="center", fontsize=7)
                place += 1
        ticks.append(((start + place - 1) / 2, title))
        place += 1
    axes.set(xscale="log", xlabel="MiB", title="Memory beyond the inputs, peak")
    axes.xaxis.set_major_formatter(PLAIN)
    axes.set_yticks(*zip(*ticks))
    axes.set_ylim(place - 0.5, -1)
    axes.grid(axis="y", visible=False)
    axes.legend([plt.Rectangle((0, 0), 1, 1, color=COLOURS[peer]) for peer in peers],
                [NAMES.get(peer, peer) for peer in peers], loc="upper left", bbox_to_anchor=(1, 1))
    return None


def main(results, folder):
    cases = json.loads(Path(results).read_text())["cases"]
    drawn, left_out = [], {}
    plots = {"time_over_k": over_k, "time_over_n": over_n, "share_of_distances": share, "memory": memory}
    for name, plot in plots.items():
        plt.close("all")
        path = Path(folder) / f"{name}.svg"
        reason = plot(cases)
        if reason:
            left_out[name] = reason
            path.unlink(missing_ok=True)
        else:
            plt.savefig(path, metadata={"Date": None, "Creator": None})
            path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
            drawn.append(name)
    print(json.dumps({"drawn": drawn, "left_out": left_out}))


if __name__ == "__main__":
    main(*sys.argv[1:])

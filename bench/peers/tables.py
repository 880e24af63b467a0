# SPDX-License-Identifier: MIT
"""The tables of the page: targets and what was reached, then each case."""
import statistics

from cases import KMEANS, LOSSES
from losses import TOLERANCE

OURS = "protonce"
KNOWN = {"rows", "cols", "clusters", "iterations", "inertia", "seconds", "seconds_init", "threads", "empty_reseeded",
         "peak_growth_bytes", "share_of_distances"}  # of cluster_npy's line; what else it says is printed


EXTRA = {"iterations": "iterations", "empty_reseeded": "refilled"}
JUDGED_COLD = "k-means++"  # the cold start that a warm one is compared with


def median(entry):
    return statistics.median(entry["seconds"])


def seconds_text(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def mebibytes(entry):
    return max(entry["peak_growth_bytes"]) / 2**20


def reached(ratio, target):
    return f"{ratio:.2f}x | {'yes' if ratio >= target else '**no**'}"


def best(entries, names):
    """(name, entry) of the fastest measured entry whose name begins with one of `names`, or None."""
    found = [(name, entry) for name, entry in entries.items() if name.startswith(names) and "seconds" in entry]
    return min(found, key=lambda pair: median(pair[1]), default=None)


def shown(name):
    return {"superkmeans": "SuperKMeans", "torch": "PyTorch"}.get(name, name)


def other_result(entry, ours, tolerance):
    what = "value" if "value" in ours else "inertia"
    return tolerance is not None and abs(entry[what] / ours[what] - 1) > tolerance


def against(case, names, target, what, tolerance=None):
    """'at least | measured | reached' of a target on the ratio of times."""
    wanted = f"{target}x {what}"
    if "entries" not in case or "seconds" not in case["entries"].get(OURS, {}):
        return f"{wanted} | not measured | "
    peer = best(case["entries"], names)
    if peer is None:
        return f"{wanted} | not measured | "
    ratio = median(peer[1]) / median(case["entries"][OURS])
    measured, verdict = reached(ratio, target).split(" | ")
    remark = ", other result" if other_result(peer[1], case["entries"][OURS], tolerance) else ""
    return f"{wanted} | {measured} {shown(peer[0])}{remark} | {verdict}"


def extra_memory(case, most):
    entry = case.get("entries", {}).get(OURS, {})
    if "peak_growth_bytes" not in entry:
        return f"extra memory at most {most} MiB | not measured | "
    grown = mebibytes(entry)
    return f"extra memory at most {most} MiB | {grown:.1f} MiB | {'yes' if grown <= most else '**no**'}"


def brute_force_row(case):
    if "gflops" not in case:
        return "88 % of the FMA peak | not measured | "
    share = statistics.median(case["gflops"]) / statistics.median(case["peak_gflops"])
    return f"88 % of the FMA peak | {100 * share:.1f} % | {'yes' if share >= 0.88 else '**no**'}"


def pruning_row(case):
    if "with" not in case:
        return "pruning costs at most 3 % | not measured | "
    cost = (statistics.median(run["seconds"] for run in case["with"]) /
            statistics.median(run["seconds"] for run in case["without"]) - 1)
    return f"pruning costs at most 3 % | {100 * cost:+.1f} % | {'yes' if cost <= 0.03 else '**no**'}"


def warm_best(case):
    """(updates, seconds) of the shortest warm start whose inertia is the cold one's or better, or None."""
    cold = median_inertia(case["cold"][JUDGED_COLD])
    for updates, runs in sorted(case["warm"].items(), key=lambda pair: int(pair[0])):
        if median_inertia(runs) <= cold:
            return updates, statistics.median(run["seconds"] for run in runs)
    return None


def median_inertia(runs):
    return statistics.median(run["inertia"] for run in runs)


def cold_seconds(case, start):
    return statistics.median(run["seconds"] + run["seconds_init"] for run in case["cold"][start])


def warm_row(case):
    wanted = "half the time at the same inertia or better"
    if "cold" not in case:
        return f"{wanted} | not measured | "
    found = warm_best(case)
    if found is None:
        return f"{wanted} | no warm run was as good | **no**"
    share = found[1] / cold_seconds(case, JUDGED_COLD)
    return f"{wanted} | {100 * share:.0f} %, {found[0]} updates | {'yes' if share <= 0.5 else '**no**'}"


def large_rows(case):
    if "free" not in case:
        return ["an iteration in under 10 s | not measured | ", "extra memory under 700 MiB | not measured | ",
                "a cap of the memory is kept | not measured | "]
    seconds = case["free"]["iteration_seconds"]
    grown = case["free"]["three"]["peak_growth_bytes"] / 2**20
    rows = [f"an iteration in under 10 s | {seconds:.2f} s | {'yes' if seconds < 10 else '**no**'}",
            f"extra memory under 700 MiB | {grown:.0f} MiB | {'yes' if grown < 700 else '**no**'}"]
    if "capped" not in case:
        return [*rows, "a cap of the memory is kept | not measured | "]
    run, cap = case["capped"]["three"], case["cap_mebibytes"]
    capped, whole = run["pruning_bytes"] / 2**20, run["peak_growth_bytes"] / 2**20
    return [*rows, f"a cap of {cap} MiB on what pruning keeps is kept | {capped:.0f} MiB, {whole:.0f} MiB in all | "
                   f"{'yes' if capped <= cap else '**no**'}"]


def summary(cases):
    lines = ["## Targets", "", "| case | at least | measured | reached |", "|---|---|---|---|"]
    row = lambda name, title, cells: lines.append(f"| {title} | {cells} |")
    for case in KMEANS:
        for what, names, target in case.targets:
            row(case.name, case.title, against(cases.get(case.name, {}), names, target, what, case.tolerance))
    row("pruning_cost", "Gaussian without structure, K=256", pruning_row(cases.get("pruning_cost", {})))
    for cells in large_rows(cases.get("large", {})):
        row("large", "low-rank clustered, N=1281167 C=128 K=25000", cells)
    row("brute_force", "fused brute force, one core, C=128 K=1000", brute_force_row(cases.get("brute_force", {})))
    row("plus_plus", "greedy k-means++, clustered, K=1000",
        against(cases.get("plus_plus", {}), ("scikit-learn",), 25, "scikit-learn"))
    row("warm_start", "warm start, learned embeddings, K=1000", warm_row(cases.get("warm_start", {})))
    for case in LOSSES:
        row(case.name, case.title, against(cases.get(case.name, {}), ("torch",), case.target, "PyTorch", TOLERANCE))
        if case.most_mebibytes < float("inf"):
            row(case.name, case.title, extra_memory(cases.get(case.name, {}), case.most_mebibytes))
    return [*lines, ""]


def entries_table(case, tolerance):
    """One line a program: time, ratio, result, memory."""
    ours = case["entries"].get(OURS, {})
    what = "value" if "value" in ours else "inertia"
    extra = ("iterations", "empty_reseeded") if what == "inertia" and "iterations" in ours else ()
    names = ["program", "threads", "median", "fastest to slowest", "runs", "over ours", f"{what}, relative to ours",
             "memory, MiB", *(EXTRA[name] for name in extra)]
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for name, entry in sorted(case["entries"].items(), key=lambda pair: pair[0] != OURS):
        if "skipped" in entry:
            lines.append(f"| {shown(name)} | | not measured: {entry['skipped']} |" + " |" * (len(names) - 3))
            continue
        ratio = difference = ""
        if "seconds" in ours and name != OURS:
            ratio = f"{median(entry) / median(ours):.2f}x"
            is_other = other_result(entry, ours, tolerance)
            difference = f"{entry[what] / ours[what] - 1:+.1e}" + (" **other**" if is_other else "")
        elif name == OURS:
            difference = f"({entry[what]:.9g})"
        span = f"{seconds_text(min(entry['seconds']))} to {seconds_text(max(entry['seconds']))}"
        cells = [shown(name), entry["threads"], seconds_text(median(entry)), span, len(entry["seconds"]), ratio,
                 difference, f"{mebibytes(entry):.1f}",
                 *("not said" if entry[field] is None else entry[field] for field in extra)]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return lines


def size_text(case):
    if "sizes" in case:
        return ", ".join(f"{name}={value}" for name, value in case["sizes"].items())
    return f"N={case['rows']}, C={case['cols']}, K={case['clusters']}"


def extra_report(case):
    """What cluster_npy says about how it went, beyond the known fields."""
    said = case["entries"].get(OURS, {}).get("report", {})
    parts = [f"{name.replace('_', ' ')} {value}" for name, value in said.items() if name not in KNOWN]
    return ["", "protonce reports: " + ", ".join(parts) + "."] if parts else []


def one_case(name, case, tolerance):
    lines = ["", f"### {case['title']}", ""]
    if "skipped" in case:
        return [*lines, f"Not measured: {case['skipped']}."]
    if "entries" in case:
        lines += [size_text(case) + ".", "", *entries_table(case, tolerance), *extra_report(case)]
        if "gradient_difference" in case:
            away = case["gradient_difference"]
            lines += ["", f"Largest difference of the gradients, over their largest value: {away:.1e}."]
    elif name == "brute_force":
        lines.append(f"`{case['unit']}`: {statistics.median(case['gflops']):.1f} GFLOPS; `{case['peak_unit']}`: "
                     f"{statistics.median(case['peak_gflops']):.1f} GFLOPS. {len(case['gflops'])} runs each.")
    elif name == "pruning_cost":
        lines += [f"- pruning {how}: {seconds_text(statistics.median(run['seconds'] for run in runs))}"
                  for how, runs in (("as it comes", case["with"]), ("off", case["without"]))]
    elif name == "warm_start":
        reference = median_inertia(case["cold"][JUDGED_COLD])
        away = lambda runs: f"{median_inertia(runs) / reference - 1:+.1e}"
        lines += [f"{size_text(case)}; embeddings of the epochs before: {case['previous']}.", "",
                  f"| start | updates | median | inertia, relative to {JUDGED_COLD} |", "|---|---|---|---|"]
        lines += [f"| cold, {start} | 20 | {seconds_text(cold_seconds(case, start))} | {away(runs)} |"
                  for start, runs in case["cold"].items()]
        for updates, runs in case["warm"].items():
            seconds = statistics.median(run["seconds"] for run in runs)
            lines.append(f"| warm | {updates} | {seconds_text(seconds)} | {away(runs)} |")
    elif name == "large":
        lines += [f"{size_text(case)}. One run of 1 iteration, one of 3; an iteration is half of the difference.", ""]
        for how in ("free", "capped"):
            if how in case:
                one, three = case[how]["one"], case[how]["three"]
                lines.append(f"- {how}: {one['seconds']:.2f} s, {three['seconds']:.2f} s; an iteration "
                             f"{case[how]['iteration_seconds']:.2f} s; "
                             f"memory {three['peak_growth_bytes'] / 2**20:.0f} MiB")
    return lines


def details(cases):
    lines = ["## Case by case"]
    tolerance = {case.name: case.tolerance for case in KMEANS} | {case.name: TOLERANCE for case in LOSSES}
    for name, case in cases.items():
        if not name.startswith("over_"):
            lines += one_case(name, case, tolerance.get(name))
    return [*lines, ""]

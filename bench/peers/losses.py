# SPDX-License-Identifier: MIT
"""The losses against PyTorch: the same arrays, runs interleaved, values and gradients compared."""
import statistics
from pathlib import Path

import process
from cases import LOSS_SIZES, QUICK_LOSS_SIZES
from kmeans import OURS, Data

HERE = Path(__file__).parent
TORCH = "torch"
RUNS = 3  # in one process, after a first one that is not counted
TOLERANCE = 1e-4  # of values and gradients, relative
GRADIENTS = {"info_nce": ("grad_query",), "nt_xent": ("grad_first", "grad_second"), "proto_nce": ("grad_query",)}


def inputs(setup):
    """Folder of the arrays; made once."""
    folder = setup.work / ("losses_quick" if setup.quick else "losses")
    if not (folder / "assignment_2.npy").exists():
        folder.mkdir(exist_ok=True)
        Data(setup).arrays("losses", folder, *(QUICK_LOSS_SIZES if setup.quick else LOSS_SIZES).values())
    return folder


def measure(setup, case):
    folder = inputs(setup)
    commands = {OURS: [setup.program("bench/losses_peer")]}
    result = {"sizes": QUICK_LOSS_SIZES if setup.quick else LOSS_SIZES, "entries": {}}
    if setup.interpreters.of(TORCH):
        commands[TORCH] = [setup.interpreters.of(TORCH), HERE / "losses_torch.py"]
    else:
        result["entries"][TORCH] = {"skipped": setup.interpreters.missing[TORCH]}
        setup.say(f"  {TORCH:24} skipped: {setup.interpreters.missing[TORCH]}")

    runs = {name: [] for name in commands}
    threads = {name: setup.cores for name in commands}
    trial = {}
    for number in range(setup.repeats):
        for name, command in commands.items():
            once = lambda count: process.run([*command, case.loss, folder, RUNS, count], count)[0]
            if name == TORCH and number == 0 and setup.cores > 1:
                trial = {str(count): statistics.median(once(count)["seconds"]) for count in (1, setup.cores)}
                threads[name] = int(min(trial, key=trial.get))
            runs[name].append(once(threads[name]))
    for name, of_peer in runs.items():
        seconds = [second for run in of_peer for second in run["seconds"]]
        result["entries"][name] = {
            "threads": threads[name],
            "thread_trial_seconds": trial if name == TORCH else {},
            "seconds": seconds,
            "peak_growth_bytes": [run["peak_growth_bytes"] for run in of_peer],
            "value": of_peer[-1]["value"],
        }
        setup.say(f"  {name:24} {1e3 * statistics.median(seconds):9.2f} ms, {threads[name]} threads, "
                  f"value {of_peer[-1]['value']:.7g}")
    if TORCH in runs:
        arrays = Data(setup).arrays
        result["gradient_difference"] = max(
            arrays("difference", folder / f"{name}.ours.npy", folder / f"{name}.torch.npy")["difference"]
            for name in GRADIENTS[case.loss])
    return result

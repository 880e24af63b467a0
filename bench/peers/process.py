# SPDX-License-Identifier: MIT
"""Child processes: their last line of JSON and their peak of resident memory."""
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

WATCH_SECONDS = 0.01  # between looks at the memory of a child


class Failed(Exception):
    """A child that did not end well; the text says what it said last."""


def environment(threads):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **{name: str(threads) for name in names}}


def _peak(process_id):
    """Peak of the resident memory so far, in bytes; 0 once the process has ended."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def run(command, threads=1, watch_memory=False):
    """(what the last line says, peak of the resident memory in bytes or 0).

    The peak is read while the child runs. What the system says after its end (ru_maxrss) is never below the size of the
    driver, of which the child began as a copy.
    """
    command = [str(part) for part in command]
    peak = 0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as messages:
        child = subprocess.Popen(command, stdout=out, stderr=messages, env=environment(threads))
        while watch_memory and child.poll() is None:
            peak = max(peak, _peak(child.pid))
            time.sleep(WATCH_SECONDS)
        child.wait()
        out.seek(0)
        messages.seek(0)
        lines = out.read().strip().split("\n")
        if child.returncode != 0:
            said = [line for line in messages.read().strip().split("\n") if line.strip()]
            raise Failed(f"{Path(command[0]).name} ended with {child.returncode}: {said[-1] if said else 'no message'}")
    try:
        return json.loads(lines[-1]), peak
    except json.JSONDecodeError:
        return {}, peak


def output(command, threads=1):
    """All that it prints."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment(threads))
    if done.returncode != 0:
        raise Failed(f"{Path(str(command[0])).name} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout

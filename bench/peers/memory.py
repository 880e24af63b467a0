# SPDX-License-Identifier: MIT
"""Peak of the resident memory of this process, as its growth from a chosen moment on (Linux)."""
import resource
from pathlib import Path


def _status(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {field}")


class PeakGrowth:
    """`bytes()` is how far the peak has risen above what was resident when the object was made."""

    def __init__(self):
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak falls to what is resident now
            self._start = _status("VmRSS")
        except OSError:  # refused: what was freed before is then not seen
            self._start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def bytes(self):
        return max(0, _status("VmHWM") - self._start)

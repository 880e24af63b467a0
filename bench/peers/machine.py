# SPDX-License-Identifier: MIT
"""What it runs on and against: processor, compiler, and which interpreter has which peer."""
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import process
from cases import PACKAGES

VERSION = "import {0} as peer, importlib.metadata as m; print(getattr(peer, '__version__', 0) or m.version('{0}'))"


def cores():
    return len(os.sched_getaffinity(0))


def _first_match(path, key, separator):
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(separator, 1)[1].strip() for line in lines if line.startswith(key)), "")


def compiler(build):
    for line in (build / "CMakeCache.txt").read_text().splitlines():
        if line.startswith("CMAKE_CXX_COMPILER:"):
            said = subprocess.run([line.split("=", 1)[1], "--version"], capture_output=True, text=True)
            return said.stdout.split("\n")[0]
    return "unknown"


def describe(build):
    flags = _first_match("/proc/cpuinfo", "flags", ":").split()
    memory = _first_match("/proc/meminfo", "MemTotal", ":").split(" ")[0]
    return {
        "processor": _first_match("/proc/cpuinfo", "model name", ":") or platform.machine(),
        "instruction sets": ", ".join(name for name in ("avx2", "fma", "avx512f", "avx512_vnni") if name in flags) or "none of ours",
        "cores": cores(),
        "memory, GiB": round(int(memory or 0) / 2**20, 1),
        "system": _first_match("/etc/os-release", "PRETTY_NAME", "=").strip('"') or platform.system(),
        "compiler": compiler(build),
    }


def load():
    return {"at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "load": round(os.getloadavg()[0], 2)}


class Interpreters:
    """A peer is taken from the first interpreter that can import it: the virtual environment, then the system's."""

    def __init__(self, venv, wanted):
        candidates = [venv / "bin" / "python", Path(sys.executable), Path("/usr/bin/python3")]
        self._python = list(dict.fromkeys(path for path in candidates if path.exists()))
        self.versions, self._of, self.missing = {}, {}, {}
        for needed in ("numpy", "matplotlib"):
            self._find(needed, needed)
        for peer, module in PACKAGES.items():
            if peer in wanted:
                self._find(peer, module)
            else:
                self.missing[peer] = "not asked for"

    def _find(self, peer, module):
        for python in self._python:
            try:
                self.versions[peer] = process.output([python, "-c", VERSION.format(module)]).strip()
                self._of[peer] = python
                return
            except process.Failed:
                pass
        self.missing[peer] = "not installed"

    def of(self, peer):
        """The interpreter, or None."""
        return self._of.get(peer)

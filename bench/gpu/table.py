#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes DIR/gpu.md from DIR/gpu.json and, where it is there, DIR/torch.json:  table.py DIR"""
import json
import re
import subprocess
import sys
from pathlib import Path

PEER = re.compile(r"(?P<what>.*), (?P<peer>PyTorch .*|flash_kmeans .*)")
PRECISIONS = ("fast", "standard", "precise")


def read(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def one_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def key(name):
    """What is measured, without how: the same for a line of ours and for a peer's."""
    words = re.split(r"[, ]+", name)
    return " ".join(word for word in words if word not in (*PRECISIONS, "kept", "replayed"))


def main():
    folder = Path(sys.argv[1])
    ours = read(folder / "gpu.json")
    if not ours:
        sys.exit(f"{folder}/gpu.json: no measurements")
    peers, names = {}, []
    for line in read(folder / "torch.json"):
        found = PEER.fullmatch(line["name"])
        if found["peer"] not in names:
            names.append(found["peer"])
        peers[key(found["what"]), found["peer"]] = line["milliseconds"]
    device = one_line("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    lines = [f"GPU and driver: {device}; {one_line('nvcc', '--version')}. Milliseconds, medians.", ""]
    lines += ["| what | ms | rate | " + " | ".join(names) + " |", "|---" * (3 + len(names)) + "|"]
    for line in ours:
        cells = [line["name"], f"{line['milliseconds']:.3f}", f"{line['rate']:.2f} {line['unit']}"]
        for name in names:
            ms = peers.get((key(line["name"]), name))
            cells.append("" if ms is None else f"{ms:.3f} ({ms / line['milliseconds']:.1f}x)")
        lines.append("| " + " | ".join(cells) + " |")
    (folder / "gpu.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes DIR/gpu.md from DIR/gpu.json and, where it is there, DIR/torch.json:  table.py DIR"""
import json
import subprocess
import sys
from pathlib import Path


def read(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def one_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[-1]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def main():
    folder = Path(sys.argv[1])
    ours = read(folder / "gpu.json")
    if not ours:
        sys.exit(f"{folder}/gpu.json: no measurements")
    device = one_line("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    lines = [f"GPU and driver: {device}; {one_line('nvcc', '--version')}", "", "| what | ms | rate |", "|---|---|---|"]
    lines += [f"| {line['name']} | {line['milliseconds']:.3f} | {line['rate']:.2f} {line['unit']} |" for line in ours]
    lines += [f"| {line['name']} | {line['milliseconds']:.3f} | |" for line in read(folder / "torch.json")]
    (folder / "gpu.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: bench/flags.sh [--repeats N] [--filter REGEX] [--out DIR]

What a user loses who compiles with -O2 and no -march: builds the benchmarks of K-means and of the losses with -O2 and with
-O2 -march=native, runs them in turns N times (default 7), and prints medians and the share of the speed that is left. DIR
(default out/bench) gets flags.md.
TEXT
}

repeats=7
filter='kmeans/(assign_all|lloyd_20|plus_plus)/cpu/N:60000/K:1000|losses/(info_nce|nt_xent|proto_nce).*C:128/'
out=out/bench
while [ $# -gt 0 ]; do
    case "$1" in
        --help | -h) usage; exit 0 ;;
        --repeats | --filter | --out)
            [ $# -ge 2 ] || { echo "bench/flags.sh: $1 needs a value" >&2; exit 2; }
            case "$1" in
                --repeats) repeats=$2 ;;
                --filter) filter=$2 ;;
                --out) out=$2 ;;
            esac
            shift 2 ;;
        *) echo "bench/flags.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/packages.sh
install_missing "${packages_core[@]}" "${packages_bench[@]}" python3
CXX=${CXX:-g++}
work=build/flags
mkdir -p "$work"
rm -f "$work"/*.json

for program in kmeans losses; do
    for kind in plain native; do
        flags=(-std=c++20 -O2 -DNDEBUG -fopenmp -Iinclude)
        if [ "$kind" = native ]; then
            flags+=(-march=native)
        fi
        "$CXX" "${flags[@]}" "bench/$program.cpp" -o "$work/$program-$kind" -lbenchmark_main -lbenchmark
    done
done
for ((i = 1; i <= repeats; ++i)); do
    for program in kmeans losses; do
        for kind in plain native; do
            "$work/$program-$kind" --benchmark_filter="$filter" --benchmark_min_time=0.5 --benchmark_format=json \
                >"$work/$program-$kind-$i.json"
        done
    done
done
python3 - "$work" "$repeats" "$CXX" <<'TEXT' | tee "$out/flags.md"
import json
import statistics
import subprocess
import sys
from pathlib import Path

folder, repeats, compiler = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
times = {}
for file in sorted(folder.glob("*.json")):
    kind = file.stem.split("-")[1]
    for run in json.loads(file.read_text(encoding="utf-8"))["benchmarks"]:
        times.setdefault(run["name"].removesuffix("/real_time"), {}).setdefault(kind, []).append(run["real_time"])
version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
print(f"{version}; medians of {repeats} runs in turns, milliseconds\n")
print("| what | -O2 | -O2 -march=native | share of the speed |\n|---|---|---|---|")
for name, by_kind in times.items():
    plain, native = (statistics.median(by_kind[kind]) for kind in ("plain", "native"))
    print(f"| {name} | {plain:.2f} | {native:.2f} | {100 * native / plain:.1f} % |")
TEXT

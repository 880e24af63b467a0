#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: bench/run.sh [--filter REGEX] [--repetitions N] [--min-time SECONDS] [--out DIR] [PROGRAM...]

Installs what is missing, builds the benchmarks (release, this machine's instructions) and runs the named programs, or
all of them. Prints each table; DIR (default out/bench) gets one <program>.json a program and machine.txt.
bench/peers/run.sh measures beside other libraries.
TEXT
}

filter=.
repetitions=1
min_time=0.5
out=out/bench
programs=()
while [ $# -gt 0 ]; do
    case "$1" in
        --help | -h) usage; exit 0 ;;
        --filter | --repetitions | --min-time | --out)
            [ $# -ge 2 ] || { echo "bench/run.sh: $1 needs a value" >&2; exit 2; }
            case "$1" in
                --filter) filter=$2 ;;
                --repetitions) repetitions=$2 ;;
                --min-time) min_time=$2 ;;
                --out) out=$2 ;;
            esac
            shift 2 ;;
        -*) echo "bench/run.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
        *) programs+=("$1"); shift ;;
    esac
done

start_folder=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case "$out" in /*) ;; out/bench) out=$PWD/$out ;; *) out=$start_folder/$out ;; esac
source cmake/packages.sh
install_missing "${packages_core[@]}" "${packages_bench[@]}"
export CXX=${CXX:-g++}
mkdir -p build/logs "$out"

quietly() {
    if ! "$@" >build/logs/bench.log 2>&1; then
        cat build/logs/bench.log >&2
        return 1
    fi
}
echo 'Building the benchmarks'
quietly cmake --preset release -DPROTONCE_BUILD_BENCH=ON
quietly cmake --build --preset release --target protonce_bench

folder=build/release/bench
if [ ${#programs[@]} -eq 0 ]; then
    for program in bench/*.cpp; do
        programs+=("$(basename "$program" .cpp)")
    done
fi
for program in "${programs[@]}"; do
    if [ ! -x "$folder/$program" ]; then
        echo "bench/run.sh: there is no benchmark $program" >&2
        exit 2
    fi
done

{
    grep -m1 'model name' /proc/cpuinfo 2>/dev/null | sed 's/.*: //' || uname -m
    echo "$(nproc) cores, $("$CXX" --version | head -n 1)"
    echo "load before: $(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null || echo unknown)"
} | tee "$out/machine.txt"

for program in "${programs[@]}"; do
    printf '\n=== %s\n' "$program"
    "$folder/$program" --benchmark_filter="$filter" --benchmark_repetitions="$repetitions" \
        --benchmark_min_time="$min_time" --benchmark_out="$out/$program.json" --benchmark_out_format=json
done
echo
echo "Results: $out"

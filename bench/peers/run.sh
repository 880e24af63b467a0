#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: bench/peers/run.sh [--install] [OPTION...]

Measures protonce beside faiss, scikit-learn, SuperKMeans and PyTorch and writes docs/benchmarks.md with its plots.
Builds our programs first (release). A peer that is not there is skipped by name.
  --install   first put the newest peers into a virtual environment, build/peers-venv, from the Python package index.
              The index has PyTorch with its GPU libraries only: the folder takes about 6 GB. A peer that cannot be had
              there comes from the system's packages (Debian, Ubuntu).
With --build DIR the programs of that build are used and nothing is built. The learned embeddings are those that
examples/run.sh leaves in out/fashion_mnist, below the root of this tree.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source "$root/cmake/packages.sh"
install=no
venv=$root/build/peers-venv
build=$root/build/release
options=()
while [ $# -gt 0 ]; do
    case "$1" in
        --install) install=yes; shift; continue ;;
        --build | --venv)
            [ $# -ge 2 ] || { echo "bench/peers/run.sh: $1 needs a value" >&2; exit 2; }
            if [ "$1" = --build ]; then build=$2; else venv=$2; fi
            options+=("$1" "$2"); shift 2; continue ;;
        --help | -h)
            usage
            install_missing python3
            exec python3 -B "$root/bench/peers/compare.py" --help ;;
    esac
    options+=("$1")
    shift
done

# From the index; else Debian's package, which the driver finds in the system's Python.
install_peers() {
    local package log=$root/build/logs/peers.log
    install_missing python3 python3-venv
    python3 -m venv "$venv"
    for package in numpy matplotlib threadpoolctl scikit-learn faiss-cpu superkmeans torch; do
        echo "Installing $package"
        if ! "$venv/bin/pip" install --disable-pip-version-check --upgrade "$package" >"$log" 2>&1; then
            tail -n 3 "$log" >&2
            case "$package" in
                scikit-learn) package=python3-sklearn ;;
                faiss-cpu) package=python3-faiss ;;
                torch | numpy | matplotlib | threadpoolctl) package=python3-$package ;;
                *) echo "$package was not found" >&2; continue ;;
            esac
            echo "Not from the index; trying the system's $package"
            install_missing "$package" || echo "$package was not found" >&2
        fi
    done
}

if [ "$install" = yes ]; then
    mkdir -p "$root/build/logs"
    install_peers
fi

if [ "$build" = "$root/build/release" ]; then
    install_missing "${packages_core[@]}" "${packages_bench[@]}" python3
    mkdir -p "$root/build/logs"
    export CXX=${CXX:-g++}
    log=$root/build/logs/bench.log
    echo 'Building the programs'
    if ! (cd "$root" && cmake --preset release -DPROTONCE_BUILD_BENCH=ON -DPROTONCE_BUILD_EXAMPLES=ON &&
        cmake --build --preset release --target cluster_npy bench_limits bench_kmeans losses_peer first_rows) \
        >"$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
fi
exec python3 -B "$root/bench/peers/compare.py" ${options[@]+"${options[@]}"}

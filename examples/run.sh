#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: examples/run.sh [OPTION...]             train PCL on Fashion-MNIST
       examples/run.sh --compare [OPTION...]   train with PCL, MoCo and SimCLR, then print the three side by side

Installs what is missing (Debian, Ubuntu), builds build/release/bin/fashion_mnist and runs it in the current folder.
OPTIONs are the program's own; with --help it prints them below.
TEXT
}

compare=no
help=no
own_data=no
options=()
for argument in "$@"; do
    case "$argument" in
        --compare) compare=yes; continue ;;
        --help | -h) help=yes ;;
        --data | --data=*) own_data=yes ;;
    esac
    options+=("$argument")
done
if [ "$compare" = yes ]; then
    for argument in ${options[@]+"${options[@]}"}; do
        case "$argument" in
            --method | --method=* | --out | --out=*)
                echo "examples/run.sh: with --compare, ${argument%%=*} is chosen by the script" >&2
                exit 2 ;;
        esac
    done
fi
if [ "$help" = yes ]; then
    usage
    echo
fi

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
program=$root/build/release/bin/fashion_mnist
log=$root/build/logs/examples.log
source "$root/cmake/packages.sh"

needed=("${packages_core[@]}")
for package in "${packages_examples[@]}"; do
    if [ "$package" != dataset-fashion-mnist ] || [ "$own_data" = no ]; then
        needed+=("$package")
    fi
done
install_missing "${needed[@]}"

# The compiler's output is shown when it fails.
quietly() {
    if ! (cd "$root" && "$@") >"$log" 2>&1; then
        cat "$log" >&2
        return 1
    fi
}
export CXX=${CXX:-g++}
mkdir -p "$root/build/logs"
start=$SECONDS
echo 'Building fashion_mnist'
quietly cmake --preset release -DPROTONCE_BUILD_EXAMPLES=ON -DPROTONCE_STRICT=OFF
quietly cmake --build --preset release --target fashion_mnist
echo "Built in $((SECONDS - start)) s"

if [ "$compare" = no ] || [ "$help" = yes ]; then
    exec "$program" ${options[@]+"${options[@]}"}
fi
for method in pcl moco simclr; do
    echo
    "$program" --method "$method" ${options[@]+"${options[@]}"}
done
echo
exec "$program" --compare

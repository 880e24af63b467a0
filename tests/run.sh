#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: tests/run.sh [--all]

Installs what is missing (Debian, Ubuntu), builds the library's tests and examples with g++ and runs them.
  --all   also: clang++, address and undefined-behaviour sanitizers, headers, refused programs, consumer projects,
          the tree and the documentation's code, nvcc where there is a CUDA toolkit, benchmarks and the Fashion-MNIST
          example in a short run
The last line is `N passed, M failed`, over all runs of CTest; the exit status is 0 when no stage failed.
TEXT
}

all=no
for argument in "$@"; do
    case "$argument" in
        --all) all=yes ;;
        --help | -h) usage; exit 0 ;;
        *) echo "tests/run.sh: unknown argument $argument" >&2; usage >&2; exit 2 ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/packages.sh
root=$PWD
jobs=$(nproc)
logs=build/logs
mkdir -p "$logs"

# ---------------------------------------------------------------------------------------------------------------- stages

packages() {
    local wanted=("${packages_core[@]}" "${packages_tests[@]}" "${packages_examples[@]}" "${packages_bench[@]}")
    if ! has_toolkit; then
        wanted+=("${packages_thrust[@]}")
    fi
    if [ "$all" = yes ]; then
        wanted+=("${packages_all[@]}")
    fi
    install_missing "${wanted[@]}"
}

# build <preset> <group>...: a warning that points into our sources fails the stage, also one that is no error.
build() {
    local preset=$1 log="$logs/build-$1.log" group targets=() status=0
    shift
    for group in "$@"; do
        targets+=("protonce_$group")
    done
    # Compilers spend half of the time or more in their optimiser. The cpu backend's kernels are tested as clang++ makes them for a
    # release, the emulator by g++ and with the sanitizers; the examples are built on the preset's level.
    local level=-O1 backend=ON thrust=OFF emulator=ON cuda=OFF
    if [ "$preset" = release ] && [ "$all" = yes ] && has_toolkit; then
        cuda=ON
    fi
    if [ "$preset" = asan-ubsan ]; then
        level=-O0
    fi
    if [ "$preset" = clang ]; then
        backend=OFF
        thrust=ON # the tests of all algorithms on Thrust too; the conformance of its operations is tested everywhere
        emulator=OFF
    fi
    cmake --preset "$preset" -DPROTONCE_BUILD_TESTS=ON -DPROTONCE_BUILD_EXAMPLES=ON -DPROTONCE_STRICT=ON \
        "-DPROTONCE_TEST_OPTIMIZE=$level" "-DPROTONCE_TEST_OPTIMIZE_BACKEND=$backend" \
        -DPROTONCE_TEST_MERGE=12 "-DPROTONCE_TEST_EMULATOR=$emulator" \
        -DPROTONCE_THRUST=ON "-DPROTONCE_TEST_THRUST_ALGORITHMS=$thrust" \
        "-DPROTONCE_CUDA=$cuda" -DCMAKE_CUDA_ARCHITECTURES=90 "-DCMAKE_CUDA_FLAGS_RELEASE=-O1 -DNDEBUG"
    cmake --build --preset "$preset" --parallel "$jobs" --target "${targets[@]}" -- -k 0 2>&1 | tee "$log" || status=$?
    if grep -E "^$root/(include|tests|examples|bench)/[^:]*:[0-9:]* warning:" "$log"; then
        echo "the build warns about our own sources"
        status=1
    fi
    return "$status"
}

# run_tests <preset> <ctest selection>...
run_tests() {
    local preset=$1
    shift
    ctest --preset "$preset" --parallel "$jobs" "$@"
}

run_suite() { run_tests "$1" --label-exclude '^check$'; }

# run_checks <label> <preset>...: the entries with that label in each build.
run_checks() {
    local label=$1 preset status=0
    shift
    for preset in "$@"; do
        run_tests "$preset" --label-regex "^$label\$" || status=1
    done
    return "$status"
}

# And says what including the library costs, which CTest shows of failures alone.
headers() {
    local status=0
    run_checks hygiene release clang || status=1
    grep -h 's of processor time' build/{release,clang}/Testing/Temporary/LastTest.log || status=1
    return "$status"
}

bench_smoke() {
    cmake --preset release -DPROTONCE_BUILD_BENCH=ON
    build release bench
    run_checks bench release
}

# -------------------------------------------------------------------------------------------------------------- the table

stage_names=()
stage_seconds=()
stage_results=()
stage_tests=()
passed=0
failed=0

# stage <name> <command>...: run it, whatever the stages before it did, and note time, result and CTest's counts.
stage() {
    local name=$1 log="$logs/stage-${#stage_names[@]}.log" start=$SECONDS status ran=0 bad=0 line
    shift
    printf '\n=== %s\n' "$name"
    set +e
    (
        set -euo pipefail
        "$@"
    ) 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    set -e
    while read -r line; do
        [[ $line =~ ([0-9]+)\ tests\ failed\ out\ of\ ([0-9]+) ]]
        bad=$((bad + BASH_REMATCH[1]))
        ran=$((ran + BASH_REMATCH[2]))
    done < <(grep -E '^[0-9]+% tests passed, [0-9]+ tests failed out of [0-9]+' "$log" || true)
    if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
        failed=$((failed + 1)) # a stage that fails without a failed test, such as a build, counts as one
    fi
    passed=$((passed + ran - bad))
    failed=$((failed + bad))
    stage_names+=("$name")
    stage_seconds+=($((SECONDS - start)))
    stage_results+=("$([ "$status" -eq 0 ] && echo passed || echo FAILED)")
    stage_tests+=("$ran")
}

summary() {
    local i total=0
    printf '\n%-28s %8s %7s  %s\n' stage seconds tests result
    for i in "${!stage_names[@]}"; do
        printf '%-28s %8d %7d  %s\n' "${stage_names[i]}" "${stage_seconds[i]}" "${stage_tests[i]}" "${stage_results[i]}"
        total=$((total + stage_seconds[i]))
    done
    printf '%-28s %8d %7d  %s\n\n' total "$total" $((passed + failed)) \
        "$([ "$failed" -eq 0 ] && echo passed || echo FAILED)"
    printf '%d passed, %d failed\n' "$passed" "$failed"
}

stage 'packages' packages
export CXX=${CXX:-g++}
stage 'g++: build' build release tests examples
stage 'g++: tests' run_suite release
if [ "$all" = yes ]; then
    stage 'clang++: build' build clang tests examples
    stage 'clang++: tests' run_suite clang
    stage 'sanitizers: build' build asan-ubsan tests examples
    stage 'sanitizers: tests' run_suite asan-ubsan
    stage 'headers' headers
    stage 'refused programs' run_checks compile_fail release clang
    stage 'consumers' run_checks consumer release clang
    stage 'tree' run_checks tree release
    stage 'code in the documentation' run_checks snippets release
    if has_toolkit; then
        stage 'nvcc: build' build release cuda_tests cuda_examples
        stage 'GPU: tests, where there is one' run_checks gpu release
    fi
    stage 'benchmarks, short' bench_smoke
    stage 'Fashion-MNIST, short' run_checks fashion release
fi
summary
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

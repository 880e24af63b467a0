#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: bench/gpu/check.sh [--out DIR] [--work DIR] [--headers DIR] [--arch NUMBER] [--quick] [--build | --no-build]

For a machine with an NVIDIA GPU and the CUDA toolkit; needs no network. Builds every CUDA test, example and benchmark with nvcc,
runs the tests (a test that finds no GPU fails), times the library, and PyTorch beside it where python3 has it, and looks at a
few tests with compute-sanitizer.
  --out DIR      for logs, gpu.json, torch.json and the table gpu.md, as they come (default out/gpu)
  --work DIR     for objects and programs (default: the folder of --out)
  --headers DIR  where doctest/doctest.h lies, if the compiler does not find it
  --arch NUMBER  compute capability to compile for, such as 90 (default: that of the first GPU)
  --quick        small sizes
  --build        build, and no more: a machine with the toolkit and no GPU will do
  --no-build     run what --build left there
The last line is `N passed, M failed`, over the steps; the exit status is 0 when none failed.
TEXT
}

out=out/gpu
work=
headers=
arch=
quick=()
builds=yes
runs=yes
while [ $# -gt 0 ]; do
    case "$1" in
        --help | -h) usage; exit 0 ;;
        --quick) quick=(--quick); shift ;;
        --build) runs=no; shift ;;
        --no-build) builds=no; shift ;;
        --out | --work | --headers | --arch)
            [ $# -ge 2 ] || { echo "bench/gpu/check.sh: $1 needs a value" >&2; exit 2; }
            case "$1" in
                --out) out=$2 ;;
                --work) work=$2 ;;
                --headers) headers=$2 ;;
                --arch) arch=$2 ;;
            esac
            shift 2 ;;
        *) echo "bench/gpu/check.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "$out" "${work:=$out}"
out=$(cd "$out" && pwd)
work=$(cd "$work" && pwd)
export PROTONCE_REQUIRE_GPU=1
for folder in "${CUDA_PATH:-}" /usr/local/cuda; do
    if [ -n "$folder" ] && [ -d "$folder/bin" ]; then
        PATH=$folder/bin:$PATH
    fi
done
if [ -z "$arch" ]; then
    arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .) || arch=
    arch=${arch:-90}
fi
if [ "$arch" = 90 ]; then
    arch=90a # with what that capability alone has
fi

flags=(-std=c++20 -O2 -Xcompiler=-O1 "-arch=sm_$arch" -x cu --extended-lambda --expt-relaxed-constexpr -Werror=all-warnings
       "-I$root/include" "-I$root/tests" -DDOCTEST_CONFIG_SUPER_FAST_ASSERTS)
if [ -n "$headers" ]; then
    flags+=(-isystem "$headers")
fi

passed=0
failed=0
# step <name> <command>...: its output goes to a log; what fails does not stop the others.
step() {
    local name=$1 log="$out/${1// /_}.log" begin=$SECONDS
    shift
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "passed  $name ($((SECONDS - begin)) s)"
    else
        failed=$((failed + 1))
        echo "FAILED  $name ($((SECONDS - begin)) s): $log"
        tail -20 "$log"
    fi
}

# compile <program> <definition> <source>...: as many units at a time as there are processors; link_program says what became of them.
programs=()
compile() {
    local program=$1 definition=$2 source object
    shift 2
    programs+=("$program")
    mkdir -p "$work/objects/$program"
    for source in "$@"; do
        while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do
            wait -n || true
        done
        object=$work/objects/$program/$(basename "$source" .cpp)
        nvcc "${flags[@]}" "$definition" "-DPROTONCE_TEST_NAME=\"$program\"" -c "$source" -o "$object.o" >"$object.log" 2>&1 &
    done
}
link_program() {
    local units=("$work/objects/$1"/*.log)
    cat "${units[@]}"
    nvcc "-arch=sm_$arch" "${units[@]/%.log/.o}" -o "$work/bin/$1"
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}

if [ "$builds" = yes ]; then
    rm -rf "$work/objects" "$work/bin"
    mkdir -p "$work/bin"
    tests=$root/tests
    compile gpu -DPROTONCE_BENCH "$root/bench/gpu/gpu.cpp" # the longest first
    conformance=("$tests"/backend/test_conformance_*.cpp)
    compile cuda -DPROTONCE_TEST_CUDA "$tests"/device/test_*.cpp "${conformance[@]}" "$tests/device/cuda/main.cpp"
    compile thrust -DPROTONCE_TEST_THRUST "$tests"/device/test_device_*.cpp "${conformance[@]}" "$tests/device/cuda/main.cpp"
    for example in device_training cuda/stream_and_pool cuda/recorded_step; do
        compile "$(basename "$example")" -DPROTONCE_EXAMPLE "$root/examples/$example.cpp"
    done
    wait
    echo "compiled ($SECONDS s)"
    for program in "${programs[@]}"; do
        step "build of $program" link_program "$program"
    done
fi
if [ "$runs" = no ]; then
    finish
    exit
fi
step 'instructions' "$work/bin/cuda" '--source-file=*instructions.cpp,*warp_group.cpp'
step 'CUDA tests' "$work/bin/cuda"
step 'Thrust tests' "$work/bin/thrust"
for example in device_training stream_and_pool recorded_step; do
    step "example $example" "$work/bin/$example"
done
step 'benchmark' "$work/bin/gpu" ${quick[@]+"${quick[@]}"} --json "$out/gpu.json"
if python3 -c 'import torch' 2>/dev/null; then
    step 'PyTorch' python3 "$root/bench/gpu/torch_peer.py" ${quick[@]+"${quick[@]}"} --json "$out/torch.json"
else
    echo 'left out: PyTorch, python3 does not have it'
fi
step 'table' python3 "$root/bench/gpu/table.py" "$out"
if command -v compute-sanitizer >/dev/null; then
    few='*instructions.cpp,*warp_group.cpp,*nearest_passes.cpp,*scan_rows.cpp,*draw_columns.cpp,*kept_rows.cpp,*kept_levels.cpp'
    few+=',*tile_ring.cpp,*column_slices.cpp'
    for tool in memcheck racecheck; do
        step "$tool" timeout 90 compute-sanitizer --tool "$tool" --error-exitcode 1 "$work/bin/cuda" "--source-file=$few"
        step "$tool of the losses" timeout 90 compute-sanitizer --tool "$tool" --error-exitcode 1 "$work/bin/cuda" \
            '--source-file=*cuda_losses.cpp' '--test-case=*as exact as*,*any width*'
    done
else
    echo 'left out: memcheck and racecheck, no compute-sanitizer'
fi
cat "$out/gpu.md" 2>/dev/null || true
finish

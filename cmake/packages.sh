# SPDX-License-Identifier: MIT
# Sourced by the run scripts: `install_missing <package>...` installs the Debian or Ubuntu packages that are not there.

packages_core=(g++ cmake ninja-build libeigen3-dev)
packages_examples=(libxtensor-dev xtl-dev zlib1g-dev liblinear-dev dataset-fashion-mnist)
packages_tests=(doctest-dev libxtensor-dev xtl-dev nlohmann-json3-dev python3)
packages_thrust=(libthrust-dev) # where there is no CUDA toolkit, which has it too
packages_bench=(libbenchmark-dev)
packages_all=(clang libomp-dev libtorch-dev libdlib-dev libopenblas0-serial) # dlib multiplies with the BLAS that is there

has_toolkit() {
    local toolkit
    for toolkit in "${CUDA_PATH:-}" "${CUDA_HOME:-}" /usr/local/cuda; do
        if [ -n "$toolkit" ] && [ -x "$toolkit/bin/nvcc" ]; then
            return 0
        fi
    done
    return 1
}

install_missing() {
    local package missing=() as_root=()
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "This system has no apt-get; its own packages for these must be there: $*"
        return 0
    fi
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            case " ${missing[*]-} " in *" $package "*) ;; *) missing+=("$package") ;; esac
        fi
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Missing packages, and neither root nor sudo to install them. As root, run:" >&2
            echo "    apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    echo "Installing ${missing[*]}"
    "${as_root[@]}" apt-get update -qq </dev/null
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null
}

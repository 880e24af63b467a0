#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what no compiler checks: include directions, one header a page, licence lines, text of the tree.

    check_tree.py ROOT         check the tree at ROOT; one line a fault; exit status 1 if there is any
    check_tree.py --self-test  check that each rule finds the fault it is there for
"""
import re
import sys
import tempfile
from pathlib import Path

MAX_LINES = 400
SOURCE_SUFFIXES = {".hpp", ".h", ".inl", ".cpp", ".cu", ".cuh"}
SCRIPT_SUFFIXES = {".py", ".sh", ".cmake"}
TEXT_SUFFIXES = SOURCE_SUFFIXES | SCRIPT_SUFFIXES | {".md", ".txt", ".json", ".cff", ".in", ".yml"}
SKIPPED_FOLDERS = {"build", "out", ".git", ".cache", "__pycache__"}

# Folder under include/protonce -> folders it may include, itself among them. The umbrella is in none of them.
ALGORITHMS = {"core", "e_step", "m_step", "momentum", "metrics"}
ALLOWED = {
    "core": {"core"},
    "e_step": {"core", "e_step"},
    "m_step": {"core", "m_step"},
    "momentum": {"core", "momentum"},
    "metrics": {"core", "metrics"},
    "em": ALGORITHMS | {"em"},
    "backend": {"core", "backend"},
    "adapt": {"core", "adapt"},
}
# A backend includes its own headers, and from others: the operations that accelerators share, the CUDA runtime's.
SHARED = {"thrust": {"elementwise", "cuda"}, "cuda": {"elementwise"}}
# Third-party headers are for the backends that are made of them.
THIRD_PARTY = {"backend/thrust": r"(thrust|cub|cuda)/", "backend/cuda": r"(cub|cuda)"}

# The system's own headers, for the one place that needs each: threads, and files that are synced.
SYSTEM = {"omp.h": {"core/parallel.hpp"}, "fcntl.h": {"em/file_io.hpp"}, "unistd.h": {"em/file_io.hpp"}}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def files(root):
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        hidden = any(part in SKIPPED_FOLDERS or part.startswith("build-") for part in relative.parts)
        if not hidden and path.is_file():
            yield path, relative


def place(relative_to_protonce):
    """core/view.hpp -> core; backend/cpu/tiles.hpp and backend/cpu.hpp -> backend."""
    return relative_to_protonce.split("/")[0] if "/" in relative_to_protonce else ""


def backend_name(relative_to_protonce):
    parts = relative_to_protonce.split("/")
    return parts[1].removesuffix(".hpp") if parts[0] == "backend" and len(parts) > 1 else ""


def header_faults(name, text, umbrella):
    """name: path under include/protonce."""
    folder = place(name)
    once = len(re.findall(r"^#pragma once$", text, re.MULTILINE))
    if name.endswith(".inl"):  # a text that is included more than once on purpose
        if once:
            yield "an .inl file has no `#pragma once`"
    elif once != 1:
        yield "needs exactly one `#pragma once`"
    text = re.sub(r"//.*", "", text)
    if re.search(r"^\s*using\s+namespace\b", text, re.MULTILINE):
        yield "`using namespace` in a header"
    if re.search(r"\]\s*PROTONCE_HOST_DEVICE\b", text):  # core/host_device.hpp says why
        yield "a lambda for both sides in a header"
    if folder != "backend" and re.search(r"\]\s*PROTONCE_ON_DEVICE\b", text):
        yield "a lambda for a device outside of its backend"
    if re.search(r"\bstd::(cout|cerr|clog)\b|\bf?(printf|puts)\s*\(", text):
        yield "a header of the library prints"
    for included in INCLUDE.findall(text):
        if included == "protonce/protonce.hpp":
            yield "includes the umbrella header"
        elif included.startswith("protonce/"):
            target = included.removeprefix("protonce/")
            if name == umbrella or target == "version.hpp":
                continue
            if place(target) not in ALLOWED.get(folder, set()):
                yield f"{folder or 'the top'} must not include {included}"
            elif folder == "backend" and backend_name(target) not in {"", backend_name(name)} | SHARED.get(
                backend_name(name), set()
            ):
                yield f"backend {backend_name(name)} must not include backend {backend_name(target)}"
        elif included in SYSTEM:
            if name not in SYSTEM[included]:
                yield f"{included} belongs to {', '.join(SYSTEM[included])} alone"
        elif "/" in included or included.endswith(".h"):
            allowed = THIRD_PARTY.get(f"backend/{backend_name(name)}", r"$^")
            if not re.match(allowed, included):
                yield f"must not include the third-party header {included}"


def text_faults(relative, text):
    suffix = relative.suffix
    first_lines = text.split("\n", 2)[:2]
    if suffix in SOURCE_SUFFIXES and first_lines[0] != "// SPDX-License-Identifier: MIT":
        yield "the first line must be `// SPDX-License-Identifier: MIT`"
    is_script = suffix in SCRIPT_SUFFIXES or relative.name == "CMakeLists.txt" or text.startswith("#!")
    if is_script and "# SPDX-License-Identifier: MIT" not in first_lines:
        yield "one of the first two lines must be `# SPDX-License-Identifier: MIT`"
    if suffix in SOURCE_SUFFIXES | SCRIPT_SUFFIXES and text.count("\n") > MAX_LINES:
        yield f"has {text.count(chr(10))} lines; more than {MAX_LINES}: split it"
    if suffix in SOURCE_SUFFIXES and "\t" in text:
        yield "has a tab"
    if "\r" in text:
        yield "has carriage returns"
    if text and not text.endswith("\n"):
        yield "does not end with a newline"
    if chr(0x2014) in text:
        yield "has an em dash"


def check(root):
    faults = []
    headers = 0
    for path, relative in files(root):
        if relative.suffix not in TEXT_SUFFIXES and not (relative.suffix == "" and path.stat().st_size < 100000):
            continue
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            faults.append(f"{relative}: is not UTF-8")
            continue
        found = list(text_faults(relative, text))
        if relative.parts[:2] == ("include", "protonce") and relative.suffix in SOURCE_SUFFIXES:
            headers += 1
            found += header_faults("/".join(relative.parts[2:]), text, "protonce.hpp")
        faults += [f"{relative}: {fault}" for fault in found]
    if headers == 0:
        faults.append("include/protonce: no header found")
    return faults, headers


def self_test():
    good = "// SPDX-License-Identifier: MIT\n#pragma once\n"
    cases = [  # path, text, part of the fault that must be found ("" for none)
        ("core/a.hpp", good, ""),
        ("core/a.hpp", good + "#include <protonce/core/view.hpp>\n#include <vector>\n", ""),
        ("core/a.hpp", good + "#include <protonce/e_step/kmeans.hpp>\n", "core must not include"),
        ("e_step/a.hpp", good + "#include <protonce/backend/cpu.hpp>\n", "e_step must not include"),
        ("momentum/a.hpp", good + "#include <protonce/em/objective.hpp>\n", "momentum must not include"),
        ("backend/a.hpp", good + "#include <protonce/m_step/info_nce.hpp>\n", "backend must not include"),
        ("backend/cpu.hpp", good + "#include <protonce/backend/cpu/tiles.hpp>\n#include <vector>\n", ""),
        ("backend/thrust/a.hpp", good + "#include <thrust/sort.h>\n", ""),
        ("backend/cpu/a.hpp", good + "#include <protonce/backend/reference.hpp>\n", "must not include backend reference"),
        ("backend/thrust/a.hpp", good + "#include <protonce/backend/elementwise/rows.hpp>\n", ""),
        ("backend/cpu/a.hpp", good + "#include <protonce/backend/elementwise/rows.hpp>\n", "must not include backend elementwise"),
        ("backend/reference.hpp", good + "#include <Eigen/Core>\n", "third-party header Eigen/Core"),
        ("adapt/eigen.hpp", good + "#include <Eigen/Core>\n", "third-party header"),
        ("adapt/eigen.hpp", good + "#include <protonce/e_step/kmeans.hpp>\n", "adapt must not include"),
        ("em/a.hpp", good + "#include <protonce/protonce.hpp>\n", "umbrella"),
        ("em/a.hpp", good + "#include <protonce/m_step/info_nce.hpp>\n", ""),
        ("e_step/a.hpp", good + "#include <omp.h>\n", "omp.h belongs to"),
        ("core/parallel.hpp", good + "#include <omp.h>\n", ""),
        ("backend/cpu/a.inl", good, "no `#pragma once`"),
        ("backend/cpu/a.inl", good.replace("#pragma once\n", ""), ""),
        ("core/a.hpp", good + "// std::cout, puts(1)\n", ""),
        ("core/a.hpp", good + "#pragma once\n", "exactly one"),
        ("core/a.hpp", "#pragma once\n", "SPDX"),
        ("core/a.hpp", good + "using namespace std;\n", "using namespace"),
        ("core/a.hpp", good + "inline void f() { std::cout << 1; }\n", "prints"),
        ("core/a.hpp", good + "auto f = [=] PROTONCE_HOST_DEVICE(int) {};\n", "both sides"),
        ("core/a.hpp", good + "PROTONCE_HOST_DEVICE int f(int* a) { return a[0]; }\n", ""),
        ("core/a.hpp", good + "auto f = [=] PROTONCE_ON_DEVICE(int) {};\n", "outside of its backend"),
        ("backend/cuda/a.hpp", good + "auto f = [=] PROTONCE_ON_DEVICE(int) {};\n", ""),
        ("core/a.hpp", good + "//\n" * MAX_LINES, "split it"),
        ("core/a.hpp", good + "// " + chr(0x2014) + "\n", "em dash"),
        ("core/a.hpp", good + "//", "newline"),
    ]
    failed = 0
    for name, text, wanted in cases:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "include" / "protonce" / name
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
            faults, _ = check(Path(folder))
        ok = (not faults) if wanted == "" else (len(faults) == 1 and wanted in faults[0])
        if not ok:
            failed += 1
            print(f"self-test: {name}: wanted {wanted!r}, found {faults}")
    print(f"self-test: {len(cases) - failed} of {len(cases)} rules behave")
    return failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    faults, headers = check(Path(sys.argv[1]).resolve())
    print("\n".join(faults) if faults else f"{headers} headers and the files around them: no fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the code in README.md and docs/*.md is code of files that are built and run.

A code block stands under a marker that names a file and a region in it, and equals that region, dedented:

    <!-- snippet: examples/kmeans_ten_points.cpp#call -->       // [snippet call]  ...  // [/snippet]

(`# [snippet call]` in CMake and shell files.) Only `sh` and `text` blocks need no marker.

    check_snippets.py ROOT           check; one line a fault; exit status 1 if there is any
    check_snippets.py --update ROOT  write the regions into the marked blocks
    check_snippets.py --self-test    check that each rule finds the fault it is there for
"""
import re
import sys
import tempfile
import textwrap
from pathlib import Path

FREE_LANGUAGES = {"sh", "text"}
MARKER = re.compile(r"^\s*<!--\s*snippet:\s*(\S+?)#([\w.-]+)\s*-->\s*$")
FENCE = re.compile(r"^(\s*)(```+|~~~+)\s*([\w+-]*)\s*$")
BEGIN = re.compile(r"^\s*(?://|#)\s*\[snippet ([\w.-]+)\]\s*$")
END = re.compile(r"^\s*(?://|#)\s*\[/snippet\]\s*$")


def regions(path):
    """Name -> lines of the region, dedented. Regions do not nest."""
    found, name, lines = {}, None, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        begin = BEGIN.match(line)
        if begin:
            if name is not None:
                raise ValueError(f"{path.name}:{number}: snippet {begin[1]} begins inside snippet {name}")
            if begin[1] in found:
                raise ValueError(f"{path.name}:{number}: snippet {begin[1]} is there twice")
            name, lines = begin[1], []
        elif END.match(line):
            if name is None:
                raise ValueError(f"{path.name}:{number}: a snippet ends that never began")
            found[name] = textwrap.dedent("\n".join(lines)).strip("\n").split("\n")
            name = None
        elif name is not None:
            lines.append(line.rstrip())
    if name is not None:
        raise ValueError(f"{path.name}: snippet {name} never ends")
    return found


def blocks(lines):
    """(marker or None, language, first line, line after the last, indent) of each fenced block; numbers from 0."""
    i = 0
    marker = None
    while i < len(lines):
        fence = FENCE.match(lines[i])
        if not fence:
            if lines[i].strip():
                marker = MARKER.match(lines[i]) or None
            i += 1
            continue
        close = i + 1
        while close < len(lines) and lines[close].strip() != fence[2]:
            close += 1
        yield marker, fence[3], i + 1, close, fence[1]
        marker = None
        i = close + 1


def check_page(root, page, update):
    lines = page.read_text(encoding="utf-8").splitlines()
    name = page.relative_to(root)
    faults, checked, edits = [], 0, []
    for marker, language, first, last, indent in blocks(lines):
        where = f"{name}:{first}"
        if last >= len(lines):
            faults.append(f"{where}: the code block never ends")
            continue
        if marker is None:
            if language not in FREE_LANGUAGES:
                faults.append(f"{where}: a `{language}` block without a snippet marker")
            continue
        source = root / marker[1]
        if not source.is_file():
            faults.append(f"{where}: there is no file {marker[1]}")
            continue
        try:
            wanted = regions(source).get(marker[2])
        except ValueError as error:
            faults.append(f"{where}: {error}")
            continue
        if wanted is None:
            faults.append(f"{where}: {marker[1]} has no snippet {marker[2]}")
            continue
        checked += 1
        shown = textwrap.dedent("\n".join(line.rstrip() for line in lines[first:last])).strip("\n").split("\n")
        if shown != wanted:
            if update:
                edits.append((first, last, [(indent + line).rstrip() for line in wanted]))
            else:
                at = next((i for i, (a, b) in enumerate(zip(shown, wanted)) if a != b), min(len(shown), len(wanted)))
                faults.append(f"{where}: differs from {marker[1]}#{marker[2]} from line {at + 1} of the block on")
    for first, last, text in reversed(edits):
        lines[first:last] = text
    if edits:
        page.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{name}: {len(edits)} blocks written")
    return faults, checked


def check(root, update=False):
    pages = [page for page in [root / "README.md", *sorted((root / "docs").rglob("*.md"))] if page.is_file()]
    if not pages:
        return ["README.md, docs/: no page found"], 0
    faults, checked = [], 0
    for page in pages:
        page_faults, page_checked = check_page(root, page, update)
        faults += page_faults
        checked += page_checked
    return faults, checked


def self_test():
    source = "int main() {\n    // [snippet a]\n    int x = 1;\n\n    use(x);\n    // [/snippet]\n}\n"
    same = "int x = 1;\n\nuse(x);"
    cases = [  # page, part of the fault that must be found ("" for none)
        (f"<!-- snippet: a.cpp#a -->\n```cpp\n{same}\n```\n", ""),
        (f"<!-- snippet: a.cpp#a -->\n\n```cpp\n{same}\n```\n", ""),
        (f"- item\n\n  <!-- snippet: a.cpp#a -->\n  ```cpp\n{textwrap.indent(same, '  ')}\n  ```\n", ""),
        ("```sh\n./run.sh\n```\n```text\noutput\n```\n", ""),
        (f"<!-- snippet: a.cpp#a -->\n```cpp\n{same.replace('1', '2')}\n```\n", "differs"),
        ("<!-- snippet: a.cpp#a -->\n```cpp\nint x = 1;\n```\n", "differs"),
        (f"<!-- snippet: a.cpp#b -->\n```cpp\n{same}\n```\n", "no snippet b"),
        (f"<!-- snippet: b.cpp#a -->\n```cpp\n{same}\n```\n", "no file b.cpp"),
        (f"```cpp\n{same}\n```\n", "without a snippet marker"),
        (f"```\n{same}\n```\n", "without a snippet marker"),
        (f"<!-- snippet: a.cpp#a -->\nwords\n```cpp\n{same}\n```\n", "without a snippet marker"),
        ("```cpp\nint x;\n", "never ends"),
    ]
    failed = 0
    for page, wanted in cases:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "a.cpp").write_text(source, encoding="utf-8")
            (root / "README.md").write_text(page, encoding="utf-8")
            faults, _ = check(root)
        ok = (not faults) if wanted == "" else (len(faults) == 1 and wanted in faults[0])
        if not ok:
            failed += 1
            print(f"self-test: {page!r}: wanted {wanted!r}, found {faults}")
    print(f"self-test: {len(cases) - failed} of {len(cases)} rules behave")
    return failed


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    update = arguments[:1] == ["--update"]
    if len(arguments) != 1 + update:
        print(__doc__, file=sys.stderr)
        return 2
    faults, checked = check(Path(arguments[-1]).resolve(), update)
    print("\n".join(faults) if faults else f"{checked} code blocks equal their sources")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

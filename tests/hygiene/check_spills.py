#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the cpu backend's inner loops keep their sums in registers, in what the compiler made of them.

    check_spills.py CXX OBJDUMP INCLUDE_DIR  compile spills_unit.cpp, disassemble, check; exit status 1 if there is a fault
    check_spills.py --self-test              check that each rule finds the fault it is there for

x86-64 and g++ only: other compilers order the loops of a function in other ways.
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

LEVELS = ("-O2", "-O3")
# Function, with its instruction set -> place of its multiply-adds for one step in the name of multiply_adds<...>.
DEMANDS = {
    "avx2::tile_product<float>": 0,
    "avx2::nearest_in_panels<float>": 0,
    "avx2::scan_panels<float>": 0,
    "avx2::tile_product<double>": 1,
    "avx2::nearest_in_panels<double>": 1,
    "avx512::tile_product<float>": 2,
    "avx512::nearest_in_panels<float>": 2,
    "avx512::scan_panels<float>": 2,
    "avx512::scan_codes": 2,
    "avx512::rows_reaching<1>": 2,
    "avx512::rows_reaching<2>": 2,
    "avx512::tile_product<double>": 3,
    "avx512::nearest_in_panels<double>": 3,
}

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
JUMP_TARGET = re.compile(r"([0-9a-f]+) <")
DEMANDED = re.compile(r"\bmultiply_adds<(\d+), (\d+), (\d+), (\d+)>")
MULTIPLY_ADD = re.compile(r"vfmadd|vpdpbusd")
VECTOR = re.compile(r"%[xyz]mm\d")


class Instruction(NamedTuple):
    address: int
    name: str
    operands: str

    def __str__(self):
        return f"{self.address:x}: {self.name} {self.operands}"

    def stores_vector(self):
        """AT&T syntax: the destination is last, and memory ends with a parenthesis, which a mask may follow."""
        return VECTOR.search(self.operands) is not None and re.search(r"\)(\{%k\d\})?$", self.operands) is not None

    def moves_pointer(self):
        return re.match(r"v(mov[dq]|pinsr[dq]|pextr[dq])$", self.name) is not None and "(" not in self.operands


def functions(disassembly):
    """Name -> instructions."""
    found = {}
    body = []
    for line in disassembly.splitlines():
        if head := FUNCTION.match(line):
            body = found.setdefault(head[1], [])
        elif instruction := INSTRUCTION.match(line):
            body.append(Instruction(int(instruction[1], 16), instruction[2], instruction[3].strip()))
    return found


def inner_loops(body):
    """Bodies of the loops that contain no other. A loop: from the target of a jump backwards to the jump."""
    spans = set()
    for instruction in body:
        if instruction.name.startswith("j") and (target := JUMP_TARGET.match(instruction.operands)):
            first = int(target[1], 16)
            if first <= instruction.address:
                spans.add((first, instruction.address))
    for first, last in sorted(spans):
        if not any((a, b) != (first, last) and first <= a and b <= last for a, b in spans):
            yield [instruction for instruction in body if first <= instruction.address <= last]


def reads_stack(body):
    """The test of an instruction of `body` for a vector operand on the stack. %rbp is a number like others without a frame."""
    has_frame = any(i.name == "mov" and i.operands == "%rsp,%rbp" for i in body)
    stack = re.compile(r"\(%r[sb]p[,)]" if has_frame else r"\(%rsp[,)]")
    return lambda i: VECTOR.search(i.operands) is not None and stack.search(i.operands) is not None


def check_function(body, demanded):
    """(faults, what there is to say of a function without)."""
    loops = [loop for loop in inner_loops(body) if any(MULTIPLY_ADD.match(i.name) for i in loop)]
    if not loops:
        return ["has no inner loop with multiply-adds"], ""
    faults = []
    is_reload = reads_stack(body)
    counts = [sum(MULTIPLY_ADD.match(i.name) is not None for i in loop) for loop in loops]
    for loop, count in zip(loops, counts):
        if count < demanded:
            faults.append(f"the loop at {loop[0].address:x} has {count} multiply-adds; a tile needs {demanded}")
        for instruction in loop:
            if instruction.stores_vector():
                faults.append(f"stores a vector in the inner loop, {instruction}")
            elif is_reload(instruction):
                faults.append(f"reads a vector from the stack in the inner loop, {instruction}")
    moves = sum(i.moves_pointer() for loop in loops for i in loop)
    return faults, f"multiply-adds {', '.join(map(str, counts))}; pointers kept in vector registers: {moves}"


def check(disassembly, names):
    """name -> (faults, report) for each of `names`."""
    found = functions(disassembly)
    demands = next((m for name in found if (m := DEMANDED.search(name))), None)
    if demands is None:
        return {name: (["the unit does not say how many multiply-adds a tile has"], "") for name in names}
    results = {}
    for name in names:
        bodies = [body for symbol, body in found.items() if f"::{name}(" in symbol and body]
        if len(bodies) != 1:
            results[name] = ([f"found {len(bodies)} times; needed once"], "")
        else:
            results[name] = check_function(bodies[0], int(demands[1 + DEMANDS[name]]))
    return results


def self_test():
    name = "avx2::tile_product<float>"
    marker = "0 <void multiply_adds<2, 2, 2, 2>()>:\n   0:\tret\n"
    head = f"0 <void protonce::v0::detail::cpu::{name}(float const*, long)>:\n"

    def listing(*instructions, symbol=head):
        """Instructions at 0, 1, 2, ...; `jne N` jumps to the N-th."""
        lines = [re.sub(r"^(j\w+) (\w+)$", r"\1 \2 <f+0x\2>", line) for line in instructions]
        return marker + symbol + "".join(f"   {i:x}:\t{line}\n" for i, line in enumerate(lines))

    load = "vmovups (%rsi),%ymm1"
    one = "vfmadd231ps %ymm2,%ymm1,%ymm14"
    two = "vfmadd231ps (%rdx,%rax,4){1to8},%ymm1,%ymm13"
    frame = "mov %rsp,%rbp"
    cases = [  # what, disassembly, part of the fault that must be found ("" for none)
        ("clean", listing(load, one, two, "jne 0"), ""),
        ("a step that is unrolled", listing(load, one, two, load, one, two, "jne 0"), ""),
        ("a store behind the loop", listing(load, one, two, "jne 0", "vmovups %ymm14,(%r8)", "ret"), ""),
        ("a store in the outer loop", listing("vmovaps %ymm3,0x20(%rsp)", one, two, "jne 1", "jl 0"), ""),
        ("a pointer in a vector register", listing("vmovq %xmm23,%rax", one, two, "jne 0"), ""),
        ("a pointer from the stack", listing("mov 0x8(%rsp),%rax", one, two, "jne 0"), ""),
        ("%rbp as a pointer", listing("vbroadcastss (%rbp,%rax,4),%ymm2", one, two, "jne 0"), ""),
        ("a loop without multiply-adds", listing("vmovups %ymm1,(%rax)", "jne 0", one, two, "jne 2"), ""),
        ("a jump forwards", listing("jl 4", load, one, two, "jne 1"), ""),
        ("a spill", listing(one, two, "vmovaps %ymm3,0x20(%rsp)", "jne 0"), "stores a vector"),
        ("a spill in the second loop",
         listing(one, two, "jne 0", one, two, "vmovaps %ymm3,0x20(%rsp)", "jne 3"), "stores a vector"),
        ("a store elsewhere", listing(one, two, "vmovups %zmm3,0x40(%rdi,%rax,1){%k1}", "jne 0"), "stores a vector"),
        ("a reload", listing("vmovaps 0x20(%rsp),%ymm3", one, two, "jne 0"), "from the stack"),
        ("a reload by a multiply-add", listing(one, "vfmadd231ps -0x40(%rsp),%ymm1,%ymm3", "jne 0"), "from the stack"),
        ("a reload through the frame", listing(frame, "vmovaps -0x50(%rbp),%ymm3", one, two, "jne 1"), "from the stack"),
        ("too few", listing(load, one, "jne 0"), "1 multiply-adds; a tile needs 2"),
        ("no loop", listing(load, one, two, "ret"), "no inner loop"),
        ("another function", listing(one, two, "jne 0", symbol=head.replace("avx2", "avx512")), "found 0 times"),
        ("no numbers", listing(one, two, "jne 0").removeprefix(marker), "how many multiply-adds"),
    ]
    failed = 0
    for what, text, wanted in cases:
        faults, _ = check(text, [name])[name]
        ok = (not faults) if wanted == "" else (len(faults) == 1 and wanted in faults[0])
        if not ok:
            failed += 1
            print(f"self-test: {what}: wanted {wanted!r}, found {faults}")
    moves = check(cases[4][1], [name])[name][1]
    if not moves.endswith("vector registers: 1"):
        failed += 1
        print(f"self-test: pointers: found {moves!r}")
    print(f"self-test: {len(cases) + 1 - failed} of {len(cases) + 1} rules behave")
    return failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    compiler, objdump, include = sys.argv[1:]
    unit = Path(__file__).with_name("spills_unit.cpp")
    failed = False
    for level in LEVELS:
        with tempfile.TemporaryDirectory() as folder:
            binary = Path(folder) / "unit.o"
            subprocess.run([compiler, "-std=c++20", level, "-I", include, "-c", unit, "-o", binary], check=True)
            said = subprocess.run([objdump, "-d", "--no-show-raw-insn", "-C", binary], check=True, text=True,
                                  stdout=subprocess.PIPE).stdout
        for name, (faults, report) in check(said, DEMANDS).items():
            for fault in faults:
                print(f"{level} {name}: {fault}")
            if not faults:
                print(f"{level} {name}: ok; {report}")
            failed = failed or bool(faults)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

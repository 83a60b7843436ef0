#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""tests/dbt/disassemble.py [SEED]: the decoder against binutils' disassembler, by name: all
compressed patterns, and random ones of 32 bits, among them those with the fixed bits of a row of
our table, and with one bit other."""
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RANDOM = 60000
# What a compressed instruction expands to, where that is not its name without "c.".
EXPANDS = {"addi4spn": "addi", "addi16sp": "addi", "nop": "addi", "li": "addi", "mv": "add",
           "j": "jal", "jr": "jalr", "beqz": "beq", "bnez": "bne", "fldsp": "fld", "lwsp": "lw",
           "ldsp": "ld", "fsdsp": "fsd", "swsp": "sw", "sdsp": "sd", "slli64": "slli",
           "srli64": "srli", "srai64": "srai"}
OTHERS = {"fmv.s.x": "fmv.w.x", "fmv.x.s": "fmv.x.w", "fence.tso": "fence", "pause": "fence",
          "scall": "ecall", "sbreak": "ebreak"}


def patterns(seed):
    rng = random.Random(seed)
    with open(os.path.join(TOP, "hv/dbt/riscv64/table.c"), encoding="utf-8") as table:
        rows = re.findall(r'"[\w.]+", 0x(\w{8}), 0x(\w{8})', table.read())
    made = [bits for bits in range(1 << 16) if bits & 3 != 3]
    for _ in range(RANDOM):
        mask, match = (int(v, 16) for v in rng.choice(rows))
        made.append(rng.getrandbits(32) & ~mask & 0xffffffff | match)
        made.append(made[-1] ^ 1 << rng.randrange(2, 32))   # a near miss
        made.append(rng.getrandbits(32) | 3)
    # 48-bit and longer instructions are none of ours; the disassembler would take more than 4 bytes
    return [bits for bits in made if bits & 3 != 3 or bits & 0x1f != 0x1f]


def theirs(made):
    """[name or "" for what it does not know]"""
    with tempfile.TemporaryDirectory() as where:
        path = os.path.join(where, "code")
        with open(path, "wb") as out:
            for bits in made:   # each in 4 bytes: a compressed one is followed by c.nop
                out.write(struct.pack("<I", bits if bits & 3 == 3 else bits | 0x00010000))
        # An object that names our extensions, without the symbols that say it is data.
        subprocess.run(["riscv64-linux-gnu-as", "-march=rv64gc_zba_zbb_zbs", "-o", path + ".o"],
                       input=f'.text\n.incbin "{path}"\n', text=True, check=True)
        subprocess.run(["riscv64-linux-gnu-objcopy", "--strip-all", path + ".o"], check=True)
        text = subprocess.run(["riscv64-linux-gnu-objdump", "-D", "-z", "-j", ".text", "-M",
                               "no-aliases", path + ".o"], check=True, text=True,
                              capture_output=True).stdout
    found = {}
    for at, name in re.findall(r"^\s*([0-9a-f]+):\t[0-9a-f]+ +\t(\S+)", text, re.M):
        found[int(at, 16)] = name
    return [found.get(4 * i, "") for i in range(len(made))]


def meaning(name):
    """Our name of the operation; "" for none."""
    if name.startswith(".") or "unimp" in name:
        return ""
    if name.startswith("c."):
        return EXPANDS.get(name[2:], name[2:])
    name = re.sub(r"\.(aq|rl|aqrl)$", "", name)
    return OTHERS.get(name, name)


def tolerated(bits, mine, other):
    """Where binutils is laxer or stricter than the manual asks of a CPU."""
    if mine == "illegal":   # reserved rounding modes; c.addi16sp of 0
        return bits >> 12 & 7 in (5, 6) and other[:1] == "f" or bits == 0x6101
    # fields that the base ignores; conversions that are exact whatever the rounding mode
    return other == "" and mine in ("fence", "fence.i", "fcvt.d.w", "fcvt.d.wu", "fcvt.d.s")


def main():
    made = patterns(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    text = "\n".join(f"{bits:x}" for bits in made)
    ours = subprocess.run([os.path.join(TOP, "build/dbt/dbt"), "--decode"], input=text, text=True,
                          capture_output=True, check=True).stdout.split()
    known, wrong = set(ours), []
    for bits, mine, other in zip(made, ours, theirs(made)):
        want = meaning(other)
        foreign = mine == "illegal" and want not in known   # of an extension that is not here
        if mine != want and not foreign and not tolerated(bits, mine, want):
            wrong.append(f"{bits:08x}: {mine}, binutils: {other}")
    print("\n".join(wrong[:40]))
    print(f"{len(made)} patterns, {len(known) - 1} operations seen, {len(wrong)} differ")
    return len(wrong) > 0 or len(ours) != len(made)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""tests/dbt/differ.py [--seed N] [--blocks N] [--rounds N] [--minutes N] [--engine NAME]

Random instruction sequences, run by build/dbt/dbt and by qemu-riscv64: integer, M, atomic,
compressed, bit manipulation, floating point with all rounding modes and flags, loads and stores at
any alignment, branches. Each block runs `rounds` times on registers that a generator of random
numbers fills, with many special values among them; after each block a checksum of all registers,
flags and memory is written, so that the first block that differs is known.
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DBT = os.path.join(TOP, "build/dbt/dbt")
LENGTH = 40     # instructions of a block
BUFFER = 512    # bytes of memory that blocks work on
# x2: the harness's data, x8: the buffer, x4: the harness's own.
FREE = [n for n in range(1, 32) if n not in (2, 4, 8)]
SHORT = [9, 10, 11, 12, 13, 14, 15]     # what compressed instructions reach
ROUNDING = ["rne", "rtz", "rdn", "rup", "rmm", "dyn"]

R3 = """add sub sll slt sltu xor srl sra or and addw subw sllw srlw sraw mul mulh mulhsu mulhu div
divu rem remu mulw divw divuw remw remuw add.uw sh1add sh2add sh3add sh1add.uw sh2add.uw sh3add.uw
andn orn xnor max maxu min minu rol rolw ror rorw bclr bext binv bset""".split()
# Not ctzw: QEMU 7.2 looks at the upper half too when the lower one is 0.
R2 = "clz clzw ctz cpop cpopw sext.b sext.h zext.h orc.b rev8".split()
IMMEDIATE = "addi slti sltiu xori ori andi addiw".split()
SHIFT6 = "slli srli srai slli.uw rori bclri bexti binvi bseti".split()
SHIFT5 = "slliw srliw sraiw roriw".split()
LOADS = {"lb": 1, "lh": 2, "lw": 4, "ld": 8, "lbu": 1, "lhu": 2, "lwu": 4}
STORES = {"sb": 1, "sh": 2, "sw": 4, "sd": 8}
AMO = [f"amo{op}.{size}" for op in "swap add xor and or min max minu maxu".split() for size in "wd"]
BRANCHES = "beq bne blt bge bltu bgeu".split()
F3 = "fsgnj fsgnjn fsgnjx fmin fmax".split()
F3R = "fadd fsub fmul fdiv".split()
F4R = "fmadd fmsub fnmsub fnmadd".split()
COMPARE = "feq flt fle".split()

# Bits that are corners of something: integers, shifts, single and double precision.
SPECIAL = [0, 1, 2, 3, 31, 32, 63, 64, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63,
           2**64 - 1, 2**64 - 2, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
           0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 0xfff8000000000001, 0x1,
           0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x43e0000000000000,
           0xc3e0000000000000, 0x41dfffffffc00000, 0x41e0000000000000, 0x3fe0000000000000,
           0x4340000000000001, 0x8000000000000001, 0x36a0000000000000, 0x47efffffe0000000,
           *(0xffffffff00000000 | s for s in (0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000,
             0xff800000, 0x7fc00000, 0x7f800001, 0xffc00001, 1, 0x007fffff, 0x00800000, 0x7f7fffff,
             0x4f000000, 0xcf000000, 0x5f000000, 0x4effffff, 0x3f000000, 0x4b000001, 0x80000001)),
           0x7f800000, 0x3f800000]


class Block:
    """The text of one sequence."""

    def __init__(self, rng, number):
        self.rng, self.number, self.labels = rng, number, 0
        self.lines = []
        kinds = [self.integer] * 6 + [self.memory] * 3 + [self.floating] * 6 + [
            self.atomic, self.branch, self.branch, self.compressed, self.compressed, self.csr]
        for _ in range(LENGTH):
            self.lines += rng.choice(kinds)()

    def x(self):
        return f"x{self.rng.choice(FREE + [0])}"

    def f(self):
        return f"f{self.rng.randrange(32)}"

    def label(self):
        self.labels += 1
        return f".L{self.number}_{self.labels}"

    def integer(self):
        pick, rng = self.rng.randrange(7), self.rng
        if pick < 3:
            return [f"{rng.choice(R3)} {self.x()}, {self.x()}, {self.x()}"]
        if pick == 3:
            return [f"{rng.choice(R2)} {self.x()}, {self.x()}"]
        if pick == 4:
            return [f"{rng.choice(IMMEDIATE)} {self.x()}, {self.x()}, {rng.randint(-2048, 2047)}"]
        if pick == 5:
            return [f"{rng.choice(SHIFT6)} {self.x()}, {self.x()}, {rng.randrange(64)}"]
        return [rng.choice([f"{rng.choice(SHIFT5)} {self.x()}, {self.x()}, {rng.randrange(32)}",
                            f"lui {self.x()}, {rng.randrange(1 << 20)}",
                            f"auipc {self.x()}, {rng.randrange(1 << 20)}"])]

    def memory(self):
        rng = self.rng
        name, size = rng.choice([*LOADS.items(), *STORES.items(), ("flw", 4), ("fsw", 4),
                                 ("fld", 8), ("fsd", 8)])
        offset = rng.randrange(BUFFER - size + 1)
        if rng.random() < 0.7:
            offset -= offset % size
        register = self.f() if name[0] == "f" else self.x()
        return [f"{name} {register}, {offset}(x8)"]

    def floating(self):
        rng, t, mode = self.rng, self.rng.choice("sd"), self.rng.choice(ROUNDING)
        pick = rng.randrange(9)
        if pick < 3:
            return [f"{rng.choice(F3R)}.{t} {self.f()}, {self.f()}, {self.f()}, {mode}"]
        if pick == 3:
            return [f"{rng.choice(F4R)}.{t} {self.f()}, {self.f()}, {self.f()}, {self.f()}, {mode}"]
        if pick == 4:
            return [f"{rng.choice(F3)}.{t} {self.f()}, {self.f()}, {self.f()}"]
        if pick == 5:
            return [f"{rng.choice(COMPARE)}.{t} {self.x()}, {self.f()}, {self.f()}"]
        if pick == 6:
            to = rng.choice(["w", "wu", "l", "lu"])
            return [f"fcvt.{to}.{t} {self.x()}, {self.f()}, {mode}"]
        if pick == 7:
            of = rng.choice(["w", "wu", "l", "lu"])
            rounds = "" if t == "d" and of in ("w", "wu") else f", {mode}"
            return [f"fcvt.{t}.{of} {self.f()}, {self.x()}{rounds}"]
        return [rng.choice([f"fsqrt.{t} {self.f()}, {self.f()}, {mode}",
                            f"fclass.{t} {self.x()}, {self.f()}",
                            f"fcvt.s.d {self.f()}, {self.f()}, {mode}",
                            f"fcvt.d.s {self.f()}, {self.f()}",
                            f"fmv.x.w {self.x()}, {self.f()}", f"fmv.w.x {self.f()}, {self.x()}",
                            f"fmv.x.d {self.x()}, {self.f()}", f"fmv.d.x {self.f()}, {self.x()}"])]

    def atomic(self):
        rng, at = self.rng, f"x{self.rng.choice(FREE)}"
        order = rng.choice(["", ".aq", ".rl", ".aqrl"])
        lines = [f"addi {at}, x8, {rng.randrange(BUFFER // 8) * 8}"]
        if rng.random() < 0.7:
            return lines + [f"{rng.choice(AMO)}{order} {self.x()}, {self.x()}, ({at})"]
        size, result = rng.choice("wd"), self.x()
        if rng.random() < 0.8:
            keep = rng.choice([n for n in FREE if f"x{n}" != at])
            lines.append(f"lr.{size} x{keep}, ({at})")
        return lines + [f"sc.{size} {result}, {self.x()}, ({at})"]

    def branch(self):
        rng, label = self.rng, self.label()
        skipped = self.integer()
        pick = rng.randrange(4)
        if pick < 2:
            name = rng.choice(BRANCHES)
            return [f"{name} {self.x()}, {self.x()}, {label}", *skipped, f"{label}:"]
        if pick == 2:
            return [f"jal {self.x()}, {label}", *skipped, f"{label}:"]
        at = f"x{rng.choice(FREE)}"
        return [f"la {at}, {label}", f"jalr {self.x()}, {rng.choice(['0', '1'])}({at})", *skipped,
                f"{label}:"]

    def compressed(self):
        rng = self.rng
        a, b, any1, any2 = (f"x{rng.choice(SHORT)}", f"x{rng.choice(SHORT)}",
                            f"x{rng.choice(FREE)}", f"x{rng.choice(FREE)}")
        simple = [f"c.addi {any1}, {rng.choice([-32, -1, 1, 31, 7])}",
                  f"c.addiw {any1}, {rng.randint(-32, 31)}", f"c.li {any1}, {rng.randint(-32, 31)}",
                  f"c.lui {any1}, {rng.choice([1, 31, 0xfffe0, 0xfffff])}",
                  f"c.srli {a}, {rng.randint(1, 63)}", f"c.srai {a}, {rng.randint(1, 63)}",
                  f"c.andi {a}, {rng.randint(-32, 31)}", f"c.slli {any1}, {rng.randint(1, 63)}",
                  f"c.mv {any1}, {any2}", f"c.add {any1}, {any2}",
                  f"c.addi4spn {a}, x2, {rng.randrange(1, 256) * 4}",
                  f"c.lw {a}, {rng.randrange(32) * 4}(x8)",
                  f"c.ld {a}, {rng.randrange(32) * 8}(x8)",
                  f"c.sw {a}, {rng.randrange(32) * 4}(x8)",
                  f"c.sd {a}, {rng.randrange(32) * 8}(x8)",
                  f"c.fld f{rng.choice(SHORT)}, {rng.randrange(32) * 8}(x8)",
                  f"c.fsd f{rng.choice(SHORT)}, {rng.randrange(32) * 8}(x8)",
                  f"c.lwsp {any1}, {rng.randrange(64) * 4}(x2)",
                  f"c.ldsp {any1}, {rng.randrange(64) * 8}(x2)",
                  f"c.fldsp {self.f()}, {rng.randrange(64) * 8}(x2)", "c.nop"]
        simple += [f"c.{op} {a}, {b}" for op in ("sub", "xor", "or", "and", "subw", "addw")]
        pick = rng.randrange(len(simple) + 3)
        if pick < len(simple):
            return [simple[pick]]
        label = self.label()
        if pick == len(simple):
            return [f"c.j {label}", *self.integer(), f"{label}:"]
        return [f"{rng.choice(['c.beqz', 'c.bnez'])} {a}, {label}", *self.integer(), f"{label}:"]

    def csr(self):
        rng = self.rng
        return [rng.choice([f"fsrmi {self.x()}, {rng.randrange(5)}", f"frflags {self.x()}",
                            f"fsflagsi {self.x()}, {rng.randrange(32)}", f"frcsr {self.x()}",
                            f"fsflags {self.x()}, {self.x()}", "fence", "fence.i"])]


# x4: state of the generator. Fills t0 (x5); one value of two is one of the special ones.
NEXT = """
next:
    slli t1, x4, 13
    xor x4, x4, t1
    srli t1, x4, 7
    xor x4, x4, t1
    slli t1, x4, 17
    xor x4, x4, t1
    srli t1, x4, 32
    andi t2, t1, 1
    mv t0, x4
    beqz t2, 1f
    srli t1, t1, 1
    li t2, SPECIALS
    remu t1, t1, t2
    slli t1, t1, 3
    la t2, special
    add t1, t1, t2
    ld t0, 0(t1)
1:  ret
mix:
    xor s5, s5, t0
    li t1, 0x9e3779b97f4a7c15
    mul s5, s5, t1
    srli t1, s5, 29
    xor s5, s5, t1
    ret
"""


def harness(rounds):
    """What surrounds the blocks. At x2: saved registers (0), then the harness's (512)."""
    fill_f = "".join(f"    call next\n    fmv.d.x f{n}, t0\n" for n in range(32))
    fill_x = "".join(f"    call next\n    sd t0, {8 * n}(x2)\n" for n in range(32))
    take_x = "".join(f"    ld x{n}, {8 * n}(x2)\n" for n in FREE)
    keep_x = "".join(f"    sd x{n}, {8 * n}(x2)\n" for n in range(1, 32))
    mix_f = "".join(f"    fmv.x.d t0, f{n}\n    call mix\n" for n in range(32))
    return f"""
    .text
    .global _start
_start:
    la x2, frame
    li x4, 0x123456789abcdef1
    la t0, blocks
    sd t0, 512(x2)
each_block:
    li s5, 0
    li t0, {rounds}
    sd t0, 520(x2)
each_round:
    sd s5, 528(x2)
{fill_f}
{fill_x}
    la x8, buffer
    li s2, {BUFFER // 8}
1:  call next
    sd t0, 0(x8)
    addi x8, x8, 8
    addi s2, s2, -1
    bnez s2, 1b
    la x8, buffer
    fscsr zero
    ld t0, 512(x2)
    ld t0, 0(t0)
    sd t0, 536(x2)
    la t0, back
    sd t0, 544(x2)
    sd x4, 552(x2)
{take_x}
    ld x4, 536(x2)
    jr x4
back:
{keep_x}
    ld x4, 552(x2)
    ld s5, 528(x2)
    frcsr t0
    call mix
{mix_f}
    addi s2, x2, 8
    li s3, 31
1:  ld t0, 0(s2)
    call mix
    addi s2, s2, 8
    addi s3, s3, -1
    bnez s3, 1b
    la s2, buffer
    li s3, {BUFFER // 8}
1:  ld t0, 0(s2)
    call mix
    addi s2, s2, 8
    addi s3, s3, -1
    bnez s3, 1b
    ld t0, 520(x2)
    addi t0, t0, -1
    sd t0, 520(x2)
    bnez t0, each_round
    sd s5, 528(x2)
    li a0, 1
    addi a1, x2, 528
    li a2, 8
    li a7, 64
    ecall
    ld t0, 512(x2)
    addi t0, t0, 8
    sd t0, 512(x2)
    ld t1, 0(t0)
    bnez t1, each_block
    li a0, 0
    li a7, 93
    ecall
{NEXT.replace("SPECIALS", str(len(SPECIAL)))}
    .data
    .balign 64
frame: .zero 1536
buffer: .zero {BUFFER}
special: .dword {", ".join(hex(v) for v in SPECIAL)}
"""


def program(rng, blocks, rounds):
    """(the text, the blocks)"""
    made = [Block(rng, n) for n in range(blocks)]
    text = [harness(rounds), "blocks:"]
    text += [f"    .dword block{n}" for n in range(blocks)] + ["    .dword 0", "    .text"]
    for n, block in enumerate(made):
        text += [f"    .balign 4\nblock{n}:", *block.lines, "    ld x4, 544(x2)", "    jr x4"]
    return "\n".join(text) + "\n", made


def assemble(text, where):
    source, elf = os.path.join(where, "random.S"), os.path.join(where, "random")
    with open(source, "w", encoding="utf-8") as out:
        out.write(text)
    subprocess.run(["riscv64-linux-gnu-gcc", "-nostdlib", "-static", "-no-pie", "-Wa,-mno-relax",
                    "-march=rv64gc_zba_zbb_zbs", "-Wl,-Ttext=0x80001000,--build-id=none",
                    "-Wl,--no-relax", "-o", elf, source], check=True)
    return elf


def run(command):
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def compare(seed, options, where):
    text, blocks = program(random.Random(seed), options.blocks, options.rounds)
    elf = assemble(text, where)
    ours = run([DBT, "--user", elf, "--memory", "64M", "--engine", options.engine])
    theirs = run(["qemu-riscv64-static", "-cpu", "rv64,zba=true,zbb=true,zbs=true", elf])
    if len(ours) != 8 * options.blocks:
        sys.exit(f"seed {seed}: {len(ours) // 8} blocks of {options.blocks} ran")
    for n, block in enumerate(blocks):
        if ours[8 * n:8 * n + 8] != theirs[8 * n:8 * n + 8]:
            print("\n".join(block.lines))
            sys.exit(f"seed {seed}, block {n}: the results differ")
    return options.blocks * options.rounds * LENGTH


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--programs", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--engine", default="interpret")
    options = parser.parse_args()
    total, seed, end = 0, options.seed, time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as where:
        while seed < options.seed + options.programs or time.monotonic() < end:
            total += compare(seed, options, where)
            seed += 1
    print(f"{total} random instructions in {seed - options.seed} programs: no difference")


if __name__ == "__main__":
    main()

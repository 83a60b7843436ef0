# SPDX-License-Identifier: BSD-2-Clause
"""The translator beside QEMU: each workload in both, alternately, CPU time, the least of some."""
import math
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INTEGER = ("sha256", "crc32", "sort", "sieve", "list", "memcpy", "string", "bytecode", "recursive",
           "indirect")
FLOAT = ("matrix", "nbody", "mandelbrot", "float")
QEMU = ("qemu-system-riscv64", "-M", "virt", "-m", "64", "-bios", "none", "-nographic", "-kernel")
TARGETS = (("integer", INTEGER, 1.5), ("floating point", FLOAT, 2.5))


def cpu_time(command):
    """(exit status, seconds of CPU) of a program."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime


def measure(name, times):
    """(seconds in QEMU, seconds in ours); None when the results differ."""
    program = os.path.join(TOP, "build/dbt", name)
    best = [math.inf, math.inf]
    found = set()
    for _ in range(times):
        for k, command in enumerate(([*QEMU, program], [os.path.join(TOP, "build/dbt/run"),
                                                        program])):
            status, seconds = cpu_time(command)
            found.add(status)
            best[k] = min(best[k], seconds)
    return best if len(found) == 1 else None


def mean(values):
    return math.exp(sum(math.log(value) for value in values) / len(values))


def main(times=3):
    """Prints the table; the number of targets missed."""
    subprocess.run(["ninja", "-C", TOP, "dbt-bench"], check=True, stdout=subprocess.DEVNULL)
    missed = 0
    print(f"\nCPU seconds, the least of {times}; QEMU's include its start\n")
    for kind, names, target in TARGETS:
        ratios = []
        for name in names:
            both = measure(name, times)
            if both is None:
                print(f"{name:<12} the results differ")
                missed += 1
                continue
            ratios.append(both[0] / both[1])
            slower = "  slower than QEMU" if ratios[-1] < 1 else ""
            print(f"{name:<12} QEMU {both[0]:6.2f}  Trivet {both[1]:6.2f}  {ratios[-1]:5.2f} times"
                  f"{slower}", flush=True)
            missed += ratios[-1] < 1
        verdict = "reached" if mean(ratios) >= target else "missed"
        missed += verdict == "missed"
        print(f"{kind}: {mean(ratios):.2f} times QEMU's speed (geometric mean); "
              f"target {target}: {verdict}\n")
    return missed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)

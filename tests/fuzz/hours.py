#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How long each fuzzer has run: adds what build/fuzz/hours.log tells (the runner writes a line for
each run) to the table in README.md, and empties the log."""
import collections
import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOG, README = os.path.join(TOP, "build", "fuzz",
                           "hours.log"), os.path.join(TOP, "tests", "fuzz", "README.md")
ROW = re.compile(r"^\| `(\w+)` \| ([0-9.]+) \| ([0-9]+) \|$")


def logged():
    """{name: [hours, inputs]}"""
    sums = collections.defaultdict(lambda: [0.0, 0])
    if os.path.exists(LOG):
        with open(LOG, encoding="utf-8") as lines:
            for line in lines:
                name, seconds, inputs = line.split()
                sums[name][0] += float(seconds) / 3600
                sums[name][1] += int(inputs)
    return sums


def main():
    new = logged()
    with open(README, encoding="utf-8") as text:
        lines = text.read().splitlines()
    rows = {m[1]: (float(m[2]), int(m[3])) for m in map(ROW.match, lines) if m}
    table = []
    for name in sorted(set(rows) | set(new)):
        hours, inputs = rows.get(name, (0.0, 0))
        table.append(f"| `{name}` | {hours + new[name][0]:.3f} | {inputs + new[name][1]} |")
    first = next(i for i, line in enumerate(lines) if line.startswith("| run |")) + 2
    rest = [line for line in lines[first:] if not ROW.match(line)]
    with open(README, "w", encoding="utf-8") as text:
        text.write("\n".join(lines[:first] + table + rest) + "\n")
    if os.path.exists(LOG):
        os.remove(LOG)
    print("\n".join(table))


if __name__ == "__main__":
    main()

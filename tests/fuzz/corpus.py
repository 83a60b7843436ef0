#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The fuzzers' kept inputs, as text: tests/fuzz/corpus/NAME/inputs.txt, one input a line.

corpus.py unpack NAME DIR    writes each input into a file of DIR (the runner does this) corpus.py
refresh [NAME...]  chooses anew from what the fuzzers found in build/fuzz/NAME/corpus: the fewest
inputs that reach all that they
                             reach together (libFuzzer's -merge), the short ones first, at most
                             BUDGET bytes of text each

tests/fuzz/corpus/NAME/found.txt, in the same form, holds inputs that found a mistake: they stay.

A line is hexadecimal after `x `, or text after `t `, where a byte that is no printable ASCII is
\\xNN and a backslash is doubled. Other files of tests/fuzz/corpus/NAME are inputs as they are.
"""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KEPT, BUDGET, LONGEST = os.path.join(TOP, "tests", "fuzz", "corpus"), 6000, 2000


def as_text(data):
    return "".join("\\\\" if b == 0x5c else chr(b) if 0x20 <= b < 0x7f else f"\\x{b:02x}"
                   for b in data)


def encode(data):
    return min("x " + data.hex(), "t " + as_text(data), key=len)


def decode(line):
    kind, _, text = line.partition(" ")
    if kind == "x":
        return bytes.fromhex(text)
    if kind != "t":
        raise ValueError(f"an input begins with `x ` or `t `: {line[:20]!r}")
    return re.sub(rb"\\(?:\\|x([0-9a-f]{2}))", lambda m: bytes.fromhex(m[1].decode()) if m[1]
                  else b"\\", text.encode())


def kept(name):
    """The kept inputs of a fuzzer."""
    inputs, folder = [], os.path.join(KEPT, name)
    for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        with open(os.path.join(folder, entry), "rb") as file:
            data = file.read()
        inputs += [decode(line) for line in data.decode("ascii").split("\n")
                   if line] if entry.endswith(".txt") else [data]
    return inputs


def unpack(name, folder):
    os.makedirs(folder, exist_ok=True)
    for old in os.listdir(folder):
        os.remove(os.path.join(folder, old))
    for number, data in enumerate(kept(name)):
        with open(os.path.join(folder, f"{number:04}"), "wb") as file:
            file.write(data)


def merged(name):
    """The fewest inputs that reach what all known ones reach."""
    with tempfile.TemporaryDirectory() as seeds, tempfile.TemporaryDirectory() as chosen:
        unpack(name, seeds)
        found = os.path.join(TOP, "build", "fuzz", name, "corpus")
        os.makedirs(found, exist_ok=True)
        subprocess.run([os.path.join(TOP, "build", "host", "fuzz", name), "-merge=1", "-timeout=10",
                        "-verbosity=0", chosen, found, seeds],
                       cwd=TOP, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        inputs = []
        for entry in os.listdir(chosen):
            with open(os.path.join(chosen, entry), "rb") as file:
                inputs.append(file.read())
        return inputs


def refresh(name):
    lines, size = [], 0
    for line in sorted(map(encode, merged(name)), key=lambda line: (len(line), line)):
        if len(line) <= LONGEST and size + len(line) < BUDGET:
            lines.append(line)
            size += len(line) + 1
    os.makedirs(os.path.join(KEPT, name), exist_ok=True)
    with open(os.path.join(KEPT, name, "inputs.txt"), "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")
    print(f"{name}: {len(lines)} inputs, {size} bytes", flush=True)


def names():
    listed = subprocess.run(["ninja", "-t", "targets", "rule", "fuzz"], cwd=TOP, text=True,
                            capture_output=True, check=True)
    return sorted(os.path.basename(path) for path in listed.stdout.split()
                  if path.startswith("build/host/"))


def main():
    command, *arguments = sys.argv[1:] or ["--help"]
    if command == "unpack" and len(arguments) == 2:
        unpack(*arguments)
    elif command == "refresh":
        for name in arguments or names():
            refresh(name)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()

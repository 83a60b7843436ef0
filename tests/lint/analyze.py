# SPDX-License-Identifier: BSD-2-Clause
"""tests/lint/analyze.py clang-tidy|cppcheck: what a compiler does not see, over the whole
hypervisor. First a snippet with mistakes in it, which the tool has to find."""
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# A file is read as the first of these trees compiles it.
TREES = ("host", "x86_64-clang", "aarch64-clang")
OURS = ("arch/", "drivers/", "hv/", "libc-shim/")
BAD = """#include <string.h>
int f(int *p, int n);
int f(int *p, int n)
{
    int a[4] = { 0 };

    memset(p, 0, sizeof(p));
    if (n == 1 || n == 1)
        return a[4];
    if (n);
    return *p;
}
"""


def commands(where):
    """Writes compile_commands.json for the files of all trees; returns their names."""
    listed = subprocess.run(["ninja", "-t", "compdb", "cc"], cwd=TOP, text=True,
                            capture_output=True, check=True)
    rows = {}
    for tree in TREES:
        for row in json.loads(listed.stdout):
            if (row["output"].startswith(f"build/{tree}/") and row["file"].startswith(OURS)
                    and row["file"].endswith(".c")):
                rows.setdefault(row["file"], row)
    with open(os.path.join(where, "compile_commands.json"), "w", encoding="utf-8") as out:
        json.dump(list(rows.values()), out)
    return sorted(rows)


def tidy(args):
    done = subprocess.run(["clang-tidy", "--quiet", f"--config-file={TOP}/.clang-tidy", *args],
                          cwd=TOP, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=False)
    return done.stdout.strip()


def clang_tidy(bad, where):
    cpus = os.cpu_count() or 1
    files = commands(where)
    yield tidy([bad, "--"])
    with ThreadPoolExecutor(cpus) as pool:
        yield "\n".join(filter(None, pool.map(
            lambda cpu: tidy(["-p", where, *files[cpu::cpus]]), range(cpus))))


def check(args):
    done = subprocess.run(["cppcheck", "--quiet", f"-j{os.cpu_count() or 1}", "--std=c11",
                           "--platform=unix64", "--enable=warning,portability", "--inline-suppr",
                           "--template={file}:{line}: {message} [{id}]", "-DDEBUG_LOCKS=1",
                           # enumerators of 0x80000000 and up are unsigned in gcc and clang
                           "--suppress=integerOverflow:hv/guest/x86_64/*", *args],
                          cwd=TOP, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          check=False)
    return done.stderr.strip()


def cppcheck(bad, _where):
    yield check([bad])
    yield check(["-I.", "-Ihv/include", "-Iarch/include", "-Ilibc-shim/include",
                 "arch/common", "boot", "drivers", "hv", "libc-shim"])


def main():
    tool = {"clang-tidy": clang_tidy, "cppcheck": cppcheck}[sys.argv[1]]
    with tempfile.TemporaryDirectory(prefix="analyze-") as where:
        bad = os.path.join(where, "bad.c")
        with open(bad, "w", encoding="utf-8") as out:
            out.write(BAD)
        found, faults = tool(bad, where)
    if found.count("bad.c:") < 2:
        print(f"{sys.argv[1]} does not find the mistakes in its own test:\n{found}")
        return 1
    print(faults or "no fault found")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""`ninja coverage`: the lines and branches of the portable code that the unit tests and the
fuzzers' kept inputs reach, by clang's source-based coverage.

coverage.py           runs the programs of build/cov, which ninja has built; writes
                      build/cov/report.txt and build/cov/html, and prints a line for each folder
coverage.py --check   tries all that on one small test (the build test build/coverage)
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests/fuzz"))
import corpus  # noqa: E402

TREE = "build/cov"
LIMIT = 300                             # seconds that a program may take
KINDS = ("lines", "branches")
NOT_OURS = r"-ignore-filename-regex=/(tests|build)/|^/usr/"
SMALL, SMALL_SOURCE = f"{TREE}/check/ini", "libc-shim/ini.c"
SMALL_LEAST = 90                        # per cent of its lines that tests/unit/ini.c reaches


def programs(folder):
    return sorted(os.path.join(folder, name) for name in os.listdir(os.path.join(TOP, folder))
                  if os.access(os.path.join(TOP, folder, name), os.X_OK))


def run(program):
    """Runs it; (its profile, what went wrong or nothing)."""
    raw, name = f"{TREE}/raw/{program.replace('/', '-')}.profraw", os.path.basename(program)
    command = [program]
    if "/fuzz/" in program:
        seeds = f"{TREE}/seeds/{name}"
        corpus.unpack(name, os.path.join(TOP, seeds))
        command += ["-runs=0", "-timeout=60", f"-artifact_prefix={TREE}/", seeds]
    try:
        done = subprocess.run(command, cwd=TOP, env=dict(os.environ, LLVM_PROFILE_FILE=raw),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return raw, f"{program}: took longer than {LIMIT} s"
    return raw, (f"{program}: ended with {done.returncode}: "
                 f"{done.stderr.decode(errors='replace')[-300:]}" if done.returncode else "")


def profile(names):
    """Runs the programs, as many at a time as there are CPUs; the path of what they reached."""
    raws = os.path.join(TOP, TREE, "raw")
    os.makedirs(raws, exist_ok=True)
    for old in os.listdir(raws):
        os.remove(os.path.join(raws, old))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        results = list(workers.map(run, names))
    wrong = [why for _, why in results if why]
    if wrong:
        sys.exit("coverage: " + "\ncoverage: ".join(wrong))
    merged = f"{TREE}/merged.profdata"
    with open(os.path.join(TOP, TREE, "raws"), "w", encoding="utf-8") as listed:
        listed.writelines(raw + "\n" for raw, _ in results
                          if os.path.exists(os.path.join(TOP, raw)))
    subprocess.run(["llvm-profdata", "merge", "-sparse", "-input-files", f"{TREE}/raws", "-o",
                    merged], cwd=TOP, check=True)
    return merged


def llvm_cov(action, merged, names, *more):
    objects = [word for name in names[1:] for word in ("-object", name)]
    return subprocess.run(["llvm-cov", action, names[0], *objects, f"-instr-profile={merged}",
                           NOT_OURS, *more], cwd=TOP, text=True, check=True,
                          stdout=subprocess.PIPE).stdout


def summed(exported):
    """{folder: {kind: [reached, all]}} of llvm-cov's summary, and the sum as `all`."""
    sums = {}
    for file in json.loads(exported)["data"][0]["files"]:
        folder = os.path.dirname(os.path.relpath(file["filename"], TOP))
        for row in (folder, "all"):
            for kind in KINDS:
                cell = sums.setdefault(row, {}).setdefault(kind, [0, 0])
                cell[0] += file["summary"][kind]["covered"]
                cell[1] += file["summary"][kind]["count"]
    return sums


def percent(cell):
    return 100 * cell[0] / cell[1] if cell[1] else 100.0


def show(sums):
    print(f"{'folder':<28}" + "".join(f"{kind:>22}" for kind in KINDS))
    for folder in sorted(sums, key=lambda name: (name == "all", name)):
        print(f"{folder:<28}" + "".join(
            f"{f'{cell[0]}/{cell[1]} {percent(cell):5.1f} %':>22}"
            for cell in (sums[folder][kind] for kind in KINDS)))


def report(names):
    """Runs the programs and writes the reports; the sums by folder."""
    merged = profile(names)
    with open(os.path.join(TOP, TREE, "report.txt"), "w", encoding="utf-8") as text:
        text.write(llvm_cov("report", merged, names))
    llvm_cov("show", merged, names, "-format=html", f"-output-dir={TREE}/html",
             "-show-branches=count", "-show-instantiations=false")
    return summed(llvm_cov("export", merged, names, "-summary-only"))


def check():
    """One small test with one source, in files of its own."""
    global TREE
    subprocess.run(["ninja", "--quiet", SMALL], cwd=TOP, check=True)
    TREE += "/check"
    cell = report([SMALL])[os.path.dirname(SMALL_SOURCE)]
    page = os.path.join(TOP, TREE, "html/coverage", f"{TOP}/{SMALL_SOURCE}.html".lstrip("/"))
    with open(page, encoding="utf-8") as text:
        shown = text.read()
    assert "Branch (" in shown and "ini_parse" in shown, "the page shows no branches"
    assert percent(cell["lines"]) >= SMALL_LEAST, f"{SMALL} reaches {cell['lines']} lines"
    assert 0 < cell["branches"][0] <= cell["branches"][1], cell
    print(f"coverage: {SMALL_SOURCE}: {cell['lines']} lines, {cell['branches']} branches")


def main():
    parser = argparse.ArgumentParser(prog="tests/coverage.py")
    parser.add_argument("--check", action="store_true", help="try it on one small test")
    if parser.parse_args().check:
        check()
        return
    names = [name for folder in ("unit", "fuzz") for name in programs(f"{TREE}/{folder}")]
    show(report(names))
    print(f"each file: {TREE}/report.txt; each line: {TREE}/html/index.html")


if __name__ == "__main__":
    main()

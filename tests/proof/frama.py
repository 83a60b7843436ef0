# SPDX-License-Identifier: BSD-2-Clause
"""tests/proof/frama.py DRIVER.proof: has Frama-C prove a piece of the code free of run-time errors,
and fail on each seeded mistake.

The driver is C; its first comment says what is to be done, a line each:
    source FILE                  the code: a copy of it is what the driver includes
    wp FUNCTION...               WP with Z3 proves the contracts of these and the absence of
                                 run-time errors in them
    accept TEXT: REASON          a goal whose line has TEXT is not proved, and why that is no harm
    mutant FILE | OLD | NEW | WHAT [| FUNCTION...]   with OLD replaced by NEW the proof (of these
                                 functions only) must fail
Annotations are woven into the copies: a comment `/* before FILE | TEXT` + lines + `*/` in the
driver puts them, as ACSL, before the one place in FILE that begins with TEXT. So the code stays as
it is, and whoever changes it looks at the proof again.
"""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LINE = re.compile(r"^ \* (source|wp|accept|mutant)\b ?(.*)$", re.M)
WEAVE = re.compile(r"^/\* before (\S+) \| (.*?)\n(.*?)^ ?\*/$", re.M | re.S)
INCLUDE = ("", "hv/include", "arch/include", "libc-shim/include")
# A goal's search ends after so many of Z3's steps: what is proved does not depend on how fast.
SECONDS, GOAL_SECONDS, GOAL_STEPS = 240, 120, 6000000


def once(text, old, new, what):
    if text.count(old) != 1:
        raise SystemExit(f"{what}: found {text.count(old)} times, not once: {old}")
    return text.replace(old, new)


def woven(driver, sources, mutant=None):
    """{path: text} of the code with annotations, and with one mistake."""
    files = {}
    for path in sources:
        with open(os.path.join(TOP, path), encoding="utf-8") as text:
            files[path] = text.read()
    for path, anchor, acsl in WEAVE.findall(driver):
        files[path] = once(files[path], anchor, f"/*@ {acsl.strip()} */\n{anchor}", path)
    if mutant:
        path, old, new = mutant
        files[path] = once(files[path], old, new, path)
    return files


def provers(where):
    """A configuration of Why3's own, so that nothing in anybody's home is read or written."""
    config = os.path.join(where, "why3.conf")
    subprocess.run(["why3", "config", "detect", "-C", config], check=True, capture_output=True)
    return config


def unproved(driver, files, functions):
    """(lines of Frama-C's that tell of something not proved, number of goals that are proved)."""
    with tempfile.TemporaryDirectory(prefix="frama-") as where:
        for path, text in {**files, "driver.c": driver}.items():
            os.makedirs(os.path.dirname(os.path.join(where, path)), exist_ok=True)
            with open(os.path.join(where, path), "w", encoding="utf-8") as copy:
                copy.write(text)
        flags = " ".join(f"-I{os.path.join(base, path)}" for base in (where, TOP)
                         for path in INCLUDE) + " -DDEBUG_LOCKS=0"
        command = ["frama-c", "-c11", "-machdep", "gcc_x86_64", f"-cpp-extra-args={flags}", "-wp",
                   "-wp-rte", "-wp-model", "Typed+Cast",
                   "-wp-prover", "z3", "-wp-timeout", str(GOAL_SECONDS),
                   "-wp-steps", str(GOAL_STEPS),
                   "-wp-par", "2", "-wp-fct", ",".join(functions),
                   os.path.join(where, "driver.c")]
        done = subprocess.run(command, cwd=where, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=SECONDS,
                              check=False, env=dict(os.environ, WHY3CONFIG=provers(where)))
    proved = re.search(r"Proved goals: +(\d+) / (\d+)", done.stdout)
    if done.returncode or not proved:
        raise SystemExit(done.stdout)
    bad = [line for line in done.stdout.splitlines()
           if re.match(r"\[wp\] \[.*\] Goal .* : (?!Valid)", line)]
    if len(bad) != int(proved.group(2)) - int(proved.group(1)):
        raise SystemExit("Frama-C's lines and its count do not agree:\n" + done.stdout)
    return bad, int(proved.group(1))


def main():
    path = os.path.abspath(sys.argv[1])
    with open(path, encoding="utf-8") as text:
        driver = text.read()
    lines = LINE.findall(driver)
    sources = [rest for kind, rest in lines if kind == "source"]
    functions = [name for kind, rest in lines if kind == "wp" for name in rest.split()]
    accepted = [rest.partition(": ")[0] for kind, rest in lines if kind == "accept"]
    mutants = [rest.split(" | ") for kind, rest in lines if kind == "mutant"]
    if not functions or not mutants or not sources:
        sys.exit("a proof needs code, functions and a mistake that it finds")

    def run(mutant=None, wanted=None):
        bad, proved = unproved(driver, woven(driver, sources, mutant), wanted or functions)
        listed = [line for line in bad if any(text in line for text in accepted)]
        return [line for line in bad if line not in listed], proved, len(listed)

    bad, proved, listed = run()
    print("\n".join(bad))
    print(f"{'FAIL' if bad else 'ok  '} {' '.join(sources)}: {proved} goals proved, {listed} on "
          f"the list, {len(bad)} not", flush=True)
    failed = len(bad)
    for mutant in mutants:
        found, _, _ = run(mutant[:3], "".join(mutant[4:]).split())
        print(f"{'ok  ' if found else 'FAIL'} mistake found: {mutant[3]}: {found[:1]}", flush=True)
        failed += not found
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: BSD-2-Clause
"""tests/proof/spin.py MODEL.pml: has Spin verify a model, and refute each of its mutants; checks
that the code it stands for is there.

The model's first comment says what is to be done, a line each; the words before the colon are
macros:
    verify MACRO...: what this variant covers refute MACRO...: the step that is left out, or done
    wrongly: Spin must find an error, else the model proves nothing. What is
                     not said of the first `verify` line's macros holds for these, too.
A comment `// code FILE FUNCTION: TEXT` ties a step to the code: TEXT must be found in that
function, and several of one function in their order. So whoever changes the code looks at the model
again.
"""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIE = re.compile(r"^\s*// code (\S+) (\w+): (.*)$", re.M)
TASK = re.compile(r"^ \* (verify|refute) ([A-Z0-9_= ]+): (.*)$", re.M)
DEPTH, MEGABYTES, SECONDS = 1000000, 1500, 200


def squeezed(text):
    return re.sub(r"\s+", "", text)


def body_of(source, function):
    """The text of a function that begins in column 0, without comments; None: there is no such
    function."""
    found = re.search(rf"^\w[^;{{}}=]*\b{function}\([^;{{}}]*\)\s*\n?{{.*?^}}", source, re.M | re.S)
    return re.sub(r"/\*.*?\*/", "", found.group(0), flags=re.S) if found else None


def of_tree(path):
    """A file's text, or None."""
    full = os.path.join(TOP, path)
    if not os.path.exists(full):
        return None
    with open(full, encoding="utf-8") as source:
        return source.read()


def broken_ties(model, read=of_tree):
    """What a model says of the code and is not so, as lines of text."""
    at, broken = {}, []
    for path, function, text in TIE.findall(model):
        text_of_file = read(path)
        if text_of_file is None:
            broken.append(f"{path} is no more")
            continue
        body = body_of(text_of_file, function)
        if body is None:
            broken.append(f"{path} has no function {function}()")
            continue
        place = squeezed(body).find(squeezed(text), at.get((path, function), 0))
        if place < 0:
            broken.append(f"{function}() in {path} does not have, in this order: {text}")
        else:
            at[path, function] = place
    return broken


def run(command, where):
    done = subprocess.run(command, cwd=where, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
    return done.returncode, done.stdout


def errors_found(path, macros, optimise):
    """(number of errors, states) of one run of Spin over all states. What is not a complete search
    raises."""
    with tempfile.TemporaryDirectory(prefix="spin-") as where:
        for command in (["spin", *[f"-D{macro}" for macro in macros], "-a", path],
                        ["gcc", optimise, "-w", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEGABYTES}",
                         "-o", "pan", "pan.c"]):
            status, output = run(command, where)
            if status:
                raise RuntimeError(output)
        _, output = run(["./pan", "-E", f"-m{DEPTH}"], where)
    errors = re.search(r"errors: (\d+)", output)
    if not errors or "search depth too small" in output or "out of memory" in output:
        raise RuntimeError("the search is not complete:\n" + output)
    return int(errors.group(1)), int(re.search(r"(\d+) states, stored", output).group(1))


def main():
    path = os.path.abspath(sys.argv[1])
    with open(path, encoding="utf-8") as text:
        model = text.read()
    tasks, wrong = TASK.findall(model), broken_ties(model)
    for line in wrong:
        print(f"{os.path.basename(path)}: {line}")
    if {task[0] for task in tasks} != {"verify", "refute"} or not TIE.search(model):
        wrong.append("a model needs ties to the code, something to verify and something to refute")
        print(wrong[-1])
    first = next((macros.split() for kind, macros, _ in tasks if kind == "verify"), [])
    for kind, macros, what in tasks:
        macros = macros.split()
        extra = [] if kind == "verify" or len(macros) > 1 else first
        errors, states = errors_found(path, macros + extra, "-O2" if kind == "verify" else "-O0")
        good = (errors == 0) == (kind == "verify")
        print(f"{'ok  ' if good else 'FAIL'} {kind} {' '.join(macros)}: {errors} errors in "
              f"{states} states: {what}", flush=True)
        if not good:
            wrong.append(what)
    return len(wrong) > 0


if __name__ == "__main__":
    sys.exit(main())

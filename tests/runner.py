# SPDX-License-Identifier: BSD-2-Clause
"""Runs Trivet's tests; called by tests/run, which explains the arguments.

Every test runs in a process group of its own, with a time-out; whatever a test leaves running is
ended by process id: this program makes itself the parent of orphans (prctl PR_SET_CHILD_SUBREAPER),
so that none can get away.
"""
import argparse
import collections
import ctypes
import fnmatch
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.append(os.path.join(TOP, "tests", "fuzz"))
import corpus  # noqa: E402  tests/fuzz/corpus.py
LOGS = os.path.join(TOP, "build", "test-logs")
PR_SET_CHILD_SUBREAPER = 36
# lines of a failed test's output that are shown: its first ones and its last ones
HEAD, TAIL = 30, 40
PYTHON = ["/usr/bin/python3", "-B"]


class Test:
    """One program whose exit status is the verdict."""

    def __init__(self, name, command, limit=120, environment=None):
        self.name, self.command, self.limit = name, command, limit
        self.environment = environment or {}


def shortened(lines):
    """The first lines, which tell what failed, and the last, where the serial line ends; long ones
    are cut."""
    if len(lines) > HEAD + TAIL:
        lines = [*lines[:HEAD], f"... {len(lines) - HEAD - TAIL} lines, see build/test-logs ...",
                 *lines[-TAIL:]]
    return [line[:300] for line in lines]


class Report:
    """Prints one line per test as it ends, and counts."""

    def __init__(self, verbose):
        self.passed = self.failed = 0
        self.verbose = verbose
        self.lock = threading.Lock()

    def done(self, name, passed, seconds, output):
        with self.lock:
            self.passed += passed
            self.failed += not passed
            print(f"{'ok  ' if passed else 'FAIL'} {name:<52} {seconds:7.1f} s", flush=True)
            if not passed or self.verbose:
                for line in shortened(output.rstrip().splitlines()):
                    print("     | " + line)
                sys.stdout.flush()


def children_of(parent):
    """Process ids whose parent is `parent`."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(entry))
    return found


def end_tree(pid):
    """Ends a process and all its descendants, the youngest first."""
    for child in children_of(pid):
        end_tree(child)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Processes:
    """The tests that run now, and the end of everything they started."""

    def __init__(self):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.running = {}
        self.lock = threading.Lock()

    def start(self, command, output, environment=None):
        with self.lock:     # else another thread would take the new process for an orphan
            process = subprocess.Popen(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True,
                                       env=dict(os.environ, **(environment or {})))
            self.running[process.pid] = process
        return process

    def end(self, process):
        end_tree(process.pid)
        process.wait()
        with self.lock:
            self.running.pop(process.pid, None)
        self.end_orphans()

    def end_orphans(self):
        with self.lock:
            known = set(self.running)
            for pid in children_of(os.getpid()):
                if pid not in known:
                    end_tree(pid)
                    try:
                        os.waitpid(pid, 0)
                    except ChildProcessError:
                        pass

    def end_all(self):
        for process in list(self.running.values()):
            self.end(process)
        self.end_orphans()


def log_file(name):
    os.makedirs(LOGS, exist_ok=True)
    return os.path.join(LOGS, name.replace("/", "_") + ".log")


def contents(path):
    with open(path, encoding="utf-8", errors="replace") as text:
        return text.read()


def run_one(test, processes, report):
    path = log_file(test.name)
    started = time.monotonic()
    with open(path, "w", encoding="utf-8") as output:
        process = processes.start(test.command, output, test.environment)
        try:
            passed = process.wait(test.limit) == 0
        except subprocess.TimeoutExpired:
            passed = False
            output.write(f"\nno end after {test.limit} s: stopped\n")
        processes.end(process)
    report.done(test.name, passed, time.monotonic() - started, contents(path))
    if test.name.startswith("fuzz/"):
        note_hours(os.path.basename(test.name), time.monotonic() - started, contents(path))


def note_hours(name, seconds, output):
    """A line of build/fuzz/hours.log, which tests/fuzz/hours.py adds up: fuzzer, seconds,
    inputs."""
    inputs = re.search(r"stat::number_of_executed_units: *([0-9]+)", output)
    with open(os.path.join(TOP, "build", "fuzz", "hours.log"), "a", encoding="utf-8") as log:
        log.write(f"{name} {seconds:.0f} {inputs[1] if inputs else 0}\n")


def run_all(tests, processes, report, jobs):
    """Runs tests side by side, `jobs` at a time."""
    waiting = queue.SimpleQueue()
    for test in tests:
        waiting.put(test)

    def worker():
        while True:
            try:
                test = waiting.get_nowait()
            except queue.Empty:
                return
            run_one(test, processes, report)

    workers = [threading.Thread(target=worker, daemon=True) for _ in range(min(jobs, len(tests)))]
    for thread in workers:
        thread.start()
    for thread in workers:
        while thread.is_alive():
            thread.join(0.2)


# ---- the groups: each function lists its tests ----

def lint_tests(_options):
    listed = subprocess.run([*PYTHON, "tests/lint/lint", "--list"], cwd=TOP, text=True,
                            capture_output=True, check=True)
    yield Test("lint/selftest", [*PYTHON, "tests/lint/selftest.py"])
    for rule in listed.stdout.split():
        yield Test(f"lint/{rule}", [*PYTHON, "tests/lint/lint", rule])
    for tool in ("clang-tidy", "cppcheck"):
        yield Test(f"lint/{tool}", [*PYTHON, "tests/lint/analyze.py", tool])


def run_tests(_options):
    yield Test("run/selftest", [*PYTHON, "tests/runner_selftest.py"])


def build_tests(_options):
    for name, target in (("gcc", "x86_64"), ("clang", "clang"), ("aarch64", "aarch64")):
        yield Test(f"build/{name}", ["ninja", target], limit=900)
    yield Test("build/docs", ["ninja", "docs"], limit=300)
    yield Test("build/layers", ["tests/lint/layers.py"], limit=900)
    yield Test("build/elf", ["tests/elf"])
    yield Test("build/image", ["tests/image"], limit=300)
    yield Test("build/commands", ["tests/commands"], limit=300)
    yield Test("build/coverage", [*PYTHON, "tests/coverage.py", "--check"])
    yield Test("build/check-config", [*PYTHON, "tests/config/check_config.py"])


def programs(rule, tree="build/host"):
    """Names of the programs that a ninja rule makes in one output tree: build/host/unit/NAME."""
    listed = subprocess.run(["ninja", "-t", "targets", "rule", rule], cwd=TOP, text=True,
                            capture_output=True, check=True)
    return sorted(path for path in listed.stdout.split() if path.startswith(tree + "/"))


def unit_tests(_options):
    for path in programs("unit"):
        yield Test("unit/" + os.path.basename(path), [path],
                   environment={"UBSAN_OPTIONS": "print_stacktrace=1"})


def tsan_tests(_options):
    yield Test("tsan/selftest", [*PYTHON, "tests/tsan/selftest.py"], limit=300)
    for path in programs("tsan", "build/tsan"):
        yield Test("tsan/" + os.path.basename(path), [path],
                   environment={"TSAN_OPTIONS": "history_size=4"})


def proof_tests(_options):
    yield Test("proof/selftest", [*PYTHON, "tests/proof/selftest.py"])
    for name in sorted(os.listdir(os.path.join(TOP, "tests/proof"))):
        if name.endswith(".pml"):
            yield Test(f"proof/{name[:-4]}",
                       [*PYTHON, "tests/proof/spin.py", f"tests/proof/{name}"], limit=600)
        elif name.endswith(".proof"):
            yield Test(f"proof/{name[:-6]}",
                       [*PYTHON, "tests/proof/frama.py", f"tests/proof/{name}"], limit=600)


def fuzz_tests(options):
    seconds = int(options.minutes * 60) if options.minutes else 6
    for path in programs("fuzz"):
        name = os.path.basename(path)
        found, seeds = f"build/fuzz/{name}/corpus", f"build/fuzz/{name}/kept"
        os.makedirs(os.path.join(TOP, found), exist_ok=True)
        corpus.unpack(name, os.path.join(TOP, seeds))
        command = [path, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
                   "-print_final_stats=1", "-verbosity=0",
                   f"-artifact_prefix=build/fuzz/{name}/", found, seeds]
        yield Test("fuzz/" + name, command, limit=seconds + 60,
                   environment={"UBSAN_OPTIONS": "print_stacktrace=1"})


def dbt_tests(_options):
    """The translator as an ordinary program: tests/dbt."""
    for path in programs("rvasm", "build/dbt"):
        yield Test("dbt/" + os.path.basename(path),
                   ["build/dbt/dbt", "--limit", "10M", "--elf", path])
        yield Test("dbt/lockstep-" + os.path.basename(path),
                   ["build/dbt/dbt", "--engine", "lockstep", "--limit", "10M", "--elf", path])
        yield Test("dbt/moved-" + os.path.basename(path),
                   ["build/dbt/dbt", "--engine", "lockstep", "--move", "1", "--limit", "10M",
                    "--elf", path])
    yield Test("dbt/disassemble", ["tests/dbt/disassemble.py"])
    yield Test("dbt/firmware", ["tests/dbt/firmware.py"], limit=300)
    yield Test("dbt/testfloat", ["build/dbt/testfloat"], limit=300)
    yield Test("dbt/differ", ["tests/dbt/differ.py"], limit=300)
    yield Test("dbt/debian", ["tests/dbt/debian.py", "--harts", "2"], limit=300)
    yield Test("dbt/debian-jit", ["tests/dbt/debian.py", "--engine", "jit"], limit=300)
    yield Test("dbt/debian-jit-2", ["tests/dbt/debian.py", "--engine", "jit", "--harts", "2"],
               limit=300)


GROUPS = {"lint": lint_tests, "run": run_tests, "build": build_tests, "unit": unit_tests,
          "tsan": tsan_tests, "proof": proof_tests,
          "fuzz": fuzz_tests, "dbt": dbt_tests}


# ---- whole-machine tests: pytest with a reporter of ours ----

def pytest_command(arguments):
    return [*PYTHON, "-m", "pytest", "-q", "-p", "pytest_report", "-p", "no:cacheprovider",
            *arguments]


COLLECT = "qemu/collect"          # in place of all names, when pytest finds a mistake in a file
# groups that are not among the tests of a run without names, and their folders
APART = {"guests-from-debian": "tests/strangers", "tools-from-debian": "tests/tools",
         "long": "tests/long"}


def asked_groups(patterns):
    groups = {name.split("/")[0] for name in patterns}
    return groups & {"qemu", *APART}


def pytest_names(patterns):
    """{name: pytest's node id} of the whole-machine tests."""
    asked = {APART.get(group, "tests/qemu") for group in asked_groups(patterns)}
    if len(asked) > 1:
        sys.exit("give names of one group of machine tests at a time: " + ", ".join(sorted(asked)))
    return names_in(asked.pop() if asked else "tests/qemu")


def names_in(folder):
    """The same, of the files of a folder."""
    if not os.path.isdir(os.path.join(TOP, folder)):
        return {}
    listed = subprocess.run(pytest_command(["--collect-only", folder]), cwd=TOP, text=True,
                            capture_output=True, check=False,
                            env=dict(os.environ, PYTHONPATH="tests"))
    nodes = [line for line in listed.stdout.splitlines() if "::" in line]
    if listed.returncode not in (0, 5):
        return {COLLECT: folder}
    return {short_name(node): node for node in nodes}


def short_name(node):
    path, _, name = node.partition("::")
    module = os.path.basename(path)[len("test_"):-len(".py")]
    name = name.replace("::", "/")
    group = next((name for name, folder in APART.items() if folder in path), "qemu")
    return f"{group}/{module}/{name[len('test_'):] if name.startswith('test_') else name}"


def run_pytest(kind, names, nodes, processes, report, limit=900):
    """One pytest for a group, so that its tests can share a machine; each result is printed when it
    is there."""
    results, path = os.path.join(TOP, "build", f"pytest-results-{kind}.jsonl"), log_file(kind)
    open(results, "w", encoding="utf-8").close()
    waiting = dict.fromkeys(names)
    with open(path, "w", encoding="utf-8") as output, open(results, encoding="utf-8") as lines:
        process = processes.start(pytest_command(nodes), output,
                                  {"PYTHONPATH": "tests", "TRIVET_RESULTS": results})
        last = time.monotonic()
        while True:
            ended = process.poll() is not None
            for line in lines:
                result = json.loads(line)
                name = short_name(result["node"])
                waiting.pop(name, None)
                with open(log_file(name), "w", encoding="utf-8") as log:
                    log.write(result["output"])
                report.done(name, result["passed"], result["seconds"], result["output"])
                last = time.monotonic()
            if ended or time.monotonic() - last > limit:
                break
            time.sleep(0.2)
        processes.end(process)
    for name in waiting:
        why = "pytest ended before this test" if ended else f"no result after {limit} s: stopped"
        report.done(name, False, time.monotonic() - last, why + "\n" + contents(path))


# Files of tests that take longest, to begin with: what is short fills up the end.
LONG = ("debian", "arm_debian", "hostile", "contained", "arm_contained", "vmx_debian")


def machine_groups(machine):
    """(QEMU's, Bochs's), each a list of (name, {test: node}): the tests of one file, which share a
    machine. Bochs needs one CPU, however many it shows."""
    kinds = {"qemu": {}, "bochs": {}}
    for name, node in machine.items():
        module = name.split("/")[1]
        kind = "bochs" if "vmx" in name or "bochs" in name else "qemu"
        kinds[kind].setdefault(module, {})[name] = node
    def order(entry):
        module = entry[0]
        return LONG.index(module) if module in LONG else len(LONG)
    return tuple([(f"{kind}-{module}", tests)
                  for module, tests in sorted(groups.items(), key=order)]
                 for kind, groups in kinds.items())


def take(mine, others):
    """The next group for a lane: its own first one, or the other lane's last one when it has no
    more; None: all are taken."""
    return mine.popleft() if mine else others.pop() if others else None


def run_machines(machine, processes, report, rounds):
    """Two machines at a time: while Bochs's tests last, one of each kind. What is emulated is not
    touched by how long that takes. `rounds`: how often guests are saved, if not as usual."""
    limit = 900 + 60 * (rounds or 0)
    lanes = [collections.deque(groups) for groups in machine_groups(machine)]
    choice = threading.Lock()

    def lane(mine, others):
        while True:
            with choice:
                group = take(mine, others)
            if not group:
                return
            name, tests = group
            run_pytest(name, tests.keys(), list(tests.values()), processes, report, limit)

    pairs = [lanes, lanes[::-1]] if (os.cpu_count() or 1) > 1 else [lanes]
    workers = [threading.Thread(target=lane, args=pair, daemon=True) for pair in pairs]
    for worker in workers:
        worker.start()
    for worker in workers:
        while worker.is_alive():
            worker.join(0.2)


# ---- choosing and running ----

def chosen(name, patterns):
    if not patterns:
        return True
    parts = name.split("/")
    candidates = {name, parts[0], parts[-1], "/".join(parts[1:]), "/".join(parts[:2])}
    return any(candidate == pattern or fnmatch.fnmatchcase(candidate, pattern)
               for pattern in patterns for candidate in candidates)


def needed(tests, machine):
    """The targets that the chosen tests need: each program by its path, and the product where a
    machine or its files are looked at."""
    targets = {test.command[0] for test in tests if test.command[0].startswith("build/")}
    groups = {test.name.split("/")[0] for test in tests}
    if machine or "build" in groups:
        targets |= {"x86_64", "aarch64", "guests", "build/check-config"}
    if "dbt" in groups:
        targets |= {"build/dbt/programs"}
    return sorted(targets | ({"tsan"} if "tsan" in groups else set()))


def build(targets, processes):
    """Builds what the tests need; the output is shown only on failure."""
    started = time.monotonic()
    path = log_file("build")
    with open(path, "w", encoding="utf-8") as output:
        process = processes.start(["ninja", *targets], output)
        failed = process.wait() != 0
        processes.end(process)
    if failed:
        print(contents(path))
        sys.exit("the build failed\n0 passed, 1 failed")
    print(f"built in {time.monotonic() - started:.1f} s", flush=True)


def collect(options):
    tests = [test for group in GROUPS.values() for test in group(options)]
    machine = pytest_names(options.names)
    wanted = [test for test in tests if chosen(test.name, options.names)]
    found = {name: node for name, node in machine.items() if chosen(name, options.names)}
    if COLLECT in machine and (not wanted or asked_groups(options.names)):
        found = machine     # its names are not known: pytest says why
    return wanted, found


def parse():
    parser = argparse.ArgumentParser(prog="tests/run")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--rounds", type=int,
                        help="with qemu/saved, qemu/arm_saved: how often each guest is saved")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--coverage", action="store_true",
                        help="with fuzz or fuzz/NAME: what the fuzzers reach "
                             "(tests/fuzz/coverage.py)")
    return parser.parse_args()


def main():
    options = parse()
    if options.coverage:
        names = [name.split("/")[1] for name in options.names if "/" in name]
        return subprocess.run([*PYTHON, "tests/fuzz/coverage.py", *names], cwd=TOP,
                              check=False).returncode
    if options.rounds:
        os.environ["TRIVET_ROUNDS"] = str(options.rounds)   # read by tests/qemu/trivet.py
    tests, machine = collect(options)
    if options.list:
        apart = [] if options.names else [name for folder in APART.values()
                                          for name in names_in(folder)]
        print("\n".join([test.name for test in tests] + list(machine) + apart))
        return 0
    if not tests and not machine:
        sys.exit(f"no test is called {' '.join(options.names)}; ./tests/run --list names them all")
    processes, report = Processes(), Report(options.verbose)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        targets = needed(tests, machine)
        if targets:
            build(targets, processes)
        jobs = os.cpu_count() or 1
        run_all([test for test in tests if not test.name.startswith("build/")], processes, report,
                jobs)
        run_all([test for test in tests if test.name.startswith("build/")], processes, report, 1)
        if machine:
            run_machines(machine, processes, report, options.rounds)
    except KeyboardInterrupt:
        print("interrupted")
        report.failed += 1
    finally:
        processes.end_all()
    print(f"{report.passed} passed, {report.failed} failed")
    return report.failed > 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: BSD-2-Clause
"""Shows that the runner tells passed from failed, and ends what hangs and what gets away."""
import collections
import contextlib
import io
import os
import sys
import time

import runner

ESCAPE = "setsid sleep 4321 </dev/null >/dev/null 2>&1 & "


def alive(text):
    """Processes whose command line holds `text`, apart from this one."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as line:
                if text.encode() in line.read().replace(b"\0", b" "):
                    found.append(int(entry))
    return found


def run(command, limit=20):
    """(passed, failed, what was printed) of one test."""
    report, printed = runner.Report(False), io.StringIO()
    with contextlib.redirect_stdout(printed):
        runner.run_one(runner.Test("run/probe", ["bash", "-c", command], limit), PROCESSES, report)
    return report.passed, report.failed, printed.getvalue()


def check(what, truth):
    print(("ok: " if truth else "WRONG: ") + what)
    return truth


def lanes_share():
    """Both lanes empty two lists of groups, and each group holds the tests of one file on one kind
    of machine."""
    names = ["qemu/boot/usb", "qemu/boot/nvme", "qemu/debian/load", "qemu/hostile/x[svm-a]",
             "qemu/hostile/x[vmx-a]", "qemu/vmx/model[1]", "qemu/bochs/old"]
    groups = runner.machine_groups({name: "node of " + name for name in names})
    qemu, bochs = (collections.deque(part) for part in groups)
    ran = []
    while group := runner.take(bochs, qemu):
        ran.append(group[0])
        if len(ran) == 2:
            ran.append(runner.take(qemu, bochs)[0])
    tests = [name for part in groups for _, held in part for name in held]
    return (ran == ["bochs-hostile", "bochs-vmx", "qemu-debian", "bochs-bochs", "qemu-boot",
                    "qemu-hostile"] and sorted(tests) == sorted(names)
            and list(groups[0][2][1]) == ["qemu/boot/usb", "qemu/boot/nvme"])


def main():
    results = []
    results.append(check("status 0 passes", run("exit 0")[:2] == (1, 0)))
    passed, failed, text = run("echo the reason; exit 3")
    results.append(check("status 3 fails", (passed, failed) == (0, 1)))
    results.append(check("a failed test's output is shown", "| the reason" in text))
    text = run("seq 1000; exit 1")[2]
    results.append(check("a long one's first and last lines are",
                         "| 1\n" in text and "| 1000\n" in text and "| 500\n" not in text))
    results.append(check("a passed test's output is not", "noise" not in run("echo noise")[2]))
    results.append(check("a signal fails", run("kill -SEGV $$")[:2] == (0, 1)))
    started = time.monotonic()
    passed, failed, text = run(ESCAPE + "echo last screen; sleep 4321", limit=1)
    results.append(check("a hung test fails", (passed, failed) == (0, 1) and "last screen" in text))
    results.append(check("... soon", time.monotonic() - started < 10))
    results.append(check("... and leaves nothing", not alive("sleep 4321")))
    run(ESCAPE + "exit 0")
    results.append(check("a passed test leaves nothing", not alive("sleep 4321")))
    results.append(check("names, groups and patterns choose",
                         runner.chosen("qemu/boot/usb", ["qemu"])
                         and runner.chosen("qemu/boot/usb", ["usb"])
                         and runner.chosen("qemu/boot/usb", ["boot/*"])
                         and runner.chosen("fuzz/ini", ["fuzz/ini"])
                         and not runner.chosen("fuzz/ini", ["unit"])))
    results.append(check("every machine test is run once, by either lane, long ones first",
                         lanes_share()))
    return not all(results)


if __name__ == "__main__":
    PROCESSES = runner.Processes()
    sys.exit(main())

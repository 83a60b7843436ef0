# SPDX-License-Identifier: BSD-2-Clause
"""pytest plugin: one JSON line per finished test, to the file named by TRIVET_RESULTS, for
tests/runner.py."""
import json
import os

PARTS = {}


def pytest_runtest_logreport(report):
    """A test is set-up, call and tear-down; it passed when none of the three failed."""
    seen = PARTS.setdefault(report.nodeid,
                            {"node": report.nodeid, "passed": True, "seconds": 0.0, "output": ""})
    seen["seconds"] += report.duration
    if report.passed and report.when == "call":
        seen["output"] += report.capstdout
    if report.failed:
        seen["passed"] = False
        sections = "".join(f"\n---- {title} ----\n{text}" for title, text in report.sections)
        seen["output"] += f"{report.longreprtext}{sections}\n"
    if report.skipped:
        seen["passed"] = False
        seen["output"] += f"skipped, which counts as failed: {report.longreprtext}\n"
    if report.when == "teardown" and "TRIVET_RESULTS" in os.environ:
        with open(os.environ["TRIVET_RESULTS"], "a", encoding="utf-8") as results:
            results.write(json.dumps(PARTS.pop(report.nodeid)) + "\n")

"""Fixtures of the whole-machine tests. A module says what it boots in CONFIG, FILES (name or function), MACHINE and MACHINE_TYPE (x86 if not said)."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import trivet  # noqa: E402


class Keeper:
    """The module's machine: booted when first asked for, booted again after a test that left it dead."""

    def __init__(self, module):
        self.module, self.machine = module, None

    def get(self):
        if self.machine and (self.machine.process.poll() is not None or self.machine.spoiled):
            self.close()
        if not self.machine:
            files = self.module.FILES
            image = trivet.make_image(self.module.CONFIG, files() if callable(files) else files)
            self.machine = getattr(self.module, "MACHINE_TYPE", trivet.Machine)(image, **getattr(self.module, "MACHINE", {}))
            self.machine.boot(getattr(self.module, "BOOT_SECONDS", trivet.BOOT_TIMEOUT))
        return self.machine

    def close(self):
        if self.machine:
            self.machine.close()
        self.machine = None


@pytest.fixture(scope="module")
def keeper(request):
    keep = Keeper(request.module)
    yield keep
    keep.close()


@pytest.fixture
def machine(keeper):
    """A booted machine, in JSON, shared by the module's tests."""
    return keeper.get()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the serial line's end; the machine is booted anew for the next one."""
    outcome = yield
    report = outcome.get_result()
    machine = getattr(item, "funcargs", {}).get("machine")
    if call.when == "call" and report.failed and machine:
        machine.spoiled = True
        report.sections.append(("serial line", machine.screen()))

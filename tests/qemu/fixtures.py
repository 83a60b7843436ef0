# SPDX-License-Identifier: BSD-2-Clause
"""
Fixtures of the whole-machine tests. A module says what it boots in CONFIG (text, or function of the
backend), FILES (name or function) and MACHINE (arguments; BOCHS: those of Bochs). BACKENDS: on
which engines its tests run, each once ("svm": QEMU, the only one if not said; "vmx": Bochs), as a
parameter. MACHINE_TYPE: another class of machine.
"""
import os

import pytest

import bochs
import trivet

MACHINES = {"svm": trivet.Machine, "vmx": bochs.Bochs}
ARGUMENTS = {"svm": "MACHINE", "vmx": "BOCHS"}
os.makedirs(trivet.WORK, exist_ok=True)     # in a clean tree, any module may be the first
BOOT_SECONDS = {"svm": trivet.BOOT_TIMEOUT, "vmx": 240}


class Keeper:
    """The module's machine: booted when first asked for, booted again after a test that left it
    dead."""

    def __init__(self, module, backend):
        self.module, self.backend, self.machine = module, backend, None

    def get(self):
        if self.machine and (self.machine.process.poll() is not None or self.machine.spoiled):
            self.close()
        if not self.machine:
            files = self.module.FILES
            config = self.module.CONFIG
            image = trivet.make_image(config(self.backend) if callable(config) else config,
                                      files() if callable(files) else files)
            self.machine = getattr(self.module, "MACHINE_TYPE",
                                   MACHINES[self.backend])(image,
                                                           **getattr(self.module,
                                                                     ARGUMENTS[self.backend], {}))
            self.machine.backend = self.backend
            self.machine.boot(getattr(self.module, "BOOT_SECONDS", BOOT_SECONDS[self.backend]))
        return self.machine

    def close(self):
        if self.machine:
            self.machine.close()
        self.machine = None


def pytest_generate_tests(metafunc):
    backends = getattr(metafunc.module, "BACKENDS", None)
    if backends and "keeper" in metafunc.fixturenames:
        metafunc.parametrize("keeper", backends, indirect=True, scope="module")


@pytest.fixture(scope="module")
def keeper(request):
    keep = Keeper(request.module, getattr(request, "param", "svm"))
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

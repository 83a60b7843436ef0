"""Further Intel models, which differ in what their VMX has, and one CPU: each boots, and runs guests of test_guests.py."""
import pytest

import test_guests
from bochs import Bochs
from trivet import make_image

MACHINES = [("corei7_skylake_x", 1), ("corei7_haswell_4770", 2), ("corei7_icelake_u", 2), ("tigerlake", 2)]
GUESTS = ("hello-mb1", "hello-pvh", "cpu", "smp-2")
# These say in CPUID that their TSC runs at 1.5 GHz: a second of theirs is too long here for guests with timers.
FAST = ("corei7_icelake_u", "tigerlake")


@pytest.mark.parametrize("model, cpus", MACHINES)
def test_model(model, cpus):
    with Bochs(make_image(test_guests.CONFIG, test_guests.FILES()), model=model, cpus=cpus) as machine:
        machine.boot(240)
        for said in ("no usable ACPI tables", "functions, by configuration mechanism 1", "Intel VMX: unrestricted guest, EPT with 1 GiB pages"):
            assert said in machine.text
        assert len(machine.cmd("cpus")["cpus"]) == cpus
        for name in GUESTS if model in FAST else (*GUESTS, "apic"):
            machine.pass_guest(name, test_guests.GUESTS[name][4])

"""Further Intel models, which differ in what their VMX has: each boots, and runs guests of test_guests.py."""
import pytest

import test_guests
from bochs import Bochs
from trivet import PASSED, make_image

# model: what its engine says of itself
MODELS = {"corei7_haswell_4770": "", "corei7_icelake_u": "", "tigerlake": ""}
GUESTS = ("hello-pvh", "cpu", "apic", "smp-2", "timers")


@pytest.mark.parametrize("model", MODELS)
def test_model(model):
    with Bochs(make_image(test_guests.CONFIG, test_guests.FILES()), model=model) as machine:
        machine.boot(240)
        assert "Intel VMX: unrestricted guest, EPT with 1 GiB pages" in machine.text
        for name in GUESTS:
            code, output, info = machine.run_guest(name, test_guests.GUESTS[name][4])
            assert code == PASSED, f"{name}: exit code {code}, state {info['state']} {info.get('why', '')}:\n{output[-3000:]}"

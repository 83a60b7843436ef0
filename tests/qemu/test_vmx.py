# SPDX-License-Identifier: BSD-2-Clause
"""
Further Intel models, which differ in what their VMX has, and one CPU: each boots, and runs guests
of test_guests.py. And the local APIC that the CPU keeps beside the emulated one, on the same
machine.
"""
import re

import pytest

import microcode
import test_guests
from bochs import Bochs
from trivet import guest_file, make_image, section

MACHINES = [("corei7_skylake_x", 1), ("corei7_haswell_4770", 2), ("corei7_icelake_u", 2),
            ("tigerlake", 2)]
GUESTS = ("hello-mb1", "hello-pvh", "cpu", "smp-2")
# These say in CPUID that their TSC runs at 1.5 GHz: a second of theirs is too long here for guests
# with timers.
FAST = ("corei7_icelake_u", "tigerlake")


# Bochs' older CPUs are as before the microcode against Meltdown and Spectre: without IBRS,
# MD_CLEAR, FLUSH_CMD and IA32_ARCH_CAPABILITIES. The two youngest have enhanced IBRS and RDCL_NO;
# Tiger Lake has MD_CLEAR, too.
OLD = {"spectre_v2": "Mitigation: Retpolines; IBPB: disabled; STIBP: disabled; RSB filling; "
                     "PBRSB-eIBRS: Not affected; BHI: Retpoline",
       "itlb_multihit": "Mitigation: Split huge pages",
       "l1tf": "Mitigation: VMX: conditional cache flushes, SMT disabled",
       "mds": "Vulnerable: No microcode; SMT disabled"}
YOUNG = dict(OLD, l1tf="Not affected",
             spectre_v2="Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; "
                                                  "PBRSB-eIBRS: SW sequence; BHI: SW loop")
LEAKS = {"corei7_skylake_x": OLD, "corei7_haswell_4770": OLD, "corei7_icelake_u": YOUNG,
         "tigerlake": dict(YOUNG, mds="Mitigation: Clear CPU buffers; SMT disabled")}


@pytest.mark.parametrize("model, cpus", MACHINES)
def test_model(model, cpus):
    config = test_guests.CONFIG.replace("log = info\n", "log = info\nmicrocode = intel.bin\n")
    files = {**test_guests.FILES(), "intel.bin": microcode.intel(0x7fff0001)}
    with Bochs(make_image(config, files), model=model, cpus=cpus) as machine:
        machine.boot(240)
        assert "microcode: intel.bin has an update" in machine.text
        assert "the CPU does not take revision 0x7fff0001: it stays at 0" in machine.text
        for said in ("no usable ACPI tables", "functions, by configuration mechanism 1",
                     "Intel VMX: unrestricted guest, EPT with 1 GiB pages",
                     "APICv (xAPIC and x2APIC)"):
            assert said in machine.text
        assert len(machine.cmd("cpus")["cpus"]) == cpus
        said = {row["class"]: row["state"]
                for row in machine.cmd("cpus --mitigations")["mitigations"]}
        assert {name: said[name] for name in OLD} == LEAKS[model]
        for name in GUESTS if model in FAST else (*GUESTS, "apic"):
            machine.pass_guest(name, test_guests.GUESTS[name][4])


# name: the guest's image, command line, vCPUs. Each runs with its local APICs kept by the CPU
# (APICv), and with emulated ones.
APIC_GUESTS = {"apic": ("apic", "x", 1), "apic-x2": ("apic", "x2apic", 2),
               "smp": ("smp", "cpus=3 rounds=300", 3),
               "smp-x2": ("smp", "x2apic cpus=3 rounds=300", 3),
               "timers": ("timers", "x", 2), "bench": ("bench", "rounds=20", 1)}
FREE = ("mmio-lapic-read", "mmio-lapic-write", "xapic-eoi", "x2apic-eoi", "x2apic-tpr-read")


def apic_config():
    both = (("kept", "yes"), ("emulated", "no"))
    return "[host]\nlog = info\n" + "".join(
        section(f"{name}-{how}", image, cmdline=cmdline, vcpus=vcpus, memory="64M",
                debug_exit="yes", autostart="no", apicv=apicv)
        for name, (image, cmdline, vcpus) in APIC_GUESTS.items() for how, apicv in both)


def lines(output):
    return [line for line in test_guests.essence(output).splitlines() if line.strip()
            and not line.startswith("bench")]


def test_kept_and_emulated_apics():
    """The same output; and what the CPU does by itself takes few instructions."""
    files = {image: guest_file(image) for image, *_ in APIC_GUESTS.values()}
    with Bochs(make_image(apic_config(), files), cpus=2) as machine:
        machine.boot(240)
        assert "APICv (xAPIC and x2APIC)" in machine.text
        for name in APIC_GUESTS:
            said = {}
            for how in ("kept", "emulated"):
                said[how] = machine.pass_guest(f"{name}-{how}", 120)
            assert lines(said["kept"]) == lines(said["emulated"]), name
        least = {how: {key: int(low)
                       for key, low in re.findall(r"^bench (\S+) (\d+) \d+", said[how], re.M)}
                 for how in said}
        for key in FREE:
            assert least["kept"][key] < 60 < 150 < least["emulated"][key], (key, least)

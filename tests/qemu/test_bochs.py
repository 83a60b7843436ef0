"""A second machine, Bochs: no ACPI tables at all (CPUs come from the firmware's MP services), x2APIC, TSC deadline, IDE.

Its Ryzen has SVM with what QEMU lacks (next RIP, flush by ASID), and its Intel models have VMX, which QEMU lacks.
"""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from trivet import GUESTS, SCREEN, WORK, guest_file, make_image, section

CONFIG = "[host]\n" + "".join(section(name, name, memory="16M", debug_exit="yes") for name in ("hello-mb1", "hello-pvh"))
FILES = {name: guest_file(name) for name in ("hello-mb1", "hello-pvh")}
CYLINDER = 1008 * 512                   # 16 heads of 63 sectors
SECONDS = 150
SETTINGS = """config_interface: textconfig
display_library: term
cpu: model={model}, count=2, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=512, host=512
romimage: file=/usr/share/ovmf/OVMF.fd, address=0x0, options=none
vgaromimage: file=/usr/share/seabios/vgabios-stdvga.bin
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={folder}/disk.img, mode=flat, cylinders=0, heads=16, spt=63
boot: disk
com1: enabled=1, mode=file, dev={folder}/serial
clock: sync=none, time0=utc
log: {folder}/log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""


def write(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def serial(folder):
    try:
        with open(os.path.join(folder, "serial"), encoding="utf-8", errors="replace") as text:
            return text.read()
    except FileNotFoundError:
        return ""


def boot(folder, model, *wanted):
    """Runs Bochs until its serial line has shown every pattern; returns the text, and fails with its end."""
    shutil.copy(make_image(CONFIG, FILES), f"{folder}/disk.img")
    os.truncate(f"{folder}/disk.img", -(-os.path.getsize(f"{folder}/disk.img") // CYLINDER) * CYLINDER)
    write(f"{folder}/bochsrc", SETTINGS.format(model=model, folder=folder))
    write(f"{folder}/go", "c\nq\n")             # it starts at its debugger's prompt
    bochs = subprocess.Popen(["bochs", "-q", "-f", f"{folder}/bochsrc", "-rc", f"{folder}/go"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, TERM="vt100"),
                             start_new_session=True)
    try:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and bochs.poll() is None:
            text = serial(folder)
            if all(re.search(w, text) for w in wanted):
                return text
            time.sleep(0.3)
    finally:
        os.killpg(bochs.pid, signal.SIGKILL)     # its terminal display ignores SIGTERM
        bochs.wait()
    text = serial(folder)
    missing = [w for w in wanted if not re.search(w, text)]
    assert not missing, f"not seen: {missing}; the serial line ended:\n{text[-SCREEN:]}"
    return text


@pytest.fixture
def folder():
    os.makedirs(WORK, exist_ok=True)
    assert os.path.isdir(GUESTS)
    with tempfile.TemporaryDirectory(dir=WORK) as path:
        yield path


# model: what its engine says of itself
MODELS = {"ryzen": "AMD SVM: .*next RIP", "corei7_skylake_x": "Intel VMX: unrestricted guest, EPT with 1 GiB pages"}


@pytest.mark.parametrize("model", MODELS)
def test_runs_guests_without_acpi(folder, model):
    text = boot(folder, model, "2 CPUs", "hello-mb1: off: debug-exit with code 33", "hello-pvh: off: debug-exit with code 33")
    assert "no usable ACPI tables" in text and re.search(MODELS[model], text)


def test_an_old_intel_is_told_what_is_missing(folder):
    boot(folder, "core2_penryn_t9600", "2 CPUs", "VMX has no extended page tables", "no guest can run on this machine", "trivet> ")

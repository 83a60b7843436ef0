# SPDX-License-Identifier: BSD-2-Clause
"""
A guest that UEFI firmware starts from its own disk: Debian's OVMF finds GRUB on a FAT partition,
and GRUB starts Debian's kernel. A second guest has no disk, and comes to the EFI shell, where a
variable is set that is there after a reset, and after a power cut of the host.
"""
import functools
import os
import subprocess
import tempfile

import trivet

CONFIG = """[host]
log = info
[guest disk]
firmware = uefi
disk = esp.img
memory = 256M
vcpus = 2
autostart = no
[guest shell]
firmware = uefi
memory = 128M
autostart = no
[guest damaged]
firmware = esp.img
autostart = no
"""
GRUB = """serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
echo "GRUB speaks: $grub_platform $grub_cpu"
menuentry debian {
    linux /vmlinuz console=ttyS0 quiet
    initrd /initrd.img
}
"""
MODULES = ("part_gpt", "fat", "normal", "configfile", "linux", "serial", "terminal", "echo")
START = 1 << 20
VARIABLE = "-guid 5a2d2b6c-0f5e-4b57-9b59-7472697665ff"
STATE = os.path.join(trivet.WORK, "uefi-state.img")


def MACHINE_TYPE(image, **_):
    """With a new state volume, on NVMe."""
    if os.path.exists(STATE):
        os.remove(STATE)
    run(os.path.join(trivet.TOP, "images/state"), "make", STATE, "8M")
    return trivet.Machine(image, options=("--nvme", STATE))


@functools.lru_cache(maxsize=None)
def esp_image():
    """A disk with one EFI system partition: GRUB, its configuration, kernel and initrd."""
    path = os.path.join(trivet.WORK, "esp.disk")
    debian = trivet.debian_files()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("grub.cfg", GRUB), ("early.cfg", "set root=hd0,gpt1\n"
                                                             "configfile /grub.cfg\n")):
            with open(os.path.join(folder, name), "w", encoding="ascii") as out:
                out.write(text)
        program = os.path.join(folder, "BOOTX64.EFI")
        run("grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-o", program, "-c",
            os.path.join(folder, "early.cfg"), *MODULES)
        with open(path, "wb") as image:
            image.truncate(START + (40 << 20) + START)
        run("/sbin/sfdisk", "-q", path, stdin="label: gpt\nstart=1MiB, size=40MiB, type=U\n")
        esp = f"{path}@@{START}"
        run("mformat", "-i", esp, "-F", "-T", str((40 << 20) // 512), "-h", "16", "-s", "63", "::")
        run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT")
        run("mcopy", "-i", esp, program, "::/EFI/BOOT/BOOTX64.EFI")
        for source in (os.path.join(folder, "grub.cfg"), debian["vmlinuz"], debian["initrd.img"]):
            run("mcopy", "-i", esp, source, "::/")
    return path


def run(*command, stdin=None):
    subprocess.run(command, input=stdin, text=True, check=True, capture_output=True, timeout=120,
                   env=dict(os.environ, MTOOLS_SKIP_CHECK="1"))


def FILES():
    return {"esp.img": esp_image()}


def test_disk_boots_by_grub(machine):
    machine.cmd("start disk", 60)
    machine.send("console disk\r")
    machine.expect(r"BdsDxe: starting Boot", 120, "the firmware starts nothing")
    machine.expect(r"GRUB speaks: efi x86_64", 60, "GRUB does not come up")
    machine.expect(r"trivet guest ready", 180, "Debian does not come up")
    machine.expect(r"debian:\S*# ", 60, "no prompt")
    machine.quiet(0.5, 10)
    machine.send("ls /sys/firmware\r")
    machine.expect(r"\befi\b", 60, "Linux was not started by EFI")
    machine.detach()
    assert not [line for line in machine.logs if "is taken" in line or "cannot" in line]
    machine.cmd("stop disk --force", 30)


def to_shell(machine):
    machine.expect(r"UEFI Interactive Shell", 120, "no shell")
    machine.expect(r"any other key to continue", 30)
    machine.send("\r")
    machine.expect(r"Shell> ", 30)


def has_variable(machine, name, text):
    machine.send(f"setvar {name} {VARIABLE}\r")
    machine.expect(" ".join(f"{ord(c):02X} 00" for c in text), 30, f"{name} is gone")
    machine.expect(r"Shell> ", 30)


def test_shell_and_variables(machine):
    """The EFI shell on the serial console; a variable is there again after a reset of the guest."""
    machine.cmd("start shell", 60)
    machine.send("console shell\r")
    to_shell(machine)
    machine.send(f"setvar Kept {VARIABLE} -nv -bs =L\"stays\"\r")
    machine.expect(r"Shell> ", 30)
    machine.send("reset\r")
    to_shell(machine)
    has_variable(machine, "Kept", "stays")
    machine.detach()
    info = machine.cmd("info shell")
    assert (info["resets"], info["firmware"], info["kernel"]) == (1, "uefi", "")
    assert info["variables_kept"]
    state = machine.cmd("state")
    assert state["state"] == "in use" and state["volume"] == "nvme0p1", state
    assert [o for o in state["objects"] if o["name"] == "uefi/shell" and o["state"] == "whole"]
    parts = {p["name"]: p for p in machine.cmd("disks")["partitions"]}
    assert parts["nvme0p1"]["holders"] == "Trivet's state", parts


def test_variables_outlive_a_power_cut(machine):
    """What the shell has acknowledged is there, though the host's power goes in that moment. Needs
    the test before it."""
    machine.send("console shell\r")
    machine.expect(r"\[console shell[^\n]*\n", 10, "attach")
    machine.quiet(0.3, 10)
    machine.send(f"setvar Last {VARIABLE} -nv -bs =L\"word\"\r")
    machine.expect(r"Shell> ", 30)
    machine.qmp("system_reset")
    machine.json = False
    machine.boot(trivet.BOOT_TIMEOUT)
    machine.cmd("start shell", 60)
    machine.send("console shell\r")
    to_shell(machine)
    has_variable(machine, "Kept", "stays")
    has_variable(machine, "Last", "word")
    machine.detach()
    machine.cmd("stop shell --force", 30)
    lines = [row["line"] for row in machine.cmd("log --previous")["lines"]]
    assert any("state volume nvme0p1" in line for line in lines), lines
    assert not [line for line in machine.logs if "cannot be" in line or "damaged" in line]


def test_log_is_in_the_volume(machine):
    """Of both runs."""
    logs = {o["name"]: o for o in machine.cmd("state")["objects"] if o["name"].startswith("log/")}
    assert set(logs) == {"log/0", "log/1"}, logs
    for one in logs.values():
        assert one["state"] == "whole" and one["bytes"] > 1000, logs


def test_damaged_firmware(machine):
    answer = machine.ask("start damaged", 30)
    assert not answer["ok"] and "not UEFI firmware of edk2" in answer["error"], answer

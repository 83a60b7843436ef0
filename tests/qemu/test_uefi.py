# SPDX-License-Identifier: BSD-2-Clause
"""
A guest that UEFI firmware starts from a CD, as `boot` says, though its disk could be started, too:
Debian's OVMF finds GRUB on the CD, and that goes on with GRUB's menu on the disk, which starts
Debian's kernel. A second guest has nothing on its disks, of which the second is tried first, and
comes to the EFI shell, where a variable is set that is there after a reset, and after a power cut
of the host.
"""
import collections
import functools
import os
import random
import subprocess
import tempfile
import time

import screen
import trivet

# Guests that test_arm_uefi has, too.
SHELL = """[guest shell]
firmware = uefi
cloud-init = user.yaml
disk = disk.img
disk = disk.img,ro
boot = disk2,disk1
boot-menu = 0
memory = 128M
autostart = no
"""
DAMAGED = """[guest damaged]
firmware = esp.img
autostart = no
"""
SECURE = """[guest secure]
firmware = uefi
secure-boot = yes
disk = esp.img
boot-menu = 0
memory = 128M
autostart = no
"""
CONFIG = SHELL + DAMAGED + SECURE + """[host]
log = info
[net nat]
boot-file = net/boot.efi
[guest netboot]
firmware = uefi
net = nat
boot = net
memory = 128M
autostart = no
[guest disk]
firmware = uefi
smbios.product = Web server
disk = esp.img
cdrom = cd.iso
boot = cdrom,disk
memory = 256M
vcpus = 2
autostart = no
"""
SERIAL = """serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
"""
ON_NET = SERIAL + """echo "The network speaks: $grub_platform"
"""
ON_CD = SERIAL + """echo "The CD speaks: $root"
set root=hd0,gpt1
configfile /grub.cfg
"""
GRUB = SERIAL + """set timeout=0
echo "GRUB speaks: $grub_platform $grub_cpu"
menuentry debian {
    linux /vmlinuz console=ttyS0 quiet
    initrd /initrd.img
}
"""
MODULES = ("part_gpt", "fat", "normal", "configfile", "linux", "serial", "terminal", "echo")
CD_MODULES = ("iso9660", "search_fs_file")
START = 1 << 20
VARIABLE = "-guid 5a2d2b6c-0f5e-4b57-9b59-7472697665ff"


def state_disk(arch):
    """Each machine type has its own: tests of both run side by side."""
    return os.path.join(trivet.WORK, f"uefi-state-{arch}.img")


def start_with_state(machine_type, image, **more):
    """With a new state volume, on NVMe; what is written to it is in the file."""
    state = state_disk(machine_type.arch)
    if os.path.exists(state):
        os.remove(state)
    run(os.path.join(trivet.TOP, "images/state"), "make", state, "8M")
    return machine_type(image, arguments=("-drive", "if=none,id=state,format=raw,snapshot=off,"
                                          f"file={state}",
                                          "-device", "nvme,serial=state,drive=state"), **more)


MACHINE_TYPE = functools.partial(start_with_state, trivet.Machine)


def esp_disk(name, files, mib=40):
    """A disk with one EFI system partition and these files ({path there: path here})."""
    path = os.path.join(trivet.WORK, name)
    with open(path, "wb") as image:
        image.truncate(START + (mib << 20) + START)
    run("/sbin/sfdisk", "-q", path, stdin=f"label: gpt\nstart=1MiB, size={mib}MiB, type=U\n")
    esp = f"{path}@@{START}"
    run("mformat", "-i", esp, "-F", "-T", str((mib << 20) // 512), "-h", "16", "-s", "63", "::")
    folders = {"EFI", "EFI/BOOT"}
    for there in files:
        parts = there.split("/")[:-1]
        folders |= {"/".join(parts[:i + 1]) for i in range(len(parts))}
    run("mmd", "-i", esp, *(f"::/{folder}" for folder in sorted(folders)))
    for there, here in files.items():
        run("mcopy", "-i", esp, here, f"::/{there}")
    return path


@functools.lru_cache(maxsize=None)
def esp_image():
    """GRUB, its configuration, kernel and initrd."""
    debian = trivet.debian_files()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("grub.cfg", GRUB), ("early.cfg", "set root=hd0,gpt1\n"
                                                             "configfile /grub.cfg\n")):
            with open(os.path.join(folder, name), "w", encoding="ascii") as out:
                out.write(text)
        program = os.path.join(folder, "BOOTX64.EFI")
        run("grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-o", program, "-c",
            os.path.join(folder, "early.cfg"), *MODULES)
        return esp_disk("esp.disk", {"EFI/BOOT/BOOTX64.EFI": program,
                                     "grub.cfg": os.path.join(folder, "grub.cfg"),
                                     "vmlinuz": debian["vmlinuz"],
                                     "initrd.img": debian["initrd.img"]})


@functools.lru_cache(maxsize=None)
def net_program():
    """GRUB as one EFI program, which says that it has started."""
    with tempfile.TemporaryDirectory() as folder:
        early, out = os.path.join(folder, "early.cfg"), os.path.join(trivet.WORK, "netboot.efi")
        with open(early, "w", encoding="ascii") as config:
            config.write(ON_NET)
        run("grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-o", out, "-c", early, *MODULES)
        return out


@functools.lru_cache(maxsize=None)
def cd_image():
    """An ISO image that UEFI starts (El Torito): GRUB, which finds its configuration in it."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("cd/cd.cfg", ON_CD), ("early.cfg", "search.file /cd.cfg root\n"
                                                               "configfile /cd.cfg\n")):
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as out:
                out.write(text)
        program, fat = os.path.join(folder, "BOOTX64.EFI"), os.path.join(folder, "cd/efi.img")
        run("grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-o", program, "-c",
            os.path.join(folder, "early.cfg"), *MODULES, *CD_MODULES)
        with open(fat, "wb") as image:
            image.truncate(1440 << 10)
        run("mformat", "-i", fat, "-f", "1440", "::")
        run("mmd", "-i", fat, "::/EFI", "::/EFI/BOOT")
        run("mcopy", "-i", fat, program, "::/EFI/BOOT/BOOTX64.EFI")
        out = os.path.join(trivet.WORK, "cd.iso")
        run("xorriso", "-as", "mkisofs", "-quiet", "-V", "TRIVET_CD", "-e", "efi.img",
            "-no-emul-boot", "-o", out, os.path.join(folder, "cd"))
        return out


def run(*command, stdin=None):
    subprocess.run(command, input=stdin, text=True, check=True, capture_output=True, timeout=120,
                   env=dict(os.environ, MTOOLS_SKIP_CHECK="1"))


USER_DATA = b"#cloud-config\nhostname: told-by-cloud-init\n"


def FILES():
    return {"net/boot.efi": net_program(), "esp.img": esp_image(),
            "cd.iso": cd_image(), "disk.img": trivet.disk(),
            "user.yaml": trivet.scratch("user.yaml", USER_DATA)}


def test_boots_by_grub(machine):
    machine.cmd("start disk", 60)
    machine.send("console disk\r")
    machine.expect(r"BdsDxe: starting Boot\S+ [^\n]*Pci\(0x4,0x0\)", 120,
                   "the firmware does not start the CD first")
    machine.expect(r"The CD speaks: cd0\b", 60, "the CD does not come up")
    machine.expect(r"GRUB speaks: efi x86_64", 60, "GRUB does not come up")
    machine.expect(r"trivet guest ready", 180, "Debian does not come up")
    machine.expect(r"debian:\S*# ", 60, "no prompt")
    machine.quiet(0.5, 10)
    machine.send("ls /sys/firmware\r")
    machine.expect(r"\befi\b", 60, "Linux was not started by EFI")
    shows_its_machine(machine, "disk")
    machine.quiet(0.5, 10)
    machine.send("cd /sys/block/vdb; cat queue/logical_block_size ro size; cd\r")
    machine.expect(rf"\n2048\r\n1\r\n{os.path.getsize(cd_image()) // 512}\r\n", 60, "no CD")
    machine.send("dd if=/dev/vdb bs=1 skip=32808 count=9 2>&-; echo\r")
    machine.expect(r"\nTRIVET_CD\r", 60, "the CD cannot be read")
    machine.detach()
    assert not [line for line in machine.logs if "is taken" in line or "cannot" in line]
    machine.cmd("stop disk --force", 30)


def test_boots_from_the_network(machine):
    """By PXE from the gateway: DHCP names the file, TFTP brings it."""
    machine.cmd("start netboot", 60)
    machine.send("console netboot\r")
    machine.expect(r"NBP file downloaded successfully", 120, "the file does not come")
    machine.expect(r"The network speaks: efi", 60, "GRUB does not come up")
    machine.detach()
    machine.cmd("stop netboot --force", 30)


def shows_its_machine(machine, name):
    """What Linux has from the SMBIOS tables: maker and serial number are what they are if not
    given."""
    machine.quiet(0.5, 10)
    machine.send("cd /sys/class/dmi/id; cat sys_vendor product_name product_serial; cd\r")
    machine.expect(rf"Trivet\r\nWeb server\r\n{name}\r\n", 60, "it has another machine")


def to_shell(machine):
    machine.expect(r"UEFI Interactive Shell", 120, "no shell")
    machine.expect(r"any other key to continue", 30)
    machine.send("\r")
    machine.expect(r"Shell> ", 30)


def shows_blue(machine):
    """The shell made its screen blue, with its prompt on it."""
    answer = machine.cmd("screenshot shell", 60)
    assert answer["object"] == "screen/shell", answer
    data = subprocess.run([os.path.join(trivet.TOP, "images/state"), "get",
                           state_disk(machine.arch), "screen/shell"],
                          check=True, capture_output=True, timeout=60).stdout
    width, height, pixels = screen.png_pixels(data)
    assert (len(data), width, height) == tuple(answer[k] for k in ("bytes", "width", "height"))
    colours = collections.Counter(zip(pixels[::3], pixels[1::3], pixels[2::3]))
    assert colours[(0, 0, 152)] > 0.9 * width * height, colours
    # letters: the prompt's, and others; each colour's parts are in their places
    assert colours[(255, 255, 0)] > 50 and colours[(152, 152, 152)] > 500, colours


def has_variable(machine, name, text):
    machine.send(f"setvar {name} {VARIABLE}\r")
    machine.expect(" ".join(f"{ord(c):02X} 00" for c in text), 30, f"{name} is gone")
    machine.expect(r"Shell> ", 30)


def test_shell_and_variables(machine):
    """The EFI shell on the serial console; a variable is there again after a reset of the guest."""
    machine.cmd("start shell", 60)
    machine.send("console shell\r")
    for slot in (5, 4):
        machine.expect(rf"BdsDxe: failed to load Boot\S+ [^\n]*Pci\(0x{slot},0x0\): Not Found", 120,
                       "the disks are not tried as `boot` says")
    to_shell(machine)
    machine.send(f"setvar Kept {VARIABLE} -nv -bs =L\"stays\"\r")
    machine.expect(r"Shell> ", 30)
    # the firmware has connected what `boot` names, and nothing else
    machine.send("connect -r\r")
    machine.expect(r"Shell> ", 60)
    machine.send("map -r\r")
    machine.expect(r"FS0:.*Shell> ", 30, "cloud-init's disk has no file system")
    machine.send("fs0:\r")
    machine.expect(r"FS0:\\> ", 30, "it cannot be read")
    machine.send("type user-data\r")
    machine.expect(r"hostname: told-by-cloud-init\r", 30, "no user-data")
    machine.send("type meta-data\r")
    machine.expect(r"local-hostname: shell\r", 30, "no meta-data")
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
    """What the shell has acknowledged is there, though the host's power goes in the middle of the
    next write. Needs the test before it; many cuts: long/power_cuts."""
    machine.send("console shell\r")
    machine.expect(r"\[console shell[^\n]*\n", 10, "attach")
    machine.quiet(0.3, 10)
    machine.send(f"setvar Last {VARIABLE} -nv -bs =L\"word\"\r")
    machine.expect(r"Shell> ", 30)
    machine.send(f"setvar Torn {VARIABLE} -nv -bs =L\"perhaps\"\r")
    time.sleep(random.uniform(0, 0.1))
    machine.qmp("system_reset")
    machine.json = False
    machine.boot(trivet.BOOT_TIMEOUT)
    machine.cmd("set shell screen=yes")
    machine.cmd("start shell", 60)
    machine.send("console shell\r")
    to_shell(machine)
    has_variable(machine, "Kept", "stays")
    has_variable(machine, "Last", "word")
    machine.send("cls 1\r")
    machine.expect(r"Shell> ", 30)
    machine.send("ver\r")
    machine.expect(r"UEFI Interactive Shell v.*?Shell> ", 30)
    machine.send("ver\r")     # what stands before its answer is on the screen by then, too
    machine.expect(r"UEFI Interactive Shell v", 30)
    machine.detach()
    shows_blue(machine)
    machine.cmd("stop shell --force", 30)
    lines = [row["line"] for row in machine.cmd("log --previous")["lines"]]
    assert any("state volume nvme0p1" in line for line in lines), lines
    assert not [line for line in machine.logs if "cannot be" in line or "damaged" in line]


def test_boot_menu(machine):
    """While the firmware waits as `boot-menu` says, Esc opens its menu, where the disks are."""
    machine.cmd("set shell boot-menu=60")
    machine.cmd("start shell", 60)
    machine.send("console shell\r")
    seen, until = "", time.monotonic() + 120
    while "Continue" not in seen and time.monotonic() < until:
        machine.send("\x1b")
        seen += machine.quiet(1, 3)
    assert "Boot Manager" in seen, "Esc opens no menu:\n" + machine.screen()
    machine.send("\x1b[B\x1b[B\r")
    machine.expect(r"Boot Manager Menu.*UEFI Misc Device", 30, "no disk is in it")
    machine.detach()
    machine.cmd("stop shell --force", 30)


def test_log_is_in_the_volume(machine):
    """Of both runs."""
    logs = {o["name"]: o for o in machine.cmd("state")["objects"] if o["name"].startswith("log/")}
    assert set(logs) == {"log/0", "log/1"}, logs
    for one in logs.values():
        assert one["state"] == "whole" and one["bytes"] > 1000, logs


def test_damaged_firmware(machine):
    answer = machine.ask("start damaged", 30)
    assert not answer["ok"] and "not UEFI firmware of edk2" in answer["error"], answer


def test_secure_boot_starts_nothing_unsigned(machine):
    """The GRUB that test_boots_by_grub starts; what is signed: guests-from-debian/uefi_programs."""
    machine.cmd("start secure", 60)
    machine.send("console secure\r")
    machine.expect(r"BdsDxe: failed to load Boot\S+ [^\n]*Pci\(0x3,0x0\)[^\n]*: Access Denied", 120,
                   "it is not refused")
    machine.detach()
    machine.cmd("stop secure --force", 30)
    assert [o for o in machine.cmd("state")["objects"] if o["name"] == "uefi-secure/secure"]

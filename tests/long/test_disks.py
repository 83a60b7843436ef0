# SPDX-License-Identifier: BSD-2-Clause
"""
Debian from its own disk: the firmware finds its boot loader on an NVMe disk, GRUB shows its menu,
systemd gives a login. In it efibootmgr sets the boot order, which the next start of the machine
follows. One disk begins with GRUB alone, one with Debian's signed shim; there apt installs a
package that this machine serves, through the NAT network.
"""
import contextlib
import functools
import os
import re
import subprocess
import threading
from http.server import ThreadingHTTPServer

import trivet
from test_debian import Shell
from test_uefi import start_with_state
from test_uplink import Quiet

DIR = os.path.join(trivet.TOP, "build/long")
DISKS = ("unsigned", "signed")
NETWORK = ("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=")


def config(disks):
    return "[host]\nlog = info\n[net nat]\n" + "".join(
        f"[guest {name}]\nfirmware = uefi\ndisk = serial:{name}\nnet = nat\nmemory = 640M\n"
        "autostart = no\n" for name in disks)


def machine_type(kind, disks, image, **_):
    """With these disks, a network device, and a state volume."""
    subprocess.run([os.path.join(trivet.TOP, "tests/long/setup"), DIR], check=True, timeout=3600)
    nvme = [word for name in disks for word in (
        "-drive", f"if=none,format=raw,id={name},file={os.path.join(DIR, name)}.img",
        "-device", f"nvme,serial={name},drive={name}")]
    return start_with_state(kind, image, arguments=(*NETWORK, *nvme))


CONFIG = config(DISKS)
FILES = {}
MACHINE_TYPE = functools.partial(machine_type, trivet.Machine, DISKS)


def to_login(machine, name, entry):
    """From the start to a shell, by this boot entry and GRUB's menu."""
    machine.cmd(f"start {name}", 60)
    machine.send(f"console {name}\r")
    machine.expect(rf'BdsDxe: starting Boot\d+ "{entry}', 300, "the firmware starts another")
    machine.expect(r"GNU GRUB", 300, "no menu")
    machine.expect(r"login: ", 900, "no login")
    machine.send("root\r")
    machine.expect(r"# ", 300, "no shell")
    machine.quiet(1)
    machine.send("TERM=dumb; PS1='# '; stty cols 200\r")
    machine.quiet(1)
    machine.detach()


def boot_order(shell):
    """(the one that was started, the order, {number: name})."""
    text = shell.run("efibootmgr", 120)
    entries = dict(re.findall(r"^Boot([0-9A-F]{4})\*? ([^\t\r\n]*)", text, re.M))
    current = re.search(r"BootCurrent: (\w+)", text)
    order = re.search(r"BootOrder: ([\w,]+)", text)
    assert current and order, text
    return current[1], order[1].split(","), entries


def restart(machine):
    """The machine's, as by its reset button."""
    machine.qmp("system_reset")
    machine.json = False
    machine.boot(trivet.BOOT_TIMEOUT)


def changes_the_order(machine, name, entry, loader):
    """Makes a boot entry, which is first from now on, and is so in the machine's next run."""
    to_login(machine, name, entry)
    with Shell(machine, name) as shell:
        current, order, entries = boot_order(shell)
        assert entries[current] == entry and current in order, (current, order, entries)
        text = shell.run(f"efibootmgr -q -c -d /dev/vda -p 1 -L Ours -l '{loader}'", 120)
        _, after, named = boot_order(shell)
        assert after[1:] == order and named[after[0]] == "Ours", (text, after, named)
        assert entries.items() <= named.items()
        # the last one comes to the second place
        wanted = [after[0], after[-1], *after[1:-1]]
        shell.run(f"efibootmgr -q -o {','.join(wanted)}; sync", 120)
    restart(machine)
    to_login(machine, name, "Ours")
    with Shell(machine, name) as shell:
        assert boot_order(shell) == (wanted[0], wanted, named)
        assert shell.run("systemctl --failed --no-legend", 120).strip() == ""


def test_grub(machine):
    changes_the_order(machine, "unsigned", "UEFI Misc Device", r"\EFI\BOOT\BOOTX64.EFI")
    machine.cmd("stop unsigned --force", 30)


def test_shim(machine):
    """shim's fallback program has made an entry of its own before."""
    changes_the_order(machine, "signed", "UEFI Misc Device", r"\EFI\debian\shimx64.efi")


@contextlib.contextmanager
def mirror():
    """Debian packages on this machine's loopback: the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(
            Quiet, directory=os.path.join(DIR, "mirror"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_apt(machine):
    """In the guest that test_shim leaves running."""
    if machine.state("signed") != "running":
        to_login(machine, "signed", "")
    with mirror() as port, Shell(machine, "signed") as shell:
        shell.run("/lib/systemd/systemd-networkd-wait-online --timeout=240", 300)
        shell.run(f"echo deb [trusted=yes] http://10.0.2.2:{port} ./ >/etc/apt/sources.list; "
                  "rm -f /etc/apt/sources.list.d/*")
        text = shell.run("apt-get -q update && apt-get -q -y install lzop </dev/null", 600)
        assert "Setting up liblzo2-2" in text and "Setting up lzop" in text, text
        assert "kept" in shell.run("echo ke''pt | lzop | lzop -d | cat")

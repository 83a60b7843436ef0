"""Boot: from each kind of disk, and where something is missing, in words that a person can act on."""
import pytest

from trivet import PASSED, Machine, guest_file, make_image, section

CONFIG = "[host]\nlog = info\n" + section("hello", "hello-mb1", memory="16M", debug_exit="yes", autostart="no")
FILES = {"hello-mb1": guest_file("hello-mb1")}


@pytest.mark.parametrize("disk", ["virtio", "ahci", "nvme", "usb"])
def test_disk(disk):
    with Machine(make_image(CONFIG, FILES), options=("--disk", disk)) as machine:
        machine.boot()
        assert "hello" in machine.guests()


@pytest.mark.parametrize("cpus", [1, 4, 8])
def test_all_processors(cpus):
    with Machine(make_image(CONFIG, FILES), cpus=cpus) as machine:
        machine.boot()
        assert len(machine.cmd("cpus")["cpus"]) == cpus


def test_large_memory():
    with Machine(make_image(CONFIG, FILES), memory="5G") as machine:
        machine.boot()
        assert machine.cmd("memory")["total_bytes"] > 4 << 30


def test_every_boot_step_has_its_time():
    with Machine(make_image(CONFIG, FILES)) as machine:
        machine.boot()
        for step in ("memory", "firmware tables", "clock", "files", "processors", "virtualisation", "configuration", "guests"):
            assert f"boot: {step}" in machine.text, step


def test_no_svm_is_said_and_the_console_works():
    with Machine(make_image(CONFIG, FILES), arguments=("-cpu", "EPYC-v3,-svm")) as machine:
        machine.boot()
        assert "SVM" in machine.text and "no guest can run" in machine.text
        answer = machine.ask("start hello")
        assert not answer["ok"]


class OneThread(Machine):
    """QEMU with one thread for all CPUs: ten times a second it stops the one that runs, at any instruction."""

    def _command(self, *arguments):
        command = super()._command(*arguments)
        command[command.index("-accel") + 1] = "tcg,thread=single"
        return command


def test_an_interrupt_comes_once_where_qemu_stops_the_cpu_anywhere():
    config = section("once", "apic", cmdline="once", memory="64M", debug_exit="yes", autostart="no")
    with OneThread(make_image(config, {"apic": guest_file("apic")})) as machine:
        machine.boot()
        code, _, output = machine.run_guest("once")
        assert code == PASSED, output


def test_broken_configuration_boots_and_says_why():
    conf = ("[host]\nlog = verbose\n[guest bad]\nkernel = hello-mb1\nmemory = 12Q\nvcpus = 99\n"
            + section("good", "hello-mb1", memory="16M", debug_exit="yes", autostart="no"))
    with Machine(make_image(conf, FILES)) as machine:
        machine.boot()
        errors = machine.cmd("config check")["errors"]
        assert [e["line"] for e in errors] == [2, 5, 6]
        assert "12Q" in errors[1]["error"] and "32" in errors[2]["error"]
        code, _, _ = machine.run_guest("good")
        assert code == PASSED
        assert not machine.ask("start bad")["ok"]


def test_no_guest_at_all():
    with Machine(make_image("[host]\n", {})) as machine:
        machine.boot()
        assert machine.cmd("list")["guests"] == []

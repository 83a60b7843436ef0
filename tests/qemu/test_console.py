# SPDX-License-Identifier: BSD-2-Clause
"""The serial console: every command, its answers for people and for programs, and what it says to
bad input."""
import json
import lzma
import os
import re
import subprocess
import time

import trivet
from trivet import PASSED, TOP, guest_file, scratch, section

CONFIG = ("[host]\nlog = info\n"
          + section("one", "hello-mb1", memory="16M", cmdline="tick", autostart="no")
          + section("two", "hello-mb1", memory="16M", autostart="no", debug_exit="yes", weight=50,
                    cpus="0")
          + section("packed", "packed.xz", memory="16M", isa="x86_64")
          + section("wrong", "hello-mb1", memory="16M", vcpu="2")
          + section("other", "hello-mb1", memory="16M", isa="aarch64")
          + section("late", "hello-mb1", memory="16M", after="packed")
          + section("again", "hello-mb1", memory="16M", debug_exit="yes", autostart="no",
                    on_poweroff="restart")
          + section("kept", "hello-mb1", memory="16M", debug_exit="yes", autostart="no",
                    on_poweroff="hold"))


def files():
    return {"hello-mb1": guest_file("hello-mb1"),
            "packed.xz": scratch("packed.xz", lzma.compress(bytes(4096)))}


FILES = files


class Own(trivet.OwnImage, trivet.Machine):
    """Its image is its own."""


MACHINE_TYPE = Own


def text(machine, line, timeout=10):
    """A command as a person types it: what is shown until the next prompt."""
    machine.send(line + "\r")
    shown = machine.expect(r"(.*?)\n\r?trivet> ", timeout, line).group(1)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def people(machine):
    machine.send("json off\r")
    machine.json = False
    machine.expect(r"trivet> ", 10)
    machine.quiet(0.2)


def programs(machine):
    machine.send("json on\r")
    machine.expect(r'"ok":true[^\n]*\n', 10)


def test_help_has_an_example_for_every_command(machine):
    commands = [row["command"] for row in machine.cmd("help")["commands"]]
    assert len(commands) >= 21 and {"help", "list", "vm", "disks", "poweroff"} <= set(commands)
    people(machine)
    try:
        overview = text(machine, "help")
        for command in commands:
            assert command in overview, f"help does not list {command}"
            assert command in text(machine, f"help {command}").split("help " + command, 1)[-1]
    finally:
        programs(machine)


def test_help_explains_every_key_of_the_configuration(machine):
    keys = machine.cmd("help config")["keys"]
    assert len(keys) >= 23 and {"memory", "disk", "smt"} <= {k["key"] for k in keys}
    for key in keys:
        one = machine.cmd(f"help config {key['key']}")
        assert key["key"] in one["usage"] and key["values"] in one["usage"]
        assert one["example"] == key["example"] and key["example"].startswith(key["key"])
        assert one["help"] == key["help"] and one["default"] == key["default"]
    assert "memory" in machine.ask("help config memry")["error"]
    assert machine.cmd("help passthrough")["usage"].startswith("passthrough = ")
    assert machine.cmd("help memory")["usage"].strip() == "memory"     # the command
    assert machine.cmd("help vm sizes")["usage"] == machine.cmd("help vm")["usage"]
    people(machine)
    try:
        assert "1..10000" in text(machine, "help config wei\t")
    finally:
        programs(machine)


def test_list_and_info(machine):
    guests = machine.guests()
    assert set(guests) == {"one", "two", "packed", "wrong", "other", "late", "again", "kept"}
    assert all(g["state"] == "off" for g in guests.values())
    info = machine.cmd("info two")
    assert info["kernel"] == "hello-mb1"
    assert info["memory_bytes"] == 16 << 20 and info["weight"] == 50
    assert info["autostart"] is False


def test_every_guest_that_is_not_up_says_why(machine):
    """In `list`, and again by `start`; and the boot counts what really started."""
    guests = machine.guests()
    for name, why in (
            ("one", "autostart = no"),
            ("packed", "did not start: kernel packed.xz: compressed with xz: unpack it with"),
            ("late", "did not start: after = packed, and that did not start"),
            ("wrong", "left out: an error in trivet.conf, line "),
            ("other", "left out: it is for aarch64, which this machine does not run")):
        assert guests[name]["why"].startswith(why), guests[name]
        if name not in ("one", "late"):
            error = machine.ask(f"start {name}")["error"]
            assert error.startswith(f"{name} cannot start: ") and why.split(": ", 1)[1] in error
    assert "0 of 8 guests running; 2 failed, 2 left out" in "\n".join(
        line["line"] for line in machine.cmd("log all")["lines"])


def test_cpus_and_memory(machine):
    assert len(machine.cmd("cpus")["cpus"]) == 2
    memory = machine.cmd("memory")
    assert memory["total_bytes"] > 1 << 30 and 0 < memory["free_bytes"] <= memory["total_bytes"]
    assert memory["file_bytes"] >= 8192 and memory["disk_bytes"] == 0
    version = machine.cmd("version")
    assert "EPYC" in version["cpu"]
    assert version["build_id"] in subprocess.run(
        ["readelf", "-n", f"{TOP}/build/x86_64/trivet.elf"], check=True, text=True,
        capture_output=True).stdout and len(version["build_id"]) == 40


def test_mitigations(machine):
    """QEMU's EPYC-v3 without an accelerator: a Zen with the microcode of 2017, which has no IBPB.
    Every class has a line, for people and for programs, and in the log."""
    said = {row["class"]: row["state"] for row in machine.cmd("cpus --mitigations")["mitigations"]}
    assert len(said) == 17 and all(re.match("Not affected|Mitigation: |Vulnerable|Unknown", state)
                                   for state in said.values()), said
    assert said["retbleed"] == "Vulnerable"
    assert said["spec_rstack_overflow"] == "Mitigation: SMT disabled"
    assert said["spectre_v2"] == (
        "Mitigation: Retpolines; IBPB: disabled; STIBP: disabled; RSB filling; "
        "PBRSB-eIBRS: Not affected; BHI: Not affected")
    assert said["meltdown"] == said["l1tf"] == said["mds"] == "Not affected"
    log = "\n".join(line["line"] for line in machine.cmd("log all")["lines"])
    for name, state in said.items():
        assert (f"speculation: {name}: {state}" in log) == (state != "Not affected")
    people(machine)
    try:
        assert "Mitigation: Retpolines" in text(machine, "cpus --mitigations")
        assert "give `cpus`, `cpus --mitigations` or" in text(machine, "cpus --other")
    finally:
        programs(machine)


def test_log_is_kept(machine):
    assert any("2 CPUs" in line["line"] for line in machine.cmd("log")["lines"])


def test_bad_input_gets_one_line(machine):
    for line, word in (("lisst", "list"), ("start", "usage"), ("start nobody", "nobody"),
                       ("info onee", "one"), ("config chekc", "check"),
                       ("stop one --farce", "--force"), ("pause one", "running"),
                       ("resume one", "paused"), ("reset one", "running"),
                       ("stop one", "running"), ("info -x", "no guest"),
                       ("stop --force one", "no guest"),
                       ("console --tail", "no guest"), ("json maybe", "on"), ("log loud", "")):
        answer = machine.ask(line)
        assert not answer["ok"] and answer["error"] and "\n" not in answer["error"], line
        assert word in answer["error"], f"{line}: {answer['error']}"


def test_the_protocol(machine):
    """The greeting, ids, codes, events with names and times; no field comes and goes."""
    hello = machine.client.greeting
    assert hello["protocol"] == 1 and hello["version"] == machine.cmd("version")["version"]
    machine.send("@my-id_7.x list\r@ list\r@" + "x" * 33 + " list\r@lonely\r")
    answers = [json.loads(machine.expect(r'({"ok"[^\n]*})\r\n', 10).group(1)) for _ in range(4)]
    assert [a["id"][:8] for a in answers] == ["my-id_7.", "", "x" * 8, "lonely"]
    assert [a["ok"] for a in answers] == [True, True, False, False]
    for line, code in (("lisst", "unknown"), ("start", "usage"), ("start nobody", "unknown"),
                       ("pause one", "state"), ("stop one", "state"), ("json maybe", "usage"),
                       ("help config memry", "unknown"), ("start packed", "failed")):
        answer = machine.client.ask(line)
        assert list(answer) == ["ok", "id", "command", "error"], answer
        assert set(answer["error"]) == {"code", "message"} and answer["error"]["code"] == code
    assert machine.cmd("info one").keys() == machine.cmd("info two").keys()
    seen = len(machine.client.events)
    assert machine.cmd("start one").keys() == machine.cmd("stop one --force").keys()
    machine.cmd("list")
    states = [e for e in machine.client.events[seen:] if e["event"] == "guest.state"]
    assert [e["state"] for e in states] == ["starting", "running", "stopping", "off"], states
    assert all(list(e) == ["event", "time_ns", "name", "state", "why"] and e["name"] == "one"
               for e in states)
    assert sorted(e["time_ns"] for e in states) == [e["time_ns"] for e in states]
    assert states[-1]["why"] == "stopped from the console"


def test_a_line_too_long_is_refused(machine):
    """Whole: what would fit of it is not run."""
    answer = machine.ask("json " + "x" * 5000)
    assert not answer["ok"] and "too long" in answer["error"]
    assert machine.cmd("list")["ok"]


def test_editing_history_and_completion(machine):
    people(machine)
    try:
        assert "two" in text(machine, "info tw\t")
        assert "16" in text(machine, "infx\x7fo one")
        assert "16" in text(machine, "\x1b[A")                     # the command before, again
        machine.send("in\t")
        machine.expect(r"info ", 5, "completion")
        machine.send("\x15\r")                                       # Ctrl-U empties the line
        machine.expect(r"trivet> ", 5)
        machine.quiet(0.2)
        assert "usage" in text(machine, "info\x01\x05")            # Ctrl-A, Ctrl-E
        machine.send("garbage \xff\x00\x1b[99~\x1b[[\x03")
        machine.quiet(0.3)
        assert "two" in text(machine, "list")
    finally:
        programs(machine)


def test_long_lines_and_floods_do_no_harm(machine):
    machine.send("x" * 5000 + "\r")
    machine.expect(r'"ok":false[^\n]*\n', 20)
    machine.send("".join(f"list {i}\r" for i in range(3)))
    for _ in range(3):
        machine.expect(r'"ok":[^\n]*\n', 20)
    machine.quiet(0.3)
    assert machine.cmd("list")["guests"]


def test_a_guest_can_be_started_paused_resumed_reset_and_stopped(machine):
    machine.cmd("start one")
    assert machine.state("one") == "running"
    assert "already" in machine.ask("start one")["error"]
    machine.cmd("pause one")
    assert machine.state("one") == "paused"
    before = machine.cmd("info one")["cpu_ns"]
    machine.quiet(1, 3)
    assert machine.cmd("info one")["cpu_ns"] == before
    machine.cmd("resume one")
    assert machine.state("one") == "running"
    assert machine.cmd("reset one")["state"] == "running"      # answered when it is done
    assert machine.cmd("info one")["resets"] == 1
    stats = machine.cmd("stats one")
    assert stats["entries"] > 0 and any(e["count"] > 0 for e in stats["exits"])
    # it has no driver for a power button
    assert "--wait" in machine.ask("stop one")["error"]
    machine.cmd("stop one --force")
    info = machine.cmd("info one")
    assert info["state"] == "off" and info["why"] == "stopped from the console"


def test_policies(machine):
    """A guest that ends by itself starts again, a little later each time, until somebody stops it;
    another one is held as it is."""
    machine.cmd("start again")
    machine.cmd("start kept")
    info = machine.wait_state("kept", ("paused",), 20)
    assert info["why"].startswith("held: debug-exit with code ")
    assert machine.client.ask("resume kept")["error"]["code"] == "state"
    assert machine.cmd("reset kept")["state"] in ("running", "paused")
    machine.cmd("stop kept --force")
    assert machine.state("kept") == "off"
    seen, starts = len(machine.client.events), 0
    end = time.monotonic() + 60
    while machine.state("again") != "off" or starts < 2:
        assert time.monotonic() < end, machine.client.events[seen:]
        time.sleep(0.2)
        starts = sum(e.get("name") == "again" and e.get("state") == "running"
                     for e in machine.client.events[seen:])
    assert "; starts again in " in machine.guests()["again"]["why"]
    assert machine.cmd("stop again")["state"] == "off"
    assert "starts again" not in machine.guests()["again"]["why"]


def test_set_holds_from_the_next_start_on(machine):
    def memory():
        return machine.cmd("info one")["memory_bytes"] >> 20

    assert machine.cmd("info one")["unsaved"] == ""
    assert machine.cmd("set one memory = 20M")["unsaved"] == "memory"
    assert memory() == 16
    assert "not a size" in machine.ask("set one memory=12Q")["error"]
    assert "did you mean `memory`?" in machine.ask("set one memry=12M")["error"]
    machine.cmd("start one")
    assert memory() == 20 and machine.cmd("info one")["unsaved"] == "memory"
    machine.cmd("set one memory=16M")
    assert memory() == 20
    machine.cmd("stop one --force")
    machine.cmd("start one")
    assert memory() == 16
    machine.cmd("stop one --force")


def test_what_people_type_out_of_habit(machine):
    assert machine.cmd("?")["commands"] == machine.cmd("help")["commands"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", machine.cmd("date")["utc"])
    assert machine.cmd("log level debug")["level"] == "debug"
    assert machine.cmd("log level info")["level"] == "info"
    assert "unknown log level" in machine.ask("log level loud")["error"]
    people(machine)
    try:
        assert "poweroff" in text(machine, "exit")
        machine.send("nonsense\007")  # Ctrl-G drops it
        assert "UTC" in text(machine, "date")
        machine.send("\014")  # Ctrl-L asks for the width; the answer is no text
        machine.send("\033[8;24;132t")
        assert "UTC" in text(machine, "date")
    finally:
        programs(machine)


def test_console_attach_replays_and_ctrl_bracket_leaves(machine):
    code, output, _ = machine.run_guest("two", 30)
    assert code == PASSED and "hello from multiboot1" in output and "PASS hello" in output
    assert "hello from multiboot1" in machine.output("two"), "not replayed a second time"
    machine.cmd("start one")
    machine.send("console one\r")
    machine.expect(r"tick \d+", 20, "a live line")
    machine.detach()
    assert machine.cmd("list")["guests"]
    machine.cmd("stop one --force")


# ---- reload: the last tests, for the guests are others afterwards ----

NEW_KERNEL = "guests/A new kernel, with a long n\u00e4me"
SOUND = CONFIG.replace("vcpu = 2", "vcpus = 2")


def put_config(machine, text, files=None):
    trivet.put_files(machine.image, {"trivet.conf": scratch("reload.conf", text.encode()),
                                     **(files or {})})


def changes(machine):
    """`reload`: {section: (change, text)}."""
    answer = machine.cmd("reload", 60)
    assert answer["errors"] == [], answer
    return {row["section"]: (row["change"], row["text"]) for row in answer["changes"]}


def test_reload_refuses_what_is_wrong(machine):
    """And nothing changes then."""
    before = machine.guests()
    put_config(machine, SOUND + section("added", "not-there", memory="12Q"))
    answer = machine.cmd("reload", 60)
    line = SOUND.count("\n") + 2
    assert [row["line"] for row in answer["errors"]] == [line, line + 1], answer
    assert "there is no such file on the stick" in answer["errors"][0]["text"]
    assert answer["changes"] == [] and machine.guests() == before
    assert machine.cmd("config check")["errors"] != answer["errors"]   # of what holds
    trivet.put_files(machine.image, {"trivet.conf": None})
    assert machine.ask("reload")["error"] == \
        "nothing was changed: trivet.conf on virtio0p1: there is none"
    with open(machine.image, "r+b") as image:
        image.seek((1 << 20) + 510)
        image.write(b"\0\0")
        image.flush()
        assert machine.ask("reload")["error"] == \
            "nothing was changed: trivet.conf on virtio0p1: it holds no FAT file system"
        image.seek((1 << 20) + 510)
        image.write(b"\x55\xaa")
    assert machine.guests() == before


def test_reload_takes_what_has_changed(machine):
    """New guests appear, changed ones change at their next start; what runs goes on."""
    put_config(machine, SOUND)
    assert changes(machine) == {"guest wrong": ("changed", "from its next start on")}
    assert machine.guests()["wrong"]["why"] == ""                      # not left out any more
    assert changes(machine) == {}
    machine.cmd("start one")
    machine.cmd("set two memory=32M")
    up = machine.guests()["one"]["uptime_ns"]
    config = SOUND.replace("[guest one]\nkernel = hello-mb1\nmemory = 16M",
                           "[guest one]\nkernel = hello-mb1\nmemory = 20M")
    config = config[:config.index("[guest kept]")].replace("log = info", "log = warn\nsmt = off")
    subprocess.run(["mmd", "-i", trivet.esp_of(machine.image), "::/guests"], check=True)
    put_config(machine, config + section("added", NEW_KERNEL, memory="16M", debug_exit="yes"),
               {NEW_KERNEL: guest_file("hello-mb1")})
    answer = machine.cmd("reload", 60)
    assert [(row["section"], row["change"], row["text"]) for row in answer["changes"]] == [
        ("host", "changed", "`log`: it takes effect at once"),
        ("host", "changed", "`smt`: it takes effect at the next boot"),
        ("guest one", "changed", "from its next start on; it runs on as it is"),
        ("guest added", "new", "`start added` starts it"),
        ("guest kept", "removed", "it is gone")]
    assert answer["new_bytes"] == os.path.getsize(guest_file("hello-mb1"))
    guests = machine.guests()
    assert "kept" not in guests and guests["added"]["state"] == "off"
    assert guests["one"]["why"] == "a change waits for its next start"
    assert guests["one"]["uptime_ns"] > up
    assert machine.cmd("info one")["memory_bytes"] == 16 << 20
    assert machine.cmd("info two")["memory_bytes"] == 16 << 20         # `set` is undone
    code, output, _ = machine.run_guest("added", 30)
    assert code == PASSED and "PASS hello" in output
    machine.cmd("reset one")
    assert machine.cmd("info one")["memory_bytes"] == 16 << 20
    machine.cmd("stop one --force")
    machine.cmd("start one")
    assert machine.cmd("info one")["memory_bytes"] == 20 << 20
    assert machine.guests()["one"]["why"] == ""


def starts_again(machine, name, command):
    """The guest says once more that it has started."""
    before, end = machine.tail(name).count("PASS hello"), time.monotonic() + 60
    machine.cmd(command)
    while machine.tail(name).count("PASS hello") == before:
        assert time.monotonic() < end, f"{name} did not start again: {machine.tail(name)}"
        time.sleep(0.2)


def test_reload_keeps_files_for_who_runs(machine):
    """A guest goes on with the files that it started with, also over a reset; one that trivet.conf
    names no more goes when it is off, and comes back."""
    put_config(machine, SOUND)
    machine.cmd("reload")
    machine.cmd("stop one --force")
    machine.cmd("start one")
    put_config(machine, SOUND, {"hello-mb1": scratch(
        "no-kernel", bytes(os.path.getsize(guest_file("hello-mb1"))))})
    told = changes(machine)
    assert told["guest one"] == ("changed", "its files: from its next start on; it runs on as it "
                                 "is"), told
    assert machine.guests()["one"]["why"] == "a change waits for its next start"
    starts_again(machine, "one", "reset one")
    without = SOUND[SOUND.index("[guest two]"):]
    put_config(machine, without)
    assert changes(machine) == {"guest one": ("removed", "it runs on; it goes when it is off")}
    assert "removed from trivet.conf" in machine.guests()["one"]["why"]
    starts_again(machine, "one", "reset one")
    machine.cmd("stop one --force")
    assert "one" not in machine.guests()
    assert "there is no guest" in machine.ask("start one")["error"]
    put_config(machine, SOUND)
    assert changes(machine)["guest one"] == ("new", "`start one` starts it")
    assert "kernel hello-mb1: " in machine.ask("start one")["error"]
    files = machine.cmd("memory")["file_bytes"]
    put_config(machine, SOUND, {"hello-mb1": guest_file("hello-mb1")})
    assert changes(machine)["guest one"][0] == "changed"
    assert machine.cmd("memory")["file_bytes"] == files    # nobody has the broken one any more
    starts_again(machine, "one", "start one")
    machine.cmd("stop one --force")
    put_config(machine, CONFIG)         # what the reboot reads


def test_reboot_and_poweroff(keeper):
    machine = keeper.get()
    machine.send("reboot\r")
    machine.expect(r"Trivet \d.*trivet> ", 120, "back after reboot")
    machine.quiet(0.3)
    machine.send("poweroff\r")
    assert machine.process.wait(30) == 0

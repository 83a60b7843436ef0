#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""tests/lint/layers.py: which folder may call which, by symbol, over the objects of each build.

  layers.py             checks build/x86_64, build/aarch64 and build/host (build them first)
  layers.py --table     the table as README.md shows it
  layers.py --dot       the same as a picture, for docs/pictures/layers.dot
"""
import functools
import os
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Every folder, from the top down: what it is, and which folders it may call. A folder may call its
# own files. arch, core and mm call one another: a page table needs pages, pages need locks, a lock
# needs the CPU, and the CPU's code logs.
BASE = ("arch", "hv/core", "hv/mm")
LAYERS = {
    "hv": ("main, start, guests: composes everything",
           (*BASE, "drivers", "hv/conf", "hv/firmware", "hv/dbt/vcpu", "hv/guest/aarch64",
            "hv/guest/riscv64", "hv/guest/x86_64", "hv/mgmt", "hv/pci", "hv/store",
            "hv/vm")),
    "hv/mgmt": ("the shell and its commands",
                (*BASE, "drivers", "hv/block", "hv/conf", "hv/console", "hv/net", "hv/store",
                 "hv/vm")),
    "hv/guest/x86_64": ("what an x86 guest sees", ("arch", "hv/console", "hv/core",
                                                   "hv/guest/common", "hv/guest/uefi", "hv/pci",
                                                   "hv/vio", "hv/vm")),
    "hv/guest/aarch64": ("what an ARM64 guest sees",
                         ("arch", "hv/conf", "hv/console", "hv/core", "hv/guest/common",
                          "hv/guest/uefi", "hv/pci", "hv/vio", "hv/vm")),
    "hv/guest/uefi": ("flash and fw_cfg of guests with UEFI firmware",
                      ("arch", "hv/conf", "hv/core", "hv/guest/common", "hv/store", "hv/vio",
                       "hv/vm")),
    "hv/guest/common": ("what guests of every ISA see", ("arch",)),
    "hv/guest/riscv64": ("what a riscv64 guest sees",
                         ("arch", "hv/console", "hv/core", "hv/dbt/riscv64",
                          "hv/guest/common", "hv/pci", "hv/vio", "hv/vm")),
    "hv/dbt/vcpu": ("the translator as an engine of Trivet",
                    ("arch", "hv/core", "hv/dbt", "hv/dbt/riscv64", "hv/mm", "hv/vm")),
    "hv/dbt/riscv64": ("the translator's front end riscv64", ("arch", "hv/dbt")),
    "hv/dbt": ("a translated guest's memory; the compiler without its front ends", ("arch",)),
    "hv/vio": ("virtio devices and RAM disks",
               (*BASE, "hv/block", "hv/console", "hv/net", "hv/pci", "hv/vm")),
    "hv/pci": ("virtual PCI Express", ("arch", "hv/core", "hv/vm")),
    "hv/vm": ("VMs, vCPUs, exits, guest memory, the scheduler", (*BASE, "hv/conf", "hv/console")),
    "hv/conf": ("trivet.conf, names, kernels", (*BASE, "hv/block", "hv/net")),
    "drivers": ("the host's devices", (*BASE, "hv/block", "hv/console", "hv/firmware", "hv/net")),
    "hv/store": ("the state volume: what outlives the machine's end", (*BASE, "hv/block")),
    "hv/net": ("virtual switches, their ports, uplinks", BASE),
    "hv/block": ("disks, partitions, who holds them", BASE),
    "hv/console": ("the console mux", ("arch", "hv/core")),
    "hv/firmware": ("ACPI, device tree, SMBIOS", ("arch", "hv/core")),
    "hv/mm": ("pages, heap, page tables", ("arch", "hv/core")),
    "hv/core": ("log, locks, events, panic, random numbers", ("arch",)),
    "arch": ("the CPU and its engines", ("hv/core", "hv/mm", "hv/firmware", "hv/conf")),
}

# Arrows that go up, symbol by symbol, each with its reason.
ENGINE = "an engine runs a VM's vCPUs: its side of <hv/vcpu.h>"
SEAMS = {
    ("arch", "hv"): ("the entry code goes on in main.c", {"hv_main", "ap_main"}),
    ("hv/vm", "hv"): ("guests.c: the tables of guest ISAs and engines",
                      {"guest_isas", "portable_engines"}),
    ("arch", "hv/vm"): (ENGINE, {"gmem_map", "gmem_unmap", "gmem_ptr", "gmem_make_exec",
                                 "gmem_name", "gmem_owner", "sched_has_threads", "sched_slice_end",
                                "vm_alloc", "vm_free", "vm_pages", "vm_pages_free"}),
}
BUILDS = {"x86_64": "build/x86_64/trivet.elf", "aarch64": "build/aarch64/trivet.elf",
          "host": "build/host/hv"}


def folder_of(obj, tree):
    """The layer that an object of build/TREE belongs to, or None: a library."""
    path = os.path.dirname(os.path.relpath(obj, tree))
    while path:
        if path in LAYERS:
            return path
        path = os.path.dirname(path)
    return None


def objects(build):
    """The objects of one build, as ninja lists them: what an older tree left behind is not looked
    at."""
    text = subprocess.run(["ninja", "-t", "inputs", BUILDS[build]], cwd=TOP, check=True,
                          capture_output=True, text=True).stdout
    return [line for line in text.split() if line.endswith(".o")]


@functools.cache
def symbols(*objs):
    """{object: (defined, undefined)}: the global names of each."""
    text = subprocess.run(["nm", "-P", "-g", "-A", *objs], cwd=TOP, check=True, capture_output=True,
                          text=True).stdout
    found = {obj: (set(), set()) for obj in objs}
    for line in text.splitlines():
        obj, name, kind = line.split()[:3]
        if kind not in "wv":
            found[obj[:-1]][kind == "U"].add(name)
    return found


@functools.cache
def placed(build):
    """[(folder, object)] of one build, without the libraries."""
    pairs = [(folder_of(obj, f"build/{build}"), obj) for obj in objects(build)]
    return [pair for pair in pairs if pair[0]]


def calls(build, more=()):
    """{(from, to): {symbol: object that names it}} between the layers of one build; more: further
    objects, as (folder, path)."""
    names = symbols(*(obj for _, obj in placed(build)))
    for _, obj in more:
        names = names | symbols(obj)
    home = {name: folder for folder, obj in placed(build) for name in names[obj][0]}
    arrows = {}
    for folder, obj in placed(build) + list(more):
        for name in names[obj][1]:
            if home.get(name, folder) != folder:
                arrows.setdefault((folder, home[name]), {})[name] = obj
    return arrows


def faults(arrows):
    for (source, target), names in sorted(arrows.items()):
        if target in LAYERS[source][1]:
            continue
        for name, obj in sorted(names.items()):
            if name not in SEAMS.get((source, target), ("", ()))[1]:
                yield (f"{obj}: {name} is in {target}: "
                       f"{source} may call {', '.join(LAYERS[source][1])}")


def unused(all_arrows):
    """What the table allows and no build needs."""
    for source, (_, targets) in LAYERS.items():
        for target in targets:
            if not any((source, target) in arrows for arrows in all_arrows):
                yield f"LAYERS: nothing in {source} calls {target}: take the arrow out"
    for (source, target), (_, names) in SEAMS.items():
        for name in names:
            if not any(name in arrows.get((source, target), ()) for arrows in all_arrows):
                yield f"SEAMS: nothing in {source} names {name} of {target}: take it out"


def table():
    lines = ["| folder | what it is | may call |", "|---|---|---|"]
    for folder, (what, targets) in LAYERS.items():
        lines.append(f"| `{folder}` | {what} | {' '.join(f'`{name}`' for name in targets)} |")
    for (source, target), (why, names) in SEAMS.items():
        only = " ".join(f"`{name}`" for name in sorted(names))
        lines.append(f"| `{source}` | {why} | of `{target}` only {only} |")
    return "\n".join(lines) + "\n"


def dot():
    lines = ['digraph layers {',
             '  rankdir=TB; node [shape=box, fontname="sans-serif", style=filled, '
             'fillcolor="#eef3fa", color="#5b7aa8"]; edge [color="#5b7aa8"];']
    for folder, (what, _) in LAYERS.items():
        lines.append(f'  "{folder}" [label="{folder}\\n{what}"];')
    for folder, (_, targets) in LAYERS.items():
        shown = [t for t in targets if t not in BASE or folder in BASE
                 or folder in ("hv/vm", "hv/firmware", "hv/console", "hv/conf", "hv/guest/common")]
        lines += [f'  "{folder}" -> "{target}";' for target in shown]
    lines += [f'  "{source}" -> "{target}" [style=dashed];' for source, target in SEAMS]
    return "\n".join(lines) + "\n}\n"


def stale_copies():
    """The pictures that are made from this table."""
    for path, text in (("README.md", table()), ("docs/pictures/layers.dot", dot())):
        with open(os.path.join(TOP, path), encoding="utf-8") as file:
            if text not in file.read():
                yield (f"{path}: its picture of the layers is not that of tests/lint/layers.py: "
                       f"take the output of --table or --dot")


def selftest():
    """A call up from hv/core, compiled for this test, is found; so is one that a seam does not
    name."""
    for folder, name in (("hv/core", "vm_define"), ("arch", "vm_define"), ("hv/pci", "vio_build")):
        with tempfile.TemporaryDirectory() as tmp:
            obj = os.path.join(tmp, "forbidden.o")
            code = (f"void {name}(void); void forbidden(void); "
                    f"void forbidden(void) {{ {name}(); }}\n")
            subprocess.run(["gcc", "-x", "c", "-c", "-", "-o", obj], input=code, text=True,
                           check=True)
            if not any("forbidden.o" in fault
                       for fault in faults(calls("x86_64", [(folder, obj)]))):
                yield f"layers.py: a call from {folder} to {name} was not found"


def main():
    if sys.argv[1:] == ["--table"]:
        sys.stdout.write(table())
        return 0
    if sys.argv[1:] == ["--dot"]:
        sys.stdout.write(dot())
        return 0
    subprocess.run(["ninja", "-j2", *BUILDS.values()], cwd=TOP, check=True,
                   stdout=subprocess.DEVNULL)
    all_arrows = [calls(build) for build in BUILDS]
    found = [f"{build}: {fault}" for build, arrows in zip(BUILDS, all_arrows)
             for fault in faults(arrows)]
    found += [*unused(all_arrows), *stale_copies(), *selftest()]
    print("\n".join(found) if found
          else f"{len(LAYERS)} folders, {len(BUILDS)} builds: every call is in the table")
    return len(found) > 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: BSD-2-Clause
"""./tests/run fuzz --coverage: what the fuzzers reach of the files that each is meant for.

Builds the fuzzers a second time with clang's source-based coverage (build/cov), runs each with its
kept inputs, with what it found before, and a few seconds more, and prints functions, lines and
regions that were reached. Arguments: names of fuzzers, and --seconds N.
"""
import argparse
import glob
import json
import os
import subprocess
import sys

import corpus

TOP = corpus.TOP
TREE = "build/cov"
# What each is meant for; patterns of paths.
TARGETS = {
    "acpi": ["hv/firmware/*.c"], "route": ["hv/firmware/iort.c"],
    "smmuv3": ["drivers/iommu/smmuv3*.c"],
    "arm_emulate": ["hv/guest/aarch64/decode.c", "hv/guest/aarch64/emulate.c"],
    "arm_load": ["hv/guest/aarch64/load.c", "hv/guest/aarch64/efi.c",
                 "hv/guest/common/inflate*.c"],
    "arm_state": ["hv/guest/aarch64/state.c", "hv/guest/aarch64/pl0*.c",
                  "arch/aarch64/el2_state.c"],
    "boot_config": ["hv/conf/files.c", "hv/conf/config.c"], "config": ["hv/conf/config.c"],
    "dbt_emit": ["hv/dbt/x86_64/*.c"],
    "dbt_jit": ["hv/dbt/riscv64/translate*.c", "hv/dbt/x86_64/*.c"],
    "dmar": ["drivers/iommu/dmar.c"], "ivrs": ["drivers/iommu/ivrs.c"],
    "e1000": ["drivers/net/e1000.c"],
    "el2": ["arch/aarch64/el2_esr.c", "arch/aarch64/el2_sysregs.c"], "event": ["hv/core/event.c"],
    "fat": ["hv/block/fat*.c"], "fdt": ["hv/firmware/*.c"],
    "ini": ["libc-shim/ini.c"], "its": ["hv/guest/aarch64/its.c", "hv/guest/aarch64/its_cmd.c"],
    "lineedit": ["hv/mgmt/lineedit.c"],
    "store": ["hv/store/check.c", "hv/store/store.c"],
    "uefi": ["hv/guest/common/cfi_flash.c", "hv/guest/common/fw_cfg.c",
             "hv/guest/common/ramfb.c", "hv/guest/uefi/file.c"],
    "nat": ["hv/net/nat/*.c"], "nat_dhcp": ["hv/net/nat/stack.c"],
    "nvme": ["drivers/block/nvme*.c"], "part": ["hv/block/part.c"],
    "passthrough": ["hv/pci/passthrough.c", "hv/pci/bar.c"],
    "pci_topology": ["drivers/pci/topology.c", "drivers/pci/group.c", "drivers/pci/explain.c"],
    "pmm": ["hv/mm/pmm.c"], "pt": ["hv/mm/pt*.c"], "ranges": ["boot/ranges.c"],
    "xhci": ["drivers/usb/*.c"],
    "rv_state": ["hv/dbt/riscv64/state.c", "hv/dbt/vcpu/rv_state.c", "hv/guest/riscv64/save.c",
                 "hv/guest/riscv64/state.c"],
    "rv_run": ["hv/dbt/riscv64/*.c", "hv/guest/riscv64/*.c"],
    "sched": ["hv/vm/sched.c"],
    "shell": ["hv/mgmt/shell.c", "hv/mgmt/lineedit.c", "hv/mgmt/out.c", "hv/console/console.c",
              "hv/mgmt/commands_*.c"],
    "smbios": ["hv/firmware/*.c"], "vgic": ["hv/guest/aarch64/vgic.c",
                                            "hv/guest/aarch64/vgic_[bdlr]*.c",
                                            "hv/guest/aarch64/vgic_v2.c"],
    "vio_restore": ["hv/vio/state.c", "hv/pci/state.c"],
    "x86_restore": ["hv/guest/x86_64/state.c", "hv/vm/state.c"],
    "vgic_restore": ["hv/guest/aarch64/vgic_save.c"], "virtio_dev": ["hv/vio/*.c", "hv/pci/*.c"],
    "virtio_net": ["hv/net/*.c", "hv/vio/net.c"],
    "virtio_threads": ["hv/vio/virtio*.c"],
    "virtqueue": ["hv/vio/virtqueue.c"], "vmx_check": ["arch/x86_64/vmx_check*.c"],
    "microcode": ["arch/x86_64/microcode.c"], "cper": ["hv/firmware/cper.c"],
    "vnet": ["drivers/net/virtio_net.c"], "vpci": ["hv/pci/*.c"],
    "x86_emulate": ["hv/guest/x86_64/emulate.c", "hv/guest/x86_64/decode.c",
                    "hv/guest/x86_64/alu.c", "hv/guest/x86_64/string.c", "hv/guest/x86_64/simd.c"],
    "x86_intc": ["hv/guest/x86_64/lapic.c", "hv/guest/x86_64/apic_ipi.c",
                 "hv/guest/x86_64/ioapic.c", "hv/guest/x86_64/pic.c"],
    "x86_load": ["hv/guest/x86_64/load*.c", "hv/guest/x86_64/elf.c"],
    "x86_task": ["hv/guest/x86_64/task.c"],
}
KINDS = ("functions", "lines", "regions")


def run(name, seconds):
    """Runs the fuzzer; the path of its merged profile."""
    seeds, found = f"{TREE}/seeds/{name}", f"build/fuzz/{name}/corpus"
    raw = f"{TREE}/{name}.profraw"
    corpus.unpack(name, os.path.join(TOP, seeds))
    new = f"{TREE}/found/{name}"
    for folder in (found, new):
        os.makedirs(os.path.join(TOP, folder), exist_ok=True)
    subprocess.run([f"{TREE}/fuzz/{name}", f"-max_total_time={seconds}", "-timeout=10",
                    "-verbosity=0", f"-artifact_prefix={TREE}/", new, seeds, found],
                   cwd=TOP, env=dict(os.environ, LLVM_PROFILE_FILE=raw), stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["llvm-profdata", "merge", "-sparse", raw, "-o", f"{TREE}/{name}.profdata"],
                   cwd=TOP, check=True)
    return f"{TREE}/{name}.profdata"


def reached(name, profile):
    """{kind: (reached, all)} over the files that the fuzzer is meant for."""
    files = sorted(path for pattern in TARGETS[name] for path in glob.glob(pattern, root_dir=TOP))
    exported = subprocess.run(["llvm-cov", "export", "-summary-only", f"{TREE}/fuzz/{name}",
                               f"-instr-profile={profile}",
                               *[os.path.join(TOP, path) for path in files]], cwd=TOP, text=True,
                              capture_output=True, check=True)
    totals = json.loads(exported.stdout)["data"][0]["totals"]
    return {kind: (totals[kind]["covered"], totals[kind]["count"]) for kind in KINDS}


def row(name, values):
    cells = [f"{covered}/{count} {100 * covered // count if count else 0:3}%"
             for covered, count in (values[kind] for kind in KINDS)]
    print(f"{name:<16}" + "".join(f"{cell:>18}" for cell in cells) + "  " + " ".join(TARGETS[name]),
          flush=True)


def check(names):
    """Ends with what the table lacks, or names in vain."""
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        sys.exit(f"tests/fuzz/coverage.py does not say what these are meant for: "
                 f"{' '.join(unknown)}")
    for name, patterns in TARGETS.items():
        for pattern in patterns:
            if not glob.glob(pattern, root_dir=TOP):
                sys.exit(f"tests/fuzz/coverage.py: {name}: there is no {pattern}")


def main():
    parser = argparse.ArgumentParser(prog="tests/run fuzz --coverage")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    names = options.names or corpus.names()
    check(names)
    subprocess.run(["ninja", "--quiet", *[f"{TREE}/fuzz/{name}" for name in names]], cwd=TOP,
                   check=True)
    print(f"{'target':<16}" + "".join(f"{kind:>18}" for kind in KINDS) + "  files")
    for name in names:
        row(name, reached(name, run(name, options.seconds)))


if __name__ == "__main__":
    main()

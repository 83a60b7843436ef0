/* SPDX-License-Identifier: BSD-2-Clause */
/* examples.c: a line for each key of trivet.conf. A unit test reads each of them. */
#include <hv/config_help.h>
#include <hv/types.h>
#include <string.h>

static const struct {
    const char *key, *line;
} examples[] = {
    { "acpi", "acpi = yes" },
    { "address", "address = 192.0.2.5/24" },
    { "after", "after = router" },
    { "apicv", "apicv = yes" },
    { "autostart", "autostart = no" },
    { "boot", "boot = disk,net" },
    { "boot-file", "boot-file = boot/ipxe.efi" },
    { "boot-menu", "boot-menu = 5" },
    { "cdrom", "cdrom = installer.iso" },
    { "cmdline", "cmdline = console=hvc0 root=/dev/vda" },
    { "cloud-init", "cloud-init = web.yaml" },
    { "cpus", "cpus = 0,2-3" },
    { "debug-exit", "debug-exit = yes" },
    { "delay", "delay = 10" },
    { "disk", "disk = nvme0p3" },
    { "disk-changes", "disk-changes = 64M" },
    { "dns", "dns = 192.0.2.1" },
    { "engine", "engine = interpret" },
    { "escape", "escape = Ctrl-A" },
    { "firmware", "firmware = uefi" },
    { "floods", "floods = 5000" },
    { "forward", "forward = tcp:8080->web:80" },
    { "gateway", "gateway = 192.0.2.1" },
    { "initrd", "initrd = guests/initrd.img" },
    { "inside", "inside = 10.21.0.1/24" },
    { "isa", "isa = aarch64" },
    { "json", "json = yes" },
    { "kernel", "kernel = guests/vmlinuz" },
    { "kind", "kind = multiboot2" },
    { "log", "log = warn" },
    { "log-time", "log-time = utc" },
    { "memory", "memory = 512M" },
    { "iommu", "iommu = deferred" },
    { "microcode", "microcode = intel-ucode/06-9e-0a" },
    { "mitigations", "mitigations = all" },
    { "module", "module = guests/app.bin --verbose" },
    { "mtu", "mtu = 9000" },
    { "net", "net = lan,mac=02:00:00:00:00:01" },
    { "on_crash", "on_crash = restart" },
    { "on_poweroff", "on_poweroff = restart" },
    { "on_reboot", "on_reboot = stop" },
    { "order", "order = 10" },
    { "overhead", "overhead = 16M" },
    { "passthrough", "passthrough = 0000:03:00.0" },
    { "pv", "pv = no" },
    { "rng", "rng = no" },
    { "screen", "screen = yes" },
    { "secure-boot", "secure-boot = yes" },
    { "smbios.manufacturer", "smbios.manufacturer = Example" },
    { "smbios.oem", "smbios.oem = io.systemd.credential:motd=hello" },
    { "smbios.product", "smbios.product = Web server" },
    { "smbios.serial", "smbios.serial = 0001" },
    { "smbios.uuid", "smbios.uuid = 6f1c1b9e-52cb-4b2f-9d3b-1f5a3c0e7d42" },
    { "smbios.version", "smbios.version = 2" },
    { "max-cpus", "max-cpus = 16" },
    { "smt", "smt = core" },
    { "unsafe-passthrough", "unsafe-passthrough = yes" },
    { "uplink", "uplink = nic0" },
    { "vcpus", "vcpus = 2" },
    { "vfs", "vfs = 0000:03:00.0,4" },
    { "watchdog", "watchdog = yes" },
    { "weight", "weight = 200" },
    { "x2apic", "x2apic = no" },
};

const char *config_example(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(examples); i++)
        if (strcmp(examples[i].key, key) == 0)
            return examples[i].line;
    return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trivet.conf: one table of keys per kind of section, and what their values may be. See
 * <hv/config.h>; parse.c reads the file.
 */
#include "parse.h"
#include "boot/boot_info.h"
#include <hv/assert.h>
#include <hv/config.h>
#include <hv/config_files.h>
#include <hv/nat.h>
#include <hv/net.h>
#include <hv/words.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *const guest_kind_names[] = { "auto",       "linux", "pvh", "multiboot",
                                         "multiboot2", "image", "flat" };
const char *const isa_names[] = { "x86_64", "aarch64", "riscv64", "auto" };
static_assert(ARRAY_SIZE(isa_names) == ISA_COUNT + 1, "auto stands for ISA_COUNT");
static const char *const mitigation_names[] = { "auto", "off", "all" };
static const char *const unmap_names[] = { "strict", "deferred" };
static const char *const smt_names[] = { "auto", "off", "core", "on" };
static const char *const engine_names[] = { "auto", "interpret", "jit" };
static const char *const policy_names[] = { "restart", "stop", "hold" };
static const char *const log_names[] = { "err", "warn", "info", "debug" };
static const char *const log_time_names[] = { "uptime", "utc" };

/* ---- values ---- */
static bool copy_text(struct parse *p, char *dst, size_t len)
{
    size_t n = strlen(p->value);

    if (n >= len) {
        complain(p, "%zu bytes long; at most %zu are accepted", n, len - 1);
        return false;
    }
    memcpy(dst, p->value, n + 1);
    return true;
}

static_assert(PATH_LEN == BOOT_NAME_MAX, "the loader takes every path that is accepted here");

void check_file(struct parse *p, const char *path)
{
    if (path[0] == '\0')
        complain(p, "no file is named; give its path on the stick, such as guests/vmlinuz");
    else if (strchr(path, '"'))
        complain(p, "quotes stand around the whole value, or nowhere");
    else if (p->limits->file_exists && !p->limits->file_exists(path))
        complain(p, "there is no such file on the stick (or it could not be read)");
}

static void set_path(struct parse *p, const struct key *k, void *field)
{
    (void)k;
    if (copy_text(p, field, PATH_LEN))
        check_file(p, field);
}

/* arch looks for the names itself, before the configuration is read (config_microcode()). */
static void add_microcode(struct parse *p, const struct key *k, void *field)
{
    struct host_config *host = field;
    char path[PATH_LEN];

    (void)k;
    if (host->nmicrocode == MICROCODE_FILES)
        complain(p, "at most %u files of microcode are accepted", MICROCODE_FILES);
    else if (copy_text(p, path, sizeof path))
        check_file(p, path);
    host->nmicrocode++;
}

/* The stick need not serve hosts of every ISA. */
static bool any_firmware(bool (*exists)(const char *))
{
    for (unsigned isa = 0; isa < ISA_COUNT; isa++)
        if (config_uefi_file(isa) && exists(config_uefi_file(isa)))
            return true;
    return false;
}

static void set_firmware(struct parse *p, const struct key *k, void *field)
{
    bool (*exists)(const char *) = p->limits->file_exists;

    (void)k;
    if (!copy_text(p, field, PATH_LEN))
        return;
    if (strcasecmp(field, FIRMWARE_UEFI) != 0) {
        check_file(p, field);
        return;
    }
    memcpy(field, FIRMWARE_UEFI, sizeof FIRMWARE_UEFI);
    if (exists && !any_firmware(exists))
        complain(p, "no firmware is on the stick; images/build-image puts %s there",
                 config_uefi_file(ISA_X86_64));
}

static void set_secure_boot(struct parse *p, const struct key *k, void *field)
{
    bool (*exists)(const char *) = p->limits->file_exists;
    const char *file = config_secure_file(ISA_X86_64);
    bool *on = field;

    (void)k;
    if (parse_bool(p->value, on))
        complain(p, "give yes or no");
    else if (*on && exists && !exists(file))
        complain(p, "the firmware for it is not on the stick; images/build-image puts %s there",
                 file);
}

static void set_text(struct parse *p, const struct key *k, void *field)
{
    (void)k;
    (void)copy_text(p, field, CMDLINE_LEN);
}

/* Whether there is such a guest is known at the end of the file. */
static void set_after(struct parse *p, const struct key *k, void *field)
{
    (void)k;
    p->guest->after_line = p->line;
    (void)copy_text(p, field, NAME_LEN);
}

/* `Ctrl-A`, `ctrl-]`, `^A`; not the keys that a shell in the guest needs at every line. */
static void set_escape(struct parse *p, const struct key *k, void *field)
{
    const char *s = p->value;
    unsigned code;

    (void)k;
    s += strncasecmp(s, "ctrl-", 5) == 0 ? 5 : *s == '^' ? 1 : 0;
    code = (unsigned char)*s & 0x1f;
    if (s == p->value || s[0] == '\0' || s[1] != '\0' || (unsigned char)(*s & ~0x20) < 'A' ||
        (unsigned char)(*s & ~0x20) > '_' || strchr("\3\b\t\n\r\033", (int)code))
        complain(p, "give Ctrl- and a letter or one of \\ ] ^ _, such as Ctrl-A; not Ctrl-C, H, I, "
                    "J, M or [");
    else
        *(uint32_t *)field = code;
}

static void set_number(struct parse *p, const struct key *k, void *field)
{
    uint64_t v;

    if (parse_number(p->value, k->lo, k->hi, &v))
        complain(p, "give a number from %llu to %llu", (unsigned long long)k->lo,
                 (unsigned long long)k->hi);
    else
        *(uint32_t *)field = (uint32_t)v;
}

/* The machine's guests may have fewer than the key allows. */
static void set_vcpus(struct parse *p, const struct key *k, void *field)
{
    struct key here = *k;

    if (p->limits->vcpus)
        here.hi = min_u64(here.hi, p->limits->vcpus);
    set_number(p, &here, field);
}

static void set_bool(struct parse *p, const struct key *k, void *field)
{
    (void)k;
    if (parse_bool(p->value, field))
        complain(p, "give yes or no");
}

static void config_set_word(struct parse *p, const struct key *k, void *field)
{
    char all[80] = "";
    size_t n = 0;

    for (size_t i = 0; i < (size_t)k->hi; i++) {
        if (strcasecmp(p->value, k->words[i]) == 0) {
            *(uint32_t *)field = (uint32_t)i;
            return;
        }
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", k->words[i]);
    }
    complain(p, "give one of %s", all);
}
static_assert(sizeof(enum guest_kind) == 4 && sizeof(enum isa) == 4 &&
                  sizeof(enum log_level) == 4 && sizeof(enum mitigations) == 4 &&
                  sizeof(enum sched_smt) == 4 && sizeof(enum policy) == 4 &&
                  sizeof(enum config_engine) == 4,
              "set_word stores 32 bits");

/*
 * `0.5G` and the like: at most three digits behind the point. 0: it is none.
 */
static uint64_t decimal_size(const char *s)
{
    static const char units[] = "KMGT";
    uint64_t part = 0, scale = 1, whole = 0;
    const char *unit;

    for (; *s >= '0' && *s <= '9' && whole < 100000; s++)
        whole = whole * 10 + (uint64_t)(*s - '0');
    if (*s != '.' && *s != ',')
        return 0;
    for (s++; *s >= '0' && *s <= '9' && scale < 1000; s++, scale *= 10)
        part = part * 10 + (uint64_t)(*s - '0');
    while (*s == ' ')
        s++;
    unit = *s ? strchr(units, *s & 0x5f) : NULL;
    if (!unit)
        return 0;
    return ((whole * scale + part) << (10 * (unit - units + 1))) / scale;
}

/* What somebody may have meant: `0.5G`, or a number without its unit. "": no idea. */
static const char *meant(const char *value, char *buf, size_t len)
{
    uint64_t v = decimal_size(value);

    buf[0] = '\0';
    if (v >= MIB)
        snprintf(buf, len, "; give a whole number: %lluM", (unsigned long long)(v / MIB));
    else if (parse_size(value, &v) == 0 && v > 0 && v < MIB &&
             strspn(value, "0123456789") == strlen(value))
        snprintf(buf, len, "; did you mean %lluM?", (unsigned long long)v);
    return buf;
}

static void set_memory(struct parse *p, const struct key *k, void *field)
{
    char most[24], hint[48];
    uint64_t v;

    (void)k;
    format_size(p->limits->memory_max, most, sizeof most);
    meant(p->value, hint, sizeof hint);
    if (parse_size(p->value, &v))
        complain(p, "not a size; give 1M to %s, such as 512M%s", most, hint);
    else if (v < MIB || v > p->limits->memory_max)
        complain(p, "out of range; give 1M to %s%s", most, hint);
    else if (v % PAGE_SIZE)
        complain(p, "not a multiple of 4K");
    else
        *(uint64_t *)field = v;
}

static void config_set_limit(struct parse *p, const struct key *k, void *field)
{
    char most[24], hint[48];
    uint64_t v;

    meant(p->value, hint, sizeof hint);
    format_size(p->limits->memory_max, most, sizeof most);
    if (parse_size(p->value, &v) || v < k->lo || v > p->limits->memory_max)
        complain(p, "not a size; give %s to %s, such as 64M%s", k->lo ? "1M" : "0", most, hint);
    else
        *(uint64_t *)field = v;
}

static void set_cpus(struct parse *p, const struct key *k, void *field)
{
    int err = parse_cpu_list(p->value, p->limits->cpus, field);

    (void)k;
    if (err == -ERANGE)
        complain(p, "this machine has the CPUs 0 to %u", p->limits->cpus - 1);
    else if (err)
        complain(p, "give CPU numbers, such as 0,2-3");
}

/*
 * Splits "NAME REST" or "NAME,REST" at the first of `seps`; copies NAME to path, returns REST (in
 * value, which is the key's or its end).
 */
const char *split_path(struct parse *p, const char *value, const char *seps, char *path)
{
    size_t n = config_name_len(value, seps);
    const char *rest = value + strcspn(value, seps);

    if (n >= PATH_LEN) {
        complain(p, "the path is %zu bytes long; at most %d are accepted", n, PATH_LEN - 1);
        return NULL;
    }
    memcpy(path, value, n);
    path[n] = '\0';
    while (*rest == ' ' || *rest == '\t')
        rest++;
    return rest;
}

static void add_module(struct parse *p, const struct key *k, void *field)
{
    struct guest_config *g = field;
    struct guest_module *m = &g->module[g->nmodules];
    const char *args;

    (void)k;
    if (g->nmodules == ARRAY_SIZE(g->module)) {
        complain(p, "at most %zu modules are accepted", ARRAY_SIZE(g->module));
        return;
    }
    args = split_path(p, p->value, " \t", m->path);
    if (!args)
        return;
    check_file(p, m->path);
    if (strlen(args) >= sizeof m->args) {
        complain(p, "the arguments are %zu bytes long; at most %zu are accepted", strlen(args),
                 sizeof m->args - 1);
        return;
    }
    memcpy(m->args, args, strlen(args) + 1);
    g->nmodules++;
}

/* "10/20/30-40" or "all", as bits. */
static bool parse_vlans(const char *s, uint64_t *bits)
{
    uint64_t lo, hi;
    char word[12];

    if (strcasecmp(s, "all") == 0)
        s = "1-4094";
    for (;;) {
        size_t n = strcspn(s, "/"), dash = strcspn(s, "-/");

        if (n >= sizeof word)
            return false;
        memcpy(word, s, n);
        word[n] = word[dash] = '\0';
        if (parse_number(word, 1, NET_VLANS - 1, &lo) ||
            parse_number(dash < n ? word + dash + 1 : word, lo, NET_VLANS - 1, &hi))
            return false;
        for (; lo <= hi; lo++)
            bits[lo / 64] |= 1ull << (lo % 64);
        if (!s[n])
            return true;
        s += n + 1;
    }
}

/* vlan=, trunk=, rate=: of a guest's port or an uplink's. */
static bool access_option(const char *text, struct net_access *a)
{
    uint64_t v;

    if (strncasecmp(text, "vlan=", 5) == 0 && parse_number(text + 5, 1, NET_VLANS - 1, &v) == 0) {
        a->vlan = (uint16_t)v;
        return true;
    }
    if (strncasecmp(text, "rate=", 5) == 0 && parse_size(text + 5, &v) == 0 && v >= KIB &&
        v <= NET_RATE_MAX) {
        a->rate = v;
        return true;
    }
    a->trunk |= strncasecmp(text, "trunk=", 6) == 0;
    return strncasecmp(text, "trunk=", 6) == 0 && parse_vlans(text + 6, a->allowed);
}

static bool copy_option(const char *word, size_t len, char *text, size_t room)
{
    if (len >= room)
        return false;
    memcpy(text, word, len);
    text[len] = '\0';
    return true;
}

static void add_option(struct parse *p, struct guest_net *n, const char *word, size_t len)
{
    char text[64];

    if (copy_option(word, len, text, sizeof text)) {
        if (strcasecmp(text, "isolated") == 0) {
            n->isolated = true;
            return;
        }
        if (strncasecmp(text, "mac=", 4) == 0 && net_mac_parse(text + 4, &n->mac) == 0)
            return;
        if (strncasecmp(text, "ip=", 3) == 0 && ip_parse(text + 3, &n->ip) == 0 && n->ip)
            return;
        if (access_option(text, &n->access))
            return;
    }
    complain(p, "after the switch's name only `,mac=ADDRESS` (such as 02:00:00:00:00:01), "
                "`,ip=ADDRESS` (such as 10.21.0.15), `,isolated`, `,vlan=1..4094`, `,trunk=VLANS` "
                "(10/20/30-40, all) and `,rate=SIZE` are accepted");
}

/* Whether there is such a switch is known at the end of the file. */
static void config_add_net(struct parse *p, const struct key *k, void *field)
{
    struct guest_config *g = field;
    struct guest_net *n = &g->net[g->nnets];
    const char *s = p->value + strcspn(p->value, ",");
    size_t len = config_name_len(p->value, ",");

    (void)k;
    if (g->nnets == ARRAY_SIZE(g->net)) {
        complain(p, "at most %zu network devices are accepted", ARRAY_SIZE(g->net));
        return;
    }
    if (len == 0 || len >= sizeof n->net) {
        complain(p, "give the name of a switch: [net NAME]");
        return;
    }
    memcpy(n->net, p->value, len);
    n->net[len] = '\0';
    n->mac = net_mac_of_guest(g->name, g->nnets);
    n->line = p->line;
    while (*s == ',') {
        s = after_comma(s);
        len = strcspn(s, ",");
        add_option(p, n, s, config_name_len(s, ","));
        s += len;
    }
    g->nnets++;
}

static bool config_is_nat(const struct config_net *n) { return strcmp(n->name, NAT_NAME) == 0; }

/* A NIC of the machine, which no other switch has. */
static bool check_uplink(struct parse *p, const char *name)
{
    const struct config *c = p->out;
    bool good = true;

    if (p->limits->nic_exists && !p->limits->nic_exists(name)) {
        complain(p, "this machine has no such network device; `nics` on the console lists them");
        return false;
    }
    for (unsigned i = 0; i < c->nnets; i++)
        if (&c->net[i] != p->net && strcmp(c->net[i].uplink, name) == 0) {
            complain(p, "[net %s] has it, too, in line %u; a network device belongs to one switch",
                     c->net[i].name, c->net[i].line);
            good = false;
        }
    return good;
}

static void set_uplink(struct parse *p, const struct key *k, void *field)
{
    const char *s = p->value + strcspn(p->value, ",");
    struct config_net *n = p->net;
    char name[NAME_LEN], text[64];
    bool good;

    (void)k;
    if (!copy_option(p->value, config_name_len(p->value, ","), name, sizeof name) || !name[0]) {
        complain(p, "give the name of a network device, such as nic0");
        return;
    }
    if (config_is_nat(p->net) && strcasecmp(p->value, "none") == 0) {
        memcpy(field, "none", sizeof "none");
        return;
    }
    good = check_uplink(p, name);
    while (*s == ',') {
        s = after_comma(s);
        if (!copy_option(s, config_name_len(s, ","), text, sizeof text) ||
            !access_option(text, &n->access)) {
            complain(p, "after its name only `,vlan=1..4094`, `,trunk=VLANS` (10/20/30-40, all) "
                        "and `,rate=SIZE` are accepted");
            good = false;
        }
        s += strcspn(s, ",");
    }
    if (config_is_nat(n) && (n->access.vlan || n->access.trunk)) {
        complain(p, "the uplink of the NAT network takes `,rate=SIZE` alone");
        good = false;
    }
    if (good)
        memcpy(field, name, sizeof name);
}

#define NET(field) offsetof(struct config_net, field)
#define GUEST(field) offsetof(struct guest_config, field)
#define HOST(field) offsetof(struct host_config, field)
#define WORDS(names) 0, ARRAY_SIZE(names), names
static const struct key guest_keys[] = {
    { "kernel", set_path, GUEST(kernel), 0, 0, NULL, false, "required without firmware",
      "the guest's kernel. Files are paths on the stick, with / or \\, in either case" },
    { "firmware", set_firmware, GUEST(firmware), 0, 0, NULL, false, "none",
      "instead of a kernel: what starts the guest from its disks. uefi: the UEFI firmware "
      "that is "
      "on the stick. FILE: another one, its variable store before its code (OVMF.fd). riscv64: a "
      "program for M-mode, such as OpenSBI's fw_dynamic.bin, which starts the `kernel` (an Image, "
      "or U-Boot for S-mode), or U-Boot for M-mode, without one" },
    { "kind", config_set_word, GUEST(kind), WORDS(guest_kind_names), false, "auto",
      "what the kernel file is. auto: told by the file's header. image: an ARM64 Linux Image, also "
      "compressed. "
      "flat: ARM64 code, entered at its first byte with x0 = device tree" },
    { "initrd", set_path, GUEST(initrd), 0, 0, NULL, false, "none", "the initial RAM disk" },
    { "module", add_module, 0, 0, 0, NULL, true, "none",
      "a module and its arguments, for Multiboot and PVH kernels; at most 16" },
    { "cmdline", set_text, GUEST(cmdline), 0, 0, NULL, false, "empty",
      "the kernel's command line, at most 2047 bytes" },
    { "memory", set_memory, GUEST(memory), 0, 0, NULL, false, "256M",
      "the guest's memory: from 1M, a multiple of 4K" },
    { "vcpus", set_vcpus, GUEST(vcpus), 1, MAX_VCPUS, NULL, false, "1",
      "the guest's CPUs; x86-64: at most 255" },
    { "cpus", set_cpus, GUEST(cpus), 0, 0, NULL, false, "all",
      "the host's CPUs that may run the guest" },
    { "weight", set_number, GUEST(weight), 1, 10000, NULL, false, "100",
      "the guest's share of busy CPUs, against the weights of the others" },
    { "disk", config_add_disk, 0, 0, 0, NULL, true, "none",
      "a virtio-blk disk. NAME: a disk or partition of the machine, as `disks` lists them, such as "
      "nvme0, ahci0, ide0, virtio0 or nvme0p3; partlabel: and partuuid: a GPT partition, serial: a "
      "disk. "
      "What a guest writes there stays. One guest may write it, or several read it. FILE: a RAM "
      "disk loaded from the stick and private to the guest. ro: it cannot be written. iops and "
      "bandwidth: the most "
      "requests and bytes a second. At most 8" },
    { "cdrom", config_add_cdrom, 0, 0, 0, NULL, true, "none",
      "a CD, read-only, which firmware and systems start from: FILE is an ISO image on the stick. "
      "NAME as with `disk`. It is one of the 8 disks, at the place of its line among theirs" },
    { "cloud-init", set_cloud_init, 0, 0, 0, NULL, false, "none",
      "a disk from which cloud-init in the guest reads what it is to become: FILE is its "
      "user-data, "
      "META its meta-data. Without META the guest is told its name. It is one of the 8 disks, at "
      "the place of its line among theirs" },
    { "boot", set_boot, 0, 0, 0, NULL, false, "as the firmware likes",
      "what the firmware tries, one after another: disk, cdrom and net are all of a kind in the "
      "order of their lines, disk2 the second alone. What is not named is not tried" },
    { "boot-menu", set_number, GUEST(boot_menu), 0, 60, NULL, false, "as the firmware likes",
      "how many seconds the firmware waits for Esc or F2, which open its menu, before it starts "
      "anything" },
    { "screen", set_bool, GUEST(screen), 0, 0, NULL, false, "no",
      "a screen for a guest with UEFI firmware, which its firmware and system draw on in the "
      "guest's "
      "memory; `screenshot` shows it. Drawing costs the guest time: the serial console does not" },
    { "secure-boot", set_secure_boot, GUEST(secure_boot), 0, 0, NULL, false, "no",
      "x86-64: the firmware starts only what is signed by the keys that Debian's package has "
      "(Microsoft's, by which Debian's shim is signed). It keeps others from being started, not "
      "the "
      "guest's own kernel from changing the keys" },
    { "smbios.manufacturer", set_smbios_text, GUEST(smbios.manufacturer), 0, 0, NULL, false,
      "Trivet",
      "who made the guest's machine, as its firmware says (SMBIOS). This key and those that follow "
      "are for guests with firmware" },
    { "smbios.product", set_smbios_text, GUEST(smbios.product), 0, 0, NULL, false, "Trivet guest",
      "what the machine is called" },
    { "smbios.version", set_smbios_text, GUEST(smbios.version), 0, 0, NULL, false, "none",
      "the machine's version" },
    { "smbios.serial", set_smbios_text, GUEST(smbios.serial), 0, 0, NULL, false, "the guest's name",
      "the machine's serial number" },
    { "smbios.uuid", set_smbios_uuid, GUEST(smbios.uuid), 0, 0, NULL, false, "made from its name",
      "the machine's UUID" },
    { "smbios.oem", add_smbios_oem, 0, 0, 0, NULL, true, "none",
      "a text for programs that set the guest up (SMBIOS type 11), such as systemd's credentials. "
      "At "
      "most 4" },
    { "net", config_add_net, 0, 0, 0, NULL, true, "none",
      "a virtio-net device on the switch [net NAME], or on the NAT network, nat, which needs no "
      "section. mac: its address; normally one made from the guest's name, always the same. ip: "
      "what DHCP gives it on the NAT network; normally made from the name, too. isolated: it "
      "reaches no other isolated device. vlan: it is in that VLAN alone, and sees no tags. trunk: "
      "it has these VLANs, by 802.1Q tags; with vlan, that one without a tag. rate: bytes a second "
      "each way; what is above is lost. At most 4" },
    { "passthrough", add_passthrough, 0, 0, 0, NULL, true, "none",
      "a PCI device of the machine, as `pci` lists them: the guest's own, and nobody else's. An "
      "address, vendor and device, or the first free one of a class. It needs an IOMMU; `pci "
      "explain` tells what it cannot be kept apart from. Such a guest cannot be saved. At most 8" },
    { "unsafe-passthrough", set_bool, GUEST(unsafe_passthrough), 0, 0, NULL, false, "no",
      "give it these devices even where the machine does not isolate them: it may then read and "
      "change the memory of Trivet and of other guests" },
    { "disk-changes", config_set_limit, GUEST(disk_changes), 0, 0, NULL, false,
      "the size of its writable disks, at most a quarter of `memory`, at least 16M",
      "the most memory for what the guest changes on its disks; reserved when the guest starts" },
    { "overhead", config_set_limit, GUEST(overhead), MIB, 0, NULL, false, "from memory and vcpus",
      "the most memory for Trivet's own records of the guest; reserved when the guest starts" },
    { "isa", config_set_word, GUEST(isa), WORDS(isa_names), false, "auto",
      "the guest's instruction set. auto: told by the kernel; one compressed by gzip, zstd or xz "
      "is taken for "
      "aarch64's. Guests for other machines are left out" },
    { "engine", config_set_word, GUEST(engine), WORDS(engine_names), false, "auto",
      "riscv64: how the translator runs the guest. interpret: one instruction after another, which "
      "takes least memory. jit: code is compiled when it first runs. auto: when it has run often" },
    { "autostart", set_bool, GUEST(autostart), 0, 0, NULL, false, "yes",
      "start the guest when Trivet has started" },
    { "order", set_number, GUEST(order), 0, 1000, NULL, false, "0",
      "guests with a lower number start first, those of one number in the order of the file" },
    { "after", set_after, GUEST(after), 0, 0, NULL, false, "none",
      "start when that guest runs; not at all if it does not start" },
    { "delay", set_number, GUEST(delay), 0, 3600, NULL, false, "0",
      "start so many seconds after that guest runs, or after Trivet has started" },
    { "on_crash", config_set_word, GUEST(on_crash), WORDS(policy_names), false, "stop",
      "when the guest crashes, or tells that its kernel panicked (pvpanic). restart: start it "
      "again, after 1 s, and later each time it crashes "
      "within a minute. stop: it stays off. hold: it stands still, to be looked at, until `reset` "
      "or `stop --force`" },
    { "on_reboot", config_set_word, GUEST(on_reboot), WORDS(policy_names), false, "restart",
      "when the guest resets itself. restart: at once, and later each time it does so within a "
      "minute. stop: it is off then. hold: as above" },
    { "on_poweroff", config_set_word, GUEST(on_poweroff), WORDS(policy_names), false, "stop",
      "when the guest switches itself off, unless somebody asked it to. As on_crash" },
    { "rng", set_bool, GUEST(rng), 0, 0, NULL, false, "yes", "give the guest a virtio-rng device" },
    { "pv", set_bool, GUEST(pv), 0, 0, NULL, false, "yes", "offer KVM's paravirtual interface" },
    { "x2apic", set_bool, GUEST(x2apic), 0, 0, NULL, false, "yes", "x86: offer the x2APIC" },
    { "apicv", set_bool, GUEST(apicv), 0, 0, NULL, false, "no",
      "x86: let the CPU keep the guest's local APIC where it can (Intel APICv)" },
    { "acpi", set_bool, GUEST(acpi), 0, 0, NULL, false, "no",
      "ARM64: describe the machine by ACPI tables instead of a device tree (the default with "
      "firmware; x86 guests always have them)" },
    { "watchdog", set_bool, GUEST(watchdog), 0, 0, NULL, false, "no",
      "x86: a watchdog timer (Intel 6300ESB, Linux's i6300esb) that resets the guest when its "
      "system "
      "does not serve it any more" },
    { "debug-exit", set_bool, GUEST(debug_exit), 0, 0, NULL, false, "no",
      "x86: end the guest when it writes to port 0xf4, as its tests do" },
};
static const struct key net_keys[] = {
    { "mtu", set_number, NET(mtu), NET_MTU_MIN, NET_MTU_MAX, NULL, false, "1500",
      "the most bytes that a frame carries; guests are told" },
    { "floods", set_number, NET(floods), 1, 1000000, NULL, false, "1000",
      "the most frames a second that a port may send to all: broadcasts, multicasts, and those to "
      "an address that the switch does not know" },
    { "uplink", set_uplink, NET(uplink), 0, 0, NULL, false, "none",
      "a network device of the machine, as `nics` lists them, such as nic0: guests on the switch "
      "reach what is behind it. It belongs to one switch. vlan, trunk, rate: as in `net` of a "
      "guest. The NAT network has by default the first "
      "that no other switch has; none: it has no uplink" },
    { "inside", set_inside, 0, 0, 0, NULL, false, "10.21.0.1/24",
      "[net nat]: the gateway's address, and the subnet from which guests have theirs" },
    { "address", set_address, 0, 0, 0, NULL, false, "dhcp", "[net nat]: the uplink's address" },
    { "gateway", set_gateway, 0, 0, 0, NULL, false, "by DHCP",
      "[net nat]: the router behind the uplink, where `address` is fixed" },
    { "dns", add_dns, 0, 0, 0, NULL, true, "by DHCP",
      "[net nat]: a name server behind the uplink, which is asked for what is no guest's name; at "
      "most 3" },
    { "boot-file", set_net_boot, 0, 0, 0, NULL, false, "none",
      "[net nat]: a file that guests boot from the network (`boot = net`), such as an EFI program: "
      "the gateway's DHCP names it, and they read it by TFTP" },
    { "forward", add_forward, 0, 0, 0, NULL, true, "none",
      "[net nat]: what comes to this port of the uplink goes to a port of a guest; at most 64" },
};
static const struct key host_keys[] = {
    { "escape", set_escape, HOST(escape), 0, 0, NULL, false, "Ctrl-]",
      "the key that leaves a guest's console; typed twice within a second it goes to the guest" },
    { "log", config_set_word, HOST(log), WORDS(log_names), false, "info",
      "the least serious log lines that the console shows" },
    { "log-time", config_set_word, HOST(log_time), WORDS(log_time_names), false, "uptime",
      "what log lines begin with. uptime: seconds since the start. utc: the date and the time of "
      "the machine's clock" },
    { "json", set_bool, HOST(json), 0, 0, NULL, false, "no",
      "the console speaks the protocol for programs from the start; `json off` turns it off" },
    { "max-cpus", set_number, HOST(max_cpus), 1, MAX_CPUS, NULL, false, "1024",
      "Trivet starts no more than so many of the machine's CPUs" },
    { "iommu", config_set_word, HOST(unmap), WORDS(unmap_names), false, "strict",
      "what becomes of the buffers of a request that a disk or NIC of Trivet's has finished. "
      "strict: "
      "the device cannot reach them from then on. deferred: it may for 10 ms or 31 more requests, "
      "which costs less" },
    { "microcode", add_microcode, 0, 0, 0, NULL, true, "none",
      "x86: a file of microcode updates, as Intel's and AMD's packages have them: the newest for "
      "this CPU is loaded on every CPU before anything else is done. At most 4 lines: a stick may "
      "have one for each maker" },
    { "mitigations", config_set_word, HOST(mitigations), WORDS(mitigation_names), false, "auto",
      "what is done against attacks by speculation. auto: what the CPU needs, as `cpus "
      "--mitigations` shows. "
      "all: also what it can do without needing it, for tests and measurements" },
    { "smt", config_set_word, HOST(smt), WORDS(smt_names), false, "auto",
      "threads of a core. off: only the first runs guests. core: they run one guest at a time. on: "
      "they run any guests. "
      "auto: core where the CPU leaks between them, otherwise on" },
    { "vfs", add_vfs, 0, 0, 0, NULL, true, "none",
      "turns on COUNT virtual functions (SR-IOV) of a PCI device of the machine, the first that "
      "matches, when Trivet starts: `pci` lists them, and `passthrough` gives them to guests. "
      "Trivet's NVMe driver shares a controller's queues out among them. At most 8 lines" },
};
const struct guest_config guest_defaults = {
    .kind = KIND_AUTO,
    .isa = ISA_COUNT,
    .memory = 256 * MIB,
    .vcpus = 1,
    .weight = 100,
    .on_crash = POLICY_STOP,
    .on_reboot = POLICY_RESTART,
    .on_poweroff = POLICY_STOP,
    .boot_menu = BOOT_MENU_OWN,
    .disk_changes = UINT64_MAX,
    .rng = true,
    .autostart = true,
    .x2apic = true,
    .pv = true,
};
const struct config_net net_defaults = { .mtu = 1500, .floods = 1000 };
static_assert(ARRAY_SIZE(guest_keys) <= 64,
              "struct guest_config counts the keys seen in a 64-bit set");

/* ---- what the keys are, for people ---- */

static const struct {
    set_fn *set;
    const char *values;
} syntaxes[] = {
    { set_path, "FILE" },
    { add_microcode, "FILE" },
    { set_firmware, "uefi|FILE" },
    { set_after, "NAME" },
    { set_text, "TEXT" },
    { set_bool, "yes|no" },
    { set_secure_boot, "yes|no" },
    { set_memory, "SIZE" },
    { config_set_limit, "SIZE" },
    { set_uplink, "NIC[,vlan=N][,trunk=VLANS][,rate=SIZE]" },
    { set_inside, "ADDRESS/BITS" },
    { set_address, "dhcp|ADDRESS/BITS" },
    { set_gateway, "ADDRESS" },
    { set_net_boot, "FILE" },
    { add_dns, "ADDRESS" },
    { add_forward, "tcp|udp:PORT->GUEST:PORT" },
    { set_cpus, "LIST, such as 0,2-3" },
    { add_module, "FILE [ARGUMENTS]" },
    { config_add_net, "NAME[,mac=M][,ip=A][,isolated][,vlan=N][,trunk=V][,rate=SIZE]" },
    { set_cloud_init, "FILE[,META]" },
    { set_boot, "disk|cdrom|net[,...]" },
    { set_smbios_text, "TEXT" },
    { add_smbios_oem, "TEXT" },
    { set_smbios_uuid, "UUID" },
    { add_passthrough, "ADDRESS|VENDOR:DEVICE|class:NAME" },
    { config_add_cdrom, "NAME|partlabel:L|partuuid:U|serial:S|[file:]FILE" },
    { add_vfs, "ADDRESS|VENDOR:DEVICE|class:NAME,COUNT" },
    { config_add_disk, "NAME|partlabel:L|partuuid:U|serial:S|[file:]FILE[,ro]" },
};

static void describe_values(const struct key *k, char *buf, size_t len)
{
    size_t n = 0;

    buf[0] = '\0';
    if (k->set == set_number || k->set == set_vcpus)
        snprintf(buf, len, "%llu..%llu", (unsigned long long)k->lo, (unsigned long long)k->hi);
    for (size_t i = 0; k->set == config_set_word && i < (size_t)k->hi && n < len; i++)
        n += (size_t)snprintf(buf + n, len - n, "%s%s", i ? "|" : "", k->words[i]);
    for (size_t i = 0; i < ARRAY_SIZE(syntaxes); i++) {
        if (k->set == syntaxes[i].set)
            snprintf(buf, len, "%s", syntaxes[i].values);
    }
}

const struct section config_sections[SECTIONS] = {
    [SECTION_HOST] = { "host", host_keys, ARRAY_SIZE(host_keys) },
    [SECTION_NET] = { "net NAME", net_keys, ARRAY_SIZE(net_keys) },
    [SECTION_GUEST] = { "guest NAME", guest_keys, ARRAY_SIZE(guest_keys) },
};

bool config_key(unsigned i, struct config_key *out)
{
    const struct section *s = config_sections;
    const struct key *k;

    hv_assert(out);
    while (s < config_sections + SECTIONS && i >= s->n)
        i -= (unsigned)s++->n;
    if (s == config_sections + SECTIONS)
        return false;
    k = &s->keys[i];
    *out = (struct config_key){ .section = s->name,
                                .name = k->name,
                                .normal = k->normal,
                                .help = k->help,
                                .repeats = k->repeats };
    describe_values(k, out->values, sizeof out->values);
    return true;
}

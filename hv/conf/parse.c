/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse.c: reads trivet.conf line by line; every error is kept, none ends the reading. See
 * <hv/config.h>.
 */
#include "parse.h"
#include <hv/config_files.h>
#include <hv/nat.h>
#include <hv/assert.h>
#include <hv/net.h>
#include <hv/words.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void complain(struct parse *p, const char *fmt, ...)
{
    struct config *c = p->out;
    struct parse_error *e;
    va_list ap;
    int n = 0;

    if (p->guest && !p->guest->bad) {
        p->guest->bad = true;
        p->guest->bad_line = p->line;
    }
    if (c->nerrors == MAX_ERRORS) {
        c->errors_untold++;
        return;
    }
    e = &c->error[c->nerrors++];
    e->line = p->line;
    if (p->name)
        n = snprintf(e->text, sizeof e->text, "`%.40s = %.60s`: ", p->name, p->value);
    va_start(ap, fmt);
    vsnprintf(e->text + n, sizeof e->text - (size_t)n, fmt, ap);
    va_end(ap);
}

/* ---- sections ---- */

/* What other products call a thing, and what it is called here. */
static const struct {
    const char *words, *say;
} elsewhere[] = {
    { "network nic nics vif bridge netdev interface",
      "write `net = NAME` and a section [net NAME]" },
    { "cd dvd iso", "write `cdrom = FILE`" },
    { "bootorder boot_order boot-order bootdev boot_device",
      "write `boot = disk,cdrom,net`, in the order in which they are tried" },
    { "drive hda hdb vda sda storage image volume harddisk",
      "write `disk = FILE`, or `disk = nvme0p1`" },
    { "append args arguments bootargs extra options params commandline cmd",
      "write `cmdline = TEXT`" },
    { "ram mem maxmem memsize memory_mb memory-size size", "write `memory = SIZE`, such as 512M" },
    { "cpu smp cores ncpus processors cpu_count sockets", "write `vcpus = NUMBER`" },
    { "cpuset affinity pin pinning", "write `cpus = LIST`, such as 0,2-3" },
    { "shares cpu_weight priority", "write `weight = NUMBER`" },
    { "linux vmlinuz bzimage multiboot-kernel kernel_image", "write `kernel = FILE`" },
    { "ramdisk initramfs", "write `initrd = FILE`" },
    { "name title label", "the name stands in the section's header: [guest NAME]" },
    { "arch architecture machine", "write `isa = x86_64` or `isa = aarch64`" },
    { "type builder", "write `kind = WORD`, or leave it out: the kernel's file says it" },
    { "onboot auto start enabled", "write `autostart = yes` or `no`" },
    { "bios uefi loader ovmf efi", "write `firmware = uefi`" },
    { "opensbi sbi u-boot uboot", "write `firmware = FILE`, of a riscv64 guest" },
    { "restart on_restart autorestart",
      "write `on_crash = restart`, `on_reboot = restart` or `on_poweroff = restart`" },
    { "vnc spice display graphics vga video sound audio usb",
      "guests have no such device; their console is `console NAME`" },
    { "vfs sriov sriov_numvfs",
      "write `vfs = ADDRESS,NUMBER` in [host], and give the guest one by `passthrough`" },
    { "serial tty", "a guest's console is there without it: `console NAME`" },
};

static bool among(const char *words, const char *word)
{
    size_t n = strlen(word);

    for (const char *s = words; *s; s += strcspn(s, " "), s += *s == ' ')
        if (strcspn(s, " ") == n && strncasecmp(s, word, n) == 0)
            return true;
    return false;
}

static bool said_elsewhere(struct parse *p, const struct key *keys)
{
    if (keys != config_sections[SECTION_GUEST].keys)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++)
        if (among(elsewhere[i].words, p->name)) {
            complain(p, "no such key; %s", elsewhere[i].say);
            return true;
        }
    return false;
}

static void unknown_key(struct parse *p, const struct key *keys, size_t n)
{
    const char *names[64], *near;

    for (size_t i = 0; i < n; i++)
        names[i] = keys[i].name;
    if (said_elsewhere(p, keys))
        return;
    near = nearest_word(p->name, names, n);
    if (near)
        complain(p, "no such key; did you mean `%s`?", near);
    else
        complain(p, "no such key; `help config` lists those of this section");
}

/* In either case of letters; - and _ are one. */
static bool same_key(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        bool gap = (*a == '-' || *a == '_') && (*b == '-' || *b == '_');

        if (!gap && strncasecmp(a, b, 1) != 0)
            return false;
    }
    return *a == *b;
}

static void set_key(struct parse *p, unsigned section, void *base, uint64_t *seen)
{
    const struct key *keys = config_sections[section].keys;
    size_t n = config_sections[section].n;

    for (size_t i = 0; i < n; i++) {
        if (!same_key(keys[i].name, p->name))
            continue;
        if (!keys[i].repeats && (*seen & (1ull << i))) {
            complain(p, "`%s` was already given in this section", keys[i].name);
            return;
        }
        *seen |= 1ull << i;
        keys[i].set(p, &keys[i], (char *)base + keys[i].offset);
        return;
    }
    unknown_key(p, keys, n);
}

static bool name_ok(const char *s)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t n = strlen(s);

    return n > 0 && n < NAME_LEN && strspn(s, good) == n;
}

static void add_guest(struct parse *p, const char *name)
{
    struct config *c = p->out;
    struct guest_config *more;

    for (unsigned i = 0; i < c->nguests; i++) {
        if (strcmp(c->guest[i].name, name) == 0) {
            complain(p, "[guest %s]: this name was already given in line %u; names must differ",
                     name, c->guest[i].line);
            return;
        }
    }
    if (c->nguests == MAX_VMS) {
        complain(p, "[guest %s]: at most %d guests are accepted", name, MAX_VMS);
        return;
    }
    /* charge: the configuration is Trivet's own */
    more = realloc(c->guest, (c->nguests + 1) * sizeof *more);
    if (!more) {
        p->no_memory = true;
        return;
    }
    c->guest = more;
    p->guest = &c->guest[c->nguests++];
    *p->guest = guest_defaults;
    p->guest->line = p->line;
    memcpy(p->guest->name, name, strlen(name) + 1);
    p->passed_over = false;
}

static void add_switch(struct parse *p, const char *name)
{
    struct config *c = p->out;

    for (unsigned i = 0; i < c->nnets; i++) {
        if (strcmp(c->net[i].name, name) == 0) {
            complain(p, "[net %s]: this name was already given in line %u; names must differ", name,
                     c->net[i].line);
            return;
        }
    }
    if (c->nnets == MAX_NETS) {
        complain(p, "[net %s]: at most %d switches are accepted", name, MAX_NETS);
        return;
    }
    p->net = &c->net[c->nnets++];
    *p->net = net_defaults;
    p->net->line = p->line;
    memcpy(p->net->name, name, strlen(name) + 1);
    p->passed_over = false;
}

/* What follows `kind` in a section's header, when it is of that kind; else NULL. */
static const char *name_in(const char *section, const char *kind)
{
    const char *name = section + strlen(kind);

    if (strncasecmp(section, kind, strlen(kind)) != 0 || (*name != ' ' && *name != '\t' && *name))
        return NULL;
    while (*name == ' ' || *name == '\t')
        name++;
    return name;
}

static void begin_section(struct parse *p, const char *section)
{
    static const struct {
        const char *kind, *people;
        void (*add)(struct parse *, const char *name);
    } kinds[] = { { "guest", "guest", add_guest }, { "net", "switch", add_switch } };

    p->guest = NULL;
    p->net = NULL;
    p->name = NULL;
    p->host = strcasecmp(section, "host") == 0;
    p->passed_over = !p->host;
    if (p->host)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const char *name = name_in(section, kinds[i].kind);

        if (!name)
            continue;
        if (name_ok(name))
            kinds[i].add(p, name);
        else
            complain(p, "[%s %.40s]: a %s's name is 1 to %d of a-z A-Z 0-9 - _ .", kinds[i].kind,
                     name, kinds[i].people, NAME_LEN - 1);
        return;
    }
    complain(p, "[%.40s]: no such section; give [host], [net NAME] or [guest NAME]", section);
}

static void set_value(struct parse *p)
{
    if (p->guest)
        set_key(p, SECTION_GUEST, p->guest, &p->guest->keys_seen);
    else if (p->net)
        set_key(p, SECTION_NET, p->net, &p->net->keys_seen);
    else if (p->host)
        set_key(p, SECTION_HOST, &p->out->host, &p->out->host.keys_seen);
    else if (!p->passed_over)
        complain(p, "this line comes before the first section; begin with [host] or [guest NAME]");
}

/* A header that is wrong ends the section before it, too. */
static void bad_line(struct parse *p, const char *section, const char *why)
{
    if (strcmp(section, INI_BAD_SECTION) == 0) {
        p->guest = NULL;
        p->net = NULL;
        p->host = false;
        p->passed_over = true;
    }
    complain(p, "%s", why);
}

static int on_line(void *user, const char *section, const char *name, const char *value, int line)
{
    struct parse *p = user;

    p->line = (unsigned)line;
    p->name = name;
    p->value = value;
    if (name)
        set_value(p);
    else if (value)
        bad_line(p, section, value);
    else
        begin_section(p, section);
    return 1;
}

/* ---- the whole ---- */

static bool is_switch(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->nnets; i++)
        if (strcmp(c->net[i].name, name) == 0)
            return true;
    return strcmp(name, NAT_NAME) == 0;
}

/* The first device of a guest, in the file's order, that has this address on this switch. */
static const struct guest_net *parse_first_with(const struct config *c, const struct guest_net *n)
{
    for (unsigned g = 0; g < c->nguests; g++)
        for (unsigned i = 0; i < c->guest[g].nnets; i++) {
            const struct guest_net *o = &c->guest[g].net[i];

            if (o->mac == n->mac && strcmp(o->net, n->net) == 0)
                return o;
        }
    return n;
}

static void check_nets(struct parse *p, const struct guest_config *g)
{
    char mac[NET_MAC_TEXT];

    for (unsigned i = 0; i < g->nnets; i++) {
        const struct guest_net *n = &g->net[i], *first = parse_first_with(p->out, n);

        p->line = n->line;
        if (!is_switch(p->out, n->net))
            complain(p, "`net = %s`: there is no section [net %s]", n->net, n->net);
        else if (first != n)
            complain(p, "`net = %s`: line %u has the address %s on it, too", n->net, first->line,
                     net_mac_text(n->mac, mac));
    }
}

static const struct guest_config *guest_called(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->nguests; i++)
        if (strcmp(c->guest[i].name, name) == 0)
            return &c->guest[i];
    return NULL;
}

/* It must be there, and not wait for this one in turn. */
static void check_after(struct parse *p, const struct guest_config *g)
{
    const struct guest_config *other = g;

    if (!g->after[0])
        return;
    p->line = g->after_line;
    for (unsigned i = 0; other && other->after[0] && i <= p->out->nguests; i++)
        other = guest_called(p->out, other->after);
    if (!guest_called(p->out, g->after))
        complain(p, "`after = %s`: there is no section [guest %s]", g->after, g->after);
    else if (other && other->after[0])
        complain(p, "`after = %s`: the guests wait for one another in a circle", g->after);
}

/* Bits of keys_seen: "kernel" and "firmware" are the first keys. */
enum { SEEN_KERNEL = 1, SEEN_FIRMWARE = 2 };

/* Only firmware of a riscv64 guest is followed by a kernel, and is none of UEFI's. */
static void check_what_starts(struct parse *p, const struct guest_config *g)
{
    unsigned seen = (unsigned)g->keys_seen & (SEEN_KERNEL | SEEN_FIRMWARE);
    bool uefi = strcmp(g->firmware, FIRMWARE_UEFI) == 0;

    if (!seen)
        complain(p, "[guest %s]: `kernel = FILE` is missing", g->name);
    else if (uefi && g->isa == ISA_RISCV64)
        complain(p,
                 "[guest %s]: `firmware = uefi` is for x86_64 and aarch64 guests; riscv64: give "
                 "a file, such as OpenSBI's fw_dynamic.bin",
                 g->name);
    else if (seen == (SEEN_KERNEL | SEEN_FIRMWARE) && uefi)
        complain(p, "[guest %s]: give `kernel` or `firmware`: UEFI starts what is on a disk",
                 g->name);
    else if (seen == (SEEN_KERNEL | SEEN_FIRMWARE) && g->isa != ISA_RISCV64)
        complain(p,
                 "[guest %s]: give `kernel` or `firmware`; both are for a riscv64 guest, with "
                 "`isa = riscv64`",
                 g->name);
}

static bool was_given(const struct guest_config *g, const char *name)
{
    const struct key *keys = config_sections[SECTION_GUEST].keys;

    for (size_t i = 0; i < config_sections[SECTION_GUEST].n; i++)
        if (strcmp(keys[i].name, name) == 0)
            return g->keys_seen >> i & 1;
    return false;
}

/* What UEFI starts expects ACPI. */
static void firmware_defaults(struct guest_config *g)
{
    if (g->firmware[0] && g->isa != ISA_RISCV64 && !was_given(g, "acpi"))
        g->acpi = true;
}

static void parse_check_screen(struct parse *p, const struct guest_config *g)
{
    if (g->screen && (!g->firmware[0] || g->isa == ISA_RISCV64))
        complain(p,
                 "[guest %s]: `screen` is what UEFI firmware draws on: it needs `firmware = uefi`",
                 g->name);
}

/* An own file brings its own store, with keys or without. */
static void check_secure_boot(struct parse *p, const struct guest_config *g)
{
    if (g->secure_boot && strcmp(g->firmware, FIRMWARE_UEFI) != 0)
        complain(p,
                 "[guest %s]: `secure-boot` goes with `firmware = uefi`; a file's own variable "
                 "store says which keys it trusts",
                 g->name);
    else if (g->secure_boot && g->isa != ISA_COUNT && !config_secure_file(g->isa))
        complain(p, "[guest %s]: `secure-boot` is for x86_64 guests", g->name);
}

static void check_guests(struct parse *p)
{
    p->name = NULL;
    for (unsigned i = 0; i < p->out->nguests; i++) {
        p->guest = &p->out->guest[i];
        p->line = p->guest->line;
        check_what_starts(p, p->guest);
        parse_check_screen(p, p->guest);
        check_secure_boot(p, p->guest);
        firmware_defaults(p->guest);
        check_nets(p, p->guest);
        check_after(p, p->guest);
        check_boot(p, p->guest);
    }
}

static int by_line(const void *a, const void *b)
{
    const struct parse_error *x = a, *y = b;

    return (x->line > y->line) - (x->line < y->line);
}

/* By its byte-order mark, or a zero as the first or second byte of what begins with ASCII. */
static bool is_utf16(const char *s, size_t len)
{
    return len >= 2 && (memcmp(s, "\xff\xfe", 2) == 0 || memcmp(s, "\xfe\xff", 2) == 0 ||
                        (!s[0] != !s[1] && len >= 4 && !s[0] == !s[2] && !s[1] == !s[3]));
}

/*
 * A zero-terminated copy without the byte-order mark. A NUL byte inside would hide the rest: it is
 * named and made a blank.
 */
static char *parse_copy_of(struct parse *p, const char *text, size_t len)
{
    char *s = malloc(len + 1); /* charge: the configuration is Trivet's own */
    size_t from = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    hv_assert(text || len == 0);
    if (!s)
        return NULL;
    if (is_utf16(text, len)) {
        p->line = 1;
        complain(p, "this file is UTF-16: save it as plain text (UTF-8)");
        *s = '\0';
        return s;
    }
    memcpy(s, text + from, len - from);
    s[len - from] = '\0';
    p->line = 1;
    for (size_t i = 0; i < len - from; i++) {
        p->line += s[i] == '\n';
        if (s[i] == '\0') {
            complain(p, "a NUL byte: save the file as plain text (UTF-8)");
            s[i] = ' ';
        }
    }
    return s;
}

int config_parse(const char *text, size_t len, const struct config_limits *limits,
                 struct config *out)
{
    struct parse p = { .limits = limits, .out = out };
    char *copy;

    hv_assert(limits && out);
    memset(out, 0, sizeof *out);
    out->host.log = LOG_INFO;
    out->host.escape = 0x1d; /* Ctrl-] */
    /* charge: the configuration is Trivet's own */
    out->error = calloc(MAX_ERRORS, sizeof *out->error);
    copy = out->error ? parse_copy_of(&p, text, len) : NULL;
    if (!copy) {
        config_free(out);
        return -ENOMEM;
    }
    (void)ini_parse_string(copy, on_line, &p); /* its own return tells less than out->error */
    free(copy);
    check_guests(&p);
    check_nat(&p);
    if (p.no_memory) {
        config_free(out);
        return -ENOMEM;
    }
    qsort(out->error, out->nerrors, sizeof *out->error, by_line);
    return (int)(out->nerrors + out->errors_untold);
}

void config_free(struct config *c)
{
    free(c->guest);
    free(c->error);
    memset(c, 0, sizeof *c);
}

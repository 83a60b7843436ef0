/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest sees of a function of the machine, over a machine's side that is an array of
 * registers: nothing but bus mastering reaches the function's configuration space, its MSI-X table
 * stays Trivet's, its BARs follow the guest, and it is reset and closed in that order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hv/passthrough.h>
#include "vio_fake.h"

enum { SLOT = 4, NVME_BAR = 0x4000, TABLE = 0x2000, SMALL_BAR = 0x100, ENTRIES = 65 };
enum { INSIDE = 0x40, PORTS = 0x40 };
#define PLACE 0xfe000000ull
#define SMALL_PLACE 0xfd001100ull

struct passthrough_fn {
    uint8_t cfg[256], regs[NVME_BAR], small[SMALL_BAR], ports[PORTS];
    struct event *irq[VPCI_MSIX_MAX];
    unsigned opened, closed, resets, mastered, writes;
    uint64_t map_off[VPCI_BARS], map_len[VPCI_BARS];
    bool master, resetting, line;
    unsigned looked, messages;
    enum passthrough_mode mode;
    uint32_t masked;
};
static struct passthrough_fn fn;

/* ---- gmem: what is mapped ---- */

#include "passthrough_fake.h"

/* The host's address behind a guest's; 0: none. */
static uint64_t reached(uint64_t at)
{
    for (unsigned i = 0; i < nslots; i++)
        if (at - slots[i].base.v < slots[i].len)
            return slots[i].host.v + (at - slots[i].base.v);
    return 0;
}

/* ---- the machine's side ---- */

static struct passthrough_fn *fn_open(struct vm *m, const struct guest_config *c, unsigned n,
                                      int *err, char *why, size_t size)
{
    (void)m, (void)c;
    if (n) {
        *err = -EBUSY;
        snprintf(why, size, "somebody else has it");
        return NULL;
    }
    fn.opened++;
    return &fn;
}

static const char *fn_name(const struct passthrough_fn *f)
{
    (void)f;
    return "0000:01:00.0";
}

static uint32_t fn_read(struct passthrough_fn *f, uint32_t off, unsigned size)
{
    uint32_t v = 0;

    assert_true(off + size <= sizeof f->cfg && !(off & (size - 1)));
    memcpy(&v, f->cfg + off, size);
    return v;
}

static uint32_t fn_cap(struct passthrough_fn *f, uint8_t id, unsigned n)
{
    static const uint8_t ids[] = { 1, 5, 0x10, 0x11, 9, 3 };

    (void)f;
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
        if (ids[i] == id && n == 0)
            return 0x40 + 0x20 * (uint32_t)i;
    return 0;
}

static int fn_bar(struct passthrough_fn *f, unsigned i, struct host_pci_bar *b)
{
    (void)f;
    *b = (struct host_pci_bar){ .len = 0 };
    if (i == 0)
        *b = (struct host_pci_bar){ .base = PLACE, .len = NVME_BAR, .wide = true };
    if (i == 2)
        *b = (struct host_pci_bar){ .base = SMALL_PLACE, .len = SMALL_BAR, .prefetch = true };
    if (i == 3)
        *b = (struct host_pci_bar){ .base = 0x6000, .len = PORTS, .io = true };
    return b->len ? 0 : -ENOENT;
}

static void fn_master(struct passthrough_fn *f, bool on)
{
    f->mastered += on != f->master;
    f->master = on;
}

static int fn_map(struct passthrough_fn *f, unsigned i, uint64_t off, uint64_t len)
{
    f->map_off[i] = off;
    f->map_len[i] = len;
    return 0;
}

static uint8_t *fn_at(struct passthrough_fn *f, unsigned i, uint64_t off, unsigned size)
{
    assert_true(range_within(off, size, f->map_off[i], f->map_len[i]));
    return (i == 0 ? f->regs : i == 2 ? f->small : f->ports) + off;
}

static uint32_t fn_mmio_read(struct passthrough_fn *f, unsigned i, uint64_t off, unsigned size)
{
    uint32_t v = 0;

    memcpy(&v, fn_at(f, i, off, size), size);
    return v;
}

static void fn_mmio_write(struct passthrough_fn *f, unsigned i, uint64_t off, unsigned size,
                          uint32_t v)
{
    f->writes++;
    memcpy(fn_at(f, i, off, size), &v, size);
}

static int fn_irq(struct passthrough_fn *f, unsigned n, struct event *ev)
{
    assert_true(n < VPCI_MSIX_MAX);
    if (n >= f->messages)
        return -ENOSPC;
    f->irq[n] = ev;
    return 0;
}

static void fn_mask(struct passthrough_fn *f, unsigned n, bool on)
{
    assert_int_not_equal(f->masked >> n & 1, on);
    f->masked ^= 1u << n;
}

static int fn_reset(struct passthrough_fn *f, struct event *then)
{
    (void)then;
    f->resetting = !f->resetting;
    f->resets += f->resetting;
    if (f->resetting)
        memset(f->irq, 0, sizeof f->irq);
    return f->resetting ? -EINPROGRESS : 0;
}

static void fn_close(struct passthrough_fn *f) { f->closed++; }

static void fn_mode(struct passthrough_fn *f, enum passthrough_mode mode) { f->mode = mode; }

static bool fn_has_line(struct passthrough_fn *f) { return f->cfg[PCI_INT_PIN]; }

static bool fn_line(struct passthrough_fn *f)
{
    f->looked++;
    return f->line;
}

static const struct passthrough_ops machine = MACHINE_OPS;

/* ---- tests ---- */

static void up_with_table(uint32_t table, unsigned messages)
{
    memset(&fn, 0, sizeof fn);
    fn.messages = messages;
    for (unsigned i = 0; i < sizeof fn.cfg; i++)
        fn.cfg[i] = (uint8_t)(0xa0 + i);
    for (unsigned i = 0; i < sizeof fn.regs; i++)
        fn.regs[i] = (uint8_t)(i * 7 + i / 256);
    memcpy(fn.cfg, "\x36\x1b\x10\x00", 4);
    memcpy(fn.cfg + 0x84, "\xe1\xff\xff\xff", 4);                          /* Express: FLR */
    memcpy(fn.cfg + 0xa2, "\x40\x00\x00\x20\x00\x00\x00\x30\x00\x00", 10); /* MSI-X */
    memcpy(fn.cfg + 0xa4, &table, 4);
    memcpy(fn.cfg + 0xc2, "\x08\x11\x22\x33\x44\x55", 6); /* vendor's */
    nslots = 0;
    passthrough_ops = &machine;
    config.npassthrough = 1;
    fake_up();
}

static int up(void **state)
{
    (void)state;
    up_with_table(TABLE, 64);
    return 0;
}

static int up_inside_page(void **state)
{
    (void)state;
    up_with_table(TABLE + INSIDE, 64);
    return 0;
}

static int up_with_few(void **state)
{
    (void)state;
    up_with_table(TABLE, 3);
    return 0;
}

static int up_with_none(void **state)
{
    (void)state;
    up_with_table(TABLE, 0);
    return 0;
}

static int down(void **state)
{
    (void)state;
    fake_down();
    assert_int_equal(nslots, 0);
    assert_int_equal(fn.closed, 1);
    config.npassthrough = 0;
    return 0;
}

static unsigned cap_of(uint8_t id) { return find_cap(SLOT, id, -1); }

static void what_is_shown(void **state)
{
    unsigned express = cap_of(0x10), vendor = cap_of(9), power = cap_of(1);

    (void)state;
    assert_int_equal(fn.opened, 1);
    assert_int_equal(cfg_rd(SLOT, 0, 4), 0x00101b36);
    assert_int_equal(cfg_rd(SLOT, 8, 4), 0xabaaa9a8);
    assert_int_equal(cfg_rd(SLOT, 0x2c, 4), 0xcfcecdcc);
    assert_int_equal(cfg_rd(SLOT, 0x0e, 2), 0);
    assert_int_equal(cfg_rd(SLOT, 0x30, 4), 0);
    assert_int_equal(cfg_rd(SLOT, PCI_INT_PIN, 1), 1); /* whichever it has in the machine */
    assert_int_equal(cfg_rd(SLOT, PCI_INT_LINE, 1), 10);
    assert_int_equal(cfg_rd(SLOT, 0x100, 4), 0);
    assert_int_equal(cap_of(3), 0); /* VPD: nobody knows what a write does */
    assert_int_equal(cfg_rd(SLOT, express + 2, 2) >> 4 & 15, 9);
    assert_int_equal(cfg_rd(SLOT, express + 4, 4) & 1u << 28, 0);
    cfg_wr(SLOT, express + 8, 2, 0xffff); /* no reset of the guest's */
    assert_int_equal(cfg_rd(SLOT, express + 8, 2), 0x7fff);
    assert_int_equal(cfg_rd(SLOT, vendor + 2, 2), 0x1108);
    cfg_wr(SLOT, vendor + 4, 4, 0);
    assert_int_equal(cfg_rd(SLOT, vendor + 4, 4), 0x55443322);
    cfg_wr(SLOT, power + 4, 2, 3);
    assert_int_equal(cfg_rd(SLOT, power + 4, 2), 0x000b);
}

/* Whatever is written to configuration space: the function hears of bus mastering alone. */
static void what_is_passed_on(void **state)
{
    uint8_t before[256];

    (void)state;
    memcpy(before, fn.cfg, sizeof before);
    assert_false(fn.master);
    for (unsigned reg = 0; reg < 4096; reg += 4)
        if (reg != PCI_COMMAND)
            cfg_wr(SLOT, reg, 4, 0x5a5a5a5a);
    assert_int_equal(fn.mastered, 0);
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MASTER | PCI_CMD_MEM);
    assert_true(fn.master);
    cfg_wr(SLOT, PCI_COMMAND, 2, 0);
    assert_false(fn.master);
    assert_int_equal(fn.mastered, 2);
    assert_memory_equal(before, fn.cfg, sizeof before);
    assert_int_equal(fn.writes, 0);
}

static void bars_follow(void **state)
{
    uint64_t at = bar_addr(SLOT, 0), to = 0x4000400000;

    (void)state;
    assert_int_equal(reached(at + 0x1008), PLACE + 0x1008);
    assert_int_equal(reached(at + TABLE), 0); /* the table's page */
    assert_int_equal(reached(at + 0x3008), PLACE + 0x3008);
    assert_int_equal(slots[0].type, MEM_UC);
    cfg_wr(SLOT, PCI_COMMAND, 2, 0);
    assert_int_equal(nslots, 0);
    cfg_wr(SLOT, PCI_BAR0, 4, UINT32_MAX);
    cfg_wr(SLOT, PCI_BAR0 + 4, 4, UINT32_MAX);
    assert_int_equal(cfg_rd(SLOT, PCI_BAR0, 4), 0xffffc004);
    cfg_wr(SLOT, PCI_BAR0, 4, (uint32_t)to);
    cfg_wr(SLOT, PCI_BAR0 + 4, 4, to >> 32);
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MEM);
    assert_int_equal(reached(at), 0);
    assert_int_equal(reached(to + 0x3ffc), PLACE + 0x3ffc);
    /* a BAR that shares its page with others is never mapped, and works all the same */
    at = bar_addr(SLOT, 2);
    assert_int_equal(cfg_rd(SLOT, PCI_BAR0 + 8, 4) & 15, 8);
    assert_int_equal(reached(at), 0);
    mem_wr(at + 8, 4, 0x12345678);
    assert_int_equal(mem_rd(at + 8, 4), 0x12345678);
    mem_wr(at + 16, 8, 0x1122334455667788);
    assert_int_equal(mem_rd(at + 16, 8), 0x1122334455667788);
    assert_int_equal(mem_rd(at + 19, 1), 0x55);
    assert_int_equal(fn.writes, 3);
}

static uint64_t port_rd(uint64_t port, unsigned size)
{
    return access_space(IO_PORT, port, size, false, 0);
}

/* Ports follow as memory does, while the guest has them decoded. */
static void ports_follow(void **state)
{
    uint32_t at = (uint32_t)cfg_rd(SLOT, PCI_BAR0 + 12, 4);

    (void)state;
    assert_int_equal(at & 3, 1);
    at &= ~3u;
    assert_in_range(at, 0xc000, 0xffc0);
    assert_int_equal(cfg_rd(SLOT, PCI_COMMAND, 2) & 3, 3);
    fn.ports[5] = 0x5a;
    assert_int_equal(port_rd(at + 4, 2), 0x5a00);
    access_space(IO_PORT, at + 8, 4, true, 0x12345678);
    assert_int_equal(port_rd(at + 8, 4), 0x12345678);
    assert_int_equal(port_rd(at + PORTS - 1, 2), 0xffff); /* beyond them */
    cfg_wr(SLOT, PCI_BAR0 + 12, 4, UINT32_MAX);
    assert_int_equal(cfg_rd(SLOT, PCI_BAR0 + 12, 4), 0xffffffc1);
    assert_int_equal(port_rd(at + 4, 2), 0xffff);
    cfg_wr(SLOT, PCI_BAR0 + 12, 4, 0x1003c); /* there are no such ports */
    cfg_wr(SLOT, PCI_BAR0 + 12, 4, 0xd07d);
    assert_int_equal(port_rd(0xd044, 2), 0x5a00);
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MEM);
    assert_int_equal(port_rd(0xd044, 2), 0xffff);
}

static void the_table_is_trivets(void **state)
{
    uint64_t table = bar_addr(SLOT, 0) + TABLE;
    unsigned cap = cap_of(PCI_CAP_MSIX);
    uint8_t before[NVME_BAR];

    (void)state;
    memcpy(before, fn.regs, sizeof before);
    assert_int_equal(cfg_rd(SLOT, cap + 2, 2), VPCI_MSIX_MAX - 1);
    assert_int_equal(cfg_rd(SLOT, cap + 4, 4), TABLE);
    for (unsigned n = 0; n < ENTRIES; n++) {
        mem_wr(table + 16 * n, 8, 0xfee00000 + n);
        mem_wr(table + 16 * n + 8, 4, 0x4000 + n);
        mem_wr(table + 16 * n + 12, 4, 0);
        mem_wr(table + 16 * n + 12, 1, 1); /* no such access */
    }
    assert_int_equal(fn.writes, 0);
    assert_memory_equal(before, fn.regs, sizeof before);
    assert_int_equal(mem_rd(table + 16 * 31 + 8, 4), 0x401f);
    assert_int_equal(mem_rd(table + 16 * 32 + 8, 4), 0); /* beyond what is shown */
    /* what else is in that page is the function's */
    assert_int_equal(mem_rd(table + 0x800, 4), fn_mmio_read(&fn, 0, TABLE + 0x800, 4));
    /* an interrupt arrives as the guest wants it, once it may */
    event_post(fn.irq[3]);
    run_events();
    assert_int_equal(msis, 0);
    cfg_wr(SLOT, cap + 2, 2, 0x8000);
    event_post(fn.irq[3]);
    run_events();
    assert_int_equal(msis, 0); /* no bus master sends none */
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MASTER | PCI_CMD_MEM);
    assert_int_equal(msis, 1);
    event_post(fn.irq[5]);
    run_events();
    assert_int_equal(msis, 2);
}

/* What else is in its page is the function's; an access across its ends reaches nothing. */
static void around_the_table(void **state)
{
    uint64_t table = bar_addr(SLOT, 0) + TABLE + INSIDE, end = table + 16 * ENTRIES;
    uint8_t before[NVME_BAR];

    (void)state;
    memcpy(before, fn.regs, sizeof before);
    mem_wr(table - 4, 8, 0x1122334455667788);
    mem_wr(end - 4, 8, 0x1122334455667788);
    assert_int_equal(fn.writes, 0);
    assert_memory_equal(before, fn.regs, sizeof before);
    assert_int_equal(mem_rd(table - 4, 8), 0);
    assert_int_equal(mem_rd(table, 4), 0);
    mem_wr(table - 8, 8, 0x1122334455667788);
    mem_wr(end, 4, 0x12345678);
    assert_int_equal(fn.writes, 3);
    assert_int_equal(mem_rd(table - 8, 8), 0x1122334455667788);
    assert_int_equal(mem_rd(end, 4), 0x12345678);
}

/* The last one, too. */
static void the_last_message(void **state)
{
    uint64_t entry = bar_addr(SLOT, 0) + TABLE + 16 * 31;

    (void)state;
    mem_wr(entry, 8, 0xfee00000);
    mem_wr(entry + 8, 4, 0x4321);
    cfg_wr(SLOT, cap_of(PCI_CAP_MSIX) + 2, 2, 0x8000);
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MASTER | PCI_CMD_MEM);
    event_post(fn.irq[31]);
    run_events();
    assert_int_equal(msis, 0); /* masked */
    mem_wr(entry + 12, 4, 0);
    assert_int_equal(msis, 1);
    assert_int_equal(msi_data, 0x4321);
}

/* The machine has no more of them. */
static void few_messages(void **state)
{
    uint64_t table = bar_addr(SLOT, 0) + TABLE;

    (void)state;
    assert_int_equal(cfg_rd(SLOT, cap_of(PCI_CAP_MSIX) + 2, 2), 2);
    mem_wr(table + 16 * 2 + 8, 4, 1);
    mem_wr(table + 16 * 3 + 8, 4, 1);
    assert_int_equal(mem_rd(table + 16 * 2 + 8, 4), 1);
    assert_int_equal(mem_rd(table + 16 * 3 + 8, 4), 0);
}

/* Then by INTx alone. */
static void no_messages(void **state)
{
    (void)state;
    assert_int_equal(cap_of(PCI_CAP_MSIX), 0);
    assert_int_equal(cap_of(5), 0);
    assert_int_equal(cfg_rd(SLOT, PCI_INT_PIN, 1), 1);
}

static void msi(void **state)
{
    unsigned cap = cap_of(5);

    (void)state;
    assert_int_equal(cfg_rd(SLOT, cap + 2, 2), 0x80);
    cfg_wr(SLOT, cap + 4, 4, 0xfee00003);
    cfg_wr(SLOT, cap + 12, 2, 0x4041);
    cfg_wr(SLOT, cap + 2, 2, 0xffff);
    assert_int_equal(cfg_rd(SLOT, cap + 2, 2), 0x81);
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MASTER);
    event_post(fn.irq[1]);
    run_events();
    assert_int_equal(msis, 0);
    event_post(fn.irq[0]);
    run_events();
    assert_int_equal(msis, 1);
}

/* A device that interrupts without end is masked, and let through again after its time. */
static void storms(void **state)
{
    unsigned cap = cap_of(PCI_CAP_MSIX);
    uint64_t table = bar_addr(SLOT, 0) + TABLE;

    (void)state;
    mem_wr(table + 12, 4, 0);
    cfg_wr(SLOT, cap + 2, 2, 0x8000);
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MASTER | PCI_CMD_MEM);
    for (unsigned i = 0; i < 1000 && !fn.masked; i++) {
        event_post(fn.irq[0]);
        run_events();
    }
    assert_int_equal(fn.masked, 1);
    assert_in_range(msis, 100, 300);
    for (unsigned i = 0; i < 10; i++) {
        tick = 1000000;
        run_events();
    }
    tick = 0;
    assert_int_equal(fn.masked, 0);
}

static void pass_ms(unsigned n)
{
    for (; n; n--) {
        host_now += 1000000;
        run_events();
    }
    run_events();
}

/* The function is to interrupt as the guest has chosen. */
static void the_guest_chooses(void **state)
{
    unsigned msix = cap_of(PCI_CAP_MSIX), message = cap_of(5);

    (void)state;
    assert_int_equal(fn.mode, PASSTHROUGH_LINE);
    cfg_wr(SLOT, message + 2, 2, 1);
    assert_int_equal(fn.mode, PASSTHROUGH_MSI);
    cfg_wr(SLOT, msix + 2, 2, 0x8000);
    assert_int_equal(fn.mode, PASSTHROUGH_MSIX);
    cfg_wr(SLOT, message + 2, 1, 0);
    assert_int_equal(fn.mode, PASSTHROUGH_MSIX);
    cfg_wr(SLOT, msix + 3, 1, 0);
    assert_int_equal(fn.mode, PASSTHROUGH_LINE);
}

enum { LINE = 16 + SLOT % 4 };

/* What its status says is on the guest's line, which is down before the guest's EOI is seen. */
static void a_line(void **state)
{
    (void)state;
    fn.line = true;
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MEM);
    pass_ms(0);
    assert_int_equal(lines_high, 1u << LINE);
    assert_true(cfg_rd(SLOT, PCI_STATUS, 2) & PCI_STATUS_INTX);
    vm.after_run(&vm);
    assert_int_equal(lines_high, 1u << LINE);
    fn.line = false; /* the guest's driver serves it */
    vm.after_run(&vm);
    assert_int_equal(lines_high, 0);
    assert_null(vm.after_run);
    assert_int_equal(msis, 0);
    fn.line = true;
    pass_ms(2);
    assert_int_equal(lines_high, 1u << LINE);
    fn.line = false; /* by itself, while the guest runs on */
    pass_ms(2);
    assert_int_equal(lines_high, 0);
    assert_null(vm.after_run);
}

/* A function that hardly answers is asked less often: a look holds the CPU up for so long. */
static void a_line_that_is_slow(void **state)
{
    unsigned before;

    (void)state;
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MEM);
    pass_ms(2);
    before = fn.looked;
    pass_ms(100);
    assert_int_equal(fn.looked - before, 100);
    tick = 2000000;
    pass_ms(1);
    tick = 0;
    before = fn.looked;
    pass_ms(31);
    assert_in_range(fn.looked - before, 0, 1);
    pass_ms(300);
    assert_true(fn.looked - before >= 100);
}

/* Nobody looks while the guest does not listen. */
static void a_line_unused(void **state)
{
    unsigned msix = cap_of(PCI_CAP_MSIX), before;

    (void)state;
    fn.line = true;
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MEM);
    pass_ms(2);
    assert_int_equal(lines_high, 1u << LINE);
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_INTX_OFF);
    assert_int_equal(lines_high, 0);
    pass_ms(2);
    assert_null(vm.after_run);
    before = fn.looked;
    pass_ms(5);
    assert_int_equal(fn.looked, before);
    cfg_wr(SLOT, PCI_COMMAND, 2, PCI_CMD_MEM);
    pass_ms(0);
    assert_int_equal(lines_high, 1u << LINE);
    cfg_wr(SLOT, msix + 2, 2, 0x8000);
    assert_int_equal(lines_high, 0);
    pass_ms(2);
    before = fn.looked;
    pass_ms(5);
    assert_int_equal(fn.looked, before);
    assert_null(vm.after_run);
    cfg_wr(SLOT, PCI_COMMAND, 2, 0);
    cfg_wr(SLOT, msix + 2, 2, 0);
    pass_ms(5);
    assert_int_equal(fn.looked, before); /* it decodes nothing */
}

/* First at rest, then blocked. */
static void ends(void **state)
{
    (void)state;
    assert_int_equal(vio_quiesce(&vm), -EINPROGRESS);
    assert_int_equal(fn.closed, 0);
    assert_int_equal(vio_quiesce(&vm), 0);
    assert_int_equal(fn.resets, 1);
}

/* A line that cannot be: the guest does not start, and what it had is given back. */
static void refused(void **state)
{
    (void)state;
    vio_destroy(&vm);
    assert_int_equal(fn.closed, 1);
    config.npassthrough = 2;
    snprintf(config.passthrough[1].text, sizeof config.passthrough[1].text, "class:usb");
    assert_int_equal(vio_build(&vm, &config), -EBUSY);
    assert_string_equal(vm.why, "passthrough class:usb: somebody else has it");
    assert_int_equal(fn.opened, 2);
    assert_int_equal(fn.closed, 2);
    fn.closed = 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_shown, up, down),
        cmocka_unit_test_setup_teardown(what_is_passed_on, up, down),
        cmocka_unit_test_setup_teardown(bars_follow, up, down),
        cmocka_unit_test_setup_teardown(ports_follow, up, down),
        cmocka_unit_test_setup_teardown(the_table_is_trivets, up, down),
        cmocka_unit_test_setup_teardown(around_the_table, up_inside_page, down),
        cmocka_unit_test_setup_teardown(the_last_message, up, down),
        cmocka_unit_test_setup_teardown(few_messages, up_with_few, down),
        cmocka_unit_test_setup_teardown(no_messages, up_with_none, down),
        cmocka_unit_test_setup_teardown(msi, up, down),
        cmocka_unit_test_setup_teardown(storms, up, down),
        cmocka_unit_test_setup_teardown(the_guest_chooses, up, down),
        cmocka_unit_test_setup_teardown(a_line, up, down),
        cmocka_unit_test_setup_teardown(a_line_unused, up, down),
        cmocka_unit_test_setup_teardown(a_line_that_is_slow, up, down),
        cmocka_unit_test_setup_teardown(ends, up, down),
        cmocka_unit_test_setup_teardown(refused, up, down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A watchdog: the timer of Intel's 6300ESB I/O controller, which every PC system has a driver for
 * (i6300esb). Datasheet (order number 300641), chapter 16. Two stages, of preload 1 and preload 2:
 * when the second runs out, the guest is reset. There is no interrupt after the first.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/vm.h>
#include <string.h>
#include "x86_dev.h"

#define WDT_VERSION 1
#define PCI_HZ 33000000ull
#define SECOND 1000000000ull
#define PRELOAD_MAX 0xfffff
#define GAP_NS 1000000ull
/* the BAR, 16.6; configuration space, 16.5 */
enum { WDT_PRELOAD1 = 0, WDT_PRELOAD2 = 4, WDT_STATUS = 8, WDT_RELOAD = 0xc, WDT_BAR_LEN = 16 };
enum { RELOAD_NOW = 1 << 8, RELOAD_TIMEOUT = 1 << 9 };
enum { UNLOCK_FIRST = 0x80, UNLOCK_SECOND = 0x86 };
enum { CFG_CONFIG = 0x60, CFG_LOCK = 0x68, CONFIG_FAST = 1 << 2, CONFIG_NO_RESET = 1 << 5 };
enum { CONFIG_BITS = 0x27, LOCK_LOCKED = 1, LOCK_ENABLE = 2, LOCK_FREE = 4, LOCK_BITS = 7 };

static unsigned wdt_cfg(const struct watchdog *w, unsigned reg)
{
    return vpci_cfg_get(&w->pci, reg, 1);
}

static bool wdt_runs(const struct watchdog *w) { return (wdt_cfg(w, CFG_LOCK) & LOCK_ENABLE) != 0; }

/* Of the stage that counts. The clock is divided by 2^15, or 2^5. */
static uint64_t stage_ns(const struct watchdog *w)
{
    uint64_t ticks = (uint64_t)w->s.preload[w->s.stage & 1]
                     << ((wdt_cfg(w, CFG_CONFIG) & CONFIG_FAST) != 0 ? 5 : 15);

    return ticks / PCI_HZ * SECOND + ticks % PCI_HZ * SECOND / PCI_HZ;
}

static void wdt_arm(struct watchdog *w)
{
    debug_assert_held(&w->lock);
    if (wdt_runs(w))
        device_arm(w->vm, &w->ev, w->s.due, GAP_NS);
    else
        event_cancel(&w->ev);
}

static void begin_stage(struct watchdog *w, uint32_t stage)
{
    debug_assert_held(&w->lock);
    w->s.stage = stage;
    w->s.due = vm_time_ns(w->vm) + stage_ns(w);
    wdt_arm(w);
}

/* Free running, it starts again with the first stage and resets nobody. */
static bool ran_out(struct watchdog *w)
{
    bool last = w->s.stage == 1 || (wdt_cfg(w, CFG_LOCK) & LOCK_FREE) != 0;

    if (!last) {
        begin_stage(w, 1);
        return false;
    }
    w->s.timeout = 1;
    begin_stage(w, 0);
    return (wdt_cfg(w, CFG_LOCK) & LOCK_FREE) == 0 &&
           (wdt_cfg(w, CFG_CONFIG) & CONFIG_NO_RESET) == 0;
}

static void wdt_event(struct event *ev)
{
    struct watchdog *w = container_of(ev, struct watchdog, ev);
    bool reset = false;

    assert_cpu0();
    spin_lock(&w->lock);
    if (wdt_runs(w) && vm_time_ns(w->vm) >= w->s.due)
        reset = ran_out(w);
    else
        wdt_arm(w);
    spin_unlock(&w->lock);
    if (!reset)
        return;
    vm_log(w->vm, LOG_WARN, "its watchdog was not served: it is reset");
    vm_request_reset(w->vm, "watchdog");
}

static int wdt_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct watchdog *w = dev;
    uint32_t v;

    (void)size;
    spin_lock(&w->lock);
    v = (off & ~3ull) == WDT_RELOAD && w->s.timeout ? RELOAD_TIMEOUT : 0;
    spin_unlock(&w->lock);
    *val = (uint64_t)v >> 8 * (off & 3);
    return 0;
}

/* Two writes to the reload register open the registers for one write. */
static bool unlocked(struct watchdog *w, uint64_t off, uint64_t val)
{
    bool open = w->s.unlock == 2;

    debug_assert_held(&w->lock);
    if (!open && off == WDT_RELOAD && val == UNLOCK_FIRST)
        w->s.unlock = 1;
    else
        w->s.unlock =
            !open && w->s.unlock == 1 && off == WDT_RELOAD && val == UNLOCK_SECOND ? 2 : 0;
    return open;
}

static int wdt_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct watchdog *w = dev;

    (void)size;
    spin_lock(&w->lock);
    if (unlocked(w, off, val)) {
        if (off == WDT_PRELOAD1 || off == WDT_PRELOAD2)
            w->s.preload[off == WDT_PRELOAD2] = (uint32_t)val & PRELOAD_MAX;
        if (off == WDT_RELOAD && (val & RELOAD_TIMEOUT) != 0)
            w->s.timeout = 0;
        if (off == WDT_RELOAD && (val & RELOAD_NOW) != 0)
            begin_stage(w, 0);
    }
    spin_unlock(&w->lock);
    return 0;
}

/* Once locked, it stays on or off until the machine's reset. */
static void write_lock(struct watchdog *w, unsigned val)
{
    unsigned was = wdt_cfg(w, CFG_LOCK);

    if ((was & LOCK_LOCKED) != 0)
        return;
    vpci_cfg_set(&w->pci, CFG_LOCK, 1, val & LOCK_BITS);
    if ((val & LOCK_ENABLE) != 0 && (was & LOCK_ENABLE) == 0)
        begin_stage(w, 0);
    else
        wdt_arm(w);
}

static bool wdt_cfg_access(struct vpci_dev *d, struct io_access *io)
{
    struct watchdog *w = container_of(d, struct watchdog, pci);

    if (!io->write || io->addr > CFG_LOCK || io->addr + io->size <= CFG_LOCK)
        return false;
    spin_lock(&w->lock);
    write_lock(w, (unsigned)(io->val >> 8 * (CFG_LOCK - io->addr)) & 0xff);
    spin_unlock(&w->lock);
    return true;
}

int watchdog_create(struct x86_devices *d)
{
    static const struct io_ops ops = { wdt_read, wdt_write, 1 | 2 | 4 };
    static const struct vpci_id id = { .vendor = 0x8086, .device = 0x25ab, .class_code = 0x088000 };
    struct watchdog *w = &d->watchdog;

    assert_cpu0();
    w->vm = d->vm;
    w->s =
        (struct watchdog_state){ .version = WDT_VERSION, .preload = { PRELOAD_MAX, PRELOAD_MAX } };
    spin_init(&w->lock, LOCK_DEVICE);
    event_init(&w->ev, wdt_event, 0);
    vpci_dev_init(&w->pci, d->vm, &id);
    w->pci.wmask[CFG_CONFIG] = CONFIG_BITS;
    w->pci.wmask[CFG_LOCK] = LOCK_BITS; /* by wdt_cfg_access() */
    w->pci.cfg_access = wdt_cfg_access;
    vpci_add_bar(&w->pci, 0, WDT_BAR_LEN, false);
    vpci_add_region(
        &w->pci, 0,
        &(struct vpci_region){ .name = "watchdog", .len = WDT_BAR_LEN, .ops = &ops, .dev = w });
    return vpci_attach(&w->pci);
}

void watchdog_detach(struct vm *vm)
{
    struct x86_devices *d = vm->vintc ? x86_devices_of(vm) : NULL;

    assert_cpu0();
    if (d && d->watchdog.vm)
        vpci_detach(&d->watchdog.pci);
}

/* ---- <hv/state.h> ---- */

static bool is_there(const struct vm *vm) { return x86_devices_of(vm)->watchdog.vm != NULL; }

static size_t watchdog_size(const struct vm *vm, uint32_t i)
{
    (void)i;
    return is_there(vm) ? sizeof(struct watchdog_state) : 0;
}

static int watchdog_quiesce(struct vm *vm, uint32_t i)
{
    (void)i;
    if (is_there(vm))
        event_cancel(&x86_devices_of(vm)->watchdog.ev);
    return 0;
}

static int watchdog_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &x86_devices_of(vm)->watchdog.s, sizeof(struct watchdog_state));
    return 0;
}

static int watchdog_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct watchdog_state *s = buf;

    (void)i;
    if (s->version != WDT_VERSION || s->preload[0] > PRELOAD_MAX || s->preload[1] > PRELOAD_MAX ||
        s->stage > 1 || s->unlock > 2 || s->timeout > 1)
        return -EINVAL;
    x86_devices_of(vm)->watchdog.s = *s;
    return 0;
}

static void watchdog_resume(struct vm *vm, uint32_t i)
{
    struct watchdog *w = &x86_devices_of(vm)->watchdog;

    (void)i;
    if (!is_there(vm))
        return;
    spin_lock(&w->lock);
    wdt_arm(w);
    spin_unlock(&w->lock);
}

const struct state_ops watchdog_state_ops = { .name = "watchdog",
                                              .kind = STATE_X86_WATCHDOG,
                                              .version = WDT_VERSION,
                                              .quiesce = watchdog_quiesce,
                                              .size = watchdog_size,
                                              .save = watchdog_save,
                                              .restore = watchdog_restore,
                                              .resume = watchdog_resume };

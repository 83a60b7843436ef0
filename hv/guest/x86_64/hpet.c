/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The high precision event timer: a 64-bit counter of 100 MHz and three comparators, the first of
 * which can be periodic. IA-PC HPET specification 1.0a. With legacy replacement timers 0 and 1 take
 * the interrupt lines of the PIT and the RTC. The counter is computed from guest time when somebody
 * looks; one event serves the comparator that matches first.
 */
#include <hv/assert.h>
#include <hv/nospec.h>
#include <hv/vintc.h>
#include <hv/vm.h>
#include <string.h>
#include "x86_dev.h"

#define HPET_VERSION 1
#define TICK_NS 10ull
#define GAP_NS 50000ull     /* interrupts of a periodic timer come no closer */
#define EARLY_NS 5000000ull /* the guest was paused: look again after this */
#define NEVER UINT64_MAX
#define TIMER_LINES 0xf00000u /* I/O APIC inputs that a timer can be routed to */

/* Registers, in bytes (2.3.1). */
enum { R_CAP = 0, R_CONFIG = 0x10, R_STATUS = 0x20, R_COUNTER = 0xf0, R_TIMER = 0x100 };
enum { T_CONFIG = 0, T_COMPARE = 8 };
enum { CONFIG_ENABLE = 1, CONFIG_LEGACY = 2 };
/* Timer configuration (2.3.8). */
enum {
    T_LEVEL = 1 << 1,
    T_INT = 1 << 2,
    T_PERIODIC = 1 << 3,
    T_PERIODIC_CAP = 1 << 4,
    T_SIZE_CAP = 1 << 5,
    T_SET = 1 << 6,
    T_32 = 1 << 8,
    T_ROUTE = 0x1f << 9,
};
#define T_WRITABLE (T_LEVEL | T_INT | T_PERIODIC | T_SET | T_32 | T_ROUTE)

static const uint64_t capabilities = (TICK_NS * 1000000) << 32 | HPET_ID;
static_assert((HPET_ID >> 8 & 0x1f) == HPET_TIMERS - 1, "2.3.4");

static bool enabled(const struct hpet *h) { return h->s.config & CONFIG_ENABLE; }

static uint64_t counter(const struct hpet *h)
{
    uint64_t ns = enabled(h) ? vm_time_ns(h->vm) - h->s.since : 0;

    return h->s.base + ns / TICK_NS;
}

/* First guest time at which the counter is `at`; not before it was started. */
static uint64_t time_of(const struct hpet *h, uint64_t at)
{
    uint64_t ticks = at - h->s.base;

    return ticks > NEVER / TICK_NS / 2 ? NEVER : h->s.since + ticks * TICK_NS;
}

static bool periodic(const struct hpet_timer *t) { return t->config & T_PERIODIC; }

/* In 64 bits, a match that the counter has gone past is as far away as the counter is wide. */
static void aim(struct hpet_timer *t, uint64_t now)
{
    uint64_t ahead = t->config & T_32 ? (uint32_t)(t->compare - now) : t->compare - now;

    t->next = ahead >> 62 ? NEVER : now + ahead;
}

/* ---- interrupts ---- */

static unsigned line_of(const struct hpet *h, unsigned i)
{
    if (h->s.config & CONFIG_LEGACY && i < 2)
        return i == 0 ? LINE_PIT : LINE_RTC;
    return (unsigned)(h->s.timer[i].config & T_ROUTE) >> 9; /* nospec: the caller counts */
}

static bool routed(unsigned line)
{
    return line == LINE_PIT || line == LINE_RTC || (line < 32 && TIMER_LINES >> line & 1);
}

/* An edge. The lines of the PIT and the RTC stay high, as theirs do. */
static void pulse(struct hpet *h, unsigned line)
{
    virq_set(h->vm, line, line >= 16);
    virq_set(h->vm, line, line < 16);
}

/* Level-triggered timers: the line follows status, enables and route. 0: none, else line + 1. */
static uint8_t wanted_line(const struct hpet *h, unsigned i)
{
    const struct hpet_timer *t = &h->s.timer[i]; /* nospec: below HPET_TIMERS by its decoding */
    bool level = enabled(h) && t->config & T_LEVEL && t->config & T_INT && h->s.status >> i & 1;

    return level && routed(line_of(h, i)) ? (uint8_t)(line_of(h, i) + 1) : 0;
}

static void drive(struct hpet *h, unsigned i)
{
    uint8_t want = wanted_line(h, i);

    debug_assert_held(&h->lock);
    if (want == h->asserted[i]) /* nospec: the caller counts */
        return;
    if (h->asserted[i]) /* nospec: the same */
        virq_set(h->vm, h->asserted[i] - 1u, false);
    h->asserted[i] = want;
    if (want)
        virq_set(h->vm, want - 1u, true);
}

static void match(struct hpet *h, unsigned i, uint64_t now)
{
    struct hpet_timer *t = &h->s.timer[i]; /* nospec: the caller counts */

    if (periodic(t) && t->period) {
        t->next += ((now - t->next) / t->period + 1) * t->period;
        t->compare = t->config & T_32 ? (uint32_t)t->next : t->next;
    } else {
        t->next = t->config & T_32 ? t->next + (1ull << 32) : NEVER;
    }
    if (t->config & T_LEVEL)
        h->s.status |= 1u << i;
    else if (t->config & T_INT && routed(line_of(h, i)))
        pulse(h, line_of(h, i));
    drive(h, i);
}

/* What has matched by now, and the next event: of timers that interrupt, since the rest can wait.
 */
static void refresh(struct hpet *h, bool early)
{
    uint64_t now = counter(h), first = NEVER, apart = 0;

    debug_assert_held(&h->lock);
    for (unsigned i = 0; enabled(h) && i < HPET_TIMERS; i++) {
        struct hpet_timer *t = &h->s.timer[i]; /* nospec: counted */

        if (t->next <= now)
            match(h, i, now);
        if (!(t->config & T_INT) || t->next >= first)
            continue;
        first = t->next;
        apart = periodic(t) ? GAP_NS : 0; /* a one-shot costs the guest a write each time */
    }
    first = first == NEVER ? NEVER : time_of(h, first);
    if (first != NEVER)
        device_arm(h->vm, &h->ev, first, early ? EARLY_NS : apart);
    else
        event_cancel(&h->ev);
}

static bool any_due(const struct hpet *h)
{
    uint64_t now = counter(h);

    for (unsigned i = 0; i < HPET_TIMERS; i++)
        if (h->s.timer[i].next <= now) /* nospec: counted */
            return true;
    return false;
}

static void hpet_event(struct event *ev)
{
    struct hpet *h = container_of(ev, struct hpet, ev);

    spin_lock(&h->lock);
    refresh(h, !any_due(h));
    spin_unlock(&h->lock);
}

/* ---- registers ---- */

bool hpet_legacy(const struct vm *vm)
{
    return __atomic_load_n(&x86_devices_of(vm)->hpet.s.config, __ATOMIC_RELAXED) & CONFIG_LEGACY;
}

void device_irq(struct vm *vm, unsigned line, bool level)
{
    if (!hpet_legacy(vm))
        virq_set(vm, line, level);
}

static void aim_all(struct hpet *h)
{
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        aim(&h->s.timer[i], h->s.base);
}

/* Starting and stopping the counter; taking and giving back the old timers' lines. */
static void set_config(struct hpet *h, uint32_t val)
{
    uint32_t changed = (val ^ h->s.config) & (CONFIG_ENABLE | CONFIG_LEGACY);
    uint64_t now = counter(h);

    debug_assert_held(&h->lock);
    if (changed & CONFIG_LEGACY)
        for (unsigned i = 0; i < 2; i++)
            virq_set(h->vm, i == 0 ? LINE_PIT : LINE_RTC, false);
    __atomic_store_n(&h->s.config, h->s.config ^ changed, __ATOMIC_RELAXED);
    h->s.base = now;
    h->s.since = vm_time_ns(h->vm);
    if (changed & CONFIG_ENABLE && enabled(h))
        aim_all(h);
}

static void set_timer_config(struct hpet *h, unsigned i, uint32_t val)
{
    struct hpet_timer *t = &h->s.timer[i]; /* nospec: below HPET_TIMERS by its decoding */
    uint32_t old = t->config;

    if (i != 0)
        val &= ~(uint32_t)(T_PERIODIC | T_SET);
    t->config = val & T_WRITABLE;
    if (t->config & T_32) {
        t->compare = (uint32_t)t->compare;
        t->period = (uint32_t)t->period;
    }
    if ((old ^ t->config) & (T_32 | T_PERIODIC))
        aim(t, counter(h));
    if (old & T_LEVEL & ~t->config)
        h->s.status &= ~(1u << i);
}

/*
 * 2.3.9.2.2: of a periodic timer the register holds the next match, and what is written is the
 * period, unless T_SET came before.
 */
static void set_compare(struct hpet *h, unsigned i, uint64_t val)
{
    struct hpet_timer *t = &h->s.timer[i]; /* nospec: below HPET_TIMERS by its decoding */

    if (t->config & T_32)
        val = (uint32_t)val;
    if (periodic(t))
        t->period = val;
    if (!periodic(t) || t->config & T_SET) {
        t->compare = val;
        aim(t, counter(h));
    }
    t->config &= ~(uint32_t)T_SET;
}

static uint64_t read_timer(struct hpet *h, unsigned i, uint64_t reg)
{
    const struct hpet_timer *t = &h->s.timer[i]; /* nospec: below HPET_TIMERS by its decoding */

    if (reg == T_CONFIG)
        return (uint64_t)TIMER_LINES << 32 | T_SIZE_CAP | (i == 0 ? T_PERIODIC_CAP : 0) |
               (t->config & ~(uint32_t)T_SET);
    return reg == T_COMPARE ? t->compare : 0;
}

static uint64_t read_reg(struct hpet *h, uint64_t reg)
{
    uint64_t i = (reg - R_TIMER) / 0x20;

    debug_assert_held(&h->lock);
    if (reg >= R_TIMER)
        return i < HPET_TIMERS ? read_timer(h, (unsigned)index_nospec(i, HPET_TIMERS), reg & 0x1f)
                               : 0;
    switch (reg) {
    case R_CAP: return capabilities;
    case R_CONFIG: return h->s.config;
    case R_STATUS: return h->s.status;
    case R_COUNTER: return counter(h);
    default: return 0;
    }
}

/* The counter can be written while it stands; what is written while it runs is dropped (2.3.7). */
static void write_reg(struct hpet *h, uint64_t reg, uint64_t val)
{
    uint64_t i = index_nospec((reg - R_TIMER) / 0x20, HPET_TIMERS);

    debug_assert_held(&h->lock);
    if (reg == R_CONFIG)
        set_config(h, (uint32_t)val);
    else if (reg == R_STATUS)
        h->s.status &= (uint32_t)~val;
    else if (reg == R_COUNTER && !enabled(h))
        h->s.base = val;
    else if (reg < R_TIMER || (reg - R_TIMER) / 0x20 >= HPET_TIMERS)
        return;
    else if ((reg & 0x1f) == T_CONFIG)
        set_timer_config(h, (unsigned)i, (uint32_t)val);
    else if ((reg & 0x1f) == T_COMPARE)
        set_compare(h, (unsigned)i, val);
}

static int hpet_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct hpet *h = dev;

    spin_lock(&h->lock);
    if ((off & ~7ull) != R_COUNTER)
        refresh(h, false);
    *val = read_reg(h, off & ~7ull) >> 8 * (off & 7);
    if (size == 4)
        *val = (uint32_t)*val;
    spin_unlock(&h->lock);
    return 0;
}

/*
 * Half a register: the other half stays, of a periodic timer's comparator the period's. Status
 * bits stay unless a one is written.
 */
static uint64_t whole(struct hpet *h, uint64_t reg, unsigned shift, uint64_t val)
{
    const struct hpet_timer *first = &h->s.timer[0];
    uint64_t old = reg == R_STATUS ? 0 : read_reg(h, reg);

    if (reg == R_TIMER + T_COMPARE && periodic(first) && !(first->config & T_SET))
        old = first->period;
    return (old & ~(0xffffffffull << shift)) | val << shift;
}

static int hpet_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct hpet *h = dev;
    uint64_t reg = off & ~7ull;

    spin_lock(&h->lock);
    refresh(h, false);
    if (size == 4)
        val = whole(h, reg, 8 * (off & 7), (uint32_t)val);
    write_reg(h, reg, val);
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        drive(h, i);
    refresh(h, false);
    spin_unlock(&h->lock);
    return 0;
}

/* ---- <hv/state.h> ---- */

static size_t hpet_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct hpet_state);
}

static int hpet_quiesce(struct vm *vm, uint32_t i)
{
    (void)i;
    event_cancel(&x86_devices_of(vm)->hpet.ev);
    return 0;
}

static int hpet_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &x86_devices_of(vm)->hpet.s, sizeof(struct hpet_state));
    return 0;
}

static bool timer_valid(const struct hpet_timer *t, unsigned i)
{
    uint32_t writable = i == 0 ? T_WRITABLE : T_WRITABLE & ~(uint32_t)(T_PERIODIC | T_SET);

    return !(t->config & ~writable) && !t->zero &&
           !(t->config & T_32 && (t->compare | t->period) >> 32);
}

static int hpet_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct hpet_state *s = buf;

    (void)i;
    if (s->version != HPET_VERSION || s->config & ~(uint32_t)(CONFIG_ENABLE | CONFIG_LEGACY) ||
        s->status >> HPET_TIMERS || s->zero || s->since > vm_time_ns(vm))
        return -EINVAL;
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        if (!timer_valid(&s->timer[n], n))
            return -EINVAL;
    x86_devices_of(vm)->hpet.s = *s;
    return 0;
}

/* The lines are the interrupt controllers' to remember: here is only which of them are ours. */
static void hpet_resume(struct vm *vm, uint32_t i)
{
    struct hpet *h = &x86_devices_of(vm)->hpet;

    (void)i;
    spin_lock(&h->lock);
    for (unsigned n = 0; n < HPET_TIMERS; n++)
        h->asserted[n] = wanted_line(h, n); /* nospec: counted */
    refresh(h, false);
    spin_unlock(&h->lock);
}

const struct state_ops hpet_state_ops = { .name = "HPET",
                                          .kind = STATE_HPET,
                                          .version = HPET_VERSION,
                                          .quiesce = hpet_quiesce,
                                          .size = hpet_size,
                                          .save = hpet_save,
                                          .restore = hpet_restore,
                                          .resume = hpet_resume };

int hpet_create(struct x86_devices *d)
{
    static const struct io_ops ops = { hpet_read, hpet_write, 4 | 8 };
    struct hpet *h = &d->hpet;

    assert_cpu0();
    h->vm = d->vm;
    h->s = (struct hpet_state){ .version = HPET_VERSION };
    for (unsigned i = 0; i < HPET_TIMERS; i++)
        h->s.timer[i] = (struct hpet_timer){ .compare = NEVER, .next = NEVER };
    spin_init(&h->lock, LOCK_DEVICE);
    event_init(&h->ev, hpet_event, 0);
    return io_list_add(d->vm, &d->regions,
                       &(struct io_region){ "hpet", IO_MEM, PLAT_HPET, PLAT_HPET_LEN, &ops, h });
}

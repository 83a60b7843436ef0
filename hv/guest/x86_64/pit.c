/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254 timer and port 61h. Counters are computed from guest time when somebody looks; only
 * channel 0, whose output is IRQ 0, has an event. Intel 8254 data sheet. A new count takes effect
 * at once in all modes but 1 and 5 ("Mode Definitions"). Latches: "Counter Latch Command" and
 * "Read-Back Command".
 */
#include <hv/assert.h>
#include <hv/vintc.h>
#include <hv/vm.h>
#include <string.h>
#include "x86_dev.h"

#define PIT_HZ 1193182ull
#define SECOND 1000000000ull
#define PIT_VERSION 1
#define PIT_FAR (4 * 65536ull) /* ticks: no edge is further away */
#define EDGE_MIN_NS 100000ull  /* IRQ 0 comes no more often */
#define EARLY_NS 5000000ull    /* the guest was paused: look again after this */
/* 8254 data sheet, "Control Word Format": bits 5:4 */
enum { RW_LATCH, RW_LOW, RW_HIGH, RW_BOTH };
enum { SYSCTL_GATE2 = 1, SYSCTL_SPEAKER = 2, SYSCTL_REFRESH = 0x10, SYSCTL_OUT2 = 0x20 };

static uint64_t ticks_now(const struct pit *p)
{
    uint64_t ns = vm_time_ns(p->vm);

    return ns / SECOND * PIT_HZ + ns % SECOND * PIT_HZ / SECOND;
}

/* First ns at which ticks_now() is t. */
static uint64_t ticks_to_ns(uint64_t t)
{
    return t / PIT_HZ * SECOND + (t % PIT_HZ * SECOND + PIT_HZ - 1) / PIT_HZ;
}

static bool gate_pauses(const struct pit_channel *c) { return c->mode == 0 || c->mode == 4; }

static bool gate_triggers(const struct pit_channel *c) { return c->mode == 1 || c->mode == 5; }

/* Ticks since the count was loaded or triggered. */
static uint64_t elapsed(const struct pit_channel *c, uint64_t now)
{
    return !c->gate && gate_pauses(c) ? c->frozen : now - c->start;
}

static bool output(const struct pit_channel *c, uint64_t now)
{
    uint64_t e = elapsed(c, now), n = c->count;

    if (!c->loaded || (gate_triggers(c) && !c->triggered))
        return c->mode != 0;
    switch (c->mode) {
    case 0:
    case 1: return e >= n;
    case 2: return !c->gate || e % n != n - 1;
    case 3: return !c->gate || e % n < (n + 1) / 2;
    default: return e != n;
    }
}

static uint16_t to_bcd(uint32_t v)
{
    return (uint16_t)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static uint32_t from_bcd(uint16_t v)
{
    return (v & 15u) + (v >> 4 & 15u) * 10 + (v >> 8 & 15u) * 100 + (v >> 12) * 1000u;
}

static uint16_t current(const struct pit_channel *c, uint64_t now)
{
    uint64_t e = elapsed(c, now), n = c->count, v;
    uint32_t modulus = c->bcd ? 10000 : 65536;

    if (!c->loaded || (gate_triggers(c) && !c->triggered))
        v = n;
    else if (c->mode == 2)
        v = c->gate ? n - e % n : n;
    else if (c->mode == 3)
        v = c->gate ? n - (e % n * 2 % n & ~1ull) : n;
    else
        v = n % modulus + modulus - e % modulus;
    v %= modulus;
    return c->bcd ? to_bcd((uint32_t)v) : (uint16_t)v;
}

/* Tick of the next rising edge of channel 0's output after `now`; 0: none comes. */
static uint64_t next_edge(const struct pit_channel *c, uint64_t now)
{
    uint64_t e = elapsed(c, now), n = c->count;

    if (!c->loaded || gate_triggers(c))
        return 0;
    if (c->mode == 2 || c->mode == 3)
        return c->start + (e / n + 1) * n;
    n += c->mode == 4;
    return e < n ? c->start + n : 0;
}

static void rearm(struct pit *p, uint64_t now, uint64_t gap)
{
    debug_assert_held(&p->lock);
    p->s.next = next_edge(&p->s.ch[0], now);
    if (p->s.next)
        device_arm(p->vm, &p->ev, ticks_to_ns(p->s.next), gap);
}

/* Edges that were missed are one. */
static void pit_event(struct event *ev)
{
    struct pit *p = container_of(ev, struct pit, ev);
    uint64_t now;

    spin_lock(&p->lock);
    now = ticks_now(p);
    if (p->s.next && now >= p->s.next) {
        device_irq(p->vm, LINE_PIT, false);
        device_irq(p->vm, LINE_PIT, true);
        rearm(p, now, EDGE_MIN_NS);
    } else if (p->s.next) {
        device_arm(p->vm, &p->ev, ticks_to_ns(p->s.next), EARLY_NS);
    }
    spin_unlock(&p->lock);
}

static void load(struct pit *p, unsigned i, uint16_t val)
{
    struct pit_channel *c = &p->s.ch[i];
    uint64_t now = ticks_now(p);

    debug_assert_held(&p->lock);
    c->count = c->bcd ? from_bcd(val) : val;
    if (!c->count)
        c->count = c->bcd ? 10000 : 65536;
    if (!gate_triggers(c) || !c->loaded) {
        c->start = now;
        c->frozen = 0;
    }
    c->loaded = true;
    if (i == 0) {
        if (!output(c, now))
            device_irq(p->vm, LINE_PIT, false);
        rearm(p, now, 0);
    }
}

static void write_count(struct pit *p, unsigned i, uint8_t val)
{
    struct pit_channel *c = &p->s.ch[i];

    debug_assert_held(&p->lock);
    if (c->rw == RW_LOW) {
        load(p, i, val);
    } else if (c->rw == RW_HIGH) {
        load(p, i, (uint16_t)(val << 8));
    } else if (!c->high_next_write) {
        c->write_low = val;
        c->high_next_write = true;
    } else {
        c->high_next_write = false;
        load(p, i, (uint16_t)(val << 8 | c->write_low));
    }
}

static void latch_count(struct pit_channel *c, uint64_t now)
{
    if (c->bytes_latched)
        return;
    c->latch = current(c, now);
    c->bytes_latched = c->rw == RW_BOTH ? 2 : 1;
}

static void latch_status(struct pit_channel *c, uint64_t now)
{
    if (c->status_latched)
        return;
    c->status =
        (uint8_t)(output(c, now) << 7 | !c->loaded << 6 | c->rw << 4 | c->mode << 1 | c->bcd);
    c->status_latched = true;
}

static void read_back(struct pit *p, uint8_t val)
{
    uint64_t now = ticks_now(p);

    debug_assert_held(&p->lock);
    for (unsigned i = 0; i < 3; i++) {
        if (!(val >> (i + 1) & 1))
            continue;
        if (!(val & 0x20))
            latch_count(&p->s.ch[i], now);
        if (!(val & 0x10))
            latch_status(&p->s.ch[i], now);
    }
}

static void set_mode(struct pit *p, unsigned i, uint8_t val)
{
    struct pit_channel *c = &p->s.ch[i];
    uint8_t mode = val >> 1 & 7;

    debug_assert_held(&p->lock);
    c->mode = mode > 5 ? mode - 4 : mode;
    c->rw = val >> 4 & 3;
    c->bcd = val & 1;
    c->loaded = c->triggered = c->high_next_read = c->high_next_write = c->status_latched = false;
    c->bytes_latched = 0;
    if (i == 0) {
        p->s.next = 0;
        device_irq(p->vm, LINE_PIT, c->mode != 0);
    }
}

static void write_control(struct pit *p, uint8_t val)
{
    unsigned i = val >> 6;

    debug_assert_held(&p->lock);
    if (i == 3)
        read_back(p, val);
    else if (!(val & 0x30))
        latch_count(&p->s.ch[i], ticks_now(p));
    else
        set_mode(p, i, val);
}

static uint8_t read_count(struct pit *p, unsigned i)
{
    struct pit_channel *c = &p->s.ch[i];
    uint16_t v = c->bytes_latched ? c->latch : current(c, ticks_now(p));
    bool high = c->rw == RW_HIGH;

    debug_assert_held(&p->lock);
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    if (c->rw == RW_BOTH) {
        high = c->high_next_read;
        c->high_next_read = !high;
    }
    if (c->bytes_latched)
        c->bytes_latched--;
    return (uint8_t)(high ? v >> 8 : v);
}

static int pit_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct pit *p = dev;

    (void)size;
    *val = 0;
    spin_lock(&p->lock);
    if (off < 3)
        *val = read_count(p, (unsigned)off);
    spin_unlock(&p->lock);
    return 0;
}

static int pit_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pit *p = dev;

    (void)size;
    spin_lock(&p->lock);
    if (off < 3)
        write_count(p, (unsigned)off, (uint8_t)val);
    else
        write_control(p, (uint8_t)val);
    spin_unlock(&p->lock);
    return 0;
}

static void set_gate2(struct pit *p, bool gate)
{
    struct pit_channel *c = &p->s.ch[2];
    uint64_t now = ticks_now(p);

    debug_assert_held(&p->lock);
    if (gate == c->gate)
        return;
    if (!gate && gate_pauses(c))
        c->frozen = now - c->start;
    else if (gate && gate_pauses(c))
        c->start = now - c->frozen;
    else if (gate)
        c->start = now;
    c->triggered = c->triggered || (gate && c->loaded);
    c->gate = gate;
}

static int sysctl_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct pit *p = dev;
    uint64_t now;

    (void)off;
    (void)size;
    spin_lock(&p->lock);
    now = ticks_now(p);
    *val = p->s.speaker | (p->s.ch[2].gate ? SYSCTL_GATE2 : 0) |
           (now / 18 & 1 ? SYSCTL_REFRESH : 0) | (output(&p->s.ch[2], now) ? SYSCTL_OUT2 : 0);
    spin_unlock(&p->lock);
    return 0;
}

static int sysctl_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pit *p = dev;

    (void)off;
    (void)size;
    spin_lock(&p->lock);
    p->s.speaker = val & SYSCTL_SPEAKER;
    set_gate2(p, val & SYSCTL_GATE2);
    spin_unlock(&p->lock);
    return 0;
}

/* ---- <hv/state.h> ---- */

static size_t pit_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct pit_state);
}

static int pit_quiesce(struct vm *vm, uint32_t i)
{
    (void)i;
    event_cancel(&x86_devices_of(vm)->pit.ev);
    return 0;
}

static int pit_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &x86_devices_of(vm)->pit.s, sizeof(struct pit_state));
    return 0;
}

static bool channel_valid(const struct pit_channel *c, uint64_t now)
{
    static const struct state_limit limits[] = {
        STATE_LIMIT(struct pit_channel, count, 65536),
        STATE_LIMIT(struct pit_channel, mode, 5),
        STATE_LIMIT(struct pit_channel, rw, RW_BOTH),
        STATE_LIMIT(struct pit_channel, bytes_latched, 2),
        STATE_LIMIT(struct pit_channel, bcd, 1),
        STATE_LIMIT(struct pit_channel, gate, 1),
        STATE_LIMIT(struct pit_channel, loaded, 1),
        STATE_LIMIT(struct pit_channel, triggered, 1),
        STATE_LIMIT(struct pit_channel, high_next_read, 1),
        STATE_LIMIT(struct pit_channel, high_next_write, 1),
        STATE_LIMIT(struct pit_channel, status_latched, 1),
        STATE_LIMIT(struct pit_channel, pad, 0),
    };

    return state_within(c, limits, ARRAY_SIZE(limits)) && c->count && c->start <= now &&
           c->frozen <= now;
}

static int pit_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct pit *p = &x86_devices_of(vm)->pit;
    const struct pit_state *s = buf;
    uint64_t now = ticks_now(p);

    (void)i;
    if (s->version != PIT_VERSION || s->pad || !state_all_zero(s->pad1, sizeof s->pad1) ||
        s->speaker & ~SYSCTL_SPEAKER || s->next > now + PIT_FAR)
        return -EINVAL;
    for (unsigned n = 0; n < 3; n++)
        if (!channel_valid(&s->ch[n], now))
            return -EINVAL;
    p->s = *s;
    return 0;
}

/* What fell due and was not seen before the guest stood still comes at once. */
static void pit_resume(struct vm *vm, uint32_t i)
{
    struct pit *p = &x86_devices_of(vm)->pit;

    (void)i;
    spin_lock(&p->lock);
    if (p->s.next)
        device_arm(vm, &p->ev, ticks_to_ns(p->s.next), 0);
    spin_unlock(&p->lock);
}

const struct state_ops pit_state_ops = { .name = "timer (8254)",
                                         .kind = STATE_PIT,
                                         .version = PIT_VERSION,
                                         .quiesce = pit_quiesce,
                                         .size = pit_size,
                                         .save = pit_save,
                                         .restore = pit_restore,
                                         .resume = pit_resume };

int pit_create(struct x86_devices *d)
{
    static const struct io_ops counter_ops = { pit_read, pit_write, 1 },
                               sysctl_ops = { sysctl_read, sysctl_write, 1 };
    struct pit *p = &d->pit;
    int err;

    assert_cpu0();
    p->vm = d->vm;
    p->s.version = PIT_VERSION;
    spin_init(&p->lock, LOCK_DEVICE);
    event_init(&p->ev, pit_event, 0);
    for (unsigned i = 0; i < 3; i++)
        p->s.ch[i] =
            (struct pit_channel){ .count = 65536, .mode = 3, .rw = RW_BOTH, .gate = i < 2 };
    err = io_list_add(d->vm, &d->regions,
                      &(struct io_region){ "pit", IO_PORT, PORT_PIT, 4, &counter_ops, p });
    return err ? err
               : io_list_add(
                     d->vm, &d->regions,
                     &(struct io_region){ "port 61", IO_PORT, PORT_SYSCTL_B, 1, &sysctl_ops, p });
}

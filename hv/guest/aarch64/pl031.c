/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real-time clock: a PL031 (DDI 0224). Its counter is wall time at first, moves with guest
 * time, and can be set; an alarm is an event.
 */
#include <hv/assert.h>
#include <hv/time.h>
#include <hv/vintc.h>
#include <hv/vm.h>
#include <string.h>
#include "arm.h"
#include "arm_dev.h"

/* §3.2 */
enum {
    RTCDR = 0x000,
    RTCMR = 0x004,
    RTCLR = 0x008,
    RTCCR = 0x00c,
    RTCIMSC = 0x010,
    RTCRIS = 0x014,
    RTCMIS = 0x018,
    RTCICR = 0x01c
};
#define SECOND 1000000000ull
/* an alarm that a guest sets again and again costs no more than this */
#define GAP_NS 1000000ull

static const uint8_t pl031_id[8] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

static uint32_t counter(const struct pl031 *r)
{
    return r->s.base + (uint32_t)(vm_time_ns(r->vm) / SECOND);
}

static void update(struct pl031 *r)
{
    bool irq = (r->s.ris & r->s.imsc) != 0;

    debug_assert_held(&r->lock);
    if (irq != r->irq)
        virq_set(r->vm, INTID_PL031, irq);
    r->irq = irq;
}

/* The match that is waited for: it is met, perhaps a little late, or an event comes for it. */
static void look_at_alarm(struct pl031 *r)
{
    uint32_t left = r->s.match - counter(r);
    uint64_t at;

    if (!r->s.armed)
        return;
    if (left == 0 || left >> 31) {
        r->s.ris = 1;
        r->s.armed = 0;
        return;
    }
    at = (vm_time_ns(r->vm) / SECOND + left) * SECOND;
    event_at(&r->ev, max_u64(vm_time_to_host(r->vm, at), time_ns() + GAP_NS));
}

/*
 * The counter meets the match register within 2^32 s; a match in this very second counts. Beyond
 * 2^31 s it is taken as past.
 */
static void rearm(struct pl031 *r)
{
    debug_assert_held(&r->lock);
    r->s.armed = !((r->s.match - counter(r)) >> 31);
    look_at_alarm(r);
}

static void alarm_event(struct event *ev)
{
    struct pl031 *r = container_of(ev, struct pl031, ev);

    spin_lock(&r->lock);
    look_at_alarm(r);
    update(r);
    spin_unlock(&r->lock);
}

static int pl031_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct pl031 *r = dev;

    (void)size;
    spin_lock(&r->lock);
    switch (off) {
    case RTCDR: *val = counter(r); break;
    case RTCMR: *val = r->s.match; break;
    case RTCLR: *val = r->s.load; break;
    case RTCCR: *val = 1; break;
    case RTCIMSC: *val = r->s.imsc; break;
    case RTCRIS: *val = r->s.ris; break;
    case RTCMIS: *val = r->s.ris & r->s.imsc; break;
    default:
        if (!arm_primecell_id(off, pl031_id, val))
            *val = 0;
    }
    spin_unlock(&r->lock);
    return 0;
}

static int pl031_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pl031 *r = dev;

    (void)size;
    spin_lock(&r->lock);
    switch (off) {
    case RTCMR:
        r->s.match = (uint32_t)val;
        rearm(r);
        break;
    case RTCLR:
        r->s.load = (uint32_t)val;
        r->s.base += (uint32_t)val - counter(r);
        rearm(r);
        break;
    case RTCIMSC: r->s.imsc = val & 1; break;
    case RTCICR: r->s.ris &= ~(uint32_t)(val & 1); break;
    default: break;
    }
    update(r);
    spin_unlock(&r->lock);
    return 0;
}

/* ---- state ---- */

static struct pl031 *pl031_of(const struct vm *vm)
{
    return &((struct arm_machine *)vm->guest)->devices->pl031;
}

static int pl031_quiesce(struct vm *vm, uint32_t i)
{
    (void)i;
    event_cancel(&pl031_of(vm)->ev);
    return 0;
}

static void pl031_resume(struct vm *vm, uint32_t i)
{
    struct pl031 *r = pl031_of(vm);

    (void)i;
    spin_lock(&r->lock);
    look_at_alarm(r);
    virq_set(vm, INTID_PL031, r->irq);
    update(r);
    spin_unlock(&r->lock);
}

static size_t pl031_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct pl031_state);
}

static int pl031_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &pl031_of(vm)->s, sizeof(struct pl031_state));
    return 0;
}

static int pl031_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct pl031_state *s = buf;
    struct pl031 *r = pl031_of(vm);

    (void)i;
    if ((s->imsc | s->ris | s->armed) > 1)
        return -EINVAL;
    spin_lock(&r->lock);
    r->s = *s;
    r->irq = (s->ris & s->imsc) != 0;
    spin_unlock(&r->lock);
    return 0;
}

const struct state_ops arm_pl031_state = { .name = "real-time clock",
                                           .kind = STATE_PL031,
                                           .version = 1,
                                           .quiesce = pl031_quiesce,
                                           .size = pl031_size,
                                           .save = pl031_save,
                                           .restore = pl031_restore,
                                           .resume = pl031_resume };

int arm_pl031_create(struct arm_devices *d)
{
    static const struct io_ops ops = { pl031_read, pl031_write, 4 };
    struct pl031 *r = &d->pl031;

    assert_cpu0();
    r->vm = d->vm;
    r->s.base = (uint32_t)(time_wall_s() - vm_time_ns(d->vm) / SECOND);
    r->s.load = r->s.base;
    spin_init(&r->lock, LOCK_DEVICE);
    event_init(&r->ev, alarm_event, 0);
    return io_list_add(d->vm, &d->regions,
                       &(struct io_region){ "pl031", IO_MEM, PLAT_PL031, PAGE_SIZE, &ops, r });
}

void arm_pl031_destroy(struct pl031 *r) { event_kill(&r->ev); }

/* SPDX-License-Identifier: BSD-2-Clause */
/* GPIO: a PL061 (DDI 0190), whose input 3 is the power button. Outputs lead nowhere. */
#include <hv/assert.h>
#include <hv/time.h>
#include <hv/vintc.h>
#include <hv/vm.h>
#include <string.h>
#include "arm.h"
#include "arm_dev.h"

enum {
    GPIODATA_END = 0x400,
    GPIODIR = 0x400,
    GPIOIS = 0x404,
    GPIOIBE = 0x408,
    GPIOIEV = 0x40c,
    GPIOIE = 0x410,
    GPIORIS = 0x414,
    GPIOMIS = 0x418,
    /* §3.2 */
    GPIOIC = 0x41c,
    GPIOAFSEL = 0x420
};
#define PRESS_NS 100000000ull

static const uint8_t pl061_id[8] = { 0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

static void update(struct pl061 *g)
{
    bool irq = (g->s.ris & g->s.ie) != 0;

    debug_assert_held(&g->lock);
    if (irq != g->irq)
        virq_set(g->vm, INTID_PL061, irq);
    g->irq = irq;
}

/* Level-sensitive inputs follow their level; §3.2.3 to §3.2.6. */
static void levels(struct pl061_state *s)
{
    uint8_t at_level = (uint8_t) ~(s->data ^ s->iev) & s->is & (uint8_t)~s->dir;

    s->ris = (uint8_t)((s->ris & ~s->is) | at_level);
}

static void set_input(struct pl061 *g, unsigned line, bool high)
{
    struct pl061_state *s = &g->s;
    uint8_t bit = (uint8_t)(1u << line), now = high ? bit : 0;

    debug_assert_held(&g->lock);
    if (!(s->dir & bit) && (s->data & bit) != now) {
        s->data = (uint8_t)((s->data & ~bit) | now);
        if (!(s->is & bit) && ((s->ibe & bit) || high == ((s->iev & bit) != 0)))
            s->ris |= bit;
    }
    levels(s);
    update(g);
}

static void release_event(struct event *ev)
{
    struct pl061 *g = container_of(ev, struct pl061, release);

    spin_lock(&g->lock);
    g->s.pressed = 0;
    set_input(g, PL061_POWER_BUTTON, false);
    spin_unlock(&g->lock);
}

int arm_pl061_power_button(struct pl061 *g)
{
    bool listens;

    assert_cpu0();
    spin_lock(&g->lock);
    listens = g->s.ie >> PL061_POWER_BUTTON & 1;
    if (listens) {
        g->s.pressed = 1;
        set_input(g, PL061_POWER_BUTTON, true);
    }
    spin_unlock(&g->lock);
    if (listens)
        event_at(&g->release, time_ns() + PRESS_NS);
    return listens ? 0 : -ENOTSUP;
}

static uint8_t *reg_of(struct pl061_state *s, uint64_t off)
{
    switch (off) {
    case GPIODIR: return &s->dir;
    case GPIOIS: return &s->is;
    case GPIOIBE: return &s->ibe;
    case GPIOIEV: return &s->iev;
    case GPIOIE: return &s->ie;
    case GPIOAFSEL: return &s->afsel;
    default: return NULL;
    }
}

static uint64_t read_reg(struct pl061_state *s, uint64_t off)
{
    const uint8_t *reg = reg_of(s, off);
    uint64_t id;

    if (off < GPIODATA_END)
        /* address bits 9:2 choose the lines (§3.2.1) */
        return s->data & off >> 2;
    if (reg)
        return *reg;
    if (off == GPIORIS)
        return s->ris;
    if (off == GPIOMIS)
        return s->ris & s->ie;
    return arm_primecell_id(off, pl061_id, &id) ? id : 0;
}

static int pl061_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct pl061 *g = dev;

    (void)size;
    spin_lock(&g->lock);
    *val = read_reg(&g->s, off);
    spin_unlock(&g->lock);
    return 0;
}

static int pl061_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pl061 *g = dev;
    struct pl061_state *s = &g->s;
    uint8_t *reg = reg_of(s, off), mask;

    (void)size;
    spin_lock(&g->lock);
    if (off < GPIODATA_END) {
        mask = (uint8_t)(off >> 2) & s->dir;
        s->data = (uint8_t)((s->data & ~mask) | ((uint8_t)val & mask));
    } else if (reg) {
        *reg = (uint8_t)val;
    } else if (off == GPIOIC) {
        s->ris &= (uint8_t)~val;
    }
    levels(s);
    update(g);
    spin_unlock(&g->lock);
    return 0;
}

/* ---- state ---- */

static struct pl061 *pl061_of(const struct vm *vm)
{
    return &((struct arm_machine *)vm->guest)->devices->pl061;
}

static int pl061_quiesce(struct vm *vm, uint32_t i)
{
    (void)i;
    event_cancel(&pl061_of(vm)->release);
    return 0;
}

static void pl061_resume(struct vm *vm, uint32_t i)
{
    struct pl061 *g = pl061_of(vm);

    (void)i;
    spin_lock(&g->lock);
    virq_set(vm, INTID_PL061, g->irq);
    spin_unlock(&g->lock);
    if (g->s.pressed)
        event_at(&g->release, time_ns() + PRESS_NS);
}

static size_t pl061_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct pl061_state);
}

static int pl061_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &pl061_of(vm)->s, sizeof(struct pl061_state));
    return 0;
}

/* Inputs that are level-sensitive have the interrupt state of their level. */
static bool pl061_valid(const struct pl061_state *s)
{
    struct pl061_state then = *s;

    levels(&then);
    return then.ris == s->ris && s->pressed <= 1 && state_all_zero(s->zero, sizeof s->zero);
}

static int pl061_restore(struct vm *vm, uint32_t i, const void *buf)
{
    const struct pl061_state *s = buf;
    struct pl061 *g = pl061_of(vm);

    (void)i;
    if (!pl061_valid(s))
        return -EINVAL;
    spin_lock(&g->lock);
    g->s = *s;
    g->irq = (s->ris & s->ie) != 0;
    spin_unlock(&g->lock);
    return 0;
}

const struct state_ops arm_pl061_state = { .name = "GPIO",
                                           .kind = STATE_PL061,
                                           .version = 1,
                                           .quiesce = pl061_quiesce,
                                           .size = pl061_size,
                                           .save = pl061_save,
                                           .restore = pl061_restore,
                                           .resume = pl061_resume };

int arm_pl061_create(struct arm_devices *d)
{
    static const struct io_ops ops = { pl061_read, pl061_write, 1 | 2 | 4 };
    struct pl061 *g = &d->pl061;

    assert_cpu0();
    g->vm = d->vm;
    spin_init(&g->lock, LOCK_DEVICE);
    event_init(&g->release, release_event, 0);
    return io_list_add(d->vm, &d->regions,
                       &(struct io_region){ "pl061", IO_MEM, PLAT_PL061, PAGE_SIZE, &ops, g });
}

void arm_pl061_destroy(struct pl061 *g) { event_kill(&g->release); }

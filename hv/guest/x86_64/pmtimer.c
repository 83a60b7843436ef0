/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI fixed hardware: PM1a event and control blocks, power management timer. ACPI 6.4 §4.8.3.
 * There is no SMI: the machine is in ACPI mode from the start (SCI_EN reads 1, FADT SMI_CMD is 0).
 * The reset register's port lies inside the PCI configuration ports and is hv/pci's.
 */
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/vintc.h>
#include <hv/vm.h>
#include <string.h>
#include "x86_dev.h"

#define SECOND 1000000000ull
#define GAP_NS 5000000ull
#define PM_VERSION 1
#define HALF 31 /* TMR_STS: bit 31 of the timer changed */
enum {
    STS_TMR = 1,
    STS_PWRBTN = 0x100,
    EN_TMR = 1,
    EN_PWRBTN = 0x100,
    CNT_SCI_EN = 1,
    CNT_SLP_EN = 0x2000
};
#define EVENTS 0x0121 /* TMR, GBL, PWRBTN */
/* and RTC, which kernels turn on though the FADT says that it never happens */
#define ENABLES (EVENTS | 0x0400)
#define CNT_KEPT 0x1c03 /* SCI_EN, BM_RLD, SLP_TYP */

static uint64_t counts(const struct pm *p)
{
    uint64_t ns = vm_time_ns(p->vm);

    return ns / SECOND * PM_TIMER_HZ + ns % SECOND * PM_TIMER_HZ / SECOND;
}

static uint64_t counts_to_ns(uint64_t n)
{
    return n / PM_TIMER_HZ * SECOND + (n % PM_TIMER_HZ * SECOND + PM_TIMER_HZ - 1) / PM_TIMER_HZ;
}

/* Timer status, SCI level, and the timer's next event. */
static void refresh(struct pm *p, uint64_t gap)
{
    uint64_t half = counts(p) >> HALF;

    debug_assert_held(&p->lock);
    if (half != p->s.half)
        p->s.sts |= STS_TMR;
    p->s.half = half;
    virq_set(p->vm, LINE_SCI, p->s.sts & p->s.en & EVENTS);
    if (p->s.en & EN_TMR && !(p->s.sts & STS_TMR))
        device_arm(p->vm, &p->ev, counts_to_ns((half + 1) << HALF), gap);
}

static void pm_event(struct event *ev)
{
    struct pm *p = container_of(ev, struct pm, ev);

    spin_lock(&p->lock);
    refresh(p, GAP_NS);
    spin_unlock(&p->lock);
}

static int evt_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct pm *p = dev;

    spin_lock(&p->lock);
    refresh(p, 0);
    *val = (p->s.sts | (uint64_t)p->s.en << 16) >> off * 8 &
           (size == 4 ? 0xffffffff : (1ull << size * 8) - 1);
    spin_unlock(&p->lock);
    return 0;
}

/* Status bits are cleared by writing ones. */
static int evt_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pm *p = dev;
    uint32_t mask = (size == 4 ? ~0u : (1u << size * 8) - 1) << off * 8,
             v = (uint32_t)(val << off * 8) & mask;

    spin_lock(&p->lock);
    refresh(p, 0);
    p->s.sts &= (uint16_t)~v;
    p->s.en = (uint16_t)(((uint32_t)p->s.en << 16 & ~mask) >> 16 | (v >> 16 & ENABLES));
    refresh(p, 0);
    spin_unlock(&p->lock);
    return 0;
}

static int cnt_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct pm *p = dev;

    *val = (uint64_t)(p->s.cnt | CNT_SCI_EN) >> off * 8 & (size == 1 ? 0xff : 0xffff);
    return 0;
}

static int cnt_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct pm *p = dev;
    uint32_t mask = (size == 1 ? 0xffu : 0xffffu) << off * 8, v = (uint32_t)(val << off * 8) & mask;

    spin_lock(&p->lock);
    p->s.cnt = (uint16_t)((p->s.cnt & ~mask) | (v & CNT_KEPT));
    v = (v & CNT_SLP_EN) | (p->s.cnt & CNT_KEPT);
    spin_unlock(&p->lock);
    if (!(v & CNT_SLP_EN))
        return 0;
    if ((v >> 10 & 7) == SLP_TYP_S5)
        vm_request_off(p->vm, "ACPI S5");
    else
        vm_log(p->vm, LOG_INFO, "sleep type %u is not offered", (unsigned)(v >> 10 & 7));
    return 0;
}

static int tmr_read(void *dev, uint64_t off, unsigned size, uint64_t *val)
{
    struct pm *p = dev;

    *val = (counts(p) & 0xffffffff) >> off * 8 & (size == 4 ? 0xffffffff : (1ull << size * 8) - 1);
    return 0;
}

static int tmr_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    (void)dev;
    (void)off;
    (void)size;
    (void)val;
    return 0; /* read-only */
}

bool pm_power_button(struct pm *p)
{
    bool listens;

    assert_cpu0();
    spin_lock(&p->lock);
    listens = p->s.en & EN_PWRBTN;
    if (listens) {
        p->s.sts |= STS_PWRBTN;
        refresh(p, 0);
    }
    spin_unlock(&p->lock);
    return listens;
}

/* ---- <hv/state.h> ---- */

static size_t pm_size(const struct vm *vm, uint32_t i)
{
    (void)vm, (void)i;
    return sizeof(struct pm_state);
}

static int pm_quiesce(struct vm *vm, uint32_t i)
{
    (void)i;
    event_cancel(&x86_devices_of(vm)->pm.ev);
    return 0;
}

static int pm_save(struct vm *vm, uint32_t i, void *buf)
{
    (void)i;
    memcpy(buf, &x86_devices_of(vm)->pm.s, sizeof(struct pm_state));
    return 0;
}

static int pm_restore(struct vm *vm, uint32_t i, const void *buf)
{
    struct pm *p = &x86_devices_of(vm)->pm;
    const struct pm_state *s = buf;

    (void)i;
    if (s->version != PM_VERSION || s->sts & ~EVENTS || s->en & ~ENABLES || s->cnt & ~CNT_KEPT ||
        !state_all_zero(s->pad, sizeof s->pad) || s->half > counts(p) >> HALF)
        return -EINVAL;
    p->s = *s;
    return 0;
}

static void pm_resume(struct vm *vm, uint32_t i)
{
    struct pm *p = &x86_devices_of(vm)->pm;

    (void)i;
    spin_lock(&p->lock);
    refresh(p, 0);
    spin_unlock(&p->lock);
}

const struct state_ops pm_state_ops = { .name = "power management",
                                        .kind = STATE_PM,
                                        .version = PM_VERSION,
                                        .quiesce = pm_quiesce,
                                        .size = pm_size,
                                        .save = pm_save,
                                        .restore = pm_restore,
                                        .resume = pm_resume };

int pm_create(struct x86_devices *d)
{
    static const struct io_ops evt = { evt_read, evt_write, 1 | 2 | 4 },
                               cnt = { cnt_read, cnt_write, 1 | 2 },
                               tmr = { tmr_read, tmr_write, 1 | 2 | 4 };
    struct pm *p = &d->pm;
    int err;

    assert_cpu0();
    p->vm = d->vm;
    p->s.version = PM_VERSION;
    spin_init(&p->lock, LOCK_DEVICE);
    event_init(&p->ev, pm_event, 0);
    p->s.half = counts(p) >> HALF;
    err = io_list_add(d->vm, &d->regions,
                      &(struct io_region){ "pm1 event", IO_PORT, PORT_PM1_EVT, 4, &evt, p });
    err =
        err ? err
            : io_list_add(d->vm, &d->regions,
                          &(struct io_region){ "pm1 control", IO_PORT, PORT_PM1_CNT, 2, &cnt, p });
    return err ? err
               : io_list_add(d->vm, &d->regions,
                             &(struct io_region){ "pm timer", IO_PORT, PORT_PM_TMR, 4, &tmr, p });
}

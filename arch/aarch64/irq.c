/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * irq.c: the host's interrupts. They are masked always, for every CPU, at EL2: irq_window() asks
 * the interrupt controller what waits and acknowledges it, without an exception, and WFI ends when
 * one waits, masked or not (Arm ARM D1.7). A guest that runs is ended by them.
 */
#include <arch/cpu.h>
#include <arch/irq.h>

#include <hv/arm.h>
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/platform.h>
#include <hv/random.h>

#include "el2.h"
#include "private.h"

#define ISR_I (1u << 7) /* ISR_EL1, Arm ARM D19.2.64: an IRQ waits */
/* one that comes back at once, for ever, must not keep us */
#define BURST 256

struct line {
    void (*fn)(void *);
    void *arg;
    uint32_t intid;
};
static struct line lines[64];
static uint32_t nlines;
static volatile bool stopping; /* a CPU panics */

struct gic_ops *gic;

int irq_init(void)
{
    assert_cpu0();
    gic = the_platform.gic.version == 2   ? &gicv2_ops
          : the_platform.gic.version >= 3 ? &gicv3_ops
                                          : NULL;
    if (!gic) {
        log_err("neither ACPI nor the device tree lists an interrupt controller that Trivet "
                "supports (GICv2, GICv3, GICv4)");
        return -ENODEV;
    }
    int err = gic->init();
    if (!err)
        err = gic_cpu_init();
    if (!err)
        log_info("%s, %u interrupts", gic->name, gic->nr_irqs);
    return err;
}

int gic_cpu_init(void)
{
    const uint32_t ppis[] = { the_platform.timer.hyp, the_platform.timer.virt,
                              the_platform.gic.maintenance };
    int err = gic->cpu_init();

    if (err)
        return err;
    gic->enable(SGI_KICK, true);
    gic->enable(SGI_STOP, true);
    for (size_t i = 0; i < ARRAY_SIZE(ppis); i++)
        if (ppis[i] >= 16 && ppis[i] < 32)
            gic->enable(ppis[i], true);
    return 0;
}

int irq_register(uint32_t gsi, void (*fn)(void *), void *arg)
{
    hv_assert(fn);
    if (gsi < 32 || gsi >= gic->nr_irqs || gsi >= 1020)
        return -ENOENT;
    if (nlines == ARRAY_SIZE(lines))
        return -ENOSPC;
    lines[nlines++] = (struct line){ fn, arg, gsi };
    gic->route(gsi, the_platform.edge[gsi / 32] >> gsi % 32 & 1);
    gic->enable(gsi, true);
    return 0;
}

/* The host side of the ITS and of GICv2m is not there yet: drivers poll. */
void irq_remap_lines(uint64_t (*fn)(const struct irq_line *)) { (void)fn; }

bool irq_is_x2apic(void) { return false; }

int irq_message(uint32_t cpu, void (*fn)(void *), void *arg, struct irq_message *out)
{
    (void)cpu, (void)fn, (void)arg, (void)out;
    return -ENOTSUP;
}

static void device_irq(uint32_t intid)
{
    for (uint32_t i = 0; i < nlines; i++) {
        if (lines[i].intid == intid) {
            random_interrupt(read_sysreg(cntpct_el0));
            lines[i].fn(lines[i].arg);
            return;
        }
    }
    /* The maintenance interrupt has done its work by ending the guest's run. */
    if (intid != the_platform.gic.maintenance)
        log_debug("unexpected interrupt %u on CPU %u", intid, this_cpu()->id);
}

/* True: the interrupt stays active, because a guest will deactivate it. */
static bool virtual_timer(void)
{
    struct vcpu *v = this_cpu()->loaded;

    if (v)
        el2_guest(v)->vtimer_irq(v);
    return v != NULL;
}

static __attribute__((noinline)) void aarch64_irq_dispatch(uint32_t word, uint32_t intid)
{
    if (intid == the_platform.timer.virt) {
        if (virtual_timer())
            return;
    } else if (intid == the_platform.timer.hyp) {
        timer_irq();
    } else if (intid == SGI_STOP && stopping) {
        cpu_halt_forever();
    } else if (intid >= 16) {
        device_irq(intid);
    }
    gic->deactivate(word);
}

void irq_window(void)
{
    for (unsigned i = 0; i < BURST; i++) {
        uint32_t word = gic->ack(), intid = word & gic->intid_mask;

        if (intid >= GIC_SPURIOUS && intid < 1024)
            return;
        gic->drop(word);
        if (intid == SGI_KICK) /* has done its work by arriving */
            gic->deactivate(word);
        else
            aarch64_irq_dispatch(word, intid);
        if (!(read_sysreg(isr_el1) & ISR_I))
            /* mostly one: what comes after this look ends the guest's next run at once */
            return;
    }
}

void irq_wait(void)
{
    dsb_sy();
    wfi();
    irq_window();
}

void irq_send_kick(uint32_t cpu)
{
    debug_assert(cpu < cpu_count);
    gic->sgi(cpu, SGI_KICK);
}

/* There is no NMI: a CPU stops when it next looks, and one that never does is lost anyway. */
void arch_stop_others(void)
{
    stopping = true;
    for (uint32_t i = 0; gic && i < cpu_count; i++)
        if (&percpus[i] != this_cpu())
            gic->sgi(i, SGI_STOP);
}

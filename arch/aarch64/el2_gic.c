/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_gic.c: the GIC's virtual CPU interface: system registers (GICv3, IHI 0069 §12.4) or the GICH
 * frame (GICv2, IHI 0048 §5.3). The hypervisor's words are GICv3's; those of GICv2 are converted.
 */
#include <arch/io.h>
#include <arch/mmu.h>
#include <hv/assert.h>
#include <hv/log.h>
#include <hv/platform.h>

#include "el2.h"
#include "private.h"

const struct el2_gic_ops *el2_gic;
uint32_t el2_gic_vtr;
static unsigned lrs, aprs; /* list registers; active-priority registers of each group */

#define ICH_HCR_EN 1u
#define VTR_LRS(vtr) (((vtr)&0x1f) + 1)

/* Bits 7:1 of ICH_HCR_EL2 may be asked for; TC and the others that catch accesses are not. */
#define HCR_WANTED 0xfeu
#define HCR_EOICOUNT (0x1fu << ARM_HCR_EOICOUNT_SHIFT)

static void note_vtr(uint32_t vtr)
{
    el2_gic_vtr = vtr;
    lrs = VTR_LRS(vtr) < ARM_LRS_MAX ? VTR_LRS(vtr) : ARM_LRS_MAX;
    aprs = el2_gic_aprs(vtr);
}

void el2_gic_features(uint32_t regs[4])
{
    regs[0] = el2_caps.gic_version;
    regs[1] = lrs;
    regs[2] = (uint32_t)the_platform.gic.gicv;
    regs[3] = (uint32_t)(the_platform.gic.gicv >> 32);
}

/* ---- GICv3 ---- */

#define ICH_AP0R0_EL2 S3_4_C12_C8_0
#define ICH_AP0R1_EL2 S3_4_C12_C8_1
#define ICH_AP0R2_EL2 S3_4_C12_C8_2
#define ICH_AP0R3_EL2 S3_4_C12_C8_3
#define ICH_AP1R0_EL2 S3_4_C12_C9_0
#define ICH_AP1R1_EL2 S3_4_C12_C9_1
#define ICH_AP1R2_EL2 S3_4_C12_C9_2
#define ICH_AP1R3_EL2 S3_4_C12_C9_3
#define ICH_HCR_EL2 S3_4_C12_C11_0
#define ICH_VTR_EL2 S3_4_C12_C11_1
#define ICH_VMCR_EL2 S3_4_C12_C11_7
#define ICC_SRE_ALL 7u    /* SRE, DFB, DIB */
#define ICC_SRE_ENABLE 8u /* EL1 may use the system registers (§12.2.24) */

/* clang-format off */
#define LRS(X) X(0, 12, 0) X(1, 12, 1) X(2, 12, 2) X(3, 12, 3) X(4, 12, 4) X(5, 12, 5) \
    X(6, 12, 6) X(7, 12, 7) X(8, 13, 0) X(9, 13, 1) X(10, 13, 2) X(11, 13, 3) X(12, 13, 4) \
    X(13, 13, 5) X(14, 13, 6) X(15, 13, 7)
#define LR_WRITE(n, crm, op2) case n: write_sysreg(S3_4_C12_C##crm##_##op2, val); break;
#define LR_READ(n, crm, op2) case n: return read_sysreg(S3_4_C12_C##crm##_##op2);
/* clang-format on */

static void lr_write(unsigned n, uint64_t val)
{
    switch (n) {
        LRS(LR_WRITE)
    default: break;
    }
}

static uint64_t lr_read(unsigned n)
{
    switch (n) {
        LRS(LR_READ)
    default: return 0;
    }
}

static int v3_probe(void)
{
    note_vtr((uint32_t)read_sysreg(ICH_VTR_EL2));
    return 0;
}

static int v3_cpu_enable(void)
{
    write_sysreg(ICC_SRE_EL2, read_sysreg(ICC_SRE_EL2) | ICC_SRE_ALL | ICC_SRE_ENABLE);
    isb();
    write_sysreg(ICH_HCR_EL2, 0);
    for (unsigned n = 0; n < lrs; n++)
        lr_write(n, 0);
    return 0;
}

static void v3_load_apr(const struct el2_gic *s)
{
    write_sysreg(ICH_AP0R0_EL2, s->ap0r[0]);
    write_sysreg(ICH_AP1R0_EL2, s->ap1r[0]);
    if (aprs >= 2) {
        write_sysreg(ICH_AP0R1_EL2, s->ap0r[1]);
        write_sysreg(ICH_AP1R1_EL2, s->ap1r[1]);
    }
    if (aprs >= 4) {
        write_sysreg(ICH_AP0R2_EL2, s->ap0r[2]);
        write_sysreg(ICH_AP1R2_EL2, s->ap1r[2]);
        write_sysreg(ICH_AP0R3_EL2, s->ap0r[3]);
        write_sysreg(ICH_AP1R3_EL2, s->ap1r[3]);
    }
}

static void v3_save_apr(struct el2_gic *s)
{
    s->ap0r[0] = (uint32_t)read_sysreg(ICH_AP0R0_EL2);
    s->ap1r[0] = (uint32_t)read_sysreg(ICH_AP1R0_EL2);
    if (aprs >= 2) {
        s->ap0r[1] = (uint32_t)read_sysreg(ICH_AP0R1_EL2);
        s->ap1r[1] = (uint32_t)read_sysreg(ICH_AP1R1_EL2);
    }
    if (aprs >= 4) {
        s->ap0r[2] = (uint32_t)read_sysreg(ICH_AP0R2_EL2);
        s->ap1r[2] = (uint32_t)read_sysreg(ICH_AP1R2_EL2);
        s->ap0r[3] = (uint32_t)read_sysreg(ICH_AP0R3_EL2);
        s->ap1r[3] = (uint32_t)read_sysreg(ICH_AP1R3_EL2);
    }
}

/* ICC_SRE_EL1 is not virtualised: a guest's writes to it find nothing to change. */
static void v3_load(struct el2_gic *s)
{
    write_sysreg(ICC_SRE_EL1, ICC_SRE_ALL);
    isb();
    v3_load_apr(s);
    write_sysreg(ICH_VMCR_EL2, s->vmcr);
    write_sysreg(ICH_HCR_EL2, ICH_HCR_EN);
}

static void v3_unload(struct el2_gic *s)
{
    for (; s->lr_live; s->lr_live &= s->lr_live - 1)
        lr_write((unsigned)__builtin_ctz(s->lr_live), 0);
    write_sysreg(ICH_HCR_EL2, 0);
    s->vmcr = (uint32_t)read_sysreg(ICH_VMCR_EL2);
    v3_save_apr(s);
}

static void v3_enter(struct el2_gic *s, struct arm_gic_cpu *g)
{
    for (uint32_t todo = g->dirty; todo; todo &= todo - 1) {
        unsigned n = (unsigned)__builtin_ctz(todo);

        lr_write(n, g->lr[n]);
    }
    g->dirty = 0;
    s->lr_live |= g->used;
    if (g->hcr)
        write_sysreg(ICH_HCR_EL2, (g->hcr & HCR_WANTED) | ICH_HCR_EN);
}

/*
 * What asks for maintenance interrupts is off again: they shall end the guest's run, not come while
 * we run.
 */
static void v3_leave(struct arm_gic_cpu *g)
{
    for (uint32_t todo = g->used; todo; todo &= todo - 1) {
        unsigned n = (unsigned)__builtin_ctz(todo);

        g->lr[n] = lr_read(n);
    }
    if (g->hcr) {
        if (g->hcr & ARM_HCR_LRENPIE)
            g->hcr = (g->hcr & HCR_WANTED) | ((uint32_t)read_sysreg(ICH_HCR_EL2) & HCR_EOICOUNT);
        write_sysreg(ICH_HCR_EL2, ICH_HCR_EN);
    }
}

static uint32_t v3_vmcr(void) { return (uint32_t)read_sysreg(ICH_VMCR_EL2); }

static void v3_set_vmcr(uint32_t val) { write_sysreg(ICH_VMCR_EL2, val); }

static const struct el2_gic_ops v3 = {
    .probe = v3_probe,
    .cpu_enable = v3_cpu_enable,
    .load = v3_load,
    .unload = v3_unload,
    .enter = v3_enter,
    .leave = v3_leave,
    .vmcr = v3_vmcr,
    .set_vmcr = v3_set_vmcr,
};

/*
 * ---- GICv2 ----
 * GICH is banked, each CPU sees its own at the same address. VMCR and VTR are laid out as GICv3's
 * in what we use.
 */

#define GICH_HCR 0x000
#define GICH_VTR 0x004
#define GICH_VMCR 0x008
#define GICH_APR 0x0f0
#define GICH_LR0 0x100
#define GICH_LEN 0x1000

static volatile uint8_t *gich;

static uint32_t gich_read(unsigned reg) { return mmio_read32(gich + reg); }

static void gich_write(unsigned reg, uint32_t val) { mmio_write32(gich + reg, val); }

/*
 * GICH_LR, §5.3.11: HW 31, Grp1 30, State 29:28, Priority 27:23, VirtualID 9:0; HW 1: PhysicalID
 * 19:10; HW 0: EOI 19, CPUID 12:10, which the hypervisor's words have in bits 12:10 too.
 */
#define LR_LOW_V2(lr) ((uint32_t)((lr) & ((lr)&ARM_LR_HW ? 0x3ff : 0x1fff)))

static uint32_t lr_to_v2(uint64_t lr)
{
    uint32_t out = LR_LOW_V2(lr) | (uint32_t)(lr >> (ARM_LR_PRIORITY_SHIFT + 3) & 0x1f) << 23;

    out |= lr & ARM_LR_HW    ? (uint32_t)(lr >> ARM_LR_PINTID_SHIFT & 0x3ff) << 10
           : lr & ARM_LR_EOI ? 1u << 19
                             : 0;
    out |= (uint32_t)(lr >> 62 & 3) << 28;
    return out | (lr & ARM_LR_GROUP1 ? 1u << 30 : 0) | (lr & ARM_LR_HW ? 1u << 31 : 0);
}

static uint64_t lr_from_v2(uint32_t lr)
{
    uint64_t out =
        (uint64_t)(lr >> 23 & 0x1f) << (ARM_LR_PRIORITY_SHIFT + 3) | (uint64_t)(lr >> 28 & 3) << 62;

    out |= lr & 1u << 30 ? ARM_LR_GROUP1 : 0;
    if (lr & 1u << 31)
        return out | ARM_LR_HW | (lr & 0x3ff) | (uint64_t)(lr >> 10 & 0x3ff) << ARM_LR_PINTID_SHIFT;
    return out | (lr & 0x1fff) | (lr & 1u << 19 ? ARM_LR_EOI : 0);
}

static int v2_probe(void)
{
    const struct platform *p = &the_platform;

    if (!p->gic.gich || !p->gic.gicv) {
        log_err("this machine's GICv2 has no virtualisation registers (GICH and GICV): a GIC-400 "
                "or later is needed");
        return -ENOTSUP;
    }
    gich = mmu_map_device(hpa(p->gic.gich), GICH_LEN);
    if (!gich)
        return -ENOMEM;
    note_vtr(gich_read(GICH_VTR));
    return 0;
}

static int v2_cpu_enable(void)
{
    gich_write(GICH_HCR, 0);
    for (unsigned n = 0; n < lrs; n++)
        gich_write(GICH_LR0 + 4 * n, 0);
    return 0;
}

static void v2_load(struct el2_gic *s)
{
    gich_write(GICH_APR, s->ap1r[0]);
    gich_write(GICH_VMCR, s->vmcr);
    gich_write(GICH_HCR, ICH_HCR_EN);
}

static void v2_unload(struct el2_gic *s)
{
    for (; s->lr_live; s->lr_live &= s->lr_live - 1)
        gich_write(GICH_LR0 + 4 * (unsigned)__builtin_ctz(s->lr_live), 0);
    gich_write(GICH_HCR, 0);
    s->vmcr = gich_read(GICH_VMCR);
    s->ap1r[0] = gich_read(GICH_APR);
}

static void v2_enter(struct el2_gic *s, struct arm_gic_cpu *g)
{
    for (uint32_t todo = g->dirty; todo; todo &= todo - 1) {
        unsigned n = (unsigned)__builtin_ctz(todo);

        gich_write(GICH_LR0 + 4 * n, lr_to_v2(g->lr[n]));
    }
    g->dirty = 0;
    s->lr_live |= g->used;
    if (g->hcr)
        gich_write(GICH_HCR, (g->hcr & HCR_WANTED) | ICH_HCR_EN);
}

static void v2_leave(struct arm_gic_cpu *g)
{
    for (uint32_t todo = g->used; todo; todo &= todo - 1) {
        unsigned n = (unsigned)__builtin_ctz(todo);

        g->lr[n] = lr_from_v2(gich_read(GICH_LR0 + 4 * n));
    }
    if (g->hcr) {
        if (g->hcr & ARM_HCR_LRENPIE)
            g->hcr = (g->hcr & HCR_WANTED) | (gich_read(GICH_HCR) & HCR_EOICOUNT);
        gich_write(GICH_HCR, ICH_HCR_EN);
    }
}

static uint32_t v2_vmcr(void) { return gich_read(GICH_VMCR); }

static void v2_set_vmcr(uint32_t val) { gich_write(GICH_VMCR, val); }

static const struct el2_gic_ops v2 = {
    .probe = v2_probe,
    .cpu_enable = v2_cpu_enable,
    .load = v2_load,
    .unload = v2_unload,
    .enter = v2_enter,
    .leave = v2_leave,
    .vmcr = v2_vmcr,
    .set_vmcr = v2_set_vmcr,
};

int el2_gic_probe(void)
{
    assert_cpu0();
    el2_caps.gic_version = the_platform.gic.version;
    if (el2_caps.gic_version != 2 && el2_caps.gic_version != 3) {
        log_err("the firmware's tables list no interrupt controller that Trivet supports (GICv2 "
                "with virtualisation, GICv3, GICv4)");
        return -ENOTSUP;
    }
    el2_gic = el2_caps.gic_version == 3 ? &v3 : &v2;
    return el2_gic->probe();
}

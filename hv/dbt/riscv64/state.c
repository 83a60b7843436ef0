/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hart's state as it is saved, and back: struct rv_cpu without what follows from the machine's
 * state or from time. What is given back may come from anywhere: it is one that a hart can have, or
 * it is refused.
 */
#include "cpu.h"
#include <string.h>

/* Bits of mip that are the controller's and the timers': volume II, 3.1.9; of Sstc, 4.1.1. */
static uint64_t state_derived(const struct rv_cpu *c)
{
    return RV_BIT(RV_IRQ_MEI) | RV_BIT(RV_IRQ_MTI) |
           (c->menvcfg & MENVCFG_STCE ? RV_BIT(RV_IRQ_STI) : 0);
}

void rv_hart_save(const struct rv_hart *h, struct rv_cpu *to)
{
    *to = h->cpu;
    to->mip &= ~state_derived(to);
    to->seip_line = 0;
    to->reserved = to->reserved_pa = to->reserved_value = 0;
}

#define AT(member) offsetof(struct rv_cpu, member)

/* Which bits may be set; registers that are not here may hold anything. */
static const struct {
    uint16_t at;
    uint64_t kept;
} words[] = {
    { AT(x), 0 }, /* x0 */
    { AT(pc), ~1ull },
    { AT(mstatus), MSTATUS_KEPT },
    { AT(mip), RV_IRQ_S | RV_BIT(RV_IRQ_MSI) },
    { AT(mie), RV_IRQ_S | RV_IRQ_M },
    { AT(mideleg), RV_IRQ_S },
    { AT(medeleg), MEDELEG_KEPT },
    { AT(mtvec), ~2ull },
    { AT(stvec), ~2ull },
    { AT(mepc), ~1ull },
    { AT(sepc), ~1ull },
    { AT(menvcfg), MENVCFG_FIOM | MENVCFG_ADUE | MENVCFG_STCE },
    { AT(senvcfg), MENVCFG_FIOM },
    { AT(mcounteren), UINT32_MAX },
    { AT(scounteren), UINT32_MAX },
    { AT(mcountinhibit), INHIBIT_CY | INHIBIT_IR },
    { AT(reserved), 0 },
    { AT(reserved_pa), 0 },
    { AT(reserved_value), 0 },
    { AT(seip_line), 0 },
};

static bool words_valid(const struct rv_cpu *c)
{
    uint64_t v;

    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        memcpy(&v, (const char *)c + words[i].at, sizeof v);
        if (v & ~words[i].kept)
            return false;
    }
    return true;
}

static bool state_pmp_valid(const struct rv_cpu *c)
{
    for (unsigned i = 0; i < RV_PMPS; i++)
        if (c->pmpaddr[i] >> 54 || !rv_pmpcfg_valid(c->pmpcfg[i]))
            return false;
    return true;
}

bool rv_hart_valid(const struct rv_cpu *c, uint64_t hartid)
{
    return words_valid(c) && state_pmp_valid(c) && rv_satp_valid(c->satp) && c->hartid == hartid &&
           c->fflags < 32 && c->frm < 8 && c->waiting <= 1 &&
           (c->mode == RV_U || c->mode == RV_S || c->mode == RV_M) &&
           (c->mstatus & RV_MSTATUS_MPP) != 2ull << 11 && !(c->mip & state_derived(c));
}

void rv_hart_restore(struct rv_hart *h, const struct rv_cpu *from)
{
    h->cpu = *from;
    h->again = h->trapped = false;
    rv_changed(h);
}

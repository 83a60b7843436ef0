/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_debug.c: breakpoints and watchpoints. Caught (MDCR_EL2.TDA) until the guest touches a debug
 * register; then its values are put into the CPU, and the guest goes on by itself. At unload() they
 * go back to memory. Arm ARM D2, D19.3.
 */
#include "el2.h"
#include "private.h"

#define MDSCR_KDE (1ull << 13)
#define MDSCR_MDE (1ull << 15)

/* DBGBVR<n>_EL1 is 2, 0, C0, Cn, 4; then BCR 5, WVR 6, WCR 7. */
#define SIXTEEN(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define PUT_B(n)                                   \
    if (n < el2_caps.breakpoints) {                \
        write_sysreg(S2_0_C0_C##n##_4, d->bvr[n]); \
        write_sysreg(S2_0_C0_C##n##_5, d->bcr[n]); \
    }
#define PUT_W(n)                                   \
    if (n < el2_caps.watchpoints) {                \
        write_sysreg(S2_0_C0_C##n##_6, d->wvr[n]); \
        write_sysreg(S2_0_C0_C##n##_7, d->wcr[n]); \
    }
#define GET_B(n)                                   \
    if (n < el2_caps.breakpoints) {                \
        d->bvr[n] = read_sysreg(S2_0_C0_C##n##_4); \
        d->bcr[n] = read_sysreg(S2_0_C0_C##n##_5); \
    }
#define GET_W(n)                                   \
    if (n < el2_caps.watchpoints) {                \
        d->wvr[n] = read_sysreg(S2_0_C0_C##n##_6); \
        d->wcr[n] = read_sysreg(S2_0_C0_C##n##_7); \
    }

static void el2_debug_put(const struct el2_debug *d)
{
    SIXTEEN(PUT_B)
    SIXTEEN(PUT_W)
}

static void el2_debug_get(struct el2_debug *d)
{
    SIXTEEN(GET_B)
    SIXTEEN(GET_W)
}

static void set_mdcr(struct el2_vcpu *s, uint64_t mdcr)
{
    s->mdcr = mdcr;
    write_sysreg(mdcr_el2, mdcr);
}

void el2_debug_give(struct el2_vcpu *s)
{
    if (!s->dbg_live)
        el2_debug_put(&s->dbg);
    s->dbg_live = true;
    set_mdcr(s, el2_caps.mdcr & ~MDCR_TDA);
}

/* With monitor debugging off none of them can match (D2.8.1), so they need not be in the CPU. */
void el2_debug_load(struct el2_vcpu *s)
{
    if (s->sys[R_MDSCR_EL1] & (MDSCR_MDE | MDSCR_KDE))
        el2_debug_give(s);
    else
        set_mdcr(s, el2_caps.mdcr);
}

/* The next guest may turn monitor debugging on with the registers still caught. */
static void el2_debug_clear(void)
{
    static const struct el2_debug none;

    el2_debug_put(&none);
}

void el2_debug_reset(struct el2_vcpu *s)
{
    s->dbg = (struct el2_debug){ .bvr = { 0 } };
    if (s->dbg_live)
        el2_debug_clear();
}

void el2_debug_unload(struct el2_vcpu *s)
{
    if (!s->dbg_live)
        return;
    el2_debug_get(&s->dbg);
    el2_debug_clear();
    s->dbg_live = false;
}

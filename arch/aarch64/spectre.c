/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spectre.c: the decision. The tables are Arm's, of the CPUs that its bulletins name; other makers'
 * by their own.
 */
#include "spectre.h"
#include <hv/mitigations.h>
#include <stdio.h>

/* V2, V4: never open to it. FIRMWARE: the history of branches is cleared by the firmware only. */
enum { V2 = 1, V4 = 2, FIRMWARE = 4 };
struct core {
    uint32_t midr;
    uint8_t loops, flags;
}; /* midr: implementer 31:24, part 15:4 */

#define ARM(part) (0x41000000u | (part) << 4)
#define BROADCOM(part) (0x42000000u | (part) << 4)
#define HISILICON(part) (0x48000000u | (part) << 4)
#define QUALCOMM(part) (0x51000000u | (part) << 4)
#define AMPERE(part) (0xc0000000u | (part) << 4)
#define MIDR_CORE 0xff00fff0u

static const struct core cores[] = {
    /* Cortex-A35, A53, A55 */
    { ARM(0xd04u), 0, V2 | V4 },
    { ARM(0xd03u), 0, V2 | V4 },
    { ARM(0xd05u), 0, V2 | V4 },
    /* Brahma B53; TSV110 */
    { BROADCOM(0x100u), 0, V2 | V4 },
    { HISILICON(0xd01u), 0, V2 },
    /* Kryo 2xx, 3xx, 4xx Silver */
    { QUALCOMM(0x801u), 0, V2 },
    { QUALCOMM(0x803u), 0, V2 | V4 },
    { QUALCOMM(0x805u), 0, V2 | V4 },
    /* A57, A72 */
    { ARM(0xd07u), 8, 0 },
    { ARM(0xd08u), 8, 0 },
    /* AmpereOne */
    { AMPERE(0xac3u), 11, 0 },
    /* A76, A76AE, A77, Neoverse N1 */
    { ARM(0xd0bu), 24, 0 },
    { ARM(0xd0eu), 24, 0 },
    { ARM(0xd0du), 24, 0 },
    { ARM(0xd0cu), 24, 0 },
    /* Kryo 4xx Gold */
    { QUALCOMM(0x804u), 24, 0 },
    /* A78, A78AE, A78C, X1 */
    { ARM(0xd41u), 32, 0 },
    { ARM(0xd42u), 32, 0 },
    { ARM(0xd4bu), 32, 0 },
    { ARM(0xd44u), 32, 0 },
    /* X1C, A710, X2 */
    { ARM(0xd4cu), 32, 0 },
    { ARM(0xd47u), 32, 0 },
    { ARM(0xd48u), 32, 0 },
    /* Neoverse N2, V1 */
    { ARM(0xd49u), 32, 0 },
    { ARM(0xd40u), 32, 0 },
    /* A715, A720 */
    { ARM(0xd4du), 38, 0 },
    { ARM(0xd81u), 38, 0 },
    /* X3, Neoverse V2 */
    { ARM(0xd4eu), 132, 0 },
    { ARM(0xd4fu), 132, 0 },
    /* A73, A75 */
    { ARM(0xd09u), 0, FIRMWARE },
    { ARM(0xd0au), 0, FIRMWARE },
};

static struct core core_of(uint32_t midr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(cores); i++)
        if ((midr & MIDR_CORE) == cores[i].midr)
            return cores[i];
    return (struct core){ 0 };
}

static unsigned spectre_field(uint64_t reg, unsigned shift)
{
    return (unsigned)(reg >> shift) & 15;
}

static unsigned csv2(const struct spectre_cpu *c) { return spectre_field(c->pfr0, 56); }

/* CSV2: branch targets that one context has trained do not steer another. */
static enum spectre_state v2_state(const struct spectre_cpu *c, struct core core)
{
    if (csv2(c) || (core.flags & V2) || c->wa1 == 1)
        return SPECTRE_SAFE;
    return c->wa1 == 0 ? SPECTRE_MITIGATED : SPECTRE_OPEN;
}

/*
 * CSV2 3, and ECBHB for what a lower exception level did: the CPU keeps histories apart. Where the
 * loop serves, it needs no firmware.
 */
static void plan_history(const struct spectre_cpu *c, struct core core, struct spectre_plan *p)
{
    p->bhb = SPECTRE_MITIGATED;
    if (csv2(c) == 3 || spectre_field(c->mmfr1, 60)) {
        p->bhb = SPECTRE_SAFE;
    } else if (spectre_field(c->isar2, 28)) {
        p->at_exit = AT_EXIT_CLRBHB;
    } else if (core.loops) {
        p->at_exit = AT_EXIT_LOOP;
        p->loops = core.loops;
    } else if (c->wa3 == 0) {
        p->at_exit = AT_EXIT_CALL_3;
    } else {
        p->bhb = (core.flags & FIRMWARE) && c->wa3 < 0 ? SPECTRE_OPEN : SPECTRE_SAFE;
    }
}

/*
 * The firmware drops all that branches have taught; WORKAROUND_1 alone serves against a history too
 * where a loop would.
 */
static void plan_call(const struct spectre_cpu *c, struct core core, struct spectre_plan *p)
{
    p->loops = 0;
    p->at_exit = c->wa3 == 0 ? AT_EXIT_CALL_3 : AT_EXIT_CALL_1;
    if (p->bhb == SPECTRE_MITIGATED && c->wa3 != 0 && !core.loops)
        p->bhb = SPECTRE_OPEN;
}

static void plan_stores(const struct spectre_cpu *c, struct core core, struct spectre_plan *p)
{
    p->ssbs = spectre_field(c->pfr1, 4) != 0;
    p->v4 = SPECTRE_OPEN;
    if ((core.flags & V4) || c->wa2 == 1)
        p->v4 = SPECTRE_SAFE;
    else if (p->ssbs || c->wa2 == 0)
        p->v4 = SPECTRE_MITIGATED;
}

struct spectre_plan spectre_plan(const struct spectre_cpu *c)
{
    struct core core = core_of(c->midr);
    struct spectre_plan p = { .v2 = (uint8_t)v2_state(c, core) };

    plan_history(c, core, &p);
    if (p.v2 == SPECTRE_MITIGATED)
        plan_call(c, core, &p);
    plan_stores(c, core, &p);
    return p;
}

struct spectre_plan spectre_least(const struct spectre_plan *a, const struct spectre_plan *b)
{
    return (struct spectre_plan){
        .v2 = (uint8_t)min_u64(a->v2, b->v2),
        .bhb = (uint8_t)min_u64(a->bhb, b->bhb),
        .v4 = (uint8_t)min_u64(a->v4, b->v4),
        .at_exit = (uint8_t)max_u64(a->at_exit, b->at_exit),
        .loops = (uint8_t)max_u64(a->loops, b->loops),
        .ssbs = a->ssbs && b->ssbs,
    };
}

/* ---- in words ---- */

static void say_branches(const struct spectre_plan *p, bool wanted, struct mitigation *m)
{
    static const char *const way[AT_EXIT_COUNT] = {
        "nothing to do",
        "a loop of branches",
        "CLRBHB",
        "firmware call (WORKAROUND_1)",
        "firmware call (WORKAROUND_3)",
    };
    char loop[40] = "";

    if (p->v2 == SPECTRE_SAFE && p->bhb == SPECTRE_SAFE) {
        mitigation_say(m, MIT_NOT_AFFECTED, NULL);
        return;
    }
    if (p->at_exit == AT_EXIT_LOOP)
        snprintf(loop, sizeof loop, " (%u taken)", p->loops);
    if (!wanted)
        mitigation_say(m, MIT_VULNERABLE, "mitigations are off");
    else if (p->v2 == SPECTRE_OPEN || p->bhb == SPECTRE_OPEN)
        mitigation_say(m, MIT_VULNERABLE, "%s%s%s: the firmware has no call against it",
                       p->v2 == SPECTRE_OPEN ? "branch targets" : "", p->v2 == p->bhb ? ", " : "",
                       p->bhb == SPECTRE_OPEN ? "BHB" : "");
    else
        mitigation_say(m, MIT_MITIGATED, "%sBHB: at each exit %s%s",
                       p->v2 == SPECTRE_SAFE ? "CSV2, " : "Branch predictor hardening, ",
                       way[p->at_exit], loop);
}

static void say_stores(const struct spectre_plan *p, struct mitigation *m)
{
    if (p->v4 == SPECTRE_SAFE)
        mitigation_say(m, MIT_NOT_AFFECTED, NULL);
    else if (p->v4 == SPECTRE_OPEN)
        mitigation_say(m, MIT_VULNERABLE, NULL);
    else
        mitigation_say(m, MIT_MITIGATED,
                       p->ssbs ? "SSBS is 0 in Trivet, and a guest's own choice in it"
                               : "loads never pass stores, by the firmware (WORKAROUND_2)");
}

/* The classes that are not set apart below are those of x86 CPUs. */
void spectre_report(const struct spectre_plan *p, bool wanted, struct mitigation_report *m)
{
    *m = (struct mitigation_report){ 0 };
    for (unsigned c = 0; c < MIT_COUNT; c++)
        mitigation_say(&m->class[c], MIT_NOT_AFFECTED, NULL);
    mitigation_say(&m->class[MIT_MELTDOWN], MIT_MITIGATED,
                   "no address of EL2's is in a guest's translation regime");
    mitigation_say(&m->class[MIT_SPECTRE_V1], MIT_MITIGATED, "indices from guests are masked");
    say_branches(p, wanted, &m->class[MIT_SPECTRE_V2]);
    say_stores(p, &m->class[MIT_SPEC_STORE_BYPASS]);
}

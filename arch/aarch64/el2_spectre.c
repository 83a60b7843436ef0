/* SPDX-License-Identifier: BSD-2-Clause */
/* el2_spectre.c: spectre.c's decision carried out: each CPU's vectors, and what guests are told. */
#include <hv/config.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/mitigations.h>
#include <hv/percpu.h>

#include <arch/cpu.h>

#include "el2.h"
#include "private.h"
#include "spectre.h"

/* entry.S: one set of vectors for each way out of a guest. */
extern const uint8_t arm_vectors[], arm_vectors_loop[], arm_vectors_clrbhb[], arm_vectors_call_1[],
    arm_vectors_call_3[];

static struct spinlock lock = SPINLOCK_INIT(LOCK_DRIVER);
static struct spectre_plan all; /* the least of all CPUs */
static uint32_t cpus;           /* that have been looked at */

static const uint8_t *const vectors[AT_EXIT_COUNT] = {
    [AT_EXIT_NONE] = arm_vectors,          [AT_EXIT_LOOP] = arm_vectors_loop,
    [AT_EXIT_CLRBHB] = arm_vectors_clrbhb, [AT_EXIT_CALL_1] = arm_vectors_call_1,
    [AT_EXIT_CALL_3] = arm_vectors_call_3,
};

static bool merge(const struct spectre_plan *p)
{
    struct spectre_plan was;
    bool news;

    spin_lock(&lock);
    was = all;
    all = cpus++ == 0 ? *p : spectre_least(&all, p);
    news = cpus == 1 || all.v2 != was.v2 || all.bhb != was.bhb || all.v4 != was.v4;
    spin_unlock(&lock);
    return news;
}

static void el2_spectre_tell(const struct spectre_plan *p)
{
    static const char *const state[] = { "open to it", "mitigated", "not affected" };
    static const char *const way[] = { "nothing", "a loop of branches", "CLRBHB",
                                       "the firmware's WORKAROUND_1",
                                       "the firmware's WORKAROUND_3" };
    bool open = p->v2 == SPECTRE_OPEN || p->bhb == SPECTRE_OPEN || p->v4 == SPECTRE_OPEN;

    hv_log(open ? LOG_WARN : LOG_INFO,
           "CPU %u: Spectre v2: %s; branch history: %s; v4: %s%s; at each exit: %s", this_cpu()->id,
           state[p->v2], state[p->bhb], state[p->v4], open ? " (newer firmware may help)" : "",
           way[p->at_exit]);
}

void el2_spectre_cpu_enable(void)
{
    const struct spectre_cpu c = {
        .midr = (uint32_t)read_sysreg(midr_el1),
        .pfr0 = read_sysreg(id_aa64pfr0_el1),
        .pfr1 = read_sysreg(id_aa64pfr1_el1),
        .isar2 = read_sysreg(ID_AA64ISAR2_EL1),
        .mmfr1 = read_sysreg(id_aa64mmfr1_el1),
        .wa1 = smccc_arch_feature(SMCCC_ARCH_WORKAROUND_1),
        .wa2 = smccc_arch_feature(SMCCC_ARCH_WORKAROUND_2),
        .wa3 = smccc_arch_feature(SMCCC_ARCH_WORKAROUND_3),
    };
    struct spectre_plan p = spectre_plan(&c);

    if (c.wa2 == 0)
        /* as the firmware began; nobody turns it off */
        (void)psci_call(SMCCC_ARCH_WORKAROUND_2, 1, 0, 0);
    arm_this()->at_exit = p.at_exit;
    arm_this()->bhb_loops = p.loops;
    if (merge(&p))
        el2_spectre_tell(&p);
}

static bool el2_spectre_wanted(void) { return the_config.host.mitigations != MITIGATIONS_OFF; }

void el2_spectre_use(void)
{
    const uint8_t *at = vectors[el2_spectre_wanted() ? arm_this()->at_exit : AT_EXIT_NONE];

    write_sysreg(vbar_el2, at);
    isb();
}

static uint32_t el2_spectre_answer(uint8_t state)
{
    if (state == SPECTRE_SAFE)
        return ARM_WORKAROUND_NOT_NEEDED;
    return state == SPECTRE_MITIGATED && el2_spectre_wanted() ? ARM_WORKAROUND_CALL
                                                              : ARM_WORKAROUND_ABSENT;
}

/*
 * Where v4 is the firmware's to mitigate it always is, for every guest; with SSBS it is the guest's
 * own choice, and there is nothing to call.
 */
void el2_spectre_answers(uint32_t regs[4])
{
    regs[0] = el2_spectre_answer(all.v2);
    regs[1] = all.v4 == SPECTRE_SAFE || (all.v4 == SPECTRE_MITIGATED && !all.ssbs)
                  ? ARM_WORKAROUND_NOT_NEEDED
                  : ARM_WORKAROUND_ABSENT;
    regs[2] = el2_spectre_answer(all.bhb);
}

void arch_mitigations_init(void)
{
    struct mitigation_report m;

    spectre_report(&all, el2_spectre_wanted(), &m);
    mitigations_set(&m);
}

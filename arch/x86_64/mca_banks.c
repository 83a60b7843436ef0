/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mca_banks.c: the machine-check banks of each CPU: what the start finds in them, what comes while
 * Trivet runs, #MC. Intel SDM volume 3 sections 15.3 and 15.8, AMD APM volume 2 section 9.3.
 */
#include <arch/cpu.h>

#include <hv/assert.h>
#include <hv/event.h>
#include <hv/log.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <hv/time.h>
#include <stdio.h>
#include <string.h>

#include "mca.h"
#include "private.h"

#define MSR_MCG_CAP 0x179u
#define MSR_MCG_STATUS 0x17au
#define MSR_MCG_CTL 0x17bu
#define MSR_MC(bank, reg) (0x400u + 4 * (bank) + (reg))
enum { CTL, STATUS, ADDR, MISC };
#define CAP_BANKS 0xffu
#define CAP_CTL (1u << 8)
#define CAP_RECOVERS (1u << 24)
#define STATUS_VAL (1ull << 63)
#define STATUS_MISCV (1ull << 59)
#define STATUS_ADDRV (1ull << 58)
#define BANKS_MAX 32u
#define LOOK_EVERY 10000000000ull /* ns */

/* 0: there are none, or nobody may look. CPUs of one machine may differ: MCG_CAP is each one's. */
static uint8_t bank_count[MAX_CPUS];
static struct mc_facts facts;
static struct event looks[MAX_CPUS];

static unsigned own_banks(void) { return bank_count[this_cpu()->id]; }

static struct mc_bank read_bank(unsigned i)
{
    struct mc_bank b = { .status = rdmsr(MSR_MC(i, STATUS)) };

    if ((b.status & (STATUS_VAL | STATUS_ADDRV)) == (STATUS_VAL | STATUS_ADDRV))
        b.addr = rdmsr(MSR_MC(i, ADDR));
    if ((b.status & (STATUS_VAL | STATUS_MISCV)) == (STATUS_VAL | STATUS_MISCV))
        b.misc = rdmsr(MSR_MC(i, MISC));
    return b;
}

/* Says what this CPU's banks hold, and empties them. */
static void tell_banks(const char *when)
{
    char words[MC_WORDS];

    for (unsigned i = 0; i < own_banks(); i++) {
        struct mc_bank b = read_bank(i);

        if (mc_judge(&facts, &b) == MC_NOTHING)
            continue;
        mc_words(&facts, i, &b, words);
        log_warn("machine check, CPU %u%s: %s", this_cpu()->id, when, words);
        wrmsr(MSR_MC(i, STATUS), 0);
    }
}

static void find_banks(void)
{
    uint32_t d = cpuid(1, 0).d, all = 1u << 7 | 1u << 14; /* MCE, MCA */
    uint64_t cap = (d & all) == all ? rdmsr(MSR_MCG_CAP) : 0;

    bank_count[this_cpu()->id] = (uint8_t)min_u64(cap & CAP_BANKS, BANKS_MAX);
    if (this_cpu()->id)
        return;
    facts.amd = strcmp(x86_features.vendor, "GenuineIntel") != 0;
    facts.recovers = facts.amd
                         ? x86_features.max_ext >= 0x80000007 && (cpuid(0x80000007, 0).b >> 1 & 1)
                         : (cap & CAP_RECOVERS) != 0;
}

void mca_cpu_init(void)
{
    find_banks();
    if (!own_banks())
        return;
    tell_banks(", from before the start");
    if (rdmsr(MSR_MCG_CAP) & CAP_CTL)
        wrmsr(MSR_MCG_CTL, UINT64_MAX);
    for (unsigned i = 0; i < own_banks(); i++)
        wrmsr(MSR_MC(i, CTL), UINT64_MAX);
    wrmsr(MSR_MCG_STATUS, 0);
}

/* ---- corrected errors come without a word: the banks are looked at now and then ---- */

static void mca_look(struct event *ev)
{
    tell_banks("");
    event_at(ev, time_ns() + LOOK_EVERY);
}

void arch_errors_watch(void)
{
    assert_cpu0();
    for (uint32_t i = 0; i < cpu_count && bank_count[0]; i++) {
        event_init(&looks[i], mca_look, i);
        event_post(&looks[i]);
    }
}

/* ---- #MC ---- */

/* Of the worst bank, and what it says. */
static enum mc_verdict judge(bool in_guest, char words[MC_WORDS])
{
    struct mc_bank b[BANKS_MAX];
    enum mc_verdict worst = MC_NOTHING;

    snprintf(words, MC_WORDS, "no bank says why");
    for (unsigned i = 0; i < own_banks(); i++) {
        b[i] = read_bank(i);
        if (mc_judge(&facts, &b[i]) <= worst)
            continue;
        worst = mc_judge(&facts, &b[i]);
        mc_words(&facts, i, &b[i], words);
    }
    return mc_judge_all(&facts, b, own_banks(), rdmsr(MSR_MCG_STATUS), in_guest);
}

/*
 * It may have come between any two instructions, so nothing is locked or logged here: the banks
 * keep what they say until the CPU's next look. MCG_STATUS 0: another #MC may come.
 */
bool mca_survives(char *words)
{
    if (judge(false, words) >= MC_CONTAINED)
        return false;
    wrmsr(MSR_MCG_STATUS, 0);
    return true;
}

bool mca_in_guest(void)
{
    char words[MC_WORDS];
    enum mc_verdict v = judge(true, words);

    if (v == MC_FATAL)
        panic("#MC machine check while a guest ran: %s", words);
    wrmsr(MSR_MCG_STATUS, 0);
    tell_banks(", while a guest ran");
    return v != MC_CONTAINED;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mitigations.c: what arch decided about attacks by speculation, kept for the shell and told in the
 * log.
 */
#include <hv/assert.h>
#include <hv/lock.h>
#include <hv/log.h>
#include <hv/mitigations.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[MIT_COUNT] = {
    [MIT_GATHER_DATA_SAMPLING] = "gather_data_sampling",
    [MIT_INDIRECT_TARGET_SELECTION] = "indirect_target_selection",
    [MIT_ITLB_MULTIHIT] = "itlb_multihit",
    [MIT_L1TF] = "l1tf",
    [MIT_MDS] = "mds",
    [MIT_MELTDOWN] = "meltdown",
    [MIT_MMIO_STALE_DATA] = "mmio_stale_data",
    [MIT_REG_FILE_DATA_SAMPLING] = "reg_file_data_sampling",
    [MIT_RETBLEED] = "retbleed",
    [MIT_SPEC_RSTACK_OVERFLOW] = "spec_rstack_overflow",
    [MIT_SPEC_STORE_BYPASS] = "spec_store_bypass",
    [MIT_SPECTRE_V1] = "spectre_v1",
    [MIT_SPECTRE_V2] = "spectre_v2",
    [MIT_SRBDS] = "srbds",
    [MIT_TSA] = "tsa",
    [MIT_TSX_ASYNC_ABORT] = "tsx_async_abort",
    [MIT_VMSCAPE] = "vmscape",
};
static const char *const words[] = {
    [MIT_UNKNOWN] = "Unknown",
    [MIT_NOT_AFFECTED] = "Not affected",
    [MIT_MITIGATED] = "Mitigation",
    [MIT_VULNERABLE] = "Vulnerable",
};

static struct spinlock lock = SPINLOCK_INIT(LOCK_DRIVER);
static struct mitigation_report current;

const char *mitigation_name(enum mitigation_class c)
{
    hv_assert(c < MIT_COUNT);
    return names[c];
}

const struct mitigation_report *mitigations_get(void) { return &current; }

void mitigation_say(struct mitigation *m, enum mitigation_state state, const char *detail, ...)
{
    size_t n = strlen(words[state]);
    va_list args;

    hv_assert(m && state <= MIT_VULNERABLE);
    m->state = state;
    snprintf(m->text, sizeof m->text, "%s%s", words[state], detail && detail[0] ? ": " : "");
    n = strlen(m->text);
    if (!detail)
        return;
    va_start(args, detail);
    vsnprintf(m->text + n, sizeof m->text - n, detail, args);
    va_end(args);
}

static void log_not_affected(const struct mitigation_report *m)
{
    char line[MIT_COUNT * 28] = "";
    size_t n = 0;

    for (unsigned c = 0; c < MIT_COUNT; c++)
        if (m->class[c].state == MIT_NOT_AFFECTED)
            n += (size_t)snprintf(line + n, sizeof line - n, "%s%s", n ? ", " : "", names[c]);
    if (n)
        log_info("speculation: not affected by %.200s", line);
}

void mitigations_set(const struct mitigation_report *m)
{
    assert_cpu0();
    spin_lock(&lock);
    current = *m;
    spin_unlock(&lock);
    for (unsigned c = 0; c < MIT_COUNT; c++)
        if (m->class[c].state != MIT_NOT_AFFECTED)
            log_info("speculation: %s: %s", names[c], m->class[c].text);
    log_not_affected(m);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the host CPU needs against attacks by speculation and what is done, one line a class. The
 * classes and the words are those of Linux's files under /sys/devices/system/cpu/vulnerabilities
 * (Documentation/admin-guide/hw-vuln), so that tools can compare them.
 */
#pragma once
#include <hv/types.h>

/* In the order of those files' names. */
enum mitigation_class {
    MIT_GATHER_DATA_SAMPLING,
    MIT_INDIRECT_TARGET_SELECTION,
    MIT_ITLB_MULTIHIT,
    MIT_L1TF,
    MIT_MDS,
    MIT_MELTDOWN,
    MIT_MMIO_STALE_DATA,
    MIT_REG_FILE_DATA_SAMPLING,
    MIT_RETBLEED,
    MIT_SPEC_RSTACK_OVERFLOW,
    MIT_SPEC_STORE_BYPASS,
    MIT_SPECTRE_V1,
    MIT_SPECTRE_V2,
    MIT_SRBDS,
    MIT_TSA,
    MIT_TSX_ASYNC_ABORT,
    MIT_VMSCAPE,
    MIT_COUNT
};
enum mitigation_state { MIT_UNKNOWN, MIT_NOT_AFFECTED, MIT_MITIGATED, MIT_VULNERABLE };

/* text: the whole line, "Not affected", "Mitigation: ...", "Vulnerable...", "Unknown...". */
struct mitigation {
    enum mitigation_state state;
    char text[160];
};
struct mitigation_report {
    struct mitigation class[MIT_COUNT];
    /* the CPU needs it: siblings of a core run vCPUs of one guest only */
    bool core;
};

/*
 * From arch: what was decided; it is copied and logged, one line a class, those that do not affect
 * this CPU in one line. At boot, and again when a CPU comes up that needs something else. Any CPU,
 * interrupts off; not from an exit.
 */
void mitigations_set(const struct mitigation_report *);
/*
 * What was last set; all "Unknown" before. Any CPU. The pointer stays valid, and its contents
 * change only in mitigations_set().
 */
const struct mitigation_report *mitigations_get(void);
/* "spectre_v2" and so on. class < MIT_COUNT. */
const char *mitigation_name(enum mitigation_class);
/*
 * Fills *m: state, and a text of state's word, ": " and the detail, or the word alone where there
 * is no detail.
 */
void mitigation_say(struct mitigation *m, enum mitigation_state, const char *detail, ...)
    printf_like(3, 4);

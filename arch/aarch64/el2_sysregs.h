/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_sysregs.h: system registers whose access by a guest is caught, and what is done about each:
 * one table, with the manual's names. No host instruction.
 */
#pragma once
#include <hv/types.h>

enum trap_act {
    TRAP_FORWARD, /* the guest's machine has it: hv/guest/aarch64 */
    TRAP_ID,      /* el2_id.c */
    TRAP_RAZ_WI,  /* reads as zero, writes are ignored */
    TRAP_RAZ,     /* so too, but a write is undefined */
    TRAP_UNDEF,
    TRAP_OSLSR,   /* the OS lock is implemented and open */
    TRAP_SET_WAY, /* cache maintenance by set and way */
    TRAP_VM,      /* stage 1's registers, caught while the guest's MMU is off */
    TRAP_DEBUG,   /* breakpoints and watchpoints: given when first touched */
    TRAP_ACTS
};
/* MRS encodings */
struct sysreg_trap {
    uint32_t first, last;
    const char *name;
    enum trap_act act;
};
extern const struct sysreg_trap sysreg_traps[];
extern const unsigned sysreg_trap_count;
/* What is not in the table is forwarded. */
enum trap_act sysreg_trap_act(uint32_t id);

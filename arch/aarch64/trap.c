/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap.c: where every exception at EL2 itself arrives. One in the hypervisor is a bug: it ends in
 * panic(). Arm ARM D19.2.40 (ESR_EL2).
 */
#include <arch/common.h>
#include <arch/cpu.h>

#include <hv/panic.h>
#include <stdio.h>

#include "private.h"

/* entry.S: a probe of memory protection is under way. */
extern uint64_t arm_probe_sp;
extern const uint8_t arm_probe_fault[];

#define ESR_EC(esr) ((unsigned)((esr) >> 26) & 63)
#define EC_BTI 0x0du
#define EC_IABT 0x21u
#define EC_DABT 0x25u
#define EC_BRK 0x3cu
#define BRK_GCC 1000u     /* the immediate of the traps that compilers make */
#define BRK_CLANG 0x5500u /* + the number of the check */
#define SPSR_BTYPE (3ull << 10)

static const char *const classes[64] = {
    [0x00] = "unknown reason",
    [0x07] = "FP or SIMD instruction",
    [0x09] = "pointer authentication trap",
    [0x0d] = "branch target",
    [0x0e] = "illegal execution state",
    [0x16] = "HVC",
    [0x17] = "SMC",
    [0x18] = "system register",
    [0x19] = "SVE instruction",
    [0x1c] = "pointer authentication",
    [0x20] = "instruction abort from below",
    [0x21] = "instruction abort",
    [0x22] = "PC alignment",
    [0x24] = "data abort from below",
    [0x25] = "data abort",
    [0x26] = "SP alignment",
    [0x2c] = "floating-point exception",
    [0x2f] = "SError",
    [0x31] = "breakpoint",
    [0x33] = "software step",
    [0x35] = "watchpoint",
    [0x3c] = "BRK",
};

/* The fault status code of an abort, by its upper bits; the level is in the lower two. */
static const char *const faults[16] = {
    [0] = "address size",  [1] = "translation",       [2] = "access flag",
    [3] = "permission",    [4] = "external abort",    [5] = "external abort on a table",
    [6] = "parity",        [7] = "parity in a table", [8] = "alignment",
    [12] = "TLB conflict",
};

static const char *trap_why(const struct arm_frame *f, uint32_t kind, const char **detail)
{
    static const char *const kinds[] = { "", "interrupt, though they are masked",
                                         "fast interrupt, though they are masked", "SError" };
    unsigned ec = ESR_EC(f->esr);

    *detail = "";
    if (kind != VECTOR_SYNC)
        return kinds[kind & 3];
    if ((ec == EC_IABT || ec == EC_DABT) && faults[f->esr >> 2 & 15])
        *detail = faults[f->esr >> 2 & 15];
    return classes[ec] ? classes[ec] : "reserved exception class";
}

static bool is_check(const struct arm_frame *f, uint32_t vector, unsigned *kind)
{
    unsigned imm = f->esr & 0xffff;

    *kind = imm == BRK_GCC ? CHECK_GCC : imm - BRK_CLANG;
    return vector == VECTOR_SYNC && ESR_EC(f->esr) == EC_BRK &&
           (imm == BRK_GCC || *kind < CHECK_KINDS);
}

static _Noreturn void fatal(const struct arm_frame *f, uint32_t kind)
{
    /* one CPU at most gets past panic_at()'s door; the others' text does not matter */
    static char text[1100];
    static const char *const reg[] = {
        "sp ", "pc ", "psr", "esr", "far", "sct", "hcr", "ttb", "tcr"
    };
    unsigned long long const r[] = { f->sp,
                                     f->elr,
                                     f->spsr,
                                     f->esr,
                                     f->far,
                                     read_sysreg(sctlr_el2),
                                     read_sysreg(hcr_el2),
                                     read_sysreg(ttbr0_el2),
                                     read_sysreg(tcr_el2) };
    const char *detail, *what = trap_why(f, kind, &detail);
    size_t n = 0;

    static_assert((31 + ARRAY_SIZE(r)) * 21 + 1 < sizeof text && ARRAY_SIZE(r) == ARRAY_SIZE(reg),
                  "register dump");
    for (unsigned i = 0; i < 31; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "x%-2u %016llx%c", i,
                              (unsigned long long)f->x[i], i % 4 == 3 ? '\n' : ' ');
    for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s %016llx%c", reg[i], r[i],
                              (i + 31) % 4 == 3 ? '\n' : ' ');
    unsigned check;
    if (is_check(f, kind, &check))
        check_failed(check, f->elr, f->x[29], text);
    panic_at(f->elr, f->x[29], text, "%s%s%s, syndrome %llx, at %016llx, address %016llx%s", what,
             *detail ? ": " : "", detail, (unsigned long long)f->esr, (unsigned long long)f->elr,
             (unsigned long long)f->far,
             kind == VECTOR_SYNC && ESR_EC(f->esr) == EC_DABT ? mmu_explain(f->far) : "");
}

void arm_trap(struct arm_frame *f, uint32_t kind)
{
    unsigned ec = ESR_EC(f->esr);

    if (kind == VECTOR_SYNC && arm_probe_sp && (ec == EC_IABT || ec == EC_DABT || ec == EC_BTI)) {
        f->elr = (uint64_t)arm_probe_fault;
        f->spsr &= ~SPSR_BTYPE;
    } else if (kind != VECTOR_SERROR || !el2_host_serror(f)) {
        fatal(f, kind);
    }
}

/* What cannot be corrected comes as an SError; the rest is in no banks that all CPUs have. */
void arch_errors_watch(void) {}

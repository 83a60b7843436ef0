/* SPDX-License-Identifier: BSD-2-Clause */
/* insn.h: single instructions of the ARM64 host. "Arm ARM" is DDI 0487. */
#pragma once
#include <hv/types.h>

#include "sysreg.h"

/*
 * read_sysreg(NAME), write_sysreg(NAME, value): NAME as the assembler knows it for ARMv8.0, or one
 * of sysreg.h's, which stand for an encoding. An MSR that changes what later instructions mean
 * needs an isb() after it (Arm ARM D19.1.2).
 */
#define SYSREG_TEXT_(name) #name
#define SYSREG_TEXT(name) SYSREG_TEXT_(name)
#define read_sysreg(name)                                                                  \
    ({                                                                                     \
        uint64_t sysreg_value_;                                                            \
        __asm__ volatile("mrs %0, " SYSREG_TEXT(name) : "=r"(sysreg_value_) : : "memory"); \
        sysreg_value_;                                                                     \
    })
#define write_sysreg(name, value) \
    __asm__ volatile("msr " SYSREG_TEXT(name) ", %x0" : : "rZ"((uint64_t)(value)) : "memory")

static inline void isb(void) { __asm__ volatile("isb" : : : "memory"); }
static inline void dsb_sy(void) { __asm__ volatile("dsb sy" : : : "memory"); }
static inline void dsb_ish(void) { __asm__ volatile("dsb ish" : : : "memory"); }
static inline void dsb_ishst(void) { __asm__ volatile("dsb ishst" : : : "memory"); }
static inline void dsb_nsh(void) { __asm__ volatile("dsb nsh" : : : "memory"); }
static inline void wfi(void) { __asm__ volatile("wfi" : : : "memory"); }

/* The bits of a field of an ID register (Arm ARM D19.2): 4 wide, unsigned. */
static inline unsigned id_field(uint64_t reg, unsigned shift)
{
    return (unsigned)(reg >> shift) & 15;
}

/*
 * Data cache to the point of coherency: what a CPU or device reads that does not look into our
 * caches (Arm ARM D7.5).
 */
static inline void cache_clean(const void *from, uint64_t len)
{
    uint64_t line = 4ull << (read_sysreg(ctr_el0) >> 16 & 15), a = align_down((uint64_t)from, line);

    for (; a < (uint64_t)from + len; a += line)
        __asm__ volatile("dc cvac, %0" : : "r"(a) : "memory");
    dsb_sy();
}

/*
 * A call to the firmware by the SMC calling convention 1.2 (DEN 0028 section 2): x0 to x3 in and
 * out, x4 to x17 may be lost.
 */
struct smccc {
    uint64_t x[4];
};

#define SMCCC_LOST                                                                              \
    "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", \
        "memory"

static inline void smccc_smc(struct smccc *c)
{
    register uint64_t x0 __asm__("x0") = c->x[0], x1 __asm__("x1") = c->x[1];
    register uint64_t x2 __asm__("x2") = c->x[2], x3 __asm__("x3") = c->x[3];

    __asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : SMCCC_LOST);
    *c = (struct smccc){ { x0, x1, x2, x3 } };
}

static inline void smccc_hvc(struct smccc *c)
{
    register uint64_t x0 __asm__("x0") = c->x[0], x1 __asm__("x1") = c->x[1];
    register uint64_t x2 __asm__("x2") = c->x[2], x3 __asm__("x3") = c->x[3];

    __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : SMCCC_LOST);
    *c = (struct smccc){ { x0, x1, x2, x3 } };
}

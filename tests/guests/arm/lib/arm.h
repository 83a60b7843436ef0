/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions and constants the ARM64 guests use, named as the Arm ARM (DDI 0487) names them.
 */
#ifndef GUEST_ARM_H
#define GUEST_ARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STRING_(x) #x
#define read_reg(name)                                                      \
    ({                                                                      \
        uint64_t v_;                                                        \
        __asm__ volatile("mrs %0, " STRING_(name) : "=r"(v_) : : "memory"); \
        v_;                                                                 \
    })
#define write_reg(name, val) \
    __asm__ volatile("msr " STRING_(name) ", %0; isb" : : "r"((uint64_t)(val)) : "memory")

/* CPU interface of GICv3, by encoding: assemblers of any age know these */
#define ICC_IAR1 S3_0_C12_C12_0
#define ICC_EOIR1 S3_0_C12_C12_1
#define ICC_HPPIR1 S3_0_C12_C12_2
#define ICC_BPR1 S3_0_C12_C12_3
#define ICC_CTLR S3_0_C12_C12_4
#define ICC_SRE S3_0_C12_C12_5
#define ICC_IGRPEN1 S3_0_C12_C12_7
#define ICC_IGRPEN0 S3_0_C12_C12_6
#define ICC_PMR S3_0_C4_C6_0
#define ICC_DIR S3_0_C12_C11_1
#define ICC_RPR S3_0_C12_C11_3
#define ICC_SGI1R S3_0_C12_C11_5
#define ICC_ASGI1R S3_0_C12_C11_6
#define ICC_SGI0R S3_0_C12_C11_7
#define ICC_AP1R0 S3_0_C12_C9_0

/* ESR_EL1.EC (D17.2.37) */
enum {
    EC_UNKNOWN = 0x00,
    EC_WFX = 0x01,
    EC_FP = 0x07,
    EC_SVC = 0x15,
    EC_SYSREG = 0x18,
    EC_SVE = 0x19,
    EC_IABT_EL0 = 0x20,
    EC_IABT = 0x21,
    EC_PC_ALIGN = 0x22,
    EC_DABT_EL0 = 0x24,
    EC_DABT = 0x25,
    EC_SP_ALIGN = 0x26,
    EC_SERROR = 0x2f,
    EC_BREAKPOINT = 0x31,
    EC_STEP = 0x33,
    EC_WATCHPOINT = 0x35,
    EC_BRK = 0x3c,
    EC_NONE = 0x40
};

static inline void cpu_pause(void) { __asm__ volatile("yield" : : : "memory"); }
static inline void irqs_on(void) { __asm__ volatile("msr daifclr, #2; isb" : : : "memory"); }
static inline void irqs_off(void) { __asm__ volatile("msr daifset, #2; isb" : : : "memory"); }
static inline void wfi(void) { __asm__ volatile("dsb sy; wfi" : : : "memory"); }
/*
 * Waits for an interrupt that is taken right after; leaves interrupts off. A pending one ends WFI
 * also while it is masked.
 */
static inline void wait_irq(void)
{
    __asm__ volatile("dsb sy; wfi; msr daifclr, #2; isb; msr daifset, #2" : : : "memory");
}
static inline void dsb(void) { __asm__ volatile("dsb sy" : : : "memory"); }
static inline void isb(void) { __asm__ volatile("isb" : : : "memory"); }

static inline uint64_t ticks(void)
{
    isb();
    return read_reg(cntvct_el0);
}

/* One load or store instruction of exactly the size, with a valid syndrome: what a device sees. */
#define MMIO_(bits, reg, insn)                                                                   \
    static inline uint##bits##_t mmio_r##bits(uint64_t a)                                        \
    {                                                                                            \
        uint64_t v;                                                                              \
        __asm__ volatile("ldr" insn " %" reg "0, [%1]" : "=r"(v) : "r"(a) : "memory");           \
        return (uint##bits##_t)v;                                                                \
    }                                                                                            \
    static inline void mmio_w##bits(uint64_t a, uint##bits##_t v)                                \
    {                                                                                            \
        __asm__ volatile("str" insn " %" reg "0, [%1]" : : "r"((uint64_t)v), "r"(a) : "memory"); \
    }
MMIO_(8, "w", "b")
MMIO_(16, "w", "h")
MMIO_(32, "w", "")
MMIO_(64, "x", "")

static inline uint64_t muldiv(uint64_t a, uint64_t b, uint64_t c)
{
    unsigned __int128 p = (unsigned __int128)a * b;
    uint64_t hi = (uint64_t)(p >> 64), lo = (uint64_t)p, q = 0;
    for (unsigned i = 0; i < 64; i++) { /* long division: libgcc is not linked */
        uint64_t top = hi >> 63;
        hi = hi << 1 | lo >> 63;
        lo <<= 1;
        q <<= 1;
        if (top || hi >= c) {
            hi -= c;
            q |= 1;
        }
    }
    return q;
}

#endif

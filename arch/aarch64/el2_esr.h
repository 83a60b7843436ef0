/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_esr.h: what ESR_EL2 and its companions say about a guest's exit. Arm ARM (DDI 0487) D19.2.37
 * ESR_EL2, D19.2.64 HPFAR_EL2. No host instruction: the tests run it as an ordinary program.
 */
#pragma once
#include <hv/exit.h>
#include <hv/pt.h>
#include <hv/types.h>

enum esr_ec {
    EC_UNKNOWN = 0x00,
    EC_WFX = 0x01,
    EC_FP = 0x07,
    EC_HVC64 = 0x16,
    EC_SMC64 = 0x17,
    EC_SYSREG = 0x18,
    EC_SVE = 0x19,
    EC_IABT_LOW = 0x20,
    EC_IABT_SAME = 0x21,
    EC_DABT_LOW = 0x24,
    EC_DABT_SAME = 0x25,
    EC_SERROR = 0x2f,
    EC_COUNT = 0x40,
};
#define ESR_EC(esr) ((unsigned)((esr) >> 26) & 0x3f)
#define ESR_IL (1ull << 25) /* the instruction was 4 bytes long */
#define ESR_ISS 0x1ffffffull
#define ESR_WFX_TI(esr) ((unsigned)(esr)&3) /* 0 WFI, 1 WFE, 2 WFIT, 3 WFET */
#define ESR_ABT_S1PTW (1ull << 7)           /* the fault was met while stage 1 was walked */
#define ESR_ABT_WNR (1ull << 6)
#define ESR_ABT_CM (1ull << 8) /* cache maintenance or address translation instruction */
#define FSC_EXTERNAL 0x10u

/* What an abort is, and hence what is to be done. */
enum esr_abort {
    /*
     * nothing is mapped at the IPA, or at that of stage 1's tables (ESR_ABT_S1PTW): the exit is
     * filled in
     */
    ABORT_MEM,
    /*
     * so too, but a permission fault, for which HPFAR_EL2 is not valid: the IPA is to be found by
     * AT
     */
    ABORT_MEM_NO_IPA,
    ABORT_EXTERNAL, /* the memory system answered with an error */
    ABORT_CONFLICT, /* two TLB entries match */
    ABORT_OTHER,    /* alignment, atomics to a device ...: the guest's own matter */
};
/*
 * A load or store to a device: nearly all of them are translation faults of a data abort with the
 * access in the syndrome (ISV). Inline, for it is on the path of every such exit; esr_abort() takes
 * these too.
 */
#define ESR_ABT_ISV (1ull << 24)
#define ESR_ABT_SSE (1ull << 21)
#define ESR_ABT_SF (1ull << 15)
#define ESR_REG_ZR 31u

static inline bool esr_is_plain(uint64_t esr)
{
    const uint64_t mask = 0x3full << 26 | ESR_ABT_ISV | ESR_ABT_S1PTW | 0x3c;

    return (esr & mask) == ((uint64_t)EC_DABT_LOW << 26 | ESR_ABT_ISV | 0x04);
}

/*
 * The syndrome holds the whole access when ISV is set: loads and stores of one register without
 * write-back.
 */
static inline void esr_decode(uint64_t esr, const uint64_t *gpr, struct vcpu_exit *e)
{
    unsigned reg = (unsigned)(esr >> 16) & 31, shift = (unsigned)(esr >> 22) & 3;
    bool write = (esr & ESR_ABT_WNR) != 0;

    e->mem.prot = write ? PROT_W : PROT_R;
    e->mem.decoded = true;
    e->mem.sext = (esr & ESR_ABT_SSE) != 0;
    e->mem.wide = (esr & ESR_ABT_SF) != 0;
    e->mem.reg = (uint8_t)reg;
    e->mem.io.size = (uint8_t)(1u << shift);
    e->mem.io.write = write;
    e->mem.io.val =
        write && reg != ESR_REG_ZR ? gpr[reg] & (UINT64_MAX >> (64 - (8u << shift))) : 0;
}

/* FIPA, bits 43:4 of HPFAR_EL2, are the page's number. */
static inline uint64_t esr_page(uint64_t hpfar) { return (hpfar & 0xffffffffff0ull) << 8; }

/* e->syndrome is set already. */
static inline void esr_plain(uint64_t esr, uint64_t far, uint64_t hpfar, const uint64_t *gpr,
                             struct vcpu_exit *e)
{
    e->reason = EXIT_MEM;
    e->insn_len = (uint8_t)((esr >> 24 & 2) + 2); /* ESR_IL */
    e->insn_bytes_len = 0;
    e->mem.gva = far;
    e->mem.gpa.v = e->mem.io.addr = esr_page(hpfar) | (far & (PAGE_SIZE - 1));
    esr_decode(esr, gpr, e);
}

/* Exits by EC 0x20 and 0x24. gpr: X0 to X30. Fills in e->mem as far as the result says. */
enum esr_abort esr_abort(uint64_t esr, uint64_t far, uint64_t hpfar, const uint64_t *gpr,
                         struct vcpu_exit *e);
/* For ABORT_MEM_NO_IPA, when the page has been found. */
void esr_set_page(struct vcpu_exit *e, uint64_t page);
/*
 * EC 0x18: fills in e->sysreg. The syndrome has op0 21:20, op2 19:17, op1 16:14, CRn 13:10, Rt 9:5,
 * CRm 4:1, read 0; an MRS encoding is op0 15:14, op1 13:11, CRn 10:7, CRm 6:3, op2 2:0. Inline: an
 * interrupt to another CPU begins here.
 */
static inline void esr_sysreg(uint64_t esr, const uint64_t *gpr, struct vcpu_exit *e)
{
    uint32_t iss = (uint32_t)(esr & ESR_ISS), reg = iss >> 5 & 31;

    e->reason = EXIT_SYSREG;
    e->syndrome = esr;
    e->insn_len = 4;
    e->insn_bytes_len = 0;
    e->sysreg.id = (iss >> 6 & 0xc000) | (iss >> 3 & 0x3f80) | (iss << 2 & 0x78) | (iss >> 17 & 7);
    e->sysreg.reg = (uint8_t)reg;
    e->sysreg.write = !(iss & 1);
    e->sysreg.cr = false;
    e->sysreg.val = iss & 1 || reg == ESR_REG_ZR ? 0 : gpr[reg];
}

/*
 * ESR_EL1 for an abort of the guest that EL1 shall see as fault status code fsc; from_el0: where it
 * was, by SPSR_EL2.
 */
uint64_t esr_for_el1(uint64_t esr, bool from_el0, unsigned fsc);

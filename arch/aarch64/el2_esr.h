/*
 * el2_esr.h: what ESR_EL2 and its companions say about a guest's exit. Arm ARM (DDI 0487) D19.2.37 ESR_EL2, D19.2.64 HPFAR_EL2.
 * No host instruction: the tests run it as an ordinary program.
 */
#pragma once
#include <hv/exit.h>
#include <hv/types.h>

enum esr_ec {
    EC_UNKNOWN = 0x00, EC_WFX = 0x01, EC_FP = 0x07, EC_HVC64 = 0x16, EC_SMC64 = 0x17, EC_SYSREG = 0x18, EC_SVE = 0x19,
    EC_IABT_LOW = 0x20, EC_IABT_SAME = 0x21, EC_DABT_LOW = 0x24, EC_DABT_SAME = 0x25, EC_SERROR = 0x2f, EC_COUNT = 0x40,
};
#define ESR_EC(esr)     ((unsigned)((esr) >> 26) & 0x3f)
#define ESR_IL          (1ull << 25)    /* the instruction was 4 bytes long */
#define ESR_ISS         0x1ffffffull
#define ESR_WFX_TI(esr) ((unsigned)(esr) & 3)   /* 0 WFI, 1 WFE, 2 WFIT, 3 WFET */
#define ESR_ABT_S1PTW   (1ull << 7)     /* the fault was met while stage 1 was walked */
#define ESR_ABT_WNR     (1ull << 6)
#define ESR_ABT_CM      (1ull << 8)     /* cache maintenance or address translation instruction */
#define FSC_EXTERNAL    0x10u

/* What an abort is, and hence what is to be done. */
enum esr_abort {
    ABORT_MEM,        /* nothing is mapped at the IPA, or at that of stage 1's tables (ESR_ABT_S1PTW): the exit is filled in */
    ABORT_MEM_NO_IPA, /* so too, but a permission fault, for which HPFAR_EL2 is not valid: the IPA is to be found by AT */
    ABORT_EXTERNAL,   /* the memory system answered with an error */
    ABORT_CONFLICT,   /* two TLB entries match */
    ABORT_OTHER,      /* alignment, atomics to a device ...: the guest's own matter */
};
/* Exits by EC 0x20 and 0x24. gpr: X0 to X30. Fills in e->mem as far as the result says. */
enum esr_abort esr_abort(uint64_t esr, uint64_t far, uint64_t hpfar, const uint64_t *gpr, struct vcpu_exit *e);
/* For ABORT_MEM_NO_IPA, when the page has been found. */
void esr_set_page(struct vcpu_exit *e, uint64_t page);
/* EC 0x18: fills in e->sysreg. */
void esr_sysreg(uint64_t esr, const uint64_t *gpr, struct vcpu_exit *e);
/* ESR_EL1 for an abort of the guest that EL1 shall see as fault status code fsc; from_el0: where it was, by SPSR_EL2. */
uint64_t esr_for_el1(uint64_t esr, bool from_el0, unsigned fsc);

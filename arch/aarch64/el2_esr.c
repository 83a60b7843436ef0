/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * el2_esr.c: ESR_EL2 in words. Arm ARM D19.2.37, "ISS encoding for an exception from a Data Abort"
 * and its neighbours.
 */
#include "el2_esr.h"

enum fault { OTHER, ADDRESS_SIZE, TRANSLATION, ACCESS_FLAG, PERMISSION, EXTERNAL, CONFLICT };

/* By fault status code, the same for data and instructions. */
static const uint8_t faults[64] = {
    [0x00] = ADDRESS_SIZE, [0x01] = ADDRESS_SIZE, [0x02] = ADDRESS_SIZE, [0x03] = ADDRESS_SIZE,
    [0x29] = ADDRESS_SIZE, [0x04] = TRANSLATION,  [0x05] = TRANSLATION,  [0x06] = TRANSLATION,
    [0x07] = TRANSLATION,  [0x2b] = TRANSLATION,  [0x08] = ACCESS_FLAG,  [0x09] = ACCESS_FLAG,
    [0x0a] = ACCESS_FLAG,  [0x0b] = ACCESS_FLAG,  [0x0c] = PERMISSION,   [0x0d] = PERMISSION,
    [0x0e] = PERMISSION,   [0x0f] = PERMISSION,   [0x10] = EXTERNAL,     [0x13] = EXTERNAL,
    [0x14] = EXTERNAL,     [0x15] = EXTERNAL,     [0x16] = EXTERNAL,     [0x17] = EXTERNAL,
    [0x18] = EXTERNAL,     [0x1b] = EXTERNAL,     [0x1c] = EXTERNAL,     [0x1d] = EXTERNAL,
    [0x1e] = EXTERNAL,     [0x1f] = EXTERNAL,     [0x30] = CONFLICT,
};

static void fill_mem(uint64_t esr, uint64_t far, const uint64_t *gpr, struct vcpu_exit *e)
{
    bool data = ESR_EC(esr) == EC_DABT_LOW, walk = (esr & ESR_ABT_S1PTW) != 0;

    e->reason = EXIT_MEM;
    e->mem.prot = data && (esr & ESR_ABT_WNR) ? PROT_W : data || walk ? PROT_R : PROT_X;
    e->mem.decoded = false;
    e->mem.gva = far;
    if (data && !walk && (esr & ESR_ABT_ISV))
        esr_decode(esr, gpr, e);
}

void esr_set_page(struct vcpu_exit *e, uint64_t page)
{
    e->mem.gpa = gpa(align_down(page, PAGE_SIZE) | (e->mem.gva & (PAGE_SIZE - 1)));
    e->mem.io.addr = e->mem.gpa.v;
}

enum esr_abort esr_abort(uint64_t esr, uint64_t far, uint64_t hpfar, const uint64_t *gpr,
                         struct vcpu_exit *e)
{
    uint64_t page = esr_page(hpfar);
    bool walk = (esr & ESR_ABT_S1PTW) != 0;

    e->syndrome = esr;
    e->insn_len = esr & ESR_IL ? 4 : 2;
    e->insn_bytes_len = 0;
    switch (faults[esr & 63]) {
    case EXTERNAL: return ABORT_EXTERNAL;
    case CONFLICT: return ABORT_CONFLICT;
    case OTHER: return ABORT_OTHER;
    default: break;
    }
    fill_mem(esr, far, gpr, e);
    esr_set_page(e, page);
    if (walk) {
        /* FAR has the address that was to be translated */
        e->mem.gpa = gpa(page);
        return ABORT_MEM;
    }
    return faults[esr & 63] == PERMISSION ? ABORT_MEM_NO_IPA : ABORT_MEM;
}

uint64_t esr_for_el1(uint64_t esr, bool from_el0, unsigned fsc)
{
    unsigned low = ESR_EC(esr) == EC_IABT_LOW ? EC_IABT_LOW : EC_DABT_LOW,
             ec = from_el0 ? low : low + 1;
    uint64_t keep = low == EC_DABT_LOW ? ESR_ABT_WNR | ESR_ABT_CM : 0;

    return (uint64_t)ec << 26 | (esr & (ESR_IL | keep)) | fsc;
}

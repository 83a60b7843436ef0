/* vmx_leaks.h: what is done against speculation that crosses VM entries and exits. Intel SDM volume 4, IA32_ARCH_CAPABILITIES; volume 3 section 28.3.4. */
#pragma once
#include <hv/types.h>

/* CPUID 7.EDX, 7.EBX and 7.2.EDX, and IA32_ARCH_CAPABILITIES (0: there is none). */
struct leak_facts { uint32_t leaf7_edx, leaf7_ebx, leaf7_2_edx; uint64_t arch_caps; };

struct vmx_leaks {
    bool fill_rsb;                 /* exits: the guest's return predictions are not followed */
    bool ibrs_switch;              /* SPEC_CTRL is written at each entry and exit; else once, when the CPU is enabled */
    bool flush_l1d;                /* entries: L1TF */
    bool verw;                     /* entries: buffers of loads and stores (MDS, TAA, MMIO stale data) */
    bool at_entry;                 /* any of the last three */
    bool l1d_open, buffers_open, steer_open;   /* affected, and nothing there to help: the microcode is old */
    uint64_t spec_ctrl;            /* the host's value; 0: not used */
};

/* Pure: what a CPU with these properties needs. */
struct vmx_leaks vmx_leaks_decide(struct leak_facts);

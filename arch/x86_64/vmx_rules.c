/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmx_rules.c: what the VMX backend decides by itself: pending single steps, errata of the
 * preemption timer, instructions that guests do not have.
 */
#include "vmx_rules.h"
#include "vmcs.h"

#define RFLAGS_TF (1ull << 8)
#define DEBUGCTL_BTF (1ull << 1)
#define PENDING_BS (1ull << 14)

uint64_t vmx_pending_debug(uint64_t pending, uint64_t interruptibility, uint64_t rflags,
                           uint64_t debugctl)
{
    if (!(interruptibility & (BLOCK_STI | BLOCK_MOV_SS)))
        return pending;
    return (rflags & RFLAGS_TF) && !(debugctl & DEBUGCTL_BTF) ? pending | PENDING_BS
                                                              : pending & ~PENDING_BS;
}

bool vmx_timer_is_wrong(uint32_t signature)
{
    static const struct {
        uint32_t signature;
        const char *where; /* Intel's document and the erratum's number in it */
    } wrong[] = {
        { 0x106a0, "320767 AAP86" },
        { 0x106a1, "321333 AAM126" },
        { 0x106a4, "321333 AAM126, 320836 AAJ124" },
        { 0x106a5, "321333 AAM126, 321324 AAK139, 320836 AAJ124" },
        { 0x106e5, "322373 AAO95, 322166 AAN92" },
        { 0x20652, "323056 AAX65, 322814 AAT59, 322911 AAU65" },
        { 0x20655, "322911 AAU65" },
        { 0x206e6, "323344 BA86" },
        { 0x306a8, "seen on Xeons E3-1220 v2" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
        if (wrong[i].signature == signature)
            return true;
    return false;
}

/* VMX, SMX, MONITOR, TDX and RSM outside SMM: a guest's CPUID has none of them. */
bool vmx_is_unknown_insn(uint32_t reason)
{
    static const uint8_t unknown[] = {
        REASON_GETSEC,  REASON_RSM,      REASON_VMCLEAR,  REASON_VMLAUNCH, REASON_VMPTRLD,
        REASON_VMPTRST, REASON_VMREAD,   REASON_VMRESUME, REASON_VMWRITE,  REASON_VMXOFF,
        REASON_VMXON,   REASON_MWAIT,    REASON_MONITOR,  REASON_INVEPT,   REASON_INVVPID,
        REASON_VMFUNC,  REASON_SEAMCALL, REASON_TDCALL,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++)
        if (unknown[i] == reason)
            return true;
    return false;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmcs.h: the fields of the virtual-machine control structure and what goes into them. Intel SDM
 * volume 3 appendix B for the encodings, chapter 24 for the meaning, appendix A for the capability
 * MSRs, appendix C for the exit reasons. Names are the manual's.
 */
#pragma once
#include <hv/types.h>

enum vmcs_field {
    /* 16 bits, B.1 */
    VPID = 0x0000,
    POSTED_VECTOR = 0x0002,
    GUEST_ES_SEL = 0x0800,
    GUEST_LDTR_SEL = 0x080c,
    GUEST_TR_SEL = 0x080e,
    GUEST_INTR_STATUS = 0x0810,
    HOST_ES_SEL = 0x0c00,
    HOST_CS_SEL = 0x0c02,
    HOST_SS_SEL = 0x0c04,
    HOST_DS_SEL = 0x0c06,
    HOST_FS_SEL = 0x0c08,
    HOST_GS_SEL = 0x0c0a,
    HOST_TR_SEL = 0x0c0c,
    /* 64 bits, B.2 */
    MSR_BITMAP = 0x2004,
    VMCS_TSC_OFFSET = 0x2010,
    VIRTUAL_APIC = 0x2012,
    APIC_ACCESS = 0x2014,
    POSTED_DESC = 0x2016,
    EPT_POINTER = 0x201a,
    EOI_EXIT0 = 0x201c,
    GUEST_PHYSICAL_ADDRESS = 0x2400,
    VMCS_LINK_POINTER = 0x2800,
    GUEST_DEBUGCTL = 0x2802,
    GUEST_PAT = 0x2804,
    GUEST_EFER = 0x2806,
    GUEST_PDPTE0 = 0x280a,
    HOST_PAT = 0x2c00,
    HOST_EFER = 0x2c02,
    /* 32 bits, B.3 */
    PIN_CONTROLS = 0x4000,
    PRIMARY_CONTROLS = 0x4002,
    EXCEPTION_BITMAP = 0x4004,
    PF_ERROR_MASK = 0x4006,
    PF_ERROR_MATCH = 0x4008,
    CR3_TARGET_COUNT = 0x400a,
    EXIT_CONTROLS = 0x400c,
    EXIT_MSR_STORE_COUNT = 0x400e,
    EXIT_MSR_LOAD_COUNT = 0x4010,
    ENTRY_CONTROLS = 0x4012,
    ENTRY_MSR_LOAD_COUNT = 0x4014,
    ENTRY_INTR_INFO = 0x4016,
    ENTRY_ERROR_CODE = 0x4018,
    ENTRY_INSN_LEN = 0x401a,
    TPR_THRESHOLD = 0x401c,
    SECONDARY_CONTROLS = 0x401e,
    PLE_GAP = 0x4020,
    PLE_WINDOW = 0x4022,
    INSN_ERROR = 0x4400,
    EXIT_REASON = 0x4402,
    EXIT_INTR_INFO = 0x4404,
    EXIT_INTR_ERROR = 0x4406,
    IDT_VECTORING_INFO = 0x4408,
    IDT_VECTORING_ERROR = 0x440a,
    EXIT_INSN_LEN = 0x440c,
    EXIT_INSN_INFO = 0x440e,
    GUEST_ES_LIMIT = 0x4800,
    GUEST_LDTR_LIMIT = 0x480c,
    GUEST_TR_LIMIT = 0x480e,
    GUEST_GDTR_LIMIT = 0x4810,
    GUEST_IDTR_LIMIT = 0x4812,
    GUEST_ES_AR = 0x4814,
    GUEST_CS_AR = 0x4816,
    GUEST_SS_AR = 0x4818,
    GUEST_LDTR_AR = 0x4820,
    GUEST_TR_AR = 0x4822,
    GUEST_INTERRUPTIBILITY = 0x4824,
    GUEST_ACTIVITY = 0x4826,
    GUEST_SYSENTER_CS = 0x482a,
    PREEMPTION_VALUE = 0x482e,
    HOST_SYSENTER_CS = 0x4c00,
    /* Natural width, B.4 */
    CR0_MASK = 0x6000,
    CR4_MASK = 0x6002,
    CR0_SHADOW = 0x6004,
    CR4_SHADOW = 0x6006,
    EXIT_QUALIFICATION = 0x6400,
    GUEST_LINEAR_ADDRESS = 0x640a,
    GUEST_CR0 = 0x6800,
    GUEST_CR3 = 0x6802,
    GUEST_CR4 = 0x6804,
    GUEST_ES_BASE = 0x6806,
    GUEST_CS_BASE = 0x6808,
    GUEST_FS_BASE = 0x680e,
    GUEST_GS_BASE = 0x6810,
    GUEST_LDTR_BASE = 0x6812,
    GUEST_TR_BASE = 0x6814,
    GUEST_GDTR_BASE = 0x6816,
    GUEST_IDTR_BASE = 0x6818,
    GUEST_DR7 = 0x681a,
    GUEST_RSP = 0x681c,
    GUEST_RIP = 0x681e,
    GUEST_RFLAGS = 0x6820,
    GUEST_PENDING_DEBUG = 0x6822,
    GUEST_SYSENTER_ESP = 0x6824,
    GUEST_SYSENTER_EIP = 0x6826,
    HOST_CR0 = 0x6c00,
    HOST_CR3 = 0x6c02,
    HOST_CR4 = 0x6c04,
    HOST_FS_BASE = 0x6c06,
    HOST_GS_BASE = 0x6c08,
    HOST_TR_BASE = 0x6c0a,
    HOST_GDTR_BASE = 0x6c0c,
    HOST_IDTR_BASE = 0x6c0e,
    HOST_SYSENTER_ESP = 0x6c10,
    HOST_SYSENTER_EIP = 0x6c12,
    HOST_RSP = 0x6c14,
    HOST_RIP = 0x6c16,
};

/* Controls, 24.6 to 24.8. */
enum pin_control {
    PIN_EXT_INT = 1 << 0,
    PIN_NMI = 1 << 3,
    PIN_VIRTUAL_NMI = 1 << 5,
    PIN_PREEMPTION = 1 << 6,
    PIN_POSTED = 1 << 7
};
enum primary_control {
    P_INT_WINDOW = 1 << 2,
    P_TSC_OFFSET = 1 << 3,
    P_HLT = 1 << 7,
    P_MWAIT = 1 << 10,
    P_RDPMC = 1 << 11,
    P_CR8_LOAD = 1 << 19,
    P_CR8_STORE = 1 << 20,
    P_TPR_SHADOW = 1 << 21,
    P_NMI_WINDOW = 1 << 22,
    P_UNCOND_IO = 1 << 24,
    P_MSR_BITMAPS = 1 << 28,
    P_MONITOR = 1 << 29,
};
#define P_SECONDARY (1u << 31)
enum secondary_control {
    S_APIC_ACCESSES = 1 << 0,
    S_EPT = 1 << 1,
    S_RDTSCP = 1 << 3,
    S_X2APIC = 1 << 4,
    S_VPID = 1 << 5,
    S_WBINVD = 1 << 6,
    S_UNRESTRICTED = 1 << 7,
    S_APIC_REGISTERS = 1 << 8,
    S_VIRTUAL_INTR = 1 << 9,
    S_PAUSE_LOOP = 1 << 10,
    S_INVPCID = 1 << 12,
};
enum exit_control {
    X_SAVE_DEBUG = 1 << 2,
    X_HOST_64 = 1 << 9,
    X_ACK_INT = 1 << 15,
    X_LOAD_PAT = 1 << 19,
    X_LOAD_EFER = 1 << 21,
    X_SAVE_PREEMPTION = 1 << 22
};
enum entry_control {
    N_LOAD_DEBUG = 1 << 2,
    N_IA32E = 1 << 9,
    N_LOAD_PAT = 1 << 14,
    N_LOAD_EFER = 1 << 15
};

/* Interruption information, 24.8.3 and 24.9.2. */
#define INTR_VALID (1u << 31)
#define INTR_ERROR_VALID (1u << 11)
/* exits: an IRET had opened NMIs before it faulted (27.2.3) */
#define INTR_NMI_UNBLOCKED (1u << 12)
#define INTR_TYPE(info) ((info) >> 8 & 7)
enum intr_type {
    INTR_EXT = 0,
    INTR_RESERVED,
    INTR_NMI = 2,
    INTR_EXCEPTION = 3,
    INTR_SOFT = 4,
    INTR_PRIV_SOFT_EXCEPTION = 5,
    INTR_SOFT_EXCEPTION = 6,
    INTR_OTHER = 7
};

/* Interruptibility, 24.4.2. */
enum { BLOCK_STI = 1 << 0, BLOCK_MOV_SS = 1 << 1, BLOCK_SMI = 1 << 2, BLOCK_NMI = 1 << 3 };

/* Segment attributes, 24.4.1: as in a descriptor, with 4 reserved bits in the middle. */
enum {
    AR_S = 1 << 4,
    AR_P = 1 << 7,
    AR_L = 1 << 13,
    AR_DB = 1 << 14,
    AR_G = 1 << 15,
    AR_UNUSABLE = 1 << 16
};

/* Exit qualification of port accesses (table 27-5) and of EPT violations (table 27-7). */
enum { IOQ_IN = 1 << 3, IOQ_STR = 1 << 4, IOQ_REP = 1 << 5 };
enum { EPTQ_R = 1 << 0, EPTQ_W = 1 << 1, EPTQ_X = 1 << 2, EPTQ_NMI_UNBLOCKED = 1 << 12 };

/* Exit reasons, appendix C. */
enum vmx_reason {
    REASON_EXCEPTION = 0,
    REASON_EXT_INT,
    REASON_TRIPLE_FAULT,
    REASON_INIT,
    REASON_SIPI,
    REASON_IO_SMI,
    REASON_SMI,
    REASON_INT_WINDOW,
    REASON_NMI_WINDOW,
    REASON_TASK_SWITCH,
    REASON_CPUID,
    REASON_GETSEC,
    REASON_HLT,
    REASON_INVD,
    REASON_INVLPG,
    REASON_RDPMC,
    REASON_RDTSC,
    REASON_RSM,
    REASON_VMCALL,
    REASON_VMCLEAR,
    REASON_VMLAUNCH,
    REASON_VMPTRLD,
    REASON_VMPTRST,
    REASON_VMREAD,
    REASON_VMRESUME,
    REASON_VMWRITE,
    REASON_VMXOFF,
    REASON_VMXON,
    REASON_CR,
    REASON_DR,
    REASON_IO,
    REASON_RDMSR,
    REASON_WRMSR,
    REASON_BAD_GUEST,
    REASON_BAD_MSR,
    REASON_MWAIT = 36,
    REASON_MONITOR = 39,
    REASON_PAUSE,
    REASON_ENTRY_MC,
    REASON_TPR = 43,
    REASON_APIC_ACCESS,
    REASON_EOI,
    REASON_EPT_VIOLATION = 48,
    REASON_EPT_MISCONFIG,
    REASON_INVEPT,
    REASON_RDTSCP,
    REASON_PREEMPTION,
    REASON_INVVPID,
    REASON_WBINVD,
    REASON_XSETBV,
    REASON_APIC_WRITE,
    REASON_VMFUNC = 59,
    REASON_SEAMCALL = 76,
    REASON_TDCALL,
};
#define REASON_ENTRY_FAILED (1u << 31)
/* ours: the instruction itself failed; INSN_ERROR says why (30.4) */
#define REASON_VMFAIL 0x10000u
#define REASON_RULE 0x20000u /* ours: a debug build did not even try */

/* MSRs, appendix A and volume 4. */
#define MSR_FEATURE_CONTROL 0x3au
#define FEATURE_LOCK 1u
#define FEATURE_VMXON 4u /* outside SMX */
#define MSR_SYSENTER_CS 0x174u
#define MSR_STAR 0xc0000081u
#define MSR_VMX_BASIC 0x480u
#define BASIC_TRUE (1ull << 55)
#define MSR_VMX_PIN 0x481u
#define MSR_VMX_PRIMARY 0x482u
#define MSR_VMX_EXIT 0x483u
#define MSR_VMX_ENTRY 0x484u
/* 4:0: the preemption timer counts when this bit of the TSC changes */
#define MSR_VMX_MISC 0x485u
#define MSR_VMX_CR0_FIXED0 0x486u
#define MSR_VMX_CR0_FIXED1 0x487u
#define MSR_VMX_CR4_FIXED0 0x488u
#define MSR_VMX_CR4_FIXED1 0x489u
#define MSR_VMX_SECONDARY 0x48bu
#define MSR_VMX_EPT_VPID 0x48cu
#define MSR_VMX_TRUE_PIN 0x48du /* then primary, exit, entry */
#define CR4_VMXE (1ull << 13)
#define CR4_PCIDE (1ull << 17)

/* IA32_VMX_EPT_VPID_CAP, A.10. */
#define EPT_WALK4 (1ull << 6)
#define EPT_WB (1ull << 14)
#define EPT_2M (1ull << 16)
#define EPT_1G (1ull << 17)
#define EPT_INVEPT (1ull << 20)
#define EPT_AD (1ull << 21)
#define EPT_INVEPT_ONE (1ull << 25)
#define EPT_INVEPT_ALL (1ull << 26)
#define EPT_INVVPID (1ull << 32)
#define EPT_INVVPID_ONE (1ull << 41)
#define EPT_INVVPID_ALL (1ull << 42)

static inline uint64_t vmread(enum vmcs_field field)
{
    uint64_t v;

    __asm__ volatile("vmread %1, %0" : "=r"(v) : "r"((uint64_t)field) : "cc");
    return v;
}

static inline void vmwrite(enum vmcs_field field, uint64_t val)
{
    __asm__ volatile("vmwrite %0, %1" : : "r"(val), "r"((uint64_t)field) : "cc", "memory");
}

/* The instructions that say by CF or ZF that they failed (30.2). */
static inline bool vmxon(uint64_t pa)
{
    bool failed;

    __asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(pa) : "memory");
    return !failed;
}

static inline bool vmclear(uint64_t pa)
{
    bool failed;

    __asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(pa) : "memory");
    return !failed;
}

static inline bool vmptrld(uint64_t pa)
{
    bool failed;

    __asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(pa) : "memory");
    return !failed;
}

enum { INV_ONE = 1, INV_ALL = 2 };

static inline void invept(uint64_t type, uint64_t eptp)
{
    struct {
        uint64_t eptp, zero;
    } d = { eptp, 0 };

    __asm__ volatile("invept %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

static inline void invvpid(uint64_t type, uint64_t vpid)
{
    struct {
        uint64_t vpid, address;
    } d = { vpid, 0 };

    __asm__ volatile("invvpid %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

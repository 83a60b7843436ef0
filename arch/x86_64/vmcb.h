/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmcb.h: the virtual machine control block and what goes into it. AMD APM volume 2 (24593),
 * appendix B for the layout, chapter 15 for the meaning, appendix C for the exit codes. Names are
 * the manual's.
 */
#pragma once
#include <hv/types.h>

/* Segment register; attr is compressed to 12 bits as section 15.5.1 says. */
struct vmcb_seg {
    uint16_t selector, attrib;
    uint32_t limit;
    uint64_t base;
};
static_assert(sizeof(struct vmcb_seg) == 16, "APM vol 2 table B-2");
static_assert(offsetof(struct vmcb_seg, limit) == 4, "APM vol 2 table B-2");
static_assert(offsetof(struct vmcb_seg, base) == 8, "APM vol 2 table B-2");

struct vmcb {
    /* Control area, table B-1 */
    uint16_t intercept_cr_read, intercept_cr_write;             /* 000 bit n: CRn */
    uint16_t intercept_dr_read, intercept_dr_write;             /* 004 */
    uint32_t intercept_exceptions;                              /* 008 bit n: vector n */
    uint32_t intercept_misc1, intercept_misc2, intercept_misc3; /* 00c 010 014 */
    uint8_t reserved0[0x3c - 0x18];
    uint16_t pause_filter_threshold, pause_filter_count;
    uint64_t iopm_base_pa, msrpm_base_pa, tsc_offset;     /* 040 048 050 */
    uint32_t guest_asid;                                  /* 058 */
    uint8_t tlb_control, reserved1[3];                    /* 05c */
    uint32_t v_intr;                                      /* 060 enum v_intr */
    uint32_t v_intr_vector;                               /* 064 */
    uint64_t interrupt_shadow;                            /* 068 bit 0 */
    uint64_t exitcode, exitinfo1, exitinfo2, exitintinfo; /* 070 078 080 088 */
    uint64_t np_enable;                                   /* 090 bit 0 */
    uint64_t avic_apic_bar, ghcb;                         /* 098 0a0 */
    uint64_t eventinj;                                    /* 0a8 */
    uint64_t n_cr3;                                       /* 0b0 */
    uint64_t lbr_virtualization_enable;                   /* 0b8 */
    uint32_t clean, reserved2;                            /* 0c0 enum vmcb_clean */
    uint64_t nrip;                                        /* 0c8 */
    uint8_t bytes_fetched, guest_bytes[15];               /* 0d0 */
    uint8_t reserved3[0x400 - 0xe0];
    /* State save area, table B-2; offsets from 400 */
    struct vmcb_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved4[0x4cb - 0x4a0];
    uint8_t cpl; /* 0cb */
    uint32_t reserved5;
    uint64_t efer; /* 0d0 */
    uint8_t reserved6[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip; /* 148 .. 178 */
    uint8_t reserved7[0x5d8 - 0x580];
    uint64_t rsp, s_cet, ssp, isst_addr, rax; /* 1d8 .. 1f8 */
    /* 200 .. 240 */
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip,
        cr2;
    uint8_t reserved8[0x668 - 0x648];
    uint64_t g_pat, dbgctl, br_from, br_to, lastexcpfrom, lastexcpto; /* 268 .. */
    uint8_t reserved9[0x6e0 - 0x698];
    /* 2e0 the guest's, where the CPU virtualizes it (SVM_SPEC_CTRL) */
    uint64_t spec_ctrl;
    uint8_t reserved10[0x1000 - 0x6e8];
};
#define VMCB_AT(field, off) \
    static_assert(offsetof(struct vmcb, field) == (off), "VMCB layout: " #field)
VMCB_AT(pause_filter_threshold, 0x3c);
VMCB_AT(iopm_base_pa, 0x40);
VMCB_AT(guest_asid, 0x58);
VMCB_AT(v_intr, 0x60);
VMCB_AT(interrupt_shadow, 0x68);
VMCB_AT(exitcode, 0x70);
VMCB_AT(np_enable, 0x90);
VMCB_AT(eventinj, 0xa8);
VMCB_AT(clean, 0xc0);
VMCB_AT(nrip, 0xc8);
VMCB_AT(bytes_fetched, 0xd0);
VMCB_AT(es, 0x400);
VMCB_AT(tr, 0x490);
VMCB_AT(cpl, 0x4cb);
VMCB_AT(efer, 0x4d0);
VMCB_AT(cr4, 0x548);
VMCB_AT(rflags, 0x570);
VMCB_AT(rip, 0x578);
VMCB_AT(rsp, 0x5d8);
VMCB_AT(rax, 0x5f8);
VMCB_AT(cr2, 0x640);
VMCB_AT(g_pat, 0x668);
VMCB_AT(spec_ctrl, 0x6e0);
VMCB_AT(intercept_exceptions, 0x8);
VMCB_AT(intercept_misc1, 0xc);
VMCB_AT(msrpm_base_pa, 0x48);
VMCB_AT(tsc_offset, 0x50);
VMCB_AT(tlb_control, 0x5c);
VMCB_AT(exitinfo1, 0x78);
VMCB_AT(exitinfo2, 0x80);
VMCB_AT(exitintinfo, 0x88);
VMCB_AT(n_cr3, 0xb0);
VMCB_AT(lbr_virtualization_enable, 0xb8);
VMCB_AT(gdtr, 0x460);
VMCB_AT(idtr, 0x480);
VMCB_AT(cr3, 0x550);
VMCB_AT(cr0, 0x558);
VMCB_AT(dr7, 0x560);
VMCB_AT(dr6, 0x568);
VMCB_AT(star, 0x600);
VMCB_AT(lstar, 0x608);
VMCB_AT(sfmask, 0x618);
VMCB_AT(kernel_gs_base, 0x620);
VMCB_AT(sysenter_cs, 0x628);
VMCB_AT(dbgctl, 0x670);
VMCB_AT(br_from, 0x678);
VMCB_AT(lastexcpto, 0x690);
static_assert(sizeof(struct vmcb) == 4096, "VMCB");

/* Intercepts, section 15.9 and table B-1. */
enum misc1 {
    I1_INTR = 1 << 0,
    I1_NMI = 1 << 1,
    I1_SMI = 1 << 2,
    I1_INIT = 1 << 3,
    I1_VINTR = 1 << 4,
    I1_CR0_SEL = 1 << 5,
    I1_RDPMC = 1 << 15,
    I1_CPUID = 1 << 18,
    I1_RSM = 1 << 19,
    I1_IRET = 1 << 20,
    I1_INVD = 1 << 22,
    I1_PAUSE = 1 << 23,
    I1_HLT = 1 << 24,
    I1_INVLPGA = 1 << 26,
    I1_IOIO_PROT = 1 << 27,
    I1_MSR_PROT = 1 << 28,
    I1_FERR_FREEZE = 1 << 30,
};
#define I1_SHUTDOWN (1u << 31)
enum misc2 {
    I2_VMRUN = 1 << 0,
    I2_VMMCALL = 1 << 1,
    I2_VMLOAD = 1 << 2,
    I2_VMSAVE = 1 << 3,
    I2_STGI = 1 << 4,
    I2_CLGI = 1 << 5,
    I2_SKINIT = 1 << 6,
    I2_ICEBP = 1 << 8,
    I2_WBINVD = 1 << 9,
    I2_MONITOR = 1 << 10,
    I2_MWAIT = 1 << 11,
    I2_MWAIT_ARMED = 1 << 12,
    I2_XSETBV = 1 << 13,
    I2_RDPRU = 1 << 14,
};
enum misc3 {
    I3_INVLPGB = 1 << 0,
    I3_INVLPGB_ILLEGAL = 1 << 1,
    I3_MCOMMIT = 1 << 3,
    I3_TLBSYNC = 1 << 4
};

/* Virtual interrupts, section 15.21. */
enum v_intr {
    V_TPR = 0xff,
    V_IRQ = 1 << 8,
    V_INTR_PRIO_SHIFT = 16,
    V_INTR_PRIO = 0xf << 16,
    V_IGN_TPR = 1 << 20,
    V_INTR_MASKING = 1 << 24,
};

/* TLB control, section 15.16.2. */
enum { TLB_NOTHING = 0, TLB_FLUSH_ALL = 1, TLB_FLUSH_ASID = 3 };

/* Clean bits, section 15.15.3: set, the CPU may use what it still knows of these fields. */
enum vmcb_clean {
    CLEAN_I = 1 << 0,
    CLEAN_IOPM = 1 << 1,
    CLEAN_ASID = 1 << 2,
    CLEAN_TPR = 1 << 3,
    CLEAN_NP = 1 << 4,
    CLEAN_CRX = 1 << 5,
    CLEAN_DRX = 1 << 6,
    CLEAN_DT = 1 << 7,
    CLEAN_SEG = 1 << 8,
    CLEAN_CR2 = 1 << 9,
    CLEAN_LBR = 1 << 10,
    CLEAN_AVIC = 1 << 11,
    CLEAN_ALL = 0xfff,
};

/* EVENTINJ and EXITINTINFO, sections 15.20 and 15.7.2. */
#define EVENT_VALID (1ull << 31)
#define EVENT_ERROR_VALID (1ull << 11)
enum event_type { EVENT_INTR = 0, EVENT_NMI = 2, EVENT_EXCEPTION = 3, EVENT_SOFT = 4 };
#define EVENT_TYPE(info) ((unsigned)((info) >> 8) & 7)

/* Exit codes, appendix C. */
enum vmexit {
    VMEXIT_CR0_READ = 0x00,
    VMEXIT_CR0_WRITE = 0x10,
    VMEXIT_DR0_READ = 0x20,
    VMEXIT_EXCP0 = 0x40,
    VMEXIT_INTR = 0x60,
    VMEXIT_NMI,
    VMEXIT_SMI,
    VMEXIT_INIT,
    VMEXIT_VINTR,
    VMEXIT_CR0_SEL,
    VMEXIT_RDPMC = 0x6f,
    VMEXIT_CPUID = 0x72,
    VMEXIT_RSM,
    VMEXIT_IRET,
    VMEXIT_SWINT,
    VMEXIT_INVD,
    VMEXIT_PAUSE,
    VMEXIT_HLT,
    VMEXIT_INVLPG,
    VMEXIT_INVLPGA,
    VMEXIT_IOIO,
    VMEXIT_MSR,
    VMEXIT_TASK_SWITCH,
    VMEXIT_FERR_FREEZE,
    VMEXIT_SHUTDOWN,
    VMEXIT_VMRUN,
    VMEXIT_VMMCALL,
    VMEXIT_VMLOAD,
    VMEXIT_VMSAVE,
    VMEXIT_STGI,
    VMEXIT_CLGI,
    VMEXIT_SKINIT,
    VMEXIT_RDTSCP,
    VMEXIT_ICEBP,
    VMEXIT_WBINVD,
    VMEXIT_MONITOR,
    VMEXIT_MWAIT,
    VMEXIT_MWAIT_ARMED,
    VMEXIT_XSETBV,
    VMEXIT_RDPRU,
    VMEXIT_INVLPGB = 0xa0,
    VMEXIT_INVLPGB_ILLEGAL,
    VMEXIT_INVPCID,
    VMEXIT_MCOMMIT,
    VMEXIT_TLBSYNC,
    VMEXIT_NPF = 0x400,
};
/* the upper half of EXITCODE is not always set: compare the lower one */
#define VMEXIT_INVALID 0xffffffffu

/* EXITINFO1 of VMEXIT_IOIO, section 15.10.2. EXITINFO2 is the RIP of the next instruction. */
enum {
    IOIO_IN = 1 << 0,
    IOIO_STR = 1 << 2,
    IOIO_REP = 1 << 3,
    IOIO_SIZE_SHIFT = 4,
    IOIO_ADDR_SHIFT = 7,
    IOIO_SEG_SHIFT = 10
};
/* EXITINFO1 of VMEXIT_NPF, section 15.25.6. EXITINFO2 is the guest physical address. */
enum { NPF_P = 1 << 0, NPF_W = 1 << 1, NPF_U = 1 << 2, NPF_RSV = 1 << 3, NPF_ID = 1 << 4 };

/* MSRs, section 15.30 and appendix A. */
#define MSR_VM_CR 0xc0010114u
#define MSR_VM_HSAVE_PA 0xc0010117u
#define VM_CR_LOCK (1u << 3)
#define VM_CR_SVMDIS (1u << 4)
#define EFER_SVME (1ull << 12)

/* CPUID leaf 8000000A EDX, volume 3 appendix E.4.9. */
enum svm_feature {
    SVM_NP = 1 << 0,
    SVM_NRIPS = 1 << 3,
    SVM_VMCB_CLEAN = 1 << 5,
    SVM_FLUSH_BY_ASID = 1 << 6,
    SVM_DECODE_ASSISTS = 1 << 7,
    SVM_PAUSE_FILTER = 1 << 10,
    SVM_PAUSE_THRESHOLD = 1 << 12,
    SVM_SPEC_CTRL = 1 << 20,
};

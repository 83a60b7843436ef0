/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sysreg.h: encodings and bits of system registers that the ARM64 host uses, named as in the Arm
 * ARM (DDI 0487) chapter D19 and the GICv3 architecture (IHI 0069) chapter 12. Encodings stand for
 * names that an assembler for ARMv8.0 does not know. For C and assembly.
 */
#ifndef ARCH_AARCH64_SYSREG_H
#define ARCH_AARCH64_SYSREG_H

#define ID_AA64ISAR2_EL1 S3_0_C0_C6_2
#define ID_AA64MMFR2_EL1 S3_0_C0_C7_2
#define ID_AA64MMFR3_EL1 S3_0_C0_C7_3
#define ID_AA64MMFR4_EL1 S3_0_C0_C7_4
#define ID_AA64ZFR0_EL1 S3_0_C0_C4_4
#define ID_AA64SMFR0_EL1 S3_0_C0_C4_5
#define RNDR S3_3_C2_C4_0
#define APIAKEYLO_EL1 S3_0_C2_C1_0
#define APIAKEYHI_EL1 S3_0_C2_C1_1
#define APIBKEYLO_EL1 S3_0_C2_C1_2
#define APIBKEYHI_EL1 S3_0_C2_C1_3
#define APDAKEYLO_EL1 S3_0_C2_C2_0
#define APDAKEYHI_EL1 S3_0_C2_C2_1
#define APDBKEYLO_EL1 S3_0_C2_C2_2
#define APDBKEYHI_EL1 S3_0_C2_C2_3
#define APGAKEYLO_EL1 S3_0_C2_C3_0
#define APGAKEYHI_EL1 S3_0_C2_C3_1
#define DISR_EL1 S3_0_C12_C1_1
#define VDISR_EL2 S3_4_C12_C1_1
#define VSESR_EL2 S3_4_C5_C2_3

/* Interrupt controller, physical CPU interface (GICv3 section 12.2) */
#define ICC_IAR1_EL1 S3_0_C12_C12_0
#define ICC_EOIR1_EL1 S3_0_C12_C12_1
#define ICC_BPR1_EL1 S3_0_C12_C12_3
#define ICC_CTLR_EL1 S3_0_C12_C12_4
#define ICC_SRE_EL1 S3_0_C12_C12_5
#define ICC_IGRPEN1_EL1 S3_0_C12_C12_7
#define ICC_PMR_EL1 S3_0_C4_C6_0
#define ICC_DIR_EL1 S3_0_C12_C11_1
#define ICC_RPR_EL1 S3_0_C12_C11_3
#define ICC_SGI1R_EL1 S3_0_C12_C11_5
#define ICC_SRE_EL2 S3_4_C12_C9_5

/* What the vectors read of struct percpu and struct arm_cpu. */
#define PERCPU_ARCH 8
#define CPU_BHB_LOOPS 8

/* HCR_EL2, D19.2.48 */
#define HCR_VM (1ull << 0)
#define HCR_SWIO (1ull << 1)
#define HCR_PTW (1ull << 2)
#define HCR_FMO (1ull << 3)
#define HCR_IMO (1ull << 4)
#define HCR_AMO (1ull << 5)
#define HCR_TGE (1ull << 27)
#define HCR_RW (1ull << 31)
#define HCR_E2H (1ull << 34)
/*
 * What the host itself runs with: interrupts and SErrors come to EL2, and EL0 is never used, so
 * that TGE need not be set.
 */
#define HCR_HOST (HCR_RW | HCR_FMO | HCR_IMO | HCR_AMO)

/* SCTLR_EL2, D19.2.120 */
#define SCTLR_M (1ull << 0)
#define SCTLR_A (1ull << 1)
#define SCTLR_C (1ull << 2)
#define SCTLR_SA (1ull << 3)
#define SCTLR_I (1ull << 12)
#define SCTLR_WXN (1ull << 19)
#define SCTLR_EnIB (1ull << 30)
#define SCTLR_EnIA 0x80000000
#define SCTLR_BT (1ull << 36)
/* without VHE; with VHE the same bits allow what EL0, unused, may do */
#define SCTLR_RES1 0x30c50830ull
#define SCTLR_HOST (SCTLR_RES1 | SCTLR_M | SCTLR_C | SCTLR_SA | SCTLR_I | SCTLR_WXN)

/* MAIR_EL2: what the attribute index of our page tables means (D19.2.99). */
#define MAIR_WB 0     /* normal, write-back */
#define MAIR_DEVICE 1 /* device nGnRE */
#define MAIR_NC 2     /* normal, not cached: writes combine */
#define MAIR_HOST 0x4404ffull

/*
 * TCR_EL2 (D19.2.141): 48-bit addresses, 4 KiB granule, tables in cached memory shared by all CPUs.
 * The physical size is added.
 */
#define TCR_COMMON (16ull | 1ull << 8 | 1ull << 10 | 3ull << 12) /* T0SZ, IRGN0, ORGN0, SH0 */
#define TCR_NVHE (TCR_COMMON | 1ull << 23 | 1ull << 31)          /* RES1 */
#define TCR_NVHE_PS 16
/* T1SZ, EPD1, TG1 4 KiB */
#define TCR_VHE (TCR_COMMON | 16ull << 16 | 1ull << 23 | 2ull << 30)
#define TCR_VHE_IPS 32

/* PSTATE (C5.2) */
#define PSTATE_EL2H 9ull
#define PSTATE_DAIF 0x3c0ull

#endif

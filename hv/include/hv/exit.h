/* SPDX-License-Identifier: BSD-2-Clause */
/* Why a vCPU stopped, in words that every backend and every guest ISA share. */
#pragma once
#include <hv/types.h>
/* size: 1, 2, 4, 8 */
struct io_access {
    uint64_t addr, val;
    uint8_t size;
    bool write;
};
enum exit_reason {
    EXIT_NONE, /* the backend dealt with it itself: go round again */
    EXIT_IRQ,  /* a host interrupt waits: the loop opens irq_window() */
    EXIT_MEM,  /* stage-2 violation */
    EXIT_PIO,
    EXIT_SYSREG,
    EXIT_CALL,
    EXIT_HALT,
    EXIT_IRQ_WINDOW, /* the guest can take an interrupt (or NMI) now */
    EXIT_SHUTDOWN,   /* triple fault */
    /*
     * the CPU carried out an access to the interrupt controller that has to be known:
     * vintc_ops.exit
     */
    EXIT_VINTC,
    EXIT_FAIL, /* the backend cannot go on with this guest */
    /* what guests of one ISA alone exit for: guest_ops.exits; <hv/x86.h> and its like name them */
    EXIT_ISA_0,
    EXIT_ISA_1,
    EXIT_REASONS
};
#define EXIT_ISAS (EXIT_REASONS - EXIT_ISA_0)
struct vm;
/* for people; any CPU */
const char *exit_name(const struct vm *, enum exit_reason);
struct vcpu_exit {
    enum exit_reason reason;
    /* ARM64: ESR_EL2, for what the words below do not say */
    uint64_t syndrome;
    /* 0: not known; guest code finds it where it matters */
    uint8_t insn_len;
    /* decode assist: bytes below are valid; 0: none */
    uint8_t insn_bytes_len;
    uint8_t insn_bytes[15];
    union {
        /*
         * prot: what was tried; decoded: io is whole, with gpa as its address; ARM64: reg 31 is
         * XZR, wide: a 64-bit register (SF), gva: FAR_EL2
         */
        struct {
            gpa_t gpa;
            uint8_t prot;
            bool decoded, sext, wide;
            uint8_t reg;
            struct io_access io;
            uint64_t gva;
        } mem;
        /* string: guest_ops.emulate does it */
        struct {
            struct io_access io;
            bool string, rep;
            uint8_t addr_size, seg;
        } pio;
        /* x86: cr false: RDMSR/WRMSR, id is the guest's ECX, val is EDX:EAX of a write; guest code
         * sets the registers of a read. cr true: MOV to/from CRn, or XSETBV, intercepted: id is an
         * enum x86_sysreg; guest code decodes the instruction and ignores val. */
        /*
         * ARM64: id is an MRS encoding, reg the general register (31: XZR), val what an MSR would
         * write; guest code sets the register of an MRS.
         */
        struct {
            uint32_t id;
            bool write, cr;
            uint8_t reg;
            uint64_t val;
        } sysreg; /* CSR no. */
        /* EXIT_ISA_<n>: as that ISA's header says */
        uint32_t isa[2];
        /*
         * x86: APIC_EOI's offset: `vector` was ended; else that of the register in the APIC's page
         * that was written
         */
        struct {
            uint16_t reg;
            uint8_t vector;
        } vintc;
        struct {
            uint64_t hw_code, hw_info;
            const char *what;
        } fail; /* raw, for the log only */
    };
};

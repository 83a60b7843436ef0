/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of an x86 guest's CPU and machine share. "APM" is AMD's manual, "SDM" Intel's. */
#pragma once
#include <hv/guest.h>
#include <hv/log.h>
#include <hv/seen.h>
#include <hv/vcpu.h>
#include <hv/vm.h>
#include <hv/x86.h>

/* Bits, named as the manuals name them: APM vol 2 §3.1. */
enum {
    CR0_PE = 1 << 0,
    CR0_MP = 1 << 1,
    CR0_EM = 1 << 2,
    CR0_TS = 1 << 3,
    CR0_ET = 1 << 4,
    CR0_NE = 1 << 5,
    CR0_WP = 1 << 16,
    CR0_AM = 1 << 18,
    CR0_NW = 1 << 29,
    CR0_CD = 1 << 30,
};
#define CR0_PG (1ull << 31)
enum {
    CR4_PSE = 1 << 4,
    CR4_PAE = 1 << 5,
    CR4_MCE = 1 << 6,
    CR4_PGE = 1 << 7,
    CR4_PCE = 1 << 8,
    CR4_OSFXSR = 1 << 9,
    CR4_UMIP = 1 << 11,
    CR4_LA57 = 1 << 12,
    CR4_PCIDE = 1 << 17,
    CR4_OSXSAVE = 1 << 18,
    CR4_SMEP = 1 << 20,
    CR4_SMAP = 1 << 21,
    CR4_PKE = 1 << 22,
};
enum {
    EFER_SCE = 1 << 0,
    EFER_LME = 1 << 8,
    EFER_LMA = 1 << 10,
    EFER_NXE = 1 << 11,
    EFER_SVME = 1 << 12,
    EFER_LMSLE = 1 << 13,
    EFER_FFXSR = 1 << 14,
    EFER_AIBRSE = 1 << 21
};
enum {
    FLAGS_CF = 1 << 0,
    FLAGS_FIXED = 1 << 1,
    FLAGS_PF = 1 << 2,
    FLAGS_AF = 1 << 4,
    FLAGS_ZF = 1 << 6,
    FLAGS_SF = 1 << 7,
    FLAGS_TF = 1 << 8,
    FLAGS_IF = 1 << 9,
    FLAGS_DF = 1 << 10,
    FLAGS_OF = 1 << 11,
    FLAGS_RF = 1 << 16,
    FLAGS_VM = 1 << 17,
    FLAGS_AC = 1 << 18,
};
#define FLAGS_ARITH (FLAGS_CF | FLAGS_PF | FLAGS_AF | FLAGS_ZF | FLAGS_SF | FLAGS_OF)
/* page-fault error code, APM vol 2 §8.2.15 */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

/* The parts of a vCPU's mode that decide how it reads memory. */
struct x86_mode {
    uint64_t cr0, cr3, cr4, efer, cs_base;
    uint8_t bits; /* code size: 16, 32 or 64 */
    uint8_t cpl;
};

/*
 * Translation of a page fetched from, with every entry it came from, so that it is used only while
 * it is still true.
 */
struct x86_fetch_cache {
    uint64_t page, cr3, mode; /* mode: the bits of CR0, CR4 and EFER that count */
    const uint8_t *host;      /* the page's bytes; NULL: nothing cached */
    uint64_t serial;          /* of this filling of the slot; 0: nothing cached */
    /* of 8 bytes: those beyond `entries` are true, too */
    struct {
        const void *at;
        uint64_t was;
    } entry[5];
    uint8_t entries, width; /* width of an entry: 4 or 8 bytes */
};
#define X86_FETCH_SLOTS 16

#define X86_MTRR_VAR 8
#define X86_STATE_VERSION 1
/* All that the guest can see of a vCPU and that neither the engine nor the local APIC holds. */
struct x86_state {
    uint32_t version, pad;
    uint64_t tsc_adjust, misc_enable, debugctl;
    uint64_t mtrr_def_type, mtrr_fix[11], mtrr_var[2 * X86_MTRR_VAR];
    uint64_t mcg_status, patch_level, syscfg, hwcr, nb_cfg, tsc_aux;
    uint64_t kvm_wall_clock, kvm_system_time, kvm_steal_time;
};

struct x86_insn;
struct x86_vcpu {
    struct x86_state s;
    const struct x86_engine *engine;               /* v->ops->isa_ops, or what serves for it */
    struct x86_fetch_cache fetch[X86_FETCH_SLOTS]; /* by page and CR3 */
    uint64_t fetch_serial;                         /* the last one given out */
    struct x86_insn *insns; /* decoded instructions, X86_INSN_CACHE of them */
    /* X86_FPU_MAX bytes, for SIMD moves to devices; NULL until needed */
    void *fpu;
    uint64_t stuck_pc;
    uint32_t stuck;          /* exits in a row that got nowhere */
    uint32_t clock_requests; /* enum x86_clock_req, atomic */
    uint64_t steal_told;     /* steal time last written to the guest */
};
enum x86_clock_req { X86_CLOCK_UPDATE = 1, X86_CLOCK_STOPPED = 2, X86_KICKED = 4 };
#define X86_FPU_MAX 16384

/*
 * May a 64-bit program use that address? APM vol 2 section 5.3.1: the bits above the page tables'
 * reach repeat the highest of it.
 */
static inline bool x86_canonical(const struct x86_mode *m, uint64_t va)
{
    unsigned shift = (m->cr4 & CR4_LA57) != 0 ? 7 : 16;

    return (uint64_t)((int64_t)(va << shift) >> shift) == va;
}

struct x86_cpuid {
    uint32_t eax, ebx, ecx, edx;
};
#define X86_CPUID_BASIC 0x17
#define X86_CPUID_HV 0x11
#define X86_CPUID_EXT 0x22
#define X86_CPUID_XSTATE 10
/*
 * What a VM's vCPUs read by CPUID; what differs between vCPUs, or as they run, is put in at the
 * exit.
 */
struct x86_cpuid_table {
    uint32_t basic_max, hv_max, ext_max;
    struct x86_cpuid basic[X86_CPUID_BASIC], hv[X86_CPUID_HV], ext[X86_CPUID_EXT];
    struct x86_cpuid leaf4[8], leaf7_2, xstate[X86_CPUID_XSTATE], cache[8];
    uint64_t xcr0;      /* components that the guest may enable */
    uint32_t core_bits; /* width of the core number in an APIC ID */
};

#define PORT_LOGGED (1ull << 63)
struct load;
struct x86_firmware;
struct x86_machine {
    struct load *load; /* while the kernel is being copied */
    struct x86_cpuid_table cpuid;
    uint64_t tsc_offset;          /* guest TSC = host's + this, before TSC_ADJUST */
    uint64_t efer_mask, cr4_mask; /* bits the guest may set */
    /*
     * one moment in guest TSC (before TSC_ADJUST) and guest time: kvmclock's origin on every vCPU
     */
    uint64_t clock_tsc, clock_ns;
    uint64_t wall_boot_ns; /* wall-clock time at guest time 0 */
    /* the same in whole seconds, when wall_boot_ns and the RTC were last set by it */
    uint64_t wall_s;
    uint64_t stopped_tsc; /* as it was restored, before TSC_ADJUST; while tsc_stands */
    bool tsc_stands;      /* restored, and not resumed yet */
    uint64_t rsdp;
    struct x86_firmware *firmware; /* NULL: it was started from its kernel */
    bool pv;
    struct seen seen_msr;
    /* pages with no device, and ports: PORT_LOGGED | number */
    struct seen seen_place;
};

static inline struct x86_vcpu *x86_of(const struct vcpu *v) { return v->guest; }
static inline struct x86_machine *x86_machine_of(const struct vcpu *v) { return v->vm->guest; }
/*
 * MAXPHYADDR, as CPUID 8000_0008h tells the guest; 52, the architecture's most, where there is no
 * such leaf.
 */
static inline unsigned x86_phys_bits(const struct vcpu *v)
{
    unsigned bits = x86_machine_of(v)->cpuid.ext[8].eax & 0xff;

    return bits >= 32 && bits < 52 ? bits : 52;
}
/* A system register that every engine has. */
static inline uint64_t x86_get(struct vcpu *v, uint32_t id)
{
    uint64_t val = 0;

    return v->ops->get_sysreg(v, id, &val) == 0 ? val : 0;
}
/* For values that cannot be wrong; a refusal is our own mistake and is logged. */
void x86_set(struct vcpu *v, uint32_t id, uint64_t val);
struct x86_segment {
    uint16_t sel;
    uint64_t base;
    uint32_t limit;
    uint16_t attr;
};
void x86_set_segment(struct vcpu *v, enum x86_seg seg, struct x86_segment s);

/*
 * cpu.c. Queues an exception, making a double or triple fault of it where APM vol 2 §8.2.9 says
 * so.
 */
void x86_raise(struct vcpu *v, unsigned vector, uint32_t error);
void x86_raise_pf(struct vcpu *v, uint64_t cr2, uint32_t error);
/* for x86_vcpu.engine */
const struct x86_engine *x86_engine_of(const struct vcpu *v);
void x86_mode_get(struct vcpu *v, struct x86_mode *m);
/*
 * Steps over an instruction that the engine caught. len 0: it is found, and the opcode checked
 * against `opcode` (bytes 0F xx: 0x0fxx). False: not advanced, the guest changed it or a fault
 * waits.
 */
bool must_check x86_skip(struct vcpu *v, unsigned len, uint32_t opcode);
/* The same when the mode is known. */
bool must_check x86_skip_mode(struct vcpu *v, const struct x86_mode *m, unsigned len,
                              uint32_t opcode);
/* The same search alone: 0, or the length. */
unsigned must_check x86_insn_length(struct vcpu *v, uint32_t opcode);

/* walk.c. Rights to check: PF_W, PF_U, PF_I as in an error code. 0: *out is the guest-physical
 * address. -EFAULT: *error is the #PF's code. -EAGAIN: the guest changed its tables at that moment,
 * run it again. Sets accessed and dirty bits as the CPU does. */
int must_check x86_walk(struct vcpu *v, const struct x86_mode *m, uint64_t va, uint32_t rights,
                        uint64_t *out, uint32_t *error);
/*
 * Copies up to `want` (1..15) instruction bytes at linear address va, within its page. The number
 * copied, or as x86_walk; -ENXIO: not RAM.
 */
int must_check x86_fetch(struct vcpu *v, const struct x86_mode *m, uint64_t va, uint8_t *buf,
                         unsigned want, uint32_t *error);

/* The same for 16 bytes that lie in the page of last time; false: use x86_fetch. */
bool x86_fetch_fast(struct vcpu *v, const struct x86_mode *m, uint64_t va, uint8_t buf[16]);

/*
 * The slot that holds that page for this mode, filled if need be. NULL: not to be had. Its entries
 * hold what they held.
 */
const struct x86_fetch_cache *x86_fetch_slot(struct vcpu *v, const struct x86_mode *m, uint64_t va);

/* cpuid.c */
void x86_cpuid_build(struct vm *vm, const struct guest_config *c, struct x86_machine *m);
struct x86_cpuid x86_cpuid(struct vcpu *v, uint32_t leaf, uint32_t sub);

/* msr.c. 0, or -EINVAL: #GP. */
/*
 * The rows of the table of MSRs, for the manual: by number, x2APIC's last. False: there are no
 * more. `why`: the CPUID bit that announces it, or who touches it without one.
 */
struct x86_msr_row {
    uint32_t first, last;
    const char *name, *why;
    bool writable;
};
bool x86_msr_row(unsigned i, struct x86_msr_row *out);
int must_check x86_rdmsr(struct vcpu *v, uint32_t n, uint64_t *val);
int must_check x86_wrmsr(struct vcpu *v, uint32_t n, uint64_t val);
void x86_msr_reset(struct x86_state *s);
/* A saved one: only bits that a guest can set. */
bool must_check x86_state_valid(const struct x86_state *s);
int must_check x86_write_cr(struct vcpu *v, uint32_t id, uint64_t val);
int must_check x86_sysreg_exit(struct vcpu *v, struct vcpu_exit *e);
uint64_t x86_tsc(struct vcpu *v);

/* pv.c: what KVM's guests use (Linux Documentation/virt/kvm/x86: cpuid, msr, hypercalls). */
#define MSR_KVM_WALL_CLOCK 0x11
#define MSR_KVM_SYSTEM_TIME 0x12
#define MSR_KVM_WALL_CLOCK_NEW 0x4b564d00
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01
#define MSR_KVM_ASYNC_PF_EN 0x4b564d02
#define MSR_KVM_STEAL_TIME 0x4b564d03
#define MSR_KVM_PV_EOI_EN 0x4b564d04
#define MSR_KVM_POLL_CONTROL 0x4b564d05
uint32_t x86_pv_features(void);
/* takes kvmclock's origin; no vCPU runs */
void x86_pv_origin(struct vm *vm, struct x86_machine *m);
/*
 * The clocks stood still: takes the origin anew; kvmclock pages of every vCPU will be written anew,
 * and say so. CPU 0, no vCPU runs.
 */
void x86_pv_resumed(struct vm *vm);
int must_check x86_pv_get(struct vcpu *v, uint32_t msr, uint64_t *val);
int must_check x86_pv_set(struct vcpu *v, uint32_t msr, uint64_t val);
uint64_t x86_hypercall(struct vcpu *v, uint64_t nr, const uint64_t arg[4], unsigned cpl);
void x86_pv_request(struct vcpu *v);
bool x86_pv_kicked(struct vcpu *v); /* consumes a kick */
void x86_pv_tick(struct vcpu *v);   /* tells the guest its steal time when it has grown */
void x86_pv_off_cpu(struct vcpu *v, bool off); /* guest_ops.off_cpu */
/* TSC to nanoseconds: ns = ((tsc << shift) or (tsc >> -shift)) * mul >> 32. */
void x86_pv_scale(uint64_t hz, uint32_t *mul, int8_t *shift);

/* Logs an access to nothing, once for each page or port, and only the first of them. */
void x86_log_nobody(struct vcpu *v, enum io_space space, const struct io_access *io);

/*
 * watch.c: breakpoints on data and ports (DR7; APM vol 2 section 13.1.1, SDM vol 3 section 17.2.4)
 * for what Trivet does in the guest's place. A bit for each of the four that an access of `size`
 * bytes at linear address or port `at` hits; dr7 as it is in the register. Own CPU.
 */
enum x86_watch { WATCH_READ, WATCH_WRITE, WATCH_PORT };
uint32_t x86_watch_hits(struct vcpu *v, uint64_t dr7, enum x86_watch kind, uint64_t at,
                        unsigned size);
/* The instruction is done: queues #DB, unless there is none or an event waits already. */
void x86_watch_trap(struct vcpu *v, uint32_t hits);

/* emulate.c */
int must_check x86_emulate(struct vcpu *v, struct vcpu_exit *e);

/* task.c */
int must_check x86_task_switch(struct vcpu *v, struct vcpu_exit *e);

/* state.c */
extern const struct state_ops *const x86_state_table[];
extern const struct state_pages *const x86_pages_table[];

/* build.c */
/* seconds of the wall clock at guest time 0 */
uint64_t x86_wall_s(const struct vm *vm);
int must_check x86_build(struct vm *vm, const struct guest_config *c);
int must_check x86_build_more(struct vm *vm);
void x86_destroy(struct vm *vm);
int must_check x86_ram_layout(struct vm *vm, const struct guest_config *c);

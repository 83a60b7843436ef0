/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU and the engine under it (VMX, SVM, EL2 and the translator implement vcpu_ops).
 * Departures from a copy-everything interface: run() leaves general registers in v->regs, where
 * exit handlers read and write them; an event to inject is left in v->event, which run() consumes
 * and, when delivery did not finish, refills.
 */
#pragma once
#include <hv/exit.h>
#include <hv/percpu.h>
#include <hv/sched.h>
#include <hv/types.h>
struct vm;
struct vcpu;
struct state_ops;
/* x86: gpr[] in encoding order (rax rcx rdx rbx rsp ...); rsp is gpr[4], sp unused */
struct vcpu_regs {
    uint64_t gpr[32], pc, sp, flags;
};
enum mp_state { MP_RUNNABLE, MP_HALTED, MP_WAIT_SIPI, MP_OFF };

/* SOFT: INTn/INT3/INTO re-injected */
enum vcpu_event_type { VEV_NONE, VEV_IRQ, VEV_NMI, VEV_EXCEPTION, VEV_SOFT };
struct vcpu_event {
    uint8_t type, vector;
    bool has_error;
    uint8_t insn_len;
    uint32_t error;
};

/*
 * Requests: atomic bits that anybody may set by vcpu_request(); the vCPU's own loop handles and
 * clears them.
 */
enum vcpu_req {
    REQ_IRQ = 1 << 0, /* ask vintc_ops.pending before the next entry */
    REQ_NMI = 1 << 1,
    /* stop at once and answer with REQ_PARKED; stays set until the VM resumes */
    REQ_PARK = 1 << 2,
    REQ_TLB = 1 << 3, /* the stage 2 shrank: flush before the next entry */
    /*
     * guest_ops.request: INIT, SIPI, clock page update ... (details in the guest ISA's own state)
     */
    REQ_GUEST = 1 << 4,
    REQ_YIELD = 1 << 5, /* its guest has spun for long, or asked for it: others first */
    /*
     * set by its own CPU, only beside REQ_PARK: its state is in memory, and it touches no part of
     * the VM
     */
    REQ_PARKED = 1 << 6,
    /*
     * set by vcpu_request(), only beside REQ_NMI: a second NMI, which waits until the guest handles
     * the first. While it cannot take one, further ones make no more than one
     */
    REQ_NMI_NEXT = 1 << 7,
    /* set by vcpu_wait(): it does not run before vcpu_wait_end() */
    REQ_WAIT = 1 << 8,
    REQ_SPIN = 1 << 9, /* its guest has begun to spin: another of its VM first */
};

struct vcpu_stats {
    uint64_t count[EXIT_REASONS], cycles[EXIT_REASONS], injected_irqs, halts, entries;
};

struct vcpu {
    struct vm *vm;
    uint32_t id;
    const struct vcpu_ops *ops;
    struct vcpu_regs regs;   /* valid between run()s, and honoured by the next */
    struct vcpu_event event; /* injected by the next run() */
    uint32_t requests;       /* enum vcpu_req, atomic */
    /* atomic: 1 from just before the last look at requests until after the exit */
    uint32_t in_guest;
    uint32_t mp; /* enum mp_state; own CPU only */
    uint32_t last_cpu;
    struct sched_entity sched;
    void *arch;  /* backend's state (VMCB ...) */
    void *guest; /* guest ISA's state (struct x86_vcpu ...) */
    void *vintc; /* interrupt controller's per-vCPU state (struct lapic ...) */
    /*
     * what the engine and code of the guest's ISA share of a vCPU beside registers, in that ISA's
     * words (struct x86_shared ...); set by vcpu_init, the same for the vCPU's life. NULL: nothing
     */
    void *shared;
    /* vintc wants enter()/leave() called around run (PV EOI armed, list registers ...) */
    bool vintc_hooks;
    struct vcpu_stats stats;
    uint64_t worked_at; /* stats.entries of the last exit in which a device worked at once */
};

/* What an engine that translates counts, since the vCPU was made; `live` and `bytes` are of now. */
enum engine_count {
    ENGINE_INSNS,       /* guest instructions that retired */
    ENGINE_COLD,        /* of these, interpreted where there was no code */
    ENGINE_STEPS,       /* of these, interpreted within compiled code */
    ENGINE_UNITS,       /* pieces of code compiled */
    ENGINE_LIVE,        /* that are there */
    ENGINE_BYTES,       /* of code they take */
    ENGINE_CHAINS,      /* jumps from one to the next patched */
    ENGINE_ENTRIES,     /* times that compiled code was entered */
    ENGINE_LOOKUPS,     /* jumps whose target was looked up */
    ENGINE_MISSES,      /* accesses that the TLB of compiled code did not answer */
    ENGINE_INVALIDATED, /* pieces whose instructions were written */
    ENGINE_EVICTIONS,   /* times that an eighth of the code was thrown away for room */
    ENGINE_COMPILED_NS, /* in compiled code and what it calls */
    ENGINE_RUN_NS,      /* in all */
    ENGINE_COUNTS
};

struct vcpu_ops {
    const char *name;           /* "vmx" "svm" "el2" "dbt" */
    uint32_t guest_isas;        /* bit per enum isa this engine can run */
    const struct pt_format *s2; /* NULL: no hardware stage 2 (dbt) */
    /* -ENOTSUP, and logs the missing feature by name and the remedy */
    int (*probe)(void);
    int (*cpu_enable)(void); /* on each CPU, at boot; NULL: nothing to be turned on */
    int (*vm_init)(struct vm *);
    void (*vm_fini)(struct vm *);
    int (*vcpu_init)(struct vcpu *); /* architectural reset state */
    void (*vcpu_fini)(struct vcpu *);
    /* back to the reset state (x86: INIT keeps what INIT keeps) */
    void (*vcpu_reset)(struct vcpu *);
    /* before the first run on a CPU: FPU and machine state in */
    void (*load)(struct vcpu *);
    /* state out to memory, on the CPU that holds it */
    void (*unload)(struct vcpu *);
    /* enter; return at the next exit, irqs off */
    void (*run)(struct vcpu *, struct vcpu_exit *);
    /* an interrupt could be taken at the next entry (slot free too) */
    bool (*irq_ready)(struct vcpu *);
    bool (*nmi_ready)(struct vcpu *);
    /* EXIT_IRQ_WINDOW as soon as irq_ready would hold */
    void (*irq_window)(struct vcpu *, bool on);
    void (*nmi_window)(struct vcpu *);
    /*
     * An instruction ends: pc += len, in the width of the code, and the interrupt shadow is over.
     * x86: RF becomes 0, and with TF #DB is queued. len 0: a round of a REP instruction
     */
    void (*skip_insn)(struct vcpu *, unsigned len);
    /* XSAVE area, or V/Z registers. -ENOSPC: *len was too short, and is now what is needed */
    int (*get_fpu_regs)(struct vcpu *, void *state, size_t *len);
    int (*set_fpu_regs)(struct vcpu *, const void *state, size_t len);
    /* enum x86_sysreg or MSR; MRS encoding; CSR. -ENOENT: not the backend's */
    int (*get_sysreg)(struct vcpu *, uint32_t id, uint64_t *val);
    int (*set_sysreg)(struct vcpu *, uint32_t id, uint64_t val);
    /*
     * Registers that make up a vCPU's state, in the order in which they can be set (-ENOENT: not on
     * this machine). What set_sysreg() takes never harms more than the vCPU.
     */
    const uint32_t *sysregs;
    uint32_t nsysregs;
    /* <hv/state.h>: what the engine has of a vCPU beyond registers; ends with NULL. NULL: nothing
     */
    const struct state_ops *const *state;
    void (*tlb_flush)(struct vm *, gpa_t, uint64_t len); /* marks; hv/vm/vcpu.c kicks and waits */
    /* own CPU, before run: everything of this vCPU */
    void (*vcpu_tlb_flush)(struct vcpu *);
    /* What the engine can give a guest, before policy: x86 CPUID leaf and subleaf (the host's own
     * on vmx and svm) -> eax ebx ecx edx. Any CPU. NULL: no x86 guests, or only the baseline.
     * hv/guest/x86_64/cpuid.c masks it. */
    void (*features)(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);
    /*
     * Own CPU, before run: runs end at time_ns() >= ns or soon after, with percpu.wake set. NULL or
     * false: the host's timer has to see to it.
     */
    bool (*run_until)(struct vcpu *, uint64_t ns);
    /*
     * What only guests of one ISA ask of an engine (struct x86_engine ...); an engine of several
     * ISAs has a vcpu_ops for each that needs it. NULL: nothing
     */
    const void *isa_ops;
    /* Any CPU: some 0.2 ms old while it runs. NULL: the engine translates nothing */
    void (*counts)(const struct vcpu *, uint64_t counts[ENGINE_COUNTS]);
    /* bytes of the guest's overhead for each vCPU, beyond what other engines take */
    uint64_t overhead;
    /* Hz of the counter that guests read: vm.clock_hz. NULL: the host's (time_cycles_hz()) */
    uint64_t (*clock_hz)(void);
};
extern const struct vcpu_ops dbt_riscv64; /* the translator: hv/dbt/vcpu */
/* engines that belong to no host ISA, in order of preference: hv/guests.c; ends with NULL */
extern const struct vcpu_ops *const portable_engines[];
/*
 * The n-th of the engines that run guests of this ISA here, the best first; NULL: there are fewer.
 * After engines_init(), any CPU.
 */
const struct vcpu_ops *engine_for(enum isa guest, unsigned n);
/* The n-th of all, the same order. */
const struct vcpu_ops *engine_at(unsigned n);
bool engine_is_native(unsigned n); /* it is the host's own */
/* of guests that nothing says the ISA of: what the best engine runs. ISA_COUNT: there is none */
enum isa engine_default_isa(void);
/* main.c's boot step: probe, then cpu_enable everywhere. -ENOTSUP: none can be used */
int must_check engines_init(void);

/* CPU 0. Not running yet, of weight and CPUs as configured. -ENOMEM, or the engine's error. */
int must_check vcpu_create(struct vm *, uint32_t id, struct vcpu **);
/* CPU 0. Waits while a CPU runs it, as sched_remove() does. */
void vcpu_destroy(struct vcpu *);
/*
 * Any CPU, any context: sets the bits; makes the vCPU see them soon (wakes a blocked one, kicks a
 * running one).
 */
void vcpu_request(struct vcpu *, uint32_t reqs);
/*
 * From an exit: its vCPU does not run on before vcpu_wait_end(), which anybody may call; then it
 * must be woken by vcpu_request(). Its VM can be paused and stopped meanwhile.
 */
void vcpu_wait(void);
void vcpu_wait_end(struct vcpu *);
/*
 * As vcpu_request(v, REQ_IRQ), but a vCPU that runs is told by notify(v), and need not exit for it:
 * the interrupt was left where its CPU finds it by itself.
 */
void vcpu_notify(struct vcpu *, void (*notify)(struct vcpu *));
/*
 * This CPU's loop, with v picked by sched_pick(): runs it until it blocks, its slice ends or the
 * CPU has events; then sched_put()s it.
 */
void vcpu_run(struct vcpu *);
/*
 * Own CPU: leaves the guest's state in memory when this CPU still holds it (before another CPU
 * loads it).
 */
void vcpu_unload_remote(struct vcpu *);
/* This CPU runs v, from sched_pick() to sched_put(). */
static inline bool vcpu_is_here(const struct vcpu *v)
{
    return __atomic_load_n(&v->sched.state, __ATOMIC_RELAXED) == SCHED_RUNNING &&
           __atomic_load_n(&v->sched.cpu, __ATOMIC_RELAXED) == this_cpu()->id;
}
/*
 * It does, or no CPU does, or v is parked and about to leave another: nobody else may be using v's
 * state now. What "own CPU" asks for.
 */
static inline bool vcpu_is_own(const struct vcpu *v)
{
    return __atomic_load_n(&v->sched.state, __ATOMIC_RELAXED) != SCHED_RUNNING ||
           __atomic_load_n(&v->sched.cpu, __ATOMIC_RELAXED) == this_cpu()->id ||
           __atomic_load_n(&v->requests, __ATOMIC_ACQUIRE) & REQ_PARKED;
}
/*
 * Any CPU, from an exit too: spins until no CPU runs with translations older than this call. Locks
 * may be held: a CPU that is waited for takes none until it has left its guest, which is all that
 * is waited for.
 */
void vm_tlb_flush(struct vm *, gpa_t, uint64_t len);
/* The same of one vCPU that was asked by vcpu_request(v, REQ_TLB). */
void vcpu_flush_wait(struct vcpu *);

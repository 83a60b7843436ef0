/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest sees, chosen by the guest's ISA, never by the host's. All on the vCPU's own CPU
 * unless stated.
 */
#pragma once
#include <hv/config.h>
#include <hv/exit.h>
#include <hv/types.h>
#include <hv/vintc.h>
struct vm;
struct vcpu;
struct state_ops;
struct state_pages;
#define BUILD_WAITS 0x10000
struct guest_ops {
    enum isa isa;
    uint32_t vcpus_max; /* at most MAX_VCPUS */
    /*
     * CPU 0, vCPUs exist in reset state, RAM is mapped and zeroed: devices, regions, tables, kernel
     * in memory, boot vCPU's registers. On error sets vm->why.
     */
    int (*build)(struct vm *, const struct guest_config *);
    /*
     * optional; CPU 0, after build, before a vCPU may run: > 0: call it again from another event,
     * or, BUILD_WAITS, once somebody has posted vm->lifecycle; 0: the guest can start; -Exxx
     */
    int (*build_more)(struct vm *);
    /* CPU 0: makes the devices stand still. 0, or -EINPROGRESS: one still works; ask again. */
    int (*quiesce)(struct vm *);
    /* CPU 0, no vCPU runs: frees all that build made; also after a failed build */
    void (*destroy)(struct vm *);
    /*
     * CPU 0, after destroy: frees what outlives a reset (the contents of disks), a piece at each
     * call. True: there is more.
     */
    bool (*release)(struct vm *);
    /* gmem_add_ram calls, before build */
    int (*ram_layout)(struct vm *, const struct guest_config *);
    int (*vcpu_init)(struct vcpu *);
    void (*vcpu_fini)(struct vcpu *);
    /*
     * Each returns 0: handled, go on (the pc was advanced or a fault is in v->event); -Exxx: the
     * guest cannot go on, kill it (vm->why says why).
     */
    /*
     * EXIT_MEM to no RAM (mem.decoded: perhaps to RAM after all), string EXIT_PIO: decode,
     * io_dispatch, complete
     */
    int (*emulate)(struct vcpu *, struct vcpu_exit *);
    int (*pio)(struct vcpu *, struct vcpu_exit *); /* plain IN/OUT */
    int (*sysreg)(struct vcpu *, struct vcpu_exit *);
    /* VMCALL/VMMCALL, HVC/SMC (PSCI), ECALL (SBI) */
    int (*call)(struct vcpu *, struct vcpu_exit *);
    /* advances pc, sets v->mp = MP_HALTED; HLT with interrupts off for ever is legal */
    int (*halt)(struct vcpu *, struct vcpu_exit *);
    void (*shutdown)(struct vcpu *); /* optional: EXIT_SHUTDOWN; without it the machine is reset */
    /* EXIT_ISA_0 and on, as far as engines of this ISA make them */
    struct guest_exit {
        const char *name; /* for people */
        int (*handle)(struct vcpu *, struct vcpu_exit *);
    } exits[EXIT_ISAS];
    void (*request)(struct vcpu *); /* REQ_GUEST: INIT, SIPI, clock pages ... */
    /*
     * optional: the CPU turns to another vCPU, or v is about to run again: the PV "preempted" flag
     */
    void (*off_cpu)(struct vcpu *, bool off);
    void (*resumed)(struct vm *);     /* CPU 0, after a pause: clocks */
    int (*power_button)(struct vm *); /* CPU 0; -ENOTSUP: guest does not listen */
    int (*screenshot)(struct vm *);   /* optional; see <hv/screen.h> */
    /* halted: is there something to wake for (deliverable irq, NMI) */
    bool (*wakeable)(struct vcpu *);
    const struct vintc_ops *vintc;
    /* what an engine of this ISA asks of the guest's side (struct arm_calls); NULL: nothing */
    const void *engine_calls;
    /* <hv/state.h>: the machine's objects; ends with NULL */
    const struct state_ops *const *state;
    /* the same: memory beside RAM; NULL: none */
    const struct state_pages *const *pages;
};
extern const struct guest_ops guest_x86, guest_arm, guest_riscv;
/* hv/guests.c; end with NULL */
extern const struct guest_ops *const guest_isas[];
const struct guest_ops *guest_ops_for(enum isa); /* NULL: not built in */

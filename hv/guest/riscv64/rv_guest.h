/* SPDX-License-Identifier: BSD-2-Clause */
/* A riscv64 guest of Trivet: between the files that put the portable machine into a VM. */
#pragma once
#include <hv/event.h>
#include <hv/lock.h>
#include <hv/rv_machine.h>
#include <hv/rv_vcpu.h>
#include <hv/vm.h>

struct rv_load;

#define RVG_RANGES 8 /* of devices */
/* The map beside <hv/rv_machine.h>'s: QEMU's "virt" board, but for the window above 4 GiB. */
#define RVG_ECAM 0x30000000ull /* PCI segment 0, bus 0 */
#define RVG_MMIO32 0x40000000ull
#define RVG_MMIO32_LEN 0x40000000ull
#define RVG_MMIO64 0x4000000000ull /* 256 GiB: above all RAM */
#define RVG_MMIO64_LEN 0x1000000000ull
#define RVG_INTA 32 /* .. 35: sources of the PLIC */

/* vm.guest */
struct rv_guest {
    struct vm *vm;
    /*
     * LOCK_VINTC: the machine's devices and SBI. Without it: RAM, and of a hart what its own CPU or
     * anybody may touch (<hv/rv_hart.h>).
     */
    struct spinlock lock;
    struct rv_machine m;
    struct event rx; /* CPU 0: there is input */
    bool listening;
    bool held;      /* under lock: the VM stands still, input stays in the console */
    uint32_t fence; /* under lock: the harts that SBI's call is to fence, a bit each */
    /* under lock: where SBI starts a hart, which takes it from there */
    struct rv_entry {
        bool there;
        uint64_t pc, a1;
    } entry[RVM_HARTS];
    unsigned nranges;
    struct rv_range {
        struct rv_guest *g;
        uint64_t base;
    } range[RVG_RANGES]; /* registered */
    struct rv_load *load;
};
static inline struct rv_guest *rv_guest_of(const struct vm *vm) { return vm->guest; }

/* Any CPU: every hart's compiled code may be out of date, from its next FENCE.I on. */
static inline void rv_device_wrote(const struct vm *vm)
{
    for (uint32_t n = 0; n < vm->nvcpus; n++)
        __atomic_store_n(&rv_shared_of(vm->vcpu[n])->device_wrote, 1, __ATOMIC_RELEASE);
}

/* vcpu.guest */
struct rv_vcpu {
    struct vcpu *v;
    struct event timer; /* while it is halted */
};
static inline struct rv_vcpu *rv_vcpu_of(const struct vcpu *v) { return v->guest; }

/* Any CPU: the machine may have ended by what was just done. */
void rv_look(struct vm *);

/* state.c: for guest_ops */
struct state_ops;
struct state_pages;
extern const struct state_ops *const rv_states[];
extern const struct state_pages *const rv_pages[];

/* build.c: for guest_ops */
int must_check rv_ram_layout(struct vm *, const struct guest_config *);
int must_check rv_build(struct vm *, const struct guest_config *);
int must_check rv_build_more(struct vm *);
void rv_destroy(struct vm *);

/*
 * boot.c: firmware, kernel, initrd and device tree of a VM, in pieces. A load is made for one
 * start. > 0: call it again, from another event; 0: all is there, and the harts that begin are
 * started; -Exxx with vm->why.
 */
struct rv_load *rv_load_new(struct rv_guest *, const struct guest_config *); /* NULL: no memory */
int must_check rv_load_step(struct rv_load *);
void rv_load_end(struct rv_guest *); /* harmless when there is none */

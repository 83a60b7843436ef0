/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A riscv64 hart that runs: its state, its view of memory, and the machine around it. What the
 * interpreter and compiled code share. One thread or CPU runs a hart; others may only call
 * rv_set_mip and rv_clear_mip.
 */
#ifndef HV_RV_HART_H
#define HV_RV_HART_H

#include <hv/dbt_mem.h>
#include <hv/riscv64.h>

struct rv_hart;

/* The machine's side. `owner` is rv_hart.owner; called from the thread that runs the hart. */
struct rv_machine_ops {
    /* Memory: see struct dbt_mem_ops. watched and stored may be NULL. */
    uint8_t *(*ram)(void *owner, uint64_t pa);
    bool (*read)(void *owner, struct rv_hart *h, uint64_t pa, unsigned size, uint64_t *value);
    bool (*write)(void *owner, struct rv_hart *h, uint64_t pa, unsigned size, uint64_t value);
    bool (*watched)(void *owner, uint64_t pa);
    void (*stored)(void *owner, uint64_t pa, unsigned size);
    /* mtime, in ticks of the device tree's timebase-frequency. */
    uint64_t (*time)(void *owner);
    /* ECALL from S-mode: true: answered, as firmware would have; go on behind it. NULL: to M-mode,
     * always. */
    bool (*ecall)(void *owner, struct rv_hart *h);
    /* FENCE.I; NULL: nothing to do. */
    void (*fence_i)(void *owner, struct rv_hart *h);
    /*
     * At FENCE.I: may somebody else than this hart, another one or a device, have written
     * instructions since this was asked last? NULL: nobody does.
     */
    bool (*others_wrote)(void *owner);
    /*
     * What compiled code relied on has changed: satp, SFENCE.VMA. page: only the mapping of the
     * address that it points to; NULL: any. remapped NULL: nothing to do.
     */
    void (*remapped)(void *owner, struct rv_hart *h, const uint64_t *page);
};

#define RV_DECODED_BITS 13
#define RV_DECODED \
    (1u << RV_DECODED_BITS) /* decoded instructions that are remembered, by their bits */

struct rv_hart {
    struct rv_cpu cpu; /* first: byte offsets into it are compiled into code */
    /* Not 0: look for interrupts before the next instruction, or stop. Atomic: any thread may set
     * it. */
    uint32_t attention;
    uint32_t stop; /* the machine wants rv_interpret to return; atomic */
    uint64_t next; /* pc after the instruction that runs */
    bool trapped;  /* it did not retire */
    /*
     * Set by read() and write() of the machine that return false: no fault, the access is to be
     * tried again. The instruction does not retire; with `stop`, the caller sees to it first.
     */
    bool again;
    const struct rv_machine_ops *machine;
    void *owner;
    struct dbt_mem mem;
    struct rv_insn decoded[RV_DECODED];
};

/* Everything zero but what reset defines (volume II, 3.4): M-mode at pc. */
void rv_hart_init(struct rv_hart *h, const struct rv_machine_ops *machine, void *owner,
                  uint64_t hartid);
void rv_reset(struct rv_hart *h, uint64_t pc);

/* To be called after cpu was written from outside (a restore, a loader): what is derived from it is
 * made new. */
void rv_changed(struct rv_hart *h);

/*
 * What a hart is, to be put back later, here or elsewhere. Interrupts that come from the controller
 * or a timer are left out, for these to raise again; an LR's reservation is lost, as it may be at
 * any time (A, 8.2).
 */
void rv_hart_save(const struct rv_hart *h, struct rv_cpu *to);
/* Could that have been saved of hart `hartid`? Else it must not be restored. */
bool rv_hart_valid(const struct rv_cpu *c, uint64_t hartid);
/* As rv_changed() afterwards; then the machine's rvm_restore(), and rvm_timers(). */
void rv_hart_restore(struct rv_hart *h, const struct rv_cpu *from);

/* To be called after dbt_mem_forget() from outside: selects again. */
void rv_refresh(struct rv_hart *h);
/* SFENCE.VMA of one address, for every address space. False: everything was forgotten. */
bool rv_forget_page(struct rv_hart *h, uint64_t va);

/* Any thread: raises or clears bits of mip. SEIP is the controller's line, apart from software's
 * bit. */
/* True: one was not there before. */
bool rv_set_mip(struct rv_hart *h, uint64_t bits);
void rv_clear_mip(struct rv_hart *h, uint64_t bits);

/* Sstc and mtimecmp: call when time has passed; sets or clears STIP. The time at which that matters
 * next, UINT64_MAX: never. */
void rv_timer(struct rv_hart *h);

/* Is an interrupt pending that is enabled in mie, whatever mstatus says: what ends WFI. */
bool rv_wakes(struct rv_hart *h);

/* Enters the trap handler of M or S mode: volume II, 3.1.6 to 3.1.8. Sets h->next and epc from
 * cpu.pc. */
void rv_trap(struct rv_hart *h, uint64_t cause, uint64_t tval);

/* Is there an interrupt to be taken before the next instruction? */
bool rv_interrupt_due(const struct rv_hart *h);
/* Takes the interrupt that is due, if any: pc is then the handler's. */
bool rv_interrupt(struct rv_hart *h);

/* A fault of memory as the trap it is: what compiled code calls when an access failed. */
void rv_memory_trap(struct rv_hart *h, enum dbt_fault fault, enum dbt_access access);

/*
 * What an LR, SC or AMO (enum rv_op) does at va with rs2's value `operand`; *result: rd's. On a
 * fault nothing was done.
 */
enum dbt_fault rv_atomic(struct rv_hart *h, unsigned op, uint64_t va, uint64_t operand,
                         uint64_t *result);
/* How its fault is called. */
static inline enum dbt_access rv_atomic_access(unsigned op)
{
    return op == RV_LR_W || op == RV_LR_D ? DBT_LOAD : DBT_STORE;
}

/*
 * Runs one decoded instruction at cpu.pc: also what compiled code calls for what it does not
 * translate. Afterwards cpu.pc is that of the next one, or of a trap's handler (false).
 */
bool rv_execute(struct rv_hart *h, const struct rv_insn *insn);

/* The instruction at cpu.pc; false: fetching trapped, and pc is the handler's. */
bool rv_fetch(struct rv_hart *h, struct rv_insn *insn);

/*
 * Interprets up to `budget` instructions; returns how many it ran. Returns early in WFI
 * (cpu.waiting is 1 then) and when h->stop is set.
 */
uint64_t rv_interpret(struct rv_hart *h, uint64_t budget);

#endif

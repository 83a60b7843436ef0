/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine around riscv64 harts, as a guest sees it: RAM, ACLINT, PLIC, 16550, syscon, device
 * tree and, where no firmware is brought, SBI 2.0. Portable, and without a thread of its own: one
 * caller at a time, but for a hart's timers and registers, which are its own thread's.
 */
#ifndef HV_RV_MACHINE_H
#define HV_RV_MACHINE_H

#include <hv/rv_fence.h>
#include <hv/types.h>
#include <hv/uart16550.h>

/* The map: QEMU's "virt" board. */
enum {
    RVM_SYSCON = 0x100000,
    RVM_ACLINT = 0x2000000, /* MSWI, MTIMER */
    RVM_SSWI = 0x2f00000,
    RVM_PLIC = 0xc000000,
    RVM_UART = 0x10000000,
};
#define RVM_RAM 0x80000000ull
#define RVM_HARTS 8
#define RVM_TIMEBASE 10000000u /* Hz of mtime */
#define RVM_SOURCES 64         /* of the PLIC; 0 is none */
#define RVM_UART_IRQ 10

struct rvm_plic_state {
    uint32_t version, pad;
    uint64_t line, pending, active; /* a bit for each source */
    uint32_t priority[RVM_SOURCES]; /* 0 to 7 */
    uint64_t enable[2 * RVM_HARTS]; /* contexts: M and S of hart 0, of hart 1, ... */
    uint32_t threshold[2 * RVM_HARTS];
};
static_assert(sizeof(struct rvm_plic_state) == 480, "a saved state");

struct rvm_aclint_state {
    uint32_t version, pad;
    uint64_t mtimecmp[RVM_HARTS];
};
static_assert(sizeof(struct rvm_aclint_state) == 72, "a saved state");

enum rvm_end { RVM_RUNS, RVM_POWEROFF, RVM_RESET, RVM_FAILED };
enum rvm_hart { RVM_STARTED, RVM_STOPPED }; /* SBI's numbers, HSM */

/* The world outside. */
struct rvm_host {
    void (*put)(void *ctx, const char *s, size_t n);
    size_t (*get)(void *ctx, char *to, size_t room);
    uint64_t (*time)(void *ctx); /* ticks of RVM_TIMEBASE, never back */
    /* The rest may be NULL: where one thread runs all harts. Called within the machine's functions.
     */
    void (*wake)(void *ctx, unsigned n); /* hart n has an interrupt that it had not */
    /*
     * SBI starts hart n, which reads its instructions anew: in place of rvm_start(), which is for
     * the hart's own thread.
     */
    void (*start)(void *ctx, unsigned n, uint64_t pc, uint64_t a1);
    /*
     * SBI's remote fence of hart n, which is to be over before the hart that asked goes on. NULL:
     * of instructions that were read.
     */
    void (*fence)(void *ctx, unsigned n, const struct rv_fence *f);
};

/* A PCI host bridge of ECAM, bus 0, that somebody else is behind: for the device tree. */
struct rvm_pci {
    uint64_t ecam, ecam_bytes, mmio32, mmio32_bytes, mmio64, mmio64_bytes;
    uint32_t inta; /* PLIC source of INTA; INTB to INTD follow */
};

#define RVM_SEED 8
struct rv_machine {
    uint8_t *ram; /* ram_size bytes at RVM_RAM, a multiple of a page; the caller's */
    uint64_t ram_size;
    struct rv_hart *hart[RVM_HARTS]; /* the caller's memory */
    unsigned harts;
    bool sbi; /* harts begin in S-mode, and ECALL is answered here */
    const struct rvm_host *host;
    void *ctx;
    const struct rvm_pci *pci; /* NULL: none */
    const uint64_t *seed;      /* RVM_SEED random words for its kernel; NULL: none */
    enum rvm_end end;
    uint32_t exit_code; /* what the guest said at its end */
    uint32_t hart_state[RVM_HARTS];
    struct uart16550 uart;
    struct rvm_plic_state plic;
    struct rvm_aclint_state aclint;
};

/*
 * What a machine is beside its RAM and its harts, to be put back later, here or elsewhere: into one
 * made from the same settings.
 */
#define RVM_STATE_VERSION 1
struct rvm_state {
    uint32_t version, harts;
    uint32_t sbi, end; /* 0 or 1; enum rvm_end */
    uint32_t exit_code, zero;
    uint32_t hart_state[RVM_HARTS]; /* enum rvm_hart */
    struct rvm_plic_state plic;
    struct rvm_aclint_state aclint;
    struct uart16550_state uart;
    uint32_t zero1;
};
static_assert(sizeof(struct rvm_state) == 648, "a saved state");
void rvm_save(const struct rv_machine *m, struct rvm_state *to);
/* Could that have been saved of such a machine? Else it must not be restored. */
bool rvm_valid(const struct rv_machine *m, const struct rvm_state *s);
/* After rv_hart_restore() of all harts; nobody is woken. */
void rvm_restore(struct rv_machine *m, const struct rvm_state *s);

/* ram, ram_size, harts, hart[], sbi, host, ctx, pci and seed are set by the caller; the rest is
 * made here. */
void rvm_init(struct rv_machine *m);
/* The same for a caller that has made the harts itself, with a struct rv_machine_ops of its own. */
void rvm_devices_init(struct rv_machine *m);
/* A device's register, naturally aligned; false: nothing there. */
bool rvm_read(struct rv_machine *m, uint64_t pa, unsigned size, uint64_t *value);
bool rvm_write(struct rv_machine *m, uint64_t pa, unsigned size, uint64_t value);
/* The n-th range of devices; false: there are fewer. */
bool rvm_range(unsigned n, uint64_t *base, uint64_t *bytes);
/* SBI's answer to an ECALL from S-mode by hart h: its registers a0 and a1. */
void rvm_sbi(struct rv_machine *m, struct rv_hart *h);

/* Hart n begins at pc, in S-mode with SBI and M-mode without; a0 and a1 as given. */
void rvm_start(struct rv_machine *m, unsigned n, uint64_t pc, uint64_t a0, uint64_t a1);

/*
 * Puts Image (booting.rst of the kernel), initrd and device tree in RAM and starts hart 0. 0, or -1
 * when they do not fit or are not what they should be.
 */
struct rvm_files {
    const void *kernel, *initrd, *firmware;
    size_t kernel_size, initrd_size, firmware_size;
    const char *append;
};
int must_check rvm_load_linux(struct rv_machine *m, const struct rvm_files *files);
/*
 * A guest with firmware: that is at RVM_RAM, what it starts (a kernel of any kind, or none) at
 * RVM_NEXT, where OpenSBI's fw_jump looks for it.
 */
#define RVM_NEXT (RVM_RAM + 0x200000)
#define RVM_FDT_ROOM 0x10000u /* bytes for a device tree */
/* Sizes in RAM, whatever they are; `next`: with what a kernel clears. 0: there is none. */
struct rvm_bytes {
    uint64_t firmware, next, initrd;
};
struct rvm_places {
    uint64_t fdt, initrd;
};
/* False: no room. */
bool must_check rvm_firmware_places(struct rv_machine *m, const struct rvm_bytes *,
                                    struct rvm_places *);
/*
 * All is in RAM, the device tree at a place from above. All harts begin in M-mode, as QEMU's board
 * has it: a0 is a hart's number, a1 the device tree, a2 OpenSBI's struct fw_dynamic_info, which is
 * made here. next: there is something at RVM_NEXT.
 */
void rvm_firmware_start(struct rv_machine *m, uint64_t fdt, bool next);
/* The same in one, from files. 0, or -1: no room. */
int must_check rvm_load_firmware(struct rv_machine *m, const struct rvm_files *files);
/* Writes the device tree at `at`, at most `room` bytes; its length or -1. */
int must_check rvm_fdt(const struct rv_machine *m, void *at, size_t room, const char *append,
                       uint64_t initrd, uint64_t initrd_end);

/* Before each turn of a hart: timers, interrupts, input. */
void rvm_poll(struct rv_machine *m, unsigned n);
/* The timers of it, from the hart's own thread. */
void rvm_timers(struct rv_machine *m, unsigned n);
/* mtime at which a timer of hart n is due whose interrupt does not pend yet; UINT64_MAX: none. */
uint64_t rvm_hart_timer(const struct rv_machine *m, unsigned n);
/* The same for any hart. */
uint64_t rvm_next_timer(const struct rv_machine *m);

/* The line of a PLIC source. */
void rvm_irq(struct rv_machine *m, unsigned source, bool up);

/* struct rv_machine_ops of a machine; owner: struct rv_machine. */
extern const struct rv_machine_ops rvm_ops;

#endif

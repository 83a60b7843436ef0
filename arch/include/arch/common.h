/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What arch/common has for every ISA that runs Trivet, and what it wants of that ISA. Only arch/
 * includes this; the fakes of arch/host need none of it.
 */
#pragma once
#include <hv/percpu.h>
#include <hv/pt.h>
#include <hv/types.h>
struct boot_info;

/* ---- mmu.c: the hypervisor's own address space, apart from the format of its tables ---- */

/*
 * Of the ISA: where the parts lie. The heap and the window for devices are 64 GiB each, stacks 64
 * KiB apart.
 */
struct mmu_layout {
    uint64_t direct, devices, heap, stacks;
};
extern const struct mmu_layout mmu_layout;
#define MMU_WINDOW (64 * GIB)
#define MMU_VA_MASK 0x0000ffffffffffffull /* of a virtual address, what the walker sees */

/*
 * Where a view has its guest's RAM, on every ISA: the guest's address plus this. Nothing of
 * Trivet's lies near.
 */
#define MMU_VIEW_BASE 0x0000100000000000ull
#define MMU_VIEW_SIZE 0x0000200000000000ull
/*
 * Of the ISA: the format of a view's root and of the guest's part of it, whose translations are not
 * kept when another view is loaded.
 */
const struct pt_format *mmu_view_format(void);
uint64_t mmu_view_root(hpa_t root, uint32_t id); /* what the CPU's register takes */

/* The tables: of mmu_build(). Before that, root is 0. */
extern struct pt mmu_host;

/*
 * Of the ISA: pt_map() in mmu_host, seen by every CPU afterwards. All in bytes; only holes are
 * filled. Boot CPU or under the caller's lock. -EINVAL: an address that this CPU does not have;
 * -ENOMEM; -ENOSPC: not before mmu_build().
 */
int must_check mmu_map(uint64_t va, uint64_t pa, uint64_t len, unsigned prot, enum memtype);

/* Where RAM and the image are. Boot CPU, once, before anything else here. */
void mmu_know(const struct boot_info *);
/*
 * Boot CPU, once. Maps RAM and the image into new tables of that format, W^X. The caller loads
 * them. -ENOMEM, -ENOSPC (no room for mappings), -EINVAL (memory that is not whole pages); logged.
 */
int must_check mmu_build(const struct pt_format *);
uint64_t mmu_root(void);               /* physical; any CPU, constant after mmu_build() */
uint64_t mmu_image_phys(const void *); /* physical, of anything in the image; any CPU */
/*
 * For a panic: in words, whose memory it is that is not mapped at `va`; "" if that is not the
 * reason.
 */
const char *mmu_explain(uint64_t va);

/*
 * ---- protect.c ----
 * Proves at each boot that the page tables protect what they should, by trying.
 */

enum probe { PROBE_READ, PROBE_WRITE, PROBE_EXEC };
/* Of the ISA (entry.S): true when the access faults. Boot CPU only, before the others run. */
bool arch_probe(enum probe, const void *at);
extern uint8_t arch_a_return[]; /* a function that only returns, at most 8 bytes */
/* True: it faults, as it must; else an error is logged. */
bool must_fault(enum probe, const void *at, const char *what);
/*
 * Boot CPU, after the tables are loaded, before the others run. -EFAULT: something can be done that
 * must not; it is logged.
 */
int must_check protection_check(void);

/* ---- checks.c: what the compiler's checks end in ---- */

/*
 * Boot CPU, called by entry.S while no C function is active: at its end a function compares with
 * what it found at its beginning.
 */
void stack_guard_init(void);
/*
 * For exception handlers: a trap that the compiler put into the code. kind: clang's number of the
 * check, below CHECK_KINDS, or CHECK_GCC, for gcc gives none.
 */
_Noreturn void check_failed(unsigned kind, uint64_t pc, uint64_t fp, const char *registers);
#define CHECK_KINDS 25u
#define CHECK_GCC 0x100u

/* ---- clock.c: from a counter of constant frequency to nanoseconds ---- */

/* Of the ISA: time_cycles(), and time_ns() = clock_ns(the counter, read in order). */
struct host_clock {
    uint64_t hz, base, ns_mult, cycles_mult;
};
extern struct host_clock host_clock; /* written by the two functions below only */

/* v * mult >> 32 in 128 bits: exact to 1 ns in days. */
static inline uint64_t clock_scale(uint64_t v, uint64_t mult)
{
    return (uint64_t)((unsigned __int128)v * mult >> 32);
}

/* The factor from a count at `from` Hz to one at `to` Hz; 0 when `from` is. */
static inline uint64_t clock_mult(uint64_t to, uint64_t from)
{
    return from ? (uint64_t)(((unsigned __int128)to << 32) / from) : 0;
}

/* The counter's value as time_ns() has it. Any CPU, any context; 0 until clock_set_hz(). */
static inline uint64_t clock_ns(uint64_t cycles)
{
    return clock_scale(cycles - host_clock.base, host_clock.ns_mult);
}

#define NS_PER_S 1000000000ull
void clock_set_base(uint64_t cycles); /* where time_ns() is 0. Boot CPU, first */
void clock_set_hz(uint64_t hz);       /* 0: none is known, and time_ns() stays 0 */

/* ---- smp.c: one CPU after the other comes up. On the boot CPU: ---- */

/* percpus[cpu_count] and a stack for it; the caller fills in hw_id and `arch`. NULL: no memory. */
struct percpu *ap_prepare(void);
void ap_expect(void);          /* right before the CPU is told to start */
bool ap_answered(uint64_t ns); /* waits for ap_arrive() at least so long, in nanoseconds */
/* false: it came at the last moment. After true it halts if it ever comes; its stack stays */
bool ap_give_up(void);
void ap_go(void);                  /* it counts from now on, and runs */
#define AP_ANSWER_NS 1000000000ull /* a CPU that needs longer is left out */
/*
 * On the new CPU: this_cpu() works; waits for ap_go(). Does not return to a CPU that was given up.
 */
void ap_arrive(void);

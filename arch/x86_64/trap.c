/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trap.c: where every exception and interrupt arrives. An exception in the hypervisor is a bug: it
 * ends in panic().
 */
#include <arch/common.h>

#include <hv/panic.h>
#include <stdio.h>
#include <string.h>

#include "mca.h"
#include "private.h"

#define VEC_NMI 2
#define VEC_UD 6
#define VEC_PF 14
#define VEC_MC 18

/* entry.S: a probe of memory protection is under way. */
extern uint64_t x86_probe_sp;
extern const uint8_t x86_probe_fault[];
extern const uint8_t __text_start[], __text_end[];

static const char *const names[32] = {
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound range",
    "#UD invalid opcode",
    "#NM device not available",
    "#DF double fault",
    "exception 9",
    "#TS invalid TSS",
    "#NP segment not present",
    "#SS stack",
    "#GP general protection",
    "#PF page fault",
    "exception 15",
    "#MF x87",
    "#AC alignment check",
    "#MC machine check",
    "#XF SIMD",
    "#VE virtualization",
    "#CP control protection",
    "exception 22",
    "exception 23",
    "exception 24",
    "exception 25",
    "exception 26",
    "exception 27",
    "#HV hypervisor injection",
    "#VC VMM communication",
    "#SX security",
    "exception 31",
};

/*
 * gcc traps with UD2, clang with UD1 and the number of the check as displacement. False: neither.
 */
static bool is_check(const struct x86_frame *f, unsigned *kind)
{
    static const uint8_t ud2[2] = { 0x0f, 0x0b }, ud1[4] = { 0x67, 0x0f, 0xb9, 0x40 };
    uint64_t start = (uint64_t)__text_start;
    const uint8_t *at = __text_start + (f->rip - start);

    if (f->vector != VEC_UD ||
        !range_within(f->rip, sizeof ud1 + 1, start, (uint64_t)__text_end - start))
        return false;
    *kind = memcmp(at, ud1, sizeof ud1) == 0 ? at[4] : CHECK_GCC;
    return *kind != CHECK_GCC || memcmp(at, ud2, sizeof ud2) == 0;
}

/* more: behind the rest of the line. */
static _Noreturn void fatal(const struct x86_frame *f, const char *more)
{
    /* one CPU at most gets past panic_at()'s door; the others' text does not matter */
    static char text[800];
    unsigned long long const r[] = { f->rax, f->rbx,     f->rcx,     f->rdx,     f->rsi,
                                     f->rdi, f->rbp,     f->rsp,     f->r8,      f->r9,
                                     f->r10, f->r11,     f->r12,     f->r13,     f->r14,
                                     f->r15, read_cr0(), read_cr2(), read_cr3(), read_cr4() };
    static const char *const reg[] = { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp",
                                       "rsp", "r8 ", "r9 ", "r10", "r11", "r12", "r13",
                                       "r14", "r15", "cr0", "cr2", "cr3", "cr4" };
    size_t n = 0;

    static_assert(ARRAY_SIZE(r) == ARRAY_SIZE(reg) && ARRAY_SIZE(r) * 22 < sizeof text,
                  "register dump");
    for (size_t i = 0; i < ARRAY_SIZE(r); i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s %016llx%c", reg[i], r[i],
                              i % 4 == 3 ? '\n' : ' ');
    unsigned kind;
    if (is_check(f, &kind))
        check_failed(kind, f->rip, f->rbp, text);
    panic_at(f->rip, f->rbp, text, "%s, error code %llx, at %016llx, flags %llx%s%s",
             names[f->vector], (unsigned long long)f->error, (unsigned long long)f->rip,
             (unsigned long long)f->rflags, f->vector == VEC_PF ? mmu_explain(read_cr2()) : "",
             more);
}

static void machine_check(const struct x86_frame *f)
{
    char words[MC_WORDS + 2] = ": ";

    if (!mca_survives(words + 2))
        fatal(f, words);
}

void x86_trap(struct x86_frame *f)
{
    if (f->vector == VEC_NMI)
        x86_nmi();
    else if (f->vector == VEC_PF && x86_probe_sp)
        f->rip = (uint64_t)x86_probe_fault;
    else if (f->vector == VEC_MC)
        machine_check(f);
    else if (f->vector < 32)
        fatal(f, "");
    else
        irq_dispatch((uint32_t)f->vector);
}

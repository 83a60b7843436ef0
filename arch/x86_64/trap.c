/* trap.c: where every exception and interrupt arrives. An exception in the hypervisor is a bug: it ends in panic(). */
#include <hv/log.h>
#include <hv/panic.h>

#include "private.h"

#define VEC_NMI 2

static const char *const names[32] = {
    "#DE divide error", "#DB debug", "NMI", "#BP breakpoint", "#OF overflow", "#BR bound range", "#UD invalid opcode",
    "#NM device not available", "#DF double fault", "exception 9", "#TS invalid TSS", "#NP segment not present",
    "#SS stack", "#GP general protection", "#PF page fault", "exception 15", "#MF x87", "#AC alignment check",
    "#MC machine check", "#XF SIMD", "#VE virtualization", "#CP control protection", "exception 22", "exception 23",
    "exception 24", "exception 25", "exception 26", "exception 27", "#HV hypervisor injection", "#VC VMM communication",
    "#SX security", "exception 31",
};

static void registers(const struct x86_frame *f)
{
    log_err("rax %016llx rbx %016llx rcx %016llx rdx %016llx", (unsigned long long)f->rax, (unsigned long long)f->rbx,
            (unsigned long long)f->rcx, (unsigned long long)f->rdx);
    log_err("rsi %016llx rdi %016llx rbp %016llx rsp %016llx", (unsigned long long)f->rsi, (unsigned long long)f->rdi,
            (unsigned long long)f->rbp, (unsigned long long)f->rsp);
    log_err("r8  %016llx r9  %016llx r10 %016llx r11 %016llx", (unsigned long long)f->r8, (unsigned long long)f->r9,
            (unsigned long long)f->r10, (unsigned long long)f->r11);
    log_err("r12 %016llx r13 %016llx r14 %016llx r15 %016llx", (unsigned long long)f->r12, (unsigned long long)f->r13,
            (unsigned long long)f->r14, (unsigned long long)f->r15);
    log_err("cr0 %llx cr2 %llx cr3 %llx cr4 %llx flags %llx cs %llx ss %llx", (unsigned long long)read_cr0(),
            (unsigned long long)read_cr2(), (unsigned long long)read_cr3(), (unsigned long long)read_cr4(),
            (unsigned long long)f->rflags, (unsigned long long)f->cs, (unsigned long long)f->ss);
}

static _Noreturn void fatal(const struct x86_frame *f)
{
    const char *sym = "?";
    uint64_t off = 0;

    (void)symbol_lookup(f->rip, &sym, &off);
    registers(f);
    panic("%s, error code %llx, at %016llx %s+0x%llx, cr2 %016llx", names[f->vector], (unsigned long long)f->error,
          (unsigned long long)f->rip, sym, (unsigned long long)off, (unsigned long long)read_cr2());
}

void x86_trap(struct x86_frame *f)
{
    if (f->vector == VEC_NMI)
        x86_nmi();
    else if (f->vector < 32)
        fatal(f);
    else
        irq_dispatch((uint32_t)f->vector);
}

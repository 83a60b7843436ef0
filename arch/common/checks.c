/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checks.c: where the compiler's checks end (build.ninja: harden_gcc, harden_clang). An array index
 * out of bounds runs into a trap, a function whose stack was overwritten calls __stack_chk_fail().
 * Both end in a panic that says where.
 */
#include <arch/common.h>
#include <arch/cpu.h>

#include <hv/panic.h>
#include <hv/time.h>

/* The names that gcc and clang give them. */
extern uint64_t __stack_chk_guard;
_Noreturn void __stack_chk_fail(void);

uint64_t __stack_chk_guard;

/*
 * The lowest byte is 0, so that an overrun by a string cannot restore it. A function that changes
 * the guard cannot be guarded by it: at its end it would find the new one.
 */
__attribute__((no_stack_protector)) void stack_guard_init(void)
{
    uint64_t word = 0;
    const char *name;

    (void)arch_entropy(&word, 1, &name);
    __stack_chk_guard = (word ^ time_cycles()) << 8;
}

struct place {
    const char *name;
    unsigned long long offset;
};

static struct place checks_place_of(uint64_t pc)
{
    const char *name;
    uint64_t offset;

    if (symbol_lookup(pc, &name, &offset))
        return (struct place){ name, offset };
    return (struct place){ "", pc };
}

/* The call is the function's last instruction: what it would return to may be another function. */
_Noreturn void __stack_chk_fail(void)
{
    struct place p = checks_place_of((uint64_t)__builtin_return_address(0) - 1);

    panic("stack check failed at %s+%#llx: something wrote beyond an array on the stack", p.name,
          p.offset);
}

/* What clang numbers (LLVM 14, SanitizerHandler). gcc has one trap for all. */
static const char *const kinds[CHECK_KINDS] = {
    [1] = "unreachable code check",
    [11] = "missing return check",
    [18] = "bounds check",
    [24] = "array length check",
};

_Noreturn void check_failed(unsigned kind, uint64_t pc, uint64_t fp, const char *registers)
{
    struct place p = checks_place_of(pc);
    /* nearly all are */
    const char *what = kind < CHECK_KINDS && kinds[kind] ? kinds[kind] : "bounds check";

    panic_at(pc, fp, registers, "%s failed at %s+%#llx", what, p.name, p.offset);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* panic.c: the end, told in words. Nothing here takes a lock or allocates. */
#include <arch/cpu.h>
#include <hv/kept.h>
#include <hv/lock.h>
#include <hv/panic.h>
#include <hv/percpu.h>
#include <stdarg.h>
#include <stdio.h>

/*
 * The table that hv/core/symbols.awk makes: offsets from __text_start, sorted, and where each name
 * begins.
 */
extern const char __text_start[], __text_end[];
extern const uint32_t symbol_count, symbol_offsets[], symbol_names[];
extern const char symbol_strings[];

#define FRAMES_MAX 32
/* a frame further away than this is no frame of the same stack */
#define FRAME_REACH (64 * KIB)

static uint32_t panics;      /* how many times panic() was entered, by whichever CPU */
static panic_writer *writer; /* NULL: nobody can be told */

bool symbol_lookup(uint64_t addr, const char **name, uint64_t *offset)
{
    uint64_t base = (uint64_t)(uintptr_t)__text_start, lo = 0, hi = symbol_count;

    if (!symbol_count || addr < base || addr >= (uint64_t)(uintptr_t)__text_end ||
        addr - base < symbol_offsets[0])
        return false;
    while (hi - lo > 1) {
        uint64_t mid = (lo + hi) / 2;

        if (symbol_offsets[mid] <= addr - base)
            lo = mid;
        else
            hi = mid;
    }
    *name = symbol_strings + symbol_names[lo];
    *offset = addr - base - symbol_offsets[lo];
    return true;
}

void panic_set_writer(panic_writer *w) { writer = w; }

static void panic_write(const char *s, size_t len)
{
    kept_panic(s, len); /* first: a writer is slow, or broken itself */
    if (writer)
        writer(s, len);
}

static void vsay(const char *fmt, va_list ap)
{
    char buf[256];
    int n = vsnprintf(buf, sizeof(buf), fmt, ap);

    if (n > 0)
        panic_write(buf, (size_t)n < sizeof(buf) ? (size_t)n : sizeof(buf) - 1);
}

static void printf_like(1, 2) panic_say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsay(fmt, ap);
    va_end(ap);
}

static void say_frame(unsigned i, uint64_t pc)
{
    const char *name;
    uint64_t offset;

    if (symbol_lookup(pc, &name, &offset))
        panic_say("  %2u %016llx %s+%#llx\n", i, (unsigned long long)pc, name,
                  (unsigned long long)offset);
    else
        panic_say("  %2u %016llx\n", i, (unsigned long long)pc);
}

/*
 * A frame is two words: the caller's frame and the return address (all our ISAs, with
 * -fno-omit-frame-pointer).
 */
void backtrace_print(uint64_t pc, uint64_t fp)
{
    uint64_t text = (uint64_t)(uintptr_t)__text_start, text_end = (uint64_t)(uintptr_t)__text_end;

    say_frame(0, pc);
    for (unsigned i = 1; i < FRAMES_MAX && fp && fp % 8 == 0; i++) {
        const uint64_t *frame = (const uint64_t *)(uintptr_t)fp;
        uint64_t caller = frame[0], ret = arch_code_address(frame[1]);

        if (ret < text || ret >= text_end)
            return;
        say_frame(i, ret);
        if (caller <= fp || caller - fp > FRAME_REACH)
            return;
        fp = caller;
    }
}

/* One CPU tells; a second one, or the same again, only stops. */
static void panic_enter(void)
{
    if (__atomic_fetch_add(&panics, 1, __ATOMIC_SEQ_CST))
        cpu_halt_forever();
    arch_stop_others();
    locks_bypass();
}

_Noreturn void panic_at(uint64_t pc, uint64_t fp, const char *registers, const char *fmt, ...)
{
    va_list ap;

    panic_enter();
    panic_say("\n*** Trivet has stopped on CPU %u: ", this_cpu()->id);
    va_start(ap, fmt);
    vsay(fmt, ap);
    va_end(ap);
    panic_say("\n");
    if (registers)
        panic_write(registers, __builtin_strlen(registers));
    backtrace_print(pc, fp);
    panic_say("*** This is a fault of Trivet's own. Please report the lines above.\n");
    cpu_halt_forever();
}

_Noreturn void panic(const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    panic_at((uint64_t)(uintptr_t)__builtin_return_address(0),
             *(const uint64_t *)__builtin_frame_address(0), NULL, "%s", text);
}
